// The engine as four phases: load, encode, denoise, decode. Knows nothing of C, threads or queues.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sdpy.h"

namespace sdpy {

class Run;

// An array that owns its bytes, to cross the boundary in either direction.
struct Array {
    std::string name;
    sdpy_dtype dtype = SDPY_FLOAT32;
    std::vector<int64_t> shape;  // C order, the last axis fastest
    std::vector<uint8_t> bytes;

    static Array copy_of(const sdpy_array &array);
};
using Arrays = std::vector<Array>;

struct LoadRequest {
    std::string diffusion_model, text_encoder, vae;
    bool vae_is_tiny;
    std::string device;
    int threads;
};

struct EncodeRequest {
    std::string prompt;
    int max_tokens, width, height, threads;
};

struct DenoiseRequest {
    Arrays text, negative, noise;  // `negative` and `noise` may be empty
    int width, height;
    uint64_t seed;
    std::string sampler, scheduler;
    int steps;
    std::vector<float> sigmas;
    float cfg_scale, eta, flow_shift;
    int threads;
};

struct DecodeRequest {
    Array latent;
    int tile_size, threads;
};

class Pipeline {
   public:
    // All throw the exceptions of errors.h. After a throw the object is still usable, unless it came out of a graph
    // (Run::spoiled): then it is to be destroyed, after abandon_backend.
    static std::unique_ptr<Pipeline> load(const LoadRequest &request, Run &run);
    virtual ~Pipeline() = default;

    // Leaves the backends to the operating system: an exception in the middle of a graph leaves them with dangling
    // pointers, which their own destruction would follow.
    virtual void abandon_backend() = 0;
    virtual sdpy_model_info info() const = 0;
    virtual Arrays encode(const EncodeRequest &request, Run &run) = 0;
    virtual Array denoise(const DenoiseRequest &request, Run &run) = 0;
    virtual Array decode(const DecodeRequest &request, Run &run) = 0;
};

}  // namespace sdpy
