#include "weights/shared_store.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/errors.h"
#include "base/forks.h"
#include "devices/devices.h"
#include "jobs/run.h"
#include "util.h"
#include "weights/piece_reading.h"
#include "weights/weight_files.h"

namespace sdpy {

namespace {

// A device, and which file is on it.
using ShelfKey = std::pair<std::string, std::string>;

// What of one file is on one device. Kept by its batches and by who looks into it, and gone with the last of them.
struct Shelf {
    explicit Shelf(ShelfKey where) : key(std::move(where)) {}
    ~Shelf();
    Shelf(const Shelf &) = delete;
    Shelf &operator=(const Shelf &) = delete;

    const ShelfKey key;
    std::timed_mutex reading;  // closes the race of two engines that would read the same file at the same time
    std::mutex mutex;          // closes the race over `batches` between engines that look, add and give up
    std::vector<std::weak_ptr<WeightBatch>> batches;
};

struct Shelves {
    std::mutex mutex;  // closes the race of engines that open files, or give up the last of one, at the same time
    ForkedMutex forked{mutex};
    std::map<ShelfKey, std::weak_ptr<Shelf>> shelves;
};

void leave_busy_shelves();

Shelves &all_shelves() {
    static auto *shelves = [] {
        after_fork(leave_busy_shelves);
        return new Shelves;  // never destroyed: parked threads outlive static destructors
    }();
    return *shelves;
}

Shelf::~Shelf() {
    std::lock_guard<std::mutex> lock(all_shelves().mutex);
    const auto own = all_shelves().shelves.find(key);
    // Another engine may have opened the file anew, or the device may have been lost, before this one could lock.
    if (own != all_shelves().shelves.end() && own->second.expired()) {
        all_shelves().shelves.erase(own);
    }
}

// In a fork: who was just reading such a file does not go on, and it is read anew. The others' weights are there.
void leave_busy_shelves() {
    auto &shelves = all_shelves().shelves;
    for (auto it = shelves.begin(); it != shelves.end();) {
        const std::shared_ptr<Shelf> shelf = it->second.lock();
        const bool busy = shelf == nullptr || !shelf->reading.try_lock();
        const bool busy_too = busy || !shelf->mutex.try_lock();
        if (busy || busy_too) {
            static_cast<void>(new auto(shelf));  // with a lock that nobody gives back
            it = shelves.erase(it);
        } else {
            shelf->reading.unlock();
            shelf->mutex.unlock();
            ++it;
        }
    }
}

// A file that was replaced or written to is another file: its path says nothing.
std::shared_ptr<Shelf> shelf_of(const std::string &identity, ggml_backend_t backend) {
    const ShelfKey key{ggml_backend_dev_name(ggml_backend_get_device(backend)), identity};
    auto fresh = std::make_shared<Shelf>(key);  // before the lock: a shelf locks when it goes
    std::lock_guard<std::mutex> lock(all_shelves().mutex);
    std::weak_ptr<Shelf> &known = all_shelves().shelves[key];
    std::shared_ptr<Shelf> shelf = known.lock();
    if (shelf == nullptr) {
        known = shelf = std::move(fresh);
    }
    return shelf;
}

WeightBatches batches_on(Shelf &shelf) {
    std::lock_guard<std::mutex> lock(shelf.mutex);
    WeightBatches batches;
    auto &known = shelf.batches;
    known.erase(std::remove_if(known.begin(), known.end(), [](const auto &batch) { return batch.expired(); }),
                known.end());
    for (const auto &batch : known) {
        if (auto alive = batch.lock()) {
            batches.push_back(std::move(alive));
        }
    }
    return batches;
}

// What of a file a place can have without reading: what is on its device already, and for a CPU what devices have imported.
WeightBatches known_of(const std::string &identity, const std::shared_ptr<Shelf> &own, ggml_backend_t backend) {
    WeightBatches known = batches_on(*own);
    if (!runs_on_cpu(backend)) {
        return known;
    }
    std::vector<std::shared_ptr<Shelf>> others;  // before the lock: a shelf locks when it goes
    {
        std::lock_guard<std::mutex> lock(all_shelves().mutex);
        for (const auto &[key, shelf] : all_shelves().shelves) {
            auto there = key.second == identity ? shelf.lock() : nullptr;
            if (there != nullptr) {
                others.push_back(std::move(there));
            }
        }
    }
    for (const auto &other : others) {
        const WeightBatches there = other == own ? WeightBatches{} : batches_on(*other);
        std::copy_if(there.begin(), there.end(), std::back_inserter(known),
                     [](const auto &batch) { return batch->is_imported(); });
    }
    return known;
}

std::shared_ptr<WeightBatch> holder_of(const WeightBatches &batches, const PlannedWeight &weight) {
    const auto holder =
        std::find_if(batches.begin(), batches.end(), [&](const auto &batch) { return batch->find(weight) != nullptr; });
    return holder == batches.end() ? nullptr : *holder;
}

// Weights that are not in this process's memory, by their blocks.
using Missing = std::map<std::string, std::vector<const PlannedWeight *>>;

std::unique_ptr<CommonMemory::Turn> turn_among_processes(const std::string &identity, const WeightPlace &place,
                                                         const Run *run) {
    CommonMemory *common = common_of(place);
    std::unique_ptr<CommonMemory::Turn> turn;
    while (common != nullptr && (turn = common->try_turn(identity)) == nullptr) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (run != nullptr) {
            run->check_cancelled();
        }
    }
    return turn;
}

void wait_for_turn(std::unique_lock<std::timed_mutex> &turn, const Run *run) {
    while (!turn.try_lock_for(std::chrono::milliseconds(50))) {
        if (run != nullptr) {
            run->check_cancelled();
        }
    }
}

}  // namespace

