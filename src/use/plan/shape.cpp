// From keys of a configuration to matrices: one reader for all decoders, with the few switches in which families differ
// in size.
#include "freehold/plan/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::plan {
namespace {

enum class QkNorm : std::uint8_t { none, head, whole };

// In what families differ where it changes sizes. What a configuration says itself stands above this.
struct Trait {
    std::string_view name;
    bool gated = true, qkv_bias = false, out_bias = false, mlp_bias = false, norm_bias = false;
    int norms = 2;  // a layer, of the model's width
    bool final_norm = true;
    QkNorm qk = QkNorm::none;
    int position_offset = -1;  // learned positions: rows beside the context; -1: none
    bool tied = false, head_bias = false, embed_norm = false;
};

constexpr bool kNo = false, kYes = true;
constexpr std::array kTraits = {
    Trait{"llama"},
    Trait{"mistral"},
    Trait{"mixtral"},
    Trait{"phi3"},
    Trait{"smollm3", true, false, false, false, false, 2, true, QkNorm::none, -1, true},
    Trait{"deepseek_v2"},
    Trait{"deepseek_v3"},
    Trait{"qwen2", true, true},
    Trait{"qwen2_moe", true, true},
    Trait{"qwen3", true, false, false, false, false, 2, true, QkNorm::head},
    Trait{"qwen3_moe", true, false, false, false, false, 2, true, QkNorm::head},
    Trait{"olmo", true, false, false, false, false, 0, false},
    Trait{"olmo2", true, false, false, false, false, 2, true, QkNorm::whole},
    Trait{"olmo3", true, false, false, false, false, 2, true, QkNorm::whole},
    Trait{"olmoe", true, false, false, false, false, 2, true, QkNorm::whole},
    Trait{"apertus", false, false, false, false, false, 2, true, QkNorm::head},
    Trait{"gemma2", true, false, false, false, false, 4, true, QkNorm::none, -1, true},
    Trait{"gemma3_text", true, false, false, false, false, 4, true, QkNorm::head, -1, true},
    Trait{"gemma3", true, false, false, false, false, 4, true, QkNorm::head, -1, true},
    Trait{"gpt_oss", true, true, true, true},
    Trait{"gpt2", false, true, true, true, true, 2, true, QkNorm::none, 0, true},
    Trait{"gpt_neo", false, false, true, true, true, 2, true, QkNorm::none, 0, true},
    Trait{"gpt_neox", false, true, true, true, true},
    Trait{"gptj", false, false, false, true, true, 1, true, QkNorm::none, -1, kNo, kYes},
    Trait{"opt", false, true, true, true, true, 2, true, QkNorm::none, 2, true},
    Trait{"mpt", false, false, false, false, false, 2, true, QkNorm::none, -1, true},
    Trait{"bloom", false, true, true, true, true, 2, true, QkNorm::none, -1, true, kNo, kYes},
    Trait{"falcon", false, false, false, false, true, 1, true, QkNorm::none, -1, true},
};

// Names by which GGUF files call a family, where it is another.
constexpr std::pair<std::string_view, std::string_view> kGgufNames[] = {
    {"deepseek2", "deepseek_v3"}, {"qwen2moe", "qwen2_moe"}, {"qwen3moe", "qwen3_moe"},
    {"gptneox", "gpt_neox"},      {"gpt-oss", "gpt_oss"},
};

constexpr std::int64_t kMaxNumber = 1 << 24;

class Reader {
 public:
    Reader(const ValueMap& config, const std::string& what) : what_(what) {
        config_ = &config;
        // A model that also sees or hears keeps its text part in a section of its own.
        if (const Value* text = config.find("text_config"); text != nullptr && config.find("hidden_size") == nullptr)
            if (const auto* map = text->get<ValueMap>()) config_ = map;
    }

