#include "devices/imported_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "base/forks.h"
#include "jobs/run.h"

namespace sdpy {

namespace {

struct Refusals {
    std::mutex mutex;  // closes the race of engines that bring weights at the same time
    ForkedMutex forked{mutex};
    bool all = false;
    std::map<std::string, uint64_t> least;  // bytes that a device did not take
};

Refusals &refusals() {
    static auto *refusals = new Refusals;  // never destroyed: parked threads outlive static destructors
    return *refusals;
}

bool is_refused(const std::string &device, uint64_t bytes) {
    std::lock_guard<std::mutex> lock(refusals().mutex);
    const auto least = refusals().least.find(device);
    return least != refusals().least.end() && bytes >= least->second;
}

void note_refusal(const std::string &device, uint64_t bytes) {
    std::unique_lock<std::mutex> lock(refusals().mutex);
    const auto [least, first] = refusals().least.emplace(device, bytes);
    least->second = std::min(least->second, bytes);
    lock.unlock();
    Run *run = Run::current();
    if (first && run != nullptr) {
        run->log(SDPY_LOG_WARNING, device + " does not take " + std::to_string((bytes + (1 << 20) - 1) >> 20) +
                                       " MiB of this process's memory for its own; such weights are uploaded");
    }
}

bool all_are_refused() {
    std::lock_guard<std::mutex> lock(refusals().mutex);
    return refusals().all;
}

// ggml calls what a device's module has without asking whether it has it.
bool can_import(ggml_backend_dev_t device) {
    const std::string module = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    return module == "Vulkan" || module == "CPU";
}

ggml_backend_buffer_t view_of(ggml_backend_dev_t device, char *begin, uint64_t bytes) {
    return can_import(device) ? ggml_backend_dev_buffer_from_host_ptr(device, begin, bytes, bytes) : nullptr;
}

}  // namespace

ImportedMemory::Pages::Pages(uint64_t size) : bytes(size) {
    // Without a file behind them: drivers refuse those.
    void *pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        throw std::bad_alloc();
    }
    begin = static_cast<char *>(pages);
    // After a fork, what is written here would go into a copy, while the device may go on with the old pages.
    madvise(begin, bytes, MADV_DONTFORK);
}

ImportedMemory::Pages::~Pages() { munmap(begin, bytes); }

uint64_t ImportedMemory::whole_pages(uint64_t bytes) {
    // What drivers ask for is a page, as a rule; one that asks for more refuses.
    static const uint64_t page = std::max<uint64_t>(4096, static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
    return (bytes + page - 1) / page * page;
}

ImportedMemory::ImportedMemory(ggml_backend_dev_t device, uint64_t bytes)
    : pages_(whole_pages(bytes)),
      device_buffer_(all_are_refused() ? nullptr : view_of(device, pages_.begin, pages_.bytes)),
      cpu_buffer_(view_of(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), pages_.begin, pages_.bytes)) {}

std::unique_ptr<ImportedMemory> ImportedMemory::make(ggml_backend_dev_t device, uint64_t bytes) {
    const std::string name = ggml_backend_dev_name(device);
    if (bytes == 0 || is_refused(name, bytes)) {
        return nullptr;
    }
    try {
        std::unique_ptr<ImportedMemory> memory(new ImportedMemory(device, bytes));
        if (memory->device_buffer_ != nullptr) {
            return memory;
        }
    } catch (const std::bad_alloc &) {  // what the device has of its own may suffice
    }
    note_refusal(name, bytes);
    return nullptr;
}

char *ImportedMemory::for_cpu(const void *address) const {
    return pages_.begin +
           (static_cast<const char *>(address) - static_cast<char *>(ggml_backend_buffer_get_base(of_device())));
}

void refuse_imports(bool refused) {
    std::lock_guard<std::mutex> lock(refusals().mutex);
    refusals().all = refused;
    refusals().least.clear();
}

}  // namespace sdpy
