#include "devices/devices.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <system_error>

#include "base/errors.h"
#include "base/forks.h"
#include "base/status.h"
#include "jobs/run.h"

namespace sdpy {

namespace {

std::string chosen_cpu_module, chosen_cpu_features;
// Null outside of PartDevices.
thread_local std::array<ggml_backend_dev_t, SDPY_PART_COUNT> wanted_devices{};
thread_local int next_part = 0;

struct Features {
    std::mutex mutex;  // closes the race of a thread that describes devices while another loads the modules
    ForkedMutex forked{mutex};
    std::map<std::string, std::string> by_device;
};

Features &features() {
    static auto *features = new Features;  // never destroyed: parked threads outlive static destructors
    return *features;
}

// ggml says what a Vulkan device can do in its log alone: "ggml_vulkan: 0 = name (driver) | fp16: 1 | ...".
void note_features(const std::string &line) {
    const std::string prefix = "ggml_vulkan: ";
    const size_t equals = line.find(" = "), list = line.find(" | "), driver = line.rfind(" (", list);
    if (line.compare(0, prefix.size(), prefix) != 0 || equals == std::string::npos || list == std::string::npos ||
        driver == std::string::npos || line.find_first_not_of("0123456789", prefix.size()) != equals) {
        return;
    }
    const std::string device = "Vulkan" + line.substr(prefix.size(), equals - prefix.size());
    const std::string driver_name = line.substr(driver + 2, list - driver - 3);
    std::lock_guard<std::mutex> lock(features().mutex);
    features().by_device[device] = "driver: " + driver_name + line.substr(list, line.find_last_not_of('\n') + 1 - list);
}

void log_of_ggml(ggml_log_level level, const char *text, void *) {
    Run *run = Run::current();
    if (run == nullptr) {
        note_features(text);
        return;
    }
    switch (level) {
        case GGML_LOG_LEVEL_ERROR:
            run->log(SDPY_LOG_ERROR, text);
            break;
        case GGML_LOG_LEVEL_WARN:
            run->log(SDPY_LOG_WARNING, text);
            break;
        case GGML_LOG_LEVEL_INFO:
            run->log(SDPY_LOG_INFO, text);
            break;
        default:
            run->log(SDPY_LOG_DEBUG, text);
    }
}

// The kind of CPU that a module of this file name is for.
std::string kind_of(const std::string &name) {
    const std::string prefix = "libggml-cpu-";
    const size_t dot = name.rfind(".so");
    // The module without a suffix is the one for any x86-64 CPU.
    return name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size(), dot - prefix.size()) : "x64";
}

// The registry does not keep the file it came from, but the dynamic linker knows where a function of it lies.
std::string module_of(ggml_backend_reg_t registry) {
    Dl_info info{};
    void *function = ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads");
    if (function == nullptr || dladdr(function, &info) == 0 || info.dli_fname == nullptr) {
        return "unknown";
    }
    const std::string path = info.dli_fname;
    return kind_of(path.substr(path.find_last_of('/') + 1));
}

std::string features_of(ggml_backend_reg_t registry) {
    auto get = reinterpret_cast<ggml_backend_get_features_t>(
        ggml_backend_reg_get_proc_address(registry, "ggml_backend_get_features"));
    std::string features;
    for (auto *feature = get != nullptr ? get(registry) : nullptr; feature != nullptr && feature->name != nullptr;
         ++feature) {
        if (std::strcmp(feature->value, "0") != 0) {
            features += (features.empty() ? "" : ",") + std::string(feature->name);
        }
    }
    return features;
}

ggml_backend_dev_t find_device(const std::string &name) {
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (name == ggml_backend_dev_name(device)) {
            return device;
        }
    }
    throw NoBackend("there is no device called '" + name + "'");
}

// Why the installation has no module for this CPU.
std::string why_no_cpu_module(const std::string &module_dir) {
    std::string others;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator(module_dir, ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.compare(0, 11, "libggml-cpu") != 0) {
            continue;
        }
        void *module = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_LOCAL);
        if (module == nullptr) {
            return std::string("no CPU module can be loaded: ") + dlerror();
        }
        dlclose(module);
        others += (others.empty() ? "" : ", ") + kind_of(name);
    }
    if (others.empty()) {
        return "there is no CPU module in " + module_dir + "; install this library anew";
    }
    return "no CPU module in " + module_dir + " is for this CPU, only for: " + others +
           "; it was built on another machine with SDCPP_CPU_KINDS, so build it here, or with all kinds";
}

