"""Prompts for the families with CLIP and T5, and for Qwen-Image: of any length and any text, and kept as they are."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sdcpp_py import EncodedPrompt, ModelMismatchError, SettingsError
from sdcpp_py.prompts.cache import SHARED
from tests.support.examples import examples

from ..models.test_families import Opened, folder, opened

__all__ = ["folder", "opened"]  # fixtures

# FLUX.1 schnell and Fill read prompts as dev does.
pytestmark = pytest.mark.parametrize(
    "opened", ["tiny-flux1", "tiny-chroma", "tiny-sd3", "tiny-qwen-image"], indirect=True, scope="module"
)

# What tokenizers, the engine's own marks for weights and loras, and formats of printf might stumble over.
PIECES = (
    "a cat", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "(", ")", "[", "]", "(a:1.3)", "[b]", ":", "\\", "\\(", "'",
    '"', "'s", "BREAK", "<lora:x:1>", "<|endoftext|>", "<|startoftext|>", "<|im_start|>", "</s>", "<pad>",
    "<extra_id_0>", "%s%n", "e\u0301", "\u0300" * 9, "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\u732b",
    "\u202e\u05d0", "\ufeff", "\u2581", "\ue000", "\U0010ffff", "\x01\x7f", "\u00df\u1e9e\u0130", "x" * 99,
    "1234567890", "\u0e01\u0e33", "\uac00", "\u1100\u1161",
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def encoded(opened: Opened, text: str) -> EncodedPrompt:
    """A prompt's states, which are numbers, and as many as the denoiser reads of them."""
    prompt = opened.generator.encode(text)
    states, vector = prompt.arrays["crossattn"], prompt.arrays.get("vector")
    assert states.shape[0] > 0
    assert np.isfinite(states).all()
    if opened.family.name == "chroma":  # the vector says which states are read
        assert vector is not None
        assert vector.shape == states.shape[:1]
        assert set(np.unique(vector)) <= {0.0, -np.inf}
        assert 0.0 in vector
    elif vector is not None:
        assert np.isfinite(vector).all()
    return prompt


def differs(one: EncodedPrompt, other: EncodedPrompt) -> bool:
    """Whether a denoiser reads something else."""
    return any(not np.array_equal(other.arrays[name], array) for name, array in one.arrays.items())


@pytest.fixture(scope="module", autouse=True)
def no_prompt_is_known() -> None:
    """Nothing that another test encoded is taken for what is encoded here."""
    SHARED.clear()


@pytest.mark.sample(1)
def test_a_prompt_is_encoded_once_and_kept(opened: Opened, tmp_path: Path) -> None:
    """An encoded prompt, pickled, saved and loaded or read from the cache's folder, gives the same picture."""
    expected = opened.draw("a cat in advance")
    prompt = encoded(opened, "a cat in advance")
    assert opened.generator.encode("a cat in advance") is prompt
    kept = [pickle.loads(pickle.dumps(prompt)), EncodedPrompt.load(prompt.save(tmp_path / "p.npz"))]
    SHARED.clear()
    with opened.open(cache_dir=tmp_path / "cache") as generator:
        generator.encode("a cat in advance")
    [file] = (tmp_path / "cache").iterdir()
    kept.append(EncodedPrompt.load(file))
    for other in kept:
        assert other.arrays.keys() == prompt.arrays.keys()
        assert all(np.array_equal(other.arrays[name], array) for name, array in prompt.arrays.items())
    for other in (prompt, *kept[:2]):
        assert np.array_equal(opened.draw(other), expected)


@pytest.mark.sample(1)
def test_a_negative_prompt_can_be_encoded_in_advance(opened: Opened) -> None:
    """Both prompts as text, or both encoded: the same picture, also where they are of different lengths."""
    texts = ("a cat", "a dog " * 100)
    prompts = [opened.generator.encode(text) for text in texts]
    expected = opened.draw(texts[0], negative_prompt=texts[1], cfg_scale=3.0)
    assert np.array_equal(opened.draw(prompts[0], negative_prompt=prompts[1], cfg_scale=3.0), expected)


@pytest.mark.sample(2)
@pytest.mark.parametrize("text", ["word " * 100, "word " * 1000, "x" * 1000])
def test_long_prompts_are_read_to_their_end(opened: Opened, text: str) -> None:
    """Of several chunks and of many, the last word changes the states."""
    prompt, other = encoded(opened, text), encoded(opened, text + " sea")
    assert differs(prompt, other)
    plan = opened.generator.plan(width=64, height=64, prompt=text)
    assert plan.part("text_encoder").need.working > 0
    if len(text) <= 1000:
        assert opened.draw(prompt).std() > 5


