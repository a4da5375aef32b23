"""One open model: from settings to pixels through the engine. Knows nothing of locks, threads or defaults."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest, EncodePictureRequest, OpenRequest
from sdcpp_py.errors import OutOfMemoryError
from sdcpp_py.images.conditioning import EncodedPictures, Pictures
from sdcpp_py.images.loading import composited
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.limits import Limits, MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice, Placement, placements
from sdcpp_py.memory.plan import CallPlan, MemoryPlan, PartNeed, first_fitting
from sdcpp_py.memory.requirements import Demand, MemoryProbe, encode_request
from sdcpp_py.memory.residency import Residency
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.prompts.cache import Encodings, PromptCache, check_encoded
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.prompts.text_encoder import TextEncoder
from sdcpp_py.settings import MIN_EDGE, GenerationSettings, check_whole
from sdcpp_py.settings.samplers import REFERENCE_SCHEDULER
from sdcpp_py.system.cpu import default_threads

logger = logging.getLogger("sdcpp_py")


@dataclass(frozen=True)
class PipelineOptions:
    """How a model is opened.

    Attributes:
        placements: of its parts on devices; the first whose memory suffices is taken.
        threads: CPU threads.
        limits: of memory.
        cache: keeps prompt embeddings; None: each prompt is encoded anew.
        encoder: the shared text encoder, where the model has one.
    """

    placements: Sequence[Placement]
    threads: int
    limits: Limits
    cache: PromptCache | None
    encoder: TextEncoder | None = None

    @property
    def limit(self) -> int | None:
        """The bytes that were given for the device of the denoiser; None where that was left open."""
        return self.limits.exact.get(self.placements[0].denoiser.name)

    @classmethod
    def of(
        cls,
        device: DeviceChoice,
        memory: MemoryLimit,
        threads: int | None,
        cache: PromptCache | None = None,
        encoder: TextEncoder | None = None,
    ) -> PipelineOptions:
        """The options that the arguments of ``Generator`` make. Raises SettingsError, NativeLibraryError."""
        places = placements(device)
        count = default_threads() if threads is None else check_whole("threads", threads, 1, 1024)
        return cls(places, count, Limits.parse(memory, places[0].denoiser.name), cache, encoder)


class Pipeline:
    """The files of a model, the engine that holds them, and the phases of generating.

    Args:
        files: the model's files, already checked to belong together.
        options: how it is opened.
    """

    def __init__(self, files: ModelFiles, options: PipelineOptions) -> None:
        self.files = files
        self.options = options
        self.placement = options.placements[0]
        self.told: set[str] = set()
        self._engine = Engine()
        self._opened = False

    @property
    def engine(self) -> Engine:
        """The engine that holds the model now."""
        return self._engine

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take now; empty while no model is open."""
        return dict(self._residency.bytes_held) if self._opened else {}

    def cancel(self) -> None:
        """Tells what runs to stop. From any thread."""
        self._engine.cancel()

    def close(self) -> None:
        """Frees the model."""
        self._opened = False
        self._engine.close()

    def open(self, demand: Demand) -> MemoryPlan:
        """Reads what the files say, and decides where the parts compute. Reads no weights.

        Returns the plan of such a picture. Where it fits nowhere, it is the one of the last placement.
        """
        for placement in self.options.placements:
            self.open_on(placement)
            plan = self.plan(demand)
            if plan.fits:
                break
        return plan

    def open_on(self, placement: Placement) -> None:
        """Reads what the files say, for parts that compute where the placement says. Reads no weights."""
        self._opened = False
        self.placement = placement
        threads = self.options.threads
        devices = {part: placement[part].native_name for part in PARTS}
        self._engine.run(OpenRequest(self.files.sources, devices, threads))
        self._encodings = Encodings(self.files, self.options.cache, placement["text_encoder"].description, threads)
        self._residency = Residency(self._engine, self.options.encoder)
        self._probe = MemoryProbe(self._engine, self.files, placement)
        self._opened = True

    def plan(self, demand: Demand) -> MemoryPlan:
        """How such pictures are generated within the limits as they are now."""
        return self._plan(demand, self._limits(), encodes=True)

    def plan_call(self, demand: Demand) -> CallPlan:
        """The plans of a call, from one look at the memory that there is.

        Raises OutOfMemoryError where a limit that was given does not allow it, SettingsError where a prompt is too
        long.
        """
        limits = self._limits()
        encoding = self._plan(demand, limits, encodes=True) if demand.texts else None
        generating = self._plan(demand, limits, encodes=False)
        for plan in (encoding, generating):
            if plan is not None:
                self._refuse_if_short(plan)
        return CallPlan(encoding, generating)

    def _limits(self) -> dict[str, int]:
        by_device: dict[str, int] = {}
        for part, size in self._residency.bytes_held.items():
            name = self.placement[part].name
            by_device[name] = by_device.get(name, 0) + size
        return self.options.limits.now(self.placement.all, by_device)

    def _plan(self, demand: Demand, limits: Mapping[str, int], *, encodes: bool) -> MemoryPlan:
        """The plan within limits by device."""
        settings = demand.settings
        return first_fitting(
            lambda tile: self._probe.needs(demand, tile, encodes=encodes),
            limits,
            width=settings.width,
            height=settings.height,
            tile=settings.vae_tile_size,
        )

    def needs(self, demand: Demand, tile: int) -> list[PartNeed]:
        """What each part needs for such pictures, whatever the limits; ``tile`` as ``MemoryProbe.needs`` takes it."""
        return self._probe.needs(demand, tile, encodes=True)

    def _refuse_if_short(self, plan: MemoryPlan) -> None:
        """Raises OutOfMemoryError where a plan does not fit into a limit that was given.

        Where it does not fit into what is free now, that is a warning in the log: it may change.
        """
        if self._short(plan):
            raise OutOfMemoryError(plan.advice())
        if not plan.fits:
            logger.warning("there may be too little memory: %s", plan.advice())

    def _short(self, plan: MemoryPlan) -> bool:
        """Whether a plan needs more than a limit that was given."""
        given = self.options.limits.exact
        return any(plan.least(device) > given[device] for device in plan.devices if device in given)

    def load(self, plan: MemoryPlan, meter: Meter) -> None:
        """Reads the weights that stay in memory, for pictures of the plan's size.

        Where these do not fit, nothing is read: smaller ones may fit. Raises OutOfMemoryError where a limit that
        was given is too low for any.
        """
        if self._short(plan):
            smallest = self.plan(Demand(GenerationSettings("", width=MIN_EDGE, height=MIN_EDGE), (self._blank(),)))
            if self._short(smallest):
                raise OutOfMemoryError(f"{plan.advice()}; even from a prompt embedding, {smallest.advice()}")
        else:
            self._residency.settle(plan, meter.listen)

    def _blank(self) -> EncodedPrompt:
        """A prompt that needs no text encoder, to plan with."""
        states = np.zeros((self.files.family.context_tokens or 1, self.files.context_width), np.float32)
        return EncodedPrompt("", self.files.family.name, {"crossattn": states})

    def revive(self) -> None:
        """Opens the model again where the engine died of a failed check, or such an opening did not come to its end."""
        self._engine.settle()
        if self._engine.broken:
            self._engine.close()
            self._engine = Engine()
            self._opened = False
        if not self._opened:
            self.open_on(self.placement)

    def known(self, prompt: str, settings: GenerationSettings) -> EncodedPrompt | None:
        """What the cache has kept for a prompt of a picture with these settings."""
        return self._encodings.find(prompt, settings)

    def check_encoded(self, prompt: EncodedPrompt) -> None:
        """Raises ModelMismatchError where a prompt was encoded for another model."""
        check_encoded(prompt, self.files)

    def encode(self, prompt: str, settings: GenerationSettings, plan: MemoryPlan, meter: Meter) -> EncodedPrompt:
        """The text encoder's states for a prompt, computed."""
        self._residency.prepare(plan, "text_encoder", meter.listen)
        request = encode_request(self.files, prompt, settings)
        encoded = EncodedPrompt(prompt, self.files.family.name, self._engine.run(request, meter.listen))
        self._encodings.keep(encoded, settings)
        return encoded

    def encode_pictures(self, pictures: Pictures, plan: MemoryPlan, meter: Meter) -> EncodedPictures:
        """What the VAE makes of the pictures that were handed in."""
        if not pictures.count:
            return EncodedPictures()
        self._residency.prepare(plan, "vae", meter.listen)
        tile = plan.vae_tile_size // self.files.family.pixels_per_latent

        def encoded(picture: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
            request = EncodePictureRequest(picture, mask, tile)
            return self._engine.run(request, meter.listen)["moments"]

        start = around = None
        if pictures.image is not None:
            start = encoded(pictures.image)
            if pictures.around:
                everywhere = np.full(pictures.image.shape[:2], 255, np.uint8)
                around = encoded(pictures.image, everywhere if pictures.mask is None else pictures.mask)
        return EncodedPictures(start, around, tuple(encoded(picture) for picture in pictures.references))

    def denoise_and_decode(
        self,
        settings: GenerationSettings,
        positive: EncodedPrompt,
        negative: EncodedPrompt | None,
        plan: MemoryPlan,
        *,
        noise: NDArray[np.float32] | None,
        pictures: Pictures,
        encoded: EncodedPictures,
        return_latent: bool,
        meter: Meter,
    ) -> GeneratedImage:
        """Denoises and decodes one picture."""
        settings = settings.replace(vae_tile_size=plan.vae_tile_size)
        self._residency.prepare(plan, "diffusion_model", meter.listen)
        request = replace(
            self._denoising(settings, positive, negative, noise),
            start=encoded.start,
            around=encoded.around,
            references=encoded.references,
            mask=pictures.mask,
        )
        latent = self._engine.run(request, meter.listen)["latent"]
        self._residency.prepare(plan, "vae", meter.listen)
        tile = settings.vae_tile_size // self.files.family.pixels_per_latent
        pixels = self._engine.run(DecodeRequest(latent, tile), meter.listen)["image"]
        if pictures.mask is not None and pictures.image is not None and pictures.keep_unmasked:
            pixels = composited(pixels, pictures.image, pictures.mask)
        return GeneratedImage(
            image=Image.fromarray(pixels),
            settings=settings,
            timings=meter.take_timings(),
            model=self.files.names,
            engine=library.engine_commit(),
            latent=latent if return_latent else None,
        )

    def _denoising(
        self,
        settings: GenerationSettings,
        positive: EncodedPrompt,
        negative: EncodedPrompt | None,
        noise: NDArray[np.float32] | None,
    ) -> DenoiseRequest:
        sigmas: tuple[float, ...] = ()
        scheduler, schedule = settings.scheduler, self.files.family.sigmas
        if scheduler == REFERENCE_SCHEDULER and schedule is not None:
            sigmas = schedule(settings.steps, settings.width, settings.height, settings.strength)
        elif scheduler == REFERENCE_SCHEDULER:
            scheduler = "discrete"
        family_shift = self.files.family.flow_shift
        own = {"scheduler": scheduler, "flow_shift": math.inf if family_shift is None else family_shift}
        return DenoiseRequest(
            text=positive.arrays,
            negative={} if negative is None else negative.arrays,
            noise=noise,
            settings={**settings.native(), **own},
            sigmas=sigmas,
        )
