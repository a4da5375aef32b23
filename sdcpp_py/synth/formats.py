"""The two file formats, each written by its own package, which the ``synth`` extra brings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sdcpp_py.synth.blocks import weight_chunks
from sdcpp_py.synth.models import ModelShape

if TYPE_CHECKING:
    import gguf

_MISSING = "writing synthetic models needs the synth extra: pip install 'sdcpp_py[synth]'"
_DESCRIPTION = "Random weights in a real model's shape, for tests and timings. It has learnt nothing."

# llama.cpp's name of the mix where it is not MOSTLY_ and the type.
_FILE_TYPES = {"F32": "ALL_F32", "Q3_K": "MOSTLY_Q3_K_M", "Q4_K": "MOSTLY_Q4_K_M", "Q5_K": "MOSTLY_Q5_K_M"}

_NUMPY_TYPES = {"F32": np.float32, "I64": np.int64}


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
    """Writes a safetensors file, holding all of it in memory: 336 MB for the largest VAE. Without a seed, a hollow one.

    ``on_chunk`` is called with the size of each chunk, in bytes, once it is drawn; the file is written at the end.

    Raises:
        ImportError: the safetensors package is missing.
        OSError: the file cannot be written.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise ImportError(_MISSING) from error
    if seed is None:
        _write_hollow(path, model, quant)
        return
    arrays = {}
    for tensor in model.tensors(quant):
        data, end = np.empty(tensor.nbytes, np.uint8), 0
        for chunk in weight_chunks(tensor, seed):
            data[end : end + chunk.nbytes] = chunk
            end += chunk.nbytes
            on_chunk(chunk.nbytes)
        arrays[tensor.name] = data.view(_NUMPY_TYPES[tensor.type]).reshape(tensor.shape)
    # safetensors makes files that their owner alone may read, whatever the umask says.
    path.touch()
    mode = path.stat().st_mode
    # One key alone: safetensors writes several in an order that differs from run to run.
    save_file(arrays, path, {"description": _DESCRIPTION})
    path.chmod(mode)


def _write_hollow(path: Path, model: ModelShape, quant: str) -> None:
    header, end = {}, 0
    for tensor in model.tensors(quant):
        begin, end = end, end + tensor.nbytes
        header[tensor.name] = {"dtype": tensor.type, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(stream.tell() + end)
