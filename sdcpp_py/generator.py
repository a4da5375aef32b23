"""The generator: a model in memory, and the pictures drawn with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdcpp_py._native import library
from sdcpp_py.bundled import TINY, bundled_files
from sdcpp_py.errors import GenerationCancelled, GenerationError, GeneratorClosedError, SettingsError
from sdcpp_py.families import Family
from sdcpp_py.meter import Meter
from sdcpp_py.models import ModelFiles, check_files
from sdcpp_py.noise import check_noise
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.prompts import EncodedPrompt
from sdcpp_py.result import GeneratedImage
from sdcpp_py.session import Session, resolve_threads
from sdcpp_py.settings import MAX_SEED, GenerationSettings, check_prompt, check_whole

PathLike = str | os.PathLike[str]


class Generator:
    """A model that is ready to draw.

    Args:
        diffusion_model: the denoiser, GGUF or safetensors (``sd-cli --diffusion-model``).
        text_encoder: the text encoder, a Qwen3 for the families known here (``sd-cli --llm``).
        vae: the autoencoder (``sd-cli --vae``).
        device: "auto" (a GPU where there is one), "cpu", "vulkan0", ...: one of ``sdcpp_py.devices()``.
        threads: CPU threads for loading and drawing; where None, one for each physical core, or for each that a
                container may use.
        on_progress: is called with a ``Progress`` while the weights are read.
        progress_bar: shows a progress bar on standard error, here and for every picture.

    The headers of all three files are read and checked against each other before any weight is.

    A generator may be used from several threads; they take turns. ``cancel`` works from any thread at any time. After
    any error it is as usable as before.

    Raises:
        ModelNotFoundError, ModelLoadError, ModelMismatchError: about the files.
        OutOfMemoryError: the weights do not fit.
        NativeLibraryError: there is no such device.
        SettingsError: ``threads`` is not 1 to 1024, or more than the system gives this process.
    """

    def __init__(
        self,
        diffusion_model: PathLike,
        text_encoder: PathLike,
        vae: PathLike,
        *,
        device: str = "auto",
        threads: int | None = None,
        on_progress: ProgressCallback | None = None,
        progress_bar: bool = False,
    ) -> None:
        # Closes the race of two threads that draw with one generator: the engine does one job at a time, and a picture
        # takes several. Reentrant, so that a call from inside on_progress is refused instead of waiting for itself.
        self._lock = threading.RLock()
        self._busy = False
        self._closed = False
        self._cancelled = threading.Event()
        self._progress_bar = progress_bar
        files = check_files(diffusion_model, text_encoder, vae)
        self._session = Session(files, library.find_device(device), resolve_threads(threads))
        with self._drawing(on_progress) as meter:
            try:
                self._session.load(meter)
            except BaseException:
                self._session.close()
                raise

    @classmethod
    def from_pretrained(
        cls,
        name: str = TINY,
        *,
        device: str = "auto",
        threads: int | None = None,
        on_progress: ProgressCallback | None = None,
        progress_bar: bool = False,
    ) -> Generator:
        """Opens a model by its name.

        Args:
            name: "tiny", the model inside the package. It draws one or two simple shapes, in a second.
            device, threads, on_progress, progress_bar: as ``Generator`` takes them.

        Raises:
            ModelNotFoundError: no model has this name.
            others: as ``Generator`` does.
        """
        files = bundled_files(name)
        return cls(
            files.diffusion_model,
            files.text_encoder,
            files.vae,
            device=device,
            threads=threads,
            on_progress=on_progress,
            progress_bar=progress_bar,
        )

    @property
    def family(self) -> Family:
        """The family of the model, with its defaults."""
        return self._session.files.family

    @property
    def files(self) -> ModelFiles:
        """The files of the model."""
        return self._session.files

    @property
    def device(self) -> str:
        """The device that it draws on."""
        return self._session.device.name

    @property
    def threads(self) -> int:
        """The CPU threads that it uses."""
        return self._session.threads

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take ("text_encoder", "diffusion_model", "vae")."""
        return self._session.weight_bytes

    def generate(
        self,
        prompt: str | GenerationSettings,
        *,
        negative_prompt: str | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        cfg_scale: float | None = None,
        seed: int | None = None,
        sampler: str | None = None,
        scheduler: str | None = None,
        vae_tile_size: int | None = None,
        noise: ArrayLike | None = None,
        return_latent: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> GeneratedImage:
        """Draws one picture.

        Args:
            prompt: what to draw, or whole settings (``GenerationSettings.from_png("old.png")``), of which the other
                arguments then replace single ones.
            negative_prompt, width, height, steps, cfg_scale, seed, sampler, scheduler, vae_tile_size: as
                ``GenerationSettings`` describes them. None takes the model's default; the default seed is random, and
                the picture says which one it was.
            noise: the noise to start from, float32 of the latent's shape, instead of noise drawn from the seed. The
                shape is (128, height / 16, width / 16) for FLUX.2 Klein and (16, height / 8, width / 8) for Z-Image.
            return_latent: whether the picture's ``latent`` is the denoised latent, float32 of the same shape, in the
                space in which the denoiser works.
            on_progress: is called with a ``Progress`` in this thread. What it raises stops the run and comes out.

        Raises:
            SettingsError: a setting is out of its domain, or the prompt has more tokens than the model reads.
            GenerationCancelled: ``cancel`` was called.
            OutOfMemoryError, DeviceLostError, GenerationError: the engine failed.
            GeneratorClosedError: the generator is closed.
        """
        settings = self._settings(
            prompt,
            negative_prompt=negative_prompt,
            width=width,
            height=height,
            steps=steps,
            cfg_scale=cfg_scale,
            seed=seed,
            sampler=sampler,
            scheduler=scheduler,
            vae_tile_size=vae_tile_size,
        )
        if noise is not None:
            noise = check_noise(noise, self.family.latent_shape(settings.width, settings.height))
        return self._draw([settings], noise, return_latent, on_progress)[0]

    def generate_batch(
        self,
        prompt: str | GenerationSettings,
        *,
        count: int,
        negative_prompt: str | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        cfg_scale: float | None = None,
        seed: int | None = None,
        sampler: str | None = None,
        scheduler: str | None = None,
        vae_tile_size: int | None = None,
        return_latent: bool = False,
        on_progress: ProgressCallback | None = None,
        on_image: Callable[[GeneratedImage], object] | None = None,
    ) -> list[GeneratedImage]:
        """Draws ``count`` pictures of one prompt, with the seeds seed, seed + 1, ...; the prompt is encoded once.

        Picture i is the one that ``generate`` draws with its seed. Arguments and errors are those of ``generate``;
        ``count`` is 1 to 10,000.

        ``on_image`` is called with each picture as soon as it is drawn, so that it can be saved before the next one is
        begun. What it raises stops the batch and comes out.
        """
        settings = self._settings(
            prompt,
            negative_prompt=negative_prompt,
            width=width,
            height=height,
            steps=steps,
            cfg_scale=cfg_scale,
            seed=seed,
            sampler=sampler,
            scheduler=scheduler,
            vae_tile_size=vae_tile_size,
        )
        count = check_whole("count", count, 1, 10_000)
        if settings.seed > MAX_SEED - count + 1:
            raise SettingsError(f"seed + count - 1 must not be above {MAX_SEED}; seed is {settings.seed}")
        series = [settings.replace(seed=settings.seed + i) for i in range(count)]
        return self._draw(series, None, return_latent, on_progress, on_image)

    def encode(self, prompt: str, *, on_progress: ProgressCallback | None = None) -> EncodedPrompt:
        """What the text encoder makes of a prompt. Raises as ``generate`` does."""
        check_prompt("prompt", prompt)
        with self._drawing(on_progress) as meter:
            self._session.revive(meter)
            return self._session.encode(prompt, self.family.width, self.family.height, meter)

    def cancel(self) -> None:
        """Stops what runs, from any thread: that call raises GenerationCancelled. When none runs, it does nothing."""
        self._cancelled.set()
        self._session.cancel()

    def close(self) -> None:
        """Frees the model. What runs in another thread is cancelled. May be called twice."""
        self._closed = True
        self.cancel()
        with self._lock:
            if not self._busy:  # from inside on_progress: the run that is ending now does it
                self._session.close()

    def __enter__(self) -> Generator:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"on {self._session.device.name}"
        return f"<Generator {self.family.title} ({self._session.files.diffusion_model.name}) {state}>"

    def _check_open(self) -> None:
        if self._closed:
            raise GeneratorClosedError("this generator is closed; make a new one")

    @contextmanager
    def _drawing(self, on_progress: ProgressCallback | None, images: int = 1) -> Iterator[Meter]:
        """Holds the engine for one call, and leaves it usable or closed."""
        with self._lock:
            self._check_open()
            if self._busy:
                raise GenerationError("on_progress must not draw with the generator that calls it")
            self._busy = True
            self._cancelled.clear()
            # A cancel that comes before the engine's job has begun is noticed at the job's first report.
            meter = Meter(on_progress, check=self._check_cancelled, images=images, progress_bar=self._progress_bar)
            try:
                self._check_open()  # close() may have cancelled just before the flag was cleared
                yield meter
            finally:
                meter.close()
                self._busy = False
                if self._closed:
                    self._session.close()

    def _settings(self, prompt: str | GenerationSettings, **given: Any) -> GenerationSettings:
        self._check_open()
        if isinstance(prompt, GenerationSettings):
            return prompt.replace(**{name: value for name, value in given.items() if value is not None})
        return GenerationSettings.for_family(self.family, prompt, **given)

    def _draw(
        self,
        series: Sequence[GenerationSettings],
        noise: NDArray[np.float32] | None,
        return_latent: bool,
        on_progress: ProgressCallback | None,
        on_image: Callable[[GeneratedImage], object] | None = None,
    ) -> list[GeneratedImage]:
        with self._drawing(on_progress, len(series)) as meter:
            self._session.revive(meter)
            first = series[0]
            guided = first.cfg_scale != 1
            meter.expect_prompts(2 if guided else 1)
            positive = self._session.encode(first.prompt, first.width, first.height, meter)
            negative = self._session.encode(first.negative_prompt, first.width, first.height, meter) if guided else None
            pictures = []
            for index, settings in enumerate(series):
                meter.next_image(index)
                picture = self._session.draw(
                    settings, positive, negative, noise=noise, return_latent=return_latent, meter=meter
                )
                pictures.append(picture)
                if on_image is not None:
                    on_image(picture)
            return pictures

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise GenerationCancelled("cancelled")
