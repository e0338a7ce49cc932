// What the fields of a request ask of the form of its answer, as grammars that the engine's masks are made of.
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "freehold/engine/constraint.h"
#include "freehold/engine/loaded_model.h"
#include "freehold/grammar/grammar.h"
#include "freehold/output/tools.h"
#include "freehold/server/compiling.h"
#include "freehold/server/errors.h"
#include "freehold/server/service.h"

namespace freehold::server {
namespace {

using Wish = Service::ConstraintWish;
using GrammarPtr = std::shared_ptr<const Grammar>;

JsonSchemaOptions options_of(bool strict) {
    JsonSchemaOptions options = JsonSchemaOptions::serving();
    options.closed_objects = options.pin_order = strict;
    return options;
}

// Schemas that take seconds to compile must not hold every worker, so that others wait for a few tokens, and those of
// one tenant must not keep another's out.
class Bench {
 public:
    // Three at a time, of four workers, and two of one tenant. RequestError: 429 when the tenant's own are in the way,
    // 503 when others' are, after a moment that is long beside any common schema.
    template <class Make>
    auto run(const std::string& tenant, Make&& make) {
        {
            std::unique_lock hold(mutex_);
            const auto full = [&] { return running_.count(tenant) >= kPlacesOfTenant; };
            if (!freed_.wait_for(hold, kMoment, [&] { return running_.size() < kPlaces && !full(); })) {
                if (full()) {
                    throw RequestError(429, ErrorKind::busy, "Schemas of yours that take long are being compiled.",
                                       "Wait for them, then try again.", {}, "rate_limit_exceeded", 2);
                }
                throw RequestError(503, ErrorKind::busy, "Other schemas that take long are being compiled.",
                                   "Try again in a moment.", {}, {}, 2);
            }
            running_.insert(tenant);
        }
        struct Leave {
            Bench& bench;
            const std::string& tenant;
            ~Leave() {
                {
                    const std::lock_guard hold(bench.mutex_);
                    bench.running_.erase(bench.running_.find(tenant));
                }
                bench.freed_.notify_all();
            }
        } const leave{*this, tenant};
        return make();
    }

 private:
    static constexpr std::size_t kPlaces = 3, kPlacesOfTenant = 2;
    static constexpr std::chrono::milliseconds kMoment{50};

    std::mutex mutex_;
    std::condition_variable freed_;
    std::multiset<std::string> running_;  // the tenants of what is being compiled
};

GrammarPtr compile(const Wish& wish) {
    switch (wish.kind) {
        case Wish::Kind::json_object:
            return Grammar::json_object(options_of(false));
        case Wish::Kind::json_schema:
            return Grammar::from_json_schema(wish.schema, options_of(wish.strict));
        case Wish::Kind::regex:
            return Grammar::from_regex(wish.text);
        case Wish::Kind::grammar:
            return Grammar::from_gbnf(wish.text);
        case Wish::Kind::choice:
            return Grammar::from_choice(wish.choices);
    }
    return nullptr;
}

// A refusal is the client's to mend: it names the field, and the grammar's message the place in it.
[[noreturn]] void refuse(const Error& error, const std::string& param) {
    if (error.kind() == ErrorKind::internal || error.kind() == ErrorKind::out_of_memory) throw error;
    throw RequestError(400, error.kind(), error.message(), error.hint(), param, "invalid_schema");
}

std::shared_ptr<const Constraint> constraint_of(const LoadedModel& model, GrammarPtr grammar,
                                                const std::optional<output::Lead>& lead) {
    if (lead) {
        LeadFormat format{lead->begin, lead->end, lead->begun, lead->otherwise, {}};
        const std::vector<std::string> marks{lead->begin, lead->end, lead->otherwise};
        format.control_tokens = output::control_marks(model.need_tokenizer(), marks);
        grammar = grammar->behind(format);
    }
    return make_constraint(std::move(grammar), model.token_trie());
}

GrammarPtr compile(const output::ToolTags& wanted, const LoadedModel& model) {
    const bool section = !wanted.section_begin.empty() || !wanted.section_end.empty();
    TagOptions options;
    options.triggers = wanted.at_least_one ? std::vector<std::string>() : wanted.triggers;
    options.at_least_one = wanted.at_least_one;
    // Where calls stand in a section of their own, it holds one.
    options.at_most_one = wanted.stop_after_first || section;
    options.separator = wanted.between;
    std::vector<TagFormat> tags;
    std::vector<std::string> texts = options.triggers;
    for (const auto& tag : wanted.tags) {
        TagFormat format;
        format.begin = wanted.section_begin + tag.begin;
        format.end = tag.end + wanted.section_end;
        if (!tag.schema.is_null()) format.schema = tag.schema;
        format.json = options_of(tag.strict);
        format.name = tag.name;
        texts.push_back(format.begin);
        texts.push_back(format.end);
        tags.push_back(std::move(format));
    }
    options.control_tokens = output::control_marks(model.need_tokenizer(), texts);
    return Grammar::from_tags(tags, options);
}

}  // namespace

void enable_constraints(Service& service) {
    const auto bench = std::make_shared<Bench>();
    service.constraints = [bench](const Wish& wish) -> ConstraintMaker {
        try {
            return [grammar = bench->run(CompilingFor::tenant(), [&] { return compile(wish); })](
                       const LoadedModel& model, std::optional<std::string_view> prompt) {
                return constraint_of(model, grammar,
                                     prompt
                                         ? output::lead_of(output::format_of(model.template_sources()), *prompt, false)
                                         : std::nullopt);
            };
        } catch (const RequestError&) {
            throw;
        } catch (const Error& error) {
            refuse(error, wish.param);
        }
    };
    service.tools = [bench](const Service::ToolWish& wish) -> ConstraintMaker {
        return
            [bench, wish, tenant = CompilingFor::tenant()](
                const LoadedModel& model, std::optional<std::string_view> prompt) -> std::shared_ptr<const Constraint> {
                try {
                    const output::OutputFormat format = output::format_of(model.template_sources());
                    const auto tags = output::tool_tags(format, wish.tools, wish.choice, wish.parallel);
                    if (!tags) return nullptr;
                    return constraint_of(model, bench->run(tenant, [&] { return compile(*tags, model); }),
                                         prompt ? output::lead_of(format, *prompt, true) : std::nullopt);
                } catch (const RequestError&) {
                    throw;
                } catch (const Error& error) {
                    refuse(error, "tools");
                }
            };
    };
}

}  // namespace freehold::server
