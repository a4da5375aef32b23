"""Generates pictures of one prompt with two models that share a text encoder, in 6 GiB of memory.

    python examples/two_models.py FOLDER

FOLDER holds the files that the README names. The text encoder is read once, and the second model finds it in memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sdcpp_py import Generator, TextEncoder

MODELS = {
    "z-image-turbo": ("z_image_turbo-Q4_K.gguf", "ae.safetensors"),
    "klein": ("flux-2-klein-4b-Q4_0.gguf", "flux2-vae.safetensors"),
}


def main() -> None:
    """Generates both pictures into the current folder."""
    folder = Path(sys.argv[1])
    with TextEncoder(folder / "Qwen3-4B-Q4_K_M.gguf") as encoder:
        for name, (denoiser, vae) in MODELS.items():
            with Generator(folder / denoiser, encoder, folder / vae, memory="6GiB", progress_bar=True) as generator:
                generator.generate("a lovely cat on a windowsill", seed=42).save(f"{name}.png")


if __name__ == "__main__":
    main()
