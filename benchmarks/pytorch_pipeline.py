"""One picture by diffusers and PyTorch, with random weights of FLUX.2 Klein 4B's true shapes. Prints its times as JSON.

``pytorch.py`` runs it in an environment that has training/requirements.txt; it needs nothing of this library.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Transformer2DModel
from transformers import Qwen3Model

ROOT = Path(__file__).parent.parent
sys.path += [str(ROOT / "training"), str(ROOT)]

from tiny_model.qwen_tokenizer import qwen_tokenizer  # noqa: E402

from tests.reference.tiny_encoder import qwen3_config  # noqa: E402
from tests.reference.write_sigmas import klein_scheduler  # noqa: E402


def filled(make: Callable[[], torch.nn.Module], dtype: torch.dtype) -> torch.nn.Module:
    """A model with random weights, never in memory in another type: in float32 it would take twice the memory."""
    with torch.device("meta"):
        model = make()
    model = model.to(dtype).to_empty(device="cpu").eval().requires_grad_(False)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(-0.02, 0.02)
    return model


def encoder() -> Qwen3Model:
    """Qwen3-4B, without the head that the pipeline does not use."""
    return Qwen3Model(qwen3_config(hidden=2560, intermediate=9728, layers=36))


def transformer() -> Flux2Transformer2DModel:
    """Klein 4B's denoiser."""
    return Flux2Transformer2DModel(
        in_channels=128,
        num_layers=5,
        num_single_layers=20,
        attention_head_dim=128,
        num_attention_heads=24,
        joint_attention_dim=7680,
        mlp_ratio=3.0,
        axes_dims_rope=(32, 32, 32, 32),
        rope_theta=2000,
        guidance_embeds=False,
    )


def measure(size: int, steps: int, prompt: str, dtype: torch.dtype) -> dict[str, Any]:
    """Seconds by phase, and the most bytes that the process had in memory."""
    text_encoder = filled(encoder, dtype)
    for name, buffer in text_encoder.named_buffers():  # no file has them: they are computed where a model is made
        if name.endswith("inv_freq"):
            buffer.copy_(1.0 / 1_000_000.0 ** (torch.arange(0, 128, 2, dtype=torch.float32) / 128))
    pipeline = Flux2KleinPipeline(
        scheduler=klein_scheduler(),
        vae=filled(AutoencoderKLFlux2, dtype),
        text_encoder=text_encoder,
        tokenizer=qwen_tokenizer(),
        transformer=filled(transformer, dtype),
        is_distilled=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    latent = torch.zeros((1, 32, size // 8, size // 8), dtype=dtype)
    times: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        times[name] = time.perf_counter() - begin
        return result

    with torch.inference_mode():
        states, _ = timed("encode", lambda: pipeline.encode_prompt(prompt=prompt))
        draw = partial(pipeline, prompt_embeds=states, width=size, height=size, num_inference_steps=steps)
        timed("denoise", partial(draw, guidance_scale=1.0, output_type="latent"))
        timed("decode", lambda: pipeline.vae.decode(latent))
    times["step"] = times["denoise"] / steps
    times["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return times


def main() -> None:
    """Reads what to draw from the command line."""
    parser = argparse.ArgumentParser(description="Times one picture by diffusers and PyTorch.")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(measure(options.size, options.steps, options.prompt, getattr(torch, options.dtype))))


if __name__ == "__main__":
    main()
