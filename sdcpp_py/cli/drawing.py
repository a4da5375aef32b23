"""``sdcpp-py generate``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from sdcpp_py.cli.opening import harmless, open_model
from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import to_mask, to_pixels
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.images.writing import check_name, check_output
from sdcpp_py.settings import MAX_SEED, OPTIONS, GenerationSettings, random_seed
from sdcpp_py.settings.metadata import read_quietly

_DEFAULT_TILE = 256
_RANDOM_SEED = -1
_NUMBER = re.compile(r"%%|%\d{0,3}d")


def run(options: argparse.Namespace) -> None:
    """Draws the pictures and writes them. Raises SdcppError."""
    prompt = _prompt(options)
    if not 1 <= options.count <= 10_000:
        raise SettingsError(f"--count must be from 1 to 10000, not {options.count}")
    # Everything that can be known to be wrong is, before gigabytes are read.
    outputs = output_names(options.output, options.count)
    for output in outputs:
        check_name(output)
    check_output(outputs[0])
    pictures = _pictures(options)
    settings = _settings(options)
    whole = prompt if isinstance(prompt, GenerationSettings) else GenerationSettings(prompt)
    given = {name: value for name, value in settings.items() if value is not None}
    first = whole.replace(**given)
    if first.seed > MAX_SEED - options.count + 1:
        raise SettingsError(f"--seed plus --count must not be above {MAX_SEED}")
    with open_model(options) as generator:
        left = iter(outputs)

        def keep(picture: GeneratedImage) -> None:
            path = next(left)
            picture.save(path)
            _report(path, picture)

        generator.generate_batch(prompt, count=options.count, on_image=keep, **settings, **pictures)


def _prompt(options: argparse.Namespace) -> str | GenerationSettings:
    text = options.prompt if options.prompt is not None else options.prompt_option
    if options.settings_from is None:
        if text is None:
            raise SettingsError("there is no prompt; say what to draw, as in: sdcpp-py generate 'a red circle' ...")
        return str(text)
    metadata = read_quietly(options.settings_from)
    for problem in metadata.problems:
        print(f"sdcpp-py: {options.settings_from}: {harmless(problem)}", file=sys.stderr)
    settings = metadata.settings
    return settings if text is None else settings.replace(prompt=text)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings = {name: getattr(options, name) for name, option in OPTIONS.items() if option.flags}
    if settings["seed"] == _RANDOM_SEED:
        settings["seed"] = random_seed()
    if settings["vae_tile_size"] is None and options.vae_tiling:
        settings["vae_tile_size"] = _DEFAULT_TILE
    return settings


def _pictures(options: argparse.Namespace) -> dict[str, Any]:
    """The pictures that the options name, read. Raises ImageError, ImageNotFoundError."""
    references = options.references or []
    return {
        "image": None if options.image is None else to_pixels(options.image),
        "mask": None if options.mask is None else to_mask(options.mask),
        "reference_images": [to_pixels(file, "reference") for file in references] or None,
        "resize": options.resize,
    }


def output_names(output: str, count: int) -> list[Path]:
    """The files of so many pictures.

    Each %d in the file's name becomes the picture's number from 0, %03d with three digits, and %% a percent sign, as
    with sd-cli. Without one, the second picture is ``name_2.png``.

    Raises SettingsError where %d is in the name of a folder.
    """
    path = Path(output)
    if not path.name:  # of no file; what checks it says so
        return [path]
    if _is_numbered(path.name):
        return [path.with_name(_filled(path.name, number)) for number in range(count)]
    if _is_numbered(output):
        raise SettingsError(f"--output is {output!r}; %d numbers files, and not folders: put it into the file's name")
    return [path] + [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(2, count + 1)]


def _is_numbered(name: str) -> bool:
    return any(found != "%%" for found in _NUMBER.findall(name))


def _filled(name: str, number: int) -> str:
    return _NUMBER.sub(lambda found: "%" if found[0] == "%%" else found[0] % number, name)


def _report(path: Path, picture: GeneratedImage) -> None:
    seconds = picture.timings
    print(
        f"{path}: {picture.settings.width}x{picture.settings.height}, seed {picture.seed}, "
        f"{sum(seconds.values()):.1f} s (encode {seconds['encode']:.1f}, denoise {seconds['denoise']:.1f}, "
        f"decode {seconds['decode']:.1f})"
    )
