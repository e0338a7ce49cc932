// Texts to vectors, and documents in the order of how well they answer a question: encoders (BERT and its like) and,
// with their last row or the mean of their rows, models that write.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/engine/host.h"
#include "freehold/models/embedding_spec.h"

namespace freehold {

// A text, or ids that stand as they are (no special tokens are added).
using EmbedInput = std::variant<std::string, std::vector<Token>>;

struct EmbedOptions {
    // The first so many numbers of each vector, scaled to length 1 again (for models that were trained for it); 0: all.
    int dimensions = 0;
    // A text that is too long: true cuts its end off and says so in Embedding::left_out, false is Error{limit}.
    bool truncate = false;
    int max_tokens = 0;  // of a text, special tokens included; 0, or more than the model's own: the model's own
    std::size_t first_number = 0;  // of the inputs, in messages: for who hands them over in slices
    // Called between steps with inputs done; may throw Error{cancelled}.
    Progress progress;
};

struct TextVector {
    std::vector<float> vector;
    std::uint32_t tokens = 0;    // that were read, special ones included
    std::uint32_t left_out = 0;  // tokens at the end that were not
};

enum class RerankBy : std::uint8_t {
    classifier,  // a cross-encoder read question and document together
    cosine,      // of their vectors: the model has no classifier
};
struct RankedDocument {
    std::size_t index = 0;  // among the documents given
    float score = 0;        // classifier: 0 to 1 (the logistic function of `logit`); cosine: -1 to 1
    float logit = 0;        // classifier: as the model gave it; cosine: as score
    std::uint32_t tokens = 0, left_out = 0;
};
struct RerankResult {
    RerankBy by = RerankBy::classifier;
    std::vector<RankedDocument> documents;  // best first; equal scores by index
    std::uint64_t tokens = 0;               // read in all, the question counted as often as it was read
};

// Works in steps of some hundred rows, each with a turn on the host, so that engines and other embedders go on between
// them. Rows of texts lie behind each other without padding; a text's bits do not depend on its neighbours. Safe from
// any thread: calls alternate step by step.
class Embedder {
 public:
    // Error{unsupported} when the model has no weights, or makes its vectors in a way that is not computed;
    // Error{out_of_memory} when the memory of a step does not fit into the host's budget.
    Embedder(Host& host, std::shared_ptr<const LoadedModel> model);
    ~Embedder();
    Embedder(const Embedder&) = delete;
    Embedder& operator=(const Embedder&) = delete;

    [[nodiscard]] const EmbeddingSpec& spec() const noexcept;
    [[nodiscard]] const LoadedModel& model() const noexcept;
    // Whether rerank() reads question and document together.
    [[nodiscard]] bool has_classifier() const noexcept;

    // One for each input, in their order. Error{usage} for dimensions or ids outside the model's, or an input without a
    // token; Error{limit} for one that is too long; the message names its number (from 0).
    [[nodiscard]] std::vector<TextVector> embed(std::span<const EmbedInput> inputs, const EmbedOptions& options = {});
    // options.dimensions counts for the cosine only.
    [[nodiscard]] RerankResult rerank(const std::string& question, std::span<const std::string> documents,
                                      const EmbedOptions& options = {});

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Cosine of the angle between two vectors of equal size; 0 where one is all zeros.
[[nodiscard]] float cosine(std::span<const float> a, std::span<const float> b) noexcept;

}  // namespace freehold
