// Names of sites, and the walk over the probes of a batch.
#include "freehold/ops/probe.h"

#include <array>
#include <charconv>

namespace freehold {
namespace {

struct Name {
    Site site;
    std::string_view text;
    bool per_layer;
};
constexpr std::array<Name, 20> kNames{{
    {Site::embed, "embed", false},
    {Site::attn_q, "attn.q", true},
    {Site::attn_k, "attn.k", true},
    {Site::attn_v, "attn.v", true},
    {Site::attn_latent, "attn.latent", true},
    {Site::attn_pattern, "attn.pattern", true},
    {Site::attn_out, "attn.out", true},
    {Site::cross_q, "cross.q", true},
    {Site::cross_k, "cross.k", true},
    {Site::cross_v, "cross.v", true},
    {Site::cross_out, "cross.out", true},
    {Site::router, "router", true},
    {Site::mlp_gate, "mlp.gate", true},
    {Site::mlp_act, "mlp.act", true},
    {Site::mlp_out, "mlp.out", true},
    {Site::resid_pre, "resid.pre", true},
    {Site::resid_mid, "resid.mid", true},
    {Site::resid_post, "resid.post", true},
    {Site::final_norm, "final.norm", false},
    {Site::logits, "logits", false},
}};

const Name& name_of(Site site) noexcept {
    return kNames[static_cast<std::size_t>(site)];
}

}  // namespace

std::string_view site_name(Site site) noexcept {
    return name_of(site).text;
}

std::string site_path(Site site, int layer) {
    const Name& n = name_of(site);
    return n.per_layer ? std::to_string(layer) + "." + std::string(n.text) : std::string(n.text);
}

std::optional<SiteRef> parse_site(std::string_view path) noexcept {
    int layer = -1;
    const char* const end = path.data() + path.size();
    const auto [rest, ec] = std::from_chars(path.data(), end, layer);
    const bool numbered = ec == std::errc{} && rest != end && *rest == '.' && layer >= 0;
    const std::string_view text =
        numbered ? std::string_view(rest + 1, static_cast<std::size_t>(end - rest - 1)) : path;
    for (const Name& n : kNames) {
        if (n.text == text && n.per_layer == numbered) return SiteRef{n.site, numbered ? layer : -1};
    }
    return std::nullopt;
}

bool Probes::any(const Batch& batch) noexcept {
    for (const Segment& s : batch.segments) {
        if (s.seq.probe != nullptr) return true;
    }
    return false;
}

bool Probes::wants(SiteRef at) const noexcept {
    for (const Segment& s : batch_.segments) {
        if (s.seq.probe != nullptr && s.seq.probe->wants(at)) return true;
    }
    return false;
}

void Probes::visit(SiteRef at, float* values, std::size_t ld, std::size_t width) const {
    for (const Segment& s : batch_.segments) {
        if (s.seq.probe == nullptr || !s.seq.probe->wants(at)) continue;
        for (std::size_t t = s.first_row; t < s.first_row + s.n_rows; ++t) {
            s.seq.probe->visit(at, batch_.positions[t], {values + t * ld, width});
        }
    }
}

void Probes::visit_wanting(SiteRef at, float* values, std::size_t ld, std::size_t width) const {
    std::size_t i = 0;
    for (const Segment& s : batch_.segments) {
        const bool looks = s.seq.probe != nullptr && s.seq.probe->wants(at);
        for (std::size_t t = s.first_row; t < s.first_row + s.n_rows; ++t) {
            if (batch_.wants_logits[t] == 0) continue;
            if (looks) s.seq.probe->visit(at, batch_.positions[t], {values + i * ld, width});
            ++i;
        }
    }
}

}  // namespace freehold
