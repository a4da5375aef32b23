"""The model families: what each needs, and what is drawn with it when nothing is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sdcpp_py.schedules import flux2_sigmas, z_image_sigmas

PARTS = ("text_encoder", "diffusion_model", "vae")
"""The parts of a model, in the order in which a picture passes them."""

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
        steps, cfg_scale, width, height: drawn with when nothing is said.
        size_multiple: width and height must be multiples of this many pixels.
        pixels_per_latent: pixels along one edge of a latent cell.
        latent_channels: channels of the latent that the denoiser works on.
        vae_channels: input channels of the decoder of the VAE that belongs to it.
        vae_name: the file people know that VAE by.
        max_tokens: the longest prompt the reference pipeline reads, its template included.
        encoder_layers: how many layers of the text encoder are read.
        context_layers: how many of its layers' states are concatenated for the denoiser.
        context_tokens: how many of the text encoder's states it reads; 0 for as many as the prompt has.
        sigmas: (steps, width, height) -> the reference pipeline's sigmas.
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
    encoder_layers: int
    context_layers: int
    context_tokens: int
    sigmas: Callable[[int, int, int], tuple[float, ...]]

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latent of a picture of that many pixels."""
        return self.latent_channels, height // self.pixels_per_latent, width // self.pixels_per_latent

    def sized(self, width: int, height: int) -> Family:
        """The same family with another default size, in pixels. The family's own where a side is none it can draw."""
        if any(side <= 0 or side % self.size_multiple for side in (width, height)):
            return self
        return replace(self, width=width, height=height)


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
    encoder_layers=27,
    context_layers=3,
    context_tokens=512,
    sigmas=flux2_sigmas,
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
    encoder_layers=35,
    context_layers=1,
    context_tokens=0,
    sigmas=z_image_sigmas,
)
FAMILIES = (FLUX2_KLEIN, Z_IMAGE)
