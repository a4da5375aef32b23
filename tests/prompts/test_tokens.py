"""Prompts as tokens, without transformers; against it in ``tests/reference/``."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdcpp_py import Generator
from sdcpp_py._native.library import lib
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_set

from ..support.clip_prompts import CLIP_PROMPTS
from ..support.native_tokens import tokens_of

# What transformers' tokenizer gives (tests/reference/write_clip_tokens.py).
CLIP_TOKENS: dict[str, list[int]] = json.loads(
    (Path(__file__).parents[1] / "data" / "clip_tokens.json").read_text(encoding="utf-8")
)


def test_known_texts_have_their_known_tokens() -> None:
    """Qwen's own numbers for texts whose tokens are published with the models."""
    assert tokens_of("Hello world!") == [9707, 1879, 0]
    assert tokens_of("<|im_start|>") == [151644]
    assert tokens_of("") == []


@pytest.mark.parametrize("prompt", CLIP_PROMPTS)
def test_clip_reads_every_alphabet(prompt: str) -> None:
    """Capitals, accents, white space and marks become the tokens that CLIP was trained on."""
    assert tokens_of(prompt, "clip") == CLIP_TOKENS[prompt]


def test_capitals_say_nothing_to_clip() -> None:
    """A text and the same text in capitals are one, in alphabets where each letter has one of the other kind."""
    for text in ("crème brûlée", "москва", "երեվան", "ⅻ ⓐ", "𐐨𐐩"):
        assert tokens_of(text.upper(), "clip") == tokens_of(text, "clip")


def test_a_text_leaves_nothing_for_the_next() -> None:
    """Each text has its own tokens, whatever was read before it, in every thread."""
    texts = ["user\n", "cat", "\ncat", "x user\n", "", "user", "\n", "CAFÉ", "<|endoftext|>"] * 20
    alone = {text: {name: tokens_of(text, name) for name in ("qwen", "clip")} for text in sorted(texts)}
    assert alone["user\n"]["qwen"] == [872, 198]
    assert alone["cat"]["qwen"] == [4616]
    for name in ("qwen", "clip"):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda text, name=name: tokens_of(text, name), texts))
        assert found == [alone[text][name] for text in texts]


@pytest.mark.parametrize("tokenizer", ["qwen", "clip"])
def test_a_word_of_any_length_is_encoded(tokenizer: str) -> None:
    """A word of forty thousand letters, which has as many neighbours to merge, has the tokens of its pieces."""
    few, many = tokens_of("ab" * 10, tokenizer), tokens_of("ab" * 20_000, tokenizer)
    assert set(few) == set(many)
    assert len(many) < 40_000


# Each model's tokenizers of those that are Qwen's, CLIP-L's, CLIP-G's and T5's; the tiny SD3 has no T5.
TOKENIZERS = {
    "tiny-klein": 1,
    "tiny-z-image": 1,
    "tiny-qwen-image": 1,
    "tiny-flux1": 2,
    "tiny-chroma": 1,
    "tiny-sd3": 2,
}


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_prompt_is_tokenized_once(name: str, tmp_path: Path) -> None:
    """Measuring what encoding needs, counting its states and encoding read a prompt once with each tokenizer."""
    files = write_set(name, tmp_path, quant="F16")
    with Generator(**arguments_of(files.files), device="cpu") as generator:
        generator.generate("a red fox", cfg_scale=1, width=64, height=64, steps=1)  # reads the template too
        before = lib.sdpy_texts_read()
        generator.plan(prompt="a blue fox", width=64, height=64)
        generator.generate("a blue fox", cfg_scale=1, width=64, height=64, steps=1)
        assert lib.sdpy_texts_read() - before == TOKENIZERS[name]
