"""Every decoded picture is looked at: what a GPU made nothing of, the CPU decodes again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import GeneratedImage, GenerationError, Generator, Phase
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, Request
from sdcpp_py._native.status import NotNumbersError
from sdcpp_py.images.soundness import fault_of, likeness
from sdcpp_py.synth import SyntheticSet
from tests.support.played_gpu import GPU, PlayedGpu

from .test_recovery import kinds, on_gpu

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "seed": 3}
Pixels = NDArray[np.uint8]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> PlayedGpu:
    """A GPU beside the CPU."""
    return PlayedGpu(monkeypatch)


@pytest.fixture(scope="module")
def expected(generator: Generator) -> Pixels:
    """The picture that nothing happened to."""
    return np.asarray(generator.generate("cat", **SMALL))


def flat(pixels: Pixels) -> Pixels:
    return np.full_like(pixels, 77)


def no_numbers(pixels: Pixels) -> Pixels:
    raise NotNumbersError("the VAE gave values that are not numbers")


@pytest.mark.parametrize("spoil", [flat, no_numbers])
@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_the_cpu_decodes_again(
    gpu: PlayedGpu, model: SyntheticSet, expected: Pixels, spoil: Any, isolation: str
) -> None:
    """A picture of one colour, or of no numbers, is decoded on the CPU, which keeps the VAE; the denoiser stays."""
    with on_gpu(model, isolation=isolation) as generator, gpu.decoding(generator, spoil):
        drawn = generator.generate("cat", **SMALL)
        assert (generator.device, generator._pipeline.placement["vae"].name) == (GPU, "cpu")
        assert np.array_equal(np.asarray(drawn), expected)
        assert [(event.kind, event.phase, event.device) for event in drawn.events] == [
            ("bad_picture", Phase.DECODE, GPU)
        ]
        assert generator.generate("cat", **SMALL).events == ()
    assert gpu.requests.count("DenoiseRequest") == 2
    assert len(gpu.targets) == 1


def test_noise_is_decoded_again(gpu: PlayedGpu, tiny: Generator) -> None:
    """Noise is told from a picture by its latent: a trained model's is smooth."""
    wanted = np.asarray(tiny.generate("a red circle", **{**SMALL, "steps": 4}))
    numbers = np.random.default_rng(0)

    def noise(pixels: Pixels) -> Pixels:
        return numbers.integers(0, 256, pixels.shape, np.uint8)

    with Generator.from_pretrained("tiny", threads=1) as generator, gpu.decoding(generator, noise):
        drawn = generator.generate("a red circle", **{**SMALL, "steps": 4})
    assert kinds(drawn) == ["bad_picture"]
    assert "noise" in drawn.events[0].message
    assert np.array_equal(np.asarray(drawn), wanted)


def always_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every device decode to one colour, as for a prompt that wants it."""
    run = Engine.run

    def spoiled(self: Engine, request: Request, *listen: Any) -> dict[str, Any]:
        found = run(self, request, *listen)
        return {"image": flat(found["image"])} if isinstance(request, DecodeRequest) else found

    monkeypatch.setattr(Engine, "run", spoiled)


def test_a_gpu_that_was_right_keeps_the_vae(
    gpu: PlayedGpu, model: SyntheticSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the CPU gives the same colour, a prompt wanted it: the GPU goes on, and the picture is warned of."""
    always_flat(monkeypatch)
    with on_gpu(model, isolation="thread") as generator:
        for _ in range(2):
            drawn = generator.generate("cat", **SMALL)
            assert kinds(drawn) == ["bad_picture", "suspect_picture"]
            assert generator._pipeline.placement["vae"].name == GPU
    assert len(np.unique(np.asarray(drawn))) == 1


@pytest.mark.parametrize("arguments", [{"device": GPU}, {"fallback": False}, {"device": {"vae": GPU}}])
def test_a_vae_that_may_not_move(gpu: PlayedGpu, model: SyntheticSet, arguments: dict[str, Any]) -> None:
    """Where its device was chosen, or nothing may move, one colour is warned of, and no numbers are an error."""
    with on_gpu(model, isolation="thread", **arguments) as generator:
        with gpu.decoding(generator, flat):
            drawn = generator.generate("cat", **SMALL)
        assert kinds(drawn) == ["suspect_picture"]
        with gpu.decoding(generator, no_numbers), pytest.raises(GenerationError, match="not numbers") as caught:
            generator.generate("cat", **SMALL)
        assert type(caught.value) is GenerationError
        assert generator._pipeline.placement["vae"].name == GPU


def test_one_colour_on_the_cpu_is_a_warning(
    model: SyntheticSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A prompt may want it, so it is no error; the event and the log say it."""
    always_flat(monkeypatch)
    files = (model.diffusion_model, model.text_encoder, model.vae)
    with Generator(*files, device="cpu", isolation="thread") as generator, caplog.at_level(logging.WARNING, "sdcpp_py"):
        drawn = generator.generate("cat", **SMALL)
    assert [(event.kind, event.device) for event in drawn.events] == [("suspect_picture", "cpu")]
    assert "of one colour" in caplog.text


@pytest.mark.parametrize("prompt", ["a red circle on a blue background", "two green squares", ""])
def test_pictures_have_no_fault(tiny: Generator, prompt: str) -> None:
    """Pictures of a trained model are far from both."""
    drawn = tiny.generate(prompt, width=128, height=128, steps=4, seed=5, return_latent=True)
    assert drawn.latent is not None
    assert drawn.events == ()
    assert fault_of(np.asarray(drawn), drawn.latent) == ""
    assert likeness(np.moveaxis(np.asarray(drawn, np.float32), -1, 0)) > 0.6


def test_pictures_of_random_weights_have_no_fault(generator: Generator, klein_generator: Generator) -> None:
    """What a model makes that nobody trained is odd, and still a picture."""
    drawn: list[GeneratedImage] = [one.generate("cat", **SMALL) for one in (generator, klein_generator)]
    assert [one.events for one in drawn] == [(), ()]


def test_a_mask_does_not_hide_it(gpu: PlayedGpu, model: SyntheticSet, tmp_path: Path) -> None:
    """What is looked at is what was decoded, and not the init image that is put back around it."""
    image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    with on_gpu(model) as generator, gpu.decoding(generator, flat):
        drawn = generator.generate("cat", image=image, mask=mask, **SMALL)
    assert kinds(drawn) == ["bad_picture"]
