// Weights, checkpoints, optimiser states, tokenizers and metadata: by what the files declare, not by their endings.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/formats/model_files.h"
#include "look.h"

namespace freehold::openness {
namespace {

constexpr std::uint64_t kLongestHeader = 100ULL << 20;

std::string count_text(std::uint64_t n) {
    if (n >= 1'000'000'000) return fmt::format("{:.2f} B", static_cast<double>(n) / 1e9);
    if (n >= 1'000'000) return fmt::format("{:.1f} M", static_cast<double>(n) / 1e6);
    return fmt::format("{}", n);
}

// A folder or name that says "from during the training": checkpoint-500/, step1000, epoch_3.
bool is_checkpoint(const File& f) {
    for (std::size_t i = 0; i < f.tokens.size(); ++i) {
        for (const std::string_view word : {"checkpoint", "ckpt", "step", "iter", "epoch"}) {
            const std::string& t = f.tokens[i];
            if (!t.starts_with(word)) continue;
            const std::string_view rest = std::string_view(t).substr(word.size());
            const bool digits = !rest.empty() && rest.find_first_not_of("0123456789") == std::string_view::npos;
            const bool next = rest.empty() && i + 1 < f.tokens.size() &&
                              f.tokens[i + 1].find_first_not_of("0123456789") == std::string::npos;
            if (digits || next) return true;
        }
    }
    return f.has("checkpoints|intermediate");
}

Component role_of(const File& f) {
    if (f.base.starts_with("optim") || f.base_has("optimizer|optimiser")) return Component::optimiser_state;
    return is_checkpoint(f) ? Component::parameters_intermediate : Component::parameters_final;
}

void hollow(const File& f, Findings& out, std::string why) {
    out.add(role_of(f), f, Presence::hollow, Sureness::certain, std::move(why));
}

// The header of a safetensors file: its length, then JSON whose offsets must lie in the file.
void look_at_safetensors(const File& f, Findings& out) {
    const auto mapped = MappedFile::open(f.at);
    const auto bytes = mapped->bytes();
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < 8 && i < bytes.size(); ++i)
        length |= static_cast<std::uint64_t>(std::to_integer<unsigned>(bytes[i])) << (8 * i);
    if (bytes.size() < 8 || length > kLongestHeader || length > bytes.size() - 8)
        return hollow(f, out, "its header does not fit into the file");
    const Value root = parse_json({reinterpret_cast<const char*>(bytes.data()) + 8, length}, f.name);
    const auto* map = root.get<ValueMap>();
    if (map == nullptr) return hollow(f, out, "its header is no list of tensors");
    std::uint64_t tensors = 0, parameters = 0, end = 0;
    for (const auto& [name, value] : *map) {
        if (name == "__metadata__") continue;
        const auto* entry = value.get<ValueMap>();
        const Value* shape = entry != nullptr ? entry->find("shape") : nullptr;
        const Value* offsets = entry != nullptr ? entry->find("data_offsets") : nullptr;
        if (shape == nullptr || offsets == nullptr) return hollow(f, out, "its header is no list of tensors");
        std::uint64_t elements = 1;
        for (std::size_t i = 0; i < shape->size(); ++i) {
            const auto n = shape->at(i).as_int().value_or(0);
            elements =
                n < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(n), &elements) ? 0 : elements;
        }
        ++tensors;
        if (__builtin_add_overflow(parameters, elements, &parameters)) parameters = 0;
        end = std::max(end, static_cast<std::uint64_t>(std::max<std::int64_t>(offsets->at(1).as_int().value_or(0), 0)));
    }
    if (tensors == 0) return hollow(f, out, "it holds no tensor");
    if (end > bytes.size() - 8 - length) return hollow(f, out, "it ends before its last tensor");
    out.add(role_of(f), f, Presence::here, Sureness::certain,
            fmt::format("{} tensor{}, {} parameters{}", tensors, tensors == 1 ? "" : "s", count_text(parameters),
                        f.base.starts_with("adapter_model") ? ", an adapter: the weights of its base are others" : ""));
}

void look_at_gguf(const File& f, Findings& out) {
    const auto model = ModelFiles::open(f.at);
    std::uint64_t parameters = 0;
    for (const TensorEntry& t : model->entries()) {
        std::uint64_t elements = 1;
        for (const auto n : t.shape) elements *= static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0));
        parameters += elements;
    }
    if (model->entries().empty())
        hollow(f, out, "it holds no tensor");
    else
        out.add(role_of(f), f, Presence::here, Sureness::certain,
                fmt::format("{} tensors, {} parameters", model->entries().size(), count_text(parameters)));
    const ValueMap& meta = model->meta();
    if (!model->architecture().empty()) {
        out.add(Component::architecture_code, f, Presence::named, Sureness::certain,
                fmt::format("names the architecture \"{}\"; the code that builds it does not come along",
                            printable(model->architecture(), 60)),
                0, "general.architecture");
        out.add(Component::model_metadata, f, Presence::here, Sureness::certain, fmt::format("{} keys", meta.size()));
    }
    if (const Value* tokens = find(meta, "tokenizer.ggml.tokens"); tokens != nullptr && tokens->size() > 0)
        out.add(Component::tokenizer, f, Presence::here, Sureness::certain, fmt::format("{} tokens", tokens->size()), 0,
                "tokenizer.ggml.tokens");
    for (const auto& [key, value] : meta) {
        const auto text = value.as_string();
        if (!text || text->empty()) continue;
        const std::string words = printable(*text);
        if (key.starts_with("general.base_model.") && (key.ends_with(".name") || key.ends_with(".repo_url")))
            out.bases.push_back({words, fmt::format("{}, {}", f.name, key), "", false});
        if (key.starts_with("general.dataset.") && (key.ends_with(".name") || key.ends_with(".repo_url")))
            out.add(Component::datasets, f, Presence::pointed, Sureness::hint,
                    fmt::format("names the data set {}", words), 0, key);
    }
}

