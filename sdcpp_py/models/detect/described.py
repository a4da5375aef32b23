"""What a model file can be: its part of a model, and what decides whether it fits the others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sdcpp_py.models.families import Family


class Part(Enum):
    """What a file is, as a noun phrase."""

    CHECKPOINT = "a whole checkpoint"
    DENOISER = "a denoiser"
    TEXT_ENCODER = "a text encoder"
    VAE = "a VAE"
    TINY_AUTOENCODER = "a tiny autoencoder (TAESD)"
    LORA = "a LoRA"
    CONTROLNET = "a ControlNet"
    UPSCALER = "an upscaler"
    UNKNOWN = "a file of a kind that is not known here"


@dataclass(frozen=True)
class Kind:
    """One kind of denoiser, whether or not it is supported here.

    Attributes:
        name: the short name ("flux2-klein"); that of the family where it is one.
        title: the name in sentences ("FLUX.2 Klein").
        version: what the engine calls it; "" where it knows none.
        family: of those that are supported here; else None.
        nearest: of one that is not: the family that comes nearest, with the file to get.
    """

    name: str
    title: str
    version: str = ""
    family: Family | None = None
    nearest: str = ""

    @classmethod
    def of(cls, family: Family) -> Kind:
        """The kind of denoiser that a family generates with."""
        return cls(family.name, family.title, family.engine_version, family)


@dataclass(frozen=True)
class Described:
    """A part and what decides whether it fits.

    Attributes:
        part: what the file is.
        title: the same in words ("the FLUX.2 Klein denoiser").
        kind: of a denoiser or a checkpoint; of a LoRA or a ControlNet: of the denoiser it was made for.
        family: of a denoiser or a checkpoint that is supported here, with the defaults of this very file.
        hidden_size: of a denoiser: its width; of a text encoder: of its states; of a LoRA: of its denoiser.
        context_width: of a denoiser: the width of the text states that it reads.
        role: of a text encoder: which of ``parts.ENCODERS`` it is; "" where it is none of them.
        encoder: of a text encoder: its make ("qwen3", "clip_l", "t5", ...).
        layers: of a text encoder.
        latent_channels: of a VAE or a tiny autoencoder.
        vae: of those: "kl" (Stable Diffusion, FLUX), "wan" (Qwen-Image, Wan), "taesd" or "taehv".
        holds: of a checkpoint: the roles of the parts in it besides the denoiser.
        inner: of a checkpoint: those parts.
        unread: of a file with a denoiser: what else is in it and is not read there, in words.
        foreign: whether its tensors bear names that the engine does not read in a file of its own: those of the
            diffusers format, or OpenCLIP's.
        distilled: of a denoiser: whether it generates without classifier-free guidance; None where tensors cannot tell.
    """

    part: Part
    title: str
    kind: Kind | None = None
    family: Family | None = None
    hidden_size: int = 0
    context_width: int = 0
    role: str = ""
    encoder: str = ""
    layers: int = 0
    latent_channels: int = 0
    vae: str = ""
    holds: tuple[str, ...] = ()
    inner: tuple[Described, ...] = ()
    unread: tuple[str, ...] = ()
    foreign: bool = False
    distilled: bool | None = None
