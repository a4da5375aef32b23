// The engine's main file and all that it includes, with names in them re-pointed to our own. For pipeline/pipeline.cpp alone.
//
// Names that other units of the engine use as well are re-pointed in overrides/overrides.h. docs/native.md has a row for each
// name in both; tests/native/test_overrides.py compares the two.
#pragma once

#include "devices/devices.h"
#include "overrides/model_loader.h"

// The conditioner makes our tokenizers, its language models leave out what adds nothing, they and the denoisers use our
// attention, and the Z-Image model makes our runner.
#include "overrides/fused_rope.h"
#include "overrides/unpadded_attention.h"
#include "overrides/zero_layers.h"
#include "tokenizer/tokenizers.h"
#define ggml_ext_attention_ext sdpy::prompt_attention
#define ggml_add_inplace sdpy::add_to_residual
#include "llm.hpp"
#undef ggml_ext_attention_ext
#undef ggml_add_inplace
#define ggml_ext_attention_ext sdpy::fused_attention
#define Qwen2Tokenizer sdpy::PromptTokenizer
#define parse_prompt_attention sdpy::whole_prompt
#include "overrides/sizes/clip_t5.h"
#define CLIPTokenizer sdpy::ClipTokenizer
#define T5UniGramTokenizer sdpy::T5Tokenizer
#define T5Runner sdpy::SizedT5
#define CLIPTextModelRunner sdpy::SizedClip
#include "conditioner.hpp"
#undef CLIPTokenizer
#undef T5UniGramTokenizer
#undef T5Runner
#undef CLIPTextModelRunner
#undef Qwen2Tokenizer
#undef parse_prompt_attention
// Attention in parts makes more nodes than the engine's graphs have room for: FLUX.1 has 57 blocks.
#define new_graph_custom(size) new_graph_custom(4 * (size))
#define attention rotated_attention
#include "flux.hpp"
#include "qwen_image.hpp"
#include "z_image.hpp"
#undef attention
#include "overrides/sizes/denoisers.h"
#undef new_graph_custom
#include "overrides/sizes/z_image.h"
#define ZImageRunner SizedRunner
#define FluxRunner SizedFluxRunner
#define MMDiTRunner SizedMmditRunner
#define QwenImageRunner SizedQwenImageRunner
#include "diffusion_model.hpp"
#undef ZImageRunner
#undef FluxRunner
#undef MMDiTRunner
#undef QwenImageRunner

// Everything else that the main file includes, with the names unchanged.
#include "auto_encoder_kl.hpp"
#include "control.hpp"
#include "denoiser.hpp"
#include "esrgan.hpp"
#include "lora.hpp"
#include "pmid.hpp"
#include "tae.hpp"
#include "upscaler.h"

#include "overrides/kept_sampling.h"
#include "overrides/sizes/vae.h"
#include "pipeline/conditions.h"

// From here on the engine's main file sees our loader and our choice of device.
#define ModelLoader sdpy::PlanningLoader
#define sd_get_default_backend sdpy::backend_of_denoiser
// Parts that are to be on another device than the denoiser: the engine knows only the CPU for that, and asks for it so.
#define ggml_backend_cpu_init sdpy::backend_of_next_part
#define ggml_backend_is_cpu(backend) false
// The engine would put its own callback in place of ours, one that takes ggml's messages, and with them names out of
// files, for formats of printf.
#define ggml_log_set(...) static_cast<void>(0)
// Sampling keeps what the denoiser gives, and goes on from what was kept.
#define sample_k_diffusion sdpy::sample_and_keep
#define AutoEncoderKL sdpy::SizedAutoEncoder
#define WanVAERunner SizedWanVAERunner
#include "stable-diffusion.cpp"
#undef sample_k_diffusion
#undef AutoEncoderKL
#undef WanVAERunner
#undef ModelLoader
#undef sd_get_default_backend
#undef ggml_backend_cpu_init
#undef ggml_backend_is_cpu
#undef ggml_log_set