    [[nodiscard]] const Value* find(std::string_view key) const {
        const Value* v = freehold::find(*config_, key);
        return v == nullptr || v->is_null() ? nullptr : v;
    }
    using Keys = std::initializer_list<std::string_view>;
    [[nodiscard]] std::optional<std::int64_t> number(Keys keys, std::int64_t low,
                                                     std::int64_t high = kMaxNumber) const {
        for (const std::string_view key : keys) {
            const Value* v = find(key);
            if (v == nullptr) continue;
            std::optional<std::int64_t> n = v->as_int();
            if (!n && v->size() > 0) {  // a list with one number a layer: the largest
                n = v->at(0).as_int();
                for (std::size_t i = 1; n && i < v->size(); ++i) n = std::max(*n, v->at(i).as_int().value_or(*n));
            }
            if (!n) refuse(key, fmt::format("is {}; a whole number was expected", printable(to_json(*v), 60)));
            if (*n < low || *n > high) refuse(key, fmt::format("is {}; it must be between {} and {}", *n, low, high));
            return n;
        }
        return std::nullopt;
    }
    [[nodiscard]] int must(Keys keys, std::int64_t high = kMaxNumber) const {
        const auto n = number(keys, 1, high);
        if (n) return static_cast<int>(*n);
        refuse(*keys.begin(), "is missing; it tells the model's size");
    }
    [[nodiscard]] bool flag(std::string_view key, bool otherwise) const {
        const Value* v = find(key);
        if (v == nullptr) return otherwise;
        const auto b = v->as_bool();
        if (!b) refuse(key, fmt::format("is {}; true or false was expected", printable(to_json(*v), 60)));
        return *b;
    }
    [[nodiscard]] std::string text(std::string_view key) const {
        const Value* v = find(key);
        return v == nullptr ? std::string() : std::string(v->as_string().value_or(""));
    }
    [[noreturn]] void refuse(std::string_view key, const std::string& why) const {
        throw Error(ErrorKind::bad_file, fmt::format("{}: key \"{}\" {}.", what_, key, why),
                    "Get config.json from the model's maker again.");
    }

 private:
    const std::string& what_;
    const ValueMap* config_;
};

class Maker {
 public:
    Maker(const Reader& r, ModelShape& s, const Trait& t) : r_(r), s_(s), t_(t) {}

    void make() {
        sizes();
        experts();
        const bool whole = t_.qk == QkNorm::whole;
        table("token_embd.weight", s_.vocab, s_.d_model, true);
        if (t_.embed_norm) norm("token_embd_norm");
        if (t_.position_offset >= 0)
            table("position_embd.weight", std::max<std::int64_t>(s_.context, 1) + t_.position_offset, s_.d_model, true);
        windows();
        for (int l = 0; l < s_.n_layers; ++l) {
            const std::string at = fmt::format("blk.{}.", l);
            for (int n = 0; n < norms(); ++n) norm(at + fmt::format("norm_{}_norm", n));
            attention(at, whole);
            const int window = windows_[static_cast<std::size_t>(l)];
            const std::int64_t numbers = latent_ ? std::int64_t{kv_rank_} + rope_
                                                 : std::int64_t{s_.kv_heads} * (std::int64_t{s_.head_dim} + s_.v_dim);
            s_.cache.push_back({numbers, latent_ ? kv_rank_ + rope_ : s_.head_dim, window, latent_});
            mlp(at, l);
        }
        if (t_.final_norm && r_.find("_remove_final_layer_norm") == nullptr) norm("output_norm");
        projections();
        if (!s_.tied) {
            matrix("output.weight", s_.vocab, s_.d_model);
            if (t_.head_bias) vector("output.bias", s_.vocab);
        } else {
            s_.tensors.front().lookup = false;  // the table is the head too, read in whole for each token
            s_.tensors.front().matrix = true;
        }
    }

