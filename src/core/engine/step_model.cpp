// A loaded decoder as the engine steps it: scratch sized once, a turn on the host for each pass.
#include "freehold/engine/step_model.h"

#include <algorithm>

#include "freehold/engine/host.h"

namespace freehold {

namespace {

class DecoderStep final : public StepModel {
 public:
    DecoderStep(Host& host, std::shared_ptr<const LoadedModel> model, std::size_t rows, std::size_t logit_rows)
        : host_(host),
          model_(std::move(model)),
          decoder_(model_->need_decoder()),
          layout_(decoder_.kv_layout(model_->kv())),
          // The threads that step it may be others than those that loaded it.
          scratch_(decoder_.scratch_bytes(rows, logit_rows, host.threads().size())),
          lease_(host.memory().take(scratch_, "Scratch memory of one step")),
          arena_(scratch_) {}

    [[nodiscard]] int vocab() const noexcept override { return decoder_.spec().vocab; }
    [[nodiscard]] int context() const noexcept override { return decoder_.spec().context; }
    [[nodiscard]] const KvLayout& kv_layout() const noexcept override { return layout_; }

    void forward(const Batch& batch, std::span<float> logits) override {
        const Host::Turn turn(host_);
        arena_.reset(0);
        Exec exec{host_.threads(), host_.kernels(), arena_, nullptr};
        decoder_.forward(exec, batch, logits);
    }

 private:
    Host& host_;
    std::shared_ptr<const LoadedModel> model_;
    const Decoder& decoder_;
    KvLayout layout_;
    std::size_t scratch_;  // bytes
    MemoryBudget::Lease lease_;
    Arena arena_;
};

}  // namespace

std::unique_ptr<StepModel> make_step_model(Host& host, std::shared_ptr<const LoadedModel> model, int rows,
                                           int logit_rows) {
    return std::make_unique<DecoderStep>(host, std::move(model), static_cast<std::size_t>(rows),
                                         static_cast<std::size_t>(logit_rows));
}

}  // namespace freehold
