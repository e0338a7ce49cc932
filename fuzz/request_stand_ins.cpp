// The members of pool, generator and model that the dialects call, for a program without an engine. Each does the least
// that its declaration allows.
#include "request_stand_ins.h"

#include <memory>

#include "freehold/engine/chat.h"
#include "freehold/engine/session.h"
#include "freehold/server/errors.h"
#include "freehold/server/guard.h"
#include "freehold/server/owner.h"
#include "fuzz.h"
#include "wire/embedding_job.h"

namespace freehold::fuzz {
namespace {

std::uint64_t& counter() noexcept {
    static std::uint64_t n = 0;
    return n;
}

[[noreturn]] void no_model() {
    throw Error(ErrorKind::not_found, "There is no model in this program.");
}

bool is_text(const ValueMap& map, const char* key) {
    const Value* value = map.find(key);
    return value != nullptr && value->as_string();
}

void look_at_chat(const server::ChatPrompt& chat) {
    require(!chat.messages.empty());
    for (const Value& message : chat.messages) {
        const auto* map = message.get<ValueMap>();
        require(map != nullptr && is_text(*map, "role") && is_text(*map, "content"));
        const Value* calls = map->find("tool_calls");
        if (calls == nullptr) continue;
        const auto* list = calls->get<ValueList>();
        require(list != nullptr && !list->empty());
        for (const Value& call : *list) {
            const auto* one = call.get<ValueMap>();
            const Value* function = one == nullptr ? nullptr : one->find("function");
            require(function != nullptr && function->get<ValueMap>() != nullptr);
            require(is_text(*function->get<ValueMap>(), "name"));
            require(function->get<ValueMap>()->find("arguments") != nullptr);
        }
    }
    for (const Value& tool : chat.tools) {
        const Value* name = tool.get<ValueMap>() == nullptr ? nullptr : find(*tool.get<ValueMap>(), "function.name");
        require(name != nullptr && name->as_string());
    }
}

// Memory that stands for an object nobody looks into: the stand-ins below do not touch what they are called on.
template <class T>
T& nobody() {
    alignas(T) static std::byte room[sizeof(T)];
    return reinterpret_cast<T&>(room);
}

class OpenGate final : public server::Gate {
 public:
    server::Principal admit(const server::HttpRequest&, const server::Route&) override { return {}; }
    void check_listen(const std::string&, bool) const override {}
    [[nodiscard]] const char* kind() const noexcept override { return "open"; }
};

}  // namespace

void look_at(const server::GenerationRequest& request) {
    ++counter();
    require(!request.prompts.empty() && request.n >= 1 && request.n <= 128);
    require(!request.max_tokens || *request.max_tokens >= 0);
    require(!request.logprobs || (*request.logprobs >= 0 && *request.logprobs <= 20));
    for (const server::Prompt& prompt : request.prompts) {
        if (const auto* chat = std::get_if<server::ChatPrompt>(&prompt)) look_at_chat(*chat);
        if (const auto* ids = std::get_if<server::IdsPrompt>(&prompt)) {
            require(!ids->empty());
            for (const Token id : *ids) require(id >= 0);
        }
    }
    const server::SamplingWishes& s = request.sampling;
    require(!s.temperature || *s.temperature >= 0);
    require(!s.top_p || (*s.top_p >= 0 && *s.top_p <= 1));
    require(!s.top_k || *s.top_k >= 0);
}

std::uint64_t generations() noexcept {
    return counter();
}

server::Service& service() {
    static OpenGate gate;
    static server::Service all{nobody<server::ModelPool>(),
                               nobody<server::Generator>(),
                               nobody<server::Workers>(),
                               nobody<server::Metrics>(),
                               gate,
                               "fuzz"};
    if (!all.constraints) {
        all.constraints = [](const server::Service::ConstraintWish& wish) -> server::ConstraintMaker {
            using Kind = server::Service::ConstraintWish::Kind;
            require(!wish.param.empty());
            require((wish.kind == Kind::choice) == !wish.choices.empty());
            require(wish.kind != Kind::json_schema || wish.schema.get<ValueMap>() || wish.schema.get<bool>());
            return [](const LoadedModel&, std::optional<std::string_view>) { return nullptr; };
        };
        all.tools = [](const server::Service::ToolWish& wish) -> server::ConstraintMaker {
            require(!wish.tools.empty());
            return [](const LoadedModel&, std::optional<std::string_view>) { return nullptr; };
        };
        all.responses = server::make_memory_response_store();
        server::StoredResponse kept;
        kept.response = ValueMap{{"id", "resp_1"}, {"background", true}};
        kept.input = {Value(ValueMap{{"id", "msg_1"}})};
        kept.messages = {Value(ValueMap{{"role", "user"}, {"content", "hello"}}),
                         Value(ValueMap{{"role", "assistant"}, {"content", "hello"}})};
        all.responses->put("", "resp_1", kept);
        kept.running = true;
        all.responses->put("", "resp_2", kept);
    }
    return all;
}

}  // namespace freehold::fuzz

