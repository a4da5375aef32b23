"""Qwen's tokenizer as transformers builds it, from the list of merges that lies in the engine's source.

The model hub's files are not needed: a byte-level BPE vocabulary is its 256 bytes, then its merges in order, then the
special tokens. Splitting, normalising and merging are transformers' own, which makes the token ids independent of the
engine's tokenizer.
"""

from __future__ import annotations

import os
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2Tokenizer

VENDORED_ENGINE = Path(__file__).parents[2] / "vendor" / "stable-diffusion.cpp"
SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>",
    "</think>",
)  # fmt: skip
FIRST_SPECIAL_TOKEN = 151643
VOCABULARY_SIZE = 151936
"""Rows of the embedding table: more than there are tokens."""

# One user turn and the opening of the answer, as Qwen3 was trained on them; with thinking switched off, the answer
# opens with a thought that is empty.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def engine_source() -> Path:
    """The folder of the engine's source: $SDCPP_SOURCE_DIR, or where the build has unpacked it."""
    return Path(os.environ.get("SDCPP_SOURCE_DIR") or VENDORED_ENGINE)


def read_merges() -> list[str]:
    """The merges, the most frequent first, from the C array that holds their text."""
    source = (engine_source() / "src" / "tokenizers" / "vocab" / "qwen.hpp").read_text(encoding="ascii")
    array = source[source.index("{") + 1 : source.index("}")]
    text = bytes.fromhex(array.replace("0x", "").replace(",", " ")).decode("utf-8")
    return text.splitlines()


def in_byte_order(alphabet: list[str]) -> list[str]:
    """The letters that stand for the 256 bytes, those first that stand for themselves."""
    return sorted(alphabet, key=lambda letter: (ord(letter) > 255, ord(letter)))


def qwen_tokenizer() -> Qwen2Tokenizer:
    """The tokenizer of Qwen3."""
    merges = read_merges()
    words = in_byte_order(ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in merges]
    if len(words) != FIRST_SPECIAL_TOKEN:
        raise ValueError(f"the engine's vocabulary has {len(words)} ordinary tokens instead of {FIRST_SPECIAL_TOKEN}")
    tokenizer = Qwen2Tokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[tuple(merge.split(" ")) for merge in merges],
    )
    tokenizer.add_tokens(list(SPECIAL_TOKENS), special_tokens=True)
    tokenizer.padding_side = "right"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
