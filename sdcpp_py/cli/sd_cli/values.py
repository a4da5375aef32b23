"""Values as sd-cli writes them, in the words of ``generate``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any

from sdcpp_py.cli.sd_cli.option import Words
from sdcpp_py.errors import SettingsError
from sdcpp_py.settings import OPTIONS
from sdcpp_py.settings.sampler_names import find_sampler, find_scheduler

VIDEO = "only pictures are generated here, no video and no sound; go on with sd-cli for that"
CONVERT = (
    "files are not converted here; go on with sd-cli for that (its GGUF files are read here), or take a file of the "
    "type that you want (sdcpp-py models)"
)
UPSCALE = "pictures are not upscaled yet; generate at the size that you want (-W, -H), or go on with sd-cli"
DETAIL = "ADetailer is not supported; generate a part anew with --image and --mask"
INFO = "sdcpp-py info FILE shows what a picture was generated with"

_MODES = {"adetailer": DETAIL, "vid_gen": VIDEO, "convert": CONVERT, "upscale": UPSCALE, "metadata": INFO}
_PARTS = {
    **dict.fromkeys(
        ("te", "clip", "text", "textencoder", "textencoders", "conditioner", "cond", "llm"), "text_encoder"
    ),
    **dict.fromkeys(("t5", "t5xxl"), "text_encoder"),
    **dict.fromkeys(("diffusion", "model", "unet", "dit", "diffusionmodel"), "diffusion_model"),
    **dict.fromkeys(("vae", "firststage", "autoencoder", "tae"), "vae"),
}
_EVERYTHING = ("", "all", "default", "*")
_OTHER_BACKENDS = re.compile(r"(cuda|hip|rocm|musa|sycl|metal|mtl|opencl|gpuopencl|cann|webgpu|gpu)\d*", re.IGNORECASE)
_PIXELS_PER_CELL = 8
_DRAWN_ON = "auto"


def mode(value: str) -> Words:
    """``--mode``: generating pictures is what ``generate`` does."""
    if value == "img_gen":
        return []
    if value not in _MODES:
        raise SettingsError(f"there is no mode {value!r}; sd-cli's are img_gen, {', '.join(_MODES)}")
    raise SettingsError(_MODES[value])


def device(value: str) -> Words:
    """``--backend``: ``--device``, with the parts' names of here."""
    chosen: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in value.split(","))):
        module, equals, name = item.partition("=")
        if not equals:
            module, name = "", item
        plain = re.sub(r"[-_]", "", module.strip().lower())
        if plain in _EVERYTHING:
            chosen[""] = _device(name)
        elif plain in _PARTS:
            chosen[_PARTS[plain]] = _device(name)
        # Parts that no model here has (a ControlNet, an upscaler) compute nowhere.
    everything = chosen.pop("", _DRAWN_ON)
    if not chosen:
        return [("--device", everything)]
    if everything != _DRAWN_ON:
        chosen = {part: chosen.get(part, everything) for part in ("text_encoder", "diffusion_model", "vae")}
    return [("--device", ",".join(f"{part}={name}" for part, name in chosen.items()))]


def _device(name: str) -> str:
    name = name.strip()
    if "&" in name:
        raise SettingsError(f"a part computes on one device here, and not on {name}; name one for each part (--device)")
    if name.upper().startswith("RPC"):
        raise SettingsError(f"no other machine takes part here ({name}); --device names this one's devices")
    # CPU and Vulkan are built here; a GPU by the name of another backend is the one that auto finds.
    return _DRAWN_ON if _OTHER_BACKENDS.fullmatch(name) else name.lower()


def memory(value: str) -> Words:
    """``--max-vram``: ``--memory``, with a unit."""
    if "=" not in value:
        return [("--memory", _size(value))]
    sizes: dict[str, str] = {}
    for item in value.split(","):
        name, _, size = item.partition("=")
        where = _device(name)
        if where in sizes:
            raise SettingsError(f"one GPU is taken for all of {value}; give its size alone, as in --memory 6GiB")
        sizes[where] = _size(size)
    if list(sizes) == [_DRAWN_ON]:
        return [("--memory", sizes[_DRAWN_ON])]
    return [("--memory", ",".join(f"{name}={size}" for name, size in sizes.items()))]


def _size(value: str) -> str:
    try:
        amount = float(value)
    except ValueError:
        raise SettingsError(f"{value!r} is no number of GiB; give one, as in --memory 6GiB") from None
    if amount == 0:
        return "all"
    return "auto" if amount < 0 else f"{amount:g}GiB"


def tile(value: str) -> Words:
    """``--vae-tile-size`` as sd-cli means it: in cells of the latent, each 8 pixels wide."""
    try:
        return [("--vae-tile-size", str(tile_pixels(value if "x" in value else f"{value}x{value}")))]
    except argparse.ArgumentTypeError as error:
        raise SettingsError(str(error)) from None


def tile_pixels(value: str) -> int:
    """Pixels; of sd-cli's form 32x32, which counts cells of the latent. The smaller edge: tiles here are square."""
    across, both, down = value.lower().partition("x")
    if not both:
        return _whole(value, "give pixels, as in 256")
    if not across.isdecimal() or not down.isdecimal():
        raise argparse.ArgumentTypeError(f"{value!r} is no size of a tile; give pixels, as in 256")
    return min(int(across), int(down)) * _PIXELS_PER_CELL


def seed(value: str) -> Words:
    """``--seed``: any below 0 is a random one in sd-cli, and -1 here."""
    return [("--seed", "-1" if re.fullmatch(r"-\d+", value) else value)]


def threads(value: str) -> int | None:
    """Threads; below 0 is what is taken where none are given."""
    number = _whole(value, "give a whole number")
    return None if number < 0 else number


def clip_skip(value: str) -> int:
    """Layers; below 0 is the model's own."""
    return max(0, _whole(value, "give a whole number"))


def _whole(value: str, advice: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {value!r}; {advice}") from None


def sampler(value: str) -> str:
    """A sampler's name here; what is none is left for the settings to refuse."""
    return find_sampler(value) or value


def scheduler(value: str) -> str:
    """A scheduler's name here; what is none is left for the settings to refuse."""
    return find_scheduler(value) or value


_FORMS: Mapping[str, Callable[[str], Any]] = {
    "vae_tile_size": tile_pixels,
    "clip_skip": clip_skip,
    "sampler": sampler,
    "scheduler": scheduler,
}


def form_of(setting: str) -> Callable[[str], Any]:
    """What reads a setting's value on the command line: sd-cli's forms too, where it has others."""
    return _FORMS.get(setting, OPTIONS[setting].domain.kind)


def text_of(file: str) -> str:
    """The text of a file with a prompt."""
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{file} is no text in UTF-8; write it as such") from None
