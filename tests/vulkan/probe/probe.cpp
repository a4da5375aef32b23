// A small program that asks a Vulkan device for one thing after the other, for tests of the layer. Its arguments are
// commands; each writes a line of JSON.
//
//   probe describe  allocate TYPE BYTES  free  map TYPE  import anonymous|file  compute NAME M N K  ...
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

#include "vulkan.h"

namespace {

constexpr size_t page_bytes = 1 << 16;

void *pages(const std::string &kind) {
    if (kind == "anonymous") {
        return mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    char name[] = "/tmp/probe-XXXXXX";
    const int file = mkstemp(name);
    if (file < 0 || unlink(name) != 0 || ftruncate(file, page_bytes) != 0) {
        throw std::runtime_error("no file can be made");
    }
    return mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
}

class Arguments {
   public:
    Arguments(int count, char **words) : words_(words + 1, words + count) {}
    bool left() const { return at_ < words_.size(); }
    std::string word() { return words_.at(at_++); }
    uint64_t number() { return std::stoull(word()); }
    uint32_t small() { return static_cast<uint32_t>(number()); }

   private:
    std::vector<std::string> words_;
    size_t at_ = 0;
};

std::string answer(probe::Vulkan &vulkan, const std::string &command, Arguments &arguments) {
    if (command == "describe") {
        return vulkan.describe();
    }
    if (command == "allocate") {
        const uint32_t type = arguments.small();
        return std::to_string(vulkan.allocate(type, arguments.number()));
    }
    if (command == "free") {
        vulkan.free_all();
        return "0";
    }
    if (command == "map") {
        return std::to_string(vulkan.map(arguments.small()));
    }
    if (command == "import") {
        return std::to_string(vulkan.import(pages(arguments.word()), page_bytes));
    }
    if (command == "compute") {
        const std::string name = arguments.word();
        const uint32_t m = arguments.small(), n = arguments.small();
        return vulkan.compute(name, m, n, arguments.small());
    }
    throw std::invalid_argument("there is no command " + command);
}

}  // namespace

int main(int count, char **words) {
    try {
        Arguments arguments(count, words);
        probe::Vulkan vulkan;
        while (arguments.left()) {
            std::printf("%s\n", answer(vulkan, arguments.word(), arguments).c_str());
            std::fflush(stdout);
        }
        return 0;
    } catch (const std::exception &why) {
        std::fprintf(stderr, "probe: %s\n", why.what());
        return 1;
    }
}
