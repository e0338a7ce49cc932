// Finds the page of a file, and the small readings that pages share.
#include "family.h"

#include <algorithm>
#include <utility>

#include "freehold/base/error.h"
#include "freehold/models/decoder.h"

namespace freehold {
namespace {

bool calls_it(const Family& f, const ModelFiles& files) {
    const auto names = files.container() == Container::hf ? f.hf_names : f.gguf_names;
    return std::find(names.begin(), names.end(), files.architecture()) != names.end();
}

constexpr std::pair<std::string_view, Activation> kActivations[] = {
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"relu", Activation::relu},
    {"gelu", Activation::gelu_erf},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"quick_gelu", Activation::quick_gelu},
};

}  // namespace

const Family& family_of(const ModelFiles& files) {
    for (const Family* f : all_families()) {
        if (calls_it(*f, files)) return *f;
    }
    std::string known;
    for (const std::string_view name : known_architectures()) known += (known.empty() ? "" : ", ") + std::string(name);
    if (files.architecture().empty()) {
        throw Error(
            ErrorKind::unsupported, files.path().string() + " does not say which architecture it has.",
            "A GGUF file needs the key general.architecture, a Hugging Face folder a config.json with model_type.");
    }
    throw Error(
        ErrorKind::unsupported,
        files.path().string() + " has architecture \"" + files.architecture() + "\", which this build does not know.",
        "Known are: " + known + ".");
}

std::vector<std::string_view> known_architectures() {
    std::vector<std::string_view> names;
    for (const Family* f : all_families()) names.push_back(f->name);
    return names;
}

DecoderSpec read_spec(const ModelFiles& files) {
    DecoderSpec spec = family_of(files).read(files);
    settle_context(spec, 0);
    check_spec(spec, files.path().string());
    return spec;
}

Activation activation_named(const MetaReader& meta, std::string_view key, std::string_view otherwise) {
    const std::string name = meta.text(key).value_or(std::string(otherwise));
    for (const auto& [text, activation] : kActivations) {
        if (text == name) return activation;
    }
    meta.not_handled(key, "is \"" + name + "\"");
}

int vocab_of(const MetaReader& meta, std::string_view key, std::string_view embedding_ending) {
    if (meta.has(key)) return meta.whole(key, 1, 1 << 24);
    for (const auto& [name, t] : meta.files().tensors()) {
        if (!name.ends_with(embedding_ending) || t.shape().rank() != 2) continue;
        return static_cast<int>(std::min<std::int64_t>(t.shape()[0], (1 << 24) + 1));
    }
    meta.refuse(key,
                "is missing, and so is a tensor '..." + std::string(embedding_ending) + "' whose rows would tell it");
}

DecoderSpec gguf_sizes(const MetaReader& meta) {
    DecoderSpec s;
    s.n_layers = meta.whole("block_count", 1, 4096);
    s.d_model = meta.whole("embedding_length", 1, 1 << 17);
    s.d_ff = meta.whole("feed_forward_length", 1, 1 << 20);
    s.n_heads = meta.whole("attention.head_count", 1, 1024);
    s.vocab = vocab_of(meta, "vocab_size", "token_embd.weight");
    s.tied_head = meta.files().find_tensor("output.weight") == nullptr;
    return s;
}

}  // namespace freehold
