// Reads adapters: which tensors form a pair, and by what it is multiplied.
#include "freehold/formats/adapter_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "adapter_config.h"
#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "safetensors.h"

namespace freehold {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kWeights = "adapter_model.safetensors";
constexpr std::uint64_t kMaxConfig = 16U << 20;
constexpr std::int64_t kMaxRank = 4096;
constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr const char* kMergeHint = "Merge it into its model with PEFT (merge_and_unload) and use the merged model.";

// The folder of a PEFT adapter that `path` means: itself, or that of a file in it.
std::optional<fs::path> peft_folder(const fs::path& path) {
    std::error_code ec;
    if (fs::is_directory(path, ec)) return fs::exists(path / kConfig, ec) ? std::optional(path) : std::nullopt;
    const std::string name = path.filename().string();
    if (name != kConfig && name != kWeights) return std::nullopt;
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    return fs::exists(folder / kConfig, ec) ? std::optional(folder) : std::nullopt;
}

// A folder with one GGUF file stands for that file, as with models.
fs::path gguf_of(const fs::path& path) {
    std::error_code ec;
    if (!fs::is_directory(path, ec)) return path;
    fs::path found;
    for (const auto& entry : fs::directory_iterator(path, ec)) {
        if (entry.path().extension() != ".gguf") continue;
        if (!found.empty()) return {};
        found = entry.path();
    }
    return found;
}

std::string text_key(const ValueMap& meta, std::string_view key) {
    const Value* v = meta.find(key);
    return v != nullptr && v->as_string() ? std::string(*v->as_string()) : std::string{};
}

bool is_gguf_adapter(const ModelFiles& files) {
    return files.container() == Container::gguf && text_key(files.meta(), "general.type") == "adapter";
}

}  // namespace

class AdapterReader {
 public:
    std::shared_ptr<const AdapterFiles> peft(const fs::path& folder) {
        out_->form_ = AdapterForm::peft;
        const std::string config_name = (folder / kConfig).string();
        const Value value = parse_json(read_text(folder / kConfig, kMaxConfig), config_name);
        const auto* map = value.get<ValueMap>();
        if (map == nullptr)
            throw Error(ErrorKind::bad_file, fmt::format("{} holds no JSON object.", config_name), kDamagedHint);
        const AdapterConfig config(*map, config_name);
        if (!fs::exists(folder / kWeights)) {
            const bool pickle = fs::exists(folder / "adapter_model.bin");
            throw Error(pickle ? ErrorKind::unsupported : ErrorKind::not_found,
                        fmt::format("{} has no {}{}.", folder.string(), kWeights,
                                    pickle ? ", only a Python pickle, which can run code and is not opened" : ""),
                        "Save it with safe_serialization=True.");
        }
        ModelFilesBuilder builder(Container::hf, folder);
        const std::uint32_t file = builder.map(folder / kWeights);
        for (TensorEntry& t : parse_safetensors(builder.bytes(file), kWeights).tensors) {
            t.file = file;
            builder.add(std::move(t));
        }
        builder.list_file(folder / kConfig);
        builder.meta() = *map;
        out_->files_ = builder.finish();
        out_->base_ = config.base();
        for (const TensorEntry& t : out_->files_->entries()) peft_tensor(t);
        finish();
        for (auto& [module, pair] : out_->pairs_) pair.scale = config.scale_of(module, pair.a.shape()[0]);
        return out_;
    }

