// Embeddings and rerankings behind HTTP, whatever the dialect: the model is taken from the pool, the inputs go through
// it slice by slice on the workers, and a client that goes away ends the work at the next slice.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "freehold/engine/embed.h"
#include "freehold/server/service.h"

namespace freehold::server {

inline constexpr std::size_t kMostInputs = 2048;  // of one request

struct EmbeddingWork {
    std::string model;  // empty: the default model
    KeepAlive keep;
    ErrorShape shape = openai_error;
    std::size_t items = 0;
    // Called for [begin, end) of the items, in order; then `finish`, which answers.
    std::function<void(Embedder&, std::size_t begin, std::size_t end)> slice;
    std::function<void(const ServedModel&, const Embedder&, double load_seconds, double seconds)> finish;
};
// Where the routes of embeddings leave their work. They hold it; when the last of them goes (with the server's table),
// it waits for what runs, so that no work outlives the pool.
class EmbeddingDesk {
 public:
    explicit EmbeddingDesk(Service& service);
    ~EmbeddingDesk();
    EmbeddingDesk(const EmbeddingDesk&) = delete;
    EmbeddingDesk& operator=(const EmbeddingDesk&) = delete;
    // Returns at once. Throws RequestError for a model that is not there or that this principal may not use.
    void run(const RequestPtr& http, const ResponderPtr& responder, EmbeddingWork work);

    struct State;

 private:
    std::shared_ptr<State> state_;
};

// inputs[begin, end) of a request that goes through in slices: messages count from the first of all.
[[nodiscard]] std::vector<TextVector> embed_slice(Embedder& embedder, std::span<const EmbedInput> inputs,
                                                  std::size_t begin, std::size_t end, EmbedOptions options);
// The same for documents; `result` grows and stays in order, best first.
void rerank_slice(Embedder& embedder, const std::string& question, std::span<const std::string> documents,
                  std::size_t begin, std::size_t end, EmbedOptions options, RerankResult& result);

// The shortest decimals that are these floats, as a JSON list.
[[nodiscard]] std::string json_numbers(std::span<const float> numbers);

}  // namespace freehold::server
