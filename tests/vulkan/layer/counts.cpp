#include "counts.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "machine.h"

namespace rig {

namespace {

std::string quoted(const std::string &text) {
    std::string result = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') {
            result += '\\';
        }
        result += static_cast<unsigned char>(letter) < ' ' ? ' ' : letter;
    }
    return result + "\"";
}

class Json {
   public:
    Json() { text_.precision(12); }
    template <typename Value>
    void number(const char *key, Value value) {
        begin(key) << value;
    }
    void word(const char *key, const std::string &value) { begin(key) << quoted(value); }
    void raw(const char *key, const std::string &json) { begin(key) << json; }
    std::string done() const { return "{" + text_.str() + "}"; }

   private:
    std::ostream &begin(const char *key) {
        return text_ << (text_.tellp() == std::streampos(0) ? "" : ", ") << quoted(key) << ": ";
    }
    std::ostringstream text_;
};

template <typename Items, typename Write>
std::string list_of(const Items &items, Write write) {
    std::string text = "[";
    for (const auto &item : items) {
        text += (text.size() == 1 ? "" : ", ") + write(item);
    }
    return text + "]";
}

std::string heap_json(const std::pair<const uint32_t, HeapCounts> &heap) {
    Json json;
    json.number("index", heap.first);
    json.number("now", heap.second.now);
    json.number("most", heap.second.most);
    return json.done();
}

std::string shader_json(const std::pair<const std::string, ShaderCounts> &shader) {
    Json json;
    json.word("name", shader.first);
    json.word("hash", shader.second.hash);
    json.number("dispatches", shader.second.dispatches);
    json.number("gflop", shader.second.operations / 1e9);
    return json.done();
}

std::string as_json(const Counts &now) {
    Json json;
    json.word("machine", machine().name);
    json.number("process", getpid());
    json.number("allocations", now.allocations);
    json.number("refused_allocations", now.refused_allocations);
    json.number("largest_allocation", now.largest_allocation);
    json.number("allocated_bytes", now.allocated_bytes);
    json.number("imported_bytes", now.imported_bytes);
    json.raw("heaps", list_of(now.heaps, heap_json));
    json.number("submissions", now.submissions);
    json.number("dispatches", now.dispatches);
    json.number("spoiled_dispatches", now.spoiled_dispatches);
    json.number("uploaded_bytes", now.uploaded_bytes);
    json.number("downloaded_bytes", now.downloaded_bytes);
    json.number("copied_bytes", now.copied_bytes);
    json.number("gflop", now.operations / 1e9);
    json.number("longest_submission_gflop", now.longest_submission / 1e9);
    json.word("longest_submission_of", now.longest_of);
    json.number("longest_dispatch_gflop", now.longest_dispatch / 1e9);
    json.word("longest_dispatch_of", now.longest_dispatch_of);
    json.number("lost_at", now.lost_at);
    json.word("lost_why", now.lost_why);
    json.raw("shaders", list_of(now.shaders, shader_json));
    json.raw("complaints", list_of(now.complaints, quoted));
    return json.done();
}

using Clock = std::chrono::steady_clock;
Clock::time_point &last_written() {
    static Clock::time_point time;
    return time;
}

}  // namespace

Counts &counts() {
    static auto *counts = new Counts;  // never destroyed: threads outlive static destructors
    return *counts;
}

void write_counts_locked() {
    const char *folder = std::getenv("SDCPP_RIG_COUNTS");
    if (folder == nullptr) {
        return;
    }
    last_written() = Clock::now();
    const std::string name = std::string(folder) + "/" + std::to_string(getpid()) + ".json";
    const std::string unfinished = name + ".part";
    std::ofstream(unfinished) << as_json(counts()) << "\n";
    // Whoever reads the folder meanwhile finds whole files alone.
    std::rename(unfinished.c_str(), name.c_str());
}

void write_counts_sometimes_locked() {
    if (Clock::now() - last_written() >= std::chrono::milliseconds(200)) {
        write_counts_locked();
    }
}

namespace {

// ggml destroys neither its devices nor its instance.
__attribute__((destructor)) void write_at_the_end() {
    std::lock_guard<std::mutex> lock(counts().mutex);
    if (counts().allocations > 0) {
        write_counts_locked();
    }
}

}  // namespace

}  // namespace rig

void sdcpp_rig_write_counts() {
    std::lock_guard<std::mutex> lock(rig::counts().mutex);
    rig::write_counts_locked();
}
