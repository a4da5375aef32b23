"""One open model: from settings to pixels through the engine. Knows nothing of locks, threads or defaults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import go_on
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest, EncodePictureRequest, Request
from sdcpp_py._native.status import NotNumbersError
from sdcpp_py.errors import DeviceLostError, EngineCrashedError, GenerationError, OutOfMemoryError
from sdcpp_py.images.conditioning import EncodedPictures, Pictures
from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.plan import CallPlan, MemoryPlan, PartNeed
from sdcpp_py.memory.planner import Planner, said_of
from sdcpp_py.memory.pool import Bounds
from sdcpp_py.memory.requirements import Demand, MemoryProbe, encode_request
from sdcpp_py.memory.residency import Residency
from sdcpp_py.memory.shortage import is_short, refuse_if_short
from sdcpp_py.models.broken_weights import broken_tensor
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.models.loras import Lora
from sdcpp_py.naming import excerpt
from sdcpp_py.pipeline.adaptation import Adaptation
from sdcpp_py.pipeline.engine_beside import EngineBeside
from sdcpp_py.pipeline.isolation.choice import new_engine
from sdcpp_py.pipeline.kept_steps import KeptSteps
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.pipeline.placing import open_request
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.prompts.cache import Encodings, check_encoded
from sdcpp_py.prompts.encoded import EncodedPrompt, blank
from sdcpp_py.settings import MIN_EDGE, GenerationSettings

logger = logging.getLogger("sdcpp_py")


class Pipeline:
    """The files of a model, the engine that holds them, and the phases of generating.

    Args:
        files: the model's files, already checked to belong together.
        options: how it is opened.
        check: the engine's, which says by what it raises that a call is to stop.
    """

    def __init__(self, files: ModelFiles, options: PipelineOptions, check: Callable[[], None] = go_on) -> None:
        self._check = check
        self.files = files
        self.options = options
        self.placement = options.placements[0]
        self.submission_target: int | None = None
        """Milliseconds that a submission to a GPU should take at most; None: the usual."""
        self.told: set[str] = set()
        self.beside: EngineBeside | None = None
        """What decodes and encodes beside the engine now, if anything does."""
        on_gpu = any(device.is_gpu for placement in options.placements for device in placement.all)
        self._kept = KeptSteps() if options.isolated or on_gpu else None
        self.loras = Adaptation(files)
        self._opened = False
        try:
            self._engine = self._new_engine()
        except BaseException:
            if self._kept is not None:
                self._kept.close()  # nobody has this pipeline, who could close it
            raise

    def _new_engine(self) -> AnyEngine:
        file = None if self._kept is None else self._kept.file
        return new_engine(self.options.isolated, file, self.submission_target, self._check)

    @property
    def engine(self) -> AnyEngine:
        """The engine that holds the model now."""
        return self._engine

    def described(self, *, closed: bool) -> str:
        """The model's family, the denoiser's file, and where it computes, in words."""
        file = excerpt(self.files.of_part("diffusion_model")[0].name)[1:-1]
        return f"{self.files.family.title} ({file}) {'closed' if closed else f'on {self.placement}'}"

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take now; empty while no model is open."""
        return self._held() if self._opened and not self._engine.broken else {}

    def _held(self) -> dict[str, int]:
        held = dict(self._residency.bytes_held)
        if self.beside is not None:
            for part, size in self.beside.bytes_held.items():
                # Engines on the CPU of one process have the same bytes.
                held[part] = held[part] + size if self.options.isolated else max(held[part], size)
        return held

    def cancel(self) -> None:
        """Tells what runs to stop. From any thread."""
        beside = self.beside  # which its own thread may take away meanwhile
        if beside is not None:
            beside.cancel()
        self._engine.cancel()

    def close(self) -> None:
        """Frees the model."""
        self._opened = False
        self._engine.close()
        if self._kept is not None:
            self._kept.close()

    def open(self, demand: Demand) -> MemoryPlan:
        """Reads what the files say, and decides where the parts compute. Reads no weights.

        Returns the plan of such a picture. Where it fits nowhere, it is the one of the last placement.
        """
        for placement in self.options.placements:
            self.open_on(placement)
            plan = self.plan(demand)
            if placement.suits(plan):
                break
        return self.plan(demand) if self._falls_back(plan) else plan

    def _falls_back(self, plan: MemoryPlan) -> bool:
        """Whether the model was opened on the CPU because a device cannot compute a plan."""
        fallback = self.options.fallback
        if not plan.unsupported or fallback is None or self.placement == fallback:
            return False
        logger.warning("%s: the CPU computes it all from here on", plan.unsupported)
        self.open_on(fallback)
        return True

    def open_on(self, placement: Placement) -> None:
        """Reads what the files say, for parts that compute where the placement says. Reads no weights."""
        self._opened = False
        self.placement = placement
        request = open_request(self.files, placement, self.options)
        self._engine.run(request)
        self._sums = " in float32" if "text_encoder" in request.float32_sums else ""
        self._residency = Residency(self._engine, self.options.encoder)
        self.loras.forget()
        self._know_nothing()
        self._opened = True

    def _know_nothing(self) -> None:
        """Forgets what was found out of other graphs than those of now."""
        # States of other sums are others, and so are those of other LoRAs.
        where = self.placement["text_encoder"].description + self._sums + self.loras.of_text
        self._encodings = Encodings(self.files, self.options.cache, where, self.options.threads)
        self._planner = Planner(MemoryProbe(self._engine, self.files, self.placement), self.placement)

    def wear(self, loras: Sequence[Lora]) -> None:
        """Lays these LoRAs beside the weights, and no others. Raises as ``Adaptation.lay`` does."""
        if self.loras.want(loras):
            if self._kept is not None:
                self._engine.settle()  # it may be adding a step of a picture that was stopped
                self._kept.clear()
            self.revive()

    def plan(self, demand: Demand) -> MemoryPlan:
        """How such pictures are generated within the limits as they are now."""
        bounds = self._bounds()
        plan = self._planner.plan(demand, bounds, encodes=True)
        beside = self._planner.plan_beside(demand, bounds, plan.vae_tile_size, encodes=not self.loras.of_text)
        if beside is None:
            return plan
        return replace(plan, why="; ".join(filter(None, (plan.why, said_of(beside, self.placement)))))

    def plan_call(self, demand: Demand, *, several: bool = False, later: bool = False) -> CallPlan:
        """The plans of a call, from one look at the memory that there is.

        Args:
            demand: what it generates.
            several: whether that is more than one picture: then the phases of two may overlap.
            later: whether prompts may be encoded while pictures before theirs are denoised.

        Raises OutOfMemoryError where a limit that was given does not allow it, SettingsError where a prompt is too
        long, GenerationError where a device that was chosen cannot compute it.
        """
        bounds = self._bounds()
        encoding = self._planner.plan(demand, bounds, encodes=True) if demand.texts else None
        generating = self._planner.plan(demand, bounds, encodes=False)
        if self._falls_back(encoding or generating):
            return self.plan_call(demand, several=several, later=later)
        for plan in (encoding, generating):
            if plan is not None:
                refuse_if_short(plan, self.options.limits)
        beside = None
        if several and generating.fits:
            later = later and not self.loras.of_text  # the engine beside has none
            beside = self._planner.plan_beside(demand, bounds, generating.vae_tile_size, encodes=later)
        if beside is None:
            return CallPlan(encoding, generating)
        # Engines on the CPU of one process have the same bytes. Kept here too, the encoder's outlast the batch.
        return CallPlan.overlapping(encoding, beside, shared=() if self.options.isolated else ("text_encoder",))

    def _bounds(self) -> Bounds:
        self._residency.look()
        held, beside = (self.placement.sums(sizes) for sizes in (self._held(), self.loras.bytes_held))
        return self.options.limits.without(beside).now(self.placement.all, held)

    def needs(self, demand: Demand, tile: int) -> list[PartNeed]:
        """As ``Planner.needs``."""
        return self._planner.needs(demand, tile)

    def load(self, plan: MemoryPlan, meter: Meter) -> None:
        """Reads the weights that stay in memory, for pictures of the plan's size.

        Where these do not fit, nothing is read: smaller ones may fit. Raises OutOfMemoryError where a limit that
        was given is too low for any.
        """
        if is_short(plan, self.options.limits):
            smallest = self.plan(Demand(GenerationSettings("", width=MIN_EDGE, height=MIN_EDGE), (blank(self.files),)))
            if is_short(smallest, self.options.limits):
                raise OutOfMemoryError(f"{plan.advice()}; even from a prompt embedding, {smallest.advice()}")
        else:
            self._residency.settle(plan, meter.listen)

    def revive(self) -> None:
        """Opens the model again where the engine died of a failed check, or such an opening did not come to its end."""
        self._engine.settle()
        if self._engine.broken:
            self._engine.close()
            self._engine = self._new_engine()
            self._opened = False
        if not self._opened:
            self.open_on(self.placement)
        if self.loras.lay(self._engine):
            self._know_nothing()

    def move(self, placement: Placement, submission_target: int | None) -> None:
        """Lets the parts compute elsewhere from the next ``revive`` on. A new engine has the submission target."""
        self.placement = placement
        self.submission_target = submission_target
        self._opened = False

    def may_move(self, part: str) -> bool:
        """Whether a part may leave the device that it has, where that computes wrongly."""
        return self.options.recovers and part in self.options.left_open

    @property
    def finished_steps(self) -> int:
        """How many steps are finished of a picture that was broken off."""
        return 0 if self._kept is None else self._kept.steps

    def known(self, prompt: str, settings: GenerationSettings) -> EncodedPrompt | None:
        """What the cache has kept for a prompt of a picture with these settings."""
        return self._encodings.find(prompt, settings)

    def check_encoded(self, prompt: EncodedPrompt) -> None:
        """Raises ModelMismatchError where a prompt was encoded for another model."""
        check_encoded(prompt, self.files)

    def encode(self, prompt: str, settings: GenerationSettings, plan: MemoryPlan, meter: Meter) -> EncodedPrompt:
        """The text encoder's states for a prompt, computed."""
        self._residency.prepare(plan, "text_encoder", meter.listen)
        arrays = self._run("text_encoder", encode_request(self.files, prompt, settings), meter)
        return self.keep(prompt, arrays, settings)

    def keep(self, prompt: str, arrays: dict[str, NDArray[Any]], settings: GenerationSettings) -> EncodedPrompt:
        """Keeps what a text encoder on the same device made of a prompt just now."""
        encoded = EncodedPrompt(prompt, self.files.family.name, arrays)
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
            return self._run("vae", request, meter)["moments"]

        start = around = None
        if pictures.image is not None:
            start = encoded(pictures.image)
            if pictures.around:
                everywhere = np.full(pictures.image.shape[:2], 255, np.uint8)
                around = encoded(pictures.image, everywhere if pictures.mask is None else pictures.mask)
        return EncodedPictures(start, around, tuple(encoded(picture) for picture in pictures.references))

    def denoise(
        self, request: DenoiseRequest, plan: MemoryPlan, meter: Meter, beside: Callable[[], object] = go_on
    ) -> NDArray[np.float32]:
        """The latent of one picture.

        Where the same was begun before, and the engine or its device ended, it goes on from the last finished step.
        ``beside`` is called as soon as other parts' weights have made room.
        """
        self._residency.prepare(plan, "diffusion_model", meter.listen)
        beside()
        if self._kept is None:
            return self._run("diffusion_model", request, meter)["latent"]
        try:
            self._engine.settle()  # it may be adding a step of a picture that was stopped
            latent = self._run("diffusion_model", self._kept.begin(request), meter)["latent"]
        except (DeviceLostError, EngineCrashedError):
            raise
        except BaseException:
            self._kept.forget()
            raise
        self._kept.clear()
        return latent

    def decode(self, latent: NDArray[np.float32], plan: MemoryPlan, meter: Meter) -> NDArray[np.uint8]:
        """The pixels of a latent, uint8 of shape (height, width, 3). Raises NotNumbersError, not yet explained."""
        self._residency.prepare(plan, "vae", meter.listen)
        tile = plan.vae_tile_size // self.files.family.pixels_per_latent
        pixels: NDArray[np.uint8] = self._engine.run(DecodeRequest(latent, tile), meter.listen)["image"]
        return pixels

    def _run(self, part: str, request: Request, meter: Meter) -> dict[str, NDArray[Any]]:
        try:
            return self._engine.run(request, meter.listen)
        except NotNumbersError as error:
            raise self.explained(error, part, meter) from None

    def explained(self, error: NotNumbersError, part: str, meter: Meter) -> GenerationError:
        """The error of a part that gives no numbers, with the weights that are none, which are looked for."""
        found = broken_tensor(self.files.of_part(part), meter.check)
        said = "" if found is None else f". In {found[0]}, the tensor '{found[1]}' holds NaN or infinity"
        return GenerationError(f"{error}{said}", detail=error.detail)
