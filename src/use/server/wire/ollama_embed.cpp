// Ollama's POST /api/embed (several texts) and POST /api/embeddings (one, the older form).
#include <fmt/format.h>

#include "common.h"
#include "embedding_job.h"
#include "ollama.h"

namespace freehold::server {
namespace {

struct Embeddings {
    std::vector<EmbedInput> inputs;
    EmbedOptions options;
    std::string vectors;  // JSON lists, separated by commas
    std::uint64_t tokens = 0;
};

void start(EmbeddingDesk& desk, const Service& service, const RequestPtr& http, const ResponderPtr& responder,
           const Fields& fields, const std::shared_ptr<Embeddings>& e, bool older) {
    EmbeddingWork work;
    work.model = fields.need_string("model");
    work.keep = ollama_keep_alive(fields, service, http->principal);
    work.shape = ollama_error;
    work.items = e->inputs.size();
    work.slice = [e](Embedder& embedder, std::size_t begin, std::size_t end) {
        for (const TextVector& v : embed_slice(embedder, e->inputs, begin, end, e->options)) {
            e->tokens += v.tokens;
            if (!e->vectors.empty()) e->vectors += ',';
            e->vectors += json_numbers(v.vector);
        }
    };
    work.finish = [e, responder, older](const ServedModel& served, const Embedder&, double load, double seconds) {
        responder->note("prompt_tokens", Value(e->tokens));
        const std::string body =
            older
                ? fmt::format(R"({{"embedding":{}}})", e->vectors.empty() ? "[]" : e->vectors)
                : fmt::format(
                      R"({{"model":{},"embeddings":[{}],"total_duration":{},"load_duration":{},"prompt_eval_count":{}}})",
                      to_json(Value(served.name)), e->vectors, nanoseconds(load + seconds), nanoseconds(load),
                      e->tokens);
        responder->send(200, {{"Content-Type", "application/json; charset=utf-8"}}, body);
    };
    desk.run(http, responder, std::move(work));
}

void embed(EmbeddingDesk& desk, const Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto e = std::make_shared<Embeddings>();
    for (std::string& text : fields.strings("input", kMostInputs)) e->inputs.emplace_back(std::move(text));
    e->options.truncate = fields.boolean("truncate").value_or(true);  // what its clients expect
    e->options.dimensions = static_cast<int>(fields.integer("dimensions", 0, 1 << 20).value_or(0));
    start(desk, service, http, responder, fields, e, false);
}

void embeddings(EmbeddingDesk& desk, const Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto e = std::make_shared<Embeddings>();
    // Without a prompt the model is only loaded.
    if (auto prompt = fields.string("prompt"); prompt && !prompt->empty()) e->inputs.emplace_back(std::move(*prompt));
    e->options.truncate = true;
    start(desk, service, http, responder, fields, e, true);
}

}  // namespace

std::vector<Route> ollama_embed_routes(Service& service) {
    const auto desk = std::make_shared<EmbeddingDesk>(service);
    constexpr const char* kSeveral = R"json({"type": "object", "required": ["model"],
  "properties": {"model": {"type": "string"}, "input": {"oneOf": [{"type": "string"}, {"type": "array", "items":
    {"type": "string"}}]}, "truncate": {"type": "boolean"}, "dimensions": {"type": "integer", "minimum": 0},
    "keep_alive": {"type": ["string", "number"]}}})json";
    constexpr const char* kOne = R"json({"type": "object", "required": ["model"],
  "properties": {"model": {"type": "string"}, "prompt": {"type": "string"}, "keep_alive": {"type": ["string", "number"]}}})json";
    const auto bind = [&desk, &service](auto function) {
        return [desk, &service, function](const RequestPtr& http, const ResponderPtr& responder) {
            function(*desk, service, http, responder);
        };
    };
    return {ollama_row("POST", "/api/embed", Role::user, "Turn texts into vectors", kSeveral, bind(embed)),
            ollama_row("POST", "/api/embeddings", Role::user, "Turn one text into a vector", kOne, bind(embeddings))};
}

}  // namespace freehold::server