// One CPU module, and every module for GPUs.
void load_chosen_modules(const std::string &module_dir, const std::string &wish) {
    const std::string file = module_dir + "/libggml-cpu" + (wish == "x64" ? "" : "-" + wish) + ".so";
    if (ggml_backend_load(file.c_str()) == nullptr) {
        throw NoBackend("SDCPP_PY_CPU_MODULE is '" + wish +
                        "', and this CPU cannot run that module; take x64, which every "
                        "CPU runs, or leave it unset for the one that suits this CPU");
    }
    const std::string vulkan = module_dir + "/libggml-vulkan.so";
    if (access(vulkan.c_str(), R_OK) == 0) {
        ggml_backend_load(vulkan.c_str());
    }
}

}  // namespace

void load_backend_modules(const std::string &module_dir, const std::string &cpu_module) {
    // Closes the race of two threads that make their first engine at the same time.
    static std::mutex mutex;
    static const ForkedMutex forked(mutex);
    std::lock_guard<std::mutex> lock(mutex);
    if (ggml_backend_reg_by_name("CPU") == nullptr) {
        ggml_log_set(log_of_ggml, nullptr);
        if (!cpu_module.empty()) {
            load_chosen_modules(module_dir, cpu_module);
        } else {
            ggml_backend_load_all_from_path(module_dir.c_str());
        }
    }
    ggml_backend_reg_t cpu = ggml_backend_reg_by_name("CPU");
    if (cpu == nullptr) {
        throw NoBackend(why_no_cpu_module(module_dir));
    }
    chosen_cpu_module = module_of(cpu);
    chosen_cpu_features = features_of(cpu);
}

int device_count() { return static_cast<int>(ggml_backend_dev_count()); }
const char *cpu_module() { return chosen_cpu_module.c_str(); }
const char *cpu_features() { return chosen_cpu_features.c_str(); }

void describe_device(int index, sdpy_device *description) {
    if (index < 0 || index >= device_count()) {
        throw BadSettings("there is no device number " + std::to_string(index));
    }
    ggml_backend_dev_t device = ggml_backend_dev_get(static_cast<size_t>(index));
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    copy_text(description->name, sizeof description->name, ggml_backend_dev_name(device));
    copy_text(description->description, sizeof description->description, ggml_backend_dev_description(device));
    const auto type = ggml_backend_dev_type(device);
    description->is_gpu = type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
    description->is_integrated = type == GGML_BACKEND_DEVICE_TYPE_IGPU;
    std::lock_guard<std::mutex> lock(features().mutex);
    copy_text(description->features, sizeof description->features, features().by_device[description->name]);
    description->memory_free = free;
    description->memory_total = total;
}

bool runs_on_cpu(ggml_backend_t backend) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    return device == nullptr || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

PartDevices::PartDevices(const std::array<std::string, SDPY_PART_COUNT> &names) {
    std::array<ggml_backend_dev_t, SDPY_PART_COUNT> found{};
    std::transform(names.begin(), names.end(), found.begin(), find_device);
    wanted_devices = found;
    next_part = 0;
}

PartDevices::~PartDevices() { wanted_devices = {}; }

bool PartDevices::apart(sdpy_part part) const { return wanted_devices[part] != wanted_devices[SDPY_DIFFUSION_MODEL]; }

namespace {

ggml_backend_t open_device(ggml_backend_dev_t device) {
    // Closes the race of two engines that are the first on a Vulkan device: ggml sets it up without a lock.
    static std::mutex mutex;
    static const ForkedMutex forked(mutex);
    std::lock_guard<std::mutex> lock(mutex);
    ggml_backend_t backend = device != nullptr ? ggml_backend_dev_init(device, nullptr) : nullptr;
    if (backend == nullptr) {
        throw NoBackend("the device could not be opened");
    }
    return backend;
}

}  // namespace

ggml_backend_t open_device_named(const std::string &name) { return open_device(find_device(name)); }

ggml_backend_t backend_of_denoiser() { return open_device(wanted_devices[SDPY_DIFFUSION_MODEL]); }

ggml_backend_t backend_of_next_part() {
    while (next_part < SDPY_PART_COUNT && wanted_devices[next_part] == wanted_devices[SDPY_DIFFUSION_MODEL]) {
        ++next_part;
    }
    return open_device(next_part < SDPY_PART_COUNT ? wanted_devices[next_part++] : nullptr);
}

}  // namespace sdpy
