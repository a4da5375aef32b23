"""Small random autoencoders: of each only the decoder is exported, in the naming of the original checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2
from safetensors.torch import save_file
from tiny_model.qwen_tokenizer import engine_source

from .random_weights import randomise

WIDTHS = (32, 64, 128, 128)
_BLOCKS = len(WIDTHS)
_DOWN = ("DownEncoderBlock2D",) * _BLOCKS
_UP = ("UpDecoderBlock2D",) * _BLOCKS
_RENAMED = (
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_", "mid.attn_1."),
    (r"up_blocks\.(\d)\.resnets", lambda match: f"up.{_BLOCKS - 1 - int(match[1])}.block"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda match: f"up.{_BLOCKS - 1 - int(match[1])}.upsample"),
)


def tiny_flux2_vae(seed: int) -> AutoencoderKLFlux2:
    """FLUX.2's autoencoder, narrow, with the latent statistics that the engine takes for granted."""
    vae = AutoencoderKLFlux2(
        down_block_types=_DOWN, up_block_types=_UP, block_out_channels=WIDTHS, latent_channels=32, norm_num_groups=32
    )
    randomise(vae, seed)
    mean, deviation = _built_in_statistics()
    vae.bn.running_mean.copy_(mean)
    vae.bn.running_var.copy_(deviation**2 - vae.config.batch_norm_eps)
    return vae


def tiny_flux_vae(seed: int) -> AutoencoderKL:
    """The autoencoder of FLUX.1 and Z-Image, narrow."""
    vae = AutoencoderKL(
        down_block_types=_DOWN,
        up_block_types=_UP,
        block_out_channels=WIDTHS,
        layers_per_block=2,
        latent_channels=16,
        norm_num_groups=32,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    randomise(vae, seed)
    return vae


def export_decoder(vae: AutoencoderKL | AutoencoderKLFlux2, path: Path) -> None:
    """Writes the decoder's half of the autoencoder."""
    tensors = {}
    for name, tensor in vae.state_dict().items():
        if not name.startswith(("decoder.", "post_quant_conv.")):
            continue
        is_attention_matrix = ".attentions." in name and tensor.ndim == 2
        # The originals have 1x1 convolutions where diffusers has matrices.
        tensors[_original_name(name)] = tensor[:, :, None, None].contiguous() if is_attention_matrix else tensor
    save_file(tensors, path)


def _original_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _built_in_statistics() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of FLUX.2's latents, which the engine carries instead of reading the file's."""
    source = (engine_source() / "src" / "auto_encoder_kl.hpp").read_text(encoding="utf-8")
    tables = re.findall(r"(?:mean|std)_tensor\s*=\s*sd::Tensor<float>::from_vector\(\{([^}]*)\}\)", source)
    mean, deviation = ([float(number) for number in re.findall(r"(-?\d+\.\d+)f", table)] for table in tables)
    if len(mean) != 128 or len(deviation) != 128:
        raise ValueError("the latent statistics are not where they were in the engine's source")
    return torch.tensor(mean), torch.tensor(deviation)
