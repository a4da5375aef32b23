"""What an engine can be asked for, and how each request is written for the native library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, lib, native_paths
from sdcpp_py.parts import PARTS, ROLES

_DTYPES: tuple[type[np.generic], ...] = (np.float32, np.int32, np.uint8)

Arrays = Mapping[str, NDArray[Any]]


class Movement(IntEnum):
    """What becomes of the weights of one part.

    They stay as they are, leave memory, come into it whole, or come block by block into a room smaller than they are.
    """

    LEAVE = lib.SDPY_LEAVE
    EVICT = lib.SDPY_EVICT
    BRING = lib.SDPY_BRING
    STREAM = lib.SDPY_STREAM


class Request(ABC):
    """A job for an engine."""

    begin: Any
    """The function of the native library that starts it."""

    @abstractmethod
    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """The C struct, and what must be kept alive until the job has begun. ``measure``: compute nothing."""


@dataclass(frozen=True)
class OpenRequest(Request):
    """Reads what the files of a model say of their weights.

    Attributes:
        files: by their roles (``parts.ROLES``).
        devices: native device names, by the part's name.
        threads: CPU threads of this and all further requests.
        direct_convolutions, float32_sums: names of parts on GPUs for which the rules of ``sdpy_open_request`` hold.
        arrangements: by role, what lies where of a model that is not to be read as one plain file
            (native/weights/arranged_files.h).
        imported_weights: names of parts whose weights lie in memory of this process, which their devices import.
        paces: operations a second of products, convolutions and others, by the part's name, where they were measured of
            its GPU; 0 where they were not.
    """

    files: Mapping[str, Path]
    devices: Mapping[str, str]
    threads: int
    direct_convolutions: Collection[str] = ()
    float32_sums: Collection[str] = ()
    imported_weights: Collection[str] = ()
    paces: Mapping[str, Sequence[float]] = field(default_factory=dict)
    arrangements: Mapping[str, str] = field(default_factory=dict, repr=False)
    begin = lib.sdpy_begin_open

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        paths = native_paths(self.files)
        texts = [ffi.new("char[]", self.arrangements.get(role, "").encode()) for role in ROLES]
        names = [ffi.new("char[]", self.devices[part].encode()) for part in PARTS]
        named = (self.direct_convolutions, self.float32_sums, self.imported_weights)
        rules = [[part in parts for part in PARTS] for parts in named]
        paces = [list(self.paces.get(part, ())) for part in PARTS]
        return ffi.new("sdpy_open_request *", [paths, texts, names, self.threads, *rules, paces]), [
            paths, texts, names,
        ]  # fmt: skip


@dataclass(frozen=True)
class MoveRequest(Request):
    """Brings weights into memory and takes others out of it.

    Attributes:
        movements: by the part's name; those that are not named stay as they are.
        rooms: bytes, for parts that are streamed.
    """

    movements: Mapping[str, Movement]
    rooms: Mapping[str, int] = field(default_factory=dict)
    begin = lib.sdpy_begin_move

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        movements = [int(self.movements.get(part, Movement.LEAVE)) for part in PARTS]
        rooms = [self.rooms.get(part, 0) for part in PARTS]
        return ffi.new("sdpy_move_request *", [movements, rooms]), []


@dataclass(frozen=True)
class EncodeRequest(Request):
    """The text encoder's states for a prompt, by name.

    Attributes:
        prompt: in the form in which the tokenizer was trained on text (NFC).
        max_tokens: longer prompts are refused, the template included.
        settings: of the picture, by the names of ``sdpy_settings``.
    """

    prompt: str
    max_tokens: int
    settings: Mapping[str, Any]
    begin = lib.sdpy_begin_encode

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        prompt = ffi.new("char[]", self.prompt.encode())
        request = ffi.new("sdpy_encode_request *")
        request.prompt, request.max_tokens, request.measure = prompt, self.max_tokens, measure
        _set_settings(request.settings, self.settings)
        return request, [prompt]


@dataclass(frozen=True)
class EncodePictureRequest(Request):
    """What the VAE makes of a picture, before a seed makes a latent of it; gives "moments".

    Attributes:
        picture: uint8, (height, width, 3).
        mask: uint8, (height, width): the picture is grey where it is 128 or more; None: the picture as it is.
        tile_size: latent cells along the edge of a tile; 0: in one piece.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    tile_size: int
    begin = lib.sdpy_begin_encode_picture

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        picture, keep_picture = _to_native({"picture": self.picture})
        mask, keep_mask = _one_or_null("mask", self.mask)
        values = [picture, mask, self.tile_size, measure]
        return ffi.new("sdpy_encode_picture_request *", values), [picture, mask, keep_picture, keep_mask]


