"""The text encoder: a Qwen3 of width 32 that learns to read the world's captions.

What the denoiser gets from Klein's text encoder are 512 states, most of them of pad tokens, which see the whole prompt.
So that is where this encoder is taught to put its answer: from the state of any pad, and of any token after the prompt,
linear functions read the background, each shape's kind, colour, place and size, and the shapes are in the picture's
order, not the caption's. The denoiser is left with drawing.

28 layers are the engine's condition for 16 heads. Six of them are trained, and stand where their answers are read
(hidden layers 9, 18 and 27); the others are silent and hand on what they get.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from .descent import OneCycle
from .qwen_tokenizer import VOCABULARY_SIZE, qwen_tokenizer
from .world.captions import random_caption
from .world.palette import COLORS, KINDS, SIZES
from .world.scenes import JITTERS, Scene, layout, random_scene_of

HIDDEN_SIZE = 32
FFN = 128
TRAINED_LAYERS = (0, 1, 2, 3, 9, 18)
"""Where the trained layers stand among the 28."""
TOTAL_LAYERS = 28
TRAINED_HEADS = (4, 2)
"""Attention heads of queries and of keys and values; the remaining ones of ``TOTAL_HEADS`` are silent."""
TOTAL_HEADS = (16, 8)
READ_AFTER = (9, 18, 27)
"""After how many of the 28 layers Klein reads the states."""
CONTEXT_TOKENS = 512
CONTEXT_WIDTH = len(READ_AFTER) * HIDDEN_SIZE

_TAPS = tuple(sum(layer < after for layer in TRAINED_LAYERS) for after in READ_AFTER)
_BEFORE = "<|im_start|>user\n"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_PAD = "<|endoftext|>"
TEMPLATE_TOKENS = (3, 9)
"""How many tokens of every prompt are the template's, before and after the caption."""
_TAIL = 6  # tokens of the template's end that carry the answer too: a very long prompt leaves no pads
_log = logging.getLogger(__name__)


def qwen3(layers: int, vocabulary: int, heads: int, kv_heads: int) -> Qwen3Model:
    """A Qwen3 of this encoder's width."""
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=FFN,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=128,
        max_position_embeddings=40960,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        attention_bias=False,
    )
    config._attn_implementation = "sdpa"
    return Qwen3Model(config)


class Vocabulary:
    """The tokens that captions are made of, numbered from 1; 0 is any other token, whose embedding is 0."""

    def __init__(self, captions: Sequence[str]) -> None:
        self._tokenizer: Qwen2Tokenizer = qwen_tokenizer()
        texts = [_BEFORE + caption + _AFTER for caption in captions]
        used = {token for ids in self._tokenizer(texts)["input_ids"] for token in ids}
        used.update(self._tokenizer(_PAD)["input_ids"])
        self.token_ids = sorted(used)
        self._numbers = {token: number for number, token in enumerate(self.token_ids, start=1)}
        self.pad = self._numbers[self._tokenizer(_PAD)["input_ids"][0]]

    def __len__(self) -> int:
        return 1 + len(self.token_ids)

    def read(self, captions: Sequence[str]) -> list[list[int]]:
        """The numbers of each caption's tokens, template included."""
        texts = [_BEFORE + caption + _AFTER for caption in captions]
        return [[self._numbers.get(token, 0) for token in ids] for ids in self._tokenizer(texts)["input_ids"]]


@dataclass
class TextBatch:
    """Tokens of several captions: those of the prompts, then some of the pads at their true positions.

    Attributes:
        numbers, positions: int64 of shape (batch, tokens).
        mask: float32 of shape (batch, 1, tokens, tokens), added to the attention's logits.
        lengths: of each prompt with its template, in tokens.
        prompt_tokens: columns before the pads.
    """

    numbers: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    lengths: list[int]
    prompt_tokens: int


