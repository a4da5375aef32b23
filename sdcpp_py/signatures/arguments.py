"""The names of arguments in other programs: which of ours says the same, or what to do where none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a foreign argument is here.

    Attributes:
        ours: the argument that says the same; "" where there is none.
        note: how its values differ; or, where there is none of ours, what to do.
    """

    ours: str
    note: str = ""


_MEMORY = 'parts come and go by themselves, within memory="6GiB"; leave it out'
_UNNEEDED = "it is not needed here: leave it out"
_LOG = 'nothing is printed; logging.getLogger("sdcpp_py") hears all of it'
_LATENTS = "prompts are encoded by encode, and its result is given in the prompt's place"
_CONTROL = "ControlNets cannot be used yet"
_UPSCALE = "pictures cannot be upscaled by a model or in a second pass yet; generate at the size that you want"
_CACHE = "steps are not skipped by a cache: leave it out"
_IP_ADAPTER = "IP-Adapters cannot be used; reference_images= edits pictures with FLUX.2 Klein and Kontext"
_PHOTOMAKER = "PhotoMaker cannot be used; reference_images= edits pictures with FLUX.2 Klein and Kontext"
_LANGUAGE = "it is for programs that write text, and means nothing for pictures: leave it out"
_SLG = "layers cannot be skipped in guidance: leave it out"
_SDXL = "Stable Diffusion XL is told the picture's own size, uncropped: leave it out"
_SIGMAS = "steps= and scheduler= decide the sigmas; they cannot be given one by one"
_ONE_PROMPT = "all text encoders read the one prompt: leave it out"
_NOISE_SCALE = "eta= is the share of fresh noise; the rest of the samplers' constants cannot be set"
_VARIATION = "there are no variations of a seed; noise= takes noise of your own"
_SAVING = "nothing is saved by itself: picture.save(FILE) does it"
_REFERENCES = "one picture or a list of them"
_HUB = "downloads are huggingface_hub's, and its environment variables (HF_ENDPOINT, HTTPS_PROXY, HF_HUB_OFFLINE) count"
_PYTORCH = "there is no PyTorch here: leave it out"
_CHOSEN = "the model's file says it: leave it out"
_VISION = "no vision encoder is read: leave it out"


def _rows(*rows: tuple[str, str, str]) -> dict[str, Answer]:
    return {name: Answer(ours, note) for names, ours, note in rows for name in names.split()}


