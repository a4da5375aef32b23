"""The Python for a command line of ``generate``."""

from __future__ import annotations

import argparse
from typing import Any

from sdcpp_py.cli.generation import settings_given
from sdcpp_py.cli.opening import machine_given, model_given
from sdcpp_py.cli.outputs import output_names
from sdcpp_py.models.bundled import TINY

_AUTO = ("device", "memory", "precision", "isolation", "self_test")
_DEFAULTS = (*((name, "auto") for name in _AUTO), ("fallback", True))


class _Name(str):
    """What stands in code as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def of_info(file: str) -> str:
    """The Python for ``sdcpp-py info``."""
    return f"from sdcpp_py import GenerationSettings\n\nprint(GenerationSettings.from_png({file!r}))"


def of_doctor() -> str:
    """The Python for the devices that ``sdcpp-py doctor`` shows."""
    return "from sdcpp_py import devices\n\nfor device in devices():\n    print(device)"


def of_generate(options: argparse.Namespace) -> str:
    """The Python that generates what ``generate`` with these options does, into the same files."""
    prompt = options.prompt if options.prompt is not None else options.prompt_option
    loras = options.loras
    imports, before = ["from sdcpp_py import Generator"], [""]
    if options.lora_dir is not None:
        imports.append("from sdcpp_py.models.prompt_loras import loras_in_prompt")
        before.append(f"prompt, loras = loras_in_prompt({prompt!r}, {options.lora_dir!r})")
        prompt, loras = _Name("prompt"), [_Name("*loras"), *loras] if loras else _Name("loras")
    arguments = {"prompt": prompt, "loras": loras, **_pictures(options), **settings_given(options)}
    if arguments.get("seed", 0) < 0:
        del arguments["seed"]  # a random one is the default
    lines = [*imports, *before, f"with {_opening(options)} as generator:"]
    names = [str(path) for path in output_names(options.output, options.count)]
    if options.count == 1:
        lines += [f"    picture = {_call('generator.generate', arguments, 1)}", f"    picture.save({names[0]!r})"]
    else:
        arguments |= {"count": options.count, **({} if options.overlap else {"overlap": False})}
        lines += [
            f"    pictures = {_call('generator.generate_batch', arguments, 1)}",
            f"    for picture, name in zip(pictures, {names!r}):",
            "        picture.save(name)",
        ]
    return "\n".join(lines)


def _opening(options: argparse.Namespace) -> str:
    files, name = model_given(options)
    machine = machine_given(options)
    machine = {name: value for name, value in machine.items() if (name, value) not in _DEFAULTS}
    if files:
        one = {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in files.items()}
        return _call("Generator", {**one, **machine}, 0)
    return _call("Generator.from_pretrained", {"name": name or TINY, "quant": options.quant, **machine}, 0)


def _pictures(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "image": options.image,
        "mask": options.mask,
        "reference_images": options.references,
        "resize": options.resize,
    }


def _call(function: str, arguments: dict[str, Any], depth: int) -> str:
    """A call over several lines; the prompt and a model's name go without their argument's names."""
    margin = "    " * (depth + 1)
    shown = [
        f"{margin}{value!r}," if name in ("prompt", "name") else f"{margin}{name}={value!r},"
        for name, value in arguments.items()
        if value is not None
    ]
    return "\n".join([f"{function}(", *shown, f"{'    ' * depth})"])
