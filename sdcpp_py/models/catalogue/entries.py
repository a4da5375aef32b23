"""What a catalogue of models holds: files on the Hub, and models made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.parts import ROLES as MODEL_ROLES

FAMILIES = tuple(FAMILIES_BY_NAME)
"""The families that an entry can be of."""

CHECKPOINT = "model"
"""The role of a file that is a whole model; others are one part of it."""
DENOISER = "diffusion_model"
AUTOENCODERS = ("vae", "tae")
ROLES = (*MODEL_ROLES, "upscaler")
"""What a file can be to a model."""

DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class CatalogueFile:
    """A file on the Hub.

    Attributes:
        name: the name of its entry ("qwen3-4b"), or of its model and quantization ("z-image-turbo:Q4_K").
        role: what it is to a model, one of ``ROLES``.
        repository: the Hub repository, "owner/name".
        file: its path in there.
        licence: the short name of its licence ("apache-2.0"); "" where it is the model's own.
        bytes: its exact size; None where that is not known.
        about: its size in bytes, rounded, where the exact one is not known; else None.
        sha256: its hash in lower-case hexadecimal; "" where it is not known.
        revision: the branch, tag or commit it is taken from.
        gated: whether the repository is known to want its terms accepted first.
        families: the families it works with; empty where nothing is said.
    """

    name: str
    role: str
    repository: str
    file: str
    licence: str = ""
    bytes: int | None = None
    about: int | None = None
    sha256: str = ""
    revision: str = DEFAULT_REVISION
    gated: bool = False
    families: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes, exact where they are known; 0 where nothing is."""
        return self.bytes or self.about or 0


@dataclass(frozen=True)
class CatalogueDefaults:
    """A model's defaults.

    Attributes:
        steps, cfg_scale: as ``GenerationSettings`` has them.
        guidance: the distilled guidance; None for a model that takes none.
        sampler, scheduler: names in ``SAMPLERS`` and ``SCHEDULERS``.
        flow_shift: the shift of the timesteps; None where the schedule knows its own, or there is none.
        width, height: pixels of a picture.
        native: the edge in pixels of the pictures that the model was trained on.
        edges: the shortest and longest edge in pixels that it generates well.
    """

    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    width: int
    height: int
    guidance: float | None = None
    flow_shift: float | None = None
    native: int = 0
    edges: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class CatalogueModel:
    """A model: its defaults, and the files it is made of.

    Attributes:
        name: the name it is asked for by ("z-image-turbo"); ``aliases`` are others.
        title: its name in sentences.
        family: one of ``FAMILIES``.
        licence: the short name of its licence.
        page: the Hub repository of its makers, where its terms stand; "" where none is given.
        note: what is worth knowing before it is fetched; "" where nothing is.
        quantizations: its denoiser, or the whole checkpoint, by weight type ("Q4_K"), smallest first.
        parts: its other files by role.
        shape: the set of ``sdcpp_py.synth`` in whose shape its files are, to plan and to time it with before it is
            fetched; "" where there is none.
    """

    name: str
    title: str
    family: str
    licence: str
    defaults: CatalogueDefaults
    quantizations: Mapping[str, CatalogueFile]
    parts: Mapping[str, CatalogueFile] = field(default_factory=lambda: MappingProxyType({}))
    aliases: tuple[str, ...] = ()
    page: str = ""
    note: str = ""
    shape: str = ""

    @property
    def main_role(self) -> str:
        """The role of what is quantized: "model" for whole checkpoints, else "diffusion_model"."""
        return next(iter(self.quantizations.values())).role

    def files(self, quant: str) -> dict[str, CatalogueFile]:
        """All files that a picture needs, by role, with the denoiser of that quantization first."""
        return {self.main_role: self.quantizations[quant], **self.parts}
