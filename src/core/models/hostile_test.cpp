// Metadata that lies: every size and number is refused with a sentence that names its key, before memory is taken.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "freehold/base/error.h"
#include "golden.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

// A copy of a golden folder whose config.json has some values replaced (null removes).
class Folder {
 public:
    Folder(const std::string& golden, std::initializer_list<std::pair<std::string, Value>> changes) {
        path_ = fs::temp_directory_path() /
                ("freehold-hostile-" + std::to_string(::getpid()) + "-" + std::to_string(counter_++));
        fs::create_directories(path_);
        fs::copy_file(test::golden_folder(golden) + "/model.safetensors", path_ / "model.safetensors");
        Value config = parse_json(read_text(test::golden_folder(golden) + "/config.json"), "config.json");
        ValueMap map = *config.get<ValueMap>();
        for (const auto& [key, value] : changes) {
            if (value.is_null()) {
                map.erase(key);
            } else {
                map.set(key, value);
            }
        }
        write_text_atomic(path_ / "config.json", to_json(Value(map)));
    }
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }

 private:
    static inline int counter_ = 0;
    fs::path path_;
};

void write_text(const fs::path& path, const std::string& text) {
    std::ofstream(path) << text;
}

// Loads and returns the sentence of the refusal, or "" when the model was accepted.
std::string refusal(const Folder& folder) {
    ThreadPool threads(1);
    try {
        static_cast<void>(Decoder::load(ModelFiles::open(folder.path()), {Profile::f32, true, {}}, threads));
    } catch (const Error& e) {
        EXPECT_TRUE(e.kind() == ErrorKind::bad_file || e.kind() == ErrorKind::unsupported) << e.message();
        return e.message();
    }
    return "";
}

struct Lie {
    const char* golden;
    const char* key;
    Value value;
    const char* named;  // what the sentence must contain
};

