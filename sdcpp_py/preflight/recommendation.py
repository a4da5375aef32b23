"""Which model to take on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from sdcpp_py.errors import SettingsError
from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.models.quantization import choose_quant, machine_memory
from sdcpp_py.naming import named
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.preflight.fits import matching, parameters
from sdcpp_py.preflight.listing import is_commercial
from sdcpp_py.preflight.needs import KeptNeeds
from sdcpp_py.preflight.speed import Speed, measured_speed
from sdcpp_py.system.paths import StrPath

SIZES = (512, 1024)
PATIENCE = 300.0


@dataclass(frozen=True)
class Recommendation:
    """A model for this machine, in the quantization that suits it.

    Attributes:
        model: its name in the catalogue; ``name`` adds the quantization, as ``Generator.from_pretrained`` takes it.
        quant: the quantization.
        plans: who is in memory when, for square pictures of 512 and 1024 pixels, by their edge; without the sizes that
            the model does not generate well.
        seconds: that such a picture takes from prompt to pixels, by its edge, estimated; of a model that is streamed,
            without the reading.
        download: bytes of its files; ``missing``: of those that are not on disk yet.
        licence: the short name of its licence.
        note: what is worth knowing before it is fetched.
    """

    model: str
    quant: str
    plans: dict[int, MemoryPlan]
    seconds: dict[int, float]
    download: int
    missing: int
    licence: str
    note: str

    @property
    def name(self) -> str:
        """As ``Generator.from_pretrained`` and every command take it."""
        return f"{self.model}:{self.quant}"

    @property
    def memory(self) -> dict[str, int]:
        """The most bytes that the larger picture takes, by device; its plan says what those that share one hold."""
        plan = self.plans[max(self.plans)]
        return {device: plan.peak(device) for device in plan.devices}

    @property
    def streams(self) -> bool:
        """Whether weights come block by block, which is slower than ``seconds`` says."""
        return any(plan.streams for plan in self.plans.values())


def recommend(
    *words: str,
    memory: MemoryLimit = "auto",
    device: DeviceChoice = "auto",
    threads: int | None = None,
    commercial: bool = False,
    patience: float = PATIENCE,
    count: int = 5,
    speed: Speed | None = None,
    hub_cache: StrPath | None = None,
    models_dir: StrPath | Sequence[StrPath] | None = None,
    on_stage: Callable[[str], object] | None = None,
) -> list[Recommendation]:
    """The models that suit this machine best, the best first. Nothing is downloaded.

    Of each shape of model there is one, in the quantization that suits its memory. Those come first
    that need not be streamed and generate a picture of their smaller size within ``patience``, larger models before
    smaller ones; then those that take longer, the quickest first. How long pictures take follows from the
    multiplications of a model and from how fast this machine is, which is timed once, in some seconds, and kept in the
    cache folder.

    Args:
        words: only models that have one of these words in a name, an alias or their family.
        memory, device, threads: as ``Generator`` takes them.
        commercial: only models whose licences, and those of their parts, let anybody use them commercially.
        patience: seconds that a picture may take, more than 0.
        count: how many at most, 1 or more.
        speed: of the machine, where it is known.
        hub_cache: where downloads are kept.
        models_dir: folders of models, in which files count as on disk too; those of SDCPP_PY_MODELS count always.
        on_stage: is told what is being done.

    Raises:
        ModelNotFoundError: a word is in no name.
        SettingsError: a number is out of its range.
        others: as ``Generator`` does.
    """
    if count < 1 or not patience > 0:
        raise SettingsError(
            f"{named('count')} is {count}, and {named('patience')} {patience}; give more than 0 of both"
        )
    options = PipelineOptions.of(device, memory, threads)
    models = [model for model in matching(words, open_catalogue()) if _is_for_prompts(model)]
    fast = speed or measured_speed(device, threads, on_stage=on_stage)
    found, places = [], Places.of(hub_cache, models_dir)
    with KeptNeeds(options, places) as needs:
        limit = _limit(options)
        for model in models:
            quant = choose_quant(model, machine_memory(), limit)
            if commercial and not is_commercial(model, quant):
                continue
            one = _recommendation(model, quant, needs, fast, places)
            if all(plan.fits for plan in one.plans.values()):
                found.append(one)
    return list(_one_of_each_shape(_ranked(found, patience, places)))[:count]


def _is_for_prompts(model: CatalogueModel) -> bool:
    """Whether it has a shape to reckon with, and generates from a prompt alone."""
    return bool(model.shape) and not FAMILIES_BY_NAME[model.family].fills


def _limit(options: PipelineOptions) -> int | None:
    """Bytes that weights and compute buffers may take where the denoiser computes; None: what this machine has."""
    device = options.placements[0].denoiser
    return options.limit if options.limit is not None or not device.is_gpu else device.memory_total or None


def _recommendation(
    model: CatalogueModel,
    quant: str,
    needs: KeptNeeds,
    speed: Speed,
    places: Places,
) -> Recommendation:
    shortest, longest = model.defaults.edges
    sizes = [size for size in SIZES if not longest or shortest <= size <= longest] or [model.defaults.width]
    family = FAMILIES_BY_NAME[model.family].with_defaults(asdict(model.defaults))
    files = model.files(quant).values()
    return Recommendation(
        model=model.name,
        quant=quant,
        plans=dict(zip(sizes, needs.plans(model.name, quant, [(size, size) for size in sizes]), strict=True)),
        seconds={size: speed.picture(model.shape, family, size) for size in sizes},
        download=sum(file.size for file in files),
        missing=sum(file.size for file in files if not places.find(file)),
        licence=model.licence,
        note=model.note,
    )


def _ranked(found: Sequence[Recommendation], patience: float, places: Places) -> list[Recommendation]:
    def rank(one: Recommendation) -> tuple[float, ...]:
        seconds = min(one.seconds.values())
        slow = seconds > patience
        return one.streams, slow, seconds if slow else -parameters(one.model, places), seconds

    return sorted(found, key=rank)


def _one_of_each_shape(ranked: Sequence[Recommendation]) -> Iterator[Recommendation]:
    models = open_catalogue().models
    seen = set()
    for one in ranked:
        shape = models[one.model].shape
        if shape not in seen:
            seen.add(shape)
            yield one
