#include "weights/arranged_files.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "base/errors.h"
#include "ggml.h"
#include "weights/file_reading.h"
#include "weights/number_formats.h"

namespace sdpy {

namespace {

constexpr char between_records = '\x1e', between_fields = '\x1f';
constexpr int axes_of_ggml = 4;

thread_local const ArrangedFiles *current_files = nullptr;

using Fields = std::vector<std::string>;

std::vector<std::string> cut(std::string_view text, char between) {
    std::vector<std::string> parts;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(between, begin), text.size());
        parts.emplace_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

[[noreturn]] void not_ours() { throw LoadFailed("what was told of the model's files cannot be understood"); }

int64_t number_in(const Fields &fields, size_t place) {
    size_t read = 0;
    const std::string &text = fields.at(place);
    const int64_t number = std::stoll(text, &read);
    if (read != text.size() || number < 0) {
        not_ours();
    }
    return number;
}

// Types by ggml's names in capitals, and those of safetensors that ggml does not have.
void set_type(TensorStorage &stored, const std::string &name) {
    stored.is_f8_e4m3 = name == "F8_E4M3";
    stored.is_f8_e5m2 = name == "F8_E5M2";
    stored.is_f64 = name == "F64";
    stored.is_i64 = name == "I64";
    if (is_widened(stored)) {
        stored.type = stored.is_f64 ? GGML_TYPE_F32 : stored.is_i64 ? GGML_TYPE_I32 : GGML_TYPE_F16;
        return;
    }
    for (int type = 0; type < GGML_TYPE_COUNT; ++type) {
        const char *own = ggml_type_name(static_cast<ggml_type>(type));
        const bool same = own != nullptr && std::string_view(own).size() == name.size() &&
                          std::equal(name.begin(), name.end(), own, [](unsigned char a, unsigned char b) {
                              return std::toupper(a) == std::toupper(b);
                          });
        if (same) {
            stored.type = static_cast<ggml_type>(type);
            return;
        }
    }
    not_ours();
}

void set_extents(TensorStorage &stored, const Fields &fields, size_t place) {
    int64_t elements = 1;
    for (int axis = 0; axis < axes_of_ggml; ++axis) {
        stored.ne[axis] = number_in(fields, place + static_cast<size_t>(axis));
        if (stored.ne[axis] == 0 || __builtin_mul_overflow(elements, stored.ne[axis], &elements) ||
            elements > int64_t{1} << 40) {
            not_ours();
        }
    }
    stored.n_dims = axes_of_ggml;
    if (stored.ne[0] % ggml_blck_size(stored.type) != 0) {
        not_ours();
    }
}

class Reader {
   public:
    std::vector<ArrangedTensor> read(const std::string &text) {
        for (const std::string &record : cut(text, between_records)) {
            const Fields fields = cut(record, between_fields);
            const std::string &kind = fields.front();
            if (kind == "F") {
                files_.push_back(std::make_unique<WeightFile>(fields.at(1)));
            } else if (kind == "T") {
                finish();
                begin_tensor(fields);
            } else if (kind == "R" && !tensors_.empty()) {
                add_rows(fields);
            } else if (kind == "S" && !tensors_.empty() && !tensors_.back().rows.empty()) {
                add_scales(fields);
            } else {
                not_ours();
            }
        }
        finish();
        return std::move(tensors_);
    }

   private:
    const WeightFile &file_of(const Fields &fields) const {
        return *files_.at(static_cast<size_t>(number_in(fields, 1)));
    }

    static void check_end(const WeightFile &file, const std::string &name, uint64_t offset, uint64_t bytes) {
        if (offset > file.size() || bytes > file.size() - offset) {
            throw LoadFailed(file.path() + " is truncated: tensor '" + name + "' ends " +
                             std::to_string(offset + bytes - file.size()) + " bytes past the end of the file");
        }
    }

    void begin_tensor(const Fields &fields) {
        TensorStorage whole;
        whole.name = fields.at(1);
        set_type(whole, fields.at(2));
        set_extents(whole, fields, 4);
        whole.n_dims = static_cast<int>(number_in(fields, 3));
        if (whole.n_dims < 1 || whole.n_dims > axes_of_ggml || is_widened(whole)) {
            not_ours();
        }
        tensors_.push_back({whole, "", {}});
    }

    void add_rows(const Fields &fields) {
        ArrangedTensor &tensor = tensors_.back();
        const WeightFile &file = file_of(fields);
        StoredRows rows;
        rows.file = file.path();
        rows.identity = file.identity();
        rows.stored.name = tensor.whole.name;
        rows.stored.offset = static_cast<uint64_t>(number_in(fields, 2));
        set_type(rows.stored, fields.at(3));
        set_extents(rows.stored, fields, 4);
        check_end(file, rows.stored.name, rows.stored.offset, static_cast<uint64_t>(rows.stored.nbytes_to_read()));
        for (const StoredRows &before : tensor.rows) {
            rows.first_element += before.stored.nelements();
        }
        tensor.rows.push_back(std::move(rows));
    }

