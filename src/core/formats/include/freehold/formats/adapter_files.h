// An adapter of low rank as it lies on disk: a PEFT folder (adapter_config.json and adapter_model.safetensors) or a
// GGUF file of type "adapter". Hostile until parsed; what would make it compute something else than its maker meant
// (DoRA, modules to save, biases, ...) is refused by name.
// PEFT: https://huggingface.co/docs/peft (LoraConfig); GGUF: keys general.type, adapter.type, adapter.lora.alpha.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/formats/model_files.h"
#include "freehold/tensor/tensor.h"

namespace freehold {

enum class AdapterForm : std::uint8_t { peft, gguf };

// What is added to one linear: y += scale * B (A x).
struct AdapterPair {
    Tensor a, b;  // [rank, in], [out, rank]; views into the mapped file
    float scale = 1.0F;
    std::string a_name, b_name;  // as the file calls them
};

class AdapterFiles {
 public:
    // Does an adapter lie here (a folder with adapter_config.json, a file of such a folder, a GGUF file whose
    // general.type is "adapter")? False for everything that cannot be read.
    [[nodiscard]] static bool is_one(const std::filesystem::path& path) noexcept;
    // Throws Error{not_found|bad_file|unsupported} naming file, key or tensor.
    static std::shared_ptr<const AdapterFiles> open(const std::filesystem::path& path);

    [[nodiscard]] AdapterForm form() const noexcept { return form_; }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return files_->path(); }
    // GGUF general.architecture; empty for PEFT, which does not say.
    [[nodiscard]] const std::string& architecture() const noexcept { return files_->architecture(); }
    // What its maker says it was trained on ("HuggingFaceTB/SmolLM2-135M-Instruct"); may be empty.
    [[nodiscard]] const std::string& base() const noexcept { return base_; }
    // By the name of the tensor that is changed, without ".weight": "model.layers.0.self_attn.q_proj", "blk.0.attn_q".
    [[nodiscard]] const std::map<std::string, AdapterPair, std::less<>>& pairs() const noexcept { return pairs_; }
    [[nodiscard]] std::int64_t largest_rank() const noexcept;
    [[nodiscard]] std::uint64_t n_params() const noexcept;
    // The files that make it up, and a digest over their bytes: "sha256:...", the identity of what it computes.
    [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return files_->files(); }
    [[nodiscard]] std::string digest() const;
    // adapter_config.json, or the keys of the GGUF file.
    [[nodiscard]] const ValueMap& meta() const noexcept { return files_->meta(); }

 private:
    friend class AdapterReader;
    AdapterForm form_ = AdapterForm::peft;
    std::shared_ptr<const ModelFiles> files_;
    std::string base_;
    std::map<std::string, AdapterPair, std::less<>> pairs_;
};

}  // namespace freehold
