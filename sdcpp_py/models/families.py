"""The model families: what each needs, and what is drawn with it when nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sdcpp_py.models.sigmas import (
    Schedule,
    even_sigmas,
    flux1_sigmas,
    flux2_sigmas,
    qwen_image_sigmas,
    sd3_sigmas,
    z_image_sigmas,
)

REFERENCE_SCHEDULER = "reference"
"""The schedule of the model's reference pipeline; every other name is one of the engine's own."""

SAMPLERS = (
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
    "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde",
)  # fmt: skip
SCHEDULERS = (
    REFERENCE_SCHEDULER, "discrete", "karras", "exponential", "ays", "gits", "sgm_uniform", "simple", "smoothstep",
    "kl_optimal", "lcm", "bong_tangent",
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """One family of models.

    Attributes:
        name: the short name ("flux2-klein").
        title: the name in sentences ("FLUX.2 Klein").
        steps, cfg_scale, guidance, sampler, scheduler, width, height: drawn with when nothing is said. ``guidance`` is
            the distilled guidance; 0 where the denoiser takes none.
        size_multiple: width and height must be multiples of this many pixels.
        pixels_per_latent: pixels along one edge of a latent cell.
        latent_channels: channels of the latent that the denoiser works on.
        vae_channels: input channels of the decoder of the VAE that belongs to it.
        vae_name: the file people know that VAE by.
        max_tokens: the longest prompt the reference pipeline reads, its template included; 0: any length.
        encoders: the roles of the text encoders that it reads.
        encoder_layers: how many layers of a Qwen are read.
        context_layers: how many of its layers' states are concatenated for the denoiser.
        context_tokens: how many of the text encoder's states it reads; 0 for as many as the prompt has.
        flow_shift: the shift of the engine's own schedules; None for the engine's. The reference's has its own.
        sigmas: the reference pipeline's schedule; None where it is the engine's own ("discrete").
        references: how many reference images it takes.
        fills: whether the denoiser itself reads a mask and the picture around it (FLUX.1 Fill).
        empty_is_nothing: whether an empty negative prompt is zeros, and not what the text encoder makes of it.
        prompts_have_sizes: whether an encoded prompt holds the size of the picture.
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
    vae_name: str
    max_tokens: int
    encoders: tuple[str, ...]
    encoder_layers: int = 0
    context_layers: int = 1
    context_tokens: int = 0
    sigmas: Schedule | None = None
    guidance: float = 0.0
    sampler: str = "euler"
    scheduler: str = REFERENCE_SCHEDULER
    flow_shift: float | None = None
    references: int = 0
    fills: bool = False
    empty_is_nothing: bool = False
    prompts_have_sizes: bool = False

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latent of a picture of that many pixels."""
        return self.latent_channels, height // self.pixels_per_latent, width // self.pixels_per_latent

    def sized(self, width: int, height: int) -> Family:
        """The same family with another default size, in pixels. The family's own where a side is none it can draw."""
        if any(side <= 0 or side % self.size_multiple for side in (width, height)):
            return self
        return replace(self, width=width, height=height)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Family:
        """The same family with other values of ``DEFAULTS`` and another ``flow_shift``, by name."""
        names = (*DEFAULTS, "flow_shift")
        return replace(self, **{name: defaults[name] for name in names if defaults.get(name) is not None})


DEFAULTS = ("steps", "cfg_scale", "guidance", "sampler", "scheduler", "width", "height")
"""What is drawn with when nothing is said: what one model may have otherwise than its family."""

FLUX2_KLEIN = Family(
    name="flux2-klein",
    title="FLUX.2 Klein",
    steps=4,
    cfg_scale=1.0,
    width=512,
    height=512,
    size_multiple=16,
    pixels_per_latent=16,
    latent_channels=128,
    vae_channels=32,
    vae_name="flux2-vae.safetensors",
    max_tokens=512,
    encoders=("llm",),
    encoder_layers=27,
    context_layers=3,
    context_tokens=512,
    sigmas=flux2_sigmas,
    references=10,
)
Z_IMAGE = Family(
    name="z-image",
    title="Z-Image",
    steps=8,
    cfg_scale=1.0,
    width=512,
    height=512,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_name="ae.safetensors",
    max_tokens=512,
    encoders=("llm",),
    encoder_layers=35,
    sigmas=z_image_sigmas,
)
FLUX1 = Family(
    name="flux1",
    title="FLUX.1",
    steps=20,
    cfg_scale=1.0,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_name="ae.safetensors",
    max_tokens=0,
    encoders=("clip_l", "t5xxl"),
    sigmas=flux1_sigmas,
    guidance=3.5,
    references=4,
)
# Its files are told from dev's by what they lack: the input for guidance.
FLUX1_SCHNELL = replace(FLUX1, title="FLUX.1 schnell", steps=4, guidance=0.0, sigmas=even_sigmas, references=0)
FLUX1_FILL = replace(FLUX1, name="flux1-fill", title="FLUX.1 Fill", steps=28, guidance=30.0, references=0, fills=True)
CHROMA = replace(
    FLUX1,
    name="chroma",
    title="Chroma",
    steps=26,
    cfg_scale=4.0,
    guidance=0.0,
    encoders=("t5xxl",),
    sigmas=None,
    scheduler="simple",
    references=0,
)
QWEN_IMAGE = Family(
    name="qwen-image",
    title="Qwen-Image",
    steps=20,
    cfg_scale=2.5,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_name="qwen_image_vae.safetensors",
    max_tokens=0,
    encoders=("llm",),
    encoder_layers=28,
    sigmas=qwen_image_sigmas,
)
SD3 = Family(
    name="sd3",
    title="Stable Diffusion 3",
    steps=28,
    cfg_scale=4.5,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_name="sd3 vae (16 channels)",
    max_tokens=0,
    encoders=("clip_l", "clip_g", "t5xxl"),
    sigmas=sd3_sigmas,
)
SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1",
    steps=20,
    cfg_scale=7.0,
    width=512,
    height=512,
    size_multiple=64,
    pixels_per_latent=8,
    latent_channels=4,
    vae_channels=4,
    vae_name="vae-ft-mse-840000-ema-pruned.safetensors",
    max_tokens=0,
    encoders=("clip_l",),
    sampler="euler_a",
    scheduler="discrete",
)
SD2 = replace(SD1, name="sd2", title="Stable Diffusion 2")
SDXL = replace(
    SD1,
    name="sdxl",
    title="Stable Diffusion XL",
    steps=25,
    cfg_scale=6.0,
    width=1024,
    height=1024,
    vae_name="sdxl_vae.safetensors",
    encoders=("clip_l", "clip_g"),
    empty_is_nothing=True,
    prompts_have_sizes=True,
)
FAMILIES = (FLUX2_KLEIN, Z_IMAGE, FLUX1, FLUX1_FILL, CHROMA, QWEN_IMAGE, SD3, SD1, SD2, SDXL)
FAMILIES_BY_NAME: Mapping[str, Family] = MappingProxyType({family.name: family for family in FAMILIES})
