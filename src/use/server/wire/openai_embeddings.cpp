// POST /v1/embeddings as OpenAI has it, and POST /v1/rerank as Jina and Cohere have it.
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>

#include "common.h"
#include "embedding_job.h"

namespace freehold::server {
namespace {

std::string base64(std::span<const float> numbers) {
    static_assert(std::endian::native == std::endian::little, "clients read little-endian floats");
    constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto* const bytes = reinterpret_cast<const unsigned char*>(numbers.data());
    const std::size_t n = numbers.size_bytes();
    std::string out;
    out.reserve((n + 2) / 3 * 4);
    for (std::size_t i = 0; i < n; i += 3) {
        const unsigned a = bytes[i], b = i + 1 < n ? bytes[i + 1] : 0U, c = i + 2 < n ? bytes[i + 2] : 0U;
        out += kLetters[a >> 2U];
        out += kLetters[(a & 3U) << 4U | b >> 4U];
        out += i + 1 < n ? kLetters[(b & 15U) << 2U | c >> 6U] : '=';
        out += i + 2 < n ? kLetters[c & 63U] : '=';
    }
    return out;
}

std::vector<Token> read_ids(const Fields& fields, const ValueList& list) {
    std::vector<Token> ids;
    for (const Value& item : list) {
        const auto* const id = item.get<std::int64_t>();
        if (id == nullptr || *id < 0 || *id > std::numeric_limits<Token>::max())
            fields.fail("input", "input holds something that is no token id.");
        ids.push_back(static_cast<Token>(*id));
    }
    if (ids.empty()) fields.fail("input", "input holds an empty list of ids.", "Give at least one token.");
    return ids;
}

std::vector<EmbedInput> read_inputs(const Fields& fields) {
    const Value* const value = fields.find("input");
    if (value == nullptr) fields.fail("input", "input is missing.", "Give a text, texts, or token ids.");
    if (const auto text = value->as_string()) return {std::string(*text)};
    const auto* const list = value->get<ValueList>();
    if (list == nullptr || list->empty())
        fields.fail("input", fmt::format("input is {}.", list == nullptr ? type_of(*value) : "an empty list"),
                    "Give a text, texts, or token ids.");
    if (list->front().get<std::int64_t>() != nullptr) return {read_ids(fields, *list)};
    if (list->size() > kMostInputs)
        fields.fail("input", fmt::format("input holds {} texts, but at most {} are taken.", list->size(), kMostInputs),
                    "Send several requests.");
    std::vector<EmbedInput> inputs;
    for (const Value& item : *list) {
        if (const auto text = item.as_string())
            inputs.emplace_back(std::string(*text));
        else if (const auto* const ids = item.get<ValueList>())
            inputs.emplace_back(read_ids(fields, *ids));
        else
            fields.fail("input", fmt::format("input holds {}.", type_of(item)), "Give texts, or lists of token ids.");
    }
    return inputs;
}

// truncate (true: leave the end out), or vLLM's truncate_prompt_tokens (-1: as many as the model reads).
void read_truncation(const Fields& fields, EmbedOptions& options) {
    options.truncate = fields.boolean("truncate").value_or(false);
    if (const auto most = fields.integer("truncate_prompt_tokens", -1, 1 << 24); most && *most != 0) {
        options.truncate = true;
        if (*most > 0) options.max_tokens = static_cast<int>(*most);
    }
}

// What one request gathers, slice by slice.
struct Embeddings {
    std::vector<EmbedInput> inputs;
    EmbedOptions options;
    bool as_base64 = false;
    std::string data;  // the JSON of the list's items
    std::uint64_t tokens = 0;
};

void embed(Embeddings& e, Embedder& embedder, std::size_t begin, std::size_t end) {
    const auto vectors = embed_slice(embedder, e.inputs, begin, end, e.options);
    for (std::size_t i = begin; i < end; ++i) {
        const TextVector& v = vectors[i - begin];
        e.tokens += v.tokens;
        if (!e.data.empty()) e.data += ',';
        e.data += fmt::format(R"({{"object":"embedding","index":{},)", i);
        if (v.left_out > 0) e.data += fmt::format(R"("left_out":{},)", v.left_out);
        e.data += "\"embedding\":";
        e.data += e.as_base64 ? '"' + base64(v.vector) + '"' : json_numbers(v.vector);
        e.data += '}';
    }
}

void embeddings(EmbeddingDesk& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto e = std::make_shared<Embeddings>();
    e->inputs = read_inputs(fields);
    e->options.dimensions = static_cast<int>(fields.integer("dimensions", 1, 1 << 20).value_or(0));
    read_truncation(fields, e->options);
    const std::string format = fields.string("encoding_format").value_or("float");
    e->as_base64 = format == "base64";
    if (!e->as_base64 && format != "float")
        fields.fail("encoding_format", fmt::format("encoding_format is \"{}\".", format.substr(0, 40)),
                    "It is float or base64.");
    EmbeddingWork work;
    work.model = fields.string("model").value_or("");
    work.items = e->inputs.size();
    work.slice = [e](Embedder& embedder, std::size_t begin, std::size_t end) { embed(*e, embedder, begin, end); };
    work.finish = [e, responder](const ServedModel& served, const Embedder&, double, double) {
        responder->note("prompt_tokens", Value(e->tokens));
        responder->send(
            200, {{"Content-Type", "application/json"}},
            fmt::format(
                R"({{"object":"list","data":[{}],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                e->data, to_json(Value(served.name)), e->tokens, e->tokens));
    };
    desk.run(http, responder, std::move(work));
}

struct Reranking {
    std::string question;
    std::vector<std::string> documents;
    EmbedOptions options;
    std::size_t top = 0;
    bool with_documents = false;
    RerankResult result;
};

std::vector<std::string> read_documents(const Fields& fields) {
    const ValueList* const list = fields.list("documents");
    if (list == nullptr || list->empty())
        fields.fail("documents", "documents is missing or empty.", "Give a list of texts, or of objects with a text.");
    if (list->size() > kMostInputs)
        fields.fail("documents",
                    fmt::format("documents holds {} texts, but at most {} are taken.", list->size(), kMostInputs));
    std::vector<std::string> documents;
    for (const Value& item : *list) {
        const auto* const map = item.get<ValueMap>();
        const Value* const text = map == nullptr ? &item : map->find("text");
        if (text == nullptr || !text->as_string())
            fields.fail("documents", fmt::format("documents holds {} without a text.", type_of(item)),
                        "Give texts, or objects with a text.");
        documents.emplace_back(*text->as_string());
    }
    return documents;
}

void answer_ranks(Responder& responder, const Reranking& r, const ServedModel& served) {
    ValueList results;
    for (const RankedDocument& d : std::span(r.result.documents).first(r.top)) {
        ValueMap one;
        one.set("index", static_cast<std::int64_t>(d.index));
        one.set("relevance_score", static_cast<double>(d.score));
        if (d.left_out > 0) one.set("left_out", static_cast<std::int64_t>(d.left_out));
        if (r.with_documents) one.set("document", ValueMap{{"text", r.documents[d.index]}});
        results.emplace_back(std::move(one));
    }
    const auto tokens = static_cast<std::int64_t>(r.result.tokens);
    ValueMap body;
    body.set("id", fresh_id("rerank-"));
    body.set("object", "list");
    body.set("model", served.name);
    body.set("scored_by", r.result.by == RerankBy::classifier ? "classifier" : "cosine");
    body.set("results", std::move(results));
    body.set("usage", ValueMap{{"prompt_tokens", tokens}, {"total_tokens", tokens}});
    responder.note("prompt_tokens", Value(tokens));
    send_json(responder, 200, body);
}

void rerank(EmbeddingDesk& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    auto r = std::make_shared<Reranking>();
    r->question = fields.need_string("query");
    r->documents = read_documents(fields);
    r->top =
        std::min(r->documents.size(), static_cast<std::size_t>(fields.integer("top_n", 1, 1 << 30).value_or(1 << 30)));
    r->with_documents = fields.boolean("return_documents").value_or(false);
    read_truncation(fields, r->options);
    EmbeddingWork work;
    work.model = fields.string("model").value_or("");
    work.items = r->documents.size();
    work.slice = [r](Embedder& embedder, std::size_t begin, std::size_t end) {
        rerank_slice(embedder, r->question, r->documents, begin, end, r->options, r->result);
    };
    work.finish = [r, responder](const ServedModel& served, const Embedder&, double, double) {
        answer_ranks(*responder, *r, served);
    };
    desk.run(http, responder, std::move(work));
}

}  // namespace

std::vector<Route> openai_embeddings_routes(Service& service) {
    const auto desk = std::make_shared<EmbeddingDesk>(service);
    Route vectors;
    vectors.method = "POST";
    vectors.pattern = "/v1/embeddings";
    vectors.handler = [desk](const RequestPtr& http, const ResponderPtr& responder) {
        embeddings(*desk, http, responder);
    };
    vectors.operation =
        R"json({"operationId": "createEmbedding", "tags": ["OpenAI"], "summary": "Turn texts into vectors",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["input"],
  "properties": {"model": {"type": "string"}, "encoding_format": {"enum": ["float", "base64"]},
    "input": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 2048}]},
    "dimensions": {"type": "integer", "minimum": 1}, "truncate": {"type": "boolean"},
    "truncate_prompt_tokens": {"type": "integer", "minimum": -1}, "user": {"type": "string"}}}}}},
