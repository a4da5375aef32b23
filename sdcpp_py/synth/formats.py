"""The two file formats, GGUF and safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sdcpp_py.synth.blocks import weight_chunks
from sdcpp_py.synth.gguf_header import gguf_header, padding
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.tensors import BLOCKS

_DESCRIPTION = "Random weights in a real model's shape, for tests and timings. It has learnt nothing."

# llama.cpp's number of the mix of types that a file is; Q3_K to Q5_K are their middle ones, Q4_K_M and so on.
_FILE_TYPES = {
    "F32": 0,
    "F16": 1,
    "BF16": 32,
    "Q8_0": 7,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q2_K": 10,
    "Q3_K": 12,
    "Q4_K": 15,
    "Q5_K": 17,
    "Q6_K": 18,
}
_QUANTIZATION_VERSION = 2  # of the layouts of blocks

_SAFETENSORS_ALIGNMENT = 8


def write_gguf(path: Path, model: ModelShape, quant: str, seed: int | None, on_chunk: Callable[[int], None]) -> None:
    """Writes a GGUF file chunk by chunk, in a few megabytes of memory.

    Without a seed it is hollow: of its true size, with a true header and nothing behind it, which takes no disk.
    ``on_chunk`` is called with the size of each chunk, in bytes, once it is written.

    Raises:
        OSError: the file cannot be written.
    """
    metadata = {
        "general.architecture": model.architecture,
        "general.name": model.name,
        "general.description": _DESCRIPTION,
        "general.quantization_version": _QUANTIZATION_VERSION,
        "general.file_type": _FILE_TYPES[quant],
        **model.metadata,
    }
    tensors = tuple(model.tensors(quant))
    with path.open("wb") as stream:
        stream.write(gguf_header(metadata, tensors))
        if seed is None:
            stream.truncate(stream.tell() + model.weight_bytes(quant))
            return
        for tensor in tensors:
            for chunk in weight_chunks(tensor, seed):
                stream.write(chunk.data)
                on_chunk(chunk.nbytes)
            stream.write(padding(tensor.nbytes))


def write_safetensors(
    path: Path, model: ModelShape, quant: str, seed: int | None, on_chunk: Callable[[int], None]
) -> None:
    """Writes a safetensors file chunk by chunk, in a few megabytes of memory. Without a seed, a hollow one.

    ``on_chunk`` is called with the size of each chunk, in bytes, once it is written.

    Raises:
        OSError: the file cannot be written.
    """
    # The format's own package needs all of a file in memory. It puts the largest types first, so that every number
    # begins at a multiple of its size.
    tensors = sorted(model.tensors(quant), key=lambda tensor: -BLOCKS[tensor.type][1])
    header: dict[str, object] = {"__metadata__": {"description": _DESCRIPTION}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.nbytes
        header[tensor.name] = {"dtype": tensor.type, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAFETENSORS_ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        if seed is None:
            stream.truncate(stream.tell() + end)
            return
        for tensor in tensors:
            for chunk in weight_chunks(tensor, seed):
                stream.write(chunk.data)
                on_chunk(chunk.nbytes)
