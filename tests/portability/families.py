"""Pictures of every family on a GPU beside the CPU's: a table of differences. Runs inside the Debian 13 root as well.

families.py DEVICE FOLDER QUANT [NAME...]

NAMEs are of ``sdcpp_py.synth.FAMILIES``, and without any they are all that are tiny; FOLDER keeps their files of
random weights, of type QUANT. Each is drawn by both, and on the device with sums in float32 where it would make them
in float16 (``auto``), and as it comes (``fast``). Ends with an error where a picture of ``auto`` differs by more than
LIMIT grey levels on average.

The CPU multiplies quantized weights by activations of eight bits, which a GPU does not round: with F16 the difference
is the GPU's, with Q8_0 most of it is the CPU's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from sdcpp_py import Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import FAMILIES, write_set

LIMIT = 0.2
PICTURE: dict[str, Any] = {"width": 128, "height": 128, "steps": 2, "seed": 1}


def drawn(files: dict[str, Any], **how: Any) -> np.ndarray:
    """The pixels of one picture, as numbers that can be subtracted."""
    with Generator(**files, **how) as generator:
        if generator.device != how["device"]:
            sys.exit(f"drawn on {generator.device}, not on {how['device']}")
        return np.asarray(generator.generate("a red cat in the rain", **PICTURE)).astype(int)


def compare(name: str, folder: Path, device: str, quant: str) -> bool:
    """Prints the row of one family; whether it is within LIMIT."""
    files = arguments_of(write_set(name, folder, quant=quant).files)
    expected = drawn(files, device="cpu")
    off = {how: np.abs(drawn(files, device=device, precision=how) - expected) for how in ("auto", "fast")}
    cells = [f"{found.mean():.3f} | {found.max()}" for found in off.values()]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return bool(off["auto"].mean() <= LIMIT)


if __name__ == "__main__":
    place, where, weights, *names = sys.argv[1:]
    print("| family | `auto`: mean | most | `fast`: mean | most |\n| --- | --- | --- | --- | --- |")
    tiny = [name for name in FAMILIES if name.startswith("tiny-")]
    right = [compare(name, Path(where), place, weights) for name in names or tiny]
    sys.exit(0 if all(right) else f"a picture differs by more than {LIMIT} grey levels on average")
