"""A GPU that is lost, or takes the engine down: the picture goes on elsewhere, and says so."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import (
    DeviceLostError,
    EngineCrashedError,
    GeneratedImage,
    GenerationCancelled,
    Generator,
    Phase,
    Progress,
)
from sdcpp_py._native import library
from sdcpp_py._native.requests import (
    DecodeRequest,
    EncodePictureRequest,
    EncodeRequest,
    FaultRequest,
    MoveRequest,
    Request,
)
from sdcpp_py.memory.placement import placements
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.pipeline.recovery import next_rung
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.gpu_watchdog import submission_target
from tests.support.patience import all_closed, until
from tests.support.played_gpu import GPU, PlayedGpu

STEPS = 5
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": STEPS, "seed": 3, "return_latent": True}
SMALLER = submission_target() // 4


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> PlayedGpu:
    """A GPU beside the CPU."""
    return PlayedGpu(monkeypatch)


def on_gpu(files: SyntheticSet, **arguments: Any) -> Generator:
    return Generator(files.diffusion_model, files.text_encoder, files.vae, threads=1, **arguments)


def kinds(picture: GeneratedImage) -> list[str]:
    return [event.kind for event in picture.events]


def same(one: GeneratedImage, other: GeneratedImage) -> bool:
    assert one.latent is not None
    assert other.latent is not None
    return one.latent.tobytes() == other.latent.tobytes() and np.array_equal(np.asarray(one), np.asarray(other))


def asks_to(kind: type[Request]) -> Callable[[Request], bool]:
    """Loses the device whenever such a request comes."""
    return lambda request: isinstance(request, kind)


@pytest.fixture(scope="module")
def expected(generator: Generator) -> GeneratedImage:
    """The picture that nothing happened to. ``generator`` computes on the CPU, as the played GPU does."""
    return generator.generate("cat", **SMALL)


def test_the_whole_ladder(
    gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost three times, a picture goes on from its last step each time: with smaller submissions, with the VAE on the
    CPU, and wholly there. It is the picture that it would have been, and its events and the log say what happened.
    """
    gpu.losses = [2, 3, 4]
    with on_gpu(model) as generator, caplog.at_level(logging.WARNING, "sdcpp_py"):
        assert generator.device == GPU
        drawn = generator.generate("cat", **SMALL)
        assert generator.device == "cpu"
    assert same(drawn, expected)
    assert [(event.kind, event.step, event.device) for event in drawn.events] == [
        ("device_lost", 2, GPU),
        ("smaller_submissions", 2, GPU),
        ("device_lost", 3, GPU),
        ("vae_on_cpu", 3, GPU),
        ("device_lost", 4, GPU),
        ("all_on_cpu", 4, "cpu"),
    ]
    assert {event.phase for event in drawn.events} == {Phase.DENOISE}
    assert gpu.targets == [None, SMALLER, SMALLER, SMALLER]
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [event.message for event in drawn.events] == [text for text in warned if GPU in text]


