// Named activations and who may look at them or replace them. One vocabulary for explanation, patching, probing, steering
// and tests; a decoder without a probe pays one predictable branch a site.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace freehold {

// A layer's site is written "L.name" with L the number, e.g. "3.attn.out"; the others stand alone, e.g. "final.norm".
enum class Site : std::uint8_t {
    embed, attn_q, attn_k, attn_v, attn_latent, attn_pattern, attn_out, cross_q, cross_k, cross_v, cross_out, router,
    mlp_gate, mlp_act, mlp_out, resid_pre, resid_mid, resid_post, final_norm, logits,
};
[[nodiscard]] std::string_view site_name(Site site) noexcept;              // "attn.out"
[[nodiscard]] std::string site_path(Site site, int layer);                 // "3.attn.out" or "final.norm"
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

}  // namespace freehold
