"""The native tokenizer by itself."""

from __future__ import annotations

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import Status


def tokens_of(text: str) -> list[int]:
    """The numbers of the tokens of ``text``."""
    found, count, failure = ffi.new("int[65536]"), ffi.new("int *"), ffi.new("sdpy_failure *")
    assert lib.sdpy_tokenize(text.encode(), found, len(found), count, failure) == Status.OK
    return list(found[0 : count[0]])