def test_what_follows_stays_where_it_went(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """The next picture of the generator is drawn there at once, and nothing is to be said of it."""
    gpu.losses = [1, 1]
    with on_gpu(model) as generator:
        assert kinds(generator.generate("cat", **SMALL))[-1] == "vae_on_cpu"
        assert generator.generate("cat", **SMALL).events == ()
        assert generator.device == GPU
        assert generator._pipeline.placement["vae"].name == "cpu"
    assert len(gpu.targets) == 3


def test_a_picture_of_no_losses_has_no_events(gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage) -> None:
    """Nothing is said where nothing happened."""
    with on_gpu(model) as generator:
        drawn = generator.generate("cat", **SMALL)
    assert drawn.events == expected.events == ()
    assert same(drawn, expected)


def test_without_fallback_it_is_an_error(gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage) -> None:
    """With ``fallback=False`` the loss is raised, nothing moves, and the same call goes on where it was."""
    gpu.losses = [3]
    with on_gpu(model, fallback=False) as generator:
        with pytest.raises(DeviceLostError):
            generator.generate("cat", **SMALL)
        assert generator._pipeline.finished_steps == 3
        drawn = generator.generate("cat", **SMALL)
        assert generator.device == GPU
    assert same(drawn, expected)
    assert drawn.events == ()
    assert gpu.targets == [None, None]


def test_a_device_that_was_chosen_is_kept(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """It gets its second try with smaller submissions; then it is an error, since no part may go elsewhere."""
    gpu.losses = [2, 3]
    with on_gpu(model, device=GPU) as generator:
        with pytest.raises(DeviceLostError):
            generator.generate("cat", **SMALL)
        assert generator.device == GPU
        assert generator.generate("cat", **SMALL).events == ()
    assert gpu.targets == [None, SMALLER, SMALLER]


def test_parts_that_were_left_open_go(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """Where the denoiser's device was chosen alone, the others leave the GPU, and the denoiser does not."""
    gpu.losses = [1, 1, 1, 1]
    with on_gpu(model, device={"diffusion_model": GPU}) as generator:
        with pytest.raises(DeviceLostError):
            generator.generate("cat", **SMALL)
        placement = generator._pipeline.placement
    assert {part: placement[part].name for part in PARTS} == {
        "text_encoder": "cpu", "diffusion_model": GPU, "vae": "cpu",
    }  # fmt: skip


def test_in_a_thread_the_cpu_takes_over_at_once(gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage) -> None:
    """A lost device cannot be had back in the same process: the CPU goes on from the last step."""
    gpu.losses = [3]
    with on_gpu(model, isolation="thread") as generator:
        drawn = generator.generate("cat", **SMALL)
    assert [(event.kind, event.step) for event in drawn.events] == [("device_lost", 3), ("all_on_cpu", 3)]
    assert same(drawn, expected)


@pytest.mark.parametrize("device", [GPU, {"diffusion_model": GPU}])
def test_in_a_thread_a_chosen_device_is_an_error(gpu: PlayedGpu, model: SyntheticSet, device: Any) -> None:
    """Nothing would be won there by moving the other parts."""
    gpu.losses = [3]
    with on_gpu(model, isolation="thread", device=device) as generator, pytest.raises(DeviceLostError):
        generator.generate("cat", **SMALL)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_of_the_driver(
    gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage, number: signal.Signals
) -> None:
    """What ends the engine's process while a GPU computes is made up for too, from the last finished step."""
    crashed: list[int] = []
    with on_gpu(model) as generator:
        # So that it does not come to its end before the signal comes.
        generator._pipeline.engine.run(FaultRequest(library.lib.SDPY_FAULT_BUSY_LOOP, 2))

        def crash(progress: Progress) -> None:
            engine = generator._pipeline.engine
            assert isinstance(engine, RemoteEngine)
            if progress.phase is Phase.DENOISE and progress.step >= 1 and not crashed:
                crashed.append(engine.pid)
                os.kill(engine.pid, number)

        drawn = generator.generate("cat", on_progress=crash, **SMALL)
    assert kinds(drawn) == ["engine_crashed", "smaller_submissions"]
    assert drawn.events[0].step in (1, 2)
    assert number.name in drawn.events[0].message
    assert same(drawn, expected)


def test_a_crash_while_the_cpu_computes_is_an_error(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """A text encoder on the CPU that ends the process would do so again: that is none of the GPU's."""

    def crash(request: Request) -> bool:
        if isinstance(request, EncodeRequest):
            engine = generator._pipeline.engine
            assert isinstance(engine, RemoteEngine)
            os.kill(engine.pid, signal.SIGKILL)
        return False

    gpu.losses = [crash]
    with (
        on_gpu(model, device={"text_encoder": "cpu"}, cache_prompts=False) as generator,
        pytest.raises(EngineCrashedError),
    ):
        generator.generate("cat", **SMALL)


@pytest.mark.parametrize("kind", [EncodeRequest, DecodeRequest, EncodePictureRequest])
def test_every_phase_is_made_up_for(
    gpu: PlayedGpu, model: SyntheticSet, generator: Generator, kind: type[Request]
) -> None:
    """So are losses while the prompt or a picture is encoded, and while the latent is decoded; what was finished before
    is not done again.
    """
    image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    given = {"image": image, "strength": 0.9, **SMALL}
    wanted = generator.generate("cat", **given)
    gpu.losses = [asks_to(kind)]
    with on_gpu(model, cache_prompts=False) as on_it:
        drawn = on_it.generate("cat", **given)
    assert kinds(drawn) == ["device_lost", "smaller_submissions"]
    assert {event.phase for event in drawn.events} == {Phase.DECODE if kind is DecodeRequest else Phase.ENCODE}
    assert {event.step for event in drawn.events} == {0}
    assert same(drawn, wanted)
    done = [name for name in gpu.requests if name in ("EncodeRequest", "DenoiseRequest", "DecodeRequest")]
    again = [] if kind is EncodePictureRequest else [kind.__name__]
    assert sorted(done) == sorted(["EncodeRequest", "DenoiseRequest", "DecodeRequest", *again])


def test_a_loss_while_weights_are_read(gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage) -> None:
    """A generator opens all the same: on the CPU, where the GPU takes no weights."""
    gpu.losses = [asks_to(MoveRequest)] * 3
    with on_gpu(model) as generator:
        assert generator.device == "cpu"
        assert sum(generator.weight_bytes.values()) > 0
        assert same(generator.generate("cat", **SMALL), expected)


def test_a_batch_goes_on(gpu: PlayedGpu, model: SyntheticSet, generator: Generator) -> None:
    """The picture that something happened to has the events, and the others are as they were to be."""
    wanted = generator.generate_batch("cat", count=3, **SMALL)
    seen: list[int] = []

    def second(request: Request) -> bool:
        seen.append(isinstance(request, DecodeRequest))
        return sum(seen) == 2 and bool(seen[-1])

    gpu.losses = [second]
    handed: list[GeneratedImage] = []
    with on_gpu(model) as on_it:
        drawn = on_it.generate_batch("cat", count=3, on_image=handed.append, **SMALL)
    assert [kinds(one) for one in drawn] == [[], ["device_lost", "smaller_submissions"], []]
    assert all(same(one, other) for one, other in zip(drawn, wanted, strict=True))
    assert handed == drawn


def test_a_cancel_comes_through(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """Who cancels while a GPU is lost waits for no other try."""
    gpu.losses = [2]
    with on_gpu(model) as generator:

        def cancel(progress: Progress) -> None:
            if progress.phase is Phase.DENOISE and progress.step >= 1:
                generator.cancel()

        with pytest.raises(GenerationCancelled):
            generator.generate("cat", on_progress=cancel, **SMALL)
        assert generator.generate("cat", **SMALL).image.size == (64, 64)


def test_files_say_nothing_of_it(gpu: PlayedGpu, model: SyntheticSet, expected: GeneratedImage) -> None:
    """Metadata is that of a picture that nothing happened to; times aside, for they are its own."""
    gpu.losses = [2]
    with on_gpu(model) as generator:
        drawn = generator.generate("cat", **SMALL)
    assert drawn.events
    assert drawn.settings == expected.settings
    assert b"lost" not in drawn.to_bytes()


def test_nothing_is_left_behind(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """After losses and closing, as many descriptors are open as before."""

    def lose() -> None:
        gpu.losses = [2, 2, 2]
        with on_gpu(model) as generator:
            generator.generate("cat", **SMALL)

    def left_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    lose()
    all_closed()
    before = left_open()
    lose()
    assert until(lambda: left_open() <= before)


def test_the_order_of_tries(gpu: PlayedGpu) -> None:
    """Whatever was chosen, the tries end, and none repeats what was."""
    for chosen in ("auto", GPU, "cpu", {"vae": GPU}, {"diffusion_model": GPU}, {"vae": "cpu"}):
        for isolated in (True, False):
            left_open = set(PARTS) if chosen == "auto" else set(PARTS) - set(chosen) if isinstance(chosen, dict) else ()
            placement, target = placements(chosen)[0], None
            tried = []
            while (rung := next_rung(placement, target, left_open=left_open, isolated=isolated)) is not None:
                assert (rung.placement, rung.submission_target) != (placement, target)
                fixed = [part for part in PARTS if part not in left_open]
                assert all(rung.placement[part] == placement[part] for part in fixed)
                placement, target = rung.placement, rung.submission_target
                tried.append(rung.kind)
            assert len(tried) <= 3
            assert tried == sorted(tried, key=["smaller_submissions", "vae_on_cpu", "all_on_cpu"].index)
            if left_open == set(PARTS) and placements(chosen)[0].denoiser.is_gpu:
                assert placement.denoiser.name == "cpu"