// PyTorch, NumPy, ONNX and Keras files are told by their first bytes; nothing in them is run.
void look_at_other(const File& f, Findings& out) {
    const auto mapped = MappedFile::open(f.at);
    const auto bytes = mapped->bytes();
    const auto starts = [&](std::string_view magic) {
        return bytes.size() >= magic.size() &&
               std::equal(magic.begin(), magic.end(), bytes.begin(), [](char c, std::byte b) {
                   return static_cast<unsigned char>(c) == std::to_integer<unsigned>(b);
               });
    };
    const bool known = starts("PK\x03\x04") || starts("\x80\x02") || starts("\x80\x04") || starts("\x89HDF") ||
                       starts("\x93NUMPY") || f.ext == ".onnx" || f.ext == ".msgpack";
    if (!known || bytes.size() < 256) return hollow(f, out, "it is too short, or its bytes are not of that kind");
    out.add(role_of(f), f, Presence::here, Sureness::likely,
            fmt::format("{} bytes; what is in it was not read", bytes.size()));
}

void look_at_config(const File& f, Findings& out) {
    Value root;
    try {
        root = parse_json(f.text, f.name);
    } catch (const Error&) {
        root = Value();  // told as hollow below
    }
    const auto* map = root.get<ValueMap>();
    if (map == nullptr || map->size() < 3) {
        out.add(Component::model_metadata, f, Presence::hollow, Sureness::certain,
                f.size == 0      ? "the file is empty"
                : map == nullptr ? "it is no JSON object"
                                 : "it says next to nothing");
        return;
    }
    const bool top = f.name.find('/') == std::string::npos;
    out.add(Component::model_metadata, f, Presence::here, Sureness::certain, fmt::format("{} keys", map->size()));
    if (!top) return;
    const Value* names = map->find("architectures");
    const Value* type = map->find("model_type");
    std::string name = names != nullptr && names->size() > 0 ? std::string(names->at(0).as_string().value_or("")) : "";
    if (name.empty() && type != nullptr) name = type->as_string().value_or("");
    if (!name.empty())
        out.add(Component::architecture_code, f, Presence::named, Sureness::certain,
                fmt::format("names the architecture \"{}\"; the code that builds it does not come along",
                            printable(name, 60)),
                0, names != nullptr ? "architectures" : "model_type");
    if (const Value* base = map->find("base_model_name_or_path"))
        if (const auto text = base->as_string(); text && !text->empty())
            out.bases.push_back({printable(*text), fmt::format("{}, base_model_name_or_path", f.name), "", false});
}