TEST(Hostile, EveryLieIsNamed) {
    const Lie lies[] = {
        {"llama", "num_hidden_layers", 0, "num_hidden_layers"},
        {"llama", "num_hidden_layers", 4, "model.layers.3."},
        {"llama", "num_hidden_layers", 2, "model.layers.2."},  // a third layer would silently be left out
        {"llama", "num_hidden_layers", std::int64_t{1} << 62, "num_hidden_layers"},
        {"llama", "num_attention_heads", 0, "num_attention_heads"},
        {"llama", "num_attention_heads", -6, "num_attention_heads"},
        {"llama", "num_attention_heads", "six", "num_attention_heads"},
        {"llama", "num_key_value_heads", 4, "key-value heads"},
        {"llama", "num_key_value_heads", 12, "key-value heads"},
        {"llama", "head_dim", 17, "dimensions"},
        {"llama", "head_dim", 1 << 30, "head_dim"},
        {"llama", "hidden_size", 48, "model.embed_tokens.weight"},
        {"llama", "hidden_size", Value(), "hidden_size"},
        {"llama", "intermediate_size", 57, "gate_proj"},
        {"llama", "vocab_size", 95, "model.embed_tokens.weight"},
        {"llama", "vocab_size", 1 << 30, "vocab_size"},
        {"llama", "rms_norm_eps", -1.0, "rms_norm_eps"},
        {"llama", "rms_norm_eps", "small", "rms_norm_eps"},
        {"llama", "hidden_act", "mish", "mish"},
        {"llama", "attention_bias", false, ".bias"},
        {"llama", "sliding_window", 8, "sliding_window"},
        {"llama", "model_type", "llama9", "llama9"},
        {"llama", "rope_parameters", Value(ValueMap{{"rope_type", "spiral"}, {"rope_theta", 300.0}}), "spiral"},
        {"llama", "rope_parameters", Value(ValueMap{{"rope_type", "dynamic"}, {"rope_theta", 300.0}}), "factor"},
        {"llama", "rope_parameters", Value(ValueMap{{"rope_type", "linear"}, {"rope_theta", 300.0}}), "factor"},
        {"llama", "rope_parameters", Value(ValueMap{{"rope_theta", 0.0}}), "rope_theta"},
        {"llama3-rope", "tie_word_embeddings", false, "lm_head.weight"},
        {"llama-linear", "attention_bias", true, "q_proj.bias"},
        {"gemma3", "layer_types", Value(ValueList{Value("full_attention")}), "layer_types"},
        {"gemma3", "sliding_window", 0, "sliding_window"},
        {"gemma3", "query_pre_attn_scalar", 0, "query_pre_attn_scalar"},
        {"gemma3", "use_bidirectional_attention", true, "use_bidirectional_attention"},
        {"gpt2", "n_head", 5, "n_head"},
        {"gpt2", "n_positions", 47, "wpe"},
        {"gpt2", "n_inner", 72, "c_fc"},
        {"gpt2", "add_cross_attention", true, "add_cross_attention"},
        {"qwen2", "hidden_act", "mish", "mish"},
        {"qwen2-window", "max_window_layers", -1, "max_window_layers"},
        {"qwen2-window", "layer_types", Value(ValueList{Value("full_attention"), Value("chunked_attention")}),
         "chunked_attention"},
        {"qwen3", "head_dim", Value(), "num_attention_heads"},
        {"mistral", "sliding_window", 0, "sliding_window"},
        {"smollm3", "no_rope_layers", Value(ValueList{Value(1)}), "no_rope_layers"},
        {"olmo", "clip_qkv", "much", "clip_qkv"},
        {"olmo3", "sliding_window", Value(), "sliding_window"},
        {"phi3-short", "rope_parameters",
         Value(ValueMap{{"rope_type", "longrope"}, {"short_factor", Value(ValueList{Value(1.0)})}}), "short_factor"},
        {"phi3-short", "rope_parameters",
         Value(ValueMap{{"rope_type", "longrope"},
                        {"short_factor", Value(ValueList{Value(1.0), Value(-1.0), Value(1.0)})}}),
         "short_factor"},
        {"gemma2", "query_pre_attn_scalar", 0, "query_pre_attn_scalar"},
        {"apertus", "hidden_act", "silu", "xielu"},
        {"gptneox", "rope_parameters", Value(ValueMap{{"partial_rotary_factor", 3.0}}), "partial_rotary_factor"},
        {"gptneox", "num_attention_heads", 3, "num_attention_heads"},
        {"gptneo", "attention_layers", Value(ValueList{Value("global"), Value("far"), Value("local")}), "far"},
        {"gptneo", "num_layers", 4, "attention_types"},
        {"gptj", "rotary_dim", 3, "rotation"},
        {"opt", "word_embed_proj_dim", 7, "embed_tokens"},
        {"opt", "activation_function", "maxout", "maxout"},
        {"mpt", "logit_scale", "huge", "logit_scale"},
        {"mpt", "attn_config", Value(ValueMap{{"qk_ln", true}}), "q_ln.weight"},
        {"bloom", "apply_residual_connection_post_layernorm", true, "apply_residual_connection_post_layernorm"},
        {"falcon-40b", "num_kv_heads", 3, "key-value heads"},
        {"falcon-7b", "num_ln_in_parallel_attn", 3, "num_ln_in_parallel_attn"},
        {"deepseek-v3", "kv_lora_rank", 13, "kv_a_proj_with_mqa"},
        {"deepseek-v3", "kv_lora_rank", 4096, "kv_lora_rank"},
        {"deepseek-v3", "kv_lora_rank", Value(), "kv_lora_rank"},
        {"deepseek-v3", "q_lora_rank", 13, "q_b_proj"},
        {"deepseek-v3", "q_lora_rank", Value(), "q_b_proj"},
        {"deepseek-v3-halves", "q_lora_rank", 14, "q_proj"},
        {"deepseek-v3", "qk_nope_head_dim", 7, "q_b_proj"},
        {"deepseek-v3", "qk_rope_head_dim", 3, "dimensions"},
        {"deepseek-v3", "qk_rope_head_dim", 0, "qk_rope_head_dim"},
        {"deepseek-v3", "v_head_dim", 9, "kv_b_proj"},
        {"deepseek-v3", "num_attention_heads", 4, "q_b_proj"},
        {"deepseek-v3", "attention_bias", true, "attention_bias"},
        {"deepseek-v3", "n_group", 3, "groups of experts"},
        {"deepseek-v3", "topk_group", 1, "groups of experts"},
        {"deepseek-v3", "n_routed_experts", 12, "mlp.gate.weight"},
        {"deepseek-v3", "n_shared_experts", 1, "shared_experts"},
        {"deepseek-v3", "first_k_dense_replace", 2, "mlp.gate_proj"},
        {"deepseek-v3", "moe_layer_freq", 2, "moe_layer_freq"},
        {"deepseek-v3", "scoring_func", "softmax", "scoring_func"},
        {"deepseek-v3", "topk_method", "greedy", "topk_method"},
        {"deepseek-v3", "num_hidden_layers", 2, "model.layers.2."},
        {"deepseek-v2", "topk_method", "luck", "topk_method"},
        {"deepseek-v2", "norm_topk_prob", true, "norm_topk_prob"},
    };
    for (const Lie& lie : lies) {
        const Folder folder(lie.golden, {{lie.key, lie.value}});
        const std::string sentence = refusal(folder);
        EXPECT_NE(sentence.find(lie.named), std::string::npos)
            << lie.golden << ", " << lie.key << ": " << (sentence.empty() ? "accepted" : sentence);
    }
}

// The keys of a config, those inside of objects too.
std::vector<std::string> keys_of(const ValueMap& map, const std::string& before = "") {
    std::vector<std::string> keys;
    for (const ValueEntry& e : map) {
        keys.push_back(before + e.key);
        if (const auto* inner = e.value.get<ValueMap>()) {
            const auto more = keys_of(*inner, before + e.key + ".");
            keys.insert(keys.end(), more.begin(), more.end());
        }
    }
    return keys;
}

