"""Pictures of every family on a GPU beside the CPU's: a table of differences. Runs inside the Debian 13 root as well.

families.py DEVICE FOLDER QUANT [NAME...]

NAMEs are of ``sdcpp_py.synth.FAMILIES``, and without any they are all that are tiny; FOLDER keeps their files of
random weights, of type QUANT ("F16", "Q8_0" or "Q4_0"). Each is drawn by both, and on the device with sums in float32
where it would make them in float16 (``auto``), and as it comes (``fast``).

The CPU multiplies quantized weights by activations of eight bits, to which a GPU without products of bytes does not
round. Who is off where they differ is shown by a third picture, of the same weights stored in float32, for which the
CPU rounds nothing. Ends with an error where a picture of ``auto`` differs from that one by more than LIMIT grey levels
on average.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py import Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import FAMILIES, write_set
from sdcpp_py.synth.blocks import weight_chunks
from sdcpp_py.synth.catalogue import model_named
from sdcpp_py.synth.formats import write_gguf, write_safetensors
from sdcpp_py.synth.gguf_header import padding
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.tensors import BLOCKS, Layout, Tensor

Blocks = NDArray[np.uint8]

LIMIT = 0.2
PICTURE: dict[str, Any] = {"width": 128, "height": 128, "steps": 2, "seed": 1}


def _scales(blocks: Blocks) -> NDArray[Any]:
    scales: NDArray[Any] = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return scales


def _four_bits(blocks: Blocks) -> NDArray[Any]:
    halves = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return _scales(blocks) * (halves.astype(np.float32) - 8)


# Of blocks of a type, a row each, the numbers that they stand for.
_NUMBERS: Mapping[str, Callable[[Blocks], NDArray[Any]]] = {
    "F32": lambda blocks: blocks.view(np.float32),
    "F16": lambda blocks: blocks.view(np.float16).astype(np.float32),
    "BF16": lambda blocks: (blocks.view(np.uint16).astype(np.uint32) << 16).view(np.float32),
    "Q8_0": lambda blocks: _scales(blocks) * blocks[:, 2:].view(np.int8),
    "Q4_0": _four_bits,
}


@dataclass(frozen=True)
class _Widened:
    """A layout whose tensors are stored in float32; whole numbers stay."""

    layout: Layout
    quant: str

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing."""
        for tensor in self.layout.tensors(self.quant):
            yield tensor if tensor.type not in _NUMBERS else replace(tensor, type="F32")


def in_float32(family: str, folder: Path, quant: str, seed: int = 0) -> dict[str, Path]:
    """Writes a family's files into the folder; returns them by their roles.

    Args:
        family: of ``FAMILIES``.
        quant: F16, Q8_0 or Q4_0: the numbers are those of ``write_set(family, folder, quant=quant, seed=seed)``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {role: _written(model_named(name), folder, quant, seed) for role, name in FAMILIES[family].items()}


def _written(model: ModelShape, folder: Path, quant: str, seed: int) -> Path:
    wide = replace(model, layout=_Widened(model.layout, quant))
    path = folder / model.file_name(quant)
    write = write_gguf if model.architecture else write_safetensors
    # The header, and zeros to be overwritten.
    write(path, wide, "F32", None, lambda _: None)
    stored = {tensor.name: tensor for tensor in model.tensors(quant)}
    tensors = list(wide.tensors("F32"))
    if not model.architecture:
        tensors.sort(key=lambda tensor: -BLOCKS[tensor.type][1])
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size - wide.weight_bytes("F32"))
        for tensor in tensors:
            for chunk in weight_chunks(stored[tensor.name], seed):
                stream.write(_numbers(stored[tensor.name].type, chunk).tobytes())
            if model.architecture:
                stream.write(padding(tensor.nbytes))
    return path


def _numbers(type_: str, chunk: Blocks) -> NDArray[Any]:
    if type_ not in _NUMBERS:
        return chunk
    return _NUMBERS[type_](chunk.reshape(-1, BLOCKS[type_][1]))


def drawn(files: dict[str, Any], **how: Any) -> np.ndarray:
    """The pixels of one picture, as numbers that can be subtracted."""
    with Generator(**files, **how) as generator:
        if generator.device != how["device"]:
            sys.exit(f"drawn on {generator.device}, not on {how['device']}")
        return np.asarray(generator.generate("a red cat in the rain", **PICTURE)).astype(int)


def compare(name: str, folder: Path, device: str, quant: str) -> bool:
    """Prints the row of one family; whether it is within LIMIT."""
    files = arguments_of(write_set(name, folder / quant, quant=quant).files)
    wide = arguments_of(in_float32(name, folder / f"{quant} in F32", quant))
    exact, on_cpu = drawn(wide, device="cpu"), drawn(files, device="cpu")
    auto, fast = (drawn(files, device=device, precision=how) for how in ("auto", "fast"))
    pairs = ((on_cpu, exact), (auto, exact), (fast, exact), (auto, on_cpu))
    cells = (f"{off.mean():.3f}, {off.max()}" for off in (np.abs(one - other) for one, other in pairs))
    print(f"| {name} {quant} | {' | '.join(cells)} |", flush=True)
    return bool(np.abs(auto - exact).mean() <= LIMIT)


if __name__ == "__main__":
    place, where, weights, *names = sys.argv[1:]
    print("Grey levels: of pixels on average, and at the most.\n")
    print("| family | CPU from float32 | `auto` from float32 | `fast` from float32 | `auto` from CPU |")
    print("| --- | --- | --- | --- | --- |")
    tiny = [name for name in FAMILIES if name.startswith("tiny-")]
    right = [compare(name, Path(where), place, weights) for name in names or tiny]
    sys.exit(0 if all(right) else f"a picture differs by more than {LIMIT} grey levels on average")
