"""Runs inside the Debian 13 root: draws with a model of full width and few blocks, without weights or text encoder.

draw_wide.py DEVICE FAMILY SIZE

FAMILY is of ``sdcpp_py.synth.FAMILIES``: "klein-4b-short".

For a machine that does not compute (SDCPP_RIG_SET="computes=no"): all that counts is what is asked of it. Says in a
line of JSON what came of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from sdcpp_py import EncodedPrompt, Generator
from sdcpp_py._native.library import device_usage
from sdcpp_py.errors import SdcppError
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_hollow_set

TOKENS = 512


def main(device: str, family: str, size: int) -> None:
    """Draws one step."""
    devices = {"text_encoder": "cpu", "diffusion_model": device, "vae": device}
    said: dict[str, object] = {"error": None}
    with tempfile.TemporaryDirectory() as folder:
        files = arguments_of(write_hollow_set(family, Path(folder)).files)
        try:
            # In this process, which is the one whose counts and bytes are looked at.
            with Generator(**files, device=devices, isolation="thread") as generator:
                states = np.ones((TOKENS, generator.files.context_width), np.float32)
                prompt = EncodedPrompt("nothing", generator.family.name, {"crossattn": states})
                plan = generator.plan(width=size, height=size, prompt=prompt)
                picture = generator.generate(prompt, width=size, height=size, steps=1, seed=1)
                said |= {
                    "planned": plan.peak(device),
                    "allocated": device_usage(device).most_bytes,
                    "longest": device_usage(device).longest_submission,
                    "tiles": picture.settings.vae_tile_size,
                    "timings": dict(picture.timings),
                    "stays": {part.need.name: part.stay.value for part in plan.parts},
                    "vae_buffer": plan.part("vae").need.working,
                }
        except SdcppError as error:
            said |= {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
