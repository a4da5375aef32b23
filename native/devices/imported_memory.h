// Memory of this process that a device reads as its own (VK_EXT_external_memory_host): what a CPU writes there need not be
// sent to the device.
#pragma once

#include <cstdint>
#include <memory>

#include "ggml-backend.h"

namespace sdpy {

class ImportedMemory {
   public:
    // Null where the driver does not take it, or there is no such memory. The log says so once for each device, and from then
    // on as much is not tried again there.
    static std::unique_ptr<ImportedMemory> make(ggml_backend_dev_t device, uint64_t bytes);
    // What it takes: whole pages.
    static uint64_t whole_pages(uint64_t bytes);

    ImportedMemory(const ImportedMemory &) = delete;
    ImportedMemory &operator=(const ImportedMemory &) = delete;

    // The device's view of it, and the CPU's of the same bytes.
    ggml_backend_buffer_t of_device() const { return device_buffer_.get(); }
    ggml_backend_buffer_t of_cpu() const { return cpu_buffer_.get(); }
    // Where the CPU finds what has this address in the device's view.
    char *for_cpu(const void *address) const;
    uint64_t bytes() const { return pages_.bytes; }

   private:
    struct Pages {
        explicit Pages(uint64_t size);  // throws std::bad_alloc
        ~Pages();
        Pages(const Pages &) = delete;
        Pages &operator=(const Pages &) = delete;

        const uint64_t bytes;
        char *begin;
    };
    struct FreedByGgml {
        void operator()(ggml_backend_buffer *buffer) const { ggml_backend_buffer_free(buffer); }
    };
    using Buffer = std::unique_ptr<ggml_backend_buffer, FreedByGgml>;

    ImportedMemory(ggml_backend_dev_t device, uint64_t bytes);

    Pages pages_;  // before the views, which go first
    Buffer device_buffer_, cpu_buffer_;
};

// For the tests: whether drivers refuse all of it from now on. What was refused before is forgotten.
void refuse_imports(bool refused);

}  // namespace sdpy
