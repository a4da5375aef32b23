// The devices that ggml's modules offer, and the one that a job wants.
#pragma once

#include <array>
#include <string>

#include "base/sdpy.h"
#include "ggml-backend.h"

namespace sdpy {

// Loads the backend modules of `module_dir`, once per process: of the CPU's the one of that name, or the one that suits this
// CPU. Throws NoBackend.
void load_backend_modules(const std::string &module_dir, const std::string &cpu_module);

int device_count();
void describe_device(int index, sdpy_device *device);  // throws BadSettings
const char *cpu_module();
const char *cpu_features();

// Whether a backend computes on a CPU, with threads of this process.
bool runs_on_cpu(ggml_backend_t backend);

// As long as it lives, models that this thread makes have their parts on these devices. Throws NoBackend.
class PartDevices {
   public:
    explicit PartDevices(const std::array<std::string, SDPY_PART_COUNT> &names);
    ~PartDevices();
    PartDevices(const PartDevices &) = delete;
    PartDevices &operator=(const PartDevices &) = delete;
    // Whether a part is on another device than the denoiser.
    bool apart(sdpy_part part) const;
};

// Throws NoBackend.
ggml_backend_t open_device_named(const std::string &name);
ggml_backend_t backend_of_denoiser();
// Of those that are apart from the denoiser, in their order.
ggml_backend_t backend_of_next_part();

}  // namespace sdpy
