"""Reading what pictures say of themselves, as plain values: our own exact text, or those of other programs.

``parameters`` is the text that AUTOMATIC1111's web UI made common. ``sdcpp_py`` is JSON of ours; reading prefers it,
because in the other text a prompt that contains "Negative prompt:" cannot be told from a prompt followed by one. After
these come the records of programs that have forms of their own (``foreign/``).
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import IO

from sdcpp_py.errors import ImageError, ImageNotFoundError, MetadataError, MetadataNotFoundError, MetadataWarning
from sdcpp_py.image_files import read_texts
from sdcpp_py.image_files.exif import COMMENT_NAME, OWN_NAME
from sdcpp_py.image_files.png_chunks import Texts
from sdcpp_py.settings import OPTIONS, foreign
from sdcpp_py.settings.applied_loras import AppliedLora, names_in_hashes, without_mentions
from sdcpp_py.settings.record import Record
from sdcpp_py.system.paths import StrPath

OURS, COMMON = OWN_NAME, COMMENT_NAME
FORMAT = 1
PictureFile = StrPath | IO[bytes]
"""A picture's path, or a binary file of it, open at any place."""
# A picture may hold megabytes where a number belongs.
_LONGEST_WARNING = 4000


def shown_name(file: object) -> str:
    """What messages call a picture."""
    return str(file) if isinstance(file, (str, os.PathLike)) else "the picture"


def picture_texts(file: PictureFile) -> Texts:
    """All texts in a picture.

    Raises:
        MetadataError: it is no picture.
        MetadataNotFoundError: there is no such file.
    """
    try:
        return read_texts(file)
    except ImageNotFoundError as error:
        raise MetadataNotFoundError(f"there is no file {shown_name(file)}") from error
    except ImageError as error:
        raise MetadataError(str(error)) from error


def read_record(file: PictureFile) -> Record:
    """What a picture file says of itself. Raises as ``picture_texts`` and ``record_of`` do."""
    return record_of(picture_texts(file), shown_name(file))


def record_of(texts: Texts, name: str) -> Record:
    """What a picture's texts say of it.

    Where our own text is damaged, or of a later format, the common one is taken.

    Raises MetadataError where there is no text that can be read.
    """
    problems = [f"the text {text!r} cannot be read: {why}" for text, why in texts.unread.items()]
    failures = []
    for text, reader in _READERS:
        if text in texts.by_name:
            try:
                record = reader(texts.by_name)
            except MetadataError as error:
                failures.append(str(error))
                problems.append(str(error))
            else:
                if record is not None:
                    record.problems[:0] = problems
                    return record
    if failures:
        raise MetadataError("; ".join(failures))
    others = ", ".join(repr(text) for text in (*texts.by_name, *texts.unread))
    hint = f"; of its texts ({others}) none is of a kind that can be read here" if others else ""
    raise MetadataError(f"{name} carries no generation settings{hint}")


def warn_of(problems: Iterable[str], name: str, stacklevel: int) -> None:
    """Warns of what could not be taken from a picture; ``stacklevel`` 1 is the function that calls this one."""
    text = "; ".join(problems)[:_LONGEST_WARNING]
    if text:
        warnings.warn(f"{name}: {text}", MetadataWarning, stacklevel=stacklevel + 1)


def parse_ours(text: str) -> Record:
    """Our own JSON. Raises MetadataError where it is damaged or of a newer format."""
    try:
        data = json.loads(text)
        if data["format"] > FORMAT:
            raise MetadataError(f"the metadata has format {data['format']}; this version reads up to {FORMAT}")
        return Record(
            settings={str(name): value for name, value in data.pop("settings").items()},
            model={str(name): str(value) for name, value in data.pop("model", {}).items()},
            software=str(data.pop("software", "")),
            engine=str(data.pop("engine", "")),
            timings={str(name): float(value) for name, value in data.pop("timings", {}).items()},
            loras=tuple(AppliedLora.from_plain(lora) for lora in data.pop("loras", [])),
            extra={str(name): value for name, value in data.items() if name != "format"},
        )
    except MetadataError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise MetadataError("the metadata of this library in the picture is damaged") from error


def parse_parameters(text: str) -> Record:
    """What is called ``parameters``: mostly the common text, and JSON of the programs that put it in this place.

    Raises MetadataError.
    """
    values = foreign.object_of(text)
    return parse_common(text) if values is None else foreign.read_object(values)


_READERS: tuple[tuple[str, foreign.Reader], ...] = (
    (OURS, lambda texts: parse_ours(texts[OURS])),
    (COMMON, lambda texts: parse_parameters(texts[COMMON])),
    *foreign.READERS,
)
"""The texts that settings are read from, the most exact first, and what reads them out of all of a picture's texts."""