"responses": {"200": {"description": "A vector for each input", "content": {"application/json": {"schema":
  {"type": "object", "required": ["object", "data", "model", "usage"]}}}}, "400": {"description": "A fault in the request"},
  "404": {"description": "No such model"}}})json";
    Route ranks;
    ranks.method = "POST";
    ranks.pattern = "/v1/rerank";
    ranks.handler = [desk](const RequestPtr& http, const ResponderPtr& responder) { rerank(*desk, http, responder); };
    ranks.operation = R"json({"operationId": "rerank", "tags": ["Rerank"],
"summary": "Put documents in the order of how well they answer a query",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
  "required": ["query", "documents"], "properties": {"model": {"type": "string"}, "query": {"type": "string"},
    "documents": {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"oneOf": [{"type": "string"},
      {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}]}},
    "top_n": {"type": "integer", "minimum": 1}, "return_documents": {"type": "boolean"},
    "truncate": {"type": "boolean"}, "truncate_prompt_tokens": {"type": "integer", "minimum": -1}}}}}},
"responses": {"200": {"description": "Index and relevance_score of the documents, best first", "content":
  {"application/json": {"schema": {"type": "object", "required": ["model", "results", "usage"]}}}},
  "400": {"description": "A fault in the request"}, "404": {"description": "No such model"}}})json";
    Route older = ranks;
    older.pattern = "/rerank";
    older.operation = std::string(ranks.operation).replace(ranks.operation.find("\"rerank\""), 8, "\"rerankPlain\"");
    return {vectors, ranks, older};
}

}  // namespace freehold::server
