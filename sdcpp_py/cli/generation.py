"""``sdcpp-py generate``."""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any, TextIO

from sdcpp_py.cli.opening import open_model
from sdcpp_py.cli.outputs import Outputs
from sdcpp_py.cli.progress import watched
from sdcpp_py.cli.screen import harmless
from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import to_mask, to_pixels
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.pipeline.arguments import prompt_and_loras
from sdcpp_py.settings import MAX_SEED, OPTIONS, GenerationSettings, random_seed
from sdcpp_py.settings.applied_loras import untaken
from sdcpp_py.settings.domains import RANDOM_SEED
from sdcpp_py.settings.metadata import read_quietly
from sdcpp_py.system.deadline import Deadline

_DEFAULT_TILE = 256


def run(options: argparse.Namespace) -> None:
    """Generates the pictures and writes them. Raises SdcppError."""
    options.timeout = Deadline(options.timeout)  # of all that follows together
    prompt = _prompt(options)
    if not 1 <= options.count <= 10_000:
        raise SettingsError(f"--count must be from 1 to 10000, not {options.count}")
    # Everything that can be known to be wrong is, before gigabytes are read.
    outputs = Outputs(options.output, options.count, options.format, overwrite=options.overwrite)
    pictures = _pictures(options)
    settings = settings_given(options)
    if settings.get("seed") == RANDOM_SEED:
        settings["seed"] = random_seed()
    prompt, loras = prompt_and_loras(prompt, {"loras": options.loras, "lora_dir": options.lora_dir})
    for lora in loras:
        read_header(lora.path)
    whole = prompt if isinstance(prompt, GenerationSettings) else GenerationSettings(prompt)
    first = whole.replace(**settings)
    if first.seed > MAX_SEED - options.count + 1:
        raise SettingsError(f"--seed plus --count must not be above {MAX_SEED}")
    with watched(options, options.count) as watch, open_model(options, watch.listen) as generator:
        numbers = itertools.count()

        def keep(picture: GeneratedImage) -> None:
            place = outputs.write(picture, next(numbers))
            with watch.printing():
                _report(place, picture, sys.stderr if outputs.to_standard_output else sys.stdout)

        generator.generate_batch(
            prompt, count=options.count, overlap=options.overlap, on_image=keep, on_progress=watch.listen,
            timeout=options.timeout, loras=loras, **settings, **pictures,
        )  # fmt: skip


def _prompt(options: argparse.Namespace) -> str | GenerationSettings:
    text = options.prompt if options.prompt is not None else options.prompt_option
    if options.settings_from is None:
        if text is None:
            raise SettingsError("there is no prompt; say what to generate, as in: sdcpp-py generate 'a red circle' ...")
        return str(text)
    metadata = read_quietly(options.settings_from)
    given = options.loras is not None or options.lora_dir is not None
    for problem in (*metadata.problems, *(() if given else untaken(map(str, metadata.loras)))):
        print(f"sdcpp-py: {options.settings_from}: {harmless(problem)}", file=sys.stderr)
    settings = metadata.settings
    return settings if text is None else settings.replace(prompt=text)


def settings_given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the options say, by name; a seed of -1 still stands for a random one."""
    settings = {name: getattr(options, name) for name, option in OPTIONS.items() if option.flags}
    if settings["vae_tile_size"] is None and options.vae_tiling:
        settings["vae_tile_size"] = _DEFAULT_TILE
    return {name: value for name, value in settings.items() if value is not None}


def _pictures(options: argparse.Namespace) -> dict[str, Any]:
    """The pictures that the options name, read. Raises ImageError, ImageNotFoundError."""
    references = options.references or []
    return {
        "image": None if options.image is None else to_pixels(options.image),
        "mask": None if options.mask is None else to_mask(options.mask),
        "reference_images": [to_pixels(file, "reference") for file in references] or None,
        "resize": options.resize,
    }


def _report(place: str, picture: GeneratedImage, stream: TextIO) -> None:
    seconds = picture.timings
    print(
        f"{place}: {picture.settings.width}x{picture.settings.height}, seed {picture.seed}, "
        f"{sum(seconds.values()):.1f} s (encode {seconds['encode']:.1f}, denoise {seconds['denoise']:.1f}, "
        f"decode {seconds['decode']:.1f})",
        file=stream,
    )
