// Named activations and who may look at them or replace them. One vocabulary for explanation, patching, probing,
// steering and tests; a decoder without a probe pays one predictable branch a site.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "freehold/ops/batch.h"

namespace freehold {

// What the names mean, where it is not plain: attn.q and attn.k are the values that meet each other (after QK-norm and
// rotation) and attn.k, attn.v what is stored; attn.pattern is [heads][position + 1] probabilities of one row;
// attn.out and mlp.out are what is added to the residual (after a norm on the branch, if the family has one);
// mlp.gate is what enters the activation, mlp.act what enters the last projection; final.norm and logits exist for
// the rows that want logits. A layer's site is written "L.name" with L the number, e.g. "3.attn.out"; the others stand
// alone, e.g. "final.norm".
enum class Site : std::uint8_t {
    embed,
    attn_q,
    attn_k,
    attn_v,
    attn_latent,
    attn_pattern,
    attn_out,
    cross_q,
    cross_k,
    cross_v,
    cross_out,
    router,
    mlp_gate,
    mlp_act,
    mlp_out,
    resid_pre,
    resid_mid,
    resid_post,
    final_norm,
    logits,
};
[[nodiscard]] std::string_view site_name(Site site) noexcept;  // "attn.out"
[[nodiscard]] std::string site_path(Site site, int layer);     // "3.attn.out" or "final.norm"
struct SiteRef {
    Site site;
    int layer = -1;
};
[[nodiscard]] std::optional<SiteRef> parse_site(std::string_view path) noexcept;

// Belongs to one sequence. visit() is called on the engine's thread, row by row, after the site's value is final and
// before anything reads it; what it writes into `value` is what the model goes on with.
class Probe {
 public:
    virtual ~Probe() = default;
    [[nodiscard]] virtual bool wants(SiteRef site) const noexcept = 0;
    virtual void visit(SiteRef site, std::int32_t position, std::span<float> value) = 0;
};

// The probes of one batch, and one place of the decoder to look at. Null probes (nobody looks) cost one branch.
class Probes {
 public:
    // Keeps a reference to the batch, which must live as long.
    explicit Probes(const Batch& batch) noexcept : batch_(batch) {}
    [[nodiscard]] static bool any(const Batch& batch) noexcept;
    [[nodiscard]] bool wants(SiteRef at) const noexcept;
    // Shows rows [0, rows of the batch) of `values` (row t at values + t * ld, `width` numbers) to the probes that want
    // them.
    void visit(SiteRef at, float* values, std::size_t ld, std::size_t width) const;
    // As visit, when `values` holds only the rows that want logits, in row order.
    void visit_wanting(SiteRef at, float* values, std::size_t ld, std::size_t width) const;
    [[nodiscard]] const Batch& batch() const noexcept { return batch_; }

 private:
    const Batch& batch_;
};

// "Is anybody looking here?" as an argument of an op: false when there is no probe at all or none that wants this site.
struct Look {
    const Probes* probes = nullptr;
    SiteRef at{};
    [[nodiscard]] bool wanted() const noexcept { return probes != nullptr && probes->wants(at); }
};

}  // namespace freehold
