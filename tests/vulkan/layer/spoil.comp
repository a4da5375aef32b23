// Spoils numbers that another shader has written: one word of 32 bits, or two numbers of 16, for each invocation.
#version 450

layout(local_size_x = 256) in;
layout(binding = 0) buffer Results { uint words[]; };
layout(push_constant) uniform Parameters {
    uint count;   // of words
    uint how;     // as the layer's enum Spoiling counts them
    float amount;
    uint half_numbers;  // 1: a word holds two
};

float noise(uint seed) {
    seed = (seed ^ 61u) ^ (seed >> 16);
    seed *= 9u;
    seed = (seed ^ (seed >> 4)) * 0x27d4eb2du;
    seed ^= seed >> 15;
    return amount * (float(seed) / 2147483648.0 - 1.0);
}

float spoiled(float number, uint seed) {
    switch (how) {
        case 1u:
            return 0.0;
        case 2u:
            return noise(seed);
        case 3u:
            return clamp(number, -amount, amount);
        default:
            return number * amount;
    }
}

void main() {
    const uint index = gl_GlobalInvocationID.y * gl_NumWorkGroups.x * 256u + gl_GlobalInvocationID.x;
    if (index >= count) {
        return;
    }
    if (how == 0u) {
        words[index] = 0xffffffffu;  // not a number, in 32 bits and twice in 16
    } else if (half_numbers == 1u) {
        const vec2 pair = unpackHalf2x16(words[index]);
        words[index] = packHalf2x16(vec2(spoiled(pair.x, 2u * index), spoiled(pair.y, 2u * index + 1u)));
    } else {
        words[index] = floatBitsToUint(spoiled(uintBitsToFloat(words[index]), index));
    }
}
