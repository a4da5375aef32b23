"""The two file formats: GGUF by its own package, which the ``synth`` extra brings, and safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sdcpp_py.synth.blocks import weight_chunks
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.tensors import BLOCKS

if TYPE_CHECKING:
    import gguf

_MISSING = "writing synthetic models needs the synth extra: pip install 'sdcpp_py[synth]'"
_DESCRIPTION = "Random weights in a real model's shape, for tests and timings. It has learnt nothing."

# llama.cpp's name of the mix where it is not MOSTLY_ and the type.
_FILE_TYPES = {"F32": "ALL_F32", "Q3_K": "MOSTLY_Q3_K_M", "Q4_K": "MOSTLY_Q4_K_M", "Q5_K": "MOSTLY_Q5_K_M"}

_SAFETENSORS_ALIGNMENT = 8


def write_gguf(path: Path, model: ModelShape, quant: str, seed: int | None, on_chunk: Callable[[int], None]) -> None:
    """Writes a GGUF file chunk by chunk, in a few megabytes of memory.

    Without a seed it is hollow: of its true size, with a true header and nothing behind it, which takes no disk.
    ``on_chunk`` is called with the size of each chunk, in bytes, once it is written.

    Raises:
        ImportError: the gguf package is missing.
        OSError: the file cannot be written.
    """
    try:
        import gguf
    except ImportError as error:
        raise ImportError(_MISSING) from error
    writer = gguf.GGUFWriter(path, model.architecture)
    try:
        _describe(writer, model, quant)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _stream(writer, model, quant, seed, on_chunk)
    finally:
        writer.close()


def _describe(writer: gguf.GGUFWriter, model: ModelShape, quant: str) -> None:
    import gguf

    writer.add_name(model.name)
    writer.add_description(_DESCRIPTION)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES.get(quant, f"MOSTLY_{quant}")])
    for key, value in model.metadata.items():
        if isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_float32(key, value)
    for tensor in model.tensors(quant):
        # With any numpy type but uint8 the shape is taken as it is, in elements rather than bytes.
        stored = gguf.GGMLQuantizationType[tensor.type]
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, stored)


def _stream(
    writer: gguf.GGUFWriter, model: ModelShape, quant: str, seed: int | None, on_chunk: Callable[[int], None]
) -> None:
    # The writer's own methods want each tensor whole; the largest here has 1.5 GB in F32.
    assert writer.fout is not None
    stream = writer.fout[0]
    writer.write_padding(stream, stream.tell())
    if seed is None:
        stream.truncate(stream.tell() + model.weight_bytes(quant))
        return
    for tensor in model.tensors(quant):
        for chunk in weight_chunks(tensor, seed):
            stream.write(chunk.data)
            on_chunk(chunk.nbytes)
        writer.write_padding(stream, tensor.nbytes)


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
