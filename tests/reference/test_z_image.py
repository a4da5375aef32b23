"""Z-Image in this library against Z-Image in diffusers."""

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


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_text_states_are_those_of_the_pipeline(
    reference_z_image: ReferenceModel, z_image_generator: Generator, prompt: str
) -> None:
    """The states after the last layer but one are the pipeline's, one for each token of the prompt and no padding."""
    states = z_image_generator.encode(prompt).arrays["crossattn"]
    reference = reference_z_image.encode(prompt)

    assert states.shape == reference.shape
    assert relative_error(states, reference) < 1e-4


@pytest.mark.parametrize(
    ("width", "height", "steps"), [(128, 128, 4), pytest.param(144, 80, 8, id="tokens to pad and the default steps")]
)
def test_the_drawing_is_that_of_the_pipeline(
    reference_z_image: ReferenceModel, z_image_generator: Generator, width: int, height: int, steps: int
) -> None:
    """The same noise and prompt give the pipeline's latent and picture, with the default noise levels of both."""
    noise = np.random.default_rng(0).standard_normal((16, height // 8, width // 8), dtype=np.float32)

    reference = reference_z_image.draw(PROMPTS[0], noise, width=width, height=height, steps=steps)
    ours = z_image_generator.generate(
        PROMPTS[0], width=width, height=height, steps=steps, noise=noise, return_latent=True
    )

    assert reference.steps == steps
    sigmas = z_image_generator.family.sigmas(steps, width, height)
    np.testing.assert_allclose(sigmas, reference.sigmas, rtol=0, atol=3e-7)
    assert ours.latent is not None
    assert relative_error(ours.latent, reference.latent) < 1e-4
    # The engine's convolutions have half-precision weights, and the pixels are whole numbers.
    difference = np.abs(np.asarray(ours.image, dtype=np.float32) - 255.0 * reference.picture)
    assert difference.max() < 3.0
    assert difference.mean() < 0.5
