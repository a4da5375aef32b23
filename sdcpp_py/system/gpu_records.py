"""What the self-test found out about GPUs, kept from one process to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.kept_facts import KeptFacts

SWITCHES = ("GGML_VK_DISABLE_INTEGER_DOT_PRODUCT", "GGML_VK_DISABLE_COOPMAT", "GGML_VK_DISABLE_F16")
"""The environment variables that take something from ggml's Vulkan module, the least dear first."""
HOST_MEMORY = "GGML_VK_PREFER_HOST_MEMORY"
"""The one that has that module allocate memory which the host sees, and write weights there itself."""

UPLOADED, IMPORTED, WRITTEN = "uploaded", "imported", "written"
"""How weights come to a GPU: a copy of the GPU's brings them into its memory; they stay where the process has them; the
CPU writes them into the GPU's memory, with ``HOST_MEMORY`` set."""

PRODUCTS_IN_FLOAT32 = "products, sums in float32"
PRODUCTS = "products, sums as ggml has them"
PRODUCTS_OF_IMPORTS = "products, weights imported"
PRODUCTS_OF_UPLOADS = "products, weights uploaded"
"""One after the other, sums in float32."""
CONVOLUTIONS = "convolutions in one pass"
IM2COL = "convolutions by im2col"
OTHERS = "other operations"
"""Of 64 for each number that comes out, as submissions are paced."""
ON_CPU = {
    "text_encoder": "products on the CPU",
    "diffusion_model": "products on the CPU",
    "vae": "convolutions on the CPU",
}
"""By the part that they stand for, with this library's kernels."""
UPLOAD = "upload"
UPLOAD_WRITTEN = "upload, written by the CPU"
ROUND_TRIP = "there and back"
UNITS = {UPLOAD: "MiB/s", UPLOAD_WRITTEN: "MiB/s", ROUND_TRIP: "GB/s"}
"""Of speeds; others are in TFLOP/s."""

# Of what a record says: another one is not taken.
_FORM = 4
_FACTS = "gpus"
# No machine of today is that quick, in any of the units; what says so is a clock that stood still, or a damaged file.
_QUICKEST = 1e6


@dataclass(frozen=True)
class GpuRecord:
    """What is known of a GPU.

    Attributes:
        description, driver: which GPU it is, as ``library.Device`` has them.
        usable: whether it computes rightly, with the switches.
        reason: why not, or why there are switches, in a sentence; "" where nothing is wrong.
        switches: of ``SWITCHES``, those that it needs.
        float32_sums: whether products are to be summed up in float32.
        direct_convolutions: whether convolutions in one pass are right.
        im2col_convolutions: whether those by im2col are.
        speeds: what was timed, by the names above, in ``UNITS``.
        faults: what was found with each setting, in words.
        quicker: how many times as quick as the CPU it computes what "text_encoder", "diffusion_model" and "vae" mostly
            compute; below 1, the CPU is quicker. Without those that were not timed.
        unreached: what the time did not suffice for, in words.
        weights: how they come to the GPU, where it shares the host's memory: ``UPLOADED``, or what was found right and
            quicker, ``IMPORTED`` or ``WRITTEN``.
    """

    description: str
    driver: str
    usable: bool
    reason: str = ""
    switches: tuple[str, ...] = ()
    float32_sums: bool = True
    direct_convolutions: bool = True
    im2col_convolutions: bool = True
    speeds: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    quicker: Mapping[str, float] = field(default_factory=dict)
    unreached: tuple[str, ...] = ()
    weights: str = UPLOADED

    @property
    def of(self) -> tuple[str, str]:
        """Which GPU it is of."""
        return self.description, self.driver

    def paces(self, *, float32_sums: bool) -> tuple[float, float, float]:
        """Operations a second of products, convolutions in one pass and others; 0 where they were not timed.

        Args:
            float32_sums: how products are summed up.
        """
        names = (PRODUCTS_IN_FLOAT32 if float32_sums else PRODUCTS, CONVOLUTIONS, OTHERS)
        products, convolutions, others = (1e12 * self.speeds.get(name, 0.0) for name in names)
        return products, convolutions, others

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"form": _FORM, **asdict(self)}

    @classmethod
    def from_plain(cls, value: Any) -> GpuRecord | None:
        """The record of plain values; None where they are those of another version, not whole, or absurd."""
        if not isinstance(value, dict) or value.get("form") != _FORM:
            return None
        given = {name: one for name, one in value.items() if name != "form"}
        if set(given) != set(cls.__dataclass_fields__) or not _sound(given):
            return None
        given.update({name: tuple(given[name]) for name in _LISTS})
        return cls(**given)


_LISTS = ("switches", "faults", "unreached")
_TRUTHS = ("usable", "float32_sums", "direct_convolutions", "im2col_convolutions")


def sound_figures(given: Any) -> dict[str, float]:
    """Those of some figures by name that can be true: numbers above 0, finite and not absurdly large."""
    if not isinstance(given, Mapping):
        return {}
    return {name: one for name, one in given.items() if isinstance(name, str) and _can_be(one)}


def _can_be(figure: Any) -> bool:
    # A comparison with NaN is false.
    return isinstance(figure, (int, float)) and not isinstance(figure, bool) and 0 < figure <= _QUICKEST


def _sound(given: Mapping[str, Any]) -> bool:
    """Whether values are of the kinds that a record has, and can be true."""
    texts = [given["description"], given["driver"], given["reason"]]
    truths = [given[name] for name in _TRUTHS]
    lists, figures = [given[name] for name in _LISTS], [given[name] for name in ("speeds", "quicker")]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(truth, bool) for truth in truths)
        and all(isinstance(one, (list, tuple)) and all(isinstance(text, str) for text in one) for one in lists)
        and set(given["switches"]) <= set(SWITCHES)
        and given["weights"] in (UPLOADED, IMPORTED, WRITTEN)
        and all(isinstance(one, dict) and sound_figures(one) == one for one in figures)
    )


# Closes the race of threads that both learn of a GPU.
_lock = ProcessLock()
_learnt: dict[tuple[str, ...], dict[tuple[str, str], GpuRecord]] = {}


def gpu_records(build: Sequence[str]) -> dict[tuple[str, str], GpuRecord]:
    """The records of a build, by the GPU that they are of: those that are kept, and those of this process.

    Args:
        build: what records hold for: ``vulkan_build`` says it.
    """
    kept = KeptFacts(_FACTS).get([_FORM, *build])
    found = [GpuRecord.from_plain(one) for one in kept] if isinstance(kept, list) else []
    with _lock:
        return {record.of: record for record in found if record is not None} | _learnt.get(tuple(build), {})


def learn(build: Sequence[str], record: GpuRecord) -> None:
    """Holds a record for this process, and no longer."""
    with _lock:
        _learnt.setdefault(tuple(build), {})[record.of] = record


def keep(build: Sequence[str], record: GpuRecord) -> None:
    """Keeps a record for this process and others, in place of an older one of the same GPU."""
    learn(build, record)
    facts = KeptFacts(_FACTS)
    facts.put([_FORM, *build], [one.plain() for one in gpu_records(build).values()])
    facts.save()


def forget(build: Sequence[str]) -> None:
    """Lets go of what this process has learnt; what is kept on disk stays."""
    with _lock:
        _learnt.pop(tuple(build), None)
