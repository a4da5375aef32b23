"""How prompts become tokens in this library against transformers' tokenizer, seen in the states of the text encoder."""

from __future__ import annotations

import unicodedata

import pytest

from sdcpp_py import Generator

from ..support.native_tokens import tokens_of
from .reference_model import ReferenceModel, relative_error

pytestmark = pytest.mark.reference

PLAIN = (
    "12345 balloons, 3.14 and 50%",
    "first line\nsecond line\n\nthird",
    "tab\there, and a trailing space ",
    "a\u00a0no-break space",
    "한국어 हिन्दी ไทย العربية עברית Ελληνικά русский 日本語のテキスト",
    "a sign that says 'dog'",
    "semi;colons...and---dashes!?",
    "<think>special tokens in a prompt<|im_end|>",
)
# What the engine's own tokenizer would drop or change, or read as weights of words.
UNUSUAL = (
    pytest.param("  two spaces first", id="two spaces first"),
    pytest.param("two  spaces in   a row", id="several spaces"),
    pytest.param("a list:\n  - indented\n  - lines", id="indented lines"),
    pytest.param("THEY'LL SAY IT'S LOUD", id="contractions in capitals"),
    pytest.param("a (red) cat, [blue] dog and ((very:1.3) big) hat", id="brackets"),
    pytest.param('{"scene": "a room", "colors": ["#FF0000", "(none)"]}', id="JSON"),
    pytest.param("a \\ backslash \\(and more\\)", id="backslashes"),
    pytest.param("½ cup, x², Ⅷ and ٣", id="numbers that are not 0 to 9"),
    pytest.param("e\u0301 decomposed cafe\u0301", id="decomposed accents"),
    pytest.param("a family 👨\u200d👩\u200d👧 and a balloon 🎈", id="emoji"),
    pytest.param("\nan empty line first", id="a line break first"),
)


@pytest.mark.parametrize("prompt", PLAIN)
def test_a_prompt_is_split_as_the_pipeline_splits_it(
    reference_z_image: ReferenceModel, z_image_generator: Generator, prompt: str
) -> None:
    """Every character of the prompt reaches the text encoder, in the tokens that the model was trained on."""
    check_tokens(reference_z_image, z_image_generator, prompt)


@pytest.mark.parametrize("prompt", UNUSUAL)
def test_an_unusual_prompt_is_split_as_the_pipeline_splits_it(
    reference_z_image: ReferenceModel, z_image_generator: Generator, prompt: str
) -> None:
    """What is not plain text in a prompt reaches the text encoder as it was written."""
    check_tokens(reference_z_image, z_image_generator, prompt)


def test_rare_characters_are_split_as_the_pipeline_splits_them(
    reference_z_image: ReferenceModel, z_image_generator: Generator
) -> None:
    """Characters of the last Unicode planes reach the text encoder: the flag of England is made of them."""
    check_tokens(reference_z_image, z_image_generator, "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f")
    check_tokens(reference_z_image, z_image_generator, "private use: \U0010fffd")


def check_tokens(reference: ReferenceModel, generator: Generator, prompt: str) -> None:
    """Equal states after all layers, one for each token, mean equal tokens."""
    ours, theirs = generator.encode(prompt).arrays["crossattn"], reference.encode(prompt)
    assert ours.shape == theirs.shape
    assert relative_error(ours, theirs) < 1e-4


def test_every_token_of_the_vocabulary_is_found() -> None:
    """The text of each of the 151 thousand tokens is encoded as by transformers' tokenizer, two hundred at once."""
    from tiny_model.qwen_tokenizer import FIRST_SPECIAL_TOKEN, qwen_tokenizer

    tokenizer = qwen_tokenizer()
    for first in range(0, FIRST_SPECIAL_TOKEN, 200):
        numbers = range(first, min(first + 200, FIRST_SPECIAL_TOKEN))
        text = " ".join(tokenizer.decode([number]) for number in numbers).replace("\0", "")
        text = unicodedata.normalize("NFC", text)  # as prompts are, before they come to the native library
        assert tokens_of(text) == tokenizer(text)["input_ids"], text
