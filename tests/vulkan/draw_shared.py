"""Runs inside the Debian 13 root: draws on a GPU, whose weights are imported, in all memory and in the least.

Beside it the CPU draws with the same weights, and alone with its own. A line of JSON says what came of it.

draw_shared.py FILE.npz
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from sdcpp_py import Generator
from sdcpp_py._native.library import device_usage

PICTURE: dict[str, Any] = {"seed": 1, "width": 64, "height": 64, "steps": 2}


def opened(device: str, memory: str | int) -> Generator:
    """In this process, whose bytes are counted."""
    return Generator.from_pretrained(
        "tiny", device=device, memory=memory, isolation="thread", fallback=False, cache_prompts=False
    )


def drawn(generator: Generator) -> np.ndarray[Any, Any]:
    """The picture's pixels."""
    return np.asarray(generator.generate("a red circle on a blue background", **PICTURE).image)


def main(file: str) -> None:
    """Writes the pixels of all pictures to the file."""
    with opened("vulkan0", "all") as generator:
        plan = generator.plan(width=64, height=64)
        whole = drawn(generator)
        said: dict[str, Any] = {
            "planned": sum(part.need.weights for part in plan.parts),
            "held": sum(generator.weight_bytes.values()),
            "on_gpu": device_usage("vulkan0").bytes,
        }
        with opened("cpu", "all") as beside:
            shared = drawn(beside)
            said |= {"shared": sum(beside.weight_bytes.values()), "on_cpu": device_usage("cpu").bytes}
        least = plan.least(("cpu", "vulkan0")) + (1 << 16)
    said["after"] = device_usage("vulkan0", reset=True).bytes
    with opened("vulkan0", least) as generator:
        streamed = drawn(generator)
        stays = [part.stay.value for part in generator.plan(width=64, height=64).parts]
    with opened("cpu", "all") as generator:
        alone = drawn(generator)
    said |= {"least": least, "most": device_usage("vulkan0").most_bytes, "stays": stays}
    np.savez(file, whole=whole, streamed=streamed, shared=shared, alone=alone)
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
