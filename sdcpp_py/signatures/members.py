"""The methods and attributes of other programs' objects, by the class of ours on which they are typed."""

from __future__ import annotations

from collections.abc import Mapping

_MEMORY = 'parts come and go by themselves, within Generator(memory="6GiB")'
_ATTENTION = "attention is computed in slices wherever that saves memory, without a switch"
_LORA = "type generate(..., loras=[(FILE, 0.8)]); each call says anew which are applied, and how strongly"
_FILES = "models are read from GGUF and safetensors files, and not written; `sdcpp-py inspect FILE` says what one is"
_NONE = "there is nothing like it here"
_INSIDE = "it is a step inside of diffusers' pipelines; generate does all of them, and encode the first alone"
_EMBEDDING = "textual inversions cannot be read yet"
_IP_ADAPTER = "IP-Adapters cannot be used; reference_images= of generate edits pictures with FLUX.2 Klein and Kontext"
_GIVEN = "it is given to generate, and the picture's settings hold it"


def _rows(*rows: tuple[str, str]) -> dict[str, str]:
    return {name: note for names, note in rows for name in names.split()}


ON_GENERATOR: Mapping[str, str] = _rows(
    ("__call__", "type generator.generate(prompt)"),
    ("to cuda cpu", 'say where it computes when it is opened: Generator(..., device="vulkan0"), "cpu" or "auto"'),
    ("half float dtype", 'weights keep the type of their file: from_pretrained(name, quant="Q8_0") chooses one'),
    ("generate_image txt2img img2img create_completion",
     "type generator.generate(prompt); image= makes it image to image"),
    ("generate_images", "type generator.generate_batch(prompts)"),
    ("generate_video", "videos cannot be generated"),
    ("images", "generate gives one picture, whose PIL image is .image; generate_batch gives a list of them"),
    ("enable_model_cpu_offload enable_sequential_cpu_offload enable_group_offload maybe_free_model_hooks "
     "remove_all_hooks reset_device_map",
     _MEMORY),
    ("enable_attention_slicing disable_attention_slicing set_attention_slice "
     "enable_xformers_memory_efficient_attention disable_xformers_memory_efficient_attention "
     "set_use_memory_efficient_attention_xformers fuse_qkv_projections unfuse_qkv_projections",
     _ATTENTION),
    ("enable_vae_tiling enable_vae_slicing disable_vae_tiling disable_vae_slicing",
     "type generate(..., vae_tile_size=256)"),
    ("load_lora_weights unload_lora_weights fuse_lora unfuse_lora set_adapters get_active_adapters "
     "get_list_adapters delete_adapters disable_lora enable_lora enable_lora_hotswap set_lora_device "
     "lora_scale fused_loras num_fused_loras load_lora_into_unet load_lora_into_text_encoder",
     _LORA),
    ("lora_state_dict save_lora_weights write_lora_layers pack_weights",
     "LoRAs are read, and neither trained nor written"),
    ("load_textual_inversion unload_textual_inversion maybe_convert_prompt", _EMBEDDING),
    ("load_ip_adapter unload_ip_adapter set_ip_adapter_scale prepare_ip_adapter_image_embeds encode_image",
     _IP_ADAPTER),
    ("set_progress_bar_config progress_bar",
     "type Generator(..., progress_bar=True), or give generate an on_progress="),
    ("from_single_file",
     "type Generator(model=FILE) for a checkpoint, or Generator(diffusion_model, text_encoder, vae)"),
    ("from_pipe", "one generator does text to image, image to image, inpainting and editing"),
    ("download", "type `sdcpp-py pull NAME`; from_pretrained fetches what is missing too"),
    ("save_pretrained convert", _FILES),
    ("encode_prompt create_embedding", "type generator.encode(prompt)"),
    ("scheduler unet transformer text_encoder tokenizer vae feature_extractor image_processor safety_checker "
     "components parameters register_modules name_or_path",
     "its parts are inside of the engine; sampler= and scheduler= of generate choose the sampling, .family and"
     " .files say what it is"),
    ("run_safety_checker", "there is no safety checker: look at pictures before others do"),
    ("guidance_scale guidance_rescale clip_skip cross_attention_kwargs do_classifier_free_guidance "
     "num_timesteps",
     _GIVEN),
    ("interrupt", "type generator.cancel(), from any thread"),
    ("check_inputs decode_latents prepare_latents prepare_extra_step_kwargs get_guidance_scale_embedding "
     "numpy_to_pil",
     _INSIDE),
    ("enable_freeu disable_freeu", _NONE),
    ("model", ".files are the files of the model, and .family is its family"),
    ("upscale upscaler", "pictures cannot be upscaled by a model yet"),
    ("preprocess_canny", "ControlNets cannot be used yet"),
)  # fmt: skip
"""Of a pipeline."""

ON_PICTURES: Mapping[str, str] = _rows(
    ("images",
     "generate gives one picture, whose PIL image is .image; generate_batch gives a list: its items are the "
     "pictures"),
    ("nsfw_content_detected has_nsfw_concept", "there is no safety checker: look at pictures before others do"),
    ("resize crop convert paste thumbnail rotate transpose filter getpixel putpixel tobytes mode",
     "the PIL image is .image"),
    ("width height size shape", "the size is .settings.width and .settings.height, or .image.size"),
    ("prompt negative_prompt steps cfg_scale sampler", "what it was generated with is in .settings"),
    ("info parameters", "what it was generated with is in .settings, all that a PNG says in .metadata"),
    ("to numpy cpu", "numpy.asarray(picture) is its pixels, uint8 of shape (height, width, 3)"),
)  # fmt: skip
"""Of what a pipeline gives back: a picture, or the list of a batch."""
