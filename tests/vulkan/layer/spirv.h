// What a shader's own words say of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rig {

// One dimension of a workgroup: a number, or the specialization constant that gives it.
struct LocalSize {
    uint32_t value = 1;
    int64_t constant = -1;
};

struct ShaderFacts {
    std::string hash;  // 64 bits (FNV-1a) over its words, as 16 hexadecimal digits
    LocalSize size[3];
    int64_t output = -1;  // the binding of set 0 that it writes to: the last one that it may not only read
};

// Reads no more than `count` words, whatever they say.
ShaderFacts facts_of_shader(const uint32_t *words, size_t count);

}  // namespace rig
