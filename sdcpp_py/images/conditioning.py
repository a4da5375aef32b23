"""What a picture is conditioned on beside its prompt: an init image, a mask over it, and reference images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import ImageInput, check_mask, to_mask, to_pixels
from sdcpp_py.images.resizing import (
    MAX_REFERENCE_PIXELS,
    RESIZES,
    Pixels,
    Resize,
    fit_reference,
    resized_with_mask,
    shown,
)
from sdcpp_py.models.families import Family
from sdcpp_py.naming import named
from sdcpp_py.settings import MAX_EDGE, MIN_EDGE

STRENGTH_WITHOUT_MASK = 0.75
"""The default denoising strength of image to image; with a mask it is 1."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is handed in, in the sizes in which the VAE encodes it.

    Attributes:
        image: the init image, uint8 of (height, width, 3) as the output, or None.
        mask: uint8 of (height, width), white where the init image is generated anew, or None.
        references: the reference images, uint8 of (height, width, 3) each.
        around: whether the denoiser reads the init image around the mask.
        keep_unmasked: whether the init image's own pixels are put back where the mask is black.
    """

    image: Pixels | None = None
    mask: Pixels | None = None
    references: tuple[Pixels, ...] = ()
    around: bool = False
    keep_unmasked: bool = True

    @property
    def reference_sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of the references."""
        return tuple(_size(reference) for reference in self.references)

    @property
    def encoded_sizes(self) -> set[tuple[int, int]]:
        """(width, height) of everything that the VAE encodes."""
        return {_size(picture) for picture in (self.image, *self.references) if picture is not None}

    @property
    def count(self) -> int:
        """How many pictures the VAE encodes."""
        return len(self.references) + (self.image is not None) * (1 + self.around)


NOTHING = Pictures()
"""No condition but the prompt."""


@dataclass(frozen=True, eq=False)
class EncodedPictures:
    """What the VAE made of them, before a seed makes latents of it; names as in ``DenoiseRequest``."""

    start: NDArray[np.float32] | None = None
    around: NDArray[np.float32] | None = None
    references: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, eq=False)
class GivenPictures:
    """Pictures as they were given, decoded and checked for one family.

    Attributes are the arguments of ``Generator.generate``, as pixels.
    """

    family: Family
    image: Pixels | None
    mask: Pixels | None
    references: tuple[Pixels, ...]
    resize: Resize | None
    keep_unmasked: bool

    @classmethod
    def of(
        cls,
        family: Family,
        image: ImageInput | None,
        mask: ImageInput | None,
        reference_images: ImageInput | Sequence[ImageInput] | None,
        resize: Resize | None,
        keep_unmasked: bool,
    ) -> GivenPictures:
        """Reads what was given. Raises SettingsError, ImageError, ImageNotFoundError."""
        if resize is not None and resize not in RESIZES:
            raise SettingsError(f"{named('resize')} must be one of {', '.join(RESIZES)}, or None; not {resize!r}")
        if mask is not None and image is None:
            raise SettingsError(
                f"{named('mask')} says which part of an init image is generated anew; give that one as {named('image')}"
            )
        pixels = None if image is None else to_pixels(image, "image")
        white = None if mask is None else to_mask(mask, "mask")
        if white is not None:
            assert pixels is not None
            if _size(white) != _size(pixels):
                raise SettingsError(
                    f"mask is {shown(white)} and image {shown(pixels)}; they must have one size, so that each pixel "
                    "of the mask belongs to one of the picture"
                )
        references = tuple(_references(family, reference_images))
        return cls(family, pixels, white, references, resize, bool(keep_unmasked))

    @property
    def empty(self) -> bool:
        """Whether nothing was given."""
        return self.image is None and not self.references

    def defaults(self) -> dict[str, int | float]:
        """The settings that follow where they are not given: "width", "height" and "strength", of which some lack.

        The size is the init image's own, or the first reference's. An init image of a size that cannot be generated is
        left to ``sized``, which refuses it, unless it may be resized.
        """
        if self.empty:
            return {}
        first = self.references[0] if self.image is None else self.image
        width, height = self._nearest(first) if self.image is None or self.resize else _size(first)
        whole = self.image is not None and self.mask is None
        return {"width": width, "height": height, **({"strength": STRENGTH_WITHOUT_MASK} if whole else {})}

    def _nearest(self, pixels: Pixels) -> tuple[int, int]:
        width, height = _size(pixels)
        scale = min(1.0, math.sqrt(MAX_REFERENCE_PIXELS / (width * height)))
        step = self.family.size_multiple
        edges = [min(max(round(edge * scale / step) * step, MIN_EDGE), MAX_EDGE) for edge in (width, height)]
        return edges[0], edges[1]

    def sized(self, width: int, height: int) -> Pictures:
        """The pictures for an output of that many pixels.

        An init image of another size is an error that offers ways to resize it. References are scaled as a whole, to
        the output's area and 1024 x 1024 pixels at most, as the models' own pipelines do.
        """
        image, mask = self.image, self.mask
        if mask is not None:
            check_mask(mask)
        if image is not None:
            image, mask = resized_with_mask(image, mask, width, height, self.resize)
        if mask is not None:
            check_mask(mask)  # a small white spot may have been lost
        step = max(self.family.size_multiple, 16)
        references = tuple(fit_reference(reference, width * height, step) for reference in self.references)
        return Pictures(image, mask, references, self.family.fills and image is not None, self.keep_unmasked)


def _references(family: Family, given: ImageInput | Sequence[ImageInput] | None) -> Iterator[Pixels]:
    if given is None:
        return
    several = list(given) if isinstance(given, list | tuple) else [given]
    if not family.references:
        raise SettingsError(
            f"{family.title} takes no reference images; FLUX.2 Klein and FLUX.1 Kontext do, and every model takes an "
            f"init image ({named('image')})"
        )
    if not several:
        raise SettingsError(f"{named('reference_images')} is empty; give at least one picture, or leave it out")
    if len(several) > family.references:
        raise SettingsError(
            f"there are {len(several)} reference images; {family.title} reads {family.references} at most"
        )
    for index, value in enumerate(several):
        yield to_pixels(value, f"{named('reference_images')}[{index}]")  # type: ignore[arg-type]


def _size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]
