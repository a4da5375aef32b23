"""LoRAs that a prompt names, as sd-cli and AUTOMATIC1111's web UI have it: ``a cat <lora:ink:0.8>``."""

from __future__ import annotations

import difflib
import re
from pathlib import Path, PureWindowsPath

from sdcpp_py.errors import SettingsError
from sdcpp_py.models.folders.walking import walk
from sdcpp_py.models.local_paths import is_file, is_folder
from sdcpp_py.models.loras import Lora
from sdcpp_py.naming import excerpt, named
from sdcpp_py.system.paths import StrPath, absolute

ENDINGS = (".safetensors", ".sft")
_MENTION = re.compile(r"[ \t]*<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SHOWN = 3
# A prompt may hold megabytes where a name belongs.
_LONGEST_NAME = 200


def loras_in_prompt(prompt: str, folder: StrPath) -> tuple[str, tuple[Lora, ...]]:
    """Takes the LoRAs out of a prompt that it names as ``<lora:NAME:WEIGHT>`` or ``<lora:NAME>``, which is of weight 1.

    Args:
        prompt: the text. Without a LoRA in it, it comes back as it is; else without spaces before each, and at its
            ends.
        folder: where the files are. A name is a file in it, with or without the ending, or ``sub/name`` below it.

    Returns:
        the prompt without them, and the LoRAs in their order; of one that is named twice, the weights' sum.

    Raises SettingsError where there is no such folder or file, a name leads out of the folder (a symbolic link in it
    may), or a weight is no number from -100 to 100.
    """
    root = absolute(folder)
    if not is_folder(root):
        raise SettingsError(f"{named('lora_dir')} must be a folder of LoRAs, and there is no folder {root}")
    weights: dict[Path, float] = {}
    for mention in _MENTION.finditer(prompt):
        name, weight = _name_and_weight(mention)
        file = _file_of(name, root)
        weights[file] = weights.get(file, 0.0) + weight
    if not weights:
        return prompt, ()
    return _MENTION.sub("", prompt).strip(), tuple(Lora(file, weight) for file, weight in weights.items())


def _name_and_weight(mention: re.Match[str]) -> tuple[str, float]:
    name, *weights = (part.strip() for part in mention[1].split(":"))
    if not name or len(weights) > 1 or not all(_NUMBER.fullmatch(weight) for weight in weights):
        raise SettingsError(
            f"{excerpt(mention[0].strip())} in the prompt is no LoRA with one weight; write it as <lora:name:0.8>"
        )
    return name, float(weights[0]) if weights else 1.0


def _file_of(name: str, root: Path) -> Path:
    """The file that a name means. Raises SettingsError."""
    inside = PureWindowsPath(name)  # which takes "/" and "\" for what they are meant to be
    if inside.anchor or ".." in inside.parts:
        raise SettingsError(
            f"the LoRA {excerpt(name)} in the prompt is outside of {root}; a prompt names files in it, as sub/name at "
            f"most: give others by {named('loras')}"
        )
    below = inside.as_posix()
    whole = [below] if below.lower().endswith(ENDINGS) else []
    for candidate in (*whole, *(below + ending for ending in ENDINGS)):
        if is_file(root / candidate):
            return root / candidate
    raise SettingsError(f"the prompt names the LoRA {excerpt(name)}, which is not in {root}{_near(below, root)}")


def _near(name: str, root: Path) -> str:
    """The end of the sentence: names of files there that are most like this one."""
    there = [str(Path(file.name).with_suffix("").as_posix()) for file in walk(root).files if _is_lora(file.name)]
    if not there:
        return "; it has no file in safetensors"
    spellings: dict[str, str] = {}
    for one in there:
        for spelling in (one.lower(), one.lower().rpartition("/")[2]):
            spellings.setdefault(spelling, one)
    wanted = name[:_LONGEST_NAME].lower()
    close = [
        spellings[match]
        for spelling in dict.fromkeys((wanted, wanted.rpartition("/")[2]))
        for match in difflib.get_close_matches(spelling, spellings, n=_SHOWN)
    ]
    shown = ", ".join(map(repr, list(dict.fromkeys(close or there))[:_SHOWN]))
    return f"; did you mean {shown}?" if close else f"; it has {shown}{', ...' if len(there) > _SHOWN else ''}"


def _is_lora(name: str) -> bool:
    return name.lower().endswith(ENDINGS)
