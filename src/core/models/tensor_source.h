// Gives a model's tensors by role: looks up the name in the file's container, checks the shape against the blueprint,
// turns what is fused or transposed, and notes what was taken, so that a tensor that nobody knows is not overlooked.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "family.h"
#include "freehold/formats/quantised_folder.h"

namespace freehold {

// Shape of a role's tensor: [out, in], or [out] where `in` is 0.
struct Want {
    std::int64_t out = 0, in = 0;
};
[[nodiscard]] Want want_of(const DecoderSpec& spec, Role role, int layer);
[[nodiscard]] bool is_fused(Layout layout);
// How many outputs a tensor has that holds the role in this layout, and the role's own of them: rows of `whole`
// [outputs, ...], as a view where they lie together.
[[nodiscard]] std::int64_t outputs_of(const DecoderSpec& spec, Role role, Layout layout, int layer);
[[nodiscard]] Tensor part_of(const DecoderSpec& spec, Role role, Layout layout, int layer, const Tensor& whole);

class TensorSource {
 public:
    TensorSource(const ModelFiles& files, const Family& family, const DecoderSpec& spec);
    // From here on, roles are those of the encoder of an encoder-decoder, or those of the decoder again.
    void turn_to_encoder(bool turn);
    // Does the file have this role's weight?
    [[nodiscard]] bool has(Role role, int layer = -1) const;
    // The weight of a role as [out, in] (or [n] for norms); empty when the family's table has no such role.
    // Error{bad_file} when the tensor is missing or has another shape.
    [[nodiscard]] Tensor weight(Role role, int layer = -1);
    // One expert's part of a role of experts, [out, in]. Errors as above.
    [[nodiscard]] Tensor expert(Role role, int layer, int expert);
    // One head's part of k_b or v_b, [out, in]. Errors as above. What has to be turned keeps its type, or becomes F32
    // where its blocks cannot be turned.
    [[nodiscard]] Tensor head(Role role, int layer, int head);
    // F32 [experts], empty when there is none. Error{bad_file} when it must be there and is not.
    [[nodiscard]] Tensor router_bias(int layer);
    // Its bias as F32 [out], which must be there.
    [[nodiscard]] Tensor expert_bias(Role role, int layer, int expert);
    // The bias as F32 [out], empty when there is none. Error{bad_file} when it must be there and is not.
    [[nodiscard]] Tensor bias(Role role, int layer = -1);
    // Error{unsupported} naming the first tensor of the file that no role took and no page skips.
    void refuse_leftovers() const;
    // Numbers in all tensors that were taken, each tensor once; and their bytes in the file.
    [[nodiscard]] std::uint64_t n_params() const noexcept { return n_params_; }
    [[nodiscard]] std::uint64_t n_bytes() const noexcept { return n_bytes_; }

 private:
    [[nodiscard]] const TensorRow* row(Role role) const;
    [[nodiscard]] const TensorRow& need_row(Role role) const;
    [[nodiscard]] const Tensor& need(const std::string& name);
    [[nodiscard]] std::string name_of(const TensorRow& row, int layer, std::string_view suffix, int expert = 0) const;
    [[nodiscard]] bool there(const std::string& name) const;
    [[nodiscard]] const Tensor* find(const std::string& name) const;
    [[nodiscard]] bool behind_last_layer(const std::string& name) const;
    [[nodiscard]] const Tensor* expanded(const std::string& name);
    [[nodiscard]] const Tensor* take(const std::string& name);
    [[nodiscard]] Tensor turned(const std::string& name, const Tensor& t);
    [[nodiscard]] Tensor turned_expert(const std::string& name, const Tensor& t, const Want& want, bool gate_up,
                                       std::int64_t first, int expert);
    const ModelFiles& files_;
    const Family& family_;
    const DecoderSpec& model_;
    const DecoderSpec* spec_;  // model_, or its encoder
    std::span<const TensorRow> tensors_;
    bool hf_;
    std::string prefix_;
    std::unique_ptr<const QuantisedFolder> quantised_;     // null: every weight is a tensor of its own
    std::map<std::string, Tensor, std::less<>> expanded_;  // of quantised_: the one that was asked for last
    std::set<std::string, std::less<>> expanded_names_;    // counted already
    std::set<const Tensor*> taken_;                        // of files_
    std::map<std::string, Tensor, std::less<>> turned_;    // transposed copies, shared by the roles of a fused tensor
    std::uint64_t n_params_ = 0, n_bytes_ = 0;
};

}  // namespace freehold
