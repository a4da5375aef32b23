"""What the phases of a picture need, found out with the engine's own graphs and without weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Measurement
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest, EncodePictureRequest, EncodeRequest
from sdcpp_py.images.conditioning import NOTHING, Pictures
from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.plan import PartNeed
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.prompts.encoded import EncodedPrompt, normalized
from sdcpp_py.settings import GenerationSettings

LONG_PROMPT = "word " * 480
"""A prompt nearly as long as the models read, for plans made before there is a prompt."""


def encode_request(files: ModelFiles, prompt: str, settings: GenerationSettings) -> EncodeRequest:
    """The request to encode a prompt for a picture with these settings, to be measured or run."""
    return EncodeRequest(normalized(prompt), files.family.max_tokens, settings.native())


@dataclass(frozen=True, eq=False)
class Demand:
    """The pictures of one size that a call generates: all that decides what they take of memory.

    Attributes:
        settings: their size, the VAE's tiles (0: in one piece where that fits), and what encoding reads.
        prompts: those that the pictures are generated from, as text or encoded.
        pictures: those that are handed in.
    """

    settings: GenerationSettings
    prompts: tuple[str | EncodedPrompt, ...]
    pictures: Pictures = NOTHING

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts that are still to be encoded."""
        return tuple(prompt for prompt in self.prompts if isinstance(prompt, str))


class MemoryProbe:
    """Measures phases; remembers what it has measured.

    Args:
        engine: with an open model.
        files: of the model.
        placement: of its parts.
    """

    def __init__(self, engine: AnyEngine, files: ModelFiles, placement: Placement) -> None:
        self._engine = engine
        self._files = files
        self._placement = placement
        self._known: dict[tuple[object, ...], Measurement] = {}
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
        settings, pictures = demand.settings, demand.pictures
        width, height = settings.width, settings.height
        encoding = [self._encoding(text, settings) for text in demand.texts]
        encodes = encodes and bool(demand.texts)
        phases = {
            "text_encoder": encoding if encodes else [],
            "diffusion_model": [
                self._denoising(self._states(prompt), width, height, pictures.reference_sizes)
                for prompt in demand.prompts
            ],
            "vae": [
                self._decoding(width, height, tile),
                *(self._encoding_picture(*size, tile) for size in pictures.encoded_sizes),
            ],
        }
        needs = []
        for part in PARTS:
            info = self._engine.part(part)
            needed = part != "text_encoder" or encodes
            working = max((measured.working for measured in phases[part]), default=0)
            unsupported = next((measured.unsupported for measured in phases[part] if measured.unsupported), "")
            device = self._placement[part].name
            rooms = info.least_room, info.ahead_room
            needs.append(PartNeed(part, device, info.bytes, rooms[0], working, needed, unsupported, rooms[1]))
        return needs

    def _states(self, prompt: str | EncodedPrompt) -> int:
        """How many of the text encoder's states the denoiser reads."""
        if isinstance(prompt, EncodedPrompt):
            return int(prompt.arrays["crossattn"].shape[0])
        return self._files.family.context_tokens or self._tokens[prompt]

    def _encoding(self, prompt: str, settings: GenerationSettings) -> Measurement:
        key = ("encode", prompt)
        if key not in self._known:
            measured = self._engine.measure(encode_request(self._files, prompt, settings))
            self._known[key] = measured
            self._tokens[prompt] = measured.tokens
        return self._known[key]

    def _denoising(self, tokens: int, width: int, height: int, references: tuple[tuple[int, int], ...]) -> Measurement:
        key = ("denoise", tokens, width, height, references)
        if key not in self._known:
            family = self._files.family
            request = DenoiseRequest(
                text={"crossattn": np.zeros((tokens, self._files.context_width), np.float32)},
                negative={},
                noise=np.zeros(family.latent_shape(width, height), np.float32),
                settings=GenerationSettings("", width=width, height=height, steps=1).native(),
                sigmas=(1.0, 0.0),
                references=tuple(np.zeros(family.latent_shape(*size), np.float32) for size in references),
                references_are_latents=True,
            )
            self._known[key] = self._engine.measure(request)
        return self._known[key]

    def _decoding(self, width: int, height: int, tile: int) -> Measurement:
        key = ("decode", width, height, tile)
        if key not in self._known:
            family = self._files.family
            latent = np.zeros(family.latent_shape(width, height), np.float32)
            request = DecodeRequest(latent, tile // family.pixels_per_latent)
            self._known[key] = self._engine.measure(request)
        return self._known[key]

    def _encoding_picture(self, width: int, height: int, tile: int) -> Measurement:
        key = ("encode picture", width, height, tile)
        if key not in self._known:
            picture = np.zeros((height, width, 3), np.uint8)
            cells = tile // self._files.family.pixels_per_latent
            request = EncodePictureRequest(picture, None, cells)
            self._known[key] = self._engine.measure(request)
        return self._known[key]
