// /v1/embeddings, /v1/rerank and Ollama's two routes over tiny encoders, called as the server calls them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "embedding_job.h"
#include "freehold/server/errors.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;

// Keeps the answer and lets the test wait for it.
class Answer final : public Responder {
 public:
    void send(int status, Headers, std::string body) override {
        const std::lock_guard lock(mutex_);
        status_ = status;
        body_ = std::move(body);
        changed_.notify_all();
    }
    void begin(int, Headers) override {}
    void write(std::string_view) override {}
    void end() override {}
    [[nodiscard]] bool begun() const noexcept override { return false; }
    [[nodiscard]] bool gone() const noexcept override { return false; }
    void on_gone(std::function<void()>) override {}
    void note(std::string, Value) override {}

    std::pair<int, Value> wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return status_ != 0; });
        return {status_, parse_json(body_, "the answer")};
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int status_ = 0;
    std::string body_;
};

const Value& at(const Value& value, std::string_view path) {
    const auto* map = value.get<ValueMap>();
    const Value* found = map == nullptr ? nullptr : find(*map, path);
    if (found == nullptr) throw std::runtime_error("no " + std::string(path) + " in " + to_json(value));
    return *found;
}

std::vector<float> floats(const Value& list) {
    std::vector<float> out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<float>(*list.at(i).as_double()));
    return out;
}

// Six bits a letter, little-endian floats.
std::vector<float> from_base64(std::string_view text) {
    std::string bytes;
    unsigned bits = 0;
    int have = 0;
    for (const char c : text) {
        if (c == '=') break;
        const unsigned v = c >= 'a'   ? c - 'a' + 26U
                           : c >= 'A' ? c - 'A' + 0U
                           : c >= '0' ? c - '0' + 52U
                           : c == '+' ? 62U
                                      : 63U;
        bits = bits << 6U | v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes += static_cast<char>(bits >> static_cast<unsigned>(have) & 0xFFU);
        }
    }
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
    return out;
}

class EmbeddingRoutes : public testing::Test {
 protected:
    void SetUp() override {
        for (Route& r : openai_embeddings_routes(service_)) routes_.push_back(std::move(r));
        for (Route& r : ollama_embed_routes(service_)) routes_.push_back(std::move(r));
    }
    void TearDown() override {
        routes_.clear();  // waits for what runs
        fs::remove_all(home_);
    }
    std::pair<int, Value> post(const std::string& path, const std::string& body, std::vector<std::string> models = {}) {
        auto request = std::make_shared<HttpRequest>();
        request->method = "POST";
        request->path = path;
        request->body = body;
        request->headers = {{"content-type", "application/json"}};
        request->principal.models = std::move(models);
        auto answer = std::make_shared<Answer>();
        for (const Route& r : routes_) {
            if (r.pattern != path) continue;
            try {
                r.handler(request, answer);
            } catch (...) {
                send_current_error(*answer, r.error);
            }
            return answer->wait();
        }
        ADD_FAILURE() << "no route " << path;
        return {0, Value()};
    }
    static PoolOptions options() {
        PoolOptions o;
        const std::string root = FREEHOLD_SOURCE_DIR "/tests/";
        o.aliases = {{"tiny", root + "golden/encoders/bert"},
                     {"judge", root + "golden/encoders/bert-cross"},
                     {"writer", root + "data/stories260K"}};
        o.default_model = "tiny";
        return o;
    }

    fs::path home_ = fs::path(testing::TempDir()) / ("freehold_embeddings_" + std::to_string(::getpid()));
    Host host_{{.threads = 2}};
    Workers workers_{2};
    Metrics metrics_;
    ModelPool pool_{host_, Store::open(home_), workers_, options()};
    Generator generator_{pool_, workers_, metrics_};
    std::unique_ptr<Gate> gate_ = make_loopback_gate();
    Service service_{pool_, generator_, workers_, metrics_, *gate_, "test"};
    std::vector<Route> routes_;
};

