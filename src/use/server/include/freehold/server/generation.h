// The one internal request that every dialect is translated to, and the events that every dialect is told in.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/engine/engine.h"
#include "freehold/server/http.h"
#include "freehold/server/model_pool.h"
#include "freehold/server/output.h"

namespace freehold::server {

// Settings of the sampler that a request may say; what is not set is the model's recommendation.
struct SamplingWishes {
    std::optional<float> temperature, top_p, min_p, typical_p, repetition_penalty, presence_penalty, frequency_penalty;
    std::optional<int> top_k, penalty_last_n;
    std::optional<std::uint64_t> seed;  // not set: drawn
    std::vector<std::pair<Token, float>> logit_bias;
    // Changes the options after everything else: settings of a dialect that have no field here.
    std::function<void(SamplerOptions&, const LoadedModel&)> adjust;
};

struct ChatPrompt {
    ValueList messages;  // as templates see them: role, content, tool_calls, ...
    ValueList tools;     // {"type":"function","function":{...}}
    ValueMap kwargs;     // chat_template_kwargs
    bool add_generation_prompt = true;
    std::string template_source;  // Jinja instead of the model's own; empty: the model's
    std::string prefill;          // how the answer begins; it is told as the prompt, the model goes on behind it
    std::string thinking_field;   // what asked the model to think; refused where its template knows nothing of it
};
struct TextPrompt {
    std::string text;
    bool add_special = true;     // BOS as the model wants it
    bool parse_special = false;  // special tokens in the text count
};
using IdsPrompt = std::vector<Token>;
using Prompt = std::variant<ChatPrompt, TextPrompt, IdsPrompt>;

// Makes the constraint of the answers to a prompt, or throws RequestError 400. `prompt`: as rendered, where the model
// begins the answer itself; nothing where a text is gone on with. Null: the answer is free.
using ConstraintMaker =
    std::function<std::shared_ptr<const Constraint>(const LoadedModel& model, std::optional<std::string_view> prompt)>;

struct GenerationRequest {
    std::string model;            // as the client wrote it; empty: the default
    std::vector<Prompt> prompts;  // at least one; each gets n answers, choice = prompt * n + k
    int n = 1;
    std::optional<int> max_tokens;  // not set: what context and memory hold
    int min_tokens = 0;             // no end before
    SamplingWishes sampling;
    std::vector<std::string> stop;
    std::vector<Token> stop_ids;  // beside the model's own
    bool ignore_eos = false;
    std::optional<int> logprobs;         // alternatives of each token; events carry tokens only when this is set
    std::optional<int> prompt_logprobs;  // alternatives; Started has the prompt's log-probabilities
    bool want_tokens = false;            // events carry tokens even without log-probabilities
    bool include_stop_token = false;     // events carry the token that ended the answer too
    bool parse_output = false;           // split content, reasoning, tool calls (chat)
    Value tool_choice;
    bool parallel_tool_calls = true;
    bool show_special = false;
    CacheUse cache = CacheUse::share;
    KeepAlive keep_alive;
    std::string tenant;
    std::vector<std::string> allowed_models;  // Principal::models; empty: all
    std::shared_ptr<Books> books;             // Principal::books; null: nobody counts
    ConstraintMaker constrain;                // empty: none is asked for
    bool guarded = true;                      // false: what the safeguards themselves ask
    // Called between events, every few seconds in which an answer grows but is held back until it is judged. For
    // streams, which may say that they are alive. Empty: nobody is told.
    std::function<void()> while_held;
};

// One token as it is told: its bytes, and how likely it was.
struct TokenPiece {
    Token id = 0;
    std::string bytes;
    float logprob = 0;
    struct Alternative {
        Token id;
        std::string bytes;
        float logprob;
    };
    std::vector<Alternative> alternatives;
};

struct PromptFacts {
    std::vector<Token> ids;
    std::string text;  // as rendered or given; empty for ids
};

// Events of one generation, in order, one at a time, never on the I/O or the engine's thread.
struct Started {
    ModelLease model;
    const std::vector<PromptFacts>* prompts = nullptr;
};
struct Delta {
    std::uint32_t choice = 0;
    std::string text;                // raw, before the output parser; with parse_output see `parts`
    std::vector<OutputDelta> parts;  // with parse_output
    std::vector<TokenPiece> tokens;  // those whose text is in `text`
};
struct ChoiceDone {
    std::uint32_t choice = 0;
    FinishReason finish = FinishReason::stop;
    bool called_tools = false;
    std::optional<std::string> stop_string;
    std::optional<Token> stop_token;
    // The safeguards kept the answer back: the category. No delta of this choice came.
    std::optional<std::string> withheld;
    // With prompt_logprobs: of every prompt token, the first has none.
    std::vector<TokenPiece> prompt_tokens;
    Outcome outcome;
    std::uint32_t completion_tokens = 0;
};
struct Usage {
    std::uint64_t prompt_tokens = 0;      // of every prompt once
    std::uint64_t cached_tokens = 0;      // of them, from the cache
    std::uint64_t completion_tokens = 0;  // of all choices
    double queue_seconds = 0, load_seconds = 0, prefill_seconds = 0, decode_seconds = 0, total_seconds = 0;
    double first_token_seconds = 0;  // from the request to the first text
};
struct AllDone {
    Usage usage;
    bool cancelled = false;
};
struct Failed {
    std::exception_ptr fault;
};
using Event = std::variant<Started, Delta, ChoiceDone, AllDone, Failed>;
using Sink = std::function<void(Event&&)>;

// What a caller holds of a running generation. Letting go does not cancel it.
class Generation {
 public:
    virtual ~Generation() = default;
    // From any thread; its places in the engine are free at the next step. AllDone{cancelled} follows.
    virtual void cancel() noexcept = 0;
};

struct GenerationStats {
    int running = 0, waiting = 0;
    std::uint64_t started = 0, finished = 0, cancelled = 0, failed = 0;
};

class Metrics;
class Safeguards;

class Generator {
 public:
    // All must outlive the generator and every generation.
    Generator(ModelPool& pool, Workers& workers, Metrics& metrics, OutputPlanner planner = {});
    ~Generator();  // cancels what runs and waits for it
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;

