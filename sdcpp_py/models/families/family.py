"""What a family of models is: its defaults, what it is made of, and how its files are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sdcpp_py.models.families.naming import OtherNames
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import Schedule
from sdcpp_py.settings import FAMILY_DEFAULTS, MAX_EDGE, MIN_EDGE
from sdcpp_py.settings.samplers import REFERENCE_SCHEDULER

Recognise = Callable[[DenoiserTensors], DenoiserTraits | None]
"""What a denoiser's tensors say where they are of a family; None where they are not."""
RecogniseLora = Callable[[LoraLayers], int | None]
"""The width of the denoiser that a LoRA was made for, 0 where it cannot be told; None where it is not of a family."""


def never(tensors: object) -> None:
    """Recognises nothing."""


@dataclass(frozen=True)
class LanguageModel:
    """Which language models a family reads as its text encoder.

    Attributes:
        make: "qwen3" or "qwen2.5".
        widths: the hidden sizes that its denoisers were trained with.
        layers: how many of its layers are read.
        all_layers: whether it is read to its last layer, however many there are.
    """

    make: str
    widths: tuple[int, ...]
    layers: int
    all_layers: bool = False


@dataclass(frozen=True)
class TrainedOn:
    """What a model of few pictures was trained on, beyond which it generates nothing to be recognised.

    Attributes:
        least, most: of a picture's edges, in pixels.
        things: the words for what it can generate; a prompt needs one of them.
    """

    least: int
    most: int
    things: frozenset[str]


@dataclass(frozen=True)
class Family:
    """One family of models: all that the library knows of it stands in one file of ``sdcpp_py.models.families``.

    Attributes:
        name: the short name ("flux2-klein").
        title: the name in sentences ("FLUX.2 Klein").
        steps, cfg_scale, guidance, sampler, scheduler, width, height: the defaults of ``GenerationSettings``.
            ``guidance`` is the distilled guidance; 0 where the denoiser takes none.
        size_multiple: width and height must be multiples of this many pixels.
        pixels_per_latent: pixels along one edge of a latent pixel: the VAE's factor.
        latent_channels: channels of the latent that the denoiser works on.
        vae_channels: input channels of the decoder of the VAE that belongs to it.
        max_tokens: the longest prompt the reference pipeline reads, its template included; 0: any length.
        encoders: the roles of the text encoders that it reads.
        optional_encoders: those of them that it can do without, and what it is then worse at.
        language_model: which ones it reads in the role "llm"; None where it reads none.
        clip_width: the width of the states of the CLIP in the role "clip_l".
        context_layers: how many of its layers' states are concatenated for the denoiser.
        context_tokens: how many of the text encoder's states it reads; 0 for as many as the prompt has.
        flow_shift: the shift of the engine's own schedules; None for the engine's. The reference's has its own.
        sigmas: the reference pipeline's sigma schedule; None where it is the engine's own ("discrete").
        references: how many reference images it takes.
        fills: whether the denoiser itself reads a mask and the init image around it (FLUX.1 Fill).
        empty_is_nothing: whether an empty negative prompt is zeros, and not what the text encoder makes of it.
        prompts_have_sizes: whether a prompt embedding holds the size of the picture.
        vae_make: "kl" (Stable Diffusion, FLUX), "wan" (Qwen-Image), or "taesd" where there is none but a tiny one.
        vae_of_others: words in the name of a VAE's file by which it is another family's, where tensors cannot tell.
        whole_only: whether the engine opens it from whole checkpoints only, by whose text encoders it tells it.
        has_heads: whether tensors tell how many heads the denoiser has; the engine divides by it. Always, for most.
        engine_version: what the engine calls it.
        recognise: how its denoisers are told.
        recognise_diffusers: how they are told in the names of the diffusers format.
        other_names: what those names are in the engine's; None where they are not read.
        recognise_lora: how LoRAs that were made for it are told.
        loras_of: the names of other families whose LoRAs fit it: blocks that both have are equal in names and shapes.
        pipelines: the names of its pipeline classes in diffusers.
        trained_on: the bounds of its training, where they are narrow; None for models of the whole world.
        distilled_word: a word in a file's name by which a denoiser generates without classifier-free guidance.
        denoiser_files: the file to get, by the denoiser's width; 0: where the width does not matter.
        vae_file: the VAE to get.
    """

    name: str
    title: str
    steps: int
    cfg_scale: float
    width: int
    height: int
    size_multiple: int
    pixels_per_latent: int
    latent_channels: int
    vae_channels: int
    max_tokens: int
    encoders: tuple[str, ...]
    engine_version: str
    recognise: Recognise = field(repr=False)
    denoiser_files: Mapping[int, str] = field(repr=False, hash=False)
    vae_file: str = field(repr=False)
    optional_encoders: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    language_model: LanguageModel | None = None
    clip_width: int = 768
    context_layers: int = 1
    context_tokens: int = 0
    sigmas: Schedule | None = field(default=None, repr=False)
    guidance: float = 0.0
    sampler: str = "euler"
    scheduler: str = REFERENCE_SCHEDULER
    flow_shift: float | None = None
    references: int = 0
    fills: bool = False
    empty_is_nothing: bool = False
    prompts_have_sizes: bool = False
    vae_make: str = "kl"
    vae_of_others: tuple[str, ...] = ()
    whole_only: bool = False
    has_heads: Callable[[DenoiserTensors], bool] = field(default=lambda tensors: True, repr=False)
    recognise_diffusers: Recognise = field(default=never, repr=False)
    other_names: OtherNames | None = field(default=None, repr=False)
    recognise_lora: RecogniseLora = field(default=never, repr=False)
    loras_of: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    distilled_word: str = ""
    trained_on: TrainedOn | None = None

    @property
    def needed_encoders(self) -> tuple[str, ...]:
        """The roles of the text encoders that it cannot do without."""
        return tuple(role for role in self.encoders if role not in self.optional_encoders)

    def denoiser_file(self, hidden_size: int = 0) -> str:
        """The denoiser to get, in words; of that width, where there are several."""
        return self.denoiser_files.get(hidden_size, self.denoiser_files[0])

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latent of a picture of that many pixels."""
        return self.latent_channels, height // self.pixels_per_latent, width // self.pixels_per_latent

    def sized(self, width: int, height: int) -> Family:
        """The same family with another default size, in pixels. The family's own where a side is out of range."""
        if any(not MIN_EDGE <= side <= MAX_EDGE or side % self.size_multiple for side in (width, height)):
            return self
        return replace(self, width=width, height=height)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Family:
        """The same family with other values of ``settings.FAMILY_DEFAULTS`` and another ``flow_shift``, by name."""
        names = (*FAMILY_DEFAULTS, "flow_shift")
        return replace(self, **{name: defaults[name] for name in names if defaults.get(name) is not None})