TEST_F(EmbeddingRoutes, TextsAndIdsAndBothFormats) {
    const auto [status, one] = post("/v1/embeddings", R"({"model": "tiny", "input": "The house is light."})");
    ASSERT_EQ(status, 200) << to_json(one);
    EXPECT_EQ(at(one, "object").as_string(), "list");
    EXPECT_EQ(at(one, "model").as_string(), "tiny");
    EXPECT_EQ(at(one, "usage.prompt_tokens").as_int(), 7);
    EXPECT_EQ(at(one, "usage.total_tokens").as_int(), 7);
    const std::vector<float> want = floats(at(at(one, "data").at(0), "embedding"));
    ASSERT_EQ(want.size(), 32U);
    // The same text as ids, among others, and as base64: the same bits.
    const auto [code, many] =
        post("/v1/embeddings", R"({"model": "tiny", "encoding_format": "base64", "input": ["the sea",
        "The house is light."]})");
    ASSERT_EQ(code, 200);
    EXPECT_EQ(at(at(many, "data").at(1), "index").as_int(), 1);
    EXPECT_EQ(from_base64(*at(at(many, "data").at(1), "embedding").as_string()), want);
    const auto [c2, ids] = post("/v1/embeddings", R"({"input": [[2, 73, 79, 84, 80, 67, 3], [2, 3]]})");
    EXPECT_EQ(floats(at(at(ids, "data").at(0), "embedding")), want);
    const auto [c3, flat] = post("/v1/embeddings", R"({"input": [2, 73, 79, 84, 80, 67, 3]})");
    EXPECT_EQ(floats(at(at(flat, "data").at(0), "embedding")), want);
    const auto [c4, short_] = post("/v1/embeddings", R"({"input": "The house is light.", "dimensions": 4})");
    EXPECT_EQ(at(at(short_, "data").at(0), "embedding").size(), 4U);
    const auto [c5, writer] = post("/v1/embeddings", R"({"model": "writer", "input": "Once upon a time"})");
    EXPECT_EQ(c5, 200) << to_json(writer);
}

TEST_F(EmbeddingRoutes, ManyInputsGoThroughInSlices) {
    std::string inputs;
    for (int i = 0; i < 100; ++i)
        inputs += (i > 0 ? "," : "") + std::string(i % 2 == 0 ? "\"sea\"" : "\"stone house\"");
    const auto [status, many] = post("/v1/embeddings", R"({"input": [)" + inputs + "]}");
    ASSERT_EQ(status, 200);
    const Value& data = at(many, "data");
    ASSERT_EQ(data.size(), 100U);
    for (std::size_t i = 0; i < 100; ++i) {
        EXPECT_EQ(at(data.at(i), "index").as_int(), static_cast<std::int64_t>(i));
        EXPECT_EQ(floats(at(data.at(i), "embedding")), floats(at(data.at(i % 2), "embedding")));
    }
    std::string long_text(600, 'x');
    for (std::size_t i = 1; i < long_text.size(); i += 2) long_text[i] = ' ';
    const auto [code, fault] = post("/v1/embeddings", R"({"input": [)" + inputs + ",\"" + long_text + "\"]}");
    EXPECT_EQ(code, 400);
    EXPECT_NE(at(fault, "error.message").as_string()->find("Input 100 has"), std::string_view::npos) << to_json(fault);
    const auto [c2, cut] = post("/v1/embeddings", R"({"truncate": true, "input": ")" + long_text + "\"}");
    EXPECT_EQ(c2, 200);
    EXPECT_EQ(at(at(cut, "data").at(0), "left_out").as_int(), 262);
}

TEST_F(EmbeddingRoutes, FaultsNameTheField) {
    for (const char* body :
         {R"({})", R"({"input": []})", R"({"input": 5})", R"({"input": [true]})", R"({"input": [[]]})",
          R"({"input": "a", "encoding_format": "hex"})", R"({"input": "a", "dimensions": 0})",
          R"({"input": "a", "dimensions": 33})", R"({"input": [[999]]})", R"({"input": ["a", [1, "x"]]})"}) {
        const auto [status, fault] = post("/v1/embeddings", body);
        EXPECT_EQ(status, 400) << body;
        EXPECT_FALSE(at(fault, "error.message").as_string()->empty());
    }
    EXPECT_EQ(post("/v1/embeddings", R"({"model": "nobody", "input": "a"})").first, 404);
    EXPECT_EQ(post("/v1/embeddings", R"({"model": "tiny", "input": "a"})", {"judge"}).first, 403);
    EXPECT_EQ(post("/v1/embeddings", R"({"model": "judge", "input": "a"})", {"judge"}).first, 200);
}