_GENERATING = _rows(
    ("num_inference_steps sample_steps num_steps sampling_steps", "steps", ""),
    ("guidance_scale", "cfg_scale", "the distilled guidance of FLUX.1 dev, Fill and Kontext is 'guidance'"),
    ("true_cfg_scale cfg", "cfg_scale", ""),
    ("distilled_guidance", "guidance", ""),
    ("num_images_per_prompt batch_count n_iter batch_size num_images", "count", ""),
    ("generator", "seed", "a whole number, of which the same gives the same picture"),
    ("noise_seed manual_seed", "seed", ""),
    ("callback callback_on_step_end progress_callback step_callback", "on_progress", "it is called with a Progress"),
    ("callback_steps callback_on_step_end_tensor_inputs",
     "",
     "on_progress is called at every step, with a Progress: leave it out"),
    ("sampler_name sample_method sampling_method sampler_index", "sampler", ""),
    ("schedule_type schedule", "scheduler", ""),
    ("negative", "negative_prompt", ""),
    ("init_image init_images init_img", "image", ""),
    ("mask_image mask_img", "mask", "white where it is generated anew"),
    ("denoising_strength denoise", "strength", ""),
    ("ref_images ref_image", "reference_images", _REFERENCES),
    ("resize_mode image_resize_method", "resize", '"cover", "pad" or "fit"'),
    ("latents", "noise", "float32 of the latent's shape"),
    ("vae_tiling", "vae_tile_size", "an edge in pixels, such as 256"),
    ("vae_relative_tile_size vae_tile_overlap", "vae_tile_size", "an edge in pixels"),
    ("clip_stop_at_last_layers", "clip_skip", ""),
    ("output_type",
     "",
     "the PIL image is picture.image, the pixels are numpy.asarray(picture); return_latent=True keeps the "
     "latent"),
    ("return_dict", "", "generate gives one picture, and generate_batch a list: leave it out"),
    ("prompt_2 prompt_3 negative_prompt_2 negative_prompt_3", "", _ONE_PROMPT),
    ("prompt_embeds pooled_prompt_embeds prompt_embeds_mask prompt_attention_mask", "prompt", _LATENTS),
    ("negative_prompt_embeds negative_pooled_prompt_embeds negative_prompt_embeds_mask negative_prompt_attention_mask",
     "negative_prompt", _LATENTS),
    ("masked_image_latents padding_mask_crop latent_mask", "", "the mask and the image are enough: leave it out"),
    ("mask_blur mask_blur_x mask_blur_y mask_round inpaint_full_res inpaint_full_res_padding", "",
     "blur or crop the mask yourself; greys blend"),
    ("inpainting_fill initial_noise_multiplier",
     "",
     "strength= says how much of the image under the mask is kept: leave it out"),
    ("inpainting_mask_invert", "", "white is generated anew; invert the mask with PIL.ImageOps.invert"),
    ("overlay_images", "keep_unmasked", ""),
    ("increase_ref_index auto_resize_ref_image max_area",
     "",
     "reference images are scaled as the reference pipeline does: leave it out"),
    ("image_cfg_scale", "", "no family here reads a guidance of the image: leave it out"),
    ("sigmas timesteps mu denoising_start denoising_end timestep_shift", "", _SIGMAS),
    ("flow_shift shift", "", "the family's own shift is taken; it cannot be set"),
    ("s_min_uncond s_churn s_tmax s_tmin s_noise ddim_discretize", "", _NOISE_SCALE),
    ("guidance_rescale cfg_normalization cfg_truncation",
     "",
     "cfg_scale= is all that is read of guidance: leave it out"),
    ("skip_guidance_layers skip_layer_guidance_scale skip_layer_guidance_start skip_layer_guidance_stop skip_layers "
     "skip_layer_start skip_layer_end slg_scale", "", _SLG),
    ("original_size target_size crops_coords_top_left negative_original_size negative_target_size "
     "negative_crops_coords_top_left aesthetic_score negative_aesthetic_score", "", _SDXL),
    ("cross_attention_kwargs joint_attention_kwargs attention_kwargs",
     "",
     "attention cannot be changed; loras=[(FILE, 0.8)] applies a LoRA at that strength"),
    ("max_sequence_length text_encoder_out_layers",
     "",
     "as much of the prompt is read as the reference pipeline reads: leave it out"),
    ("ip_adapter_image ip_adapter_image_embeds negative_ip_adapter_image negative_ip_adapter_image_embeds",
     "",
     _IP_ADAPTER),
    ("control_image control_strength control_net_path controlnet canny keep_control_net_on_cpu", "", _CONTROL),
    ("pm_id_embed_path pm_id_images pm_style_strength photo_maker_path", "", _PHOTOMAKER),
    ("hires hires_denoising_strength hires_height hires_path hires_scale hires_steps hires_upscale_tile_size "
     "hires_upscaler hires_width enable_hr firstphase_width firstphase_height hr_scale hr_upscaler "
     "hr_second_pass_steps hr_resize_x hr_resize_y hr_checkpoint_name hr_sampler_name hr_scheduler hr_prompt "
     "hr_negative_prompt upscale_factor upscale_tile_size upscaler_path upscaler images",
     "",
     _UPSCALE),
    ("cache_mode cache_Bn_compute_blocks cache_Fn_compute_blocks cache_end_percent cache_error_decay_rate "
     "cache_max_continuous_cached_steps cache_max_warmup_steps cache_reset_error_on_compute "
     "cache_residual_diff_threshold cache_reuse_threshold cache_spectrum_flex_window cache_spectrum_lam "
     "cache_spectrum_m cache_spectrum_stop_percent cache_spectrum_w cache_spectrum_warmup_steps "
     "cache_spectrum_window_size cache_start_percent cache_taylorseer_n_derivatives "
     "cache_taylorseer_skip_interval cache_use_relative_threshold scm_mask scm_policy",
     "",
     _CACHE),
    ("preview_callback preview_interval preview_method preview_noisy tae_preview_only",
     "",
     "there are no previews; on_progress= says how far it is"),
    ("subseed subseed_strength seed_resize_from_h seed_resize_from_w seed_enable_extras", "", _VARIATION),
    ("tiling circular_x circular_y", "", "pictures that tile cannot be generated yet"),
    ("restore_faces", "", "faces are not restored afterwards: leave it out"),
    ("styles prompt_for_display extra_generation_params comments", "", "write it into the prompt"),
    ("outpath_samples outpath_grids do_not_save_samples do_not_save_grid save_images send_images", "", _SAVING),
    ("override_settings override_settings_restore_afterwards force_task_id do_not_reload_embeddings "
     "disable_extra_networks script_name script_args alwayson_scripts include_init_images infotext", "",
     "it is for the web UI, and means nothing here: leave it out"),
    ("refiner_checkpoint refiner_switch_at", "", "a refiner cannot be used: leave it out"),
)  # fmt: skip

