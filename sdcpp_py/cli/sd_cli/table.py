"""Every option of sd-cli's help, and what becomes of it here. Parser and documents are made from it.

``tests/data/sd_cli.json`` has the names as sd-cli has them, with its commit; a test compares.
"""

from __future__ import annotations

from sdcpp_py.cli.sd_cli import values
from sdcpp_py.cli.sd_cli.option import SdOption, Words, refused, renamed, same, without_effect

_CONTROL_NET = (
    "ControlNet is not supported yet; --reference edits a picture, with models that take one (sdcpp-py models)"
)
_IP_ADAPTER = (
    "IP-Adapter is not supported yet; --reference takes a picture, with models that read one (sdcpp-py models)"
)
_IDENTITY = "PhotoMaker and PuLID are not supported; --reference takes a picture, with models that read one"
_BESIDE = "what a LoRA adds is computed beside the weights, whatever their type; these stay as they are"
_HIRES = "there is no second pass yet; generate again from it in a greater size (--image, -W, -H, --resize, --strength)"
_SLG = "guidance by skipped layers is not supported yet; leave it out"
_CACHE = "steps are not skipped by a cache here; leave it out, or take fewer --steps"
_IMATRIX = "importance matrices are for converting files, which is not done here; go on with sd-cli for that"
_CIRCULAR = "pictures that repeat without a seam are not supported yet; leave it out"
_SCHEDULE = "a schedule of one's own is not supported yet; --scheduler names those that there are"
_REFERENCE = "reference images are prepared as the model was trained; leave it out"
_OTHER_MODELS = "no model that is supported here reads it (sdcpp-py models lists those that are)"
_MEMORY = "where weights lie is planned by itself, from what is free or from --memory (sdcpp-py plan shows it)"
_PLACES = (
    "parts go to the CPU by themselves where the GPU lacks room; --device text_encoder=cpu,vae=cpu says it outright"
)
_ATTENTION = "attention is computed a few heads at a time here, which bounds its memory"
_CONVOLUTION = "the way of computing a convolution is chosen for each device"
_TYPE = "weights are used as they lie in the file; for others, take a file of that type, or --quant with a model's name"
_NOISE = (
    "the noise is that of sd-cli's own default (cuda), on every device; with another one a seed gives another picture"
)
_PREVIEW = "previews are not written yet; the picture is the same without"
_NO_COLOR = "a terminal gets colours by itself, and NO_COLOR=1 takes them away"
_SHOWN = "sdcpp-py info shows what a picture was generated with, and nothing else of the file"
_VIDEO = (
    "--high-noise-diffusion-model", "--embeddings-connectors", "--audio-vae", "--motion-module", "--end-img",
    "--control-video", "--extra-tiling-args", "--high-noise-steps", "--video-frames", "--fps", "--high-noise-cfg-scale",
    "--high-noise-img-cfg-scale", "--high-noise-guidance", "--high-noise-slg-scale", "--high-noise-skip-layer-start",
    "--high-noise-skip-layer-end", "--high-noise-eta", "--moe-boundary", "--vace-strength",
    "--high-noise-sampling-method", "--high-noise-skip-layers", "--ref-video", "--ref-video-audio", "--ref-audio",
)  # fmt: skip


def _image(_: str) -> Words:
    return []


