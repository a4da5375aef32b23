"""Both halves at work: in a batch, the CPU decodes a picture and encodes a prompt while a GPU denoises.

The CPU plays the GPU; it has two real engines over the same files, as where there is one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import (
    DeviceLostError,
    EncodedPrompt,
    GeneratedImage,
    GenerationCancelled,
    Generator,
    Phase,
    Progress,
    SettingsError,
)
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest, EncodeRequest, FaultRequest, Request
from sdcpp_py.pipeline.engine_beside import EngineBeside, Job
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.prompts.cache import SHARED
from sdcpp_py.synth import SyntheticSet
from tests.support.patience import PATIENCE
from tests.support.played_gpu import GPU, PlayedGpu

COUNT = 4
STEPS = 3
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": STEPS, "seed": 3, "count": COUNT, "return_latent": True}
PLACES = {"text_encoder": "cpu", "diffusion_model": GPU, "vae": "cpu"}
VAE_ON_GPU = {**PLACES, "vae": GPU}
PROMPTS = ["a cat", "a blue dog", "a bird that sits on a red box", "a fish"]
EACH: dict[str, Any] = {**SMALL, "count": 1}


class Halves:
    """What two engines do, in order: "denoise 0 begins", "decode 0 begins", "denoise 0 ends" and so on.

    Attributes:
        log: the events.
        beside: the engines that were made beside, in order.
        instead: by the name of a job ("decode 0", "encode 1": the number is of those that were begun beside), what the
            engine beside does instead.
        held_back: nothing that is done beside comes to an end while this is true.
        spoil: what is made of the pixels of a job, by its name.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.beside: list[EngineBeside] = []
        self.instead: dict[str, Request] = {}
        self.held_back: Callable[[], bool] = lambda: False
        self.spoil: Callable[[str, NDArray[np.uint8]], NDArray[np.uint8]] = lambda name, pixels: pixels
        self._patch = patch
        self._counts = {"vae": 0, "text_encoder": 0}
        self._names: dict[int, str] = {}
        init, add = EngineBeside.__init__, EngineBeside.add

        def noted_init(beside: EngineBeside, *arguments: Any) -> None:
            init(beside, *arguments)
            self.beside.append(beside)
            self._prepare(beside)

        def noted_add(beside: EngineBeside, job: Job) -> None:
            name = f"{'decode' if job.part == 'vae' else 'encode'} {self._counts[job.part]}"
            self._counts[job.part] += 1
            self._names[id(job.request)] = name
            job.take = self._noted_take(name, job.take)
            self.log.append(f"{name} begins")
            add(beside, job)

        patch.setattr(EngineBeside, "__init__", noted_init)
        patch.setattr(EngineBeside, "add", noted_add)

    def _noted_take(self, name: str, take: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
        def noted(found: dict[str, Any]) -> None:
            take({key: self.spoil(name, value) if key == "image" else value for key, value in found.items()})
            self.log.append(f"{name} ends")

        return noted

    def _prepare(self, beside: EngineBeside) -> None:
        engine = beside._engine
        begin, hear = engine.begin, engine.hear

        def noted_begin(request: Request) -> None:
            begin(self.instead.get(self._names.get(id(request), ""), request))

        def noted_hear(*arguments: Any, **named: Any) -> dict[str, NDArray[Any]] | None:
            return None if self.held_back() else hear(*arguments, **named)

        self._patch.setattr(engine, "begin", noted_begin)
        self._patch.setattr(engine, "hear", noted_hear)

    def of(self, what: str) -> list[str]:
        """The events of one kind, in order."""
        return [event for event in self.log if event.startswith(what)]

    def note(self, progress: Progress) -> None:
        """Is an ``on_progress``."""
        if progress.phase is Phase.DENOISE and progress.fraction in (0, 1):
            self.log.append(f"denoise {progress.image} {'ends' if progress.fraction else 'begins'}")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> PlayedGpu:
    """A GPU beside the CPU."""
    return PlayedGpu(monkeypatch)


@pytest.fixture
def halves(gpu: PlayedGpu, monkeypatch: pytest.MonkeyPatch) -> Halves:
    """What the two halves do."""
    return Halves(monkeypatch)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread of ours outlives a test, whatever happened in it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def expected(generator: Generator) -> list[GeneratedImage]:
    """The pictures one after the other; ``generator`` computes on the CPU, as the played GPU does."""
    return generator.generate_batch("cat", **SMALL)


@pytest.fixture(scope="module")
def each(generator: Generator) -> list[GeneratedImage]:
    """A picture of each prompt, one after the other."""
    return generator.generate_batch(PROMPTS, **EACH)


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """No prompt is known."""
    SHARED.clear()
    yield
    SHARED.clear()


def on_both(files: SyntheticSet, device: Any = PLACES, isolation: Any = "thread", **arguments: Any) -> Generator:
    """A generator over both halves; in threads, which start at once, where processes do not matter."""
    parts = files.diffusion_model, files.text_encoder, files.vae
    return Generator(*parts, device=device, threads=1, isolation=isolation, **arguments)


def same(some: list[GeneratedImage], others: list[GeneratedImage]) -> bool:
    def alike(one: GeneratedImage, other: GeneratedImage) -> bool:
        assert one.latent is not None
        assert other.latent is not None
        return one.latent.tobytes() == other.latent.tobytes() and np.array_equal(np.asarray(one), np.asarray(other))

    return len(some) == len(others) and all(map(alike, some, others))


FOREVER = FaultRequest(library.lib.SDPY_FAULT_BUSY_LOOP)
"""Runs until it is cancelled."""


class Whim(Exception):
    """An exception of the user's own."""


@pytest.mark.parametrize("isolation", ["auto", "thread", pytest.param("process", marks=pytest.mark.slow)])
def test_a_picture_is_decoded_while_the_next_is_denoised(
    halves: Halves, model: SyntheticSet, expected: list[GeneratedImage], isolation: str
) -> None:
    """Each but the last is being decoded before the next one is through; the pictures are the same, and in order.

    Whether the GPU's engine is in a process, or in a thread, or both are in processes.
    """
    handed: list[GeneratedImage] = []
    with on_both(model, isolation=isolation) as generator:
        drawn = generator.generate_batch("cat", on_progress=halves.note, on_image=handed.append, **SMALL)
        [beside] = halves.beside
        assert isinstance(beside._engine, RemoteEngine if isolation == "process" else Engine)
        assert isinstance(generator._pipeline.engine, Engine if isolation == "thread" else RemoteEngine)
    assert same(drawn, expected)
    assert handed == drawn
    assert [one.seed for one in drawn] == [one.seed for one in expected]
    assert [one.settings for one in drawn] == [one.settings for one in expected]
    for number in range(COUNT):
        begun = halves.log.index(f"decode {number} begins")
        assert halves.log.index(f"denoise {number} ends") < begun
        if number + 1 < COUNT:
            assert begun < halves.log.index(f"denoise {number + 1} begins")
    assert halves.of("decode") == [f"decode {number} {what}" for number in range(COUNT) for what in ("begins", "ends")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"device": {"diffusion_model": "cpu"}},
        {"device": GPU},
        {"device": PLACES, "overlap": False},
        {"device": PLACES, "count": 1},
    ],
)
def test_otherwise_one_follows_the_other(
    halves: Halves, model: SyntheticSet, expected: list[GeneratedImage], arguments: dict[str, Any]
) -> None:
    """Without a GPU, with the VAE on it, switched off, or with one picture, there is no other engine."""
    given = {"overlap": True, **SMALL, **arguments}
    with on_both(model, given.pop("device")) as generator:
        drawn = generator.generate_batch("cat", **given)
    assert halves.beside == []
    assert same(drawn, expected[: given["count"]])


