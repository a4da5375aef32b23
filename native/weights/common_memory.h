// Memory that the engines' processes of a program have in common: a file without a name, which the program hands to each of
// them. Weights of equal files lie there once, and are read only once they are complete.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace sdpy {

class CommonMemory {
   public:
    // Some memory under a key. The last owner of all processes frees it, and for one that died, who comes next.
    class Place {
       public:
        ~Place();
        Place(const Place &) = delete;
        Place &operator=(const Place &) = delete;

        char *begin() const { return begin_; }
        uint64_t bytes() const { return bytes_; }
        // Whether another process has filled it. Where not, its owner does.
        bool complete() const { return complete_; }
        // It is filled: from now on others have it too, and nobody can write there.
        void finish();

       private:
        friend class CommonMemory;
        explicit Place(CommonMemory &memory) : memory_(memory) {}

        CommonMemory &memory_;
        int slot_ = -1;
        char *begin_ = nullptr;
        uint64_t bytes_ = 0;
        bool complete_ = false;
    };

    // Closes the race of processes that would fill the same places. Gone with the process that has it.
    class Turn {
       public:
        ~Turn();
        Turn(const Turn &) = delete;
        Turn &operator=(const Turn &) = delete;

       private:
        friend class CommonMemory;
        Turn(CommonMemory &memory, int64_t byte) : memory_(memory), byte_(byte) {}
        CommonMemory &memory_;
        const int64_t byte_;
    };

    // This process has it from now on. Once; nothing where the file is none that can be used so.
    static void use(int file);
    // Null where this process has none.
    static CommonMemory *current();
    // Frees what processes that ended have left in the file. For a program that has no engine in it itself.
    static void free_abandoned(int file);

    CommonMemory(const CommonMemory &) = delete;
    CommonMemory &operator=(const CommonMemory &) = delete;
    ~CommonMemory();

    // Null where another process has it.
    std::unique_ptr<Turn> try_turn(const std::string &subject);
    // The memory of this key. In the turn of its subject. Null where there is no room for it, in which case the caller takes
    // memory of his own.
    std::unique_ptr<Place> take(const std::string &key, uint64_t bytes);
    // Whether there is memory of this key that is complete.
    bool has(const std::string &key);

   private:
    // How a piece of the file is used. State, the last to be written, says whether the others count.
    struct Slot {
        uint64_t state, hash, begin, key_bytes, bytes;
        uint64_t data() const;
        uint64_t end() const;
    };
    class Table;  // all slots, for one process at a time

    explicit CommonMemory(int file) : file_(file) {}
    static std::unique_ptr<CommonMemory> open(int file);
    bool lock(int64_t byte, short kind) const;
    bool has_key(const Slot &slot, const std::string &key) const;
    bool free_where_abandoned(Slot &slot, int index) const;
    bool begin_slot(const Table &table, int index, const std::string &key, uint64_t bytes);
    bool map(int index, Place &place);
    void let_go(int index);

    const int file_;
    Slot *slots_ = nullptr;
    std::mutex mutex_;  // closes the race of engines of this process, whose locks of the file are one and the same
    std::map<int, int> own_;  // how many places of this process are in a slot
};

}  // namespace sdpy