namespace freehold {

const Tokenizer& LoadedModel::need_tokenizer() const {
    fuzz::no_model();
}
std::vector<Token> dry_breakers(const Tokenizer&, std::span<const std::string>) {
    return {};
}
std::span<const std::string> default_dry_breakers() {
    return {};
}
std::vector<Stage> chain_from_names(std::span<const std::string> names) {
    if (names.front() != "top_k") throw Error(ErrorKind::usage, "There is no such sampler.");
    return {Stage::top_k};
}
Value chat_message(std::string_view role, std::string_view content) {
    return ValueMap{{"role", std::string(role)}, {"content", std::string(content)}};
}

}  // namespace freehold

namespace freehold::server {

std::shared_ptr<Generation> Generator::start(GenerationRequest request, Sink) {
    struct Nothing final : Generation {
        void cancel() noexcept override {}
    };
    fuzz::look_at(request);
    return std::make_shared<Nothing>();
}

KnownModel ModelPool::resolve(const std::string& name) const {
    if (name == "missing") fuzz::no_model();
    KnownModel known;
    known.name = name;
    if (name == "made") {
        known.stored.emplace();
        known.stored->record.extra.set(
            "created",
            ValueMap{{"system", "Be brief."},
                     {"jinja", "{{ messages }}"},
                     {"parameters", ValueMap{{"temperature", 0.5}, {"num_predict", 5}, {"stop", "x"}, {"dry_base", 2}}},
                     {"messages", ValueList{ValueMap{{"role", "user"}, {"content", "hello"}}}}});
    }
    return known;
}

void ModelPool::acquire(const std::string&, Got got, KeepAlive) {
    got({}, std::make_exception_ptr(Error(ErrorKind::not_found, "There is no model in this program.")));
}

bool ModelPool::unload(const std::string&) {
    return false;
}

bool model_allowed(const std::vector<std::string>&, std::string_view) {
    return true;
}
void check_use(const ModelPool&, const std::string& name, const std::string&, const std::vector<std::string>&) {
    if (name == "missing") fuzz::no_model();
}
void check_new_name(const ModelPool&, const Principal&, const ModelName&, const char*) {}

PromptFacts encode_prompt(const LoadedModel&, const Prompt&) {
    fuzz::no_model();
}

struct EmbeddingDesk::State {};
EmbeddingDesk::EmbeddingDesk(Service&) {}
EmbeddingDesk::~EmbeddingDesk() = default;
void EmbeddingDesk::run(const RequestPtr&, const ResponderPtr&, EmbeddingWork work) {
    fuzz::require(work.slice && work.finish && work.items <= kMostInputs);
}
std::vector<TextVector> embed_slice(Embedder&, std::span<const EmbedInput>, std::size_t, std::size_t, EmbedOptions) {
    return {};
}
void rerank_slice(Embedder&, const std::string&, std::span<const std::string>, std::size_t, std::size_t, EmbedOptions,
                  RerankResult&) {}
std::string json_numbers(std::span<const float>) {
    return {};
}

}  // namespace freehold::server
