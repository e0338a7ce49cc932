// Many sequences through one decoder: a ragged batch of prompt chunks and single decode tokens, keys and values in
// shared pages, requests that join and leave at any step. Speaks token ids only; text stands outside (session.h,
// chat.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/engine/constraint.h"
#include "freehold/engine/drafter.h"
#include "freehold/engine/host.h"
#include "freehold/engine/sampler.h"
#include "freehold/engine/step_model.h"

namespace freehold {

using RequestId = std::uint64_t;

// May keys and values of this request be taken from the shared prefix tree, and be left there for others?
enum class CacheUse : std::uint8_t { share, read_only, none };

struct SampledToken {
    Token token = 0;
    std::uint32_t index = 0;                 // 0: first token of the answer
    float logprob = 0;                       // raw model distribution; only when Request::logprobs is set
    std::vector<TokenLogprob> alternatives;  // the n likeliest, best first
    bool is_stop = false;                    // one of the request's stop ids; it ends the answer and is no part of it
};

enum class FinishReason : std::uint8_t { stop, length, cancelled, error };
[[nodiscard]] const char* finish_name(FinishReason reason) noexcept;  // "stop", "length", "cancelled", "error"

// How one request went. Times are wall clock of the steps that worked on it.
struct Outcome {
    RequestId id = 0;
    FinishReason finish = FinishReason::stop;
    std::optional<Error> error;         // with FinishReason::error
    std::optional<Token> stop_token;    // which stop id ended it
    std::vector<Token> tokens;          // the answer, without a stop id
    std::vector<SampledToken> details;  // one per token when logprobs were asked for
    // Log-probability of prompt token i given those before it; [i - prompt_logprobs_from], when asked for.
    std::vector<TokenLogprob> prompt_logprobs;
    std::vector<std::vector<TokenLogprob>> prompt_alternatives;  // with Request::logprobs > 0
    std::uint32_t prompt_tokens = 0;
    std::uint32_t cached_tokens = 0;  // of the prompt, taken from the tree and not computed
    std::uint32_t preempted = 0;      // how often its pages were taken away and computed again
    std::uint32_t drafted = 0;        // tokens that were guessed ahead and checked with others in one pass
    std::uint32_t accepted = 0;       // of them, those that the model chose as well
    double queue_seconds = 0;         // submit to first row
    double prefill_seconds = 0;       // first row to first token
    double decode_seconds = 0;        // first token to last
    double total_seconds = 0;
};

struct Request {
    std::vector<Token> prompt;      // at least one token
    std::optional<int> max_tokens;  // not set: as many as context and pages allow. 0: only read the prompt
    int min_tokens = 0;             // no stop id before the answer has so many tokens
    SamplerOptions sampler;
    std::uint32_t choice = 0;     // which of several answers to one prompt this is: other random numbers from one seed
    std::vector<Token> stop_ids;  // usually LoadedModel::stop_ids(); empty: nothing stops it but length
    std::optional<int> logprobs;  // 0: of the chosen token; n: also of the n likeliest
    // What the answer may be; null: anything. Stop ids come only where it may end, and when nothing can follow the
    // answer ends as FinishReason::stop. Log-probabilities stay those of the model alone.
    std::shared_ptr<const Constraint> constraint;
    // Log-probabilities of prompt tokens from this index (>= 1) on. Positions before it may come from the cache.
    std::optional<int> prompt_logprobs_from;
    // Raw logits of prompt rows from this position on, in order, on the engine's thread: row i predicts token i + 1.
    std::optional<int> logits_from;
    std::function<void(std::int32_t position, std::span<const float> logits)> on_logits;

    // Each choice, on the engine's thread, stop ids too. False ends the answer at once as FinishReason::stop.
    std::function<bool(const SampledToken&)> on_token;
    std::function<void(std::uint32_t done, std::uint32_t total)> on_prompt;  // progress of the prompt, after each step
    std::function<void(const Outcome&)> on_done;  // exactly once for every accepted request, the last call

