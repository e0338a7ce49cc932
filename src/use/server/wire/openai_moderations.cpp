// POST /v1/moderations: the configured safeguards over texts, in OpenAI's shape.
#include <fmt/format.h>

#include <set>

#include "common.h"
#include "freehold/server/safeguards.h"

namespace freehold::server {
namespace {

constexpr std::size_t kMostTexts = 1024;

std::string part_text(const Fields& fields, const ValueMap& map) {
    const Fields part(map, "input");
    const std::string type = part.need_string("type");
    if (type == "image_url")
        fields.fail("input", "input holds an image, and the safeguards here read text only.", "Leave images away.");
    if (type != "text")
        fields.fail("input", fmt::format("input holds a part of type \"{}\".", type.substr(0, 40)), "It is text.");
    return part.need_string("text");
}

// A text or parts of one: one result. Several texts: one each.
std::vector<std::string> read_texts(const Fields& fields) {
    const Value* const value = fields.find("input");
    if (value == nullptr) fields.fail("input", "input is missing.", "Give a text, texts, or parts of type text.");
    if (const auto text = value->as_string()) return {std::string(*text)};
    if (const auto* texts = value->get<std::vector<std::string>>(); texts != nullptr && !texts->empty()) return *texts;
    const auto* const list = value->get<ValueList>();
    if (list == nullptr || list->empty())
        fields.fail("input", fmt::format("input is {}.", list == nullptr ? type_of(*value) : "an empty list"),
                    "Give a text, texts, or parts of type text.");
    if (list->size() > kMostTexts)
        fields.fail("input", fmt::format("input holds {} texts, but at most {} are taken.", list->size(), kMostTexts),
                    "Send several requests.");
    std::vector<std::string> texts;
    std::string joined;
    for (const Value& item : *list) {
        if (const auto text = item.as_string()) {
            texts.emplace_back(*text);
        } else if (const auto* map = item.get<ValueMap>()) {
            joined += (joined.empty() ? "" : "\n") + part_text(fields, *map);
        } else {
            fields.fail("input", fmt::format("input holds {}.", type_of(item)), "Give texts, or parts of type text.");
        }
    }
    if (!texts.empty() && texts.size() != list->size())
        fields.fail("input", "input holds texts and parts.", "Give one or the other.");
    if (texts.empty()) texts.push_back(std::move(joined));
    return texts;
}

// OpenAI's names always, and those that the operator's guards found or may find.
std::set<std::string> categories_of(const safeguards::Config& config) {
    std::set<std::string> names(safeguards::kCommonCategories.begin(), safeguards::kCommonCategories.end());
    for (const auto& guard : config.guards) {
        for (const auto& rule : guard.rules) names.insert(rule.category);
        if (guard.model.empty()) continue;
        for (const auto& [code, category] : guard.codes) {
            if (!category.empty()) names.insert(category);
        }
    }
    return names;
}

Value result_json(const safeguards::Config& config, const std::map<std::string, double>& found,
                  const std::vector<safeguards::Decision>& unjudged) {
    std::set<std::string> names = categories_of(config);
    for (const auto& [category, score] : found) names.insert(category);
    ValueMap categories, scores, types;
    bool flagged = false;
    for (const std::string& name : names) {
        const auto hit = found.find(name);
        const double score = hit == found.end() ? 0.0 : hit->second;
        const bool counts = hit != found.end() && score >= safeguards::threshold_of(config, name);
        flagged = flagged || counts;
        categories.set(name, counts);
        scores.set(name, score);
        types.set(name, ValueList{Value("text")});
    }
    ValueMap result;
    result.set("flagged", flagged);
    result.set("categories", std::move(categories));
    result.set("category_scores", std::move(scores));
    result.set("category_applied_input_types", std::move(types));
    if (!unjudged.empty()) {
        ValueList guards;
        for (const safeguards::Decision& decision : unjudged) guards.emplace_back(decision.guard);
        result.set("unjudged", std::move(guards));
    }
    return result;
}

void answer(Responder& responder, const safeguards::Config& config, const SafeguardFindings& findings,
            const std::string& model) {
    // A guard that was to be relied upon and could not judge: an answer without it would look like a clean text.
    for (const safeguards::Decision& decision : findings.decisions) {
        if (decision.verdict != safeguards::Verdict::unjudged || !decision.stops) continue;
        throw RequestError(503, ErrorKind::busy,
                           fmt::format("The safeguard {} could not judge this text: {}.", decision.guard, decision.why),
                           "Shorten the text, or try again.", "input", "safeguard_unavailable", 5);
    }
    ValueList results;
    for (std::size_t i = 0; i < findings.scores.size(); ++i)
        results.push_back(result_json(config, findings.scores[i], findings.text_unjudged[i]));
    ValueMap body;
    body.set("id", fresh_id("modr-"));
    body.set("model", model);
    body.set("results", std::move(results));
    send_json(responder, 200, body);
}

void moderate(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    std::vector<std::string> texts = read_texts(fields);
    // Which guards answer is the operator's choice; the field is there for clients that always send it.
    static_cast<void>(fields.string("model"));
    Safeguards* const guards = service.generator.safeguards();
    if (guards == nullptr) {
        throw RequestError(400, ErrorKind::unsupported, "No safeguards are configured on this server.",
                           "Name a file of guards: freehold serve --safeguards FILE (docs/safeguards.md).", {},
                           "safeguards_not_configured");
    }
    std::shared_ptr<Books> books = http->principal.books;
    if (books) books->asked(texts.size() == 1 ? texts.front() : to_json(Value(texts)));
    std::vector<JudgedText> judged;
    for (std::string& text : texts) judged.push_back({text, text, {}});
    guards->judge(Safeguards::Place::moderation, std::move(judged), http->principal.tenant,
                  [guards, responder, books](const SafeguardFindings& findings) {
                      if (books) {
                          for (const safeguards::Decision& decision : findings.decisions)
                              books->judged(decision_text(Safeguards::Place::moderation, decision), false);
                      }
                      try {
                          answer(*responder, guards->config(), findings, "freehold-safeguards");
                      } catch (...) {
                          send_current_error(*responder);
                      }
                  });
}

constexpr const char* kOperation = R"json({
"operationId": "createModeration", "tags": ["OpenAI"], "summary": "Judge texts by the configured safeguards",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["input"],
  "properties": {"model": {"type": "string"},
    "input": {"oneOf": [{"type": "string"},
      {"type": "array", "minItems": 1, "maxItems": 1024, "items": {"type": "string"}},
      {"type": "array", "minItems": 1, "maxItems": 1024, "items": {"type": "object", "required": ["type", "text"],
        "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]}}}}}},
"responses": {"200": {"description": "One result for each text: flagged, categories, category_scores",
  "content": {"application/json": {"schema": {"type": "object", "required": ["id", "model", "results"]}}}},
  "400": {"description": "A fault in the request, or no safeguards are configured"},
  "503": {"description": "A guard could not judge the text"}}
})json";

}  // namespace

std::vector<Route> openai_moderations_routes(Service& service) {
    Route route;
    route.method = "POST";
    route.pattern = "/v1/moderations";
    route.handler = [&service](const RequestPtr& request, const ResponderPtr& responder) {
        moderate(service, request, responder);
    };
    route.operation = kOperation;
    return {route};
}

}  // namespace freehold::server
