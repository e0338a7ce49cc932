// Bounds of a blueprint: checked before a byte is taken for it.
#include "freehold/models/spec.h"

#include <algorithm>
#include <cmath>

#include "freehold/base/error.h"

namespace freehold {
namespace {

struct Checker {
    const std::string& file;
    void require(bool good, const std::string& sentence) const {
        if (!good) {
            throw Error(ErrorKind::bad_file, file + ": " + sentence + ".",
                        "The file is damaged or was converted wrongly; fetch it again.");
        }
    }
    void size(const char* name, std::int64_t value, std::int64_t high) const {
        require(value >= 1 && value <= high, std::string(name) + " is " + std::to_string(value) +
                                                 "; it must be between 1 and " + std::to_string(high));
    }
    void number(const char* name, double value, double low, double high) const {
        require(std::isfinite(value) && value >= low && value <= high,
                std::string(name) + " is " + std::to_string(value) + "; it must be a finite number between " +
                    std::to_string(low) + " and " + std::to_string(high));
    }
};

}  // namespace

void settle_context(DecoderSpec& s, int wanted) {
    for (RopeSpec& r : s.ropes) {
        if (!r.long_divisors.empty()) {
            const bool stretched = wanted > r.original_context;
            if (stretched) r.divisors = r.long_divisors;
            s.context = stretched ? std::min(s.context, wanted) : std::min(s.context, r.original_context);
        }
        if (r.dynamic_factor > 0 && wanted > r.original_context && r.n_dims > 2) {
            const double longer = static_cast<double>(wanted) / r.original_context;
            r.theta *= fh_pow(r.dynamic_factor * longer - (r.dynamic_factor - 1),
                              static_cast<double>(r.n_dims) / (r.n_dims - 2));
            s.context = std::max(s.context, wanted);
        }
    }
}

std::uint64_t expert_parameters(const DecoderSpec& s) noexcept {
    const auto layers = static_cast<std::uint64_t>(std::ranges::count_if(s.layers, &LayerSpec::experts));
    return layers * static_cast<std::uint64_t>(s.routing.n_experts) * 3 * static_cast<std::uint64_t>(s.d_model) *
           static_cast<std::uint64_t>(s.d_ff_expert);
}

void check_spec(const DecoderSpec& s, const std::string& file) {
    const Checker c{file};
    c.size("the number of layers", s.n_layers, 4096);
    c.size("the width", s.d_model, 1 << 17);
    c.size("the number of heads", s.n_heads, 1024);
    c.size("the width of a head", s.head_dim, 1024);
    c.size("the width of a value head", s.v_dim, 1024);
    c.size("the width of the MLP", s.d_ff, 1 << 20);
    if (const LatentSpec& a = s.latent; a.kv_rank != 0) {
        c.size("the width of the latent", a.kv_rank, 1024);
        c.require(a.q_rank >= 0 && a.q_rank <= 1 << 17,
                  "the width of the latent of queries is " + std::to_string(a.q_rank));
        c.size("the part of a head that does not rotate", a.nope, 1024);
        c.size("the part of a head that rotates", a.rope, 1024);
        c.size("the width of a head's values", a.v, 1024);
        c.number("the epsilon of the latents' norms", static_cast<double>(a.norm_eps), 0, 1);
        c.require(s.head_dim == a.kv_rank + a.rope && s.v_dim == a.kv_rank && s.norm_place == NormPlace::pre &&
                      s.qk_norm == QkNorm::none,
                  "its latent attention is of a shape that this build does not know");
    }
    c.require(s.d_embed >= 0 && s.d_embed <= 1 << 17, "the width of the embedding is " + std::to_string(s.d_embed));
    c.require(!s.parallel_residual || s.norm_place == NormPlace::pre,
              "it has parallel branches whose norms do not lie before them");
    c.require(!s.shared_norm || s.parallel_residual, "it has one norm for branches that are not parallel");
    c.require(s.xielu.empty() || (s.xielu.size() == s.layers.size() && !s.gated_mlp),
              "its xIELU numbers do not cover every layer of an MLP without a gate");
    for (const XieluSpec& x : s.xielu) {
        for (const float v : {x.raw_p, x.raw_n, x.beta, x.eps})
            c.number("a number of xIELU", static_cast<double>(v), -1e4, 1e4);
    }
    const Routing& routing = s.routing;
    const bool mixed = std::ranges::any_of(s.layers, [](const LayerSpec& l) { return l.experts; });
    c.require(!mixed || routing.n_experts > 0, "it has layers of experts and no experts");
    if (routing.n_experts != 0) {
        c.size("the number of experts", routing.n_experts, 1 << 14);
        c.require(routing.n_used >= 1 && routing.n_used <= routing.n_experts,
                  "a token is to use " + std::to_string(routing.n_used) + " of " + std::to_string(routing.n_experts) +
                      " experts");
        c.size("the width of an expert", s.d_ff_expert, 1 << 20);
        c.require(s.d_ff_shared >= 0 && s.d_ff_shared <= 1 << 20,
                  "the width of the shared expert is " + std::to_string(s.d_ff_shared));
        c.require(s.gated_mlp && s.xielu.empty() && s.norm_place == NormPlace::pre && !s.parallel_residual,
                  "its experts are of a shape that this build does not know");
        c.require(routing.n_groups >= 1 && routing.n_experts % routing.n_groups == 0 && routing.n_groups_kept >= 1 &&
                      routing.n_groups_kept <= routing.n_groups &&
                      routing.n_experts / routing.n_groups * routing.n_groups_kept >= routing.n_used,
                  "its groups of experts (" + std::to_string(routing.n_groups_kept) + " of " +
                      std::to_string(routing.n_groups) + ") do not fit their number");
        c.number("the scale of the experts", static_cast<double>(routing.scale), -1e6, 1e6);
        c.number("the steepness of the gate", static_cast<double>(s.glu.alpha), 1e-6, 1e6);
        c.number("the limit of the gate", static_cast<double>(s.glu.limit), 1e-6, 1e6);
        c.number("the epsilon of the experts", static_cast<double>(routing.epsilon), 0, 1);
    }
    c.size("the vocabulary", s.vocab, 1 << 24);
    c.size("the context", s.context, 1 << 24);
    c.require(s.layers.size() == static_cast<std::size_t>(s.n_layers), "the blueprint does not describe every layer");
    for (std::size_t i = 0; i < s.layers.size(); ++i) {
        const LayerSpec& l = s.layers[i];
        const std::string at = "layer " + std::to_string(i) + " has ";
        c.require(l.n_kv_heads >= 1 && l.n_kv_heads <= s.n_heads && s.n_heads % l.n_kv_heads == 0,
                  at + std::to_string(l.n_kv_heads) + " key-value heads, which do not divide its " +
                      std::to_string(s.n_heads) + " heads");
        c.require(s.latent.kv_rank == 0 || l.n_kv_heads == 1, at + "more than one head of latents");
        c.require(l.window >= 0, at + "a window of " + std::to_string(l.window));
        c.require(l.rope >= -1 && l.rope < static_cast<int>(s.ropes.size()), at + "a rotation that is not described");
    }
    if (s.positions == Positions::relative) {
        c.size("the number of buckets of distances", s.relative_buckets, 4096);
        c.size("the longest distance of a bucket", s.relative_distance, 1 << 16);
        const int exact = s.relative_buckets / (s.causal ? 2 : 4);
        c.require(exact >= 1 && s.relative_distance > exact, std::to_string(s.relative_buckets) +
                                                                 " buckets do not fit distances up to " +
                                                                 std::to_string(s.relative_distance));
    }
    if (s.encoder) {
        c.require(!s.encoder->encoder && !s.encoder->has_head && !s.encoder->causal, "its encoder is none");
        c.require(s.encoder->d_model == s.d_model, "encoder and decoder have different widths");
        c.require(s.causal && s.has_head && !s.parallel_residual &&
                      (s.norm_place == NormPlace::pre || s.norm_place == NormPlace::post_add),
                  "its decoder is of a shape that this build does not know");
        check_spec(*s.encoder, file);
    }
    c.number("the bias of ALiBi", static_cast<double>(s.alibi_max_bias), 0, 1e4);
    c.number("the scale of ALiBi", static_cast<double>(s.alibi_scale), 0, 1e4);
    const int rotated = s.latent.kv_rank > 0 ? s.latent.rope : s.head_dim;
    for (const RopeSpec& r : s.ropes) {
        c.require(
            r.n_dims >= 2 && r.n_dims % 2 == 0 && r.n_dims <= rotated,
            "rotation covers " + std::to_string(r.n_dims) + " dimensions of a head of " + std::to_string(rotated));
        c.number("the rotary base", r.theta, 1e-3, 1e15);
        c.number("the rotary factor", r.factor, 1e-6, 1e6);
        c.number("the rotary amplitude", r.attn_factor, 1e-6, 1e6);
        c.require(r.divisors.empty() || r.divisors.size() == static_cast<std::size_t>(r.n_dims / 2),
                  "rotary divisors do not cover every pair");
        for (const float d : r.divisors) c.number("a rotary divisor", static_cast<double>(d), 1e-9, 1e9);
    }
    c.require(s.token_types >= 0 && s.token_types <= 256,
              "it has " + std::to_string(s.token_types) + " token types; between 0 and 256 are read");
    c.require(s.n_labels >= 0 && s.n_labels <= 1 << 16,
              "its classifier has " + std::to_string(s.n_labels) + " labels; between 0 and 65536 are read");
    c.number("the norm's epsilon", static_cast<double>(s.norm_eps), 0, 1);
    c.number("the scale of embeddings", static_cast<double>(s.embed_scale), 1e-6, 1e6);
    c.number("the scale of scores", static_cast<double>(s.attn_scale), 1e-9, 1e6);
    c.number("the cap on scores", static_cast<double>(s.attn_softcap), 0, 1e6);
    c.number("the cap on logits", static_cast<double>(s.final_softcap), 0, 1e6);
    c.number("the scale of logits", static_cast<double>(s.logit_scale), 1e-6, 1e6);
    c.number("the clamp", static_cast<double>(s.qkv_clamp), 0, 1e6);
}

}  // namespace freehold
