"""Prompts as tokens, without transformers; against it in ``tests/reference/test_tokens.py``."""

from __future__ import annotations

import time

from ..support.native_tokens import tokens_of


def test_known_texts_have_their_known_tokens() -> None:
    """Qwen's own numbers for texts whose tokens are published with the models."""
    assert tokens_of("Hello world!") == [9707, 1879, 0]
    assert tokens_of("<|im_start|>") == [151644]
    assert tokens_of("") == []


def test_a_long_word_takes_no_longer_than_its_length() -> None:
    """A word of forty thousand letters, which has as many neighbours to merge, is encoded in well under a second."""
    begun = time.perf_counter()
    assert len(tokens_of("ab" * 20_000)) < 40_000
    assert time.perf_counter() - begun < 1