def test_progress_is_whole_and_comes_in_the_callers_thread(halves: Halves, model: SyntheticSet) -> None:
    """Each phase of each picture is told of from 0 to 1, a picture's decoding without a word of another in between."""
    reports: list[Progress] = []
    threads: set[threading.Thread] = set()

    def note(progress: Progress) -> None:
        reports.append(progress)
        threads.add(threading.current_thread())

    with on_both(model) as generator:
        drawn = generator.generate_batch("cat", on_progress=note, **SMALL)
    assert threads == {threading.current_thread()}
    for number in range(COUNT):
        for phase in (Phase.DENOISE, Phase.DECODE):
            fractions = [one.fraction for one in reports if (one.phase, one.image) == (phase, number)]
            assert (fractions[0], fractions[-1]) == (0, 1)
            assert fractions == sorted(fractions)
        places = [at for at, one in enumerate(reports) if (one.phase, one.image) == (Phase.DECODE, number)]
        assert places == list(range(places[0], places[-1] + 1))
    assert all(set(one.timings) >= {"encode", "denoise", "decode"} for one in drawn)
    assert all(one.timings["denoise"] > 0 and one.timings["decode"] > 0 for one in drawn)
    assert [one.timings["encode"] > 0 for one in drawn[1:]] == [False] * (COUNT - 1)