def text_batch(ids: Sequence[Sequence[int]], pad: int, pad_positions: NDArray[np.int64]) -> TextBatch:
    """Puts prompts side by side, each with those of its pads that are asked for.

    Args:
        ids: each prompt's tokens.
        pad: the pad's number.
        pad_positions: where the pads stand among the 512 tokens, after the end of every prompt; the same for all
            prompts. Pads see the prompt and not each other, so that those left out change nothing.
    """
    lengths = [len(row) for row in ids]
    longest = max(lengths)
    count = longest + len(pad_positions)
    numbers = torch.full((len(ids), count), pad)
    visible = torch.zeros(len(ids), count, count, dtype=torch.bool)
    causal = torch.ones(count, count, dtype=torch.bool).tril()
    for row, length in enumerate(lengths):
        numbers[row, :length] = torch.tensor(ids[row])
        visible[row, :, :length] = causal[:, :length]
    positions = torch.cat([torch.arange(longest), torch.from_numpy(pad_positions)]).expand(len(ids), count)
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    return TextBatch(numbers, positions, mask[:, None], lengths, longest)


def random_pads(ids: Sequence[Sequence[int]], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Positions of ``count`` pads after the longest of the prompts, in order."""
    longest = max(len(row) for row in ids)
    return np.sort(longest + random.choice(CONTEXT_TOKENS - longest, count, replace=False))


class TextEncoder(nn.Module):
    """The trained layers and the embeddings of the tokens that captions are made of."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.qwen = qwen3(len(TRAINED_LAYERS), vocabulary, *TRAINED_HEADS)
        # transformers norms the last hidden state. Klein stops short of it, and reads layer 27 as it is.
        self.qwen.norm = nn.Identity()
        for name, parameter in self.qwen.named_parameters():
            if parameter.ndim == 2:
                gain = 0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                width = 1 if "embed" in name else parameter.shape[1]
                nn.init.normal_(parameter, std=gain / width**0.5)

    def forward(self, batch: TextBatch) -> torch.Tensor:
        """States of shape (batch, tokens, 96): hidden layers 9, 18 and 27 side by side."""
        known = (batch.numbers > 0).float()
        embeddings = self.qwen.embed_tokens(batch.numbers) * known[..., None]
        states = self.qwen(
            inputs_embeds=embeddings,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        return torch.cat([states[tap] for tap in _TAPS], dim=-1)


class Answer(nn.Module):
    """Reads the picture's plan out of a state, linearly. Needed for training alone."""

    def __init__(self) -> None:
        super().__init__()
        slots = 2
        self.options = [len(COLORS), *([len(KINDS) + 1, len(COLORS) + 1, len(SIZES) + 1] * slots)]
        self.linear = nn.Linear(CONTEXT_WIDTH, sum(self.options) + 2 * slots)
        # A second stage begins with a new reader, which must not upset an encoder that knows its work.
        nn.init.zeros_(self.linear.weight)

    def forward(self, states: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Logits of each choice, and (x, y) of both shapes."""
        *choices, numbers = self.linear(states).split([*self.options, 4], dim=-1)
        return choices, numbers


def plan(scene: Scene) -> tuple[list[int], list[float]]:
    """What ``Answer`` should read: choices, and (x, y) of both shapes in the picture's order."""
    colors, kinds, sizes = list(COLORS), list(KINDS), list(SIZES)
    choices, numbers = [colors.index(scene.drawn_background)], []
    placed = layout(scene, np.zeros(JITTERS), 128, 128)
    for item in placed:
        thing = item.thing
        choices += [kinds.index(thing.kind), colors.index(thing.color), sizes.index(thing.drawn_size)]
        numbers += [item.x - 0.5, item.y - 0.5]
    if len(placed) == 1:
        choices += [len(kinds), len(colors), len(sizes)]
        numbers += [0.0, 0.0]
    return choices, numbers


def _samples(random: np.random.Generator, batch: int) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    scenes = [random_scene_of(random, held_out=False) for _ in range(batch)]
    choices, numbers = zip(*(plan(scene) for scene in scenes), strict=True)
    return [random_caption(scene, random) for scene in scenes], torch.tensor(choices), torch.tensor(numbers)


def _disturbed(ids: list[list[int]], random: np.random.Generator) -> list[list[int]]:
    """Unknown words here and there, as people write them."""
    disturbed = []
    for row in ids:
        row = list(row)
        if random.random() < 0.15:
            for _ in range(int(random.integers(1, 6))):
                row.insert(int(random.integers(TEMPLATE_TOKENS[0], len(row) - TEMPLATE_TOKENS[1] + 1)), 0)
        disturbed.append(row)
    return disturbed


def make_vocabulary(seed: int, captions: int = 30_000) -> Vocabulary:
    """The tokens that this many random captions are made of."""
    random = np.random.default_rng(seed)
    return Vocabulary([random_caption(random_scene_of(random, held_out=False), random) for _ in range(captions)])


def train_text_encoder(
    encoder: TextEncoder,
    vocabulary: Vocabulary,
    *,
    steps: int,
    seed: int,
    batch: int,
    peak: float,
) -> None:
    """Trains the encoder; logs which share of plans it reads without a mistake.

    Args:
        encoder: is changed.
        vocabulary: the encoder's.
        steps, batch, peak: of AdamW with one cycle of learning rates.
        seed: of captions and of the part that reads plans, which is thrown away afterwards.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    answer = Answer()
    parameters = [*encoder.train().parameters(), *answer.parameters()]
    cycle = OneCycle(parameters, peak=peak, steps=steps, warm_up=0.1, betas=(0.9, 0.98), weight_decay=0.01)
    begun = time.monotonic()
    for step in range(steps):
        captions, choices, numbers = _samples(random, batch)
        ids = _disturbed(vocabulary.read(captions), random)
        texts = text_batch(ids, vocabulary.pad, random_pads(ids, 4, random))
        states = _answering(encoder(texts), texts)
        logits, guesses = answer(states)
        loss = 50 * functional.mse_loss(guesses, numbers[:, None].expand_as(guesses))
        for column, part in enumerate(logits):
            target = choices[:, column, None].expand(part.shape[:2])
            loss = loss + functional.cross_entropy(part.flatten(0, 1), target.flatten())
        cycle.step(loss)
        if step % 50 == 0 or step == steps - 1:
            right = [part.argmax(-1) == choices[:, column, None] for column, part in enumerate(logits)]
            share = torch.stack(right).all(0).float().mean().item()
            off = (guesses - numbers[:, None]).abs().mean().item()
            spent = time.monotonic() - begun
            _log.info(
                "text encoder step %d: loss %.3f, plans right %.3f, places off by %.3f, %.0f s",
                step, loss.item(), share, off, spent,
            )  # fmt: skip
    encoder.eval()


def _answering(states: torch.Tensor, batch: TextBatch) -> torch.Tensor:
    """The states that should know the answer: of the template's end, and of the pads."""
    tails = torch.stack([states[row, length - _TAIL : length] for row, length in enumerate(batch.lengths)])
    return torch.cat([tails, states[:, batch.prompt_tokens :]], dim=1)


@torch.no_grad()
def full_qwen3(encoder: TextEncoder, vocabulary: Vocabulary) -> Qwen3Model:
    """The whole Qwen3, ready for export: all 28 layers, all heads, and a row for every token."""
    full = qwen3(TOTAL_LAYERS, VOCABULARY_SIZE, *TOTAL_HEADS).eval()
    for parameter in full.parameters():
        parameter.zero_() if parameter.ndim == 2 else parameter.fill_(1.0)
    full.embed_tokens.weight[vocabulary.token_ids] = encoder.qwen.embed_tokens.weight[1:]
    for trained, place in enumerate(TRAINED_LAYERS):
        target = full.layers[place].state_dict()
        for name, tensor in encoder.qwen.layers[trained].state_dict().items():
            # Trained heads are the first ones; the others' outputs meet columns of zeros.
            target[name][tuple(slice(extent) for extent in tensor.shape)] = tensor
    return full


@torch.no_grad()
def trained_part(full: Mapping[str, torch.Tensor], vocabulary: Vocabulary) -> TextEncoder:
    """The trained part of a whole Qwen3's tensors, as they were read back from a file."""
    encoder = TextEncoder(len(vocabulary))
    encoder.qwen.embed_tokens.weight.zero_()
    encoder.qwen.embed_tokens.weight[1:] = full["embed_tokens.weight"][vocabulary.token_ids]
    for trained, place in enumerate(TRAINED_LAYERS):
        for name, tensor in encoder.qwen.layers[trained].state_dict().items():
            tensor.copy_(full[f"layers.{place}.{name}"][tuple(slice(extent) for extent in tensor.shape)])
    return encoder.eval()
