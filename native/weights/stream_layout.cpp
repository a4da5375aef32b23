#include "weights/stream_layout.h"

#include <algorithm>
#include <functional>
#include <string>

#include "base/errors.h"

namespace sdpy {

namespace {

// The layout in which so many blocks stay and the others share so many places.
StreamLayout layout_with(uint64_t outside, const std::vector<uint64_t> &blocks, size_t staying, int places) {
    std::vector<uint64_t> sorted = blocks;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const uint64_t least = staying == 0 ? UINT64_MAX : sorted[staying - 1];
    const auto larger =
        static_cast<size_t>(std::count_if(blocks.begin(), blocks.end(), [&](uint64_t bytes) { return bytes > least; }));
    const auto equal = static_cast<size_t>(std::count(blocks.begin(), blocks.end(), least));
    const size_t chosen = staying - std::min(staying, larger);  // of those that are as large as the least that stays

    StreamLayout layout;
    layout.total = outside;
    size_t seen = 0;
    int next = 0;
    for (const uint64_t bytes : blocks) {
        bool stays = bytes > least;
        if (bytes == least) {
            stays = (seen + 1) * chosen / equal > seen * chosen / equal;
            ++seen;
        }
        layout.place_of.push_back(stays ? -1 : next);
        if (stays) {
            layout.total += bytes;
        } else {
            layout.bytes[next] = std::max(layout.bytes[next], bytes);
            next = (next + 1) % places;
        }
    }
    for (const uint64_t bytes : layout.bytes) {
        layout.total += bytes;
    }
    return layout;
}

}  // namespace

StreamLayout lay_out(uint64_t outside, const std::vector<uint64_t> &blocks, uint64_t room, bool ahead) {
    const int places = ahead && room >= ahead_room(outside, blocks) ? 2 : 1;
    for (size_t staying = blocks.size() + 1; staying-- > 0;) {
        StreamLayout layout = layout_with(outside, blocks, staying, places);
        if (layout.total <= room) {
            return layout;
        }
    }
    throw OutOfMemory("there is room for " + std::to_string(room >> 20) + " MiB of weights, and " +
                      std::to_string((least_room(outside, blocks) >> 20) + 1) + " MiB are needed at once");
}

uint64_t least_room(uint64_t outside, const std::vector<uint64_t> &blocks) {
    return layout_with(outside, blocks, 0, 1).total;
}

uint64_t ahead_room(uint64_t outside, const std::vector<uint64_t> &blocks) {
    return layout_with(outside, blocks, 0, 2).total;
}

}  // namespace sdpy
