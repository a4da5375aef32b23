// Adds one to each of `m * n` numbers. The other constants are there for their size: that of ggml's matrix products.
#version 450

layout(local_size_x_id = 0) in;
layout(binding = 0) readonly buffer In { float from[]; };
layout(binding = 1) writeonly buffer Out { float to[]; };
layout(push_constant) uniform Parameters {
    uint m, n, k;
    uint rest[14];
};

void main() {
    const uint index = gl_GlobalInvocationID.y * gl_NumWorkGroups.x * gl_WorkGroupSize.x + gl_GlobalInvocationID.x;
    if (index < m * n) {
        to[index] = from[index] + 1.0;
    }
}
