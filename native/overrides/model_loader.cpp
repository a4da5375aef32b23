#include "overrides/model_loader.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "kernels/levels.h"
#include "util.h"
#include "weights/file_reading.h"
#include "weights/load_plan.h"

// Defined by the engine's model.cpp, declared in no header of it.
bool is_unused_tensor(const std::string &name);

namespace sdpy {

namespace {

thread_local LoadPlan *current_plan = nullptr;

std::string shape_text(const int64_t *ne) {
    std::string text = "[";
    for (int i = 0; i < 4; ++i) {
        text += (i > 0 ? ", " : "") + std::to_string(ne[i]);
    }
    return text + "]";
}

void check_shape(const TensorStorage &stored, const ggml_tensor *target) {
    if (!std::equal(stored.ne, stored.ne + 4, target->ne) || stored.ne[4] != 1) {
        throw LoadFailed("tensor '" + stored.name + "' has shape " + shape_text(stored.ne) + " in the file, and " +
                         shape_text(target->ne) + " is needed");
    }
}

// Rows are read one by one, and a quantized block never crosses a row.
void check_rows(const StoredRows &rows, const ggml_tensor *target) {
    const TensorStorage &stored = rows.stored;
    if (stored.nelements() <= 0 || stored.ne[0] % ggml_blck_size(stored.type) != 0 ||
        stored.ne[0] % ggml_blck_size(target->type) != 0 ||
        stored.nbytes_to_read() % (stored.nelements() / stored.ne[0]) != 0) {
        throw LoadFailed("tensor '" + stored.name + "' has a shape that its type cannot have");
    }
}

// ggml stores more types than it computes with. Their products are a null pointer that is called, and their values cannot
// be turned into others.
void check_type(const TensorStorage &stored, const std::string &path) {
    if (stored.type != GGML_TYPE_F32 && ggml_get_type_traits(stored.type)->to_float == nullptr) {
        std::string type = stored.is_i64 ? "i64" : ggml_type_name(stored.type);
        std::transform(type.begin(), type.end(), type.begin(),
                       [](unsigned char letter) { return std::toupper(letter); });
        throw LoadFailed(path + " holds tensor '" + stored.name + "' of type " + type +
                         ", which is not computed with; get the file with weights of another type");
    }
}

// The half of an autoencoder that reads pictures. Files may lack it; then pictures cannot be handed in.
bool is_of_picture_encoder(const std::string &name) {
    return starts_with(name, "first_stage_model.encoder.") || starts_with(name, "first_stage_model.quant_conv.") ||
           starts_with(name, "first_stage_model.conv1.") || starts_with(name, "tae.encoder.");
}

void check_complete(const std::map<std::string, ggml_tensor *> &tensors, const std::set<std::string> &present,
                    bool encodes) {
    std::string missing;
    int count = 0;
    for (const auto &[name, tensor] : tensors) {
        const bool optional =
            name.find("alphas_cumprod") != std::string::npos || (!encodes && is_of_picture_encoder(name)) ||
            // the last layer of the SDXL encoder is never used, and often left out of files
            name.find("cond_stage_model.transformer.text_model.encoder.layers.23") != std::string::npos;
        if (!optional && present.count(name) == 0) {
            missing += (count < 3 ? (count > 0 ? ", '" : "'") + name + "'" : "");
            ++count;
        }
    }
    if (count > 0) {
        throw LoadFailed(std::to_string(count) + (count == 1 ? " tensor is" : " tensors are") +
                         " missing from the files: " + missing + (count > 3 ? ", ..." : ""));
    }
}

bool is_ignored(const std::string &name, const std::set<std::string> &ignored) {
    return std::any_of(ignored.begin(), ignored.end(),
                       [&](const std::string &prefix) { return name.compare(0, prefix.size(), prefix) == 0; });
}

bool is_table(const std::string &name) {
    return ends_with(name, ".embed_tokens.weight") || ends_with(name, ".shared.weight") ||
           ends_with(name, ".token_embedding.weight");
}

// Whether the engine looks rows up in a quantized tensor as it is.
bool is_looked_up(ggml_type type) {
    return type == GGML_TYPE_Q8_0 || type == GGML_TYPE_Q5_1 || type == GGML_TYPE_Q5_0 || type == GGML_TYPE_Q4_1 ||
           type == GGML_TYPE_Q4_0;
}

}  // namespace

LoadPlan::LoadPlan() { current_plan = this; }
LoadPlan::~LoadPlan() { current_plan = nullptr; }
LoadPlan *LoadPlan::current() { return current_plan; }

namespace {

// The engine makes as many blocks as the largest number in a name says, before it looks whether they are there.
void check_numbers(const String2TensorStorage &stored) {
    for (const auto &[name, tensor] : stored) {
        for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
            const size_t end = std::min(name.find_first_not_of("0123456789", dot + 1), name.size());
            const std::string number = name.substr(dot + 1, end - dot - 1);
            if (number.size() > 6 || (!number.empty() && std::stoul(number) > stored.size() + 1000)) {
                throw LoadFailed("the name of tensor '" + name.substr(0, 200) + "' has a number that no model has");
            }
        }
    }
}

}  // namespace

