"""One loaded model: from settings to pixels through the engine. Knows nothing of locks, threads or defaults."""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine, ModelInfo
from sdcpp_py.cores import default_threads
from sdcpp_py.families import REFERENCE_SCHEDULER
from sdcpp_py.meter import Meter
from sdcpp_py.models import ModelFiles
from sdcpp_py.prompts import EncodedPrompt
from sdcpp_py.result import GeneratedImage
from sdcpp_py.settings import GenerationSettings, check_whole


class Session:
    """The files of a model, the engine that holds them, and the phases of drawing.

    Args:
        files: the model's files, already checked to belong together.
        device: where to draw.
        threads: CPU threads.
    """

    def __init__(self, files: ModelFiles, device: library.Device, threads: int) -> None:
        self.files = files
        self.device = device
        self.threads = threads
        self.info: ModelInfo | None = None
        self._engine = Engine()

    @property
    def engine(self) -> Engine:
        """The engine that holds the model now."""
        return self._engine

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take; empty while no model is loaded."""
        if self.info is None:
            return {}
        return {
            "text_encoder": self.info.text_encoder_bytes,
            "diffusion_model": self.info.diffusion_model_bytes,
            "vae": self.info.vae_bytes,
        }

    def cancel(self) -> None:
        """Tells what runs to stop. From any thread."""
        self._engine.cancel()

    def close(self) -> None:
        """Frees the model."""
        self._engine.close()

    def load(self, meter: Meter) -> None:
        """Reads the weights."""
        self.info = None
        self.info = self._engine.load(
            diffusion_model=self.files.diffusion_model,
            text_encoder=self.files.text_encoder,
            vae=self.files.vae,
            vae_is_tiny=self.files.vae_is_tiny,
            device=self.device.native_name,
            threads=self.threads,
            listen=meter.listen,
        )

    def revive(self, meter: Meter) -> None:
        """Loads the model again where the engine died of a failed check, or such a loading did not come to its end."""
        self._engine.settle()
        if self._engine.broken:
            self._engine.close()
            self._engine = Engine()
            self.info = None
        if self.info is None:
            self.load(meter)

    def encode(self, prompt: str, width: int, height: int, meter: Meter) -> EncodedPrompt:
        """The text encoder's states for a prompt."""
        arrays = self._engine.encode(
            # Qwen's tokenizer was trained on text in this form.
            prompt=unicodedata.normalize("NFC", prompt),
            max_tokens=self.files.family.max_tokens,
            width=width,
            height=height,
            threads=self.threads,
            listen=meter.listen,
        )
        return EncodedPrompt(prompt, self.files.family.name, arrays)

    def draw(
        self,
        settings: GenerationSettings,
        positive: EncodedPrompt,
        negative: EncodedPrompt | None,
        *,
        noise: NDArray[np.float32] | None,
        return_latent: bool,
        meter: Meter,
    ) -> GeneratedImage:
        """Denoises and decodes one picture."""
        family = self.files.family
        sigmas: tuple[float, ...] = ()
        if settings.scheduler == REFERENCE_SCHEDULER:
            sigmas = family.sigmas(settings.steps, settings.width, settings.height)
        latent = self._engine.denoise(
            text_states=positive.arrays,
            negative_states={} if negative is None else negative.arrays,
            noise=noise,
            width=settings.width,
            height=settings.height,
            seed=settings.seed,
            sampler=settings.sampler,
            scheduler=settings.scheduler,
            steps=settings.steps,
            sigmas=sigmas,
            cfg_scale=settings.cfg_scale,
            threads=self.threads,
            listen=meter.listen,
        )
        pixels = self._engine.decode(
            latent=latent,
            tile_size=settings.vae_tile_size // family.pixels_per_latent,
            threads=self.threads,
            listen=meter.listen,
        )
        return GeneratedImage(
            image=Image.fromarray(pixels),
            settings=settings,
            timings=meter.take_timings(),
            model=self._names(),
            engine=library.engine_commit(),
            latent=latent if return_latent else None,
        )

    def _names(self) -> dict[str, str]:
        return {
            "family": self.files.family.name,
            "diffusion_model": self.files.diffusion_model.name,
            "text_encoder": self.files.text_encoder.name,
            "vae": self.files.vae.name,
        }


def resolve_threads(threads: int | None) -> int:
    """How many CPU threads to use; None is one for each core. Raises SettingsError where it is not 1 to 1024."""
    return default_threads() if threads is None else check_whole("threads", threads, 1, 1024)
