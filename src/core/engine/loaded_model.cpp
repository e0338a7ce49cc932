// Puts a model together from its files: weights, tokenizer, templates, recommended settings, ids that end an answer.
#include "freehold/engine/loaded_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <mutex>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/log.h"
#include "freehold/base/threads.h"

namespace freehold {

namespace {

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

std::optional<float> number(const ValueMap& map, std::string_view key) {
    const Value* v = find(map, key);
    if (v == nullptr) return std::nullopt;
    const auto d = v->as_double();
    if (!d || !std::isfinite(*d)) return std::nullopt;
    return static_cast<float>(*d);
}

// tokenizer_config.json's chat_template: a text, or a list of {name, template}.
void templates_from_config(const ValueMap& config, TemplateSources& out) {
    const Value* v = config.find("chat_template");
    if (v == nullptr) return;
    if (const auto text = v->as_string()) {
        out.emplace("default", *text);
        return;
    }
    for (std::size_t i = 0; i < v->size(); ++i) {
        const Value item = v->at(i);
        const auto* map = item.get<ValueMap>();
        if (map == nullptr) continue;
        const Value* name = map->find("name");
        const Value* source = map->find("template");
        if (name == nullptr || source == nullptr || !name->as_string() || !source->as_string()) continue;
        out.emplace(std::string(*name->as_string()), std::string(*source->as_string()));
    }
}

std::optional<std::string> text_if_there(const std::filesystem::path& path) {
    std::error_code ec;
    if (!std::filesystem::is_regular_file(path, ec)) return std::nullopt;
    return read_text(path);
}

// tokenizer_config.json beside a bare tokenizer file, parsed; empty when there is none.
std::optional<ValueMap> config_beside(const std::filesystem::path& path) {
    const auto text = text_if_there(path.parent_path() / "tokenizer_config.json");
    if (!text) return std::nullopt;
    const Value v = parse_json(*text, "tokenizer_config.json");
    const auto* map = v.get<ValueMap>();
    return map != nullptr ? std::optional(*map) : std::nullopt;
}

void drop(const std::filesystem::path& path) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
}

// Panels only save time: whatever is wrong with them, the model is loaded without.
std::shared_ptr<const PanelFile> kept_panels(const std::filesystem::path& panels, Profile profile) {
    const std::filesystem::path path = panel_file_path(panels, profile);
    try {
        return PanelFile::open(path, panels.filename().string());
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::not_found) return nullptr;
        log_info(error.message());
        if (error.kind() == ErrorKind::bad_file) drop(path);
        return nullptr;
    }
}

void add_ids(const Value* v, std::int32_t vocab, std::vector<Token>& ids) {
    if (v == nullptr) return;
    const auto add = [&](const Value& one) {
        const auto id = one.as_int();
        if (id && *id >= 0 && *id < vocab) ids.push_back(static_cast<Token>(*id));
    };
    add(*v);
    for (std::size_t i = 0; i < v->size(); ++i) add(v->at(i));
}

}  // namespace

std::filesystem::path panel_file_path(const std::filesystem::path& panels, Profile profile) {
    std::filesystem::path path = panels;
    path += fmt::format(".{}.panels", profile_name(profile));
    return path;
}

KvType default_kv(Profile profile) noexcept {
    return profile == Profile::f32 ? KvType::F32 : KvType::F16;
}

const char* kv_name(KvType type) noexcept {
    return type == KvType::F32 ? "f32" : type == KvType::F16 ? "f16" : "q8_0";
}

std::optional<KvType> kv_from_name(std::string_view name) noexcept {
    if (name == "f32") return KvType::F32;
    if (name == "f16") return KvType::F16;
    if (name == "q8_0") return KvType::Q8_0;
    return std::nullopt;
}

std::shared_ptr<const Tokenizer> read_tokenizer(const ModelFiles& files) {
    if (find(files.meta(), "tokenizer.ggml.tokens") != nullptr) return Tokenizer::from_gguf(files.meta());
    const ValueMap* config = files.side_json("tokenizer_config.json");
    if (const auto json = files.side_text("tokenizer.json")) return Tokenizer::from_hf(*json, config);
    for (const char* const name : {"tokenizer.model", "spiece.model"}) {
        if (const auto bytes = files.side_text(name)) return Tokenizer::from_sentencepiece(*bytes, config);
    }
    const auto source = files.side_text("source.spm"), vocab = files.side_text("vocab.json");
    if (!source || !vocab) return nullptr;
    const auto target = files.side_text("target_vocab.json");
    return Tokenizer::from_marian(*source, *vocab, target ? &*target : nullptr);
}

TemplateSources read_templates(const ModelFiles& files) {
    TemplateSources out;
    for (const ValueEntry& e : files.meta()) {
        const std::string_view key = e.key;
        const auto text = e.value.as_string();
        if (!text || !key.starts_with(kTemplateKey)) continue;
        if (key == kTemplateKey) out.emplace("default", *text);
        if (key.size() > kTemplateKey.size() + 1 && key[kTemplateKey.size()] == '.') {
            out.emplace(std::string(key.substr(kTemplateKey.size() + 1)), *text);
        }
    }
    // The file of its own is the newer form; where both are, transformers takes it too.
    if (const auto jinja = files.side_text("chat_template.jinja")) out.emplace("default", *jinja);
    if (const ValueMap* config = files.side_json("tokenizer_config.json")) templates_from_config(*config, out);
    return out;
}

GenerationDefaults read_generation_defaults(const ModelFiles& files) {
    GenerationDefaults d;
    if (const ValueMap* g = files.side_json("generation_config.json")) {
        if (const Value* v = g->find("do_sample")) d.do_sample = v->as_bool();
        d.temperature = number(*g, "temperature");
        d.top_p = number(*g, "top_p");
        d.min_p = number(*g, "min_p");
        d.typical_p = number(*g, "typical_p");
        d.repetition_penalty = number(*g, "repetition_penalty");
        if (const Value* v = g->find("top_k"); v != nullptr && v->as_int()) d.top_k = static_cast<int>(*v->as_int());
        return d;
    }
    const ValueMap& meta = files.meta();
    d.temperature = number(meta, "general.sampling.temp");
    d.top_p = number(meta, "general.sampling.top_p");
    d.min_p = number(meta, "general.sampling.min_p");
    d.repetition_penalty = number(meta, "general.sampling.penalty_repeat");
    if (const auto k = number(meta, "general.sampling.top_k")) d.top_k = static_cast<int>(*k);
    return d;
}

std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path) {
    const std::string extension = path.extension().string();
    std::shared_ptr<const Tokenizer> tokenizer;
    if (std::filesystem::is_regular_file(path) && extension == ".json") {
        const auto config = config_beside(path);
        tokenizer = Tokenizer::from_hf(read_text(path), config ? &*config : nullptr);
    } else if (std::filesystem::is_regular_file(path) && extension == ".model") {
        const auto config = config_beside(path);
        tokenizer = Tokenizer::from_sentencepiece(read_text(path), config ? &*config : nullptr);
    } else {
        tokenizer = read_tokenizer(*ModelFiles::open(path));
    }
    if (!tokenizer) {
        throw Error(ErrorKind::not_found, fmt::format("There is no tokenizer in {}.", path.string()),
                    "Name a GGUF file, a folder with tokenizer.json or tokenizer.model, or one of these files itself.");
    }
    return tokenizer;
}

TemplateSources open_templates(const std::filesystem::path& path) {
    TemplateSources out;
    const std::string extension = path.extension().string();
    if (std::filesystem::is_regular_file(path) && (extension == ".jinja" || extension == ".j2")) {
        out.emplace("default", read_text(path));
    } else if (std::filesystem::is_regular_file(path) && extension == ".json") {
        const Value v = parse_json(read_text(path), path.string());
        if (const auto* map = v.get<ValueMap>()) templates_from_config(*map, out);
    } else {
        out = read_templates(*ModelFiles::open(path));
    }
    if (out.empty()) {
        throw Error(ErrorKind::not_found, fmt::format("There is no chat template in {}.", path.string()),
                    "Name a .jinja file, a tokenizer_config.json, or a model that was made for chat.");
    }
    return out;
}

struct LoadedModel::Cache {
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<const ChatTemplate>, std::less<>> templates;
    std::shared_ptr<const TokenTrie> trie;
};

LoadedModel::LoadedModel() : cache_(std::make_unique<Cache>()) {}
LoadedModel::~LoadedModel() = default;

std::shared_ptr<const TokenTrie> LoadedModel::token_trie() const {
    const Tokenizer& tokenizer = need_tokenizer();
    const std::lock_guard lock(cache_->mutex);
    if (!cache_->trie) cache_->trie = make_token_trie(tokenizer, decoder_ ? decoder_->spec().vocab : 0);
    return cache_->trie;
}

std::shared_ptr<LoadedModel> LoadedModel::make(const std::filesystem::path& path, const LoadedModelOptions& options,
                                               ThreadPool& threads) {
    struct Made : LoadedModel {};  // lets make_shared reach the private constructor
    std::shared_ptr<LoadedModel> m = std::make_shared<Made>();
    m->files_ = ModelFiles::open(path);
    m->options_ = options;
    const Profile profile = options.profile.value_or(default_profile(*m->files_));
    m->kv_ = options.kv.value_or(default_kv(profile));
    // Tables of the tokenizer and weights have nothing to do with each other, and each takes a while.
    std::future<std::shared_ptr<const Tokenizer>> tokenizer =
        std::async(std::launch::async | std::launch::deferred, [&files = *m->files_] {
            set_float_environment();
            return read_tokenizer(files);
        });
    m->templates_ = read_templates(*m->files_);
    m->generation_ = read_generation_defaults(*m->files_);
    if (options.weights && !m->files_->tensors().empty()) {
        LoadOptions load;
        load.profile = profile;
        load.repack = options.repack;
        load.context = options.context;
        if (options.repack && !options.panels.empty()) load.panels = kept_panels(options.panels, profile);
        try {
            m->decoder_ = Decoder::load(m->files_, load, threads);
        } catch (const Error&) {
            static_cast<void>(tokenizer.get());  // where both are damaged, the tokenizer is told of
            throw;
        }
        if (load.panels && m->decoder_->mapped_panel_bytes() < m->decoder_->panel_bytes()) {
            // Made when weights were taken from the file in another way: of no use to the next start either.
            drop(panel_file_path(options.panels, profile));
        }
    }
    m->tokenizer_ = tokenizer.get();
    if (m->tokenizer_) m->stop_ids_ = m->tokenizer_->stop_ids();
    const std::int32_t vocab =
        m->decoder_ ? m->decoder_->spec().vocab : (m->tokenizer_ ? m->tokenizer_->size() : std::int32_t{0});
    if (const ValueMap* g = m->files_->side_json("generation_config.json")) {
        add_ids(g->find("eos_token_id"), vocab, m->stop_ids_);
    }
    std::sort(m->stop_ids_.begin(), m->stop_ids_.end());
    m->stop_ids_.erase(std::unique(m->stop_ids_.begin(), m->stop_ids_.end()), m->stop_ids_.end());
    return m;
}

std::shared_ptr<const LoadedModel> LoadedModel::open(const std::filesystem::path& path,
                                                     const LoadedModelOptions& options, ThreadPool& threads) {
    return make(path, options, threads);
}

const Decoder& LoadedModel::need_decoder() const {
    if (decoder_ && decoder_->spec().encoder) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} translates: it reads one text and writes another, and neither chats nor completes.",
                                path().string()),
                    "Use it with `freehold translate`.");
    }
    if (decoder_ && decoder_->spec().has_head) return *decoder_;
    if (decoder_) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is an encoder: it turns texts into vectors and writes none.", path().string()),
                    "Use it with `freehold embed`, or name a model that was made to write.");
    }
    throw Error(ErrorKind::unsupported, fmt::format("{} holds no weights that a decoder could run.", path().string()),
                tokenizer_ ? "It has a tokenizer only: use it with `freehold tokenize`."
                           : "Name a file or folder with weights.");
}

const Tokenizer& LoadedModel::need_tokenizer() const {
    if (tokenizer_) return *tokenizer_;
    throw Error(
        ErrorKind::not_found, fmt::format("{} has no tokenizer.", path().string()),
        "Put tokenizer.json or tokenizer.model beside the weights, or give token ids (`freehold logits --tokens`).");
}

std::shared_ptr<const ChatTemplate> LoadedModel::chat_template(std::string_view name) const {
    const std::lock_guard lock(cache_->mutex);
    if (const auto it = cache_->templates.find(name); it != cache_->templates.end()) return it->second;
    const auto source = templates_.find(name);
    if (source == templates_.end()) return nullptr;
    auto parsed = ChatTemplate::parse(source->second);
    cache_->templates.emplace(name, parsed);
    return parsed;
}

}  // namespace freehold