 private:
    void sizes() {
        s_.n_layers = r_.must({"num_hidden_layers", "n_layer", "n_layers", "num_layers"}, 4096);
        s_.d_model = r_.must({"hidden_size", "n_embd", "d_model"}, 1 << 20);
        s_.n_heads = r_.must({"num_attention_heads", "n_head", "n_heads", "num_heads"}, 1 << 16);
        s_.vocab = r_.must({"vocab_size"});
        s_.context = r_.number({"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"}, 1,
                               std::int64_t{1} << 40)
                         .value_or(0);
        const bool falcon = s_.family == "falcon", wide_falcon = falcon && r_.flag("new_decoder_architecture", false);
        if (falcon && !wide_falcon) {
            s_.kv_heads = r_.flag("multi_query", true) ? 1 : s_.n_heads;
        } else {
            s_.kv_heads = static_cast<int>(
                r_.number({"num_key_value_heads", "num_kv_heads", "n_head_kv", "attn_config.kv_n_heads"}, 1, 1 << 16)
                    .value_or(s_.n_heads));
        }
        const auto dim = r_.number({"head_dim"}, 1, 1 << 16);
        if (!dim && s_.d_model % s_.n_heads != 0)
            r_.refuse("num_attention_heads",
                      fmt::format("is {}, which does not divide the width {}", s_.n_heads, s_.d_model));
        s_.head_dim = s_.v_dim = static_cast<int>(dim.value_or(s_.d_model / s_.n_heads));
        s_.tied = r_.flag("tie_word_embeddings", t_.tied);
        latent_ = r_.number({"kv_lora_rank"}, 1).has_value();
        if (latent_) {
            kv_rank_ = r_.must({"kv_lora_rank"});
            q_rank_ = static_cast<int>(r_.number({"q_lora_rank"}, 0).value_or(0));
            rope_ = r_.must({"qk_rope_head_dim"}, 1 << 16);
            nope_ = r_.must({"qk_nope_head_dim"}, 1 << 16);
            s_.v_dim = r_.must({"v_head_dim"}, 1 << 16);
            s_.head_dim = nope_ + rope_;
        }
        const auto wide = r_.number({"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "d_ff"}, 1);
        const std::int64_t times = r_.number({"expansion_ratio"}, 1, 1024).value_or(4);
        d_ff_ = wide.value_or(times * s_.d_model);
        if (const Value* q = r_.find("quantization_config.quant_method"); q != nullptr)
            s_.native = std::string(q->as_string().value_or(""));
    }

    void experts() {
        s_.n_experts = static_cast<int>(
            r_.number({"num_local_experts", "n_routed_experts", "num_experts"}, 0, 1 << 16).value_or(0));
        if (s_.n_experts <= 1) {
            s_.n_experts = 0;
            return;
        }
        s_.n_used = r_.must({"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk"}, 1 << 16);
        if (s_.n_used > s_.n_experts)
            r_.refuse("num_experts_per_tok", fmt::format("is {}, more than the {} experts", s_.n_used, s_.n_experts));
        s_.n_shared = static_cast<int>(r_.number({"n_shared_experts"}, 0, 1 << 10).value_or(0));
        d_expert_ = r_.number({"moe_intermediate_size"}, 1).value_or(d_ff_);
        d_shared_ = r_.number({"shared_expert_intermediate_size"}, 0).value_or(s_.n_shared * d_expert_);
        dense_first_ = static_cast<int>(r_.number({"first_k_dense_replace"}, 0, 1 << 16).value_or(0));
        step_ = std::max<std::int64_t>(1, r_.number({"decoder_sparse_step", "moe_layer_freq"}, 1, 4096).value_or(1));
        if (const Value* list = r_.find("mlp_only_layers"))
            for (std::size_t i = 0; i < list->size(); ++i) plain_.push_back(list->at(i).as_int().value_or(-1));
    }

    [[nodiscard]] bool sparse(int l) const {
        if (s_.n_experts == 0 || l < dense_first_) return false;
        if (std::find(plain_.begin(), plain_.end(), l) != plain_.end()) return false;
        if (r_.find("decoder_sparse_step") != nullptr) return (l + 1) % step_ == 0;
        return (l - dense_first_) % step_ == 0 || step_ == 1;
    }

    void windows() {
        windows_.assign(static_cast<std::size_t>(s_.n_layers), 0);
        const auto window = static_cast<int>(r_.number({"sliding_window"}, 0).value_or(0));
        const bool asks = r_.find("use_sliding_window") == nullptr ? !s_.family.starts_with("qwen")
                                                                   : r_.flag("use_sliding_window", false);
        if (window == 0 || !asks) return;
        const Value* types = r_.find("layer_types");
        const std::int64_t usual = s_.family.starts_with("gemma3")                   ? 6
                                   : s_.family == "olmo3"                            ? 4
                                   : s_.family == "gemma2" || s_.family == "gpt_oss" ? 2
                                                                                     : 0;
        const std::int64_t pattern =
            r_.number({"sliding_window_pattern", "_sliding_window_pattern"}, 1, 4096).value_or(usual);
        for (int l = 0; l < s_.n_layers; ++l) {
            bool slides = pattern == 0 || (l + 1) % pattern != 0;
            if (types != nullptr)
                slides = types->at(static_cast<std::size_t>(l)).as_string().value_or("") == "sliding_attention";
            if (slides) windows_[static_cast<std::size_t>(l)] = window;
        }
    }

    [[nodiscard]] int norms() const {
        if (s_.family != "falcon") return t_.norms;
        const bool one = r_.flag("parallel_attn", true) && !r_.flag("new_decoder_architecture", false);
        return one ? 1 : 2;
    }

    void attention(const std::string& at, bool whole) {
        const std::int64_t d = s_.d_model, q = std::int64_t{s_.n_heads} * s_.head_dim,
                           kv = std::int64_t{s_.kv_heads} * s_.head_dim;
        const bool generic = r_.flag("attention_bias", false) && !t_.qkv_bias;
        if (latent_) {
            const std::int64_t heads = s_.n_heads;
            if (q_rank_ > 0) {
                matrix(at + "attn_q_a.weight", q_rank_, d);
                vector(at + "attn_q_a_norm.weight", q_rank_);
                matrix(at + "attn_q_b.weight", q, q_rank_);
            } else {
                matrix(at + "attn_q.weight", q, d);
            }
            matrix(at + "attn_kv_a_mqa.weight", kv_rank_ + rope_, d);
            vector(at + "attn_kv_a_norm.weight", kv_rank_);
            matrix(at + "attn_kv_b.weight", heads * (nope_ + s_.v_dim), kv_rank_);
            matrix(at + "attn_output.weight", d, heads * s_.v_dim);
            return;
        }
        const bool bias = t_.qkv_bias ? r_.flag("attention_bias", true) : generic || r_.flag("bias", false);
        matrix(at + "attn_q.weight", q, d);
        matrix(at + "attn_k.weight", kv, d);
        matrix(at + "attn_v.weight", kv, d);
        matrix(at + "attn_output.weight", d, q);
        if (bias) {
            vector(at + "attn_q.bias", q);
            vector(at + "attn_k.bias", kv);
            vector(at + "attn_v.bias", kv);
        }
        if (t_.out_bias ? r_.flag("attention_bias", true) : bias && !t_.qkv_bias) vector(at + "attn_output.bias", d);
        if (s_.family == "gpt_oss") vector(at + "attn_sinks", s_.n_heads);
        if (t_.qk == QkNorm::none) return;
        vector(at + "attn_q_norm.weight", whole ? q : s_.head_dim);
        vector(at + "attn_k_norm.weight", whole ? kv : s_.head_dim);
    }

    void mlp(const std::string& at, int l) {
        const std::int64_t d = s_.d_model;
        const bool bias =
            t_.mlp_bias || r_.flag("mlp_bias", false) || (s_.family == "falcon" && r_.flag("bias", false));
        if (!sparse(l)) {
            if (t_.gated) matrix(at + "ffn_gate.weight", d_ff_, d);
            matrix(at + "ffn_up.weight", d_ff_, d);
            matrix(at + "ffn_down.weight", d, d_ff_);
            if (bias) {
                vector(at + "ffn_up.bias", d_ff_);
                vector(at + "ffn_down.bias", d);
                if (t_.gated) vector(at + "ffn_gate.bias", d_ff_);
            }
            if (s_.family == "apertus") vector(at + "xielu", 2);
            return;
        }
        matrix(at + "ffn_gate_inp.weight", s_.n_experts, d);
        experts_of(at + "ffn_gate_exps.weight", d_expert_, d);
        experts_of(at + "ffn_up_exps.weight", d_expert_, d);
        experts_of(at + "ffn_down_exps.weight", d, d_expert_);
        if (bias) {
            vector(at + "ffn_gate_inp.bias", s_.n_experts);
            experts_of(at + "ffn_gate_up_exps.bias", 1, 2 * d_expert_);
            experts_of(at + "ffn_down_exps.bias", 1, d);
        }
        if (d_shared_ > 0) {
            matrix(at + "ffn_gate_shexp.weight", d_shared_, d);
            matrix(at + "ffn_up_shexp.weight", d_shared_, d);
            matrix(at + "ffn_down_shexp.weight", d, d_shared_);
        }
        if (s_.family == "qwen2_moe") vector(at + "ffn_gate_inp_shexp.weight", d);
    }

    // OPT-350m: the embedding is narrower than the model.
    void projections() {
        const std::int64_t narrow = r_.number({"word_embed_proj_dim"}, 1).value_or(s_.d_model);
        if (narrow == s_.d_model) return;
        s_.tensors.front().cols = narrow;
        matrix("project_in.weight", s_.d_model, narrow);
        matrix("project_out.weight", narrow, s_.d_model);
    }

    void matrix(std::string name, std::int64_t rows, std::int64_t cols) {
        s_.tensors.push_back({std::move(name), rows, cols, 1, 1, false, true});
    }
    void table(std::string name, std::int64_t rows, std::int64_t cols, bool lookup) {
        s_.tensors.push_back({std::move(name), rows, cols, 1, 1, lookup, false});
    }
    void vector(std::string name, std::int64_t n) { s_.tensors.push_back({std::move(name), 1, n, 1, 1, false, false}); }
    void norm(const std::string& name) {
        vector(name + ".weight", s_.d_model);
        if (t_.norm_bias) vector(name + ".bias", s_.d_model);
    }
    void experts_of(std::string name, std::int64_t rows, std::int64_t cols) {
        s_.tensors.push_back({std::move(name), rows, cols, s_.n_experts, s_.n_used, false, rows > 1});
    }

    const Reader& r_;
    ModelShape& s_;
    const Trait& t_;
    bool latent_ = false;
    int kv_rank_ = 0, q_rank_ = 0, rope_ = 0, nope_ = 0, dense_first_ = 0;
    std::int64_t d_ff_ = 0, d_expert_ = 0, d_shared_ = 0, step_ = 1;
    std::vector<std::int64_t> plain_;
    std::vector<int> windows_;
};

}  // namespace

std::uint64_t ModelShape::total() const noexcept {
    std::uint64_t n = 0;
    for (const PlannedTensor& t : tensors) n += t.count();
    return n;
}

std::uint64_t ModelShape::active() const noexcept {
    std::uint64_t n = 0;
    for (const PlannedTensor& t : tensors)
        n += t.lookup ? static_cast<std::uint64_t>(t.cols) : t.each() * static_cast<std::uint64_t>(t.used);
    return n;
}

ModelShape shape_of_config(const ValueMap& config, const std::string& what) {
    const Reader reader(config, what);
    ModelShape shape;
    shape.family = reader.text("model_type");
    if (reader.flag("is_encoder_decoder", false) || shape.family == "t5" || shape.family == "marian" ||
        shape.family == "bert" || shape.family == "roberta" || shape.family == "xlm-roberta") {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: key \"model_type\" is \"{}\"; plans are made of decoders.", what,
                                printable(shape.family, 60)),
                    "Encoders and translators are small: `freehold show` says what their files take.");
    }
    static constexpr Trait kUsual{"", true};
    const auto known =
        std::find_if(kTraits.begin(), kTraits.end(), [&](const Trait& t) { return t.name == shape.family; });
    shape.family_known = known != kTraits.end();
    Maker(reader, shape, shape.family_known ? *known : kUsual).make();
    // Each key is within bounds; together they must be too.
    double numbers = 0;
    for (const PlannedTensor& t : shape.tensors)
        numbers += static_cast<double>(t.rows) * static_cast<double>(t.cols) * static_cast<double>(t.copies);
    if (numbers > 1e17)
        throw Error(ErrorKind::bad_file, fmt::format("{}: its keys ask for {:.2g} weights.", what, numbers),
                    "Get config.json from the model's maker again.");
    return shape;
}

