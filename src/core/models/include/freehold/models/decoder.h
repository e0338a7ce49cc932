// The one forward pass (law 1). Chat, serving, evaluation, explanation and training run this Decoder over the same
// weights. An encoder (BERT) is a Decoder too: one whose rows see the whole sequence and which has no head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/panel_file.h"
#include "freehold/kernels/weight.h"
#include "freehold/models/spec.h"
#include "freehold/ops/batch.h"
#include "freehold/ops/ends.h"
#include "freehold/ops/exec.h"
#include "freehold/ops/kv.h"
#include "freehold/ops/probe.h"

namespace freehold {

class AdapterFiles;  // formats/adapter_files.h

struct LoadOptions {
    Profile profile = Profile::q8;  // see default_profile()
    bool repack = true;             // panels at load; false: expand on the fly (less memory, slower)
    // Changes the blueprint after the family's page and before any tensor is read: experiments, and the tests that show
    // that every switch matters.
    std::function<void(DecoderSpec&)> adjust;
    // Panels that were kept from before. Weights that it has as they would be made here are mapped from it instead; the
    // others are packed. Not for training.
    std::shared_ptr<const PanelFile> panels = nullptr;
    // The longest sequence that will be asked for; 0: what the model has without stretching its rotation. More than
    // that turns on longrope's long factors and dynamic scaling (spec.h, settle_context).
    int context = 0;
};

class Decoder {
 public:
    // Builds the blueprint by the family's page, checks that every required tensor is there with the right shape,
    // prepares weights. Throws Error{unsupported} for an unknown architecture, Error{bad_file} naming tensor or key
    // otherwise.
    static std::shared_ptr<const Decoder> load(std::shared_ptr<const ModelFiles> files, const LoadOptions& options,
                                               ThreadPool& threads);
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    [[nodiscard]] const DecoderSpec& spec() const noexcept;
    [[nodiscard]] Profile profile() const noexcept;
    [[nodiscard]] KvLayout kv_layout(KvType type) const;
    // Scratch that forward() takes at most, for a batch of `rows` of which `logit_rows` want logits.
    // n_threads: of the pool that will run it; 0 means the pool that load() got.
    [[nodiscard]] std::size_t scratch_bytes(std::size_t rows, std::size_t logit_rows, int n_threads = 0) const noexcept;
    // logits: [number of wanting rows][vocab], in row order. Writes K and V of every row to its sequence's pages, then
    // attends over the pages. Tokens must be in [0, vocab), positions in [0, context): the engine checks requests.
    // Error{unsupported} for a model without a head.
    void forward(Exec& exec, const Batch& batch, std::span<float> logits) const;
    // The same forward with another end: the log-probability of targets[t] after row t, without the logits of the batch
    // ever existing together; rows whose target is kNoTarget get 0. wants_logits is not read. With exec.tape set this
    // is training: `upstream` [rows] is read when the tape runs backwards, and must live until then.
    void logprobs(Exec& exec, const Batch& batch, std::span<const Token> targets, std::span<double> out,
                  std::span<const float> upstream = {}) const;
    [[nodiscard]] std::size_t logprob_scratch_bytes(std::size_t rows, int n_threads = 0) const noexcept;

    // The same forward with two ends for texts as a whole: one vector for each segment, [segments][d_model], from its
    // rows behind the last layer (and the final norm, if there is one); or what the classifier says of each segment,
    // [segments][n_labels], Error{unsupported} when the model has none. A segment that is not causal must be whole in
    // its batch. scratch_bytes(rows, segments) is enough for both.
    void embeddings(Exec& exec, const Batch& batch, Pooling pooling, std::span<float> out) const;
    void scores(Exec& exec, const Batch& batch, std::span<float> out) const;

    // --- encoder-decoders (spec().encoder): forward() and logprobs() read SeqRef::cross, which encode() has written
    // before. Texts of a batch must be whole; their own keys and values (SeqRef::pages) may go afterwards.
    [[nodiscard]] KvLayout encoder_layout(KvType type) const;
    [[nodiscard]] KvLayout cross_layout(KvType type) const;
    void encode(Exec& exec, const Batch& batch) const;
    [[nodiscard]] std::size_t encode_scratch_bytes(std::size_t rows, int n_threads = 0) const noexcept;

    // An adapter as this model's rows use it (SeqRef::adapter): its pairs found by the names of the family's table, in
    // whatever container the model itself came, and held against the model's shapes. Valid for this decoder and as long
    // as it lives. Error{bad_file} naming tensor and shapes where it does not fit, Error{unsupported} for tensors that
    // have no place.
    [[nodiscard]] std::shared_ptr<const Adapter> adapt(const AdapterFiles& files, ThreadPool& threads) const;

    [[nodiscard]] std::uint64_t n_params() const noexcept;            // numbers in the weights, tied head counted once
    [[nodiscard]] std::uint64_t weight_bytes() const noexcept;        // mapped
    [[nodiscard]] std::uint64_t panel_bytes() const noexcept;         // repacked copies, also mapped ones
    [[nodiscard]] std::uint64_t mapped_panel_bytes() const noexcept;  // those of them that LoadOptions::panels gave

    struct Impl;                                   // src/core/models/decoder_impl.h
    explicit Decoder(std::unique_ptr<Impl> impl);  // for load() and Trainable

 private:
    std::unique_ptr<Impl> impl_;
    friend class Trainable;
};

// Packs the weights as load() would under `profile`, one after another, and keeps the panels at `path` for later loads
// (PanelFile; `key` as there). Never more than one weight is in memory. Returns the bytes of the file. Throws what
// load() throws and Error{io}; what `progress` throws ends it, and nothing is left behind.
std::uint64_t write_panels(std::shared_ptr<const ModelFiles> files, Profile profile, const std::filesystem::path& path,
                           std::string_view key, ThreadPool& threads, const Progress& progress = {});

// What was found when panels were made anew and held against those that are kept.
struct PanelComparison {
    std::uint64_t weights = 0, bytes = 0;  // that were made and compared
    std::vector<std::string> wrong;  // weights whose kept panels are others, are missing, or are of no weight here
};
// Makes the panels as write_panels() would, one weight at a time, and compares every byte with `kept`. Throws what
// load() throws and what `progress` throws.
[[nodiscard]] PanelComparison compare_panels(std::shared_ptr<const ModelFiles> files, Profile profile,
                                             const PanelFile& kept, ThreadPool& threads, const Progress& progress = {});

// What serves a file best: q8 for quantised files, bf16 for BF16 files, f32 for F32 and F16.
[[nodiscard]] Profile default_profile(const ModelFiles& files);
// The blueprint alone (show, doctor): needs metadata only.
[[nodiscard]] DecoderSpec read_spec(const ModelFiles& files);
[[nodiscard]] std::vector<std::string_view> known_architectures();

}  // namespace freehold