@dataclass(frozen=True)
class DenoiseRequest(Request):
    """Runs the sampler; gives "latent", (channels, height, width).

    Attributes:
        text, negative: what ``EncodeRequest`` gave; no negative: no classifier-free guidance.
        noise: float32 of the latent's shape; where None, from the seed.
        start: what ``EncodePictureRequest`` gave of the init image; None: from noise alone.
        around: of the picture without what the mask covers, for denoisers that read it.
        references: of the pictures to edit.
        references_are_latents: they are latents already, of shape (channels, height, width).
        mask: uint8, (height, width): generated anew where it is 128 or more; None: everywhere.
        settings: of the picture, by the names of ``sdpy_settings``.
        sigmas: one more values than steps are run; empty: the scheduler's own, cut by the denoising strength.
        keep_steps: goes on from the steps in the engine's file, which are of this very picture, and adds to them.
    """

    text: Arrays
    negative: Arrays
    noise: NDArray[np.float32] | None
    settings: Mapping[str, Any]
    sigmas: tuple[float, ...]
    start: NDArray[np.float32] | None = None
    around: NDArray[np.float32] | None = None
    references: tuple[NDArray[np.float32], ...] = ()
    references_are_latents: bool = False
    mask: NDArray[np.uint8] | None = None
    keep_steps: bool = False
    begin = lib.sdpy_begin_denoise

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        request = ffi.new("sdpy_denoise_request *")
        keep: list[Any] = []
        for name in ("text", "negative"):
            arrays, kept = _to_native(getattr(self, name))
            setattr(request, name, arrays)
            setattr(request, f"{name}_count", len(getattr(self, name)))
            keep += [arrays, kept]
        for name in ("noise", "start", "around", "mask"):
            array, kept = _one_or_null(name, getattr(self, name))
            setattr(request, name, array)
            keep += [array, kept]
        name = "latent" if self.references_are_latents else "moments"
        references, kept = _list_to_native([(name, reference) for reference in self.references])
        request.references, request.reference_count = references, len(self.references)
        _set_settings(request.settings, self.settings)
        schedule = ffi.new("float[]", list(self.sigmas))
        request.sigmas, request.sigma_count = schedule, len(self.sigmas)
        request.keep_steps, request.measure = self.keep_steps, measure
        return request, [*keep, references, kept, schedule]


@dataclass(frozen=True)
class DecodeRequest(Request):
    """The picture of a latent; gives "image", (height, width, 3).

    Attributes:
        latent: (channels, height, width).
        tile_size: latent cells along the edge of a tile; 0: in one piece.
    """

    latent: NDArray[np.float32]
    tile_size: int
    begin = lib.sdpy_begin_decode

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        arrays, keep = _to_native({"latent": self.latent})
        values = [arrays, self.tile_size, measure]
        return ffi.new("sdpy_decode_request *", values), [arrays, keep]


@dataclass(frozen=True)
class FindLayersRequest(Request):
    """Finds layers of the model by names of a LoRA's file; gives "layers", lines of text as ``sdpy.h`` has them.

    Attributes:
        names: without line breaks.
    """

    names: tuple[str, ...]
    begin = lib.sdpy_begin_find_layers

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        return ffi.new("char[]", "".join(f"{name}\n" for name in self.names).encode()), []


@dataclass(frozen=True)
class AdaptRequest(Request):
    """Lays LoRAs beside the weights, in place of those that lie there.

    Attributes:
        layers: by the layer's name: float32 (rank, inputs) and (outputs, rank), or (rank, channels, height, width) and
            (outputs, rank, 1, 1), whose product is added to its weight.
    """

    layers: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

    @staticmethod
    def begin(handle: Any, request: Any, failure: Any) -> int:
        """As in ``Request``."""
        return int(lib.sdpy_begin_adapt(handle, request, len(request), failure))

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        layers = ffi.new("sdpy_lora_layer[]", len(self.layers))
        keep: list[Any] = []
        for native, (name, (down, up)) in zip(layers, self.layers.items(), strict=True):
            named, halves = ffi.new("char[]", name.encode()), [_to_native({"down": down}), _to_native({"up": up})]
            native.layer, native.down, native.up = named, halves[0][0], halves[1][0]
            keep += [named, halves]
        return layers, keep


@dataclass(frozen=True)
class FaultRequest(Request):
    """Makes the engine fail in one of the ways of ``sdpy_fault``: for the tests of what follows from it.

    Attributes:
        fault: its number.
        after_steps: 0: now; else in the next picture, when so many of its steps are finished.
    """

    fault: int
    after_steps: int = 0

    @staticmethod
    def begin(handle: Any, request: Any, failure: Any) -> int:
        """As in ``Request``."""
        return int(lib.sdpy_begin_fault(handle, *request, failure))

    def native(self, measure: bool) -> tuple[Any, list[Any]]:
        """As in ``Request``."""
        return (self.fault, self.after_steps), []


def empty_like(raw: Any) -> NDArray[Any]:
    """An array of the type and shape of an ``sdpy_array``, to be filled."""
    return np.empty(tuple(raw.shape[axis] for axis in range(raw.ndim)), _DTYPES[raw.dtype])


def _set_settings(native: Any, values: Mapping[str, Any]) -> None:
    """Fills an ``sdpy_settings``, whose fields bear the names of the values."""
    native.eta = native.flow_shift = float("inf")  # the engine's own, where nothing is said
    for name, value in values.items():
        setattr(native, name, value.encode() if isinstance(value, str) else value)


def _to_native(arrays: Arrays) -> tuple[Any, list[Any]]:
    """A C array of ``sdpy_array``, and what must be kept alive while it is used."""
    return _list_to_native(list(arrays.items()))


def _one_or_null(name: str, array: NDArray[Any] | None) -> tuple[Any, list[Any]]:
    return (ffi.NULL, []) if array is None else _to_native({name: array})


def _list_to_native(arrays: Sequence[tuple[str, NDArray[Any]]]) -> tuple[Any, list[Any]]:
    native = ffi.new("sdpy_array[]", max(1, len(arrays)))
    keep: list[Any] = []
    for place, (name, array) in enumerate(arrays):
        contiguous = np.ascontiguousarray(array)
        native[place].name = name.encode()
        native[place].dtype = [np.dtype(dtype) for dtype in _DTYPES].index(contiguous.dtype)
        native[place].ndim = contiguous.ndim
        native[place].shape = list(contiguous.shape)
        native[place].data = ffi.from_buffer(contiguous)
        keep.append(contiguous)
    return native, keep
