"""A forward pass of a U-Net by diffusers and PyTorch, with random weights of its true shapes. Prints its time as JSON.

``unets.py`` runs it in an environment that has training/requirements.txt; it needs nothing of this library.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from diffusers import UNet2DConditionModel

# What differs from the class's defaults, which are those of the first Stable Diffusion but for the width of the prompt.
SHAPES: dict[str, dict[str, Any]] = {
    "sd1": {"cross_attention_dim": 768},
    "sdxl": {
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


def main() -> None:
    """Reads what to compute from the command line."""
    parser = argparse.ArgumentParser(description="Times a U-Net of diffusers.")
    parser.add_argument("model", choices=SHAPES)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shape = SHAPES[options.model]
    unet = UNet2DConditionModel(**shape).eval().requires_grad_(False)
    latent = torch.randn(2, 4, options.size // 8, options.size // 8)
    states = torch.randn(2, 77, shape["cross_attention_dim"])
    added = {"text_embeds": torch.randn(2, 1280), "time_ids": torch.zeros(2, 6)} if options.model == "sdxl" else None
    seconds = []
    with torch.inference_mode():
        for _ in range(options.repeat):
            began = time.perf_counter()
            unet(latent, torch.tensor(500), states, added_cond_kwargs=added)
            seconds.append(time.perf_counter() - began)
    print(json.dumps({"step": min(seconds)}))


if __name__ == "__main__":
    main()
