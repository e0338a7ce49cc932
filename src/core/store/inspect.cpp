// What the files of a model say about themselves, gathered for the record: counts by dtype, context, licence.
// A licence in the files (GGUF key, model card) weighs more than that of the package which carries them.
#include "inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/adapter_files.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/origin.h"
#include "layout.h"

namespace freehold::detail {
namespace fs = std::filesystem;
namespace {

std::string leaf_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

// `license:` in the front matter of a model card.
std::string card_licence(const fs::path& readme) {
    const std::string text = read_text(readme, 16 << 20);
    if (!text.starts_with("---")) return {};
    const std::size_t end = text.find("\n---", 3);
    std::size_t start = 0;
    while (start < std::min(end, text.size())) {
        const std::size_t stop = std::min(text.find('\n', start), text.size());
        std::string line = text.substr(start, stop - start);
        start = stop + 1;
        if (!line.starts_with("license:")) continue;
        line.erase(0, 8);
        std::erase_if(line, [](char c) { return c == ' ' || c == '"' || c == '\'' || c == '\r' || c == '\t'; });
        return line.size() <= 64 ? line : "";
    }
    return {};
}

std::uint64_t context_of(const ModelFiles& files) {
    for (const std::string& key :
         {files.architecture() + ".context_length", std::string("max_position_embeddings"),
          std::string("text_config.max_position_embeddings"), std::string("n_positions"), std::string("n_ctx")}) {
        const Value* value = find(files.meta(), key);
        const auto number = value == nullptr ? std::nullopt : value->as_int();
        if (number && *number > 0) return static_cast<std::uint64_t>(*number);
    }
    return 0;
}

void count_weights(const ModelFiles& files, ModelRecord& record) {
    std::map<DType, std::uint64_t> by_dtype;
    for (const auto& [name, tensor] : files.tensors()) {
        const auto n = static_cast<std::uint64_t>(tensor.shape().numel());
        record.parameters = checked_add(record.parameters, n).value_or(record.parameters);
        by_dtype[tensor.dtype()] = checked_add(by_dtype[tensor.dtype()], n).value_or(0);
    }
    std::uint64_t most = 0;
    for (const auto& [dtype, n] : by_dtype) {
        if (n <= most) continue;
        most = n;
        record.quantisation = std::string(dtype_name(dtype));
    }
}

void licence_from_card(const std::vector<FetchedFile>& files, ModelRecord& record) {
    for (const FetchedFile& file : files) {
        if (file.path != "README.md") continue;
        if (const std::string id = card_licence(file.at); !id.empty()) record.licence = classify_licence(id);
    }
}

void inspect_adapter(const std::vector<FetchedFile>& files, const fs::path& entry, ModelRecord& record) {
    const auto adapter = AdapterFiles::open(entry);
    record.architecture = adapter->architecture();
    record.container = adapter->form() == AdapterForm::peft ? "peft" : "gguf";
    record.parameters = adapter->n_params();
    record.quantisation = fmt::format("LoRA r{}", adapter->largest_rank());
    record.extra.set("kind", "adapter");
    record.extra.set("rank", adapter->largest_rank());
    if (!adapter->base().empty()) record.extra.set("base", adapter->base());
    licence_from_card(files, record);
}

}  // namespace

fs::path entry_point(const std::vector<FetchedFile>& files) {
    const FetchedFile* gguf = nullptr;
    for (const FetchedFile& file : files) {
        if (file.path.ends_with(".gguf") && (gguf == nullptr || file.path < gguf->path)) gguf = &file;
    }
    if (gguf != nullptr) return gguf->at;
    for (const FetchedFile& file : files)
        if (file.path == "config.json" || file.path == "adapter_config.json") return file.at.parent_path();
    for (const FetchedFile& file : files)
        if (file.path.ends_with(".bin") && !leaf_of(file.path).starts_with("tok")) return file.at;
    return files.empty() ? fs::path() : files.front().at;
}

void inspect(const std::vector<FetchedFile>& files, ModelRecord& record) {
    const fs::path entry = entry_point(files);
    if (AdapterFiles::is_one(entry)) return inspect_adapter(files, entry, record);
    const auto model = ModelFiles::open(entry);
    if (model->tensors().empty())
        throw Error(ErrorKind::bad_file, fmt::format("{} holds no weights, so it is no model.", entry.string()),
                    "Name the file or folder that has them.");
    record.architecture = model->architecture();
    record.container = container_name(model->container());
    record.context = context_of(*model);
    count_weights(*model, record);
    std::string licence;
    for (const FetchedFile& file : files)
        if (file.path == "README.md") licence = card_licence(file.at);
    if (const Value* key = find(model->meta(), "general.license"); key != nullptr && key->as_string())
        licence = std::string(*key->as_string());
    if (!licence.empty() && licence.size() <= 64) record.licence = classify_licence(licence);
    for (const auto& [key, kept] : {std::pair{kQuantisedFrom, "quantised_from"},
                                    {kConvertedFrom, "converted_from"},
                                    {kQuantisedBefore, "quantised_before"}}) {
        const Value* const said = model->meta().find(key);
        if (said == nullptr) continue;
        const std::string digests = digests_text(digests_in(said->as_string().value_or("")));
        if (!digests.empty()) record.extra.set(kept, digests);
    }
}

}  // namespace freehold::detail
