"""The generator: a model that is open, and the pictures generated with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from numpy.typing import ArrayLike

from sdcpp_py.errors import GenerationCancelled
from sdcpp_py.images.gallery import GeneratedImages
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.gpu_rules import Precision
from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.memory.tested_gpus import SelfTest
from sdcpp_py.models.files import check_files
from sdcpp_py.models.loras import LoraInput, given_loras
from sdcpp_py.pipeline.arguments import ENCODING, GENERATION, EncodingArguments, GenerationArguments, prompt_and_loras
from sdcpp_py.pipeline.batch import encode_prompt, generate_images
from sdcpp_py.pipeline.isolation import Isolation
from sdcpp_py.pipeline.open import GivenEncoder, find_pretrained, open_pipeline, shared_encoder
from sdcpp_py.pipeline.open_model import OpenModel
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.pipeline.wanted import Prompt, check_noise, encoding_wanted, make_requests, requests_and_pictures
from sdcpp_py.progress import OnProgress, ProgressCallback
from sdcpp_py.prompts.cache import chosen_cache
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.domains import check_one_of
from sdcpp_py.signatures import checked_names, spelt_out
from sdcpp_py.signatures.foreign import ClassAnswering, answering
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.paths import StrPath

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnCancel = Literal["raise", "return"]
"""What ``Generator.generate_batch(on_cancel=...)`` takes."""


@answering
class Generator(OpenModel, metaclass=ClassAnswering):
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
        memory: how much weights and compute buffers may take on the denoiser's device, and on the CPU together with an
            integrated GPU, which share one memory: "6GiB", "auto" (what is free), "all" (no limit). Or a size for each
            device: ``{"cpu": "8GiB", "vulkan0": "5.28GiB"}``. With little memory, weights are staged for their phase,
            or streamed block by block; on the CPU, pictures are the same with every limit.
        precision: of GPUs. "auto" sums products up in float32 on those that would do so in half precision, a per cent
            off in each layer and cutting off what is too large; "fast" leaves it to them.
        isolation: where the engine computes. "process": in one of its own, so that this one survives whatever happens
            there; "thread": in this one; "auto": in a process where a part is on a GPU.
        fallback: whether a picture that a GPU loses goes on from its last finished step: there, and then on the CPU,
            for parts whose device was left open; its ``events`` say so. Where False, the loss is an error.
        self_test: "auto" tests a GPU once before it is first used, in up to a minute, and heeds what it finds: how it
            computes rightly, or that it does not (then "auto" is the CPU). "off" uses it as if nothing were known.
        cache_prompts, cache_dir: keep prompt embeddings in memory (256 MiB at most), and on disk for other processes.
        loras: for all pictures that have none of their own, as ``generate`` takes them.
        timeout: seconds that opening may take, a self-test included; None: as long as it takes.
        on_progress: is called with a ``Progress`` while the weights are read.
        progress_bar: shows a progress bar on standard error, here and for every picture.

    The headers of all files are read and checked against each other before any weight is. Generators that are open at
    the same time and compute in threads share the weights of equal files.
    Threads that use one generator take turns; ``cancel`` works at any time. After any error it is as usable as before.

    Raises:
        ModelNotFoundError, ModelLoadError, ModelMismatchError: about the files.
        OutOfMemoryError: the weights do not fit, or ``memory`` is too little for even the smallest picture; the message
            names what is enough.
        NativeLibraryError: there is no such device, or its self-test found that it must not be used.
        SettingsError: ``threads`` is not 1 to 1024, or more than the system gives this process; ``memory`` is no size;
            ``isolation`` is "process" with a ``TextEncoder``, or where there cannot be one.
        EngineCrashedError, OutputError: the engine's process ended; ``cache_dir`` cannot be made.
        GenerationTimeoutError: ``timeout`` is over; the message says what was done just then.
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
        precision: Precision = "auto",
        isolation: Isolation = "auto",
        fallback: bool = True,
        self_test: SelfTest = "auto",
        cache_prompts: bool = True,
        cache_dir: StrPath | None = None,
        loras: LoraInput | Sequence[LoraInput] | None = None,
        timeout: float | None = None,
        on_progress: OnProgress = None,
        progress_bar: bool = False,
    ) -> None:
        deadline = Deadline.of(timeout)
        encoder, encoder_files = shared_encoder(text_encoder)
        files = check_files(diffusion_model, encoder_files, vae, model=model)
        cache = chosen_cache(cache_prompts, cache_dir)
        options = PipelineOptions.of(
            device, memory, threads, cache, encoder, precision, isolation, self_test, fallback, deadline
        )
        self._loras = given_loras(loras)
        self._pipeline, self._lock = open_pipeline(files, options, on_progress, progress_bar, deadline)

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
        precision: Precision = "auto",
        isolation: Isolation = "auto",
        fallback: bool = True,
        self_test: SelfTest = "auto",
        cache_prompts: bool = True,
        cache_dir: StrPath | None = None,
        loras: LoraInput | Sequence[LoraInput] | None = None,
        timeout: float | None = None,
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
            device, threads, memory, precision, isolation, fallback, self_test, cache_prompts, cache_dir, loras,
                timeout, on_progress, progress_bar: as ``Generator`` takes them; downloads are ``Phase.DOWNLOAD``.

        Raises:
            ModelNotFoundError: no model has this name. Others as ``Generator`` does.
            SettingsError: there is no such quantization, or an argument means nothing for this model.
            DownloadError, GatedModelError, CatalogueError: a file cannot be fetched, a catalogue of one's own is wrong.
        """
        deadline = Deadline.of(timeout)
        cache = chosen_cache(cache_prompts, cache_dir)  # before gigabytes are fetched, in case one is wrong
        options = PipelineOptions.of(
            device, memory, threads, cache, None, precision, isolation, self_test, fallback, deadline
        )
        files = find_pretrained(
            name, options, on_progress, progress_bar, deadline, quant=quant, revision=revision, token=token,
            local_files_only=local_files_only, cache_dir=hub_cache, models_dir=models_dir,
        )  # fmt: skip
        opened = cls.__new__(cls)
        opened._loras = given_loras(loras)
        opened._pipeline, opened._lock = open_pipeline(files, options, on_progress, progress_bar, deadline)
        return opened

    @checked_names
    @spelt_out(GENERATION, GenerationArguments, keep_unmasked=True)
    def generate(
        self,
        prompt: Prompt | GenerationSettings,
        *,
        noise: ArrayLike | None = None,
        return_latent: bool = False,
        timeout: float | None = None,
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
                what is transparent is kept. ``sdcpp_py.extend`` makes both to go beyond the edges (outpainting).
            reference_images: one reference image or several, to edit or to combine, for FLUX.2 Klein and FLUX.1
                Kontext. They are scaled as a whole to the area of width x height.
            resize: for an init image of another size than width x height, which is else an error: "cover" scales it
                until it covers that and crops to the middle, "pad" until it is wholly inside, "fit" stretches it.
            loras: LoRAs that are added to the weights: files, (file, weight), ``Lora``, or one of these alone.
            lora_dir: a folder of LoRAs, for those that prompts name: ``<lora:NAME:WEIGHT>``. These are words else.
            keep_unmasked: whether the init image's own pixels are put back where the mask is black, byte for byte.
                Without it they have gone through the VAE.
            noise: the initial noise, float32 of the latent's shape, instead of noise from the seed: of shape
                (128, height / 16, width / 16) for FLUX.2 Klein, (4, height / 8, width / 8) for Stable Diffusion 1, 2
                and XL, and (16, height / 8, width / 8) for the others.
            return_latent: whether the picture's ``latent`` is the denoised latent, float32 of the same shape, in the
                denoiser's latent space.
            timeout: seconds that the call may take, with its wait for other threads' calls; None: as many as it takes.
            on_progress: is called with a ``Progress`` in this thread. What it raises stops the run and comes out.

        Raises:
            SettingsError: a setting is out of its domain, the prompt has more tokens than the model reads, or a picture
                has a size or type that cannot be used.
            ImageError, ImageNotFoundError: a picture that is handed in cannot be read.
            GenerationCancelled, GeneratorClosedError: ``cancel`` or ``close`` was called.
            GenerationTimeoutError: ``timeout`` is over. As after ``cancel``, the generator is as usable as before.
            ModelMismatchError, OutOfMemoryError: a prompt is of another model; ``memory`` is too little, or ran out.
            DeviceLostError, EngineCrashedError, GenerationError: the engine failed, without a way out.
        """
        self._lock.check_open()
        deadline = Deadline.of(timeout)
        prompt, loras = prompt_and_loras(prompt, arguments, self._loras)
        [request], pictures = requests_and_pictures(self.family, [prompt], 1, arguments)
        given = None if noise is None else check_noise(noise, self.family, request.settings)
        generated: list[GeneratedImage] = []
        with self._turn(on_progress, deadline=deadline) as meter:
            generate_images(
                self._pipeline, [request], meter, pictures, generated,
                loras=loras, noise=given, return_latent=return_latent,
            )  # fmt: skip
        return generated[0]

    @checked_names
    @spelt_out(GENERATION, GenerationArguments, keep_unmasked=True)
    def generate_batch(
        self,
        prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
        *,
        count: int = 1,
        return_latent: bool = False,
        overlap: bool = True,
        timeout: float | None = None,
        on_cancel: OnCancel = "raise",
        on_progress: ProgressCallback | None = None,
        on_image: Callable[[GeneratedImage], object] | None = None,
        **arguments: Unpack[GenerationArguments],
    ) -> list[GeneratedImage]:
        """Generates ``count`` pictures of a prompt, or of each of several, with the seeds seed, seed + 1, ...

        Picture i of a prompt is what ``generate`` makes with its seed, whose further arguments and errors these are.
        ``count`` is 1 to 10,000, of all prompts together. ``overlap``: whether the CPU decodes pictures and encodes
        prompts while a GPU denoises others, if VAE and text encoder are there and have room; else all prompts are
        encoded before the first picture. ``on_image`` is called with each picture as soon as it is decoded, in this
        thread, to be saved before the next one is there; what it raises stops the batch and comes out. ``on_cancel``,
        after ``cancel``, ``close`` or the end of ``timeout``: "raise" raises, "return" returns the finished pictures.
        """
        self._lock.check_open()
        deadline = Deadline.of(timeout)
        check_one_of("on_cancel", on_cancel, get_args(OnCancel))
        prompt, loras = prompt_and_loras(prompt, arguments, self._loras)
        requests, pictures = requests_and_pictures(self.family, prompt, count, arguments)
        finished = GeneratedImages()
        try:
            with self._turn(on_progress, len(requests), deadline) as meter:
                generate_images(
                    self._pipeline, requests, meter, pictures, finished,
                    loras=loras, return_latent=return_latent, on_image=on_image, overlap=overlap,
                )  # fmt: skip
        except GenerationCancelled:
            if on_cancel == "raise":
                raise
        return finished

    @checked_names
    @spelt_out(ENCODING, EncodingArguments)
    def encode(
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        on_progress: OnProgress = None,
        **options: Unpack[EncodingArguments],
    ) -> EncodedPrompt:
        """What the text encoder makes of a prompt: to be saved, and to be given in a prompt's place, anywhere.

        ``timeout``, ``on_progress`` and errors are those of ``generate``, the options those that encoding reads: Stable
        Diffusion XL's states hold the picture's size. LoRAs are applied to the text encoder; ``generate`` applies those
        that it is given to the denoiser.
        """
        deadline = Deadline.of(timeout)
        settings, loras = encoding_wanted(self.family, prompt, options, self._loras)
        with self._turn(on_progress, deadline=deadline) as meter:
            return encode_prompt(self._pipeline, settings, meter, loras)

    @checked_names
    def plan(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        prompt: Prompt | None = None,
        vae_tile_size: int = 0,
        loras: LoraInput | Sequence[LoraInput] | None = None,
    ) -> MemoryPlan:
        """What will be in memory in each phase: each part's weights, each phase's compute buffer, and what is resident.

        As ``generate``, but a plan that does not fit says so by ``fits``. Without a prompt, the longest is meant.
        LoRAs lie beside the weights then: what they take is off what there is for all else.
        """
        text = LONG_PROMPT if prompt is None else prompt
        [request] = make_requests(self.family, [text], None, width=width, height=height, vae_tile_size=vae_tile_size)
        with self._turn(None):
            self._pipeline.wear(given_loras(loras, self._loras))
            return self._pipeline.plan(Demand(request.settings, (text,)))
