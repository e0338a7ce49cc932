// Texts to texts by an encoder-decoder (T5, Marian): greedy or with beams. Keys and values of a source are computed
// once and shared by all hypotheses of its translation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/engine/host.h"
#include "freehold/models/translation_spec.h"

namespace freehold {

struct TranslateOptions {
    int beams = 0;                        // 0: as the model's maker recommends, else 1 (greedy)
    int max_tokens = 0;                   // of a translation, its end counted; 0: as its maker recommends, else 511
    std::optional<float> length_penalty;  // not set: as its maker recommends, else 1
    std::string task;                     // a task of the model (TranslationSpec): its prefix and its search
    std::string prefix;                   // put before each text; empty: the task's
    Progress progress;                    // texts done; may throw Error{cancelled}
};

struct Translation {
    std::string text;
    std::vector<Token> tokens;        // with the end token, without the start token
    double score = 0;                 // BeamSearch::Found
    bool ended = false;               // false: cut at max_tokens
    std::uint32_t source_tokens = 0;  // special ones and the prefix included
};

// Works on some texts at a time, ragged, each step with a turn on the host. A text's translation does not depend on its
// neighbours. Safe from any thread.
class Translator {
 public:
    // Error{unsupported} when the model is no encoder-decoder.
    Translator(Host& host, std::shared_ptr<const LoadedModel> model);
    ~Translator();
    Translator(const Translator&) = delete;
    Translator& operator=(const Translator&) = delete;

    [[nodiscard]] const TranslationSpec& spec() const noexcept;
    // What `options` come to with this model. Error{usage} for a task that it does not have (the message lists its own)
    // or sizes beyond it.
    [[nodiscard]] SearchOptions search(const TranslateOptions& options) const;

    // Calls on_result for each text in their order, as soon as it and all before it are done. Error{limit} for a text
    // that is longer than the model reads; the message names its number (from 1).
    void translate(std::span<const std::string> texts, const TranslateOptions& options,
                   const std::function<void(std::size_t, Translation)>& on_result);
    // The same of tokens as they are, under a search of the caller's: for tests and tools.
    [[nodiscard]] std::vector<Translation> translate_ids(std::span<const std::vector<Token>> sources,
                                                         const SearchOptions& search);

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold
