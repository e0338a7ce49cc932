// A Hugging Face model folder as it is: config.json, weights (safetensors, or what torch.save wrote) in one file or in
// shards with an index, and the texts beside.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/log.h"
#include "freehold/base/printable.h"
#include "safetensors.h"
#include "torch_file.h"

namespace freehold {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxJson = 64U << 20;
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kTorchIndex = "pytorch_model.bin.index.json";
constexpr const char* kSideJson[] = {"generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
                                     "added_tokens.json",      "chat_template.json",    "sentence_bert_config.json",
                                     "1_Pooling/config.json"};

ValueMap read_json_map(const fs::path& path) {
    const Value value = parse_json(read_text(path, kMaxJson), path.string());
    const auto* map = value.get<ValueMap>();
    if (map == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} holds no JSON object.", path.string()), kDamagedHint);
    return *map;
}

// A shard is a plain file name: what has a path in it could climb out of the folder.
void check_shard_name(std::string_view tensor, std::string_view file, const fs::path& index) {
    const bool plain = !file.empty() && file.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
                       !file.starts_with('.') &&
                       (file.ends_with(".safetensors") || (index.filename() == kTorchIndex && file.ends_with(".bin")));
    if (plain) return;
    throw Error(ErrorKind::bad_file,
                fmt::format("{} puts tensor \"{}\" into \"{}\", which is not the name of a {} file in this folder.",
                            index.string(), printable(tensor), printable(file),
                            index.filename() == kTorchIndex ? "torch" : "safetensors"),
                "Do not use this folder unless you know who made it: an honest index names files beside itself.");
}

void add_file(ModelFilesBuilder& builder, const fs::path& path,
              const std::map<std::string, std::string, std::less<>>* homes) {
    const std::uint32_t index = builder.map(path);
    if (looks_like_torch(builder.bytes(index))) return add_torch_file(builder, index, homes);
    if (path.extension() == ".bin")
        throw Error(ErrorKind::bad_file, fmt::format("{} is no file that torch.save wrote.", path.string()),
                    kDamagedHint);
    SafetensorsFile file = parse_safetensors(builder.bytes(index), path.filename().string());
    if (!file.metadata.empty()) builder.set_side_json("__metadata__", std::move(file.metadata));
    for (TensorEntry& t : file.tensors) {
        if (homes != nullptr) {
            const auto home = homes->find(t.name);
            if (home == homes->end() || home->second != path.filename().string()) {
                log_warn(fmt::format("{}: tensor \"{}\" is not in the index for this file and is left out.",
                                     path.string(), printable(t.name)));
                continue;
            }
        }
        t.file = index;
        builder.add(std::move(t));
    }
}

void add_shards(ModelFilesBuilder& builder, const fs::path& folder, const char* index_name) {
    const fs::path index_path = folder / index_name;
    const ValueMap index = read_json_map(index_path);
    const Value* value = index.find("weight_map");
    const auto* map = value == nullptr ? nullptr : value->get<ValueMap>();
    if (map == nullptr) {
        throw Error(ErrorKind::bad_file, fmt::format("{} has no object \"weight_map\".", index_path.string()),
                    kDamagedHint);
    }
    std::map<std::string, std::string, std::less<>> homes;
    std::set<std::string> shards;
    for (const ValueEntry& entry : *map) {
        const auto file = entry.value.as_string();
        check_shard_name(entry.key, file.value_or(""), index_path);
        homes.emplace(entry.key, *file);
        shards.emplace(*file);
    }
    for (const std::string& shard : shards) {
        if (!fs::exists(folder / shard)) {
            throw Error(ErrorKind::not_found,
                        fmt::format("{} names {}, which is not in the folder.", index_path.string(), printable(shard)),
                        "Get all files of the model into one folder.");
        }
        add_file(builder, folder / shard, &homes);
    }
    for (const auto& [tensor, shard] : homes) {
        if (!builder.has_tensor(tensor)) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} puts tensor \"{}\" into {}, but it is not there.", index_path.string(),
                                    printable(tensor), printable(shard)),
                        "Index and files do not belong together: get them again from one place.");
        }
    }
}

std::vector<fs::path> files_with(const fs::path& folder, std::string_view extension) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == extension && !entry.path().filename().string().starts_with('.'))
            found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

// What training leaves beside the weights; pickles too, of other things.
bool is_of_training(const fs::path& path) {
    const std::string name = path.filename().string();
    return name == "training_args.bin" || name == "optimizer.bin" || name == "optimizer.pt" || name == "scheduler.pt" ||
           name == "scaler.pt" || name.starts_with("rng_state");
}

// Files of weights that torch wrote, by their first bytes (llama2.c's checkpoints are called .bin too).
std::vector<fs::path> torch_files(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const char* extension : {".bin", ".pt", ".pth"}) {
        for (const fs::path& path : files_with(folder, extension)) {
            if (is_of_training(path)) continue;
            const auto mapped = MappedFile::open(path);
            if (looks_like_torch(mapped->bytes())) found.push_back(path);
        }
    }
    return found;
}