    // Throws RequestError for what can be told at once; everything else comes as Failed.
    std::shared_ptr<Generation> start(GenerationRequest request, Sink sink);
    // Before the first request: prompts and answers of every generation are judged. A prompt that a guard stops fails
    // with RequestError 400 content_policy_violation; a ChoiceDone says when an answer was kept back.
    void guard_with(std::shared_ptr<Safeguards> safeguards);
    [[nodiscard]] Safeguards* safeguards() const noexcept;  // null: none are configured
    // How often GenerationRequest::while_held is called; before the first request.
    void tell_held_every(std::chrono::milliseconds time);
    // Every generation that runs or waits ends with Failed{fault}, also those that are started from now on. Returns at
    // once.
    void end_all(const std::exception_ptr& fault);
    [[nodiscard]] GenerationStats stats() const;
    [[nodiscard]] ModelPool& pool() noexcept;
    [[nodiscard]] Workers& workers() noexcept;

 private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// The prompt as ids: renders and encodes. Throws RequestError for what the template refuses.
[[nodiscard]] PromptFacts encode_prompt(const LoadedModel& model, const Prompt& prompt);
// Throws RequestError 400 for a prompt that wants thoughts of a model that has none; `name`: as the client knows it.
void check_thinking(const LoadedModel& model, const std::string& name, const Prompt& prompt);
// Bytes of a token as clients are told them (special tokens by their text).
[[nodiscard]] std::string token_bytes(const Tokenizer& tokenizer, Token id);

}  // namespace freehold::server
