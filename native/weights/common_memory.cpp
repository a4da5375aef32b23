#include "weights/common_memory.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace sdpy {

namespace {

constexpr int slot_count = 4096;
constexpr uint64_t first_place = uint64_t{1} << 20;  // behind the table
enum State : uint64_t { FREE, TAKEN, COMPLETE };

// Bytes far behind all that the file has, whose locks stand for something else: the table, each slot, and turns.
constexpr int64_t table_byte = int64_t{1} << 61, slot_bytes = table_byte + 1, turn_bytes = slot_bytes + slot_count;
constexpr uint64_t turn_count = uint64_t{1}
                                << 20;  // two subjects of one number wait for each other, which does no harm

// Nobody has the table for long, unless he is stopped.
constexpr auto table_patience = std::chrono::seconds(5);

uint64_t hash_of(std::string_view text) {  // FNV-1a
    uint64_t hash = 0xcbf29ce484222325;
    for (const char letter : text) {
        hash = (hash ^ static_cast<uint8_t>(letter)) * 0x100000001b3;
    }
    return hash;
}

uint64_t whole_pages(uint64_t bytes) {
    static const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

uint64_t CommonMemory::Slot::data() const { return begin + whole_pages(key_bytes); }
uint64_t CommonMemory::Slot::end() const { return data() + whole_pages(bytes); }

class CommonMemory::Table {
   public:
    explicit Table(CommonMemory &memory) : memory_(memory), own_(memory.mutex_) {
        const auto deadline = std::chrono::steady_clock::now() + table_patience;
        while (!(locked_ = memory_.lock(table_byte, F_WRLCK)) && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    ~Table() {
        if (locked_) {
            memory_.lock(table_byte, F_UNLCK);
        }
    }
    Table(const Table &) = delete;
    Table &operator=(const Table &) = delete;

    bool is_ours() const { return locked_; }

    int find(const std::string &key) const {
        for (int i = 0; i < slot_count; ++i) {
            if (memory_.slots_[i].state != FREE && memory_.has_key(memory_.slots_[i], key)) {
                return i;
            }
        }
        return -1;
    }

    // A slot that is free, after what was left behind was freed; -1 where all are taken.
    int find_free() const {
        int found = -1;
        for (int i = slot_count - 1; i >= 0; --i) {
            if (memory_.free_where_abandoned(memory_.slots_[i], i)) {
                found = i;
            }
        }
        return found;
    }

    // Where so many bytes are free, between others or behind them.
    uint64_t gap_of(uint64_t bytes) const {
        std::vector<std::pair<uint64_t, uint64_t>> taken;
        for (int i = 0; i < slot_count; ++i) {
            if (memory_.slots_[i].state != FREE) {
                taken.emplace_back(memory_.slots_[i].begin, memory_.slots_[i].end());
            }
        }
        std::sort(taken.begin(), taken.end());
        uint64_t begin = first_place;
        for (const auto &[from, to] : taken) {
            if (from >= begin + bytes) {
                break;
            }
            begin = std::max(begin, to);
        }
        return begin;
    }

   private:
    CommonMemory &memory_;
    std::lock_guard<std::mutex> own_;
    bool locked_ = false;
};

CommonMemory::Place::~Place() {
    if (slot_ >= 0) {
        munmap(begin_, whole_pages(bytes_));
        memory_.let_go(slot_);
    }
}

void CommonMemory::Place::finish() {
    if (complete_ || mprotect(begin_, whole_pages(bytes_), PROT_READ) != 0) {
        return;
    }
    const Table table(memory_);
    if (table.is_ours()) {
        complete_ = true;
        memory_.slots_[slot_].state = COMPLETE;
    }
}

CommonMemory::Turn::~Turn() { memory_.lock(byte_, F_UNLCK); }

std::unique_ptr<CommonMemory> CommonMemory::open(int file) {
    struct statfs system{};
    if (fstatfs(file, &system) != 0 || system.f_type != TMPFS_MAGIC) {
        return nullptr;  // on a disk, it would be no memory
    }
    // Locks belong to whoever has opened the file: the descriptor that was handed down is the same opening for all.
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    const int own = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (own < 0) {
        return nullptr;
    }
    std::unique_ptr<CommonMemory> memory(new CommonMemory(own));
    const Table table(*memory);
    struct stat found{};
    const bool is_there = table.is_ours() && fstat(own, &found) == 0 &&
                          (found.st_size >= static_cast<off_t>(first_place) || ftruncate(own, first_place) == 0);
    void *slots = is_there ? mmap(nullptr, first_place, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0) : MAP_FAILED;
    if (slots == MAP_FAILED) {
        return nullptr;
    }
    static_assert(sizeof(Slot) * slot_count <= first_place);
    memory->slots_ = static_cast<Slot *>(slots);
    return memory;
}

CommonMemory::~CommonMemory() {
    if (slots_ != nullptr) {
        munmap(slots_, first_place);
    }
    close(file_);
}

namespace {

std::atomic<CommonMemory *> of_this_process{nullptr};

}  // namespace

void CommonMemory::use(int file) {
    if (current() == nullptr) {
        of_this_process = open(file).release();  // never destroyed: parked threads outlive static destructors
    }
}

CommonMemory *CommonMemory::current() { return of_this_process; }

void CommonMemory::free_abandoned(int file) {
    const std::unique_ptr<CommonMemory> memory = open(file);
    if (memory != nullptr) {
        const Table table(*memory);
        if (table.is_ours()) {
            table.find_free();
        }
    }
}

// Whether this process has the lock of a byte now; `kind` as fcntl has it.
bool CommonMemory::lock(int64_t byte, short kind) const {
    struct flock wanted{};
    wanted.l_type = kind;
    wanted.l_whence = SEEK_SET;
    wanted.l_start = byte;
    wanted.l_len = 1;
    int done = 0;
    do {
        done = fcntl(file_, F_OFD_SETLK, &wanted);
    } while (done != 0 && errno == EINTR);
    return done == 0;
}

std::unique_ptr<CommonMemory::Turn> CommonMemory::try_turn(const std::string &subject) {
    const int64_t byte = turn_bytes + static_cast<int64_t>(hash_of(subject) % turn_count);
    return lock(byte, F_WRLCK) ? std::unique_ptr<Turn>(new Turn(*this, byte)) : nullptr;
}

bool CommonMemory::has_key(const Slot &slot, const std::string &key) const {
    if (slot.key_bytes != key.size() || slot.hash != hash_of(key)) {
        return false;
    }
    std::string stored(key.size(), '\0');
    return pread(file_, stored.data(), stored.size(), static_cast<off_t>(slot.begin)) ==
               static_cast<ssize_t>(stored.size()) &&
           stored == key;
}

// Whether the slot is free now: also where no process has it any more.
bool CommonMemory::free_where_abandoned(Slot &slot, int index) const {
    if (slot.state == FREE) {
        return true;
    }
    if (own_.count(index) != 0 || !lock(slot_bytes + index, F_WRLCK)) {
        return false;
    }
    slot.state = TAKEN;  // whoever dies in the middle leaves nothing that looks complete
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(slot.begin),
              static_cast<off_t>(slot.end() - slot.begin));
    slot.state = FREE;
    lock(slot_bytes + index, F_UNLCK);
    return true;
}

bool CommonMemory::map(int index, Place &place) {
    const Slot &slot = slots_[index];
    const bool complete = slot.state == COMPLETE;
    const int access = complete ? PROT_READ : PROT_READ | PROT_WRITE;
    const uint64_t bytes = whole_pages(slot.bytes);
    int &own = own_[index];
    void *begin = lock(slot_bytes + index, F_RDLCK)
                      ? mmap(nullptr, bytes, access, MAP_SHARED, file_, static_cast<off_t>(slot.data()))
                      : MAP_FAILED;
    if (begin == MAP_FAILED) {
        if (own == 0) {
            own_.erase(index);
            lock(slot_bytes + index, F_UNLCK);
        }
        return false;
    }
    ++own;
    madvise(begin, bytes, MADV_HUGEPAGE);
    place.slot_ = index;
    place.begin_ = static_cast<char *>(begin);
    place.bytes_ = slot.bytes;
    place.complete_ = complete;
    return true;
}

// Whether the file has room for it. Nobody else has the slot.
bool CommonMemory::begin_slot(const Table &table, int index, const std::string &key, uint64_t bytes) {
    Slot &slot = slots_[index];
    slot.hash = hash_of(key);
    slot.key_bytes = key.size();
    slot.bytes = bytes;
    slot.begin = 0;
    slot.begin = table.gap_of(slot.end());
    struct stat found{};
    const auto end = static_cast<off_t>(slot.end());
    if (fstat(file_, &found) != 0 || (found.st_size < end && ftruncate(file_, end) != 0) ||
        pwrite(file_, key.data(), key.size(), static_cast<off_t>(slot.begin)) != static_cast<ssize_t>(key.size())) {
        return false;
    }
    slot.state = TAKEN;
    return true;
}

std::unique_ptr<CommonMemory::Place> CommonMemory::take(const std::string &key, uint64_t bytes) {
    std::unique_ptr<Place> place(new Place(*this));  // before the lock, which it takes when it goes
    const Table table(*this);
    if (!table.is_ours() || bytes == 0) {
        return nullptr;
    }
    const int known = table.find(key);
    if (known >= 0 && slots_[known].state == COMPLETE && slots_[known].bytes == bytes) {
        return map(known, *place) ? std::move(place) : nullptr;
    }
    const int index = table.find_free();
    if (index < 0 || (known >= 0 && slots_[known].state != FREE) || !begin_slot(table, index, key, bytes)) {
        return nullptr;  // what is known and not complete, somebody is still letting go
    }
    if (!map(index, *place)) {
        free_where_abandoned(slots_[index], index);
        return nullptr;
    }
    return place;
}

bool CommonMemory::has(const std::string &key) {
    const Table table(*this);
    const int known = table.is_ours() ? table.find(key) : -1;
    return known >= 0 && slots_[known].state == COMPLETE;
}

void CommonMemory::let_go(int index) {
    const Table table(*this);
    if (--own_[index] > 0) {
        return;
    }
    own_.erase(index);
    if (!table.is_ours() || !free_where_abandoned(slots_[index], index)) {
        lock(slot_bytes + index, F_UNLCK);
    }
}

}  // namespace sdpy
