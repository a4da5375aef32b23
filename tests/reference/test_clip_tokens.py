"""How prompts become CLIP's tokens in this library against transformers' tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sdcpp_py.prompts.encoded import normalized

from ..support.clip_prompts import CLIP_PROMPTS
from ..support.native_tokens import tokens_of

pytestmark = pytest.mark.reference

# Runs of one alphabet are long words; anything else is between them.
ALPHABETS = st.sampled_from(
    ["aAzZéÉ", "αΣσςΏ", "жЖёЁ", "աԱևՖ", "ꭰᏰ", "İIıi̇", "一字", "हिन्दी", "𐐀𐐨", "ǅǄǆ", "ẞß", "KÅΩ"]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0"), max_size=60),
    st.lists(ALPHABETS.flatmap(lambda letters: st.text(letters + " '-,1\n", max_size=12)), max_size=6).map("".join),
)


@pytest.fixture(scope="module")
def reference() -> object:
    """The tokenizer of transformers."""
    from .clip_tokenizer import clip_tokenizer

    return clip_tokenizer()


def theirs(reference: object, text: str) -> list[int]:
    return reference(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize("prompt", CLIP_PROMPTS)
def test_a_prompt_is_read_as_transformers_reads_it(reference: object, prompt: str) -> None:
    """Of every alphabet, composed or not, with any white space and capitals: the same tokens."""
    assert tokens_of(prompt, "clip") == theirs(reference, prompt)


def test_the_recorded_tokens_are_transformers_own(reference: object) -> None:
    """What the default tests compare with is what the tokenizer gives now."""
    from .write_clip_tokens import RECORDED, recorded

    assert RECORDED.read_text(encoding="utf-8") == recorded()


@profile(max_examples=1500)
@given(TEXTS)
@example("<|startoftext|>a<|endoftext|>")
def test_any_text_is_read_as_transformers_reads_it(reference: object, text: str) -> None:
    """Whatever a prompt says, in whatever alphabet."""
    # Its tables of which accents change places are older than Python's.
    assume(reference.backend_tokenizer.normalizer[0].normalize_str(text) == normalized(text))  # type: ignore[attr-defined]
    assert tokens_of(text, "clip") == theirs(reference, text)


def test_every_character_is_lowered_as_transformers_lowers_it(reference: object) -> None:
    """All characters that have a lower case, one by one: none is missed and none is taken for another."""
    for point in range(0x110000):
        letter = chr(point)
        if letter.lower() != letter:
            assert tokens_of(f"x{letter}x", "clip") == theirs(reference, f"x{letter}x"), hex(point)


def test_every_token_of_the_vocabulary_is_found(reference: object) -> None:
    """Each of the 49 thousand tokens, as a word of its own and as the beginning of one, a hundred at once."""
    from .clip_tokenizer import ORDINARY_TOKENS

    words = [reference.convert_ids_to_tokens(number) for number in range(ORDINARY_TOKENS)]  # type: ignore[attr-defined]
    texts = [reference.backend_tokenizer.decoder.decode([word.removesuffix("</w>")]) for word in words]  # type: ignore[attr-defined]
    for first in range(0, ORDINARY_TOKENS, 100):
        text = " ".join(texts[first : first + 100]).replace("\0", "")
        assert tokens_of(text, "clip") == theirs(reference, text), text
