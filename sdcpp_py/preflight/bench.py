"""How long a model takes on this machine, found out without downloading it.

Files of random weights with the true names and shapes take the same work and the same memory. Two sizes of picture are
timed, a smaller and a larger one; what other sizes will take follows from them (``Estimate``).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sdcpp_py.errors import SettingsError
from sdcpp_py.generator import Generator
from sdcpp_py.memory.gpu_rules import Precision
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.tested_gpus import SelfTest
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.files import arguments_of
from sdcpp_py.naming import named
from sdcpp_py.pipeline.isolation import Isolation
from sdcpp_py.preflight.named_files import NamedFiles, files_named
from sdcpp_py.system.paths import StrPath

SIZES = (256, 512, 768, 1024)
PROMPT = "a lovely cat on a windowsill, in the light of the evening"


@dataclass(frozen=True)
class Times:
    """Seconds that one thing took, time after time."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The largest less the smallest, as a share of the median; 0 for a single one."""
        return (max(self.seconds) - min(self.seconds)) / self.median


@dataclass(frozen=True)
class Estimate:
    """What a picture of one size takes, in seconds."""

    size: int
    encode: float
    step: float
    steps: int
    decode: float
    measured: bool

    @property
    def picture(self) -> float:
        """From the prompt to the picture, with the model in memory."""
        return self.encode + self.steps * self.step + self.decode


@dataclass(frozen=True)
class Benchmark:
    """The times of one model.

    Attributes:
        model, quant: what was timed.
        threads, device: on what.
        load, encode: seconds; the first is single, with the files in the system's cache.
        steps, decodes: by the edge of the picture, in pixels.
        estimates: of all sizes asked for.
        weight_bytes: that the weights take in memory.
    """

    model: str
    quant: str
    threads: int
    device: str
    load: Times
    encode: Times
    steps: dict[int, Times]
    decodes: dict[int, Times]
    estimates: tuple[Estimate, ...]
    weight_bytes: int


def benchmark(
    model: str,
    *,
    quant: str | None = None,
    folder: StrPath | None = None,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
    isolation: Isolation = "auto",
    self_test: SelfTest = "auto",
    sizes: Sequence[int] = SIZES,
    measured: tuple[int, int] = (256, 512),
    repeat: int = 3,
    hub_cache: StrPath | None = None,
    models_dir: StrPath | Sequence[StrPath] | None = None,
    on_stage: Callable[[str], object] | None = None,
) -> Benchmark:
    """Times loading, encoding, one step and decoding.

    Args:
        model: by its name, as ``named_files.files_named`` takes it ("flux2-klein-4b:Q8_0", "tiny").
        quant: how its large matrices are stored, where the name does not say it.
        folder: keeps the files of random weights, gigabytes of them; without it they are gone afterwards.
        device, threads, precision, isolation, self_test: as ``Generator`` takes them.
        sizes: edges of square pictures to say the time of, in pixels.
        measured: the two edges that are timed.
        repeat: how often the smaller is timed, after one round that does not count. The larger is timed once.
        hub_cache: where downloads are kept, for a model that is on disk.
        models_dir: folders of models, in which a name is looked for first; those of SDCPP_PY_MODELS come after them.
        on_stage: is told what is being done.

    Raises:
        SettingsError: there is no such model or quantization, or a number is out of its range.
        OutputError: the files cannot be written.
        others: as ``Generator`` does.
    """
    say = on_stage or (lambda text: None)
    if repeat < 1:
        raise SettingsError(f"{named('repeat')} is {repeat}; give 1 or more")
    places = Places.of(hub_cache, models_dir)
    say(f"making ready its files{f' in {folder}' if folder else ''}")
    with files_named(model, quant, folder, hollow=False, places=places) as found:
        say("loading")
        begin = time.perf_counter()
        files = arguments_of(found.files.sources)
        opened = Generator(
            **files, device=device, threads=threads, precision=precision, isolation=isolation, memory="all",
            fallback=False, self_test=self_test, cache_prompts=False,
        )  # fmt: skip
        load = Times((time.perf_counter() - begin,))
        with opened as generator:
            for size in sizes:
                _check_size(size, generator)
            rounds = _rounds(generator, measured, repeat, say)
            return _benchmark(found, generator, load, rounds, sizes)


def _benchmark(
    found: NamedFiles,
    generator: Generator,
    load: Times,
    rounds: Mapping[int, Sequence[Mapping[str, float]]],
    sizes: Sequence[int],
) -> Benchmark:
    """What the rounds of the sizes that were timed say of all sizes."""
    steps, decodes, encodes = (
        {size: Times(tuple(one[phase] for one in here)) for size, here in rounds.items()}
        for phase in ("denoise", "decode", "encode")
    )
    encode = Times(tuple(seconds for times in encodes.values() for seconds in times.seconds))
    family = found.files.family
    text = generator.encode(PROMPT).arrays["crossattn"].shape[-2]
    # What the denoiser sees: a token for each patch of the picture, and those of the prompt.
    tokens = {size: (size // family.size_multiple) ** 2 + text for size in {*sizes, *rounds}}
    return Benchmark(
        model=found.name,
        quant=found.quant or "as it is",
        threads=generator.threads,
        device=generator.device,
        load=load,
        encode=encode,
        steps=steps,
        decodes=decodes,
        estimates=tuple(
            Estimate(
                size,
                encode.median,
                step_time(tokens, steps, size),
                family.steps,
                decode_time(decodes, size),
                size in rounds,
            )
            for size in sizes
        ),
        weight_bytes=sum(generator.weight_bytes.values()),
    )


def _check_size(size: int, generator: Generator) -> None:
    if size <= 0 or size % generator.family.size_multiple:
        raise SettingsError(f"{size} is no size of a picture; give multiples of {generator.family.size_multiple}")


def _rounds(
    generator: Generator, measured: tuple[int, int], repeat: int, say: Callable[[str], object]
) -> dict[int, list[Mapping[str, float]]]:
    def one(size: int) -> Mapping[str, float]:
        return generator.generate(PROMPT, width=size, height=size, steps=1, seed=0).timings

    small, large = measured
    say(f"warming up: one step at {small}x{small}")
    one(small)
    rounds: dict[int, list[Mapping[str, float]]] = {small: []}
    for number in range(repeat):
        say(f"one step at {small}x{small}, {number + 1} of {repeat}")
        rounds[small].append(one(small))
    say(f"one step at {large}x{large}")
    rounds[large] = [one(large)]
    return rounds


def step_time(tokens: dict[int, int], steps: dict[int, Times], size: int) -> float:
    """A step's work grows with the tokens, and attention's with their square: a t + b t^2 through what was timed."""
    if size in steps:
        return steps[size].median
    (small, few), (large, many) = ((tokens[at], times.median) for at, times in sorted(steps.items()))
    quadratic = max(0.0, (many / large - few / small) / (large - small))
    linear = many / large - quadratic * large
    return linear * tokens[size] + quadratic * tokens[size] ** 2


def decode_time(decodes: dict[int, Times], size: int) -> float:
    """Decoding's work grows with the pixels, over a small constant."""
    if size in decodes:
        return decodes[size].median
    (small, quick), (large, slow) = ((at**2, times.median) for at, times in sorted(decodes.items()))
    slope = max(0.0, (slow - quick) / (large - small))
    return max(0.0, slow + slope * (size**2 - large))