    void add_scales(const Fields &fields) {
        StoredRows &rows = tensors_.back().rows.back();
        auto scales = std::make_shared<Scales>();
        const int64_t down = number_in(fields, 4);
        scales->in_a_row = number_in(fields, 5);
        scales->rows_of_each = number_in(fields, 6);
        scales->columns_of_each = number_in(fields, 7);
        const int64_t most = rows.stored.nelements(), columns = rows.stored.ne[0];
        const bool covering = down >= 1 && scales->in_a_row >= 1 && scales->rows_of_each >= 1 &&
                              scales->columns_of_each >= 1 && down <= most && scales->in_a_row <= most / down &&
                              scales->rows_of_each <= most && scales->columns_of_each <= most &&
                              down * scales->rows_of_each >= most / columns &&
                              scales->in_a_row * scales->columns_of_each >= columns;
        if (!covering) {
            not_ours();
        }
        scales->numbers = numbers_at(file_of(fields), fields, down * scales->in_a_row, rows.stored.name);
        rows.scales = std::move(scales);
    }

    static std::vector<float> numbers_at(const WeightFile &file, const Fields &fields, int64_t count,
                                         const std::string &name) {
        TensorStorage stored;
        set_type(stored, fields.at(3));
        stored.ne[0] = count;
        const bool floating =
            stored.type == GGML_TYPE_F32 || stored.type == GGML_TYPE_F16 || stored.type == GGML_TYPE_BF16;
        if (!floating) {
            not_ours();
        }
        stored.offset = static_cast<uint64_t>(number_in(fields, 2));
        const auto bytes = static_cast<uint64_t>(stored.nbytes_to_read());
        check_end(file, name, stored.offset, bytes);
        std::vector<char> raw(bytes), room;
        file.read(raw.data(), bytes, stored.offset);
        const char *values = is_widened(stored) ? widen(stored, raw.data(), count, room) : raw.data();
        std::vector<float> numbers(static_cast<size_t>(count));
        if (stored.type == GGML_TYPE_F32) {
            std::copy_n(reinterpret_cast<const float *>(values), count, numbers.begin());
        } else {
            ggml_get_type_traits(stored.type)->to_float(values, numbers.data(), count);
        }
        if (!std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); })) {
            throw LoadFailed(file.path() + ": the scale of tensor '" + name +
                             "' is no number; the file is damaged, download it again");
        }
        return numbers;
    }

    // Of the tensor that was read last.
    void finish() {
        if (tensors_.empty()) {
            return;
        }
        ArrangedTensor &tensor = tensors_.back();
        int64_t elements = 0;
        std::set<std::string> identities;
        for (const StoredRows &rows : tensor.rows) {
            elements += rows.stored.nelements();
            if (identities.insert(rows.identity).second) {
                tensor.identity += rows.identity;
            }
            widen_for(tensor.whole, rows);
        }
        if (elements != tensor.whole.nelements()) {
            not_ours();
        }
    }

    // Half precision holds every eight-bit float, but not times any scale.
    static void widen_for(TensorStorage &whole, const StoredRows &rows) {
        if (rows.scales == nullptr || whole.type != GGML_TYPE_F16) {
            return;
        }
        constexpr float most = 128, least = 1.f / (1 << 16);  // 448 times the first is below 65504
        float largest = 0;
        for (const float number : rows.scales->numbers) {
            largest = std::max(largest, std::abs(number));
        }
        if (largest > most || (largest < least && largest != 0)) {
            whole.type = GGML_TYPE_BF16;
        }
    }

    std::vector<std::unique_ptr<WeightFile>> files_;
    std::vector<ArrangedTensor> tensors_;
};

}  // namespace

std::vector<ArrangedTensor> read_arrangement(const std::string &text) {
    try {
        return Reader().read(text);
    } catch (const std::logic_error &) {  // no number, or a field that is not there
        not_ours();
    }
}

ArrangedFiles::ArrangedFiles(std::map<std::string, std::string> texts) : texts_(std::move(texts)) {
    current_files = this;
}

ArrangedFiles::~ArrangedFiles() { current_files = nullptr; }

const std::string *ArrangedFiles::find(const std::string &path) {
    if (current_files == nullptr) {
        return nullptr;
    }
    const auto found = current_files->texts_.find(path);
    return found == current_files->texts_.end() ? nullptr : &found->second;
}

}  // namespace sdpy
