// The devices that ggml's modules offer, and the one that a job wants.
#pragma once

#include <string>

#include "ggml-backend.h"
#include "sdpy.h"

namespace sdpy {

// Loads the backend modules of `module_dir`, once per process. Throws NoBackend.
void load_backend_modules(const std::string &module_dir);

int device_count();
void describe_device(int index, sdpy_device *device);  // throws BadSettings
const char *cpu_module();
const char *cpu_features();

// As long as it lives, the engine's default backend on this thread is the named device. Throws NoBackend.
class DeviceScope {
   public:
    explicit DeviceScope(const std::string &name);
    ~DeviceScope();
};

ggml_backend_t backend_of_this_job();

}  // namespace sdpy
