"""Small sound files to begin fuzzing with: ``python -m tests.fuzz.seeds FOLDER`` writes some for each reader."""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path

import numpy as np

from sdcpp_py import EncodedPrompt, GenerationSettings
from sdcpp_py.models.catalogue import BUILT_IN
from sdcpp_py.settings.metadata import PictureMetadata, to_common_text, to_png_info


def gguf() -> bytes:
    """Two tensors, and metadata of several kinds, a list among them."""
    out = b"GGUF" + struct.pack("<IQQ", 3, 2, 4)
    for key, kind, value in (
        (b"general.architecture", 8, struct.pack("<Q", 4) + b"flux"),
        (b"general.alignment", 4, struct.pack("<I", 32)),
        (b"scale", 6, struct.pack("<f", 1.5)),
        (b"list", 9, struct.pack("<IQ", 5, 2) + bytes(8)),
    ):
        out += struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value
    for name, kind, extents, offset in ((b"a.weight", 0, (4, 2), 0), (b"b.weight", 8, (32, 1), 32)):
        out += struct.pack("<Q", len(name)) + name + struct.pack("<I2QIQ", 2, *extents, kind, offset)
    return out + bytes(-len(out) % 32) + bytes(96)


def safetensors() -> bytes:
    """Two tensors, and metadata."""
    header = {
        "__metadata__": {"format": "pt"},
        "a.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        "b.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [32, 40]},
    }
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(40)


def prompt(folder: Path) -> bytes:
    """A prompt embedding."""
    arrays = {"crossattn": np.zeros((2, 4), np.float32)}
    return EncodedPrompt("a cat", "flux2-klein", arrays).save(folder / "prompt.npz").read_bytes()


def picture() -> bytes:
    """A PNG that says what it was generated with."""
    from PIL import Image

    out = io.BytesIO()
    metadata = PictureMetadata(GenerationSettings("a cat", sampler="euler_a"))
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=to_png_info(metadata))
    return out.getvalue()


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Files by the reader that they are for. ``folder`` is for those that only a file can be made of."""
    entries = BUILT_IN.read_text("utf-8").split("\n\n[")
    return {
        "models": [gguf(), safetensors()],
        "prompts": [prompt(folder)],
        "catalogues": ["\n\n[".join((entries[0], entries[2], entries[-1])).encode()],
        "pictures": [picture()],
        "texts": [
            to_common_text(PictureMetadata(GenerationSettings("a cat"))).encode(),
            b'{"1": {"class_type": "KSampler"}}',
        ],
    }


def write_seeds(folder: Path) -> None:
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for reader, files in seeds(folder).items():
        (folder / reader).mkdir(exist_ok=True)
        for number, content in enumerate(files):
            (folder / reader / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