// Is the file a shard of this index?
bool in_index(const fs::path& folder, const char* index_name, const std::string& file) {
    if (!fs::exists(folder / index_name)) return false;
    const ValueMap index = read_json_map(folder / index_name);
    const Value* value = index.find("weight_map");
    const auto* map = value == nullptr ? nullptr : value->get<ValueMap>();
    return map != nullptr &&
           std::any_of(map->begin(), map->end(), [&](const ValueEntry& e) { return e.value.as_string() == file; });
}

void add_weights(ModelFilesBuilder& builder, const fs::path& folder, const fs::path& weights) {
    if (!weights.empty()) {
        // A shard means the whole model; any other file stands for itself.
        const std::string name = weights.filename().string();
        for (const char* index : {kIndex, kTorchIndex}) {
            if (name != "model.safetensors" && in_index(folder, index, name)) return add_shards(builder, folder, index);
        }
        return add_file(builder, weights, nullptr);
    }
    if (fs::exists(folder / "model.safetensors")) return add_file(builder, folder / "model.safetensors", nullptr);
    if (fs::exists(folder / kIndex)) return add_shards(builder, folder, kIndex);
    auto found = files_with(folder, ".safetensors");
    if (found.empty()) {
        if (fs::exists(folder / "pytorch_model.bin")) return add_file(builder, folder / "pytorch_model.bin", nullptr);
        if (fs::exists(folder / kTorchIndex)) return add_shards(builder, folder, kTorchIndex);
        found = torch_files(folder);
    }
    if (found.size() == 1) return add_file(builder, found[0], nullptr);
    if (found.size() > 1) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} holds {} files of weights but no index, so it is not known which belong together.",
                                folder.string(), found.size()),
                    fmt::format("Get {} too, or name the one file that you mean.",
                                found[0].extension() == ".safetensors" ? kIndex : kTorchIndex));
    }
}

// A folder without safetensors may hold a model in one file, whatever texts lie beside it.
std::shared_ptr<const ModelFiles> open_other_container(const fs::path& folder) {
    auto models = files_with(folder, ".gguf");
    // The parts of one split model count once.
    std::erase_if(models, [](const fs::path& p) {
        const std::string name = p.filename().string();
        const std::size_t of = name.rfind("-of-");
        return of != std::string::npos && of >= 6 && name.substr(of - 6, 6) != "-00001";
    });
    if (models.size() == 1) return open_gguf(models[0]);
    if (models.size() > 1) {
        throw Error(
            ErrorKind::usage,
            fmt::format("{} holds {} GGUF models; which one is meant is not clear.", folder.string(), models.size()),
            fmt::format("Name the file, for example {}.", models[0].string()));
    }
    auto checkpoints = files_with(folder, ".bin");
    std::erase_if(checkpoints, [](const fs::path& p) {
        const auto mapped = MappedFile::open(p);
        return !looks_like_llama2c(mapped->bytes(), mapped->bytes().size());
    });
    return checkpoints.size() == 1 ? open_llama2c(checkpoints[0]) : nullptr;
}

}  // namespace

std::shared_ptr<const ModelFiles> open_hf_folder(const fs::path& folder, const fs::path& weights) {
    const bool has_config = fs::exists(folder / "config.json");
    const bool has_tokenizer = fs::exists(folder / "tokenizer.json") || fs::exists(folder / "tokenizer.model") ||
                               fs::exists(folder / "spiece.model");
    const bool has_weights = !weights.empty() || fs::exists(folder / kIndex) || fs::exists(folder / kTorchIndex) ||
                             !files_with(folder, ".safetensors").empty() || !torch_files(folder).empty();
    if (!has_weights) {
        if (auto other = open_other_container(folder)) return other;
    }
    if (!has_config && !has_tokenizer && !has_weights) {
        throw Error(
            ErrorKind::not_found,
            fmt::format(
                "{} holds no model: neither config.json nor tokenizer.json nor safetensors, torch or GGUF files.",
                folder.string()),
            "Name the folder in which the model's files lie, or one file.");
    }
    ModelFilesBuilder builder(Container::hf, folder);
    if (has_config) {
        builder.meta() = read_json_map(folder / "config.json");
        builder.list_file(folder / "config.json");
        if (const Value* type = builder.meta().find("model_type"); type != nullptr && type->as_string()) {
            builder.set_architecture(std::string(*type->as_string()));
        }
    }
    for (const char* name : kSideJson) {
        if (!fs::exists(folder / name)) continue;
        builder.set_side_json(name, read_json_map(folder / name));
        builder.list_file(folder / name);
    }
    for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "source.spm", "target.spm",
                             "chat_template.jinja", "modules.json"}) {
        if (fs::exists(folder / name)) builder.list_file(folder / name);
    }
    if (fs::exists(folder / "source.spm")) {  // elsewhere tokenizer.json has what these say
        for (const char* name : {"vocab.json", "target_vocab.json"})
            if (fs::exists(folder / name)) builder.list_file(folder / name);
    }
    add_weights(builder, folder, weights);
    return builder.finish();
}

}  // namespace freehold
