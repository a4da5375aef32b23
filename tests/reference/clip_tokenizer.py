"""CLIP's tokenizer as transformers builds it, from the list of merges that comes with open_clip.

Neither the engine's vocabulary nor its rules have a part in it, and nothing is downloaded: the package carries OpenAI's
own file.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

from tiny_model.qwen_tokenizer import in_byte_order
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

ORDINARY_TOKENS = 49406
"""How many tokens there are without the two marks."""
# The file has more merges than the models' vocabulary has room for.
_MERGES = ORDINARY_TOKENS - 2 * 256


def read_merges() -> list[str]:
    """The merges, the most frequent first."""
    package = find_spec("open_clip")  # found and not imported: PyTorch is not needed here
    assert package is not None, "pip install --no-deps -r tests/reference/requirements.txt"
    assert package.origin is not None
    with gzip.open(Path(package.origin).with_name("bpe_simple_vocab_16e6.txt.gz"), "rt", encoding="utf-8") as stream:
        return stream.read().split("\n")[1 : 1 + _MERGES]


def clip_tokenizer() -> CLIPTokenizer:
    """The tokenizer of CLIP-L, CLIP-G and CLIP-H."""
    merges = read_merges()
    letters = in_byte_order(ByteLevel.alphabet())
    words = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges]
    assert len(words) == ORDINARY_TOKENS
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[tuple(merge.split(" ")) for merge in merges]
    )