namespace {

// The name without the first of these that it begins with.
std::string without(const std::string &name, std::initializer_list<const char *> starts) {
    for (const std::string start : starts) {
        if (starts_with(name, start)) {
            return name.substr(start.size());
        }
    }
    return name;
}

const std::string t5 = "text_encoders.t5xxl.";

// The name without what it begins with where ComfyUI has a Qwen ("text_encoders.qwen3_4b.transformer.").
std::string without_qwen(const std::string &name) {
    const size_t dot =
        starts_with(name, "text_encoders.qwen") ? name.find('.', sizeof "text_encoders.") : std::string::npos;
    return without(dot == std::string::npos ? without(name, {"text_encoders.llm."}) : name.substr(dot + 1),
                   {"transformer."});
}

// Of a tensor in a file with one part: the engine has put `prefix` before its name. The checkpoints' prefixes are those
// of recognition/__init__.py.
std::string name_in_part(const std::string &name, const std::string &prefix) {
    const std::string own = name.substr(prefix.size());
    if (prefix == "vae." || prefix == "tae.") {
        return prefix + without(own, {"first_stage_model.", "vae.", "tae."});
    }
    if (prefix == "text_encoders.llm.") {
        return prefix + without_qwen(own);
    }
    if (!ends_with(prefix, "transformer.")) {
        return name;
    }
    return prefix + without(without(own, {"conditioner.embedders.0.", "conditioner.embedders.1.", "cond_stage_model.1.",
                                          "cond_stage_model.", "text_encoders.clip_l.", "text_encoders.clip_g.",
                                          "text_encoders.t5xxl."}),
                            {"transformer."});
}

// Of a tensor in a whole checkpoint.
std::string name_in_checkpoint(const std::string &name) {
    if (starts_with(name, "text_encoders.qwen") || starts_with(name, "text_encoders.llm.")) {
        return "text_encoders.llm." + without_qwen(name);
    }
    for (const std::string start : {"conditioner.embedders.0.", "conditioner.embedders.1.", "cond_stage_model.1.",
                                    "cond_stage_model.", "text_encoders.clip_l.", "text_encoders.clip_g."}) {
        const std::string own = without(name, {start.c_str()});
        if (own.size() < name.size() && (starts_with(own, "text_model.") || starts_with(own, "text_projection."))) {
            return start + "transformer." + own;
        }
    }
    return starts_with(name, t5) ? t5 + "transformer." + without(name.substr(t5.size()), {"transformer."}) : name;
}

// What the names of a checkpoint's part begin with that a file with this prefix takes the place of.
std::vector<std::string> places_of(const std::string &prefix) {
    if (prefix == "vae.") {
        return {"vae.", "first_stage_model."};
    }
    if (prefix == "cond_stage_model.transformer.") {
        return {prefix, "cond_stage_model.model.", "conditioner.embedders.0."};
    }
    if (prefix == "cond_stage_model.1.transformer.") {
        return {"cond_stage_model.1.", "conditioner.embedders.1."};
    }
    if (!starts_with(prefix, "text_encoders.")) {
        return {};
    }
    return {prefix.substr(0, prefix.find('.', sizeof "text_encoders.") + 1)};
}

}  // namespace

