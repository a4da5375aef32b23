"""FLUX.2 Klein in this library against FLUX.2 Klein in diffusers."""

from __future__ import annotations

import numpy as np
import pytest

from sdcpp_py import Generator

from .reference_model import ReferenceModel, relative_error

pytestmark = pytest.mark.reference

PROMPTS = (
    "a lovely cat on a windowsill",
    "",
    "It's 3:45 pm; they'll draw\n12345 red-and-blue balloons, won't they?",
    "一只猫坐在窗台上，水彩画，über naïve café",
)
PAD_TOKENS_BEGIN = 200
"""None of the prompts has as many tokens."""


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_text_states_are_those_of_the_pipeline(
    reference_klein: ReferenceModel, klein_generator: Generator, prompt: str
) -> None:
    """Each of the three layers read gives the pipeline's states, on the prompt's tokens and on the padding."""
    states = klein_generator.encode(prompt).arrays["crossattn"]
    reference = reference_klein.encode(prompt)

    assert states.shape == reference.shape == (512, 192)
    for part in (slice(0, PAD_TOKENS_BEGIN), slice(PAD_TOKENS_BEGIN, None)):
        layers = zip(np.split(states[part], 3, axis=1), np.split(reference[part], 3, axis=1), strict=True)
        assert max(relative_error(ours, theirs) for ours, theirs in layers) < 1e-4


@pytest.mark.parametrize(
    ("width", "height", "steps"), [(128, 128, 4), pytest.param(192, 128, 3, id="another shape and step count")]
)
def test_the_drawing_is_that_of_the_pipeline(
    reference_klein: ReferenceModel, klein_generator: Generator, width: int, height: int, steps: int
) -> None:
    """The same noise and prompt give the pipeline's latent and picture, with the default noise levels of both."""
    noise = np.random.default_rng(0).standard_normal((128, height // 16, width // 16), dtype=np.float32)

    reference = reference_klein.draw(PROMPTS[0], noise, width=width, height=height, steps=steps)
    ours = klein_generator.generate(
        PROMPTS[0], width=width, height=height, steps=steps, noise=noise, return_latent=True
    )

    assert reference.steps == steps
    sigmas = klein_generator.family.sigmas(steps, width, height)
    np.testing.assert_allclose(sigmas, reference.sigmas, rtol=0, atol=3e-7)
    assert ours.latent is not None
    assert relative_error(ours.latent, reference.latent) < 1e-4
    # The engine's convolutions have half-precision weights, and the pixels are whole numbers.
    difference = np.abs(np.asarray(ours.image, dtype=np.float32) - 255.0 * reference.picture)
    assert difference.max() < 3.0
    assert difference.mean() < 0.5
