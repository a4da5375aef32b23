"""How fast this machine computes: timed with a small model of wide layers, and kept for the next time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass

from sdcpp_py._native import library
from sdcpp_py.generator import Generator
from sdcpp_py.memory.placement import DeviceChoice, placements
from sdcpp_py.models.families.family import Family
from sdcpp_py.models.files import arguments_of
from sdcpp_py.preflight.arithmetic import Work, picture_work
from sdcpp_py.preflight.machine import cpu_name
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.system.cpu import default_threads
from sdcpp_py.system.kept_facts import KeptFacts
from sdcpp_py.version import __version__

PROBE = "probe"
"""The set of ``synth`` that is timed: a Klein of three blocks, 1536 wide, and a VAE of half the width."""
_SMALL, _SIZE = 128, 256
# Whatever else the machine does makes it slower, never faster: the fastest of some times says most.
_TIMES = 3
# Threads that wait for each other sleep for a part of the time, on an idle machine too.
_LEAST_SHARE = 0.75
_FACTS = "speed"


@dataclass(frozen=True)
class Speed:
    """Multiplications with additions in a second.

    Attributes:
        products: with weights, and of attention.
        convolutions: with kernels larger than one pixel.
    """

    products: float
    convolutions: float

    def seconds(self, work: Work) -> float:
        """How long work takes."""
        return (work.products + work.attention) / self.products + work.convolutions / self.convolutions

    def picture(self, shape: str, family: Family, size: int) -> float:
        """Seconds of a square picture from prompt to pixels, with the model in memory and the family's default steps.

        Args:
            shape: one of ``synth.FAMILIES``.
            family: with the model's own defaults.
            size: the edge, in pixels.
        """
        work = picture_work(shape, family, size)
        passes = 2 if family.cfg_scale > 1 else 1
        return self.seconds(work.encode.times(passes) + work.step.times(passes * family.steps) + work.decode)


def kept_speed(device: DeviceChoice = "auto", threads: int | None = None) -> Speed | None:
    """The speed that was measured before, on this machine and with this library; None where none was."""
    kept = KeptFacts(_FACTS).get(_key(device, threads))
    return Speed(*kept) if kept else None


def measured_speed(
    device: DeviceChoice = "auto",
    threads: int | None = None,
    *,
    again: bool = False,
    on_stage: Callable[[str], object] | None = None,
) -> Speed:
    """The speed of this machine: kept, or timed in some seconds.

    Args:
        device, threads: as ``Generator`` takes them.
        again: time it also where it is kept.
        on_stage: is told what is being done.

    Raises as ``files_named`` and ``Generator`` do.
    """
    kept = None if again else kept_speed(device, threads)
    if kept is not None:
        return kept
    say = on_stage or (lambda text: None)
    say("timing this machine once, with a small model of random weights")
    speed, share = _timed(device, threads)
    if share < _LEAST_SHARE:
        say(f"other programs took {1 - share:.0%} of the processor meanwhile: the times are too long, and are not kept")
        return speed
    facts = KeptFacts(_FACTS)
    facts.put(_key(device, threads), list(astuple(speed)))
    facts.save()
    return speed


def _timed(device: DeviceChoice, threads: int | None) -> tuple[Speed, float]:
    """The speed, and the share of the threads' time that the CPU gave them in the round that had most of it."""
    rounds: list[Mapping[str, float]] = []
    shares: list[float] = []
    with files_named(PROBE, hollow=False) as found:
        files = arguments_of(found.files.sources)
        family = found.files.family
        with Generator(
            **files, device=device, threads=threads, memory="all", fallback=False, cache_prompts=False
        ) as generator:
            for size in (_SMALL, *_TIMES * [_SIZE]):
                seconds, used = time.perf_counter(), time.process_time()
                rounds.append(generator.generate("", width=size, height=size, steps=1, seed=0).timings)
                seconds, used = time.perf_counter() - seconds, time.process_time() - used
                shares.append(used / (seconds * generator.threads))
            on_gpu = placements(device)[0].denoiser.is_gpu
    fastest = {phase: min(times[phase] for times in rounds[1:]) for phase in ("denoise", "decode")}
    work = picture_work(PROBE, family, _SIZE)
    products = (work.step.products + work.step.attention) / fastest["denoise"]
    share = 1.0 if on_gpu else max(shares[1:])
    return Speed(products, work.decode.convolutions / fastest["decode"]), share


def _key(device: DeviceChoice, threads: int | None) -> list[object]:
    where = [(part, found.name, found.description) for part, found in placements(device)[0].devices.items()]
    build = [__version__, library.engine_commit(), library.kernels(), library.cpu_module()]
    return [*build, cpu_name(), threads or default_threads(), where]
