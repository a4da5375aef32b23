"""What the phases of a picture need, found out with the engine's own graphs and without weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest, EncodePictureRequest, EncodeRequest
from sdcpp_py.images.conditioning import NOTHING, Pictures
from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.plan import PartNeed
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.prompts.encoded import EncodedPrompt, normalized

LONG_PROMPT = "word " * 480
"""A prompt nearly as long as the models read, for plans made before there is a prompt."""


def encode_request(files: ModelFiles, prompt: str, width: int, height: int, threads: int) -> EncodeRequest:
    """The request to encode a prompt for a model, to be measured or run; the size is the picture's, in pixels."""
    return EncodeRequest(normalized(prompt), files.family.max_tokens, width, height, threads)


@dataclass(frozen=True, eq=False)
class Demand:
    """The pictures of one size that a call generates: all that decides what they take of memory.

    Attributes:
        width, height: in pixels.
        prompts: those that the pictures are generated from, as text or encoded.
        vae_tile_size: edge in pixels of the tiles that the VAE works in; 0: in one piece where that fits.
        pictures: those that are handed in.
    """

    width: int
    height: int
    prompts: tuple[str | EncodedPrompt, ...]
    vae_tile_size: int = 0
    pictures: Pictures = NOTHING

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts that are still to be encoded."""
        return tuple(prompt for prompt in self.prompts if isinstance(prompt, str))


class Meterstick:
    """Measures phases; remembers what it has measured.

    Args:
        engine: with an open model.
        files: of the model.
        placement: of its parts.
        threads: CPU threads that the phases will have: some working buffers grow with them.
    """

    def __init__(self, engine: Engine, files: ModelFiles, placement: Placement, threads: int) -> None:
        self._engine = engine
        self._files = files
        self._placement = placement
        self._threads = threads
        self._known: dict[tuple[object, ...], int] = {}
        self._tokens: dict[str, int] = {}

    def needs(self, demand: Demand, tile: int, *, encodes: bool) -> list[PartNeed]:
        """What each part needs for pictures.

        Args:
            demand: which pictures. Its texts are measured in any case: how many states the denoiser reads of them
                follows from their tokens.
            tile: edge in pixels of the tiles that the VAE works in; 0: in one piece.
            encodes: whether the text encoder has a phase. It has none where all prompts are encoded.

        Raises SettingsError where a prompt is too long.
        """
        width, height, pictures = demand.width, demand.height, demand.pictures
        encoding = max((self._encoding(text, width, height) for text in demand.texts), default=0)
        encodes = encodes and bool(demand.texts)
        working = {
            "text_encoder": encoding if encodes else 0,
            "diffusion_model": max(
                self._denoising(self._states(prompt), width, height, pictures.reference_sizes)
                for prompt in demand.prompts
            ),
            "vae": max(
                [self._decoding(width, height, tile)]
                + [self._encoding_picture(*size, tile) for size in pictures.encoded_sizes]
            ),
        }
        needs = []
        for part in PARTS:
            info = self._engine.part(part)
            needed = part != "text_encoder" or encodes
            needs.append(PartNeed(part, self._placement[part].name, info.bytes, info.least_room, working[part], needed))
        return needs

    def _states(self, prompt: str | EncodedPrompt) -> int:
        """How many of the text encoder's states the denoiser reads."""
        if isinstance(prompt, EncodedPrompt):
            return int(prompt.arrays["crossattn"].shape[0])
        return self._files.family.context_tokens or self._tokens[prompt]

    def _encoding(self, prompt: str, width: int, height: int) -> int:
        key = ("encode", prompt)
        if key not in self._known:
            measured = self._engine.measure(encode_request(self._files, prompt, width, height, self._threads))
            self._known[key] = measured.working
            self._tokens[prompt] = measured.tokens
        return self._known[key]

    def _denoising(self, tokens: int, width: int, height: int, references: tuple[tuple[int, int], ...]) -> int:
        key = ("denoise", tokens, width, height, references)
        if key not in self._known:
            family = self._files.family
            request = DenoiseRequest(
                text={"crossattn": np.zeros((tokens, self._files.context_width), np.float32)},
                negative={},
                noise=np.zeros(family.latent_shape(width, height), np.float32),
                width=width,
                height=height,
                seed=0,
                sampler="euler",
                scheduler="discrete",
                steps=1,
                sigmas=(1.0, 0.0),
                cfg_scale=1.0,
                threads=self._threads,
                references=tuple(np.zeros(family.latent_shape(*size), np.float32) for size in references),
                references_are_latents=True,
            )
            self._known[key] = self._engine.measure(request).working
        return self._known[key]

    def _decoding(self, width: int, height: int, tile: int) -> int:
        key = ("decode", width, height, tile)
        if key not in self._known:
            family = self._files.family
            latent = np.zeros(family.latent_shape(width, height), np.float32)
            request = DecodeRequest(latent, tile // family.pixels_per_latent, self._threads)
            self._known[key] = self._engine.measure(request).working
        return self._known[key]

    def _encoding_picture(self, width: int, height: int, tile: int) -> int:
        key = ("encode picture", width, height, tile)
        if key not in self._known:
            picture = np.zeros((height, width, 3), np.uint8)
            cells = tile // self._files.family.pixels_per_latent
            request = EncodePictureRequest(picture, None, cells, self._threads)
            self._known[key] = self._engine.measure(request).working
        return self._known[key]