// "model.safetensors.index.json": are all the files here that it names?
void look_at_index(const File& f, const std::vector<File>& files, Findings& out) {
    const Value root = parse_json(f.text, f.name);
    const Value* map = root.get<ValueMap>() != nullptr ? root.get<ValueMap>()->find("weight_map") : nullptr;
    const auto* entries = map != nullptr ? map->get<ValueMap>() : nullptr;
    if (entries == nullptr) return;
    std::set<std::string> wanted;
    for (const auto& [name, value] : *entries) wanted.insert(lower(value.as_string().value_or("")));
    std::string absent;
    std::size_t missing = 0;
    for (const std::string& w : wanted) {
        if (std::ranges::any_of(files, [&](const File& o) { return o.base == w && !o.pointer && o.size > 0; }))
            continue;
        if (++missing <= 3) absent += (absent.empty() ? "" : ", ") + printable(w, 80);
    }
    if (missing == 0) return;
    for (const std::string& w : wanted) out.demote(Component::parameters_final, w, "others of its set are not here");
    out.add(Component::parameters_final, f, Presence::hollow, Sureness::certain,
            fmt::format("{} of the {} files of weights that it names are not here: {}{}", missing, wanted.size(),
                        absent, missing > 3 ? ", ..." : ""),
            0, "weight_map");
}

void look_at_tokenizer(const File& f, Findings& out) {
    bool good = false;
    if (f.base == "tokenizer.json") good = f.is_text && f.text.find("\"model\"") != std::string::npos;
    if (f.base == "vocab.txt" || f.base == "merges.txt") good = f.is_text && lines_of(f.text).size() > 10;
    if (f.base == "vocab.json") good = f.is_text && f.size > 100 && f.text.find(':') != std::string::npos;
    if (f.ext == ".model") good = f.size > 1000 && !f.pointer;
    out.add(Component::tokenizer, f, good ? Presence::here : Presence::hollow, Sureness::certain,
            good ? fmt::format("{} bytes", f.size) : "by its name a tokenizer, but it holds none");
}

void look_at(const File& f, const std::vector<File>& files, Findings& out) {
    constexpr auto kOther =
        std::to_array<std::string_view>({".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".keras", ".npz", ".msgpack"});
    constexpr auto kTokenizers =
        std::to_array<std::string_view>({"tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt",
                                         "spiece.model", "sentencepiece.bpe.model"});
    const bool weights = f.ext == ".safetensors" || f.ext == ".gguf" ||
                         std::ranges::find(kOther, std::string_view(f.ext)) != kOther.end();
    const bool data = f.has("data|dataset|datasets|corpus") && !f.base_has("model|pytorch_model|adapter_model");
    if (weights && !data) {
        if (f.size == 0) return hollow(f, out, "the file is empty");
        if (f.pointer) return hollow(f, out, "it is a pointer to a file that lies elsewhere (Git LFS)");
        if (f.ext == ".safetensors") return look_at_safetensors(f, out);
        if (f.ext == ".gguf") return look_at_gguf(f, out);
        const bool plain = f.base_has("training|args|scheduler|rng|random|scaler");
        if (!plain) look_at_other(f, out);
    } else if (f.base.ends_with(".index.json")) {
        look_at_index(f, files, out);
    } else if (f.base == "config.json" || f.base == "params.json" || f.base == "adapter_config.json") {
        if (!is_checkpoint(f)) look_at_config(f, out);
    } else if (std::ranges::find(kTokenizers, std::string_view(f.base)) != kTokenizers.end()) {
        look_at_tokenizer(f, out);
    }
}

}  // namespace

void find_weights(const std::vector<File>& files, Findings& out) {
    // Indexes come last: what they name must have been seen.
    std::vector<const File*> order;
    for (const File& f : files)
        if (!f.base.ends_with(".index.json")) order.push_back(&f);
    for (const File& f : files)
        if (f.base.ends_with(".index.json")) order.push_back(&f);
    for (const File* const one : order) {
        const File& f = *one;
        try {
            look_at(f, files, out);
        } catch (const Error& e) {
            if (f.ext == ".gguf" || f.ext == ".safetensors")
                hollow(f, out, fmt::format("it could not be read: {}", e.message()));
            else
                out.note(fmt::format("{} could not be read: {}", f.name, e.message()));
        }
    }
}

}  // namespace freehold::openness