_OPENING = _rows(
    ("repo_id model_id pretrained_model_name_or_path model_size_or_path pretrained_model_link_or_path", "name",
     "as one text of the catalogue, or of the Hub: 'owner/repository/file.gguf'"),
    ("filename files", "name", "together with the repository: 'owner/repository/file.gguf'"),
    ("model_path ckpt_path checkpoint sd_model", "model", "a whole checkpoint; a denoiser alone is 'diffusion_model'"),
    ("diffusion_model_path transformer unet", "diffusion_model", ""),
    ("llm_path clip_l_path clip_g_path t5xxl_path text_encoder_2 text_encoder_3 text_encoder_path", "text_encoder",
     "one file, or a list where the model reads several"),
    ("vae_path taesd_path", "vae", ""),
    ("torch_dtype dtype wtype compute_type variant quantization_config tensor_type_rules", "quant",
     "of from_pretrained; a file's weights keep their own type"),
    ("n_threads cpu_threads n_threads_batch num_threads", "threads", ""),
    ("n_gpu_layers gpu_layers",
     "device",
     "'auto', 'cpu', 'vulkan0' or one for each part; memory= says how much it may take"),
    ("device_map main_gpu device_index split_mode tensor_split", "device", "one for all parts, or one for each"),
    ("keep_clip_on_cpu", "device", '{"text_encoder": "cpu"}'),
    ("keep_vae_on_cpu", "device", '{"vae": "cpu"}'),
    ("max_memory max_vram vram", "memory", "a size such as '6GiB'"),
    ("offload_folder offload_state_dict low_cpu_mem_usage offload_params_to_cpu offload_kqv op_offload numa",
     "",
     _MEMORY),
    ("enable_mmap use_mmap use_mlock disable_mmap use_flashpack",
     "",
     "files are read as they are needed: leave it out"),
    ("download_root local_dir", "hub_cache", ""),
    ("local_dir_use_symlinks force_download additional_files proxies num_workers", "", _HUB),
    ("use_auth_token hf_token", "token", ""),
    ("verbose no_perf log_level", "", _LOG),
    ("show_progress", "progress_bar", ""),
    ("flash_attn diffusion_flash_attn", "", "attention is chosen for the device: leave it out"),
    ("diffusion_conv_direct vae_conv_direct force_sdxl_vae_conv_scale vae_decode_only", "", _UNNEEDED),
    ("use_safetensors config original_config original_config_file custom_pipeline custom_revision "
     "load_connected_pipeline prediction chroma_use_dit_mask chroma_use_t5_mask chroma_t5_mask_pad "
     "qwen_image_zero_cond_t scaling_factor",
     "",
     _CHOSEN),
    ("trust_remote_code use_onnx provider provider_options sess_options", "", _PYTORCH),
    ("safety_checker load_safety_checker requires_safety_checker feature_extractor image_encoder", "",
     "there is no safety checker: look at pictures before others do"),
    ("rng_type sampler_rng_type", "", "the seed alone decides the noise: leave it out"),
    ("lora_path", "loras", "a file, or [(FILE, 0.8)] with its weight"),
    ("lora_scale", "loras", "the weight stands beside its file: [(FILE, 0.8)]"),
    ("lora_model_dir", "lora_dir", "for <lora:NAME:WEIGHT> in prompts"),
    ("lora_apply_mode lora_base",
     "",
     "what a LoRA adds is computed beside the weights, which stay as they are: leave it out"),
    ("embedding_paths", "", "textual inversions cannot be read yet"),
    ("clip_vision_path llm_vision_path", "", _VISION),
    ("high_noise_diffusion_model_path", "", "videos cannot be generated"),
    ("attention_type chat_format chat_handler draft_model embedding kv_overrides last_n_tokens_size logits_all"
     " n_batch n_ctx n_ubatch pooling_type rope_freq_base rope_freq_scale rope_scaling_type spm_infill "
     "swa_full type_k type_v vocab_only yarn_attn_factor yarn_beta_fast yarn_beta_slow yarn_ext_factor "
     "yarn_orig_ctx tokenizer",
     "",
     _LANGUAGE),
)  # fmt: skip

ARGUMENTS: Mapping[str, Answer] = {**_GENERATING, **_OPENING}
"""All of them by name."""
