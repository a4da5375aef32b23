// Compiled once for AVX2 and once for AVX-512: SDPY_KERNELS is the name of the table.
#include "kernels/attention.h"

#include "kernels/dot.h"
#include "kernels/float_product.h"
#include "kernels/soft_max.h"

namespace {

using sdpy::Attention;

// Keys that are met together; floats of them, and of their values: together half of a core's second cache.
constexpr int64_t most_keys = 256, key_floats = 32768;
// Queries, and floats of their sums, for which each block of keys is laid out once.
constexpr int64_t most_queries = 512, sum_floats = 65536;
// Blocks are the same with every instruction set, and so are bits: whole panels of the widest.
constexpr int64_t widest_panel = 32;
static_assert(widest_panel % float_panel == 0, "blocks of keys are whole panels");
static_assert(sdpy::largest_head * widest_panel <= key_floats, "a panel of the largest head has room");

constexpr int64_t filled_up(int64_t count, int64_t granule) { return (count + granule - 1) / granule * granule; }

// What a thread works on, on its stack.
struct alignas(64) Room {
    float keys[key_floats];    // panels of keys side by side, a row for each number of a head
    float values[key_floats];  // panels of numbers of a head side by side, a row for each key
    float weights[float_rows][most_keys];
    float sums[sum_floats];                            // (queries, numbers of a head)
    float highest[most_queries], total[most_queries];  // of a query's weights so far
};

// Some queries of a head, and how much of what is taken at once.
struct Group {
    const Attention &head;
    int64_t first, queries;
    int64_t numbers;  // of a head, filled up to whole vectors

    static int64_t most(const Attention &head) {
        const int64_t fitting = sum_floats / filled_up(head.head_size, lanes);
        return fitting < most_queries ? fitting : most_queries;
    }
    int64_t keys_at_once() const {
        const int64_t fitting = key_floats / filled_up(head.head_size, widest_panel) / widest_panel * widest_panel;
        return fitting < most_keys ? fitting : most_keys;
    }
};

struct Block {
    int64_t first, keys;
};

void lay_out(const Attention &head, int64_t numbers, const Block &block, Room &room) {
    const int64_t size = head.head_size;
    for (int64_t key = 0; key < block.keys; key += float_panel) {
        const int64_t rows = block.keys - key < float_panel ? block.keys - key : float_panel;
        pack_floats<F32>(head.k + (block.first + key) * head.k_stride, head.k_stride, rows, size,
                         reinterpret_cast<PanelRow *>(room.keys + key * size));
    }
    for (int64_t at = 0; at < numbers; at += float_panel) {
        const int64_t there = size - at < float_panel ? size - at : float_panel;
        float *to = room.values + at * block.keys;
        for (int64_t key = 0; key < block.keys; ++key, to += float_panel) {
            __builtin_memcpy(to, head.v + (block.first + key) * head.v_stride + at, there * sizeof(float));
            __builtin_memset(to + there, 0, (float_panel - there) * sizeof(float));
        }
    }
}

// Makes the products of a query with a block of keys its weights, and what it has so far comparable with them.
void weigh(const Group &group, const Block &block, int64_t query, float *weights, Room &room) {
    const Attention &head = group.head;
    const float *mask =
        head.mask == nullptr ? nullptr : head.mask + (group.first + query) * head.mask_stride + block.first;
    const float here = scale_row(weights, block.keys, head.scale, mask), before = room.highest[query];
    const float highest = here > before ? here : before;
    // Where every key is masked so far, there is nothing to compare with, and no weight.
    const float base = highest == -__builtin_inff() ? 0 : highest;
    const float total = exponentials(weights, block.keys, base);
    if (highest > before) {
        const float less = exponential_of(before - base);
        float *sums = room.sums + query * group.numbers;
        for (int64_t i = 0; i < group.numbers; i += lanes) {
            store(sums + i, load(static_cast<const float *>(sums + i)) * all(less));
        }
        room.total[query] *= less;
        room.highest[query] = highest;
    }
    room.total[query] += total;
}

// Queries by queries, as many at a time as registers hold, meet a block of keys.
template <int rows>
void meet(const Group &group, const Block &block, int64_t query, Room &room) {
    const Attention &head = group.head;
    for (; query + rows <= group.queries; query += rows) {
        for (int64_t key = 0; key < block.keys; key += float_panel) {
            float_tile<rows, float_vectors>(reinterpret_cast<const PanelRow *>(room.keys + key * head.head_size),
                                            head.q + (group.first + query) * head.q_stride, head.q_stride,
                                            head.head_size, room.weights[0] + key, most_keys, false);
        }
        for (int r = 0; r < rows; ++r) {
            weigh(group, block, query + r, room.weights[r], room);
        }
        for (int64_t at = 0; at < group.numbers; at += float_panel) {
            float_tile_of<rows>(reinterpret_cast<const PanelRow *>(room.values + at * block.keys), room.weights[0],
                                most_keys, block.keys, room.sums + query * group.numbers + at, group.numbers,
                                group.numbers - at, true);
        }
    }
    if constexpr (rows > 1) {
        meet<rows - 1>(group, block, query, room);
    }
}

void attend_group(const Group &group, Room &room) {
    const Attention &head = group.head;
    __builtin_memset(room.sums, 0, group.queries * group.numbers * sizeof(float));
    for (int64_t query = 0; query < group.queries; ++query) {
        room.highest[query] = -__builtin_inff();
        room.total[query] = 0;
    }
    const int64_t at_once = group.keys_at_once();
    for (int64_t key = 0; key < head.keys; key += at_once) {
        const Block block{key, head.keys - key < at_once ? head.keys - key : at_once};
        lay_out(head, group.numbers, block, room);
        meet<float_rows>(group, block, 0, room);
    }
    for (int64_t query = 0; query < group.queries; ++query) {
        const float *sums = room.sums + query * group.numbers;
        float *out = head.out + (group.first + query) * head.out_stride;
        for (int64_t i = 0; i < head.head_size; ++i) {
            out[i] = sums[i] / room.total[query];
        }
    }
}

void attend(const Attention &head, int64_t first, int64_t last) {
    Room room;
    const int64_t most = Group::most(head);
    for (int64_t query = first; query < last; query += most) {
        const int64_t queries = last - query < most ? last - query : most;
        attend_group({head, query, queries, filled_up(head.head_size, lanes)}, room);
    }
}

}  // namespace

const sdpy::AttentionKernels sdpy::SDPY_KERNELS = {attend};