TABLE: tuple[SdOption, ...] = (
    # What is asked of the program.
    *same("-o --output VALUE", "-v --verbose", "-h --help"),
    *renamed("-M --mode VALUE", "img_gen is what `generate` does; others are refused, each with why", values.mode),
    *renamed("--image VALUE", "sdcpp-py info FILE; --image of `generate` is the picture to begin from", _image),
    *without_effect(_SHOWN, "--metadata-format VALUE", "--metadata-raw", "--metadata-brief", "--metadata-all"),
    *without_effect(_PREVIEW, "--preview VALUE", "--preview-path VALUE", "--preview-interval VALUE"),
    *without_effect(_PREVIEW, "--preview-noisy"),
    *without_effect(_NO_COLOR, "--color"),
    *refused("a tiny autoencoder decodes the picture here; leave it and --taesd out", "--taesd-preview-only"),
    *refused("pictures are numbered from 0 here (%03d in --output); rename them", "--output-begin-idx VALUE"),
    *refused("sdcpp-py doctor lists the devices", "--list-devices"),
    *refused(values.CONVERT, "--convert-name"),
    *refused(_IMATRIX, "--imat-out VALUE", "--imat-in VALUE"),
    *refused(_CONTROL_NET, "--canny"),
    # The model's files.
    *same("-m --model VALUE", "--diffusion-model VALUE", "--vae VALUE", "--tae VALUE", "--llm VALUE"),
    *same("--clip_l VALUE", "--clip_g VALUE", "--t5xxl VALUE"),
    *renamed("--taesd VALUE", "--tae", "--tae"),
    *renamed("--qwen2vl VALUE", "--llm", "--llm"),
    *without_effect(_TYPE, "--type VALUE", "--tensor-type-rules VALUE"),
    *without_effect("it is read from the file", "--vae-format VALUE"),
    *without_effect("it is done where the VAE lies in the checkpoint; beside one, give a VAE that is mended for it "
                    "(sdxl-vae-fp16-fix)", "--force-sdxl-vae-conv-scale"),
    *refused("it is read from the file and cannot be told yet; leave it out", "--prediction VALUE"),
    *refused("the arguments of a model are its own and cannot be told yet; leave it out", "--model-args VALUE"),
    *refused(_OTHER_MODELS, "--uncond-diffusion-model VALUE", "--qwen-image-layers VALUE"),
    *refused("editing that reads pictures with the language model is not supported yet; leave it out, and the "
             "reference images go to the denoiser alone", "--llm_vision VALUE", "--qwen2vl_vision VALUE"),
    *refused("textual inversions are not supported yet; leave it out", "--embd-dir VALUE"),
    *same("--lora-model-dir VALUE"),
    *without_effect(_BESIDE, "--lora-apply-mode VALUE"),
    *refused(_CONTROL_NET, "--control-net VALUE", "--control-image VALUE", "--control-strength VALUE"),
    *refused(_CONTROL_NET, "--control-net-cpu"),
    *refused(_IP_ADAPTER, "--clip_vision VALUE", "--ip-adapter VALUE", "--ip-adapter-image VALUE"),
    *refused(_IP_ADAPTER, "--ip-adapter-strength VALUE"),
    *refused(_IDENTITY, "--photo-maker VALUE", "--pm-id-images-dir VALUE", "--pm-id-embed-path VALUE"),
    *refused(_IDENTITY, "--pm-style-strength VALUE", "--pulid-weights VALUE", "--pulid-id-embedding VALUE"),
    *refused(_IDENTITY, "--pulid-id-weight VALUE"),
    *refused(values.UPSCALE, "--upscale-model VALUE", "--upscale-repeats VALUE", "--upscale-tile-size VALUE"),
    # The machine.
    *same("-t --threads VALUE"),
    *renamed("--backend VALUE", "--device; CPU and Vulkan are built, and cuda0 and the like become auto",
             values.device, joined=True),
    *renamed("--max-vram VALUE", "--memory, with a unit: 6GiB; 0 is all, below 0 is auto", values.memory),
    *without_effect(_MEMORY, "--params-backend VALUE", "--stream-layers", "--offload-to-cpu", "--eager-load"),
    *without_effect(_MEMORY, "--mmap"),
    *without_effect("--device is auto unless it is given", "--auto-fit"),
    *without_effect(_PLACES, "--clip-on-cpu", "--vae-on-cpu"),
    *without_effect(_ATTENTION, "--fa", "--diffusion-fa"),
    *without_effect(_CONVOLUTION, "--diffusion-conv-direct", "--vae-conv-direct"),
    *without_effect(_NOISE, "--rng VALUE", "--sampler-rng VALUE"),
    *without_effect("nothing is split: a part computes on one device here (--device)", "--split-mode VALUE"),
    *refused("no other machine takes part here; leave it out", "--rpc-servers VALUE"),
    # The picture.
    *same("-p --prompt VALUE", "-n --negative-prompt VALUE", "--prompt-file VALUE", "--negative-prompt-file VALUE"),
    *same("-W --width VALUE", "-H --height VALUE", "-b --batch-count VALUE"),
    *renamed("-s --seed VALUE", "below 0 it is a random one in sd-cli; here -1 is", values.seed),
    *same("-i --init-img VALUE", "--mask VALUE", "--strength VALUE", "-r --ref-image VALUE"),
    *refused("pictures carry what they were generated with; in Python, picture.image.save(...) leaves it out",
             "--disable-image-metadata"),
    *refused(_REFERENCE, "--increase-ref-index", "--disable-auto-resize-ref-image", "--ref-image-args VALUE"),
    *refused(_CIRCULAR, "--circular", "--circularx", "--circulary"),
    *refused(_HIRES, "--hires", "--hires-upscaler VALUE", "--hires-upscalers-dir VALUE", "--hires-width VALUE"),
    *refused(_HIRES, "--hires-height VALUE", "--hires-steps VALUE", "--hires-scale VALUE", "--hires-sigmas VALUE"),
    *refused(_HIRES, "--hires-denoising-strength VALUE", "--hires-upscale-tile-size VALUE"),
    *refused(values.DETAIL, "--ad-model VALUE", "--ad-prompt VALUE", "--ad-negative-prompt VALUE"),
    *refused(values.DETAIL, "--extra-ad-args VALUE"),
    # Sampling.
    *same("--steps VALUE", "--cfg-scale VALUE", "--guidance VALUE", "--eta VALUE", "--clip-skip VALUE"),
    *same("--sampling-method VALUE", "--scheduler VALUE", "--vae-tiling"),
    *renamed("--vae-tile-size VALUE", "32x32 counts cells of the latent and becomes 256 pixels (8 a cell, of which "
             "FLUX.2 has 16); a number alone is pixels", values.tile),
    *without_effect("tiles overlap by half, which is sd-cli's own default", "--vae-tile-overlap VALUE"),
    *without_effect("the schedule has the model's own shift; another one cannot be told yet", "--flow-shift VALUE"),
    *refused("tiles have a size in pixels here: --vae-tile-size 256", "--vae-relative-tile-size VALUE"),
    *refused("a guidance of its own for the picture is not supported yet; leave it out", "--img-cfg-scale VALUE"),
    *refused("the models that it is for are not supported here; leave it out", "--timestep-shift VALUE"),
    *refused(_SCHEDULE, "--sigmas VALUE", "--extra-sample-args VALUE"),
    *refused(_SLG, "--slg-scale VALUE", "--skip-layers VALUE", "--skip-layer-start VALUE", "--skip-layer-end VALUE"),
    *refused(_CACHE, "--cache-mode VALUE", "--cache-option VALUE", "--scm-mask VALUE", "--scm-policy VALUE"),
    # Video and sound.
    *refused(values.VIDEO, *(f"{name} VALUE" for name in _VIDEO), "--temporal-tiling"),
)  # fmt: skip

BY_NAME = {name: option for option in TABLE for name in option.names}
"""The options by every name that they have."""
