// Between text and the engine: an answer as a stream of valid UTF-8, with stop strings that may lie across token
// borders.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/engine/engine.h"

namespace freehold {

// Finds the first of several strings in a stream of text pieces; what could be the beginning of one waits.
class StopMatcher {
 public:
    explicit StopMatcher(std::vector<std::string> stops);  // empty strings are ignored
    // Text that may be shown now. Nothing more comes once stopped().
    [[nodiscard]] std::string push(std::string_view text);
    // The rest, when the stream ended without a match.
    [[nodiscard]] std::string finish();
    [[nodiscard]] bool stopped() const noexcept { return matched_.has_value(); }
    // Which one: index into the list given.
    [[nodiscard]] std::optional<std::size_t> matched() const noexcept { return matched_; }

 private:
    std::vector<std::string> stops_;
    std::string held_;
    std::optional<std::size_t> matched_;
};

// Tokens to text that may be shown: StreamDecoder, then StopMatcher.
class TextStream {
 public:
    // at_start: as in StreamDecoder; false when the tokens go on with a text that stands there already.
    TextStream(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops, bool special = false,
               bool at_start = true);
    [[nodiscard]] std::string push(Token token);
    [[nodiscard]] std::string finish();
    [[nodiscard]] bool stopped() const noexcept { return matcher_.stopped(); }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }  // all that was shown
    [[nodiscard]] std::optional<std::string> stop_string() const;

 private:
    StreamDecoder decoder_;
    StopMatcher matcher_;
    std::vector<std::string> stops_;
    std::string text_;
};

struct LoadedAdapter;  // loaded_adapter.h

struct GenerateOptions {
    std::optional<int> max_tokens;
    int min_tokens = 0;  // as in Request
    SamplerOptions sampler;
    std::vector<std::string> stop;  // stop strings, not shown
    bool ignore_stop_ids = false;   // go on after the end of turn (benchmarks)
    bool show_special = false;      // control tokens as text
    bool continues_text = false;    // the answer goes on with a text (complete() sets it): a leading space counts
    std::optional<int> logprobs;
    std::shared_ptr<const Constraint> constraint;  // what the answer may be; null: anything
    CacheUse cache = CacheUse::share;
    std::string tenant;
    std::shared_ptr<const LoadedAdapter> adapter;  // null: the model as it is
};
// Tokens that end a repetition for SamplerOptions::dry_breakers: those whose text contains one of the strings; of a
// string that no token contains, the last token of its encoding. Walks the vocabulary once.
[[nodiscard]] std::vector<Token> dry_breakers(const Tokenizer& tokenizer, std::span<const std::string> strings);
// Line break, colon, quotation mark, asterisk.
[[nodiscard]] std::span<const std::string> default_dry_breakers();
// What the maker recommends, over Freehold's own defaults (temperature 0.7, top_p 0.95 where nothing is said; greedy
// where do_sample is false). Base models without a template get the same.
[[nodiscard]] SamplerOptions recommended_sampler(const LoadedModel& model);

struct Answer {
    std::string text;  // what was shown
    FinishReason finish = FinishReason::stop;
    std::optional<std::string> stop_string;  // which stop string ended it
    Outcome outcome;                         // tokens, log-probabilities, times
};

// Called with every piece of text as it becomes certain (never empty, always whole characters), on the thread that
// steps.
using TextCallback = std::function<void(std::string_view piece)>;

// Answers `prompt` (ids). Waits until it is done; `cancel` as in Engine::run. An error of the engine is thrown.
[[nodiscard]] Answer generate(Engine& engine, const LoadedModel& model, std::vector<Token> prompt,
                              const GenerateOptions& options, const TextCallback& on_text = {},
                              const std::atomic<bool>* cancel = nullptr);
// The same for text as it is: encoded with the special tokens of the model (BOS), special tokens in the text are not
// parsed.
[[nodiscard]] Answer complete(Engine& engine, const LoadedModel& model, std::string_view prompt,
                              const GenerateOptions& options, const TextCallback& on_text = {},
                              const std::atomic<bool>* cancel = nullptr);

}  // namespace freehold
