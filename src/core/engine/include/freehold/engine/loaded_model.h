// One model in memory with everything that belongs to it: files, decoder, tokenizer, chat templates, defaults for
// generation. Immutable after load, shared by all who use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/formats/model_files.h"
#include "freehold/grammar/matcher.h"
#include "freehold/models/decoder.h"
#include "freehold/text/chat_template.h"
#include "freehold/text/tokenizer.h"

namespace freehold {

struct LoadedModelOptions {
    std::optional<Profile> profile;  // not set: default_profile(files)
    std::optional<KvType> kv;        // not set: default_kv(profile)
    bool repack = true;              // panels at load: faster, takes memory; see LoadOptions
    bool weights = true;             // false: tokenizer, template and blueprint only (show, tokenize, template)
    // Where panels of this model may have been kept: a folder and the key of the files as the last part of the path.
    // The file of the profile is mapped if it is good, and removed if it is damaged or out of date. Empty: none.
    std::filesystem::path panels = {};
    // The longest sequence that will be asked for, where that is more than what the model has without stretching its
    // rotation (LoadOptions::context); 0: no more than that.
    int context = 0;
    friend bool operator==(const LoadedModelOptions&, const LoadedModelOptions&) = default;
};

// The file of one profile: "KEY.q8.panels".
[[nodiscard]] std::filesystem::path panel_file_path(const std::filesystem::path& panels, Profile profile);

// F32 for profile f32, F16 otherwise.
[[nodiscard]] KvType default_kv(Profile profile) noexcept;
[[nodiscard]] const char* kv_name(KvType type) noexcept;  // "f32", "f16", "q8_0"
[[nodiscard]] std::optional<KvType> kv_from_name(std::string_view name) noexcept;

// What the model's maker recommends: generation_config.json, or GGUF keys general.sampling.*. Not set: nothing is said.
struct GenerationDefaults {
    std::optional<bool> do_sample;
    std::optional<float> temperature, top_p, min_p, typical_p, repetition_penalty;
    std::optional<int> top_k;
};

// Sources of the chat templates of a model by name; "default" is the one for plain chat.
using TemplateSources = std::map<std::string, std::string, std::less<>>;

// --- pieces, also for bare files (freehold tokenize, freehold template)
// ----------------------------------------------- GGUF keys, tokenizer.json, or tokenizer.model, in this order. Null
// when the files have none of them.
[[nodiscard]] std::shared_ptr<const Tokenizer> read_tokenizer(const ModelFiles& files);
// GGUF tokenizer.chat_template and tokenizer.chat_template.NAME; chat_template.jinja; tokenizer_config.json's
// chat_template (a string, or a list of {name, template}).
[[nodiscard]] TemplateSources read_templates(const ModelFiles& files);
[[nodiscard]] GenerationDefaults read_generation_defaults(const ModelFiles& files);
// A model file or folder, a bare tokenizer.json (tokenizer_config.json beside it is used), or a tokenizer.model.
// Throws Error{not_found} when `path` holds no tokenizer.
[[nodiscard]] std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path);
// A model file or folder, or a bare .jinja file (then the one named "default"), or a tokenizer_config.json.
[[nodiscard]] TemplateSources open_templates(const std::filesystem::path& path);

class LoadedModel {
 public:
    // Prefer Host::load, which shares what is loaded already and counts memory.
    static std::shared_ptr<const LoadedModel> open(const std::filesystem::path& path, const LoadedModelOptions& options,
                                                   ThreadPool& threads);

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return files_->path(); }
    [[nodiscard]] const std::shared_ptr<const ModelFiles>& files() const noexcept { return files_; }
    [[nodiscard]] const LoadedModelOptions& options() const noexcept { return options_; }
    // Null for a vocabulary-only file, or when options.weights was false. An encoder is one without a head.
    [[nodiscard]] const std::shared_ptr<const Decoder>& decoder() const noexcept { return decoder_; }
    // The decoder of a model that writes, or Error{unsupported} that says what this file has and has not.
    [[nodiscard]] const Decoder& need_decoder() const;
    [[nodiscard]] const std::shared_ptr<const Tokenizer>& tokenizer() const noexcept { return tokenizer_; }
    [[nodiscard]] const Tokenizer& need_tokenizer() const;  // or Error{not_found}
    [[nodiscard]] KvType kv() const noexcept { return kv_; }
    // The vocabulary as a tree, for constraints; built on first use. Error{not_found} without a tokenizer.
    [[nodiscard]] std::shared_ptr<const TokenTrie> token_trie() const;

    [[nodiscard]] const TemplateSources& template_sources() const noexcept { return templates_; }
    // Parsed on first use. Null when the model has no template of this name. Throws Error{bad_file} from the parser.
    [[nodiscard]] std::shared_ptr<const ChatTemplate> chat_template(std::string_view name = "default") const;

    [[nodiscard]] const GenerationDefaults& generation() const noexcept { return generation_; }
    // Every id that ends an answer: the tokenizer's and generation_config.json's eos_token_id; ascending, no
    // duplicates.
    [[nodiscard]] const std::vector<Token>& stop_ids() const noexcept { return stop_ids_; }

    ~LoadedModel();
    LoadedModel(const LoadedModel&) = delete;
    LoadedModel& operator=(const LoadedModel&) = delete;

 private:
    friend class Host;
    LoadedModel();
    static std::shared_ptr<LoadedModel> make(const std::filesystem::path& path, const LoadedModelOptions& options,
                                             ThreadPool& threads);
    struct Cache;
    std::shared_ptr<const ModelFiles> files_;
    std::shared_ptr<const Decoder> decoder_;
    std::shared_ptr<const Tokenizer> tokenizer_;
    LoadedModelOptions options_;
    KvType kv_ = KvType::F16;
    TemplateSources templates_;
    GenerationDefaults generation_;
    std::vector<Token> stop_ids_;
    std::unique_ptr<Cache> cache_;
    std::shared_ptr<const void> lease_;  // bytes taken from the host's budget, given back last
};

}  // namespace freehold