@pytest.mark.parametrize("moment", ["while both work", "while the decoder is waited for"])
def test_cancel_ends_both_halves(
    halves: Halves, model: SyntheticSet, expected: list[GeneratedImage], moment: str
) -> None:
    """Whichever half is at work: the call is over, nothing goes on, and the next one is right."""
    halves.instead = {"decode 0": FOREVER}
    others: list[threading.Thread] = []
    handed: list[GeneratedImage] = []
    with on_both(model) as generator:

        def cancel(progress: Progress) -> None:
            if progress.phase is Phase.DENOISE and progress.image == 1:
                if moment == "while both work":
                    generator.cancel()
                elif progress.fraction == 1:
                    others.append(threading.Thread(target=generator.cancel))
                    others[-1].start()

        with pytest.raises(GenerationCancelled):
            generator.generate_batch("cat", on_progress=cancel, on_image=handed.append, **SMALL)
        assert handed == []
        assert generator._pipeline.beside is None
        halves.instead = {}
        assert same(generator.generate_batch("cat", **SMALL), expected)
    for other in others:
        other.join()


@pytest.mark.parametrize("place", ["on_progress", "on_image"])
def test_a_users_exception_ends_both_halves(halves: Halves, model: SyntheticSet, place: str) -> None:
    """What a callback raises comes out as the same object, whatever the other half does."""
    halves.instead = {"decode 1": FOREVER}
    whim = Whim("enough")

    def listen(progress: Progress) -> None:
        if place == "on_progress" and progress.phase is Phase.DENOISE and progress.image == 2:
            raise whim

    def take(picture: GeneratedImage) -> None:
        if place == "on_image":
            raise whim

    with on_both(model) as generator:
        with pytest.raises(Whim) as caught:
            generator.generate_batch("cat", on_progress=listen, on_image=take, **SMALL)
        assert caught.value is whim
        assert generator._pipeline.beside is None


@pytest.mark.parametrize(
    "fault",
    [library.lib.SDPY_FAULT_EXCEPTION, library.lib.SDPY_FAULT_BAD_ALLOC, library.lib.SDPY_FAULT_POOLED_ASSERTION],
)
def test_what_fails_beside_is_done_in_sequence(
    halves: Halves, model: SyntheticSet, expected: list[GeneratedImage], fault: int
) -> None:
    """An engine beside that fails is no error: the pictures are decoded after all where they would have been."""
    halves.instead = {"decode 1": FaultRequest(fault)}
    # In one process, a failed check among the threads of a CPU's graph is laid to all graphs that a CPU computes then.
    with on_both(model, isolation="auto") as generator:
        drawn = generator.generate_batch("cat", **SMALL)
        assert len(halves.beside) == 1
        assert halves.log[-1] == "decode 1 begins"
        halves.instead = {}
        assert same(generator.generate_batch("cat", **SMALL), expected)
        assert len(halves.beside) == 2
    assert same(drawn, expected)
    assert [one.events for one in drawn] == [()] * COUNT


