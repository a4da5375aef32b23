"""Writing a model, or all the files of a model, so that a file is there whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sdcpp_py.parts import ENCODERS
from sdcpp_py.synth.catalogue import model_named
from sdcpp_py.synth.formats import write_gguf, write_safetensors
from sdcpp_py.synth.models import ModelShape, check_quantization
from sdcpp_py.synth.sets import FAMILIES, SyntheticSet
from sdcpp_py.system.atomic_write import whole_or_absent
from sdcpp_py.system.paths import absolute

OnBytes = Callable[[int, int], None]


def write(
    name: str, directory: Path | str, *, quant: str = "Q4_K", seed: int = 0, on_bytes: OnBytes | None = None
) -> Path:
    """Writes one model of random weights with the names and shapes of the real one.

    Args:
        name: one of ``MODELS``.
        directory: where the file goes; made if it is not there. A file of the same name is replaced.
        quant: how the large matrices are stored; a safetensors file has types of its own.
        seed: 0 or more; the same seed gives the same bytes.
        on_bytes: called with the bytes done and the bytes in all; what it raises ends the writing and comes out.

    Returns:
        The file: ``klein-4b-Q4_K.gguf``, ``flux2-vae.safetensors``, ...

    Raises:
        ValueError: there is no such model or quantization, or the seed is negative.
        OSError: the file cannot be written. No part of it is left then, nor after any other interruption.
    """
    model = model_named(name)
    check_quantization(quant)
    return _write([(model, quant)], directory, seed, on_bytes)[0]


def write_set(
    family: str,
    directory: Path | str,
    *,
    quant: str = "Q4_K",
    encoder_quant: str | None = None,
    seed: int = 0,
    on_bytes: OnBytes | None = None,
) -> SyntheticSet:
    """Writes all files of a set: denoiser, text encoders and VAE. ``on_bytes`` counts through all of them.

    Args and Raises are those of ``write``, with ``family`` one of ``FAMILIES``; text encoders in files of their own are
    stored as ``encoder_quant``, where that is given.
    """
    return _write_set(family, directory, quant, encoder_quant, seed, on_bytes)


def write_hollow_set(
    family: str, directory: Path | str, *, quant: str = "Q4_K", encoder_quant: str | None = None
) -> SyntheticSet:
    """Writes files of the true size with true headers, and no weights: they take no disk and no time.

    What a model will need can be found out with them. Args and Raises are those of ``write_set``.
    """
    return _write_set(family, directory, quant, encoder_quant, None, None)


def _write_set(
    family: str,
    directory: Path | str,
    quant: str,
    encoder_quant: str | None,
    seed: int | None,
    on_bytes: OnBytes | None,
) -> SyntheticSet:
    if family not in FAMILIES:
        raise ValueError(f"there is no synthetic family {family!r}; choose one of {', '.join(FAMILIES)}")
    for one in (quant, encoder_quant or quant):
        check_quantization(one)
    models = [
        (model_named(name), encoder_quant if encoder_quant and role in ENCODERS else quant)
        for role, name in FAMILIES[family].items()
    ]
    files = _write(models, directory, seed, on_bytes)
    return SyntheticSet(**dict(zip(FAMILIES[family], files, strict=True)))


def _write(
    models: Sequence[tuple[ModelShape, str]], directory: Path | str, seed: int | None, on_bytes: OnBytes | None
) -> list[Path]:
    """Writes models, each in its quantization."""
    if seed is not None and seed < 0:
        raise ValueError(f"seed is {seed}; give 0 or more")
    folder = absolute(directory)
    folder.mkdir(parents=True, exist_ok=True)
    total = 0 if on_bytes is None else sum(tensor.nbytes for model, quant in models for tensor in model.tensors(quant))
    done = 0

    def on_chunk(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if on_bytes is not None:
            on_bytes(done, total)

    files = []
    for model, quant in models:
        files.append(folder / model.file_name(quant))
        write_format = write_gguf if model.architecture else write_safetensors
        with whole_or_absent(files[-1]) as partial:
            write_format(partial, model, quant, seed, on_chunk)
    return files