    std::shared_ptr<const AdapterFiles> gguf(std::shared_ptr<const ModelFiles> files) {
        out_->form_ = AdapterForm::gguf;
        out_->files_ = std::move(files);
        const ValueMap& meta = out_->files_->meta();
        const std::string name = out_->files_->path().string();
        const std::string type = text_key(meta, "adapter.type");
        if (type != "lora") {
            throw Error(
                ErrorKind::unsupported,
                fmt::format("{}: key \"adapter.type\" is \"{}\"; this build reads lora.", name, printable(type)));
        }
        if (meta.find("adapter.alora.invocation_tokens") != nullptr) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{}: key \"adapter.alora.invocation_tokens\": an adapter that begins at certain "
                                    "tokens is not handled.",
                                    name));
        }
        // Without the key, or with 0, pairs are added as they are.
        double alpha = 0;
        if (const Value* v = meta.find("adapter.lora.alpha")) {
            const auto d = v->as_double();
            if (!d || !std::isfinite(*d)) {
                throw Error(ErrorKind::bad_file,
                            fmt::format("{}: key \"adapter.lora.alpha\" is {}, which is no number.", name, to_json(*v)),
                            kDamagedHint);
            }
            alpha = *d;
        }
        out_->base_ = text_key(meta, "general.base_model.0.repo_url");
        if (out_->base_.empty()) out_->base_ = text_key(meta, "general.base_model.0.name");
        for (const TensorEntry& t : out_->files_->entries()) gguf_tensor(t);
        finish();
        for (auto& [module, pair] : out_->pairs_)
            pair.scale = alpha == 0 ? 1.0F : static_cast<float>(alpha / static_cast<double>(pair.a.shape()[0]));
        return out_;
    }

 private:
    [[nodiscard]] std::string place() const { return out_->files_->path().string(); }

    void peft_tensor(const TensorEntry& t) {
        std::string_view name = t.name;
        const auto refuse = [&](const char* why) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("Adapter {}: tensor \"{}\" {}.", place(), printable(t.name), why), kMergeHint);
        };
        if (name.find("lora_magnitude_vector") != std::string_view::npos)
            refuse("belongs to DoRA, which is not handled");
        if (name.find("lora_embedding_") != std::string_view::npos)
            refuse("changes an embedding, which is not handled");
        if (!name.starts_with(kPeftPrefix)) refuse("is not named as PEFT names the tensors of an adapter");
        name.remove_prefix(kPeftPrefix.size());
        for (const auto& [ending, first] :
             {std::pair{".lora_A.weight", true}, std::pair{".lora_B.weight", false},
              std::pair{".lora_A.default.weight", true}, std::pair{".lora_B.default.weight", false}}) {
            if (!name.ends_with(ending)) continue;
            name.remove_suffix(std::string_view(ending).size());
            return take(std::string(name), t, first);
        }
        refuse("is no half of a pair of low rank (a bias, or a module saved whole)");
    }

    void gguf_tensor(const TensorEntry& t) {
        const std::string_view name = t.name;
        for (const auto& [ending, first] : {std::pair{".weight.lora_a", true}, std::pair{".weight.lora_b", false}}) {
            if (!name.ends_with(ending)) continue;
            const std::string stem(name.substr(0, name.size() - std::string_view(ending).size()));
            if (stem == "token_embd") break;
            return take(stem, t, first);
        }
        throw Error(ErrorKind::unsupported,
                    fmt::format("Adapter {}: tensor \"{}\" is no half of a pair that changes a linear.", place(),
                                printable(t.name)),
                    kMergeHint);
    }

    void take(const std::string& stem, const TensorEntry& t, bool first) {
        AdapterPair& pair = out_->pairs_[stem];
        const Tensor& tensor = out_->files_->tensor(t.name);
        if (tensor.shape().rank() != 2) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("Adapter {}: tensor \"{}\" has shape {} where two dimensions are asked for.",
                                    place(), printable(t.name), tensor.shape().str()),
                        kDamagedHint);
        }
        if (!(first ? pair.a : pair.b).empty()) {
            throw Error(ErrorKind::bad_file, fmt::format("Adapter {}: \"{}\" comes twice.", place(), printable(t.name)),
                        kDamagedHint);
        }
        (first ? pair.a : pair.b) = tensor;
        (first ? pair.a_name : pair.b_name) = t.name;
    }

    void finish() const {
        if (out_->pairs_.empty())
            throw Error(ErrorKind::bad_file, fmt::format("Adapter {} holds no tensors.", place()), kDamagedHint);
        for (const auto& [stem, pair] : out_->pairs_) {
            if (pair.a.empty() || pair.b.empty()) {
                throw Error(ErrorKind::bad_file,
                            fmt::format("Adapter {}: \"{}\" has no other half.", place(),
                                        printable(pair.a.empty() ? pair.b_name : pair.a_name)),
                            kDamagedHint);
            }
            const std::int64_t rank = pair.a.shape()[0];
            if (rank != pair.b.shape()[1] || rank < 1 || rank > kMaxRank) {
                throw Error(ErrorKind::bad_file,
                            fmt::format("Adapter {}: \"{}\" has shape {} and \"{}\" {}; the first of the one and the "
                                        "last of the other are the rank, from 1 to {}.",
                                        place(), printable(pair.a_name), pair.a.shape().str(), printable(pair.b_name),
                                        pair.b.shape().str(), kMaxRank),
                            kDamagedHint);
            }
        }
    }

    std::shared_ptr<AdapterFiles> out_ = std::make_shared<AdapterFiles>();
};

bool AdapterFiles::is_one(const fs::path& path) noexcept {
    try {
        if (peft_folder(path)) return true;
        const fs::path file = gguf_of(path);
        if (file.empty() || file.extension() == ".json") return false;
        const auto mapped = MappedFile::open(file);
        const auto bytes = mapped->bytes();
        if (bytes.size() < 4 || std::string_view(reinterpret_cast<const char*>(bytes.data()), 4) != "GGUF")
            return false;
        return is_gguf_adapter(*ModelFiles::open(file));
    } catch (const std::exception&) {
        return false;
    }
}

std::shared_ptr<const AdapterFiles> AdapterFiles::open(const fs::path& path) {
    std::error_code ec;
    if (!fs::exists(path, ec))
        throw Error(ErrorKind::not_found, fmt::format("There is no adapter at {}.", path.string()),
                    "Name a folder that PEFT saved, or a GGUF file.");
    if (const auto folder = peft_folder(path)) return AdapterReader().peft(*folder);
    const fs::path file = gguf_of(path);
    if (!file.empty() && !(fs::is_regular_file(file, ec) && file.extension() == ".json")) {
        auto files = ModelFiles::open(file);
        if (is_gguf_adapter(*files)) return AdapterReader().gguf(std::move(files));
    }
    throw Error(ErrorKind::bad_file, fmt::format("{} holds no adapter.", path.string()),
                "An adapter is a folder with adapter_config.json and adapter_model.safetensors, or a GGUF file whose "
                "general.type is adapter.");
}

std::int64_t AdapterFiles::largest_rank() const noexcept {
    std::int64_t most = 0;
    for (const auto& [stem, pair] : pairs_) most = std::max(most, pair.a.shape()[0]);
    return most;
}

std::uint64_t AdapterFiles::n_params() const noexcept {
    std::uint64_t total = 0;
    for (const auto& [stem, pair] : pairs_)
        total +=
            static_cast<std::uint64_t>(pair.a.shape().numel()) + static_cast<std::uint64_t>(pair.b.shape().numel());
    return total;
}

std::string AdapterFiles::digest() const {
    Sha256 all;
    for (const fs::path& file : files_->files()) {
        const auto mapped = MappedFile::open(file);
        // Lengths keep the end of one file apart from the beginning of the next.
        const std::uint64_t size = mapped->bytes().size();
        all.update(std::as_bytes(std::span(&size, 1)));
        all.update(mapped->bytes());
    }
    return "sha256:" + all.hex();
}

}  // namespace freehold
