// What a PEFT adapter_config.json says of scales, and which of its switches would change what is computed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/value.h"

namespace freehold {

class AdapterConfig {
 public:
    // `name` is what complaints call the file. Error{bad_file} for what contradicts the format, Error{unsupported} for
    // switches that ask for something else than plain pairs of low rank.
    AdapterConfig(const ValueMap& map, std::string name);
    // Of the module with this full name, "model.layers.0.self_attn.q_proj"; `rank` is what its tensors have and is
    // held against what the config says.
    [[nodiscard]] float scale_of(std::string_view module, std::int64_t rank) const;
    [[nodiscard]] const std::string& base() const noexcept { return base_; }

 private:
    using Patterns = std::vector<std::pair<std::string, double>>;
    [[nodiscard]] Patterns patterns(const ValueMap& map, std::string_view key) const;
    [[nodiscard]] double number(const ValueMap& map, std::string_view key, double least, double most) const;
    [[noreturn]] void fail(std::string_view key, const std::string& why) const;

    std::string name_, base_;
    double rank_ = 8, alpha_ = 8;
    bool root_of_rank_ = false;  // use_rslora: alpha / sqrt(rank)
    Patterns ranks_, alphas_;
};

}  // namespace freehold