bool PlanningLoader::init_from_file(const std::string &path, const std::string &prefix) {
    String2TensorStorage file;
    std::swap(file, tensor_storage_map);
    const std::string *arrangement = ArrangedFiles::find(path);
    bool read = true;
    if (arrangement != nullptr) {
        take_arranged(*arrangement, prefix);
    } else {
        read = ::ModelLoader::init_from_file(path, prefix);
    }
    std::swap(file, tensor_storage_map);
    // A part of a checkpoint goes as a whole: layers that are left of it would count as those of the part that replaces it.
    for (const std::string &place : places_of(prefix)) {
        for (auto stored = tensor_storage_map.begin(); stored != tensor_storage_map.end();) {
            stored = starts_with(stored->first, place) ? tensor_storage_map.erase(stored) : std::next(stored);
        }
    }
    const std::string table = t5 + "transformer.shared.weight", copy = t5 + "transformer.encoder.embed_tokens.weight";
    for (auto &[name, stored] : file) {
        stored.name = prefix.empty() ? name_in_checkpoint(name) : name_in_part(name, prefix);
        // T5 has its table of words under two names, and some files have it under the second alone.
        if (stored.name == copy && file.count(table) == 0) {
            stored.name = table;
        }
        add_tensor_storage(stored);
    }
    return read;
}

void PlanningLoader::take_arranged(const std::string &text, const std::string &prefix) {
    for (ArrangedTensor &tensor : read_arrangement(text)) {
        TensorStorage &whole = tensor.whole;
        if (is_unused_tensor(whole.name)) {
            continue;
        }
        whole.name = starts_with(whole.name, prefix) ? whole.name : prefix + whole.name;
        whole.storage_key = std::to_string(arranged_.size());
        add_tensor_storage(whole);
        arranged_.push_back(std::move(tensor));
    }
}

void PlanningLoader::convert_tensors_name() {
    check_numbers(tensor_storage_map);
    ::ModelLoader::convert_tensors_name();
    if (switched_off()) {
        return;
    }
    for (auto &[name, stored] : tensor_storage_map) {
        if (is_table(name) && ggml_is_quantized(stored.type) && !is_looked_up(stored.type)) {
            stored.expected_type = GGML_TYPE_Q8_0;
        }
    }
}

ArrangedTensor PlanningLoader::stored_rows(const TensorStorage &stored,
                                           const std::vector<std::unique_ptr<WeightFile>> &files) const {
    if (!stored.storage_key.empty()) {
        ArrangedTensor tensor = arranged_.at(std::stoul(stored.storage_key));
        for (StoredRows &rows : tensor.rows) {
            rows.stored.name = stored.name;
        }
        return tensor;
    }
    const WeightFile &file = *files[stored.file_index];
    const uint64_t size = file.size(), bytes = static_cast<uint64_t>(stored.nbytes_to_read());
    if (stored.offset > size || bytes > size - stored.offset) {
        throw LoadFailed(file.path() + " is truncated: tensor '" + stored.name + "' ends " +
                         std::to_string(stored.offset + bytes - size) + " bytes past the end of the file");
    }
    return {stored, file.identity(), {{stored, file.path(), file.identity()}}};
}

bool PlanningLoader::load_tensors(std::map<std::string, ggml_tensor *> &tensors, std::set<std::string> ignored,
                                  int /*threads*/, bool /*use_mmap*/) {
    LoadPlan *plan = LoadPlan::current();
    if (plan == nullptr) {
        throw LoadFailed("weights are loaded outside of a plan");
    }
    std::vector<std::unique_ptr<WeightFile>> files;
    for (const std::string &path : file_paths_) {
        files.push_back(std::make_unique<WeightFile>(path));
    }
    std::set<std::string> present;
    for (const auto &[name, stored] : tensor_storage_map) {
        if (is_unused_tensor(name)) {
            continue;
        }
        if (stored.index_in_zip >= 0) {
            throw LoadFailed("zipped checkpoints are not read; convert it to safetensors or GGUF");
        }
        present.insert(name);
        const auto target = tensors.find(name);
        if (target == tensors.end()) {
            if (!is_ignored(name, ignored)) {
                LOG_INFO("unknown tensor '%s' in model file", name.c_str());
            }
            continue;
        }
        check_shape(stored, target->second);
        ArrangedTensor tensor = stored_rows(stored, files);
        for (const StoredRows &rows : tensor.rows) {
            check_type(rows.stored, rows.file);
            check_rows(rows, target->second);
        }
        plan->weights.push_back({stored, target->second, std::move(tensor.identity), std::move(tensor.rows)});
    }
    plan->reads_pictures = std::any_of(present.begin(), present.end(), [](const std::string &name) {
        return starts_with(name, "first_stage_model.encoder.") || starts_with(name, "tae.encoder.");
    });
    check_complete(tensors, present, plan->reads_pictures);
    return true;
}

}  // namespace sdpy
