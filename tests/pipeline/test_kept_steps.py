"""A picture that was broken off by the end of its engine or GPU goes on from its last finished step."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sdcpp_py import SAMPLERS, DeviceLostError, EngineCrashedError, GeneratedImage, Generator, Phase, Progress
from sdcpp_py._native.library import lib
from sdcpp_py._native.requests import FaultRequest
from sdcpp_py.models.files import arguments_of
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.pipeline.kept_steps import KeptSteps
from sdcpp_py.synth import SyntheticSet, write_set

from ..conftest import open_generator

STEPS = 4
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": STEPS, "seed": 3, "return_latent": True}


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generator]:
    """A model whose noise is that of diffusion, and not of a flow: other formulas of the samplers."""
    files = write_set("sd1", tmp_path_factory.mktemp("sd1"), quant="Q8_0").files
    with Generator(**arguments_of(files), device="cpu", isolation="process", threads=2) as opened:
        yield opened


def kept_by(generator: Generator) -> KeptSteps:
    kept = generator._pipeline._kept
    assert kept is not None
    return kept


def lose_after(generator: Generator, steps: int) -> None:
    """Lets the engine lose its device in the next picture."""
    generator._pipeline.revive()
    generator._pipeline.engine.run(FaultRequest(lib.SDPY_FAULT_DEVICE_LOST, steps))


def generate(generator: Generator, **arguments: Any) -> GeneratedImage:
    return generator.generate("cat", **{**SMALL, **arguments})


def same(one: GeneratedImage, other: GeneratedImage) -> bool:
    assert one.latent is not None
    assert other.latent is not None
    return one.latent.tobytes() == other.latent.tobytes() and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("kind", ["flow", pytest.param("diffusion", marks=pytest.mark.full_size)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_goes_on_to_the_same_picture(request: pytest.FixtureRequest, kind: str, sampler: str) -> None:
    """Broken off after two steps, and again after three, the latent has the bits of one that was not: whether the
    sampler remembers earlier steps, adds noise in each, or asks the denoiser twice.
    """
    generator: Generator = request.getfixturevalue("isolated" if kind == "flow" else "unet")
    expected = generate(generator, sampler=sampler)
    for finished in (2, 3):
        lose_after(generator, finished)
        with pytest.raises(DeviceLostError):
            generate(generator, sampler=sampler)
        assert kept_by(generator).steps == finished
    assert same(generate(generator, sampler=sampler), expected)
    assert kept_by(generator).steps == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"cfg_scale": 2, "negative_prompt": "dog"},
        {"scheduler": "karras"},
        {"image": np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3), "strength": 0.9},
        {"noise": np.linspace(-2, 2, 16 * 8 * 8, dtype=np.float32).reshape(16, 8, 8)},
    ],
)
def test_every_kind_of_picture_goes_on(isolated: Generator, arguments: dict[str, Any]) -> None:
    """So do pictures with guidance, of another schedule, from an init image, and from noise that was given."""
    expected = generate(isolated, **arguments)
    lose_after(isolated, 2)
    with pytest.raises(DeviceLostError):
        generate(isolated, **arguments)
    assert kept_by(isolated).steps == 2
    assert same(generate(isolated, **arguments), expected)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_keeps_the_steps(isolated: Generator, number: signal.Signals) -> None:
    """Steps are written by the engine itself: what ends its process at any moment takes none that was told of."""
    expected = generate(isolated)
    # So that it does not come to its end before the signal comes.
    isolated._pipeline.engine.run(FaultRequest(lib.SDPY_FAULT_BUSY_LOOP, 3))
    told: list[int] = []

    def crash(progress: Progress) -> None:
        engine = isolated._pipeline.engine
        assert isinstance(engine, RemoteEngine)
        if progress.phase is Phase.DENOISE and progress.step >= 2 and not told:
            told.append(progress.step)
            os.kill(engine.pid, number)

    with pytest.raises(EngineCrashedError):
        generate(isolated, on_progress=crash)
    assert kept_by(isolated).steps >= told[0] >= 2
    assert same(generate(isolated), expected)


def test_what_was_kept_is_what_goes_on(isolated: Generator) -> None:
    """The finished steps are not computed again: with other numbers in their place, another picture comes out."""
    expected = generate(isolated)
    lose_after(isolated, 2)
    with pytest.raises(DeviceLostError):
        generate(isolated)
    os.pwrite(kept_by(isolated).file, bytes(16 * 8 * 8 * 4), 64)
    other = generate(isolated)
    assert not same(other, expected)
    assert same(generate(isolated), expected)


def test_progress_goes_on_too(isolated: Generator) -> None:
    """A picture that goes on is told of from the finished step, and never falls back."""
    lose_after(isolated, 3)
    with pytest.raises(DeviceLostError):
        generate(isolated)
    heard: list[Progress] = []
    generate(isolated, on_progress=heard.append)
    fractions = [one.fraction for one in heard if one.phase is Phase.DENOISE]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert not [one for one in heard if one.phase is Phase.DENOISE and 0 < one.fraction < 3 / STEPS]


@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"steps": STEPS + 1}, {"width": 128}, {"sampler": "dpm++2s_a"}, {"eta": 0.5}]
)
def test_another_picture_begins_anew(isolated: Generator, other: dict[str, Any]) -> None:
    """What was kept serves the very same picture alone."""
    wanted = {"sampler": "euler_a", **other}
    expected = generate(isolated, **wanted)
    lose_after(isolated, 2)
    with pytest.raises(DeviceLostError):
        generate(isolated, sampler="euler_a")
    assert same(generate(isolated, **wanted), expected)


def test_another_prompt_begins_anew(isolated: Generator) -> None:
    """Another prompt is another picture."""
    expected = isolated.generate("dog", **SMALL)
    lose_after(isolated, 2)
    with pytest.raises(DeviceLostError):
        generate(isolated)
    assert same(isolated.generate("dog", **SMALL), expected)


def test_a_picture_that_was_stopped_begins_anew(isolated: Generator) -> None:
    """What a callback stopped, or ``cancel``, is over: nothing goes on from its steps."""

    def stop(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.step >= 2:
            raise ZeroDivisionError

    expected = generate(isolated)
    with pytest.raises(ZeroDivisionError):
        generate(isolated, on_progress=stop)
    isolated._pipeline.engine.settle()
    assert kept_by(isolated).steps >= 2
    os.pwrite(kept_by(isolated).file, bytes(16 * 8 * 8 * 4), 64)
    assert same(generate(isolated), expected)


SPOILED: dict[str, Callable[[int], object]] = {
    "cut short": lambda file: os.ftruncate(file, 80),
    "of another size": lambda file: os.pwrite(file, np.array([2, 2, 7], np.int64).tobytes(), 0),
    "of no meaning": lambda file: os.pwrite(file, b"\xff" * 24, 0),
    "without end": lambda file: os.pwrite(file, np.array([2**60, 2, 16 * 8 * 8], np.int64).tobytes(), 0),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_kept_steps_that_make_no_sense(isolated: Generator, spoiled: str) -> None:
    """What an engine spoiled in its crash is not trusted: the picture begins anew."""
    expected = generate(isolated)
    lose_after(isolated, 2)
    with pytest.raises(DeviceLostError):
        generate(isolated)
    SPOILED[spoiled](kept_by(isolated).file)
    assert same(generate(isolated), expected)


def test_no_room_for_steps_is_no_error(model: SyntheticSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no memory to keep steps in, the picture is drawn all the same, and later begins anew."""

    def full() -> int:
        file = os.memfd_create("full", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        return file

    monkeypatch.setattr("sdcpp_py.pipeline.kept_steps.open_nameless", full)
    with open_generator(model, isolation="process") as generator:
        expected = generate(generator)
        lose_after(generator, 2)
        with pytest.raises(DeviceLostError):
            generate(generator)
        assert kept_by(generator).steps == 0
        assert same(generate(generator), expected)
