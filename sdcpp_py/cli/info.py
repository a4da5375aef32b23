"""``sdcpp-py info``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sdcpp_py.cli.opening import harmless
from sdcpp_py.image_files.png_chunks import Texts
from sdcpp_py.settings.metadata import PictureMetadata, read_all, to_json
from sdcpp_py.settings.png_text import COMMON, OURS

# Node editors write workflows of hundreds of thousands of characters.
_SHOWN = 2000


def run(options: argparse.Namespace) -> None:
    """Prints all that a picture says of itself. Raises MetadataError where it says nothing."""
    metadata, texts, problem = read_all(options.file)
    if options.json:
        print(json.dumps(_plain(metadata, texts, problem)))
        return
    if metadata is not None:
        _show(metadata)
    for sentence in metadata.problems if metadata is not None else (problem,):
        print(f"{'not usable here':<16} {harmless(sentence)}")
    # What was just shown need not be shown again.
    whole = metadata is not None and not metadata.problems and OURS in texts.by_name
    software = metadata.software if metadata is not None else ""
    for name, text in texts.by_name.items():
        if not whole or (name not in (OURS, COMMON) and text != software):
            shown = text[:_SHOWN] + (" ..." if len(text) > _SHOWN else "")
            print(f"\n{harmless(name)}, {len(text):,} characters:\n{harmless(shown)}")
    for name, why in texts.unread.items():
        print(f"\n{harmless(name)}: {why}")


def _show(metadata: PictureMetadata) -> None:
    for name, value in {**metadata.settings.as_dict(), **metadata.extra_settings, **metadata.extra}.items():
        if value != "":
            print(f"{harmless(name):<16} {harmless(value)}")
    for name, text in metadata.model.items():
        print(f"{harmless(name):<16} {harmless(text)}")
    if metadata.timings:
        seconds = ", ".join(f"{name} {seconds:.1f}" for name, seconds in metadata.timings.items())
        print(f"{'seconds':<16} {harmless(seconds)}")
    if metadata.software:
        engine = f", engine {metadata.engine}" if metadata.engine else ""
        print(f"{'drawn by':<16} {harmless(metadata.software + engine)}")


def _plain(metadata: PictureMetadata | None, texts: Texts, problem: str) -> dict[str, Any]:
    """What JSON shows: our own fields, with every setting, and the texts as they are."""
    plain: dict[str, Any] = {} if metadata is None else json.loads(to_json(metadata))
    if metadata is not None:
        plain["settings"] = {**metadata.extra_settings, **metadata.settings.as_dict()}
    plain["problems"] = [problem] if metadata is None else list(metadata.problems)
    plain["texts"], plain["unread"] = texts.by_name, texts.unread
    return plain
