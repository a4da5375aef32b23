"""Times the CPU kernels by themselves, beside a matrix product of numpy's in the same run.

    python benchmarks/kernels.py [--tokens 768] [--inputs 3072] [--outputs 1024] [--repeat 20] [--record FILE.md]

Everything runs on one thread; ggml's own products are timed by themselves too. numpy's product of float32 matrices
comes close to what the CPU's multiply-add units can do, so it stands for the machine's limit: the shares in the table
mean the same on a machine that is faster, or busier. Products are by lock, round after round; the best round counts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np
from full_size import record, section
from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, lib, start
from sdcpp_py._native.operations import Operation, StoredWeights, compute

LEVELS = ("avx2", "avx_vnni", "avx512", "avx512_vnni")
FLOATS = ("F32", "F16", "BF16")
TYPES = (*FLOATS, "IQ4_NL", "IQ4_XS", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
CONVOLUTION = (256, 64, 64, 256)  # channels, height, width, out channels: of the VAE's middle


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The least seconds of each piece of work."""
    return {name: min(one[name] for one in rounds) for name in rounds[0]}


def stored_numbers(name: str, matrix: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint8]:
    """Rows of weights of a type: random bytes, whose values do not change the work, but for floats.

    Of these many would be no numbers, or such small ones as some CPUs multiply slowly.
    """
    import gguf

    type_ = gguf.GGMLQuantizationType[name]
    if name in FLOATS:
        return gguf.quants.quantize(matrix, type_).view(np.uint8).reshape(len(matrix), -1)
    weights, length = gguf.GGML_QUANT_SIZES[type_]
    return random.integers(0, 64, (len(matrix), matrix.shape[1] // weights * length), np.uint8)


def works(tokens: int, inputs: int, outputs: int) -> dict[str, tuple[Callable[[], Any], float]]:
    """What is timed, by name, and how many operations it is."""
    import gguf

    random = np.random.default_rng(0)
    activations = random.standard_normal((tokens, inputs), dtype=np.float32)
    matrix = random.standard_normal((outputs, inputs), dtype=np.float32)
    out = np.empty((tokens, outputs), np.float32)
    failure = ffi.new("sdpy_failure *")
    found: dict[str, tuple[Callable[[], Any], float]] = {
        "float32, numpy": (lambda: np.matmul(activations, matrix.T, out=out), 2.0 * tokens * inputs * outputs)
    }
    channels, height, width, out_channels = CONVOLUTION
    numbers = {name: stored_numbers(name, matrix, random) for name in TYPES}
    picture = random.standard_normal((channels, height, width), dtype=np.float32)
    taps = random.standard_normal((out_channels, channels, 3, 3)).astype(np.float16)
    convolved = np.empty((out_channels, height, width), np.float32)

    def pointer(kind: str, array: Any) -> Any:
        return ffi.cast(kind, ffi.from_buffer(array))

    for name in TYPES:
        type_ = gguf.GGMLQuantizationType[name]
        stored = StoredWeights(int(type_), matrix.shape, numbers[name].reshape(-1))

        def multiply_by_ggml(stored: StoredWeights = stored) -> float:
            return compute(Operation.MULTIPLY, activations, stored).seconds

        found[f"{name}, ggml"] = (multiply_by_ggml, 2.0 * tokens * inputs * outputs)

    for level in (level for level in LEVELS if lib.sdpy_kernels_run(level.encode())):
        for name in TYPES:
            type_, blocks = gguf.GGMLQuantizationType[name], numbers[name]
            arguments = (pointer("void *", blocks), pointer("float *", activations), pointer("float *", out))

            def multiply(
                level: str = level, type_: int = int(type_), arguments: Any = arguments, keep: Any = blocks
            ) -> None:
                assert keep is not None
                assert not lib.sdpy_multiply(
                    level.encode(), type_, *arguments, inputs, outputs, tokens, 1, ffi.NULL, ffi.NULL, 0, failure
                )

            found[f"{name}, {level}"] = (multiply, 2.0 * tokens * inputs * outputs)

        def convolve(level: str = level) -> None:
            arrays = (pointer("float *", picture), pointer("uint16_t *", taps), pointer("float *", convolved))
            assert not lib.sdpy_convolve(level.encode(), *arrays, *CONVOLUTION, 3, 1, failure)

        if "vnni" not in level:
            found[f"3x3 convolution, {level}"] = (convolve, 2.0 * 9 * channels * height * width * out_channels)
    return found


def main() -> None:
    """Times all of it and prints, and where wanted records, the table."""
    parser = argparse.ArgumentParser(description="Times the CPU kernels by themselves.")
    parser.add_argument("--tokens", type=int, default=768)
    parser.add_argument("--inputs", type=int, default=3072)
    parser.add_argument("--outputs", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")
    options = parser.parse_args()
    start()
    work = works(options.tokens, options.inputs, options.outputs)
    rounds = []
    for _ in range(options.repeat):
        seconds = {}
        for name, (run, _operations) in work.items():
            begin = time.perf_counter()
            told = run()
            seconds[name] = told if isinstance(told, float) else time.perf_counter() - begin
        rounds.append(seconds)
    speeds = {name: work[name][1] / seconds / 1e9 for name, seconds in best(rounds).items()}
    yardstick = speeds["float32, numpy"]
    lines = ["| work | billion operations a second | to numpy's float32 |", "| --- | --- | --- |"]
    lines += [f"| {name} | {speed:.0f} | {speed / yardstick:.2f} |" for name, speed in speeds.items()]
    text = "\n".join(lines)
    print(text)
    if options.record:
        sizes = f"--tokens {options.tokens} --inputs {options.inputs} --outputs {options.outputs}"
        record(section(text, f"python benchmarks/kernels.py {sizes} --repeat {options.repeat}"), options.record)


if __name__ == "__main__":
    main()