    CacheUse cache = CacheUse::share;
    std::string tenant;  // prefixes are shared inside a tenant only
    // What changes the model for this request alone (Decoder::adapt of the engine's model), and its identity, which is
    // part of the key of a prefix: both or neither. Requests with different adapters share steps.
    std::shared_ptr<const Adapter> adapter_weights;
    std::string adapter;
    // A probe sees every row that is computed. Without an `interventions` key such a request neither takes from nor
    // gives to the tree; with one, equal keys vouch for equal interventions, and rows found in the tree are not
    // visited.
    std::shared_ptr<Probe> probe;
    std::string interventions;
};

struct EngineOptions {
    int max_sequences = 32;              // that run at once; more wait in the queue
    int max_rows = 512;                  // of a step, prompts and decoding together
    int max_rows_beside_decoding = 256;  // prompt rows of a step in which somebody decodes: bounds their waiting
    int chunk = 512;                     // rows of one prompt in a step at most
    int max_logit_rows = 0;  // rows that want logits in one step (each takes vocab * 4 bytes); 0: what 64 MiB hold
    int max_queue = 4096;    // submit() beyond it is Error{busy}
    // For keys and values: 0 takes what 4 full contexts need, at most half of the host's free budget, at least one.
    std::uint64_t kv_bytes = 0;
    int context = 0;  // 0: the model's; a smaller one bounds requests
    bool prefix_cache = true;
    // Speculation: guesses are checked together and change no token. Off with 0, and for requests with a probe.
    int draft_tokens = 3;                        // guessed at most in one step for one sequence
    int draft_sequences = 4;                     // when more decode at once they fill the machine without guessing
    std::shared_ptr<Drafter> drafter;            // null: looks for repetitions in the sequence (make_ngram_drafter)
    std::optional<std::uint64_t> shuffle_pages;  // tests: random physical order of pages
};

struct EngineStats {
    std::uint64_t requests = 0, finished = 0, cancelled = 0, failed = 0, preemptions = 0, steps = 0;
    std::uint64_t prefill_tokens = 0;  // prompt rows computed
    std::uint64_t cached_tokens = 0;   // prompt tokens found in the tree
    std::uint64_t decoded_tokens = 0;
    std::uint64_t drafted_tokens = 0, accepted_tokens = 0;  // guessed ahead; of them, those that were right
    double prefill_seconds = 0;                             // of steps with prompt rows (mixed steps are split by rows)
    double decode_seconds = 0;
    std::uint64_t page_bytes_budget = 0, page_bytes_used = 0;
    std::uint64_t pages_used = 0, pages_shared = 0;
    std::uint64_t cached_pages = 0;  // in the tree and used by nobody now: evicted when room is needed
    int running = 0, waiting = 0, parked = 0;
};

class Engine {
 public:
    // An engine for a loaded model, which must have a decoder. Takes pages and scratch from the host's budget.
    // Throws Error{out_of_memory} when not even one context fits (with the numbers), Error{usage} for bad options.
    Engine(Host& host, std::shared_ptr<const LoadedModel> model, const EngineOptions& options = {});
    // For tests and other kinds of model.
    Engine(std::unique_ptr<StepModel> model, const Kernels& kernels, const EngineOptions& options);
    // Cancels what is left (on_done is called), stops the thread.
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // From any thread. Throws Error{usage} for tokens out of range or bad options, Error{limit} when prompt and answer
    // can never fit (context or pages; the message has the numbers), Error{busy} when the queue is full.
    RequestId submit(Request request);
    // From any thread; takes effect before the next step. Unknown or finished ids are ignored.
    void cancel(RequestId id);
    // From any thread, before the next step: the request gives its place to others and waits until it is resumed. Its
    // pages stay in the prefix tree while there is room, and the answer goes on with the bits that it would have had.
    // Unknown or finished ids are ignored; so is resuming what was not parked.
    void park(RequestId id);
    void resume(RequestId id);

    // One step on the caller's thread; false when there was nothing to do. Not together with start().
    bool step();
    // Steps until nothing is left.
    void drain();
    // A thread of its own that steps while there is work and sleeps otherwise; stop() ends it after the present step.
    void start();
    void stop();
    [[nodiscard]] bool started() const noexcept;

    // submit, then wait (stepping here unless the engine has its own thread). `cancel`, when given, is looked at before
    // every step and may be set from a signal handler.
    Outcome run(Request request, const std::atomic<bool>* cancel = nullptr);

    [[nodiscard]] EngineStats stats() const;
    [[nodiscard]] int context() const noexcept;  // longest sequence (prompt and answer) of one request
    [[nodiscard]] int vocab() const noexcept;
    [[nodiscard]] KvType kv() const noexcept;
    // Forgets every prefix that nobody uses now.
    void clear_cache();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold
