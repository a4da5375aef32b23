"""Model files in the true size of those that users have."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.synth.additions import Esrgan, Lora
from sdcpp_py.synth.autoencoder import Autoencoder
from sdcpp_py.synth.checkpoint import Checkpoint
from sdcpp_py.synth.chroma import Chroma
from sdcpp_py.synth.clip import Clip, OpenClip
from sdcpp_py.synth.diffusers import DiffusersFlux1, DiffusersKlein
from sdcpp_py.synth.flux1 import Flux1
from sdcpp_py.synth.klein import Klein
from sdcpp_py.synth.mmdit import MMDiT
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.qwen3 import Qwen3
from sdcpp_py.synth.qwen25_vl import Qwen25VL
from sdcpp_py.synth.qwen_image import QwenImage
from sdcpp_py.synth.recast import Recast
from sdcpp_py.synth.t5 import T5
from sdcpp_py.synth.taesd import TinyAutoencoder
from sdcpp_py.synth.unet import ControlNet, UNet
from sdcpp_py.synth.wan_vae import WanVAE
from sdcpp_py.synth.z_image import ZImage

_FLUX1 = {"hidden": 3072, "double": 19, "single": 38, "context": 4096}
_FLUX1_DEV = Flux1(**_FLUX1, guidance=True)
_KLEIN_4B = Klein(hidden=3072, double=5, single=20, context=3 * 2560)
_CLIP_L = Clip(hidden=768, layers=12, ffn=3072)
_CLIP_G = Clip(hidden=1280, layers=32, ffn=5120, projected=True)
_T5 = T5(hidden=4096, layers=24, ffn=10240)
_QWEN3_4B = Qwen3(hidden=2560, layers=36, ffn=9728, heads=32)
_QWEN3_8B = Qwen3(hidden=4096, layers=36, ffn=12288, heads=32, tied=False)
_QWEN25_VL = Qwen25VL(hidden=3584, layers=28, ffn=18944)
_SD1 = UNet(multipliers=(1, 2, 4, 4), depths=(1, 1, 1, 0), middle=1, context=768, linear_projections=False)
_SD2 = UNet(multipliers=(1, 2, 4, 4), depths=(1, 1, 1, 0), middle=1, context=1024)
_SDXL = UNet(multipliers=(1, 2, 4), depths=(0, 2, 10), middle=10, context=2048, vector=2816)
_SSD_1B = replace(_SDXL, depths=(0, 2, 4), middle=0, depths_up=((0, 0, 0), (2, 1, 1), (4, 4, 10)))
_SDXS_512 = replace(_SD1, multipliers=(1, 2, 4), depths=(0, 1, 1), middle=None, resnets=1)
_SD1_INPAINT = replace(_SD1, image=9)
_SD_VAE = Autoencoder(latent=4, channels=128, convention="sd", encoder="", decoder="", prefix="first_stage_model.")
_TAESD = TinyAutoencoder(latent=4, type="", prefix="first_stage_model.")
_SD1_CLIP = replace(_CLIP_L, prefix="cond_stage_model.transformer.")
_SD2_CLIP = OpenClip(hidden=1024, layers=24, ffn=4096, projected=True, prefix="cond_stage_model.")
_SDXL_CLIPS = (
    replace(_CLIP_L, prefix="conditioner.embedders.0.transformer."),
    OpenClip(hidden=1280, layers=32, ffn=5120, projected=True, prefix="conditioner.embedders.1."),
)

_DENOISERS = (
    ModelShape("klein-4b", _KLEIN_4B, "flux"),
    # Short ones are of full width, for devices on which the whole would take hours.
    ModelShape("klein-4b-short", Klein(hidden=3072, double=1, single=2, context=3 * 2560), "flux"),
    # Few blocks and wide ones, to time a machine with.
    ModelShape("probe-klein", Klein(hidden=1536, double=1, single=2, context=3 * 64), "flux"),
    ModelShape("klein-9b", Klein(hidden=4096, double=8, single=24, context=3 * 4096), "flux"),
    ModelShape("klein-9b-short", Klein(hidden=4096, double=1, single=2, context=3 * 4096), "flux"),
    ModelShape("flux2-dev", Klein(hidden=6144, double=8, single=48, context=3 * 5120, guidance=True), "flux"),
    ModelShape("z-image-turbo", ZImage(hidden=3840, layers=30, refiners=2, caption=2560), "lumina2"),
    ModelShape("z-image-turbo-short", ZImage(hidden=3840, layers=2, refiners=1, caption=2560), "lumina2"),
    ModelShape("flux1-dev", _FLUX1_DEV, "flux"),
    ModelShape("flux1-schnell", Flux1(**_FLUX1, guidance=False), "flux"),
    ModelShape("flux1-fill", Flux1(**_FLUX1, guidance=True, image=384), "flux"),
    ModelShape("chroma", Chroma(**_FLUX1), "flux"),
    ModelShape("sd3.5-medium", MMDiT(depth=24, self_attending=13), "sd3"),
    ModelShape("qwen-image", QwenImage(hidden=3072, layers=60, context=3584), "qwen_image"),
)
CHECKPOINTS = (
    ModelShape("sd1", Checkpoint(_SD1, _SD_VAE, (_SD1_CLIP,)), "sd1"),
    ModelShape("sd2", Checkpoint(_SD2, _SD_VAE, (_SD2_CLIP,)), "sd1"),
    ModelShape("sdxl", Checkpoint(_SDXL, _SD_VAE, _SDXL_CLIPS), "sdxl"),
    ModelShape("ssd-1b", Checkpoint(_SSD_1B, _SD_VAE, _SDXL_CLIPS), "sdxl"),
    ModelShape("sdxs-512", Checkpoint(_SDXS_512, _TAESD, (_SD1_CLIP,)), "sd1"),
)
_ENCODERS = (
    ModelShape("qwen3-4b", _QWEN3_4B, "qwen3", _QWEN3_4B.metadata),
    ModelShape("qwen3-8b", _QWEN3_8B, "qwen3", _QWEN3_8B.metadata),
    ModelShape("qwen2.5-vl-7b", _QWEN25_VL, "qwen2vl", _QWEN25_VL.metadata),
    ModelShape("clip-l", Recast(_CLIP_L, "F16")),
    ModelShape("clip-g", Recast(_CLIP_G, "F16")),
    ModelShape("t5xxl", _T5, "t5encoder"),
    ModelShape("t5xxl-fp16", Recast(replace(_T5, original=True, twice=True), "F16")),
)
_VAES = (
    ModelShape("flux2-vae", Autoencoder(latent=32, channels=128, convention="flux2")),
    ModelShape("flux2-vae-small-decoder", Autoencoder(latent=32, channels=96, convention="flux2")),
    ModelShape("probe-vae", Autoencoder(latent=32, channels=64, convention="flux2", encoder=None)),
    ModelShape("flux1-vae", Autoencoder(latent=16, channels=128, convention="flux1")),
    ModelShape("sd-vae", Autoencoder(latent=4, channels=128, convention="sd")),
    ModelShape("wan-vae", Recast(WanVAE(channels=96), "BF16")),
    ModelShape("taesd-4", TinyAutoencoder(latent=4)),
    ModelShape("taesd-16", TinyAutoencoder(latent=16)),
    ModelShape("taesd-32", TinyAutoencoder(latent=32, pooled=True)),
)
# Files that are recognised, and not all of them supported.
_OTHERS = (
    ModelShape("sd1-inpaint", Checkpoint(_SD1_INPAINT, _SD_VAE, (_SD1_CLIP,)), "sd1"),
    ModelShape("klein-4b-lora", Lora(_KLEIN_4B, rank=16)),
    ModelShape("sd1-controlnet", Recast(ControlNet(_SD1), "F16")),
    ModelShape("esrgan", Esrgan(blocks=23)),
    ModelShape("esrgan-anime", Esrgan(blocks=6)),
    ModelShape("flux1-dev-diffusers", Recast(DiffusersFlux1(_FLUX1_DEV), "BF16")),
    ModelShape("klein-4b-diffusers", Recast(DiffusersKlein(_KLEIN_4B), "BF16")),
    ModelShape("flux1-dev-fp8", Recast(_FLUX1_DEV, "F8_E4M3")),
)

SHAPES = (*_DENOISERS, *CHECKPOINTS, *_ENCODERS, *_VAES, *_OTHERS)
