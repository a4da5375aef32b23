"""From a latent to a picture that was looked at: what a GPU decoded to nothing is decoded again on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.status import NotNumbersError
from sdcpp_py.images.soundness import Fault, fault_of
from sdcpp_py.memory.plan import CallPlan
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.recovery import Attempts, moved_to_cpu
from sdcpp_py.progress import Phase

Pixels = NDArray[np.uint8]

_LOOKS = {"": "no numbers", "flat": "of one colour", "noise": "noise"}


@dataclass(frozen=True)
class Decoded:
    """What came of a latent.

    Attributes:
        pixels: uint8 of shape (height, width, 3); None where there are none.
        tile: edge in pixels of the tiles that it was decoded in; 0: in one piece.
        fault: what is wrong with the pixels.
        error: why there are none.
    """

    pixels: Pixels | None
    tile: int
    fault: Fault = ""
    error: NotNumbersError | None = None


def decode(attempts: Attempts[CallPlan], latent: NDArray[np.float32], meter: Meter) -> tuple[Pixels, int]:
    """The pixels of a latent, uint8 of shape (height, width, 3), and the edge of the tiles that it was decoded in.

    Where the VAE is on a GPU and may leave it, a picture that is no numbers, of one colour or noise is decoded again on
    the CPU, which keeps the VAE from then on unless it gives the same. Else one that is of one colour is warned of.

    Raises GenerationError where it is no numbers.
    """
    pipeline = attempts.pipeline
    found = _decoded(attempts, latent, meter)
    placement, target = pipeline.placement, pipeline.submission_target
    device = placement["vae"]
    if (found.error or found.fault) and device.is_gpu and pipeline.may_move("vae"):
        attempts.tell(
            "bad_picture", Phase.DECODE, 0, device.name,
            f"what {device.name} decoded is {_LOOKS[found.fault]}: the CPU decodes it again",
        )  # fmt: skip
        attempts.move(moved_to_cpu(placement, ["vae"]), target)
        again = _decoded(attempts, latent, meter)
        if again.fault and _alike(found.pixels, again.pixels):
            attempts.move(placement, target)  # the GPU was right
        found = again
    if found.pixels is None:
        assert found.error is not None
        raise pipeline.explained(found.error, "vae", meter) from None
    warn_of_fault(attempts, found.fault, device.name)
    return found.pixels, found.tile


def warn_of_fault(attempts: Attempts[CallPlan], fault: Fault, device: str) -> None:
    """Says that a picture which a device decoded, and which is kept, has a fault, where it has one."""
    if fault:
        attempts.tell(
            "suspect_picture", Phase.DECODE, 0, device,
            f"the picture is {_LOOKS[fault]}: unless the prompt wants that, a file of the model may be damaged",
        )  # fmt: skip


def _decoded(attempts: Attempts[CallPlan], latent: NDArray[np.float32], meter: Meter) -> Decoded:
    def work(plans: CallPlan) -> Decoded:
        tile = plans.generating.vae_tile_size
        try:
            pixels = attempts.pipeline.decode(latent, plans.generating, meter)
        except NotNumbersError as error:
            return Decoded(None, tile, error=error)
        return Decoded(pixels, tile, fault_of(pixels, latent))

    return attempts.do(Phase.DECODE, work)


def _alike(one: Pixels | None, other: Pixels | None) -> bool:
    """Whether two pictures differ by no more than two devices round."""
    return one is not None and other is not None and bool(np.abs(one.astype(np.int16) - other).mean() < 2)