ModelShape shape_of_gguf(const ValueMap& meta, const std::string& architecture, const std::string& what,
                         std::int64_t rows, bool has_head) {
    // The same facts under the names that config.json has for them.
    static constexpr std::pair<std::string_view, std::string_view> kKeys[] = {
        {"block_count", "num_hidden_layers"},
        {"embedding_length", "hidden_size"},
        {"attention.head_count", "num_attention_heads"},
        {"attention.head_count_kv", "num_key_value_heads"},
        {"feed_forward_length", "intermediate_size"},
        {"context_length", "max_position_embeddings"},
        {"vocab_size", "vocab_size"},
        {"attention.sliding_window", "sliding_window"},
        {"expert_count", "num_experts"},
        {"expert_used_count", "num_experts_per_tok"},
        {"expert_feed_forward_length", "moe_intermediate_size"},
        {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
        {"expert_shared_count", "n_shared_experts"},
        {"leading_dense_block_count", "first_k_dense_replace"},
        {"attention.q_lora_rank", "q_lora_rank"},
        {"attention.kv_lora_rank", "kv_lora_rank"},
    };
    ValueMap config;
    std::string family = architecture;
    for (const auto& [gguf, hf] : kGgufNames)
        if (gguf == architecture) family = hf;
    if (family == "gemma3") family = "gemma3_text";
    config.set("model_type", family);
    const auto number = [&](std::string_view key) -> const Value* {
        return meta.find(fmt::format("{}.{}", architecture, key));
    };
    for (const auto& [gguf, hf] : kKeys)
        if (const Value* v = number(gguf)) config.set(std::string(hf), *v);
    if (config.find("kv_lora_rank") != nullptr) {
        const Value* rope = number("rope.dimension_count");
        const Value* key = number("attention.key_length_mla");
        if (key == nullptr) key = number("attention.key_length");
        const Value* value = number("attention.value_length_mla");
        if (value == nullptr) value = number("attention.value_length");
        const auto whole = [](const Value* v) { return v == nullptr ? 0 : v->as_int().value_or(0); };
        config.set("qk_rope_head_dim", Value(whole(rope)));
        config.set("qk_nope_head_dim", Value(whole(key) - whole(rope)));
        config.set("v_head_dim", Value(whole(value)));
    } else if (const Value* v = number("attention.key_length")) {
        config.set("head_dim", *v);
    }
    if (config.find("vocab_size") == nullptr && rows > 0) config.set("vocab_size", Value(rows));
    config.set("tie_word_embeddings", Value(!has_head));
    return shape_of_config(config, what);
}

}  // namespace freehold::plan
