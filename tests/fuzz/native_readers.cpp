// Fuzzes the engine's readers of GGUF and safetensors as the library calls them: any bytes are read or refused.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "ggml.h"
#include "model_io/gguf_io.h"
#include "model_io/safetensors_io.h"
#include "util.h"

// What the readers call of the rest of the engine.
void log_printf(sd_log_level_t, const char *, int, const char *, ...) {}

// What lies in the same files as the readers, and is not called by them.
extern "C" {
void ggml_backend_tensor_get(const ggml_tensor *, void *, size_t, size_t) { abort(); }
void ggml_backend_tensor_set(ggml_tensor *, const void *, size_t, size_t) { abort(); }
void ggml_backend_tensor_memset(ggml_tensor *, uint8_t, size_t, size_t) { abort(); }
}

// The sanitizer's own ends the process where there is no memory; that of a program throws.
void *operator new(size_t size) {
    constexpr size_t most = size_t(1) << 26;  // clearing more takes seconds, and no input is long
    void *memory = size <= most ? malloc(size) : nullptr;
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
void operator delete(void *memory) noexcept { free(memory); }
void operator delete(void *memory, size_t) noexcept { free(memory); }

namespace {

// As the library does (base/status.cpp): a failed check is an exception, and no end of the process.
void throw_failed_check(const char *message) { throw std::runtime_error(message); }

int file_of(const uint8_t *data, size_t size) {
    static const int file = memfd_create("fuzzed", 0);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) {
        abort();
    }
    return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ggml_set_abort_callback(throw_failed_check);
    ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    const std::string path = "/proc/self/fd/" + std::to_string(file_of(data, size));
    std::vector<TensorStorage> tensors;
    std::string error;
    try {
        if (is_gguf_file(path)) {
            read_gguf_file(path, tensors, &error);
        } else if (is_safetensors_file(path)) {
            read_safetensors_file(path, tensors, &error);
        }
        for (const TensorStorage &tensor : tensors) {
            // The lenient reader hands on any number for a type; the library refuses those that are none beforehand.
            if (static_cast<uint32_t>(tensor.type) < GGML_TYPE_COUNT) {
                static_cast<void>(tensor.nbytes_to_read());
            }
        }
    } catch (const std::exception &) {
    }
    return 0;
}
