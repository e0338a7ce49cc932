// A small model that guesses for a large one: an engine of its own, asked greedily for a few tokens at a time.
// Its prefix tree remembers each sequence, so a question costs the new tokens only.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/engine/drafter.h"
#include "freehold/engine/engine.h"
#include "freehold/engine/loaded_model.h"

namespace freehold {

namespace {

// Equal ids must mean equal texts, or every guess would be refused. Looking at every token costs less than one pass.
void check_same_vocabulary(const LoadedModel& draft, const LoadedModel& target) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ErrorKind::usage,
                    fmt::format("{} cannot guess for {}: {}.", draft.path().filename().string(),
                                target.path().filename().string(), what),
                    "Take a smaller model of the same family, or none: repeated text is guessed without one.");
    };
    const std::int32_t ours = draft.need_decoder().spec().vocab, theirs = target.need_decoder().spec().vocab;
    if (!draft.tokenizer() || !target.tokenizer()) {
        if (ours != theirs) refuse(fmt::format("it has {} tokens, the other {}", ours, theirs));
        return;
    }
    const Tokenizer &a = *draft.tokenizer(), &b = *target.tokenizer();
    if (a.size() != b.size()) refuse(fmt::format("its vocabulary has {} tokens, the other's {}", a.size(), b.size()));
    for (std::int32_t id = 0; id < a.size(); ++id)
        if (a.piece(id, true) != b.piece(id, true))
            refuse(fmt::format("token {} is \"{}\" there and \"{}\" here", id, b.piece(id, true), a.piece(id, true)));
}

EngineOptions options_for_drafts(std::uint64_t kv_bytes) {
    EngineOptions o;
    o.kv_bytes = kv_bytes;  // 0: the engine's own choice
    o.draft_tokens = 0;
    o.max_logit_rows = 32;
    return o;
}

class ModelDrafter final : public Drafter {
 public:
    ModelDrafter(Host& host, std::shared_ptr<const LoadedModel> draft, std::uint64_t kv_bytes)
        : vocab_(draft->need_decoder().spec().vocab), engine_(host, std::move(draft), options_for_drafts(kv_bytes)) {}

    void propose(std::span<DraftWish> wishes) override {
        for (DraftWish& w : wishes) {
            const auto room = static_cast<std::size_t>(engine_.context());
            const bool known = std::all_of(w.tokens.begin(), w.tokens.end(), [this](Token t) { return t < vocab_; });
            if (w.most == 0 || !known || w.tokens.size() + w.most > room) continue;
            Request r;
            r.prompt.assign(w.tokens.begin(), w.tokens.end());
            r.max_tokens = static_cast<int>(w.most);
            r.sampler.temperature = 0;
            r.on_done = [&w](const Outcome& o) {
                if (o.finish != FinishReason::error) w.guess = o.tokens;
            };
            engine_.submit(std::move(r));
        }
        engine_.drain();
    }

 private:
    std::int32_t vocab_;
    Engine engine_;
};

}  // namespace

std::unique_ptr<Drafter> make_model_drafter(Host& host, std::shared_ptr<const LoadedModel> draft,
                                            const LoadedModel& target, std::uint64_t kv_bytes) {
    check_same_vocabulary(*draft, target);
    return std::make_unique<ModelDrafter>(host, std::move(draft), kv_bytes);
}

}  // namespace freehold
