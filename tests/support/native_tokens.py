"""The native tokenizers by themselves."""

from __future__ import annotations

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import Status
from sdcpp_py.prompts.encoded import normalized


def tokens_of(text: str, tokenizer: str = "qwen") -> list[int]:
    """The numbers of the tokens of ``text``, as a prompt comes to the engine; the tokenizer is "qwen" or "clip"."""
    found, count, failure = ffi.new("int[65536]"), ffi.new("int *"), ffi.new("sdpy_failure *")
    native = normalized(text).encode()
    assert lib.sdpy_tokenize(tokenizer.encode(), native, found, len(found), count, failure) == Status.OK
    return list(found[0 : count[0]])
