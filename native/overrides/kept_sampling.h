// Sampling that goes on where it was broken off. For overrides/engine.h, after the engine's denoiser.hpp.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "jobs/fault_injection.h"
#include "jobs/kept_steps.h"
#include "jobs/run.h"

namespace sdpy {

// As the engine's sample_k_diffusion, and keeps what the denoiser gives. What was kept before stands for the denoiser: the
// sampler itself is run from its begin, with the same random numbers and memory of earlier steps, so that the latent has the
// bits of one that was not broken off, whatever the sampler. Its arithmetic is nothing beside the denoiser's.
inline sd::Tensor<float> sample_and_keep(sample_method_t method, const denoise_cb_t &denoise, sd::Tensor<float> x,
                                         const std::vector<float> &sigmas, std::shared_ptr<RNG> rng, float eta,
                                         bool is_flow) {
    Run *run = Run::current();
    KeptSteps *kept = run == nullptr || run->measuring() ? nullptr : run->kept_steps();
    const int steps = static_cast<int>(sigmas.size()) - 1;
    int64_t call = 0;
    int finished = 0;
    if (kept != nullptr) {
        kept->begin(x.numel());
    }
    const int64_t known = kept == nullptr ? 0 : kept->results();
    // Once for all of them: they take no time, and a bar that ran through them again would seem to fall back.
    const auto tell_of_known = [&]() {
        if (finished > 0) {
            run->step_done(finished, steps);
        }
    };
    const auto one_call = [&](const sd::Tensor<float> &input, float sigma, int step) -> sd::Tensor<float> {
        sd::Tensor<float> result;
        // Of two calls in a step the first has a negative number; the last step may have that one alone.
        const bool last = step > 0 || step == -steps;
        const int after = last ? std::abs(step) : finished;
        if (call < known) {
            result = sd::Tensor<float>(input.shape());
            if (!kept->read(call, result.data())) {
                throw GenerationFailed("the steps that were finished before cannot be read");
            }
        } else {
            if (call == known) {
                tell_of_known();
            }
            if (run != nullptr) {
                fail_if_due(*run, finished);
            }
            if (kept != nullptr) {
                run->hold_step();
            }
            result = denoise(input, sigma, step);
            if (kept != nullptr) {
                if (!result.empty()) {
                    kept->add(result.data(), after);
                }
                run->tell_of_step();
            }
        }
        ++call;
        finished = std::max(finished, after);
        return result;
    };
    sd::Tensor<float> latent = sample_k_diffusion(method, one_call, std::move(x), sigmas, std::move(rng), eta, is_flow);
    if (call <= known) {
        tell_of_known();
    }
    return latent;
}

}  // namespace sdpy
