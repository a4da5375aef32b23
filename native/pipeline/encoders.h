// What the engine's different text encoders have in common. For pipeline/pipeline.cpp, after the engine's conditioner.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conditioner.hpp"
#include "jobs/run.h"
#include "tokenizer/tokenizers.h"

namespace sdpy {

// Calls `visit` with every place that a conditioner keeps an encoder at.
template <typename Visit>
void each_encoder(Conditioner &conditioner, Visit &&visit) {
    if (auto *llm = dynamic_cast<LLMEmbedder *>(&conditioner)) {
        visit(llm->llm);
    } else if (auto *clip = dynamic_cast<FrozenCLIPEmbedderWithCustomWords *>(&conditioner)) {
        visit(clip->text_model);
        visit(clip->text_model2);
    } else if (auto *flux = dynamic_cast<FluxCLIPEmbedder *>(&conditioner)) {
        visit(flux->clip_l);
        visit(flux->t5);
    } else if (auto *sd3 = dynamic_cast<SD3CLIPEmbedder *>(&conditioner)) {
        visit(sd3->clip_l);
        visit(sd3->clip_g);
        visit(sd3->t5);
    } else if (auto *t5 = dynamic_cast<T5CLIPEmbedder *>(&conditioner)) {
        visit(t5->t5);
    }
}

inline void free_compute_buffers(Conditioner &conditioner) {
    each_encoder(conditioner, [](auto &encoder) {
        if (encoder) {
            encoder->free_compute_buffer();
        }
    });
}

// Whether measuring one graph shows all the weights that encoding reads.
inline bool shows_its_uses(Conditioner &conditioner) { return dynamic_cast<LLMEmbedder *>(&conditioner) != nullptr; }

// A prompt of several chunks has as many of them for each of SD3's encoders: the engine cuts all by the longest, and reads
// past the end of the others.
inline void fill_chunks(std::vector<int> &tokens, std::vector<float> &weights, size_t wanted,
                        const Tokenizer &tokenizer, bool begins) {
    constexpr size_t chunk = 77;
    while (tokens.size() < wanted) {
        const size_t first = tokens.size();
        tokens.resize(first + chunk, tokenizer.PAD_TOKEN_ID);
        weights.resize(first + chunk, 1.0f);
        size_t place = first;
        if (begins) {
            tokens[place++] = tokenizer.BOS_TOKEN_ID;
        }
        tokens[place] = tokenizer.EOS_TOKEN_ID;
    }
}

inline SDCondition encode_for_sd3(SD3CLIPEmbedder &embedder, int threads, const ConditionerParams &params) {
    auto parts = embedder.tokenize(params.text, 77, 77, true);
    size_t longest = 0;
    for (const auto &[tokens, weights] : parts) {
        longest = std::max(longest, tokens.size());
    }
    if (embedder.clip_l) {
        fill_chunks(parts[0].first, parts[0].second, longest, embedder.clip_l_tokenizer, true);
    }
    if (embedder.clip_g) {
        fill_chunks(parts[1].first, parts[1].second, longest, embedder.clip_g_tokenizer, true);
    }
    if (embedder.t5) {
        fill_chunks(parts[2].first, parts[2].second, longest, embedder.t5_tokenizer, false);
    }
    return embedder.get_learned_condition_common(threads, parts, params.clip_skip, params.zero_out_masked);
}

inline SDCondition condition_of(Conditioner &conditioner, int threads, const ConditionerParams &params) {
    if (auto *sd3 = dynamic_cast<SD3CLIPEmbedder *>(&conditioner)) {
        return encode_for_sd3(*sd3, threads, params);
    }
    return conditioner.get_learned_condition(threads, params);
}

// How many states a denoiser reads of a prompt. Of a Qwen, as many as the prompt has tokens, which are counted where they
// are made.
inline int states_of(Conditioner &conditioner, const std::string &text) {
    size_t states = PromptEncoding::counted();
    if (auto *clip = dynamic_cast<FrozenCLIPEmbedderWithCustomWords *>(&conditioner)) {
        states = clip->tokenize(text, 77, 77, true).first.size();
    } else if (auto *flux = dynamic_cast<FluxCLIPEmbedder *>(&conditioner)) {
        states = std::max(flux->tokenize(text, flux->chunk_len, flux->chunk_len)[1].first.size(), flux->chunk_len);
    } else if (auto *sd3 = dynamic_cast<SD3CLIPEmbedder *>(&conditioner)) {
        states = 77;
        for (const auto &[tokens, weights] : sd3->tokenize(text, 77, 77, true)) {
            states = std::max(states, tokens.size());
        }
        states *= 2;
    } else if (auto *t5 = dynamic_cast<T5CLIPEmbedder *>(&conditioner)) {
        states = std::get<0>(t5->tokenize(text, t5->chunk_len, t5->chunk_len)).size();
    }
    return static_cast<int>(states);
}

// What encoding would need at most: measuring ends at the first graph, so each encoder is measured alone.
inline Measured measure_encoders(Conditioner &conditioner, const std::function<void()> &encode) {
    Measured most{0};
    const auto measure = [&] {
        try {
            encode();
        } catch (const Measured &measured) {
            most.working_bytes = std::max(most.working_bytes, measured.working_bytes);
            most.unsupported = most.unsupported.empty() ? measured.unsupported : most.unsupported;
        }
    };
    if (auto *clip = dynamic_cast<FrozenCLIPEmbedderWithCustomWords *>(&conditioner)) {
        // The first one cannot be left out; the second is measured in its place.
        measure();
        if (clip->text_model2) {
            struct Swapped {
                explicit Swapped(FrozenCLIPEmbedderWithCustomWords &given) : clip(given) { swap(); }
                ~Swapped() { swap(); }
                void swap() { std::swap(clip.text_model, clip.text_model2); }
                FrozenCLIPEmbedderWithCustomWords &clip;
            } swapped(*clip);
            measure();
        }
        return most;
    }
    struct Restored {
        ~Restored() {
            for (const auto &bring_back : each) {
                bring_back();
            }
        }
        std::vector<std::function<void()>> each;
    } restored;
    each_encoder(conditioner, [&](auto &encoder) {
        restored.each.push_back([&encoder, kept = encoder] { encoder = kept; });
        encoder = nullptr;
    });
    for (const auto &bring_back : restored.each) {
        bring_back();
        measure();
        each_encoder(conditioner, [](auto &encoder) { encoder = nullptr; });
    }
    return most;
}

}  // namespace sdpy