def test_an_error_in_decoding_comes_out_as_it_would_have(gpu: PlayedGpu, halves: Halves, model: SyntheticSet) -> None:
    """With the same words as without the other half, after the same pictures."""
    halves.instead = {"decode 2": FaultRequest(library.lib.SDPY_FAULT_EXCEPTION)}
    found = []
    for overlap in (True, False):
        decoded: list[bool] = []

        def third(request: Request, overlap: bool = overlap, decoded: list[bool] = decoded) -> bool:
            decoded.append(isinstance(request, DecodeRequest))
            return decoded[-1] and (overlap or sum(decoded) == 3)

        gpu.losses = [third]
        handed: list[GeneratedImage] = []
        with on_both(model, fallback=False) as generator, pytest.raises(DeviceLostError) as caught:
            generator.generate_batch("cat", overlap=overlap, on_image=handed.append, **SMALL)
        found.append(([one.seed for one in handed], str(caught.value)))
    assert found[0] == found[1]
    assert found[0][0] == [SMALL["seed"], SMALL["seed"] + 1]


def test_an_error_of_the_denoiser_comes_after_the_picture_before_it(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet
) -> None:
    """What was denoised before is decoded and handed over, as it would have been."""
    denoised: list[bool] = []

    def third(request: Request) -> bool:
        denoised.append(isinstance(request, DenoiseRequest))
        return denoised[-1] and sum(denoised) == 3

    gpu.losses = [third]
    handed: list[int] = []
    with on_both(model, fallback=False) as generator, pytest.raises(DeviceLostError):
        generator.generate_batch("cat", on_image=lambda one: handed.append(one.seed), **SMALL)
    assert halves.log[-1] == "decode 1 ends"
    assert handed == [SMALL["seed"], SMALL["seed"] + 1]


def test_a_crash_of_the_denoiser_while_the_other_half_decodes(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet, expected: list[GeneratedImage]
) -> None:
    """It is made up for; the picture that was decoded meanwhile has nothing to do with it, and comes as it would."""
    crashed: list[int] = []
    halves.held_back = lambda: not crashed
    denoised = 0

    def hold(request: Request) -> bool:
        nonlocal denoised
        denoised += isinstance(request, DenoiseRequest)
        if denoised == 2 and isinstance(request, DenoiseRequest):
            # So that the second picture does not come to its end before the signal comes.
            generator._pipeline.engine.run(FaultRequest(library.lib.SDPY_FAULT_BUSY_LOOP, 1))
        return False

    gpu.losses = [hold]
    with on_both(model, isolation="auto") as generator:

        def crash(progress: Progress) -> None:
            engine = generator._pipeline.engine
            assert isinstance(engine, RemoteEngine)
            if progress.phase is Phase.DENOISE and progress.image == 1 and progress.fraction == 0 and not crashed:
                os.kill(engine.pid, signal.SIGKILL)
                engine._process.wait()
                crashed.append(engine.pid)

        drawn = generator.generate_batch("cat", on_progress=crash, **SMALL)
    assert same(drawn, expected)
    assert [[event.kind for event in one.events] for one in drawn] == [
        [], ["engine_crashed", "smaller_submissions"], [], [],
    ]  # fmt: skip
    assert len(halves.beside) == 2


def test_after_the_last_resort_there_is_one_half(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet, expected: list[GeneratedImage]
) -> None:
    """A VAE that leaves the GPU works beside the denoiser from then on, until that leaves it too."""
    requests = 0

    def lose(request: Request) -> bool:
        nonlocal requests
        requests += isinstance(request, DenoiseRequest)
        return isinstance(request, DenoiseRequest) and requests in (1, 2, 5)

    gpu.losses = [lose] * 3
    with on_both(model, "auto", isolation="auto") as generator:
        drawn = generator.generate_batch("cat", on_progress=halves.note, **SMALL)
        assert generator.device == "cpu"
    assert same(drawn, expected)
    assert [[event.kind for event in one.events] for one in drawn] == [
        ["device_lost", "smaller_submissions", "device_lost", "vae_on_cpu"], [], ["device_lost", "all_on_cpu"], [],
    ]  # fmt: skip
    assert halves.of("decode") == [f"decode {number} {what}" for number in range(2) for what in ("begins", "ends")]


def test_a_plan_says_it(gpu: PlayedGpu, model: SyntheticSet) -> None:
    """In a phrase, where it would be done."""
    said = {
        "vae": f"in a batch, cpu decodes a picture while {GPU} denoises the next",
        "text_encoder": f"in a batch, cpu encodes the next prompt while {GPU} denoises",
        "": f"in a batch, cpu decodes a picture and encodes the next prompt while {GPU} denoises",
        "diffusion_model": "",
    }
    for part, why in said.items():
        places = {**dict.fromkeys(PLACES, GPU), part: "cpu"} if part in PLACES else PLACES
        if part == "diffusion_model":
            places = dict.fromkeys(PLACES, GPU)
        with on_both(model, places) as generator:
            assert generator.plan(width=64, height=64).why == why
    with on_both(model) as generator:
        assert generator.plan(width=64, height=64, prompt=generator.encode("cat")).why == said["vae"]