TEST_F(EmbeddingRoutes, RerankSortsByTheModelsJudgement) {
    for (const char* model : {"judge", "tiny"}) {
        const auto [status, r] =
            post("/v1/rerank", std::string(R"({"model": ")") + model + R"(", "query": "stone house",
            "documents": ["the wind", {"text": "stone house"}, "12.5", "sea"], "return_documents": true})");
        ASSERT_EQ(status, 200) << to_json(r);
        EXPECT_EQ(at(r, "scored_by").as_string(), std::string_view(model) == "judge" ? "classifier" : "cosine");
        const Value& results = at(r, "results");
        ASSERT_EQ(results.size(), 4U);
        for (std::size_t i = 1; i < 4; ++i)
            EXPECT_GE(*at(results.at(i - 1), "relevance_score").as_double(),
                      *at(results.at(i), "relevance_score").as_double());
        EXPECT_EQ(at(r, "usage.total_tokens").as_int().value_or(0) > 0, true);
        if (std::string_view(model) == "tiny") {
            EXPECT_EQ(at(results.at(0), "index").as_int(), 1);
            EXPECT_EQ(at(results.at(0), "document.text").as_string(), "stone house");
        }
        const auto [code, two] = post("/rerank", std::string(R"({"model": ")") + model + R"(", "query": "stone house",
            "documents": ["the wind", "stone house", "12.5", "sea"], "top_n": 2})");
        ASSERT_EQ(at(two, "results").size(), 2U);
        EXPECT_EQ(to_json(at(at(two, "results").at(0), "relevance_score")),
                  to_json(at(results.at(0), "relevance_score")));
        EXPECT_EQ(at(two, "results").at(0).get<ValueMap>()->find("document"), nullptr);
    }
    EXPECT_EQ(post("/v1/rerank", R"({"query": "a"})").first, 400);
    EXPECT_EQ(post("/v1/rerank", R"({"query": "a", "documents": []})").first, 400);
    EXPECT_EQ(post("/v1/rerank", R"({"query": "a", "documents": [{"title": "x"}]})").first, 400);
    EXPECT_EQ(post("/v1/rerank", R"({"documents": ["a"]})").first, 400);
}

TEST_F(EmbeddingRoutes, OllamasTwoForms) {
    const auto [status, r] =
        post("/api/embed", R"({"model": "tiny", "input": ["the sea", "stone"], "keep_alive": "5m"})");
    ASSERT_EQ(status, 200) << to_json(r);
    EXPECT_EQ(at(r, "embeddings").size(), 2U);
    EXPECT_EQ(at(r, "prompt_eval_count").as_int(), 4 + 3);
    EXPECT_GT(*at(r, "total_duration").as_int(), 0);
    const auto [code, one] = post("/api/embeddings", R"({"model": "tiny", "prompt": "the sea"})");
    EXPECT_EQ(floats(at(one, "embedding")), floats(at(r, "embeddings").at(0)));
    EXPECT_EQ(at(post("/api/embeddings", R"({"model": "tiny"})").second, "embedding").size(), 0U);
    const auto [c2, fault] = post("/api/embed", R"({"model": "tiny", "input": "a", "keep_alive": "soon"})");
    EXPECT_EQ(c2, 400);
    EXPECT_FALSE(at(fault, "error").as_string()->empty());
    EXPECT_EQ(post("/api/embed", R"({"input": "a"})").first, 400);
}

TEST_F(EmbeddingRoutes, AnEncoderAnswersNoChat) {
    const ModelLease lease = pool_.acquire("tiny");
    EXPECT_EQ(lease->engine, nullptr);
    EXPECT_NE(lease->embedder, nullptr);
}

}  // namespace
}  // namespace freehold::server