# Settings take one line of a few hundred characters; looking for them in a megabyte would take minutes.
_LONGEST_LINE = 4096
_PAIR = re.compile(r'\s*([\w][\w \-/]*):\s*("(?:\\.|[^\\"])+"|\[[^\]]*\]|[^,]*)(?:,|$)')

# sd-cli ends its line with all that it knows, as JSON.
_SDCLI = ", SDCPP: {"

_NUMBERS: Mapping[str, tuple[str, type[int] | type[float]]] = {
    common: (name, option.domain.kind)
    for name, option in OPTIONS.items()
    for common in option.common_names
    if option.domain.kind in (int, float)
}
_MODEL = {"model": "diffusion_model", "unet": "diffusion_model", "te": "text_encoder", "vae": "vae"}
# These say who generated the picture and which files it read ("Model hash", "Lora hashes"), or they are read elsewhere.
_DESCRIBING = {"version", "user", "size", "sampler", "schedule type"}
_HASHES = ("hash", "hashes")
LORA_HASHES = "Lora hashes"
"""What the common text calls the LoRAs, each with its hash."""
# What sd-cli says in every picture, where it says no more than that nothing special was wanted.
_NOTHING = {("rng", "cuda"), ("sampler rng", "cuda"), ("eta", "0.000000"), ("eta", "inf")}


def parse_common(text: str) -> Record:
    """What the ``parameters`` text of this or another tool says; settings it does not name are left out.

    Raises MetadataError where there is no line of names and values.
    """
    head, _, last = text.strip("\n").rpartition("\n")
    last, sdcli, rest = last.partition(_SDCLI)
    found = [(name.strip(), value.strip().strip('"')) for name, value in _PAIR.findall(last[:_LONGEST_LINE])]
    pairs = {name.lower(): value for name, value in found}
    if "steps" not in pairs:
        raise MetadataError("the 'parameters' text of the picture has no line with 'Steps: ...'")
    prompt, _, negative = head.partition("\nNegative prompt: ")
    if head.startswith("Negative prompt: "):
        prompt, negative = "", head.removeprefix("Negative prompt: ")
    record = Record({"prompt": prompt, "negative_prompt": negative}, software=pairs.get("version", ""))
    _take_numbers(pairs, record)
    record.take_choices(pairs.get("sampler", ""), pairs.get("schedule type", ""))
    for name, value in found:
        ours = _MODEL.get(name.lower())
        if ours and value:
            record.model[ours] = f"{record.model[ours]}, {value}" if ours in record.model else value
    if sdcli:
        _take_prompts("{" + rest, record)
    _say_loras(pairs, record)
    known = {*_NUMBERS, *_MODEL, *_DESCRIBING}
    unused = [
        f"{name}: {value}"
        for name, value in found
        if name.lower() not in known and not name.lower().endswith(_HASHES) and (name.lower(), value) not in _NOTHING
    ]
    record.say_unused(unused)
    return record


def _say_loras(pairs: Mapping[str, str], record: Record) -> None:
    """Says which LoRAs there were. In a prompt of ours they were not written by whoever wrote it."""
    names = names_in_hashes(pairs.get(LORA_HASHES.lower(), ""))
    if record.software.startswith("sdcpp_py "):
        record.settings["prompt"] = without_mentions(record.settings["prompt"], len(names))
    record.say_loras(names)


def _take_numbers(pairs: Mapping[str, str], record: Record) -> None:
    for common, (ours, kind) in _NUMBERS.items():
        if common in pairs and (common, pairs[common]) not in _NOTHING:
            try:
                record.settings[ours] = kind(pairs[common])
            except ValueError:
                record.problems.append(f"{common!r} is {pairs[common]!r}, which is no number")
    if "size" in pairs:
        try:
            record.settings["width"], record.settings["height"] = (int(edge) for edge in pairs["size"].split("x"))
        except ValueError:
            record.problems.append(f"'size' is {pairs['size']!r}, which is no size")


def _take_prompts(text: str, record: Record) -> None:
    """The prompts out of sd-cli's JSON: there they are whole, and without what chose LoRAs."""
    try:
        data = json.loads(text)
        prompts = {"prompt": data["prompt"]["positive"], "negative_prompt": data["prompt"]["negative"]}
        loras = [str(lora["name"]) for lora in data.get("loras", [])]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return  # cut short, or of another version: the text before it says the same, less exactly
    if all(isinstance(prompt, str) for prompt in prompts.values()):
        record.settings.update(prompts)
    record.say_loras(loras)