@pytest.mark.usefixtures("gpu")
def test_only_where_both_have_room(halves: Halves, model: SyntheticSet, expected: list[GeneratedImage]) -> None:
    """With as much memory as both halves take, both work; with a byte less, one picture follows the other."""
    with on_both(model, memory="all") as generator:
        prompt = generator.encode("cat")
        vae = generator.plan(width=64, height=64, prompt=prompt).part("vae").need
    for less in (1, 0):
        with on_both(model, memory={"cpu": vae.weights + vae.working - less, GPU: "1GiB"}) as generator:
            assert same(generator.generate_batch(prompt, **SMALL), expected)
        assert len(halves.beside) == 1 - less


def test_what_is_decoded_beside_is_looked_at_too(halves: Halves, model: SyntheticSet) -> None:
    """A picture of one colour has the event that says so, and the pictures beside it have theirs alone."""
    halves.spoil = lambda name, pixels: np.full_like(pixels, 7) if name == "decode 1" else pixels
    with on_both(model) as generator:
        drawn = generator.generate_batch("cat", **SMALL)
    assert [[(event.kind, event.device) for event in one.events] for one in drawn] == [
        [], [("suspect_picture", "cpu")], [], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("places", "isolation"),
    [
        (PLACES, "auto"),
        (PLACES, "thread"),
        (VAE_ON_GPU, "auto"),
        pytest.param(PLACES, "process", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("nothing_kept")
def test_the_next_prompt_is_encoded_while_a_picture_is_denoised(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet, each: list[GeneratedImage], places: Any, isolation: str
) -> None:
    """The first is encoded before its picture, the others each while the one before is denoised; each once.

    Whether the CPU decodes too, and wherever the engines are. Another batch of the same prompts encodes nothing.
    """
    with on_both(model, places, isolation) as generator:
        drawn = generator.generate_batch(PROMPTS, on_progress=halves.note, **EACH)
        assert len(halves.beside) == 1
        assert gpu.requests.count("EncodeRequest") == 1
        # In one process both engines have the same bytes, so that the first one need not let go of them.
        assert (generator.weight_bytes["text_encoder"] > 0) == (isolation == "thread")
        assert same(drawn, each)
        assert [one.settings for one in drawn] == [one.settings for one in each]
        assert halves.of("encode") == [f"encode {n} {what}" for n in range(COUNT - 1) for what in ("begins", "ends")]
        for number in range(COUNT - 1):
            begun, ended = (halves.log.index(f"encode {number} {what}") for what in ("begins", "ends"))
            assert begun < halves.log.index(f"denoise {number} ends")
            assert ended < halves.log.index(f"denoise {number + 1} begins")
        assert bool(halves.of("decode")) == (places is PLACES)
        assert same(generator.generate_batch(PROMPTS, **EACH), each)
    assert len(halves.of("encode")) == 2 * (COUNT - 1)
    assert gpu.requests.count("EncodeRequest") == 1


@pytest.mark.usefixtures("nothing_kept")
def test_what_is_known_is_not_encoded(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet, each: list[GeneratedImage]
) -> None:
    """Prompts that are kept, given as states or repeated are not encoded; the next one that is not known is, early."""
    with on_both(model) as generator:
        generator.encode(PROMPTS[1])
        given = generator.encode(PROMPTS[0])
        wanted: list[str | EncodedPrompt] = [given, PROMPTS[1], PROMPTS[1], PROMPTS[3], PROMPTS[3]]
        before = gpu.requests.count("EncodeRequest")
        drawn = generator.generate_batch(wanted, on_progress=halves.note, **EACH)
        assert gpu.requests.count("EncodeRequest") == before
        assert halves.of("encode") == ["encode 0 begins", "encode 0 ends"]
        assert halves.log.index("encode 0 begins") < halves.log.index("denoise 0 ends")
        # With one prompt, or all of them known, there is nothing to be encoded meanwhile.
        generator.generate_batch(PROMPTS[2], **{**SMALL, "count": 2})
        generator.generate_batch(PROMPTS, **EACH)
    assert len(halves.of("encode")) == 2
    assert gpu.requests.count("EncodeRequest") == before + 1
    assert np.array_equal(np.asarray(drawn[1]), np.asarray(each[1]))


@pytest.mark.usefixtures("nothing_kept")
def test_both_prompts_of_a_picture_are_encoded(halves: Halves, model: SyntheticSet, generator: Generator) -> None:
    """With guidance, a picture waits for both; the negative prompt, which all share, is encoded with the first."""
    guided = {**EACH, "negative_prompt": "red", "cfg_scale": 2.0}
    expected = generator.generate_batch(PROMPTS[:3], **guided)
    SHARED.clear()
    with on_both(model) as opened:
        assert same(opened.generate_batch(PROMPTS[:3], **guided), expected)
    assert len(halves.of("encode")) == 2 * 2


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("overlap", [True, False])
def test_progress_of_prompts(halves: Halves, model: SyntheticSet, overlap: bool) -> None:
    """A picture whose prompts are encoded beside has a phase of its own for that, told of before its denoising.

    Without the other half, all prompts are one phase of the first picture. Fractions never fall.
    """
    reports: list[Progress] = []
    with on_both(model) as generator:
        drawn = generator.generate_batch(PROMPTS, overlap=overlap, on_progress=reports.append, **EACH)
    with_phase = range(COUNT) if overlap else range(1)
    assert {one.image for one in reports if one.phase is Phase.ENCODE} == set(with_phase)
    for number in with_phase:
        places = [at for at, one in enumerate(reports) if (one.phase, one.image) == (Phase.ENCODE, number)]
        fractions = [reports[at].fraction for at in places]
        assert (fractions[0], fractions[-1]) == (0, 1)
        assert fractions == sorted(fractions)
        steps = [at for at, one in enumerate(reports) if one.phase is Phase.DENOISE]
        assert places[-1] < next(at for at in steps if reports[at].image == number)
        if number:
            assert max(at for at in steps if reports[at].image == number - 1) < places[0]
    assert [one.timings["encode"] > 0 for one in drawn] == [number in with_phase for number in range(COUNT)]
    assert halves.of("encode") == [] or overlap


@pytest.mark.usefixtures("nothing_kept")
def test_a_prompt_that_is_too_long_is_refused_before_anything_is_drawn(halves: Halves, model: SyntheticSet) -> None:
    """Wherever it stands in the batch."""
    handed: list[GeneratedImage] = []
    with on_both(model) as generator, pytest.raises(SettingsError, match="tokens"):
        generator.generate_batch([*PROMPTS, "word " * 2000], on_image=handed.append, **EACH)
    assert handed == []
    assert halves.beside == []


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("fault", [library.lib.SDPY_FAULT_EXCEPTION, library.lib.SDPY_FAULT_BAD_ALLOC])
def test_prompts_that_fail_beside_are_encoded_in_their_turn(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet, each: list[GeneratedImage], fault: int
) -> None:
    """By the first engine, and so are those after them."""
    halves.instead = {"encode 1": FaultRequest(fault)}
    with on_both(model, isolation="auto") as generator:
        drawn = generator.generate_batch(PROMPTS, **EACH)
    assert same(drawn, each)
    assert len(halves.beside) == 1
    assert gpu.requests.count("EncodeRequest") == 1 + 2
    denoised = [at for at, request in enumerate(gpu.requests) if request == "DenoiseRequest"]
    encoded = [at for at, request in enumerate(gpu.requests) if request == "EncodeRequest"]
    assert encoded[0] < denoised[0] < denoised[1] < encoded[1] < denoised[2] < encoded[2] < denoised[3]
    assert all(one.timings["encode"] > 0 for one in drawn)


@pytest.mark.usefixtures("nothing_kept")
def test_an_error_in_encoding_comes_after_the_pictures_before_it(
    gpu: PlayedGpu, halves: Halves, model: SyntheticSet
) -> None:
    """In the words that it would have had before all of them."""
    halves.instead = {"encode 1": FaultRequest(library.lib.SDPY_FAULT_EXCEPTION)}
    found = []
    for overlap in (True, False):
        SHARED.clear()
        encoded: list[bool] = []

        def third(request: Request, overlap: bool = overlap, encoded: list[bool] = encoded) -> bool:
            encoded.append(isinstance(request, EncodeRequest))
            return encoded[-1] and sum(encoded) == (2 if overlap else 3)

        gpu.losses = [third]
        handed: list[GeneratedImage] = []
        with on_both(model, fallback=False) as generator, pytest.raises(DeviceLostError) as caught:
            generator.generate_batch(PROMPTS, overlap=overlap, on_image=handed.append, **EACH)
        found.append(str(caught.value))
        assert [one.seed for one in handed] == [EACH["seed"]] * 2 * overlap
    assert found[0] == found[1]


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("moment", ["while both work", "while the encoder is waited for", "in a callback"])
def test_what_stops_a_call_ends_encoding_too(
    halves: Halves, model: SyntheticSet, each: list[GeneratedImage], moment: str
) -> None:
    """Whichever half is at work: the call is over, nothing goes on, and the next one is right."""
    halves.instead = {"encode 1": FOREVER}
    others: list[threading.Thread] = []
    whim = Whim("enough")
    with on_both(model) as generator:

        def stop(progress: Progress) -> None:
            if progress.phase is not Phase.DENOISE or progress.image != 1:
                return
            if moment == "in a callback":
                raise whim
            if moment == "while both work":
                generator.cancel()
            elif progress.fraction == 1:
                others.append(threading.Thread(target=generator.cancel))
                others[-1].start()

        with pytest.raises((GenerationCancelled, Whim)) as caught:
            generator.generate_batch(PROMPTS, on_progress=stop, **EACH)
        assert (caught.value is whim) == (moment == "in a callback")
        assert generator._pipeline.beside is None
        halves.instead = {}
        assert same(generator.generate_batch(PROMPTS, **EACH), each)
    for other in others:
        other.join()


@pytest.mark.usefixtures("nothing_kept")
def test_a_crash_of_the_denoiser_while_the_other_half_encodes(
    halves: Halves, model: SyntheticSet, each: list[GeneratedImage]
) -> None:
    """It is made up for once the prompt is there, which is encoded once; the batch goes on as before."""
    crashed: list[int] = []
    halves.held_back = lambda: not crashed
    with on_both(model, isolation="auto") as generator:

        def crash(progress: Progress) -> None:
            engine = generator._pipeline.engine
            assert isinstance(engine, RemoteEngine)
            if progress.phase is Phase.DENOISE and progress.image == 0 and progress.fraction == 0 and not crashed:
                os.kill(engine.pid, signal.SIGKILL)
                engine._process.wait()
                crashed.append(engine.pid)

        drawn = generator.generate_batch(PROMPTS, on_progress=crash, **EACH)
    assert same(drawn, each)
    assert [event.kind for event in drawn[0].events] == ["engine_crashed", "smaller_submissions"]
    assert len(halves.of("encode")) == 2 * (COUNT - 1)
    assert len(halves.beside) == 2


@pytest.mark.usefixtures("gpu", "nothing_kept")
def test_prompts_are_encoded_beside_only_where_they_have_room(
    halves: Halves, model: SyntheticSet, each: list[GeneratedImage]
) -> None:
    """With a byte less than all that works at once takes, all are encoded first; the VAE still works beside."""
    with on_both(model, memory="all") as generator:
        needs = [generator.plan(width=64, height=64, prompt=prompt) for prompt in PROMPTS]
        vae = needs[0].part("vae").need
        encoder = max((plan.part("text_encoder").need for plan in needs), key=lambda need: need.working)
    room = encoder.weights + vae.weights + max(encoder.working, vae.working)
    for less in (1, 0):
        SHARED.clear()
        with on_both(model, memory={"cpu": room - less, GPU: "1GiB"}) as generator:
            assert same(generator.generate_batch(PROMPTS, **EACH), each)
        assert bool(halves.of("encode")) == (not less)
    assert len(halves.of("decode")) == 2 * 2 * COUNT
