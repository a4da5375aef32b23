"""Runs inside the Debian 13 root: draws with the model in the package, and says in a line of JSON what came of it.

draw_tiny.py DEVICE FILE.npy [SIZE [STEPS [ISOLATION]]]
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import time

import numpy as np

from sdcpp_py import Generator, devices
from sdcpp_py.errors import SdcppError
from sdcpp_py.pipeline.isolation import Isolation


def main(device: str, file: str, size: int = 64, steps: int = 2, isolation: Isolation = "thread") -> None:
    """Writes the picture's pixels to the file, and what the engine warns of to the standard error."""
    logging.basicConfig(level=logging.WARNING)
    began = time.monotonic()
    said: dict[str, object] = {
        "devices": [dataclasses.asdict(one) for one in devices()],
        "error": None,
    }
    try:
        # In a thread where counts are looked at, which are this process's.
        with Generator.from_pretrained("tiny", device=device, isolation=isolation) as generator:
            prompt = "a red circle on a blue background"
            picture = generator.generate(prompt, seed=1, width=size, height=size, steps=steps)
            np.save(file, np.asarray(picture))
            said |= {"device": generator.device, "timings": dict(picture.timings)}
            said["weight_bytes"] = sum(generator.weight_bytes.values())
            said["events"] = [event.kind for event in picture.events]
    except SdcppError as error:
        said |= {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(said | {"seconds": time.monotonic() - began}, default=str))


if __name__ == "__main__":
    device, file, *others = sys.argv[1:]
    main(device, file, *map(int, others[:2]), *others[2:])  # type: ignore[arg-type]
