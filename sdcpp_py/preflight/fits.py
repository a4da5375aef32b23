"""Which models fit into memory, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sdcpp_py.errors import ModelNotFoundError
from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.catalogue import Catalogue
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.quantization import NEVER_CHOSEN, choose_quant, machine_memory
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.preflight.named_files import shape_of
from sdcpp_py.preflight.needs import KeptNeeds
from sdcpp_py.synth import FAMILIES, MODELS

Chosen = tuple[str, str | None]
"""A model's name and a quantization of it, as ``files_named`` takes them."""


@dataclass(frozen=True)
class Fit:
    """Whether and how a model fits.

    Attributes:
        model, quant: which one; ``quant`` as the catalogue writes it, "" for a model that is as it is.
        plans: of pictures of several sizes.
    """

    model: str
    quant: str
    plans: tuple[MemoryPlan, ...]

    @property
    def fits(self) -> bool:
        """Whether it fits in all the sizes."""
        return all(plan.fits for plan in self.plans)

    @property
    def streams(self) -> bool:
        """Whether weights have to come block by block, which is slow, in one of the sizes."""
        return any(plan.streams for plan in self.plans)


def fits_of(
    choices: Iterable[Chosen],
    *,
    sizes: Sequence[int] = (512, 1024),
    memory: MemoryLimit = "auto",
    device: DeviceChoice = "auto",
    places: Places | None = None,
) -> Iterator[Fit]:
    """How each model fits in its quantization, one after the other.

    Args:
        choices: names of models as ``files_named`` takes them, and quantizations; None: its usual one.
        sizes: edges of square pictures, in pixels.
        memory, device: as ``Generator`` takes them.
        places: where models are looked for on disk.

    Raises as ``files_named`` and ``Generator`` do.
    """
    with KeptNeeds(PipelineOptions.of(device, memory, None), places) as needs:
        for name, quant in choices:
            model, _, said = name.partition(":")
            plans = needs.plans(name, quant, [(size, size) for size in sizes])
            yield Fit(model if "/" in model else model.lower(), (quant or said).upper(), plans)


def matching(words: Sequence[str], catalogue: Catalogue) -> list[CatalogueModel]:
    """The models of a catalogue that words name, a part of a name, alias or family each; all without words.

    Raises ModelNotFoundError where a word names none.
    """
    found: dict[str, CatalogueModel] = {}
    for word in words:
        text = word.lower()
        here = [
            model
            for model in catalogue.models.values()
            if any(text in name for name in (model.name, *model.aliases, model.family))
        ]
        if not here:
            raise ModelNotFoundError(f"no model is called {word!r}{catalogue.hint(word, catalogue.models)}")
        found |= {model.name: model for model in here}
    return list(found.values()) if words else list(catalogue.models.values())


def choices(names: Sequence[str], catalogue: Catalogue, *, every: bool, limit: int | None) -> list[Chosen]:
    """Models and quantizations for ``fits_of``.

    Args:
        names: words as ``matching`` takes them, whose models come in all their quantizations; a name with a
            quantization, of the Hub, of the package or of a shape is that one. None: all models that have a shape.
        catalogue: has the models.
        every: all quantizations of all models too, and not for each the one that suits.
        limit: bytes that it has to suit; None: this machine's memory.
    """
    if not names:
        known = [model for model in catalogue.models.values() if model.shape]
        return [
            (model.name, quant)
            for model in known
            for quant in (_quants(model) if every else [choose_quant(model, machine_memory(), limit)])
        ]
    found: dict[Chosen, None] = {}
    for name in names:
        lower = name.lower()
        alone = ":" in name or "/" in name or lower == TINY or (lower in FAMILIES and lower not in _known(catalogue))
        if alone:
            found[name, None] = None
        else:
            found |= {(model.name, quant): None for model in matching([name], catalogue) for quant in _quants(model)}
    return list(found)


def best_first(found: Iterable[Fit], places: Places | None = None) -> list[Fit]:
    """Those that fit first, of these the ones that need not be streamed, then the larger models and weights.

    ``places``: those that the models were looked for in; None for the usual ones.
    """
    places = places or Places()
    return sorted(found, key=lambda fit: (not fit.fits, fit.streams, -parameters(fit.model, places), -_weights(fit)))


def parameters(name: str, places: Places) -> int:
    """How many numbers the denoiser of a model, or its checkpoint, has; 0 where its shape is not known."""
    shape = shape_of(name, places=places) if name.lower() != TINY and "/" not in name else None
    return MODELS[next(iter(FAMILIES[shape.shape].values()))].parameters() if shape else 0


def _weights(fit: Fit) -> int:
    return fit.plans[0].part("diffusion_model").need.weights


def _quants(model: CatalogueModel) -> list[str]:
    return [quant for quant in model.quantizations if quant != NEVER_CHOSEN or len(model.quantizations) == 1]


def _known(catalogue: Catalogue) -> set[str]:
    return {*catalogue.models, *catalogue.aliases}
