"""The generator: a model that is open, and the pictures generated with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.models.families import Family
from sdcpp_py.models.files import ModelFiles, check_files
from sdcpp_py.models.pretrained import resolve
from sdcpp_py.naming import excerpt
from sdcpp_py.pipeline.arguments import GenerationArguments, check_noise
from sdcpp_py.pipeline.batch import Prompt, encode_prompt, generate_images, make_requests, requests_and_pictures
from sdcpp_py.pipeline.open import GivenEncoder, checked_pretrained, open_pipeline, shared_encoder
from sdcpp_py.pipeline.pipeline import PipelineOptions
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.progress import Phase, ProgressCallback
from sdcpp_py.prompts.cache import chosen_cache
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import OPTIONS, GenerationSettings, SettingsArguments
from sdcpp_py.signatures import checked_names, spelt_out
from sdcpp_py.signatures.foreign import ClassAnswering, answering
from sdcpp_py.system.paths import StrPath

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnProgress = ProgressCallback | None
GENERATION = tuple(GenerationArguments.__annotations__)
"""The keyword arguments that decide a picture, in the order in which ``help`` shows them."""
ENCODING = tuple(name for name, option in OPTIONS.items() if option.phase is Phase.ENCODE)
"""The options that decide what encoding a prompt gives."""


@answering
class Generator(metaclass=ClassAnswering):
    """An open model, ready to generate pictures.

    Args:
        diffusion_model: the denoiser, GGUF or safetensors (``sd-cli --diffusion-model``).
        text_encoder: the text encoder: a file, several files in any order where the model reads several (FLUX.1 has
            CLIP-L and T5-XXL). A ``TextEncoder`` in place of a file stays in memory when this generator is gone.
        vae: the VAE, full or tiny (``sd-cli --vae``, ``--tae``).
        model: a whole checkpoint (``sd-cli -m``), as Stable Diffusion 1, 2 and XL come; what is given beside it takes
            the place of its own part.
        device: "auto" (a GPU where there is one), "cpu", "vulkan0", ...: one of ``sdcpp_py.devices()``. Or one for each
            part: ``{"text_encoder": "cpu", "diffusion_model": "vulkan0", "vae": "cpu"}``.
        threads: CPU threads for loading and computing; where None, one for each physical core, or for each that a
            container may use.
        memory: how much weights and compute buffers may take on the denoiser's device: "6GiB", "auto" (what is free),
            "all" (no limit). Or a size for each device: ``{"cpu": "8GiB", "vulkan0": "5.28GiB"}``. With little memory,
            weights are staged for their phase, or streamed block by block; on the CPU, pictures are the same with every
            limit.
        cache_prompts: keeps prompt embeddings in memory (256 MiB of them at most), so that none is encoded twice.
        cache_dir: keeps them on disk too, for other processes and days.
        on_progress: is called with a ``Progress`` while the weights are read.
        progress_bar: shows a progress bar on standard error, here and for every picture.

    The headers of all files are read and checked against each other before any weight is. Generators that are
    open at the same time share the weights of equal files.

    Threads that use one generator take turns; ``cancel`` works at any time. After any error it is as usable as before.

    Raises:
        ModelNotFoundError, ModelLoadError, ModelMismatchError: about the files.
        OutOfMemoryError: the weights do not fit, or ``memory`` is too little for even the smallest picture; the message
            names what is enough.
        NativeLibraryError: there is no such device.
        SettingsError: ``threads`` is not 1 to 1024, or more than the system gives this process; ``memory`` is no size.
        OutputError: ``cache_dir`` cannot be made.
    """

    @checked_names
    def __init__(
        self,
        diffusion_model: StrPath | None = None,
        text_encoder: GivenEncoder | Sequence[GivenEncoder] | None = None,
        vae: StrPath | None = None,
        *,
        model: StrPath | None = None,
        device: DeviceChoice = "auto",
        threads: int | None = None,
        memory: MemoryLimit = "auto",
        cache_prompts: bool = True,
        cache_dir: StrPath | None = None,
        on_progress: OnProgress = None,
        progress_bar: bool = False,
    ) -> None:
        encoder, encoder_files = shared_encoder(text_encoder)
        files = check_files(diffusion_model, encoder_files, vae, model=model)
        options = PipelineOptions.of(device, memory, threads, chosen_cache(cache_prompts, cache_dir), encoder)
        self._pipeline, self._lock = open_pipeline(files, options, on_progress, progress_bar)

    @classmethod
    @checked_names
    def from_pretrained(
        cls,
        name: str = "tiny",
        *,
        quant: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        hub_cache: StrPath | None = None,
        models_dir: StrPath | Sequence[StrPath] | None = None,
        device: DeviceChoice = "auto",
        threads: int | None = None,
        memory: MemoryLimit = "auto",
        cache_prompts: bool = True,
        cache_dir: StrPath | None = None,
        on_progress: OnProgress = None,
        progress_bar: bool = False,
    ) -> Generator:
        """Opens a model by its name, and fetches its files first where they are not on disk.

        Args:
            name: one that ``sdcpp-py models`` lists, with a quantization ("z-image-turbo:Q4_K") or without; a file on
                the Hub ("leejet/Z-Image-Turbo-GGUF/z_image_turbo-Q4_K.gguf") or in ``models_dir``; or "tiny", the model
                in the package, which knows simple shapes. Capital letters do not count.
            quant: the denoiser's quantization; where None, the name's, or what suits ``memory``, or else this machine.
            revision: branch, tag or commit of the denoiser's repository. "tiny" has none.
            token, local_files_only: for gated repositories (None: huggingface_hub's own); whether nothing is fetched.
            hub_cache: where files are kept (None: huggingface_hub's own cache).
            models_dir: folders of models (ComfyUI's, A1111's, any) to look into first, and SDCPP_PY_MODELS' after them.
            device, threads, memory, cache_prompts, cache_dir, on_progress, progress_bar: as ``Generator`` takes them.

        Raises:
            ModelNotFoundError: no model has this name. Others as ``Generator`` does.
            SettingsError: there is no such quantization, or an argument means nothing for this model.
            DownloadError, GatedModelError, CatalogueError: a file cannot be fetched, a catalogue of one's own is wrong.
        """
        # First, so that a wrong one is known before gigabytes are fetched.
        options = PipelineOptions.of(device, memory, threads, chosen_cache(cache_prompts, cache_dir))
        found = resolve(
            name, quant=quant, revision=revision, token=token, local_files_only=local_files_only, cache_dir=hub_cache,
            models_dir=models_dir, progress=progress_bar,
            limit=options.limit,
        )  # fmt: skip
        opened = cls.__new__(cls)
        opened._pipeline, opened._lock = open_pipeline(checked_pretrained(found), options, on_progress, progress_bar)
        return opened

    @property
    def family(self) -> Family:
        """The family of the model, with its defaults."""
        return self._pipeline.files.family

    @property
    def files(self) -> ModelFiles:
        """The files of the model."""
        return self._pipeline.files

    @property
    def device(self) -> str:
        """The denoiser's device ("cpu", "vulkan0"); other parts may be on others."""
        return self._pipeline.placement.denoiser.name

    @property
    def threads(self) -> int:
        """The CPU threads that it uses."""
        return self._pipeline.options.threads

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take now ("text_encoder", "diffusion_model", "vae").

        What generators share counts for each of them.
        """
        return self._pipeline.weight_bytes

    @checked_names
    @spelt_out(GENERATION, GenerationArguments, keep_unmasked=True)
    def generate(
        self,
        prompt: Prompt | GenerationSettings,
        *,
        noise: ArrayLike | None = None,
        return_latent: bool = False,
        on_progress: ProgressCallback | None = None,
        **arguments: Unpack[GenerationArguments],
    ) -> GeneratedImage:
        """Generates one picture: from a prompt alone, from an init image, under a mask, or by editing references.

        Pictures that are handed in are PIL images, paths, or uint8 arrays (height, width, 3). Their EXIF orientation
        is applied, and transparency is laid on white.

        Args:
            prompt: the prompt, as text or as the prompt embedding that ``encode`` gave, or whole settings
                (``GenerationSettings.from_png("old.png")``), of which the other arguments then replace single ones.
            arguments: the options, as ``GenerationSettings`` describes them, and the pictures below. None takes the
                model's default, or the size of the init image or first reference; the default seed is random, and the
                picture's settings hold it. The negative prompt may be a prompt embedding too.
            image: the init image (image to image). The default denoising strength is then 0.75, and 1 with a mask.
                Whole settings of strength 1, as those of a picture without an init image, get the default too.
            mask: of the init image's size, white where it is generated anew (inpainting) and black where it is kept;
                what is transparent is kept. ``sdcpp_py.extend`` makes image and mask to go beyond the edges
                (outpainting).
            reference_images: one reference image or several, to edit or to combine, for FLUX.2 Klein and FLUX.1
                Kontext. They are scaled as a whole to the area of width x height.
            resize: for an init image of another size than width x height, which is else an error: "cover" scales it
                until it covers that and crops to the middle, "pad" until it is wholly inside, "fit" stretches it.
            keep_unmasked: whether the init image's own pixels are put back where the mask is black, byte for byte.
                Without it they have gone through the VAE.
            noise: the initial noise, float32 of the latent's shape, instead of noise from the seed: of shape
                (128, height / 16, width / 16) for FLUX.2 Klein, (4, height / 8, width / 8) for Stable Diffusion 1, 2
                and XL, and (16, height / 8, width / 8) for the others.
            return_latent: whether the picture's ``latent`` is the denoised latent, float32 of the same shape, in the
                denoiser's latent space.
            on_progress: is called with a ``Progress`` in this thread. What it raises stops the run and comes out.

        Raises:
            SettingsError: a setting is out of its domain, the prompt has more tokens than the model reads, or a picture
                has a size or type that cannot be used.
            ImageError, ImageNotFoundError: a picture that is handed in cannot be read.
            GenerationCancelled: ``cancel`` was called.
            ModelMismatchError: a prompt was encoded for another model.
            OutOfMemoryError: ``memory`` is too little for this size, or memory ran out.
            DeviceLostError, GenerationError: the engine failed.
            GeneratorClosedError: the generator is closed.
        """
        self._lock.check_open()
        [request], pictures = requests_and_pictures(self.family, [prompt], 1, arguments)
        if noise is not None:
            noise = check_noise(noise, self.family.latent_shape(request.settings.width, request.settings.height))
        with self._turn(on_progress) as meter:
            return generate_images(
                self._pipeline, [request], meter, pictures, noise=noise, return_latent=return_latent
            )[0]

    @checked_names
    @spelt_out(GENERATION, GenerationArguments, keep_unmasked=True)
    def generate_batch(
        self,
        prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
        *,
        count: int = 1,
        return_latent: bool = False,
        on_progress: ProgressCallback | None = None,
        on_image: Callable[[GeneratedImage], object] | None = None,
        **arguments: Unpack[GenerationArguments],
    ) -> list[GeneratedImage]:
        """Generates ``count`` pictures of a prompt, or of each of several, with the seeds seed, seed + 1, ...

        All prompts are encoded first, each once. Picture i of a prompt is what ``generate`` makes with its seed.
        Further arguments and errors are those of ``generate``; ``count`` is 1 to 10,000, of all prompts together.

        ``on_image`` is called with each picture as soon as it is decoded, so that it can be saved before the next one
        is begun. What it raises stops the batch and comes out.
        """
        self._lock.check_open()
        requests, pictures = requests_and_pictures(self.family, prompt, count, arguments)
        with self._turn(on_progress, len(requests)) as meter:
            return generate_images(
                self._pipeline, requests, meter, pictures, return_latent=return_latent, on_image=on_image
            )

    @checked_names
    @spelt_out(ENCODING, SettingsArguments)
    def encode(
        self, prompt: str, *, on_progress: OnProgress = None, **options: Unpack[SettingsArguments]
    ) -> EncodedPrompt:
        """What the text encoder makes of a prompt: to be saved, and to be given in a prompt's place, anywhere.

        Args:
            prompt: the prompt.
            on_progress: as in ``generate``.
            options: those that encoding reads. Stable Diffusion XL's states hold the picture's size; others have no use
                for it.

        Raises as ``generate`` does.
        """
        settings = make_requests(self.family, [prompt], None, **options)[0].settings
        with self._turn(on_progress) as meter:
            return encode_prompt(self._pipeline, settings, meter)

    @checked_names
    def plan(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        prompt: Prompt | None = None,
        vae_tile_size: int = 0,
    ) -> MemoryPlan:
        """What will be in memory in each phase: each part's weights, each phase's compute buffer, and what is resident.

        As ``generate``, but a plan that does not fit says so by ``fits``. Without a prompt, the longest is meant.
        """
        text = LONG_PROMPT if prompt is None else prompt
        [request] = make_requests(self.family, [text], None, width=width, height=height, vae_tile_size=vae_tile_size)
        with self._turn(None):
            return self._pipeline.plan(Demand(request.settings, (text,)))

    def cancel(self) -> None:
        """Stops what runs, from any thread: that call raises GenerationCancelled. When none runs, it does nothing."""
        self._lock.cancel()

    def close(self) -> None:
        """Frees the model. What runs in another thread is cancelled. May be called twice."""
        self._lock.close()

    def __enter__(self) -> Generator:
        self._lock.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._lock.closed else f"on {self._pipeline.placement}"
        file = excerpt(self.files.of_part("diffusion_model")[0].name)[1:-1]
        return f"<Generator {self.family.title} ({file}) {state}>"

    @contextmanager
    def _turn(self, on_progress: OnProgress, images: int = 1) -> Iterator[Meter]:
        """One call's turn with the engine, which is opened again where it died."""
        with self._lock.take(on_progress, images) as meter:
            self._pipeline.revive()
            yield meter