@pytest.mark.sample(1)
def test_a_prompt_of_eight_thousand_characters_draws(opened: Opened) -> None:
    """There is no end to what these families read."""
    assert opened.draw(encoded(opened, ("many words " * 800)[:8000])).std() > 5


@pytest.mark.sample(6)
@pytest.mark.parametrize("text", ["", " " * 8192, "\n" * 200, '"' * 500, "(" * 500, "<|endoftext|>" * 40])
def test_texts_that_say_nothing_draw(opened: Opened, text: str) -> None:
    """Nothing, spaces, quotes, brackets and marks of ends are prompts as others are."""
    assert opened.draw(encoded(opened, text)).std() > 5


@pytest.mark.sample(2)
@profile(max_examples=examples(25))
@given(TEXTS | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_is_a_prompt(opened: Opened, text: str) -> None:
    """Whatever a prompt says, it has states."""
    encoded(opened, text)


@pytest.mark.sample(4)
@pytest.mark.parametrize("text", ["a\0cat", "a \ud800 cat", "\udfff"])
def test_what_is_no_text_is_refused(opened: Opened, text: str) -> None:
    """A NUL character and half a surrogate pair are no text, and the generator goes on."""
    for arguments in ({"prompt": text}, {"prompt": "a cat", "negative_prompt": text, "cfg_scale": 2.0}):
        with pytest.raises(SettingsError, match="prompt"):
            opened.draw(**arguments)
    opened.draw()


def test_brackets_and_weights_are_words(opened: Opened) -> None:
    """What other programs take for weights is part of the prompt: nothing is cut out of it."""
    plain = encoded(opened, "a red cat")
    for text in ("a (red:1.5) cat", "a [red] cat", "a ((red)) cat"):
        assert differs(plain, encoded(opened, text))


# The arrays that come from CLIP alone; there is no T5 in the tiny Stable Diffusion 3.
READ_BY_CLIP = {"tiny-flux1": {"vector"}, "tiny-sd3": {"crossattn", "vector"}}


def test_capitals_are_small_letters_to_clip_alone(opened: Opened) -> None:
    """In every alphabet; T5 and Qwen tell them apart, and the prompt is kept as it was written."""
    small, capitals = encoded(opened, "crème, москва"), encoded(opened, "CRÈME, МОСКВА")
    assert capitals.prompt == "CRÈME, МОСКВА"
    by_clip = READ_BY_CLIP.get(opened.name, set())
    assert all(np.array_equal(small.arrays[name], capitals.arrays[name]) for name in by_clip)
    assert np.array_equal(small.arrays["crossattn"], capitals.arrays["crossattn"]) == ("crossattn" in by_clip)


def test_a_letter_with_its_accent_apart_is_one_letter(opened: Opened) -> None:
    """Composed or not, a text has the same states."""
    assert not differs(encoded(opened, "cr\u00e8me"), encoded(opened, "cre\u0300me"))


def test_states_that_are_not_whole_are_refused(opened: Opened) -> None:
    """Arrays that are not there, or of another size than the denoiser reads, are refused, and none is read too far."""
    prompt = opened.generator.encode("a cat")
    expected = opened.draw(prompt)
    states, vector = prompt.arrays["crossattn"], prompt.arrays.get("vector")
    wrong: list[dict[str, np.ndarray]] = [{"crossattn": states[:, :-1]}]
    if vector is not None:
        wrong += [{"crossattn": states, "vector": array} for array in (vector[:5], np.tile(vector, 3))]
        if opened.family.name != "chroma":
            wrong.append({"crossattn": states})
    for arrays in wrong:
        with pytest.raises((ModelMismatchError, SettingsError)):
            opened.draw(replace(prompt, arrays=arrays))
    assert np.array_equal(opened.draw(prompt), expected)


def test_a_prompt_of_another_family_is_refused(opened: Opened) -> None:
    """Families read different things of one encoder, so each takes only its own prompts."""
    other = EncodedPrompt("a cat", "z-image", dict(opened.generator.encode("a cat").arrays))
    with pytest.raises(ModelMismatchError, match="encoded for z-image"):
        opened.draw(other)
