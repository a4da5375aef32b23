"""``sdcpp-py info``."""

from __future__ import annotations

import argparse

from sdcpp_py.settings.metadata import read_png, to_json


def run(options: argparse.Namespace) -> None:
    """Prints what a picture was drawn with. Raises MetadataError."""
    metadata = read_png(options.file)
    if options.json:
        print(to_json(metadata))
        return
    for name, value in metadata.settings.as_dict().items():
        if value != "":
            print(f"{name:<16} {value}")
    for name, text in metadata.model.items():
        print(f"{name:<16} {text}")
    if metadata.timings:
        print(f"{'seconds':<16} " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in metadata.timings.items()))
    if metadata.software:
        print(f"{'drawn by':<16} {metadata.software}" + (f", engine {metadata.engine}" if metadata.engine else ""))
