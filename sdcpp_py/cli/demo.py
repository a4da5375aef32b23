"""``sdcpp-py demo``: a contact sheet of what the model in the package draws."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sdcpp_py.cli.opening import open_named
from sdcpp_py.cli.progress import watched
from sdcpp_py.images.writing import check_output, write_image
from sdcpp_py.models.bundled import TINY
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.paths import absolute

PROMPTS = (
    "a red circle on a white background",
    "a small blue triangle left of a large yellow square on a black background",
    "an orange star in the top left corner, gray background",
    "a big pink cross above a little green circle on a purple background",
    "a white diamond on a blue background",
    "a yellow star right of a red cross on a black background",
    "one huge green triangle on an orange background",
    "a small black square below a large white circle on a pink background",
)
_COLUMNS = 4
_GAP = 12
_LINES = 4
_LINE_HEIGHT = 14


def run(options: argparse.Namespace) -> None:
    """Generates the pictures and writes the sheet. Raises SdcppError."""
    output = Path(options.output)
    check_output(output)
    options.timeout = Deadline(options.timeout)  # of all pictures together
    began = time.monotonic()
    with watched(options, len(PROMPTS)) as watch, open_named(TINY, options, watch.listen) as generator:
        pictures = [
            generator.generate(
                prompt, seed=options.seed + number, timeout=options.timeout, on_progress=watch.of_picture(number)
            ).image
            for number, prompt in enumerate(PROMPTS)
        ]
    written = write_image(contact_sheet(pictures, PROMPTS), absolute(output), overwrite=options.overwrite)
    print(f"{output.with_name(written.name)}: {len(pictures)} pictures, {time.monotonic() - began:.1f} s")


def contact_sheet(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Pictures of one size in rows, each above its caption."""
    width, height = pictures[0].size
    cell_width, cell_height = width + _GAP, height + _LINES * _LINE_HEIGHT + _GAP
    rows = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * cell_width + _GAP, rows * cell_height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = _GAP + number % _COLUMNS * cell_width
        top = _GAP + number // _COLUMNS * cell_height
        sheet.paste(picture, (left, top))
        draw.rectangle((left - 1, top - 1, left + width, top + height), outline=(200, 200, 200))
        for line, text in enumerate(_wrapped(caption, font, width)):
            draw.text((left, top + height + 4 + line * _LINE_HEIGHT), text, fill=(60, 60, 60), font=font)
    return sheet


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The text in lines no wider than ``width`` pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines[:_LINES]
