"""Small model files that run the whole of the engine in a second or two: of each family, as small as it can be read."""

from __future__ import annotations

from sdcpp_py.synth.additions import Esrgan, Lora
from sdcpp_py.synth.autoencoder import Autoencoder
from sdcpp_py.synth.chroma import Chroma
from sdcpp_py.synth.clip import Clip
from sdcpp_py.synth.flux1 import Flux1
from sdcpp_py.synth.klein import Klein
from sdcpp_py.synth.mmdit import MMDiT
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.qwen3 import Qwen3
from sdcpp_py.synth.qwen25_vl import Qwen25VL
from sdcpp_py.synth.qwen_image import QwenImage
from sdcpp_py.synth.t5 import T5
from sdcpp_py.synth.wan_vae import WanVAE
from sdcpp_py.synth.z_image import ZImage

_CONTEXT = 128  # the tiny T5's width
_FLUX1 = {"hidden": 256, "double": 1, "single": 2, "context": _CONTEXT}
_KLEIN = Klein(hidden=256, double=1, single=2, context=3 * 64)
_QWEN3 = Qwen3(hidden=64, layers=28, ffn=192, heads=16)
_QWEN3_36 = Qwen3(hidden=64, layers=36, ffn=192, heads=32)
_QWEN25_VL = Qwen25VL(hidden=64, layers=2, ffn=192)

SHAPES = (
    ModelShape("tiny-klein", _KLEIN, "flux"),
    ModelShape("tiny-z-image", ZImage(hidden=256, layers=2, refiners=1, caption=64), "lumina2"),
    ModelShape("tiny-flux1", Flux1(**_FLUX1, guidance=True), "flux"),
    ModelShape("tiny-flux1-schnell", Flux1(**_FLUX1, guidance=False), "flux"),
    ModelShape("tiny-flux1-fill", Flux1(**_FLUX1, guidance=True, image=384), "flux"),
    ModelShape("tiny-chroma", Chroma(**_FLUX1, approximator=256), "flux"),
    ModelShape("tiny-sd3", MMDiT(depth=2, self_attending=1, positions="Q4_0"), "sd3"),
    ModelShape("tiny-qwen-image", QwenImage(hidden=256, layers=2, context=64), "qwen_image"),
    ModelShape("tiny-qwen3", _QWEN3, "qwen3", _QWEN3.metadata),
    ModelShape("tiny-qwen3-36", _QWEN3_36, "qwen3", _QWEN3_36.metadata),
    ModelShape("tiny-qwen2.5-vl", _QWEN25_VL, "qwen2vl", _QWEN25_VL.metadata),
    ModelShape("tiny-t5", T5(hidden=_CONTEXT, layers=2, ffn=256), "t5encoder"),
    # As wide as the true ones, since denoisers have the widths of pooled states fixed; their tables are most of them.
    ModelShape("tiny-clip-l", Clip(hidden=768, layers=2, ffn=768, table="Q4_0"), "clip"),
    ModelShape("tiny-clip-g", Clip(hidden=1280, layers=2, ffn=1280, projected=True, table="Q4_0"), "clip"),
    ModelShape("tiny-flux2-vae", Autoencoder(latent=32, channels=32, convention="flux2", encoder_channels=32)),
    ModelShape("tiny-flux1-vae", Autoencoder(latent=16, channels=32, convention="flux1", encoder_channels=32)),
    # With encoders as wide as true ones, which is the only width that the engine's own program reads.
    ModelShape("tiny-flux2-vae-wide", Autoencoder(latent=32, channels=32, convention="flux2", encoder="F16")),
    ModelShape("tiny-flux1-vae-wide", Autoencoder(latent=16, channels=32, convention="flux1", encoder="F16")),
    # For what happens to a VAE that cannot read pictures.
    ModelShape("tiny-flux2-vae-decoder", Autoencoder(latent=32, channels=32, convention="flux2", encoder=None)),
    ModelShape("tiny-wan-vae", WanVAE(channels=32, type="F16")),
    ModelShape("tiny-klein-lora", Lora(_KLEIN, rank=4)),
    ModelShape("tiny-esrgan", Esrgan(blocks=1)),
)
