#include "machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace rig {

namespace {

std::string trimmed(const std::string &text) {
    const size_t from = text.find_first_not_of(" \t\r");
    return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

std::vector<std::string> words_of(const std::string &text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
        words.push_back(word);
    }
    return words;
}

double number(const std::string &text) {
    size_t used = 0;
    const double value = std::stod(text, &used);
    if (used != text.size() || value < 0) {
        throw std::invalid_argument(text);
    }
    return value;
}

uint64_t whole(const std::string &text) {
    size_t used = 0;
    const uint64_t value = std::stoull(text, &used, 0);
    if (used != text.size() || text[0] == '-') {
        throw std::invalid_argument(text);
    }
    return value;
}

// "5.28GiB", "512MiB", in whole pages, or bytes.
VkDeviceSize bytes(const std::string &text) {
    const size_t unit = text.find_first_not_of("0123456789.");
    if (unit == std::string::npos) {
        return whole(text);
    }
    const std::map<std::string, double> units{{"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    const VkDeviceSize page = 4096;
    return static_cast<VkDeviceSize>(number(text.substr(0, unit)) * units.at(text.substr(unit))) / page * page;
}

bool yes(const std::string &text) { return std::map<std::string, bool>{{"yes", true}, {"no", false}}.at(text); }

// "1.7GiB", "1.7GiB local", "1.7GiB local taken 1GiB"
Heap heap_of(const std::string &text) {
    const std::vector<std::string> words = words_of(text);
    Heap heap;
    heap.size = bytes(words.at(0));
    for (size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "local") {
            heap.local = true;
        } else if (words[i] == "taken") {
            heap.taken = bytes(words.at(++i));
        } else {
            throw std::invalid_argument(words[i]);
        }
    }
    return heap;
}

// "1 local visible coherent"
MemoryType type_of(const std::string &text) {
    const std::map<std::string, VkMemoryPropertyFlags> flags{
        {"local", VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT},
        {"visible", VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT},
        {"coherent", VK_MEMORY_PROPERTY_HOST_COHERENT_BIT},
        {"cached", VK_MEMORY_PROPERTY_HOST_CACHED_BIT},
        {"device_coherent", VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD},
        {"device_uncached", VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD},
    };
    const std::vector<std::string> words = words_of(text);
    MemoryType type;
    type.heap = static_cast<uint32_t>(whole(words.at(0)));
    for (size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "narrow") {
            type.for_buffers = false;
        } else if (words[i] == "imports") {
            type.for_imports = true;
        } else {
            type.flags |= flags.at(words[i]);
        }
    }
    return type;
}

using Setter = std::function<void(Machine &, const std::string &)>;

template <typename Value>
Setter one_of(Value Machine::*member, const std::map<std::string, Value> &values) {
    return [member, values](Machine &machine, const std::string &text) { machine.*member = values.at(text); };
}

template <typename Value, typename Read>
Setter read_as(Value Machine::*member, Read read) {
    return
        [member, read](Machine &machine, const std::string &text) { machine.*member = static_cast<Value>(read(text)); };
}

std::string as_it_is(const std::string &text) { return text; }

void nothing(Machine &, const std::string &) {}

const std::map<std::string, Setter> &setters() {
    static const std::map<std::string, Setter> table{
        {"name", read_as(&Machine::name, as_it_is)},
        {"vendor", read_as(&Machine::vendor, whole)},
        {"device", read_as(&Machine::device, whole)},
        {"type", one_of<VkPhysicalDeviceType>(&Machine::type, {{"integrated", VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU},
                                                               {"discrete", VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU},
                                                               {"cpu", VK_PHYSICAL_DEVICE_TYPE_CPU}})},
        {"driver", read_as(&Machine::driver, as_it_is)},
        {"driver_info", read_as(&Machine::driver_info, as_it_is)},
        {"driver_id", one_of<VkDriverId>(&Machine::driver_id, {{"radv", VK_DRIVER_ID_MESA_RADV},
                                                               {"amd_open", VK_DRIVER_ID_AMD_OPEN_SOURCE},
                                                               {"amd_proprietary", VK_DRIVER_ID_AMD_PROPRIETARY}})},
        {"max_allocation", read_as(&Machine::max_allocation, bytes)},
        {"max_buffer", read_as(&Machine::max_buffer, bytes)},
        {"max_storage_range", read_as(&Machine::max_storage_range, bytes)},
        {"compute_units", read_as(&Machine::compute_units, whole)},
        {"hide",
         [](Machine &machine, const std::string &text) {
             const std::vector<std::string> words = words_of(text);
             machine.hidden = std::set<std::string>(words.begin(), words.end());
         }},
        {"refuses",
         one_of<Refusal>(&Machine::refuses,
                         {{"heap", Refusal::by_heap}, {"total", Refusal::by_total}, {"never", Refusal::never}})},
        {"imports", read_as(&Machine::imports, yes)},
        {"tflops", read_as(&Machine::tflops, number)},
        {"watchdog", read_as(&Machine::watchdog, number)},
        {"element_cost", read_as(&Machine::element_cost, number)},
        {"computes", read_as(&Machine::computes, yes)},
        {"keeps_pace", read_as(&Machine::keeps_pace, yes)},
        {"lose_at", read_as(&Machine::lose_at, whole)},
        {"lost", one_of<Loss>(&Machine::lost, {{"at_wait", Loss::at_wait}, {"at_submit", Loss::at_submit}})},
        {"fail_allocation", read_as(&Machine::fail_allocation, whole)},
        {"spoil", read_as(&Machine::spoil, as_it_is)},
        {"spoiling", one_of<Spoiling>(&Machine::spoiling, {{"nan", Spoiling::nan},
                                                           {"zeros", Spoiling::zeros},
                                                           {"noise", Spoiling::noise},
                                                           {"clamped", Spoiling::clamped},
                                                           {"scaled", Spoiling::scaled}})},
        {"spoil_amount", read_as(&Machine::spoil_amount, number)},
        {"spoil_from", read_as(&Machine::spoil_from, whole)},
        {"spoil_count", read_as(&Machine::spoil_count, whole)},
        {"once", read_as(&Machine::once, as_it_is)},
        // For the tests, which give a process so much of the host's memory.
        {"host_memory", nothing},
        {"host_available", nothing},
    };
    return table;
}

void set(Machine &machine, const std::string &line) {
    const size_t equals = line.find('=');
    const std::string key = trimmed(line.substr(0, equals));
    try {
        const std::string value = trimmed(line.substr(line.find('=') + 1));
        if (equals == std::string::npos) {
            throw std::invalid_argument(line);
        }
        if (key.rfind("heap.", 0) == 0) {
            machine.heaps[static_cast<uint32_t>(whole(key.substr(5)))] = heap_of(value);
        } else if (key.rfind("memory_type.", 0) == 0) {
            machine.types[static_cast<uint32_t>(whole(key.substr(12)))] = type_of(value);
        } else {
            setters().at(key)(machine, value);
        }
    } catch (const std::logic_error &) {
        throw std::runtime_error("the line '" + line + "' of a machine is not understood");
    }
}

void set_lines(Machine &machine, std::istream &lines, char end) {
    for (std::string line; std::getline(lines, line, end);) {
        line = trimmed(line.substr(0, line.find('#')));
        if (!line.empty()) {
            set(machine, line);
        }
    }
}

// The first line of a file may name another one beside it, over which it is read: "like NAME".
void set_from_file(Machine &machine, const std::string &name) {
    std::ifstream lines(name);
    if (!lines) {
        throw std::runtime_error("there is no machine " + name);
    }
    const std::string like = "like ";
    std::string first;
    std::getline(lines, first);
    if (first.rfind(like, 0) == 0) {
        const std::string folder = name.substr(0, name.rfind('/') + 1);
        set_from_file(machine, folder + trimmed(first.substr(like.size())) + ".machine");
    } else {
        lines.seekg(0);
    }
    set_lines(machine, lines, '\n');
}

void check(const Machine &machine) {
    const auto complete = [](const auto &entries, size_t most) {
        return entries.size() <= most && (entries.empty() || entries.rbegin()->first + 1 == entries.size());
    };
    if (!complete(machine.heaps, VK_MAX_MEMORY_HEAPS) || !complete(machine.types, VK_MAX_MEMORY_TYPES) ||
        machine.heaps.empty() != machine.types.empty()) {
        throw std::runtime_error("a machine's heaps and memory types must be there together, numbered from 0");
    }
    if (std::any_of(machine.types.begin(), machine.types.end(),
                    [&](const auto &type) { return machine.heaps.count(type.second.heap) == 0; })) {
        throw std::runtime_error("a memory type of a machine names a heap that is not there");
    }
    if (machine.watchdog > 0 && machine.tflops <= 0) {
        throw std::runtime_error("a machine with a watchdog must say its tflops");
    }
}

Machine read_machine() {
    Machine machine;
    if (const char *file = std::getenv("SDCPP_RIG_MACHINE")) {
        set_from_file(machine, file);
    }
    if (const char *over = std::getenv("SDCPP_RIG_SET")) {
        std::istringstream lines(over);
        set_lines(machine, lines, ';');
    }
    check(machine);
    return machine;
}

}  // namespace

const Machine &machine() {
    static const Machine *read = new Machine(read_machine());  // never destroyed: counts are written at the very end
    return *read;
}

bool may_fail() {
    const std::string &once = machine().once;
    if (once.empty()) {
        return true;
    }
    const int file = open(once.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file >= 0) {
        close(file);
    }
    return file >= 0;
}

}  // namespace rig
