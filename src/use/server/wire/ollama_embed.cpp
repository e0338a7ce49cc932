// Ollama's POST /api/embed (several texts) and POST /api/embeddings (one, the older form).
#include <fmt/format.h>

#include "common.h"
#include "embedding_job.h"

namespace freehold::server {
namespace {

std::string ollama_error(const ErrorFacts& facts) {
    return to_json(Value(ValueMap{{"error", facts.message}}));
}

// "5m", "300s", seconds as a number; a negative one keeps the model for ever. Not given: as the server has it.
KeepAlive read_keep_alive(const Fields& fields) {
    const Value* const value = fields.find("keep_alive");
    if (value == nullptr) return {};
    double seconds = 0;
    if (const auto text = value->as_string()) {
        std::size_t used = 0;
        double unit = 1;
        try {
            seconds = std::stod(std::string(*text), &used);
        } catch (const std::exception&) {
            fields.fail("keep_alive", "keep_alive is no duration.", "Write 5m, 300s or a number of seconds.");
        }
        const std::string_view rest = std::string_view(*text).substr(used);
        if (rest == "ms")
            unit = 0.001;
        else if (rest == "m")
            unit = 60;
        else if (rest == "h")
            unit = 3600;
        else if (!rest.empty() && rest != "s")
            fields.fail("keep_alive", "keep_alive is no duration.", "Write 5m, 300s or a number of seconds.");
        seconds *= unit;
    } else {
        seconds = fields.number("keep_alive", -1e9, 1e9).value_or(0);
    }
    if (!(seconds < 1e9) || seconds < 0) return kKeepForever;
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

struct Embeddings {
    std::vector<EmbedInput> inputs;
    EmbedOptions options;
    std::string vectors;  // JSON lists, separated by commas
    std::uint64_t tokens = 0;
};

std::int64_t nanoseconds(double seconds) {
    return static_cast<std::int64_t>(seconds * 1e9);
}

void start(EmbeddingDesk& desk, const RequestPtr& http, const ResponderPtr& responder, const Fields& fields,
           const std::shared_ptr<Embeddings>& e, bool older) {
    EmbeddingWork work;
    work.model = fields.need_string("model");
    work.keep = read_keep_alive(fields);
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

void embed(EmbeddingDesk& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto e = std::make_shared<Embeddings>();
    for (std::string& text : fields.strings("input", kMostInputs)) e->inputs.emplace_back(std::move(text));
    e->options.truncate = fields.boolean("truncate").value_or(true);  // what its clients expect
    e->options.dimensions = static_cast<int>(fields.integer("dimensions", 0, 1 << 20).value_or(0));
    start(desk, http, responder, fields, e, false);
}

void embeddings(EmbeddingDesk& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto e = std::make_shared<Embeddings>();
    // Without a prompt the model is only loaded.
    if (auto prompt = fields.string("prompt"); prompt && !prompt->empty()) e->inputs.emplace_back(std::move(*prompt));
    e->options.truncate = true;
    start(desk, http, responder, fields, e, true);
}

}  // namespace

std::vector<Route> ollama_embed_routes(Service& service) {
    const auto desk = std::make_shared<EmbeddingDesk>(service);
    Route several;
    several.method = "POST";
    several.pattern = "/api/embed";
    several.error = ollama_error;
    several.handler = [desk](const RequestPtr& http, const ResponderPtr& responder) { embed(*desk, http, responder); };
    several.operation = R"json({"operationId": "ollamaEmbed", "tags": ["Ollama"], "summary": "Turn texts into vectors",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["model"],
  "properties": {"model": {"type": "string"}, "input": {"oneOf": [{"type": "string"}, {"type": "array", "items":
    {"type": "string"}}]}, "truncate": {"type": "boolean"}, "dimensions": {"type": "integer", "minimum": 0}}}}}},
"responses": {"200": {"description": "Vectors and durations", "content": {"application/json": {"schema":
  {"type": "object", "required": ["model", "embeddings"]}}}}, "400": {"description": "A fault in the request"},
  "404": {"description": "No such model"}}})json";
    Route one;
    one.method = "POST";
    one.pattern = "/api/embeddings";
    one.error = ollama_error;
    one.handler = [desk](const RequestPtr& http, const ResponderPtr& responder) { embeddings(*desk, http, responder); };
    one.operation =
        R"json({"operationId": "ollamaEmbeddings", "tags": ["Ollama"], "summary": "Turn one text into a vector",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["model"],
  "properties": {"model": {"type": "string"}, "prompt": {"type": "string"}}}}}},
"responses": {"200": {"description": "The vector", "content": {"application/json": {"schema":
  {"type": "object", "required": ["embedding"]}}}}, "400": {"description": "A fault in the request"},
  "404": {"description": "No such model"}}})json";
    return {several, one};
}

}  // namespace freehold::server
