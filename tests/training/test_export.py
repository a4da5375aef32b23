"""The tiny model's files, stage by stage: this library against the code that it was trained with."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import Generator
from sdcpp_py.models.bundled import TINY, bundled_files

from ..reference.reference_model import relative_error

pytestmark = pytest.mark.training

PROMPTS = (
    "a small blue triangle left of a large yellow square on a black background",
    "a purple star",
    "",
)


def tokens_of(prompt: str) -> tuple[Any, Any]:
    """The 512 token ids of a prompt and the mask of its pads, as diffusers' pipeline makes them."""
    from tiny_model.qwen_tokenizer import qwen_tokenizer

    tokenizer = qwen_tokenizer()
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    batch = tokenizer(text, return_tensors="pt", padding="max_length", truncation=True, max_length=512)
    return batch["input_ids"], batch["attention_mask"]


def reference_states(prompt: str) -> NDArray[np.float32]:
    """Hidden layers 9, 18 and 27 of the encoder's file in transformers, side by side."""
    import torch
    from tiny_model.files import read_text_encoder

    ids, mask = tokens_of(prompt)
    with torch.inference_mode():
        model = read_text_encoder(bundled_files(TINY).text_encoder)
        hidden = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
    states: NDArray[np.float32] = torch.cat([hidden[layer] for layer in (9, 18, 27)], dim=-1)[0].numpy()
    return states


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_and_encoder_states_agree(tiny: Generator, prompt: str) -> None:
    """All 512 states are those of transformers over transformers' tokenizer, pads included, up to half precision."""
    ours = tiny.encode(prompt).arrays["crossattn"]
    reference = reference_states(prompt)
    assert ours.shape == reference.shape == (512, 96)
    used = int(tokens_of(prompt)[1].sum())
    assert relative_error(ours[:used], reference[:used]) < 0.01
    assert relative_error(ours[used:], reference[used:]) < 0.01


def test_the_training_reads_captions_as_the_whole_encoder_does() -> None:
    """Trained layers and heads alone, with a few pads, give the states that all 28 layers give over all 512 tokens."""
    import torch
    from tiny_model.files import read_text_encoder
    from tiny_model.lessons import some_states
    from tiny_model.text_encoder import Vocabulary, trained_part

    prompt = PROMPTS[0]
    vocabulary = Vocabulary([prompt])
    encoder = trained_part(read_text_encoder(bundled_files(TINY).text_encoder).state_dict(), vocabulary)
    text = some_states(encoder, vocabulary, [prompt], np.random.default_rng(0), words=20, pads=20)
    assert relative_error(text.states[0].numpy(), reference_states(prompt)[text.positions.numpy()]) < 1e-4
    assert torch.exp(text.bias).sum() == pytest.approx(512)


@pytest.mark.parametrize("size", [(128, 128), (192, 128)])
def test_one_step_of_the_denoiser_agrees(tiny: Generator, size: tuple[int, int]) -> None:
    """From the same noise and text, one step to noise level 0 gives noise minus diffusers' velocity.

    The engine multiplies with activations in eight bits where the weights have eight; that is the difference allowed.
    """
    import torch
    from tiny_model.files import read_denoiser
    from tiny_model.flow import velocity
    from tiny_model.lessons import TextStates

    noise = np.random.default_rng(1).standard_normal((128, size[1] // 16, size[0] // 16), dtype=np.float32)
    ours = tiny.generate(
        PROMPTS[0], width=size[0], height=size[1], steps=1, noise=noise, seed=0, return_latent=True
    ).latent
    states = torch.tensor(tiny.encode(PROMPTS[0]).arrays["crossattn"])[None]
    text = TextStates(states, torch.arange(512), torch.zeros(1, 512))
    with torch.inference_mode():
        model = read_denoiser(bundled_files(TINY).diffusion_model)
        step = velocity(model, torch.from_numpy(noise)[None], text, torch.ones(1))[0].numpy()
    assert ours is not None
    assert relative_error(noise - ours, step) < 0.02


def test_the_picture_of_a_latent_agrees(tiny: Generator) -> None:
    """The latent of four steps, decoded by the training's autoencoder, is the library's picture within a grey level."""
    import torch
    from tiny_model.autoencoder import unpatchify
    from tiny_model.files import read_autoencoder

    picture = tiny.generate(PROMPTS[0], seed=2, return_latent=True)
    assert picture.latent is not None
    with torch.inference_mode():
        model = read_autoencoder(bundled_files(TINY).vae)
        decoded = model.decode(unpatchify(torch.from_numpy(picture.latent)[None]))[0]
    reference = 255 * decoded.clamp(0, 1).permute(1, 2, 0).numpy()
    difference = np.abs(np.asarray(picture.image, dtype=np.float32) - reference)
    assert difference.mean() < 1
    assert difference.max() < 8


def test_four_steps_agree_with_diffusers_from_noise_to_latent(tiny: Generator) -> None:
    """The whole way, at the library's noise levels, ends where diffusers' model does."""
    import torch
    from tiny_model.files import read_denoiser
    from tiny_model.flow import sample
    from tiny_model.lessons import TextStates

    noise = np.random.default_rng(3).standard_normal((128, 8, 8), dtype=np.float32)
    ours = tiny.generate(PROMPTS[0], noise=noise, seed=0, return_latent=True).latent
    text = TextStates(torch.from_numpy(reference_states(PROMPTS[0]))[None], torch.arange(512), torch.zeros(1, 512))
    model = read_denoiser(bundled_files(TINY).diffusion_model)
    latent = sample(model, text, torch.from_numpy(noise)[None], tiny.family.sigmas(4, 128, 128))[0].numpy()
    assert ours is not None
    assert relative_error(ours, latent) < 0.05


def test_the_encoder_half_of_the_autoencoder_undoes_the_decoder(tiny: Generator) -> None:
    """A drawn picture, encoded and decoded again, is the same picture: the way that image to image will take."""
    import torch
    from tiny_model.autoencoder import as_input
    from tiny_model.files import read_autoencoder

    picture = np.asarray(tiny.generate(PROMPTS[0], seed=2).image)
    with torch.inference_mode():
        model = read_autoencoder(bundled_files(TINY).vae)
        again = model.decode(model.encode(as_input(picture[None].copy())))
    difference = np.abs(255 * again[0].clamp(0, 1).permute(1, 2, 0).numpy() - picture)
    assert difference.mean() < 6


def test_sigmas_of_four_steps_are_where_training_looked(tiny: Generator) -> None:
    """All noise levels that the default visits before 0 lie where half of the training took place."""
    for width, height in itertools.product((96, 128, 192), repeat=2):
        assert min(tiny.family.sigmas(4, width, height)[:-1]) > 0.6
