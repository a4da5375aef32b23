// The engine as three parts, whose weights come and go, and its phases: encode, denoise, decode. Knows nothing of C, threads
// or queues.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/sdpy.h"
#include "overrides/gpu_rules.h"
#include "weights/shared_store.h"

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

// One for each sdpy_part.
template <typename T>
using EachPart = std::array<T, SDPY_PART_COUNT>;

// One for each sdpy_file; "" where there is none.
using ModelPaths = std::array<std::string, SDPY_FILE_COUNT>;

struct OpenRequest {
    ModelPaths files;
    ModelPaths arrangements;  // in place of paths, texts of weights/arranged_files.h
    EachPart<std::string> devices;
    int threads;
    EachPart<GpuRules> rules;  // for parts on GPUs
};

struct MoveRequest {
    EachPart<sdpy_movement> movements;
    EachPart<uint64_t> rooms;
};

struct EncodeRequest {
    std::string prompt;
    int max_tokens;
    sdpy_settings settings;
};

struct EncodePictureRequest {
    Array picture;
    Arrays mask;  // one or none
    int tile_size;
};

struct DenoiseRequest {
    Arrays text, negative, noise, start, around, references, mask;  // all but `text` may be empty
    sdpy_settings settings;
    std::vector<float> sigmas;
};

// What a LoRA adds to a layer: `up` (outputs, rank) times `down` (rank, inputs); of a convolution (outputs, rank, 1, 1) and
// (rank, channels, height, width).
struct LoraLayer {
    std::string layer;  // the name of its weight without ".weight"
    Array down, up;
};

struct DecodeRequest {
    Array latent;
    int tile_size;
};

class Pipeline {
   public:
    // All throw the exceptions of base/errors.h. After a throw the object is still usable, unless it came out of a graph
    // (Run::spoiled): then it is to be destroyed, after abandon_backend.
    static std::unique_ptr<Pipeline> open(const OpenRequest &request, Run &run);
    virtual ~Pipeline() = default;

    // Leaves the backends to the operating system: an exception in the middle of a graph leaves them with dangling
    // pointers, which their own destruction would follow.
    virtual void abandon_backend() = 0;
    // Of a pipeline that is never to be destroyed, because a device is lost: no other finds its weights there any more.
    virtual void abandon_devices() = 0;
    virtual sdpy_part_info part_info(sdpy_part part) const = 0;
    // What keeps a part in memory; empty where it is not there as a whole.
    virtual WeightBatches weights(sdpy_part part) const = 0;
    virtual void move(const MoveRequest &request, Run &run) = 0;
    // What a phase of this pipeline, which `phase` calls, would need.
    static sdpy_measurement measure(Run &run, const std::function<void()> &phase);
    // What the engine takes files for, in its own words; "" where it knows no such model.
    static std::string detect(const ModelPaths &files);
    // For all pipelines (overrides/split_heads.h).
    static void set_attention_room(uint64_t bytes);

    // For each name of a layer as a LoRA's file has it, a line: the model's layer, which part of its weight is meant, the
    // sdpy_part, and the weight's four extents, the fastest first; an empty line where there is no such layer.
    virtual Array find_layers(const std::vector<std::string> &keys) const = 0;
    // From now on these are added, and no others. Throws BadSettings, OutOfMemory; then none are.
    virtual void adapt(const std::vector<LoraLayer> &layers) = 0;

    virtual Arrays encode(const EncodeRequest &request, Run &run) = 0;
    virtual Array encode_picture(const EncodePictureRequest &request, Run &run) = 0;
    virtual Array denoise(const DenoiseRequest &request, Run &run) = 0;
    virtual Array decode(const DecodeRequest &request, Run &run) = 0;
};

}  // namespace sdpy
