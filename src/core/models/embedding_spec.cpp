// Reads sentence-transformers' files, or the keys of a GGUF file, for how vectors are made.
#include "freehold/models/embedding_spec.h"

#include <algorithm>
#include <optional>

#include "freehold/base/error.h"
#include "meta_reader.h"

namespace freehold {
namespace {

[[noreturn]] void not_computed(const ModelFiles& files, const std::string& what) {
    throw Error(ErrorKind::unsupported,
                files.path().string() + " makes its vectors with " + what + ", which this build does not compute.",
                "Use another embedding model, or a newer Freehold.");
}

// What stands behind the transformer: pooling and normalisation are computed, anything else would change the vectors.
void read_modules(const ModelFiles& files, const std::string& text, EmbeddingSpec& out) {
    const Value modules = parse_json(text, "modules.json of " + files.path().string());
    out.normalise = false;
    for (std::size_t i = 0; i < modules.size(); ++i) {
        const Value item = modules.at(i);
        const auto* const map = item.get<ValueMap>();
        const Value* const type = map == nullptr ? nullptr : map->find("type");
        if (type == nullptr || !type->as_string()) {
            throw Error(ErrorKind::bad_file,
                        "modules.json of " + files.path().string() + ": entry " + std::to_string(i) + " has no type.",
                        "The file is damaged; fetch the model again.");
        }
        const std::string_view name = *type->as_string();
        const std::string_view kind = name.substr(name.rfind('.') + 1);
        if (kind == "Normalize")
            out.normalise = true;
        else if (kind != "Transformer" && kind != "Pooling")
            not_computed(files, "the module \"" + std::string(kind) + "\"");
    }
}

void read_pooling(const ModelFiles& files, const ValueMap& config, EmbeddingSpec& out) {
    constexpr std::string_view kMode = "pooling_mode";
    std::optional<Pooling> found;
    int modes = 0;
    const auto use = [&](std::string_view name) {
        ++modes;
        if (name == "mean_tokens" || name == "mean")
            found = Pooling::mean;
        else if (name == "cls_token" || name == "cls")
            found = Pooling::cls;
        else if (name == "lasttoken")
            found = Pooling::last;
        else
            not_computed(files, "the pooling \"" + std::string(name) + "\"");
    };
    for (const ValueEntry& e : config) {
        const std::string_view key = e.key;
        if (key == kMode && e.value.as_string())
            use(*e.value.as_string());
        else if (key.starts_with(kMode) && key.size() > kMode.size() && e.value.as_bool().value_or(false))
            use(key.substr(kMode.size() + 1));
    }
    if (modes > 1) not_computed(files, "several poolings one behind the other");
    if (!found) return;
    out.pooling = *found;
    out.pooling_known = true;
}

std::optional<int> length_in(const ModelFiles& files, const char* file, const char* key) {
    const ValueMap* const map = files.side_json(file);
    const Value* const v = map == nullptr ? nullptr : map->find(key);
    const auto n = v == nullptr ? std::nullopt : v->as_int();  // tokenizers write 1e30 where there is no bound
    return n && *n >= 3 && *n < 1 << 24 ? std::optional(static_cast<int>(*n)) : std::nullopt;
}

void read_folder(const ModelFiles& files, EmbeddingSpec& out) {
    if (const auto modules = files.side_text("modules.json")) read_modules(files, *modules, out);
    if (const ValueMap* const pooling = files.side_json("1_Pooling/config.json")) read_pooling(files, *pooling, out);
    auto longest = length_in(files, "sentence_bert_config.json", "max_seq_length");
    if (!longest) longest = length_in(files, "tokenizer_config.json", "model_max_length");
    if (longest) out.max_tokens = std::min(out.max_tokens, *longest);
}

// 0 none, 1 mean, 2 cls, 3 last, 4 rank: the numbers of the GGUF key.
void read_gguf(const ModelFiles& files, EmbeddingSpec& out) {
    const MetaReader m(files, files.architecture() + ".");
    if (!m.has("pooling_type")) return;
    switch (m.whole("pooling_type", 0, 1 << 16)) {
        case 0:
            return;  // rows as they are: what becomes of them is not said
        case 1:
            out.pooling = Pooling::mean;
            break;
        case 2:
        case 4:  // a classifier reads the first row
            out.pooling = Pooling::cls;
            break;
        case 3:
            out.pooling = Pooling::last;
            break;
        default:
            m.not_handled("pooling_type", "is " + std::to_string(m.whole("pooling_type", 0, 1 << 16)));
    }
    out.pooling_known = true;
}

}  // namespace

std::string_view pooling_name(Pooling pooling) noexcept {
    return pooling == Pooling::mean ? "mean" : pooling == Pooling::cls ? "cls" : "last";
}

EmbeddingSpec read_embedding_spec(const ModelFiles& files, const DecoderSpec& spec) {
    EmbeddingSpec out;
    out.pooling = spec.causal ? Pooling::last : Pooling::mean;
    out.dimensions = spec.d_model;
    out.max_tokens = spec.context;
    if (files.container() == Container::hf)
        read_folder(files, out);
    else
        read_gguf(files, out);
    return out;
}

}  // namespace freehold