WeightBatches share_weights(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights, int threads,
                            ReadingProgress &progress) {
    const std::string &identity = weights.front()->identity;
    const std::shared_ptr<Shelf> shelf = shelf_of(identity, place.backend);
    std::unique_lock<std::timed_mutex> turn(shelf->reading, std::defer_lock);
    wait_for_turn(turn, progress.run);
    const auto turn_too = turn_among_processes(identity, place, progress.run);

    const WeightBatches known = known_of(identity, shelf, place.backend);
    WeightBatches held;
    Missing missing;
    for (const PlannedWeight *weight : weights) {
        if (auto holder = holder_of(known, *weight)) {
            held.push_back(std::move(holder));
        } else {
            missing[block_of(weight->stored.name)].push_back(weight);
        }
    }
    std::sort(held.begin(), held.end());
    held.erase(std::unique(held.begin(), held.end()), held.end());
    if (missing.empty()) {
        return held;
    }
    WeightFiles files;
    std::vector<Piece> pieces;
    WeightBatches fresh;
    for (const auto &[block, tensors] : missing) {
        fresh.push_back(std::make_shared<WeightBatch>(place, tensors, shelf));
        if (fresh.back()->is_complete()) {
            continue;
        }
        for (const PlannedWeight *weight : tensors) {
            files.open(*weight);
            ggml_tensor *own = fresh.back()->find(*weight);
            cut_into_pieces(files, *weight, own, fresh.back()->in_host(own), pieces);
        }
    }
    const uint64_t after = std::accumulate(pieces.begin(), pieces.end(), progress.before,
                                           [](uint64_t sum, const Piece &piece) { return sum + piece.bytes(); });
    read_pieces(std::move(pieces), threads, progress.run, progress.before, progress.total);
    progress.before = after;
    for (const auto &batch : fresh) {
        batch->finish();
    }
    std::lock_guard<std::mutex> lock(shelf->mutex);
    shelf->batches.insert(shelf->batches.end(), fresh.begin(), fresh.end());
    held.insert(held.end(), fresh.begin(), fresh.end());
    return held;
}

uint64_t bytes_to_read(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights) {
    const std::string &identity = weights.front()->identity;
    const WeightBatches known = known_of(identity, shelf_of(identity, place.backend), place.backend);
    Missing missing;
    for (const PlannedWeight *weight : weights) {
        if (holder_of(known, *weight) == nullptr) {
            missing[block_of(weight->stored.name)].push_back(weight);
        }
    }
    uint64_t bytes = 0;
    for (const auto &[block, tensors] : missing) {
        if (!others_have(place, tensors)) {
            bytes = std::accumulate(tensors.begin(), tensors.end(), bytes,
                                    [](uint64_t sum, const PlannedWeight *one) { return sum + one->bytes_to_read(); });
        }
    }
    return bytes;
}

void forget_weights_on(const std::string &device) {
    std::lock_guard<std::mutex> lock(all_shelves().mutex);
    auto &shelves = all_shelves().shelves;
    for (auto it = shelves.begin(); it != shelves.end();) {
        it = it->first.first == device ? shelves.erase(it) : std::next(it);
    }
}

size_t shelf_count() {
    std::lock_guard<std::mutex> lock(all_shelves().mutex);
    return all_shelves().shelves.size();
}

}  // namespace sdpy
