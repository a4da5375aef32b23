"""Prompts as the denoiser reads them."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import MetadataError, MetadataNotFoundError, ModelMismatchError, OutputError
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.naming import excerpt
from sdcpp_py.system.atomic_write import whole_or_absent
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.paths import StrPath, absolute

_FORMAT = 1
_HEADER = "sdcpp_py"
# What a denoiser may be given, and of which type and rank each is.
_ARRAYS = {
    "crossattn": (np.float32, 2),
    "vector": (np.float32, 1),
    "t5_ids": (np.int32, 1),
    "t5_weights": (np.float32, 1),
}
_MAX_FILE = 1 << 30


def normalized(prompt: str) -> str:
    """A prompt in the form of Unicode in which the tokenizers were trained on text: Qwen's, and CLIP's."""
    return unicodedata.normalize("NFC", prompt)


def _is_of_numbers(name: str, array: NDArray[Any]) -> bool:
    # Chroma's vector is a mask, of 0 and minus infinity.
    numbers = np.where(np.isneginf(array), 0, array) if name == "vector" else array
    return bool(np.isfinite(numbers).all())


@dataclass(frozen=True, eq=False, repr=False)
class EncodedPrompt:
    """A prompt embedding: what the text encoder made of a prompt. It can be saved, pickled and sent to another process.

    Attributes:
        prompt: the prompt.
        family: name of the model family it was encoded for. Families read different layers of the same encoder, so an
            prompt embedding serves only its own.
        arrays: the states by name. "crossattn" is float32 of shape (tokens, width): for FLUX.2 Klein always 512 tokens
            and three layers' states side by side, for Z-Image as many tokens as the prompt has. What a cache keeps
            cannot be written to.
    """

    prompt: str
    family: str
    arrays: Mapping[str, NDArray[Any]]

    def __repr__(self) -> str:
        states = self.arrays.get("crossattn")
        shape = "no states" if states is None else " x ".join(map(str, np.shape(states)))
        return f"<EncodedPrompt {excerpt(self.prompt)} for {self.family}, {shape}, {format_bytes(self.nbytes)}>"

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def save(self, file: StrPath) -> Path:
        """Writes it to a file (numpy's .npz, nothing pickled), whole or not at all.

        Raises OutputError, and MetadataError where it holds arrays that no encoder makes.
        """
        header = json.dumps({"format": _FORMAT, "prompt": self.prompt, "family": self.family})
        arrays: dict[str, NDArray[Any]] = {_HEADER: np.frombuffer(header.encode(), np.uint8)}
        for name, array in self.arrays.items():
            if name not in _ARRAYS:
                raise MetadataError(f"this prompt holds an array '{name}' that no denoiser takes")
            arrays[name] = np.asarray(array, _ARRAYS[name][0])  # of numbers, so that nothing is pickled
        path = absolute(file)
        try:
            with whole_or_absent(path) as partial, partial.open("wb") as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        return path

    @classmethod
    def load(cls, file: StrPath) -> EncodedPrompt:
        """Reads what ``save`` wrote. Nothing in the file is run.

        Raises:
            MetadataNotFoundError: there is no such file.
            MetadataError: it is something else, damaged, or from a version that wrote another format.
        """
        path = absolute(file)
        try:
            if path.stat().st_size > _MAX_FILE:
                raise MetadataError(f"{path} is too large for a prompt embedding")
            return cls._read(path.read_bytes())
        except FileNotFoundError:
            raise MetadataNotFoundError(f"there is no file {path}") from None
        except MetadataError:
            raise
        # zipfile, zlib, json and numpy raise errors of a dozen kinds over bytes that are no such file, those of
        # Python's own parser among them: numpy reads an array's header as a literal.
        except Exception as error:
            raise MetadataError(f"{path} is no prompt embedding, or a damaged one ({error})") from error

    @classmethod
    def _read(cls, data: bytes) -> EncodedPrompt:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # A few bytes may claim to unpack to gigabytes.
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_FILE:
                raise ValueError("it unpacks to too much")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            header = json.loads(stored[_HEADER].tobytes().decode())
            if header["format"] != _FORMAT:
                raise ValueError(f"its format is {header['format']}, and this version reads {_FORMAT}")
            arrays = {name: stored[name] for name in stored.files if name != _HEADER}
        prompt, family = header["prompt"], header["family"]
        if not isinstance(prompt, str) or not isinstance(family, str) or "crossattn" not in arrays:
            raise ValueError("its header is not whole")
        for name, array in arrays.items():
            dtype, rank = _ARRAYS.get(name, (None, 0))
            if array.dtype != dtype or array.ndim != rank or not array.size:
                raise ValueError(f"it holds an array '{name}' that no denoiser takes")
            if not _is_of_numbers(name, array):
                raise ValueError(f"its array '{name}' holds values that are not numbers")
        return cls(prompt, family, arrays)

    def check_for(self, family: str, title: str, width: int, tokens: int) -> None:
        """Raises ModelMismatchError where a denoiser cannot take it.

        Args:
            family, title: of the denoiser's family.
            width: of the text states that it reads.
            tokens: how many it reads; 0 for any number.
        """
        if self.family != family:
            raise ModelMismatchError(
                f"this prompt was encoded for {self.family}, and {title} needs one that was encoded for {family}; "
                "encode it with this generator"
            )
        for name, array in self.arrays.items():
            dtype, rank = _ARRAYS.get(name, (None, 0))
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != rank:
                raise ModelMismatchError(f"this prompt holds an array '{name}' that no denoiser takes")
            if not _is_of_numbers(name, array):
                raise ModelMismatchError(
                    f"this prompt's array '{name}' holds values that are not numbers; encode it anew"
                )
        if "crossattn" not in self.arrays:
            raise ModelMismatchError("this prompt holds no states; encode it with this generator")
        shape = self.arrays["crossattn"].shape
        if len(shape) != 2 or shape[1] != width or (tokens and shape[0] != tokens):
            wanted = f"({tokens or 'any number'}, {width})"
            raise ModelMismatchError(
                f"this prompt's states have shape {shape}, and this denoiser reads {wanted}: it was encoded with "
                "another text encoder; encode it with this generator"
            )


def blank(files: ModelFiles) -> EncodedPrompt:
    """A prompt that needs no text encoder, to plan with."""
    states = np.zeros((files.family.context_tokens or 1, files.context_width), np.float32)
    return EncodedPrompt("", files.family.name, {"crossattn": states})
