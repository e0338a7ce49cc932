// Bodies of every dialect: the first byte chooses the route, the rest is the body. Each must become one request in the
// shape that templates and the engine expect, or one answer that is no fault of ours; templates in Go's language must
// become Jinja that can be read.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "freehold/server/errors.h"
#include "freehold/text/chat_template.h"
#include "fuzz.h"
#include "request_stand_ins.h"
#include "wire/created_model.h"
#include "wire/fields.h"
#include "wire/go_template.h"

namespace {

using namespace freehold;
using namespace freehold::server;

// In the order of the letters with which the seeds begin: a, b, c, ...
constexpr std::array kPatterns = {
    "/v1/chat/completions", "/v1/completions", "/v1/responses",  "/v1/messages", "/v1/messages/count_tokens",
    "/api/generate",        "/api/chat",       "/v1/embeddings", "/v1/rerank",   "/api/embed",
    "/api/embeddings"};

class Answers final : public Responder {
 public:
    int sent = 0, status = 0;
    void send(int code, Headers, std::string body) override {
        ++sent;
        status = code;
        if (!body.empty()) static_cast<void>(parse_json(body, "the answer"));
    }
    void begin(int code, Headers) override {
        ++sent;
        status = code;
    }
    void write(std::string_view) override {}
    void end() override {}
    [[nodiscard]] bool begun() const noexcept override { return sent > 0; }
    [[nodiscard]] bool gone() const noexcept override { return false; }
    void on_gone(std::function<void()>) override {}
    void note(std::string, Value) override {}
};

const std::vector<Route>& routes() {
    static const std::vector<Route> found = [] {
        std::vector<Route> all, chosen;
        for (auto* table : {openai_chat_routes, openai_completions_routes, openai_responses_routes, anthropic_routes,
                            ollama_routes, openai_embeddings_routes, ollama_embed_routes}) {
            for (Route& route : table(fuzz::service())) all.push_back(std::move(route));
        }
        for (const char* pattern : kPatterns) {
            for (const Route& route : all) {
                if (route.method == "POST" && route.pattern == pattern) chosen.push_back(route);
            }
        }
        fuzz::require(chosen.size() == kPatterns.size());
        return chosen;
    }();
    return found;
}

void ask(const Route& route, std::string_view body) {
    auto http = std::make_shared<HttpRequest>();
    http->method = route.method;
    http->path = route.pattern;
    http->body = body;
    auto answers = std::make_shared<Answers>();
    const std::uint64_t before = fuzz::generations();
    const auto fine = [&] {
        fuzz::require(answers->sent <= 1 && answers->status < 500);
        fuzz::require(fuzz::generations() - before <= 1);
        fuzz::planted_bug(fuzz::generations() > before && body.find("\"seed\":1") != std::string_view::npos);
    };
    try {
        route.handler(http, answers);
        fine();
    } catch (const Error&) {
        // As the edge does it.
        fuzz::require(!answers->begun());
        send_current_error(*answers, route.error);
        fine();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return fuzz::run([&] {
        if (size < 1) return;
        const std::string_view text = fuzz::as_text(data + 1, size - 1);
        const std::size_t which = (data[0] + 256U - 'a') % 256U % (kPatterns.size() + 2);
        if (which < kPatterns.size()) return ask(routes()[which], text);
        if (which == kPatterns.size()) {
            const std::string jinja = jinja_from_go(text);
            return static_cast<void>(ChatTemplate::parse(jinja));
        }
        HttpRequest http;
        http.body = text;
        const ValueMap parameters = read_body(http);
        check_parameters(parameters);
        static_cast<void>(parameter_lines(parameters));
    });
}