// A copy of the map with the value at a path of keys replaced.
Value replaced(const ValueMap& map, const std::string& path, const Value& value) {
    ValueMap out = map;
    const std::size_t dot = path.find('.');
    const std::string key = path.substr(0, dot);
    if (dot == std::string::npos)
        out.set(key, value);
    else
        out.set(key, replaced(*map.find(key)->get<ValueMap>(), path.substr(dot + 1), value));
    return Value(out);
}

// Every value of every family's config replaced by things that no maker wrote: a blueprint within its bounds comes of
// it, or a sentence, and nothing else.
TEST(Hostile, AnyValueOfAnyConfigMayBeAnything) {
    const Value odd[] = {Value(),
                         Value(0),
                         Value(-1),
                         Value(3),
                         Value(std::int64_t{1} << 62),
                         Value(1e-300),
                         Value(1e300),
                         Value("strange"),
                         Value(true),
                         Value(ValueList{}),
                         Value(ValueList{Value(1), Value("global"), Value(ValueList{Value(1), Value(7)})}),
                         Value(ValueMap{}),
                         Value(ValueMap{{"rope_type", "yarn"}, {"factor", 1e300}})};
    std::size_t read = 0, refused = 0;
    std::set<std::string> seen;  // one model of each type
    for (const fs::directory_entry& model : fs::directory_iterator(test::golden_folder(""))) {
        const std::string name = model.path().filename().string();
        const Folder folder(name, {});
        const Value config = parse_json(read_text(model.path() / "config.json"), "config.json");
        const ValueMap& map = *config.get<ValueMap>();
        if (!seen.insert(std::string(*map.find("model_type")->as_string())).second) continue;
        for (const std::string& key : keys_of(map)) {
            for (const Value& value : odd) {
                write_text(folder.path() / "config.json", to_json(replaced(map, key, value)));
                try {
                    const DecoderSpec spec = read_spec(*ModelFiles::open(folder.path()));
                    check_spec(spec, "what was read");
                    ++read;
                } catch (const Error& e) {
                    EXPECT_TRUE(e.kind() == ErrorKind::bad_file || e.kind() == ErrorKind::unsupported)
                        << name << ", " << key << ": " << e.message();
                    ++refused;
                }
            }
        }
    }
    EXPECT_GT(read, 500U);
    EXPECT_GT(refused, 500U);
}

TEST(Hostile, WhatIsAbsentOrNullTakesTheFamilysDefault) {
    // num_key_value_heads would then be 6, and k_proj has rows for 2.
    EXPECT_NE(refusal(Folder("llama", {{"num_key_value_heads", Value()}})).find("k_proj"), std::string::npos);
    EXPECT_EQ(refusal(Folder("llama", {{"hidden_act", Value()}})), "");
    EXPECT_EQ(refusal(Folder("gpt2-bare", {{"n_inner", Value()}})), "");
}

TEST(Hostile, OlderSpellingOfRotaryKeysIsReadToo) {
    const test::Golden golden = test::read_golden("llama-linear");
    const Folder folder("llama-linear", {{"rope_parameters", Value()},
                                         {"rope_theta", 300.0},
                                         {"rope_scaling", Value(ValueMap{{"type", "linear"}, {"factor", 3.0}})}});
    const DecoderSpec s = read_spec(*ModelFiles::open(folder.path()));
    EXPECT_EQ(s.ropes[0].theta, 300.0);
    EXPECT_EQ(s.ropes[0].factor, 3.0);
}

// As the makers of DeepSeek publish it.
TEST(Hostile, OlderSpellingOfYarnScalesTheScoresToo) {
    const Folder older("deepseek-v3", {{"rope_parameters", Value()},
                                       {"rope_theta", 300.0},
                                       {"rope_scaling", Value(ValueMap{{"type", "yarn"},
                                                                       {"factor", 4.0},
                                                                       {"beta_fast", 4.0},
                                                                       {"beta_slow", 1.0},
                                                                       {"mscale", 1.0},
                                                                       {"mscale_all_dim", 1.0},
                                                                       {"original_max_position_embeddings", 16}})}});
    const DecoderSpec s = read_spec(*ModelFiles::open(older.path())),
                      same = read_spec(*ModelFiles::open(test::golden_folder("deepseek-v3")));
    EXPECT_EQ(s.attn_scale, same.attn_scale);
    EXPECT_GT(s.attn_scale, 1.2F / std::sqrt(10.0F));
    EXPECT_EQ(s.ropes[0].divisors, same.ropes[0].divisors);
    EXPECT_EQ(s.ropes[0].attn_factor, 1.0);
}

}  // namespace
}  // namespace freehold
