#include "spirv.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace rig {

namespace {

// Numbers of the SPIR-V specification.
enum Instruction : uint32_t {
    execution_mode = 16,
    type_pointer = 32,
    constant = 43,
    spec_constant = 50,
    spec_constant_composite = 51,
    variable = 59,
    decorate = 71,
    member_decorate = 72,
    execution_mode_id = 331,
};
enum Decoration : uint32_t { spec_id = 1, built_in = 11, non_writable = 24, binding = 33 };
constexpr uint32_t local_size_mode = 17, local_size_id_mode = 38, workgroup_size = 25;
constexpr size_t header_words = 5;

class Reader {
   public:
    Reader(const uint32_t *words, size_t count) {
        for (size_t at = header_words; at < count;) {
            const uint32_t length = words[at] >> 16;
            if (length == 0 || length > count - at) {
                return;
            }
            read(words[at] & 0xffff, words + at + 1, length - 1);
            at += length;
        }
    }

    void size(LocalSize (&result)[3]) const {
        for (size_t i = 0; i < 3; ++i) {
            if (sizes_.size() == 3) {
                result[i].value = sizes_[i];
            }
            if (size_ids_.size() == 3) {
                result[i] = of_constant(size_ids_[i]);
            }
        }
    }

    int64_t output() const {
        int64_t last = -1;
        for (const auto &[id, number] : bindings_) {
            const auto pointer = variables_.find(id);
            const auto type = pointer == variables_.end() ? pointers_.end() : pointers_.find(pointer->second);
            const bool read_only =
                read_only_.count(id) != 0 || (type != pointers_.end() && read_only_types_.count(type->second) != 0);
            if (!read_only) {
                last = std::max(last, static_cast<int64_t>(number));
            }
        }
        return last;
    }

   private:
    void read(uint32_t instruction, const uint32_t *operands, size_t count) {
        switch (instruction) {
            case execution_mode:
                if (count == 5 && operands[1] == local_size_mode) {
                    sizes_.assign(operands + 2, operands + 5);
                }
                break;
            case execution_mode_id:
                if (count == 5 && operands[1] == local_size_id_mode) {
                    size_ids_.assign(operands + 2, operands + 5);
                }
                break;
            case constant:
            case spec_constant:
                if (count >= 3) {
                    constants_[operands[1]] = operands[2];
                }
                break;
            case spec_constant_composite:
                if (count == 5 && operands[1] == size_composite_) {
                    size_ids_.assign(operands + 2, operands + 5);
                }
                break;
            case type_pointer:
                if (count == 3) {
                    pointers_[operands[0]] = operands[2];
                }
                break;
            case variable:
                if (count >= 3) {
                    variables_[operands[1]] = operands[0];
                }
                break;
            case decorate:
                read_decoration(operands, count);
                break;
            case member_decorate:
                // Blocks of ggml's shaders have one member.
                if (count >= 3 && operands[2] == non_writable) {
                    read_only_types_.insert(operands[0]);
                }
                break;
            default:
                break;
        }
    }

    void read_decoration(const uint32_t *operands, size_t count) {
        if (count >= 2 && operands[1] == non_writable) {
            read_only_.insert(operands[0]);
        } else if (count >= 3 && operands[1] == spec_id) {
            spec_ids_[operands[0]] = operands[2];
        } else if (count >= 3 && operands[1] == binding) {
            bindings_[operands[0]] = operands[2];
        } else if (count >= 3 && operands[1] == built_in && operands[2] == workgroup_size) {
            size_composite_ = operands[0];
        }
    }

    LocalSize of_constant(uint32_t id) const {
        LocalSize size;
        const auto value = constants_.find(id);
        size.value = value == constants_.end() ? 1 : value->second;
        const auto specialized = spec_ids_.find(id);
        size.constant = specialized == spec_ids_.end() ? -1 : static_cast<int64_t>(specialized->second);
        return size;
    }

    std::vector<uint32_t> sizes_, size_ids_;
    std::map<uint32_t, uint32_t> constants_, pointers_, variables_, spec_ids_, bindings_;
    std::set<uint32_t> read_only_, read_only_types_;
    uint32_t size_composite_ = 0;
};

std::string hash_of(const uint32_t *words, size_t count) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; ++i) {
        for (int shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ (words[i] >> shift & 0xff)) * 0x100000001b3;
        }
    }
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
    return text;
}

}  // namespace

ShaderFacts facts_of_shader(const uint32_t *words, size_t count) {
    ShaderFacts facts;
    const Reader reader(words, count);
    facts.hash = hash_of(words, count);
    reader.size(facts.size);
    facts.output = reader.output();
    return facts;
}

}  // namespace rig
