"""FLUX.2 Klein."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family, LanguageModel
from sdcpp_py.models.families.flux import attention_joined, attention_names, has_heads, lora_of_flux
from sdcpp_py.models.families.naming import OtherNames
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import flux2_sigmas

WIDEST = 4096
"""The width of Klein 9B; a FLUX.2 that is wider is dev."""

_DOUBLE, _SINGLE = "transformer_blocks.{}", "single_transformer_blocks.{}"
_NAMES = OtherNames(
    plain={
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_guidance_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_guidance_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
        "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
        "single_stream_modulation.linear": "single_stream_modulation.lin",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
        **attention_names(_DOUBLE),
        f"{_DOUBLE}.ff.linear_in": "double_blocks.{}.img_mlp.0",
        f"{_DOUBLE}.ff.linear_out": "double_blocks.{}.img_mlp.2",
        f"{_DOUBLE}.ff_context.linear_in": "double_blocks.{}.txt_mlp.0",
        f"{_DOUBLE}.ff_context.linear_out": "double_blocks.{}.txt_mlp.2",
        f"{_SINGLE}.attn.to_qkv_mlp_proj": "single_blocks.{}.linear1",
        f"{_SINGLE}.attn.to_out": "single_blocks.{}.linear2",
        f"{_SINGLE}.attn.norm_q.weight": "single_blocks.{}.norm.query_norm.scale",
        f"{_SINGLE}.attn.norm_k.weight": "single_blocks.{}.norm.key_norm.scale",
    },
    joined=attention_joined(_DOUBLE),
    swapped=("final_layer.adaLN_modulation.1",),
)


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    of_dev = "single_blocks.47.linear1.weight" in seen
    if "double_stream_modulation_img.lin.weight" not in seen or of_dev or not has_heads(seen):
        return None
    return seen.traits("txt_in.weight")


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    if not {"single_transformer_blocks", "double_stream_modulation_img"} <= seen.tops:
        return None
    traits = seen.traits("context_embedder.weight")
    return traits if traits.hidden_size <= WIDEST else None


def _recognise_lora(lora: LoraLayers) -> int | None:
    generation, width = lora_of_flux(lora)
    return width if generation == 2 and width <= WIDEST else None


FLUX2_KLEIN = Family(
    name="flux2-klein",
    title="FLUX.2 Klein",
    steps=4,
    cfg_scale=1.0,
    width=512,
    height=512,
    size_multiple=16,
    pixels_per_latent=16,
    latent_channels=128,
    vae_channels=32,
    max_tokens=512,
    encoders=("llm",),
    language_model=LanguageModel("qwen3", widths=(2560, 4096), layers=27),
    context_layers=3,
    context_tokens=512,
    sigmas=flux2_sigmas,
    references=10,
    has_heads=has_heads,
    engine_version="Flux.2 klein",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    other_names=_NAMES,
    recognise_lora=_recognise_lora,
    pipelines=("Flux2KleinPipeline",),
    distilled_word="klein",
    denoiser_files={
        0: "flux-2-klein-4b-Q4_0.gguf (leejet/FLUX.2-klein-4B-GGUF)",
        4096: "flux-2-klein-9b-Q4_0.gguf (leejet/FLUX.2-klein-9B-GGUF)",
    },
    vae_file="flux2-vae.safetensors (Comfy-Org/flux2-dev)",
)
