// Which blocks of a streamed part stay in memory, and which places the others go through.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace sdpy {

constexpr int most_places = 2;

// Blocks are given by their bytes, in the order in which they are used; `outside` is what stands outside of all blocks, and
// always stays. With two places, the blocks that move take them in turn, so that one can be read while the one before is
// computed.
struct StreamLayout {
    std::vector<int> place_of;                     // by block; -1: it stays
    std::array<uint64_t, most_places> bytes = {};  // of the places; 0: there is none
    uint64_t total = 0;                            // bytes of all that is in memory
};

// As many blocks stay as there is room for, the largest of them, because then the places for the others are small as well;
// of blocks that are equally large, every so many-th, so that there is time to read between those that move. There are two
// places where the room suffices for them. Throws OutOfMemory where it does not even for one.
StreamLayout lay_out(uint64_t outside, const std::vector<uint64_t> &blocks, uint64_t room, bool ahead);

// The least room, and the least in which there are two places.
uint64_t least_room(uint64_t outside, const std::vector<uint64_t> &blocks);
uint64_t ahead_room(uint64_t outside, const std::vector<uint64_t> &blocks);

}  // namespace sdpy
