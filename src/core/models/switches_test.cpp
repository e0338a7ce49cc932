// Every switch of the blueprint flipped, family by family, to show that the comparison with transformers would see it.
#include <algorithm>
#include <functional>

#include "family_case.h"
#include "freehold/base/error.h"
#include "test_session.h"

namespace freehold {
namespace {

using test::Case;
using test::difference;
using test::load;

// One switch of the blueprint, set wrongly.
struct Flip {
    const char* name;
    std::function<void(DecoderSpec&)> change;
};

// Returns the relative change of the logits, or a negative number with the sentence when the model is refused instead.
double moved(const Case& c, ThreadPool& threads, const test::Golden& golden, const Flip& flip, std::string& sentence) {
    try {
        const auto decoder = load(c, threads, flip.change);
        test::Session session(*decoder, threads);
        return difference(session.feed(golden.tokens), golden.logits);
    } catch (const Error& e) {
        sentence = e.message();
        return -1;
    }
}

void expect_all_seen(const Case& c, const std::vector<Flip>& flips) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(c.name);
    for (const Flip& f : flips) {
        std::string sentence;
        const double d = moved(c, threads, golden, f, sentence);
        if (d < 0) {
            // Parallel branches have their norms before them, xIELU has no gate: such blueprints are refused as such.
            bool named = false;
            for (const char* const part : {"Tensor '", "branches", "without a gate", "groups of experts"})
                named = named || sentence.find(part) != std::string::npos;
            EXPECT_TRUE(named) << c.name << ", " << f.name << ": " << sentence;
        } else {
            EXPECT_GT(d, 1e-2) << c.name << " is blind to " << f.name;
        }
    }
}

// Switches that every family has.
std::vector<Flip> common_flips() {
    return {
        {"norm kind", [](DecoderSpec& s) { s.norm = s.norm == NormKind::rms ? NormKind::layer : NormKind::rms; }},
        {"norm place",
         [](DecoderSpec& s) { s.norm_place = s.norm_place == NormPlace::pre ? NormPlace::post : NormPlace::pre; }},
        {"norm after the addition", [](DecoderSpec& s) { s.norm_place = NormPlace::post_add; }},
        {"norm weight plus one", [](DecoderSpec& s) { s.norm_weight_plus_one = !s.norm_weight_plus_one; }},
        {"epsilon", [](DecoderSpec& s) { s.norm_eps = s.norm_eps > 1e-3F ? 1e-5F : 0.1F; }},
        {"final norm", [](DecoderSpec& s) { s.final_norm = false; }},
        {"scale of scores", [](DecoderSpec& s) { s.attn_scale *= 1.2F; }},
        {"scale of scores by layer",
         [](DecoderSpec& s) { s.attn_scale_by_inverse_layer = !s.attn_scale_by_inverse_layer; }},
        {"cap on scores", [](DecoderSpec& s) { s.attn_softcap = s.attn_softcap > 0 ? 0.0F : 1.0F; }},
        {"clamp", [](DecoderSpec& s) { s.qkv_clamp = 0.5F; }},
        {"activation",
         [](DecoderSpec& s) {
             s.activation = s.activation == Activation::silu ? Activation::gelu_tanh : Activation::silu;
         }},
        {"gate", [](DecoderSpec& s) { s.gated_mlp = !s.gated_mlp; }},
        {"embedding scale", [](DecoderSpec& s) { s.embed_scale = s.embed_scale == 1.0F ? 3.0F : 1.0F; }},
        {"tied head", [](DecoderSpec& s) { s.tied_head = !s.tied_head; }},
        {"scale of logits", [](DecoderSpec& s) { s.logit_scale = 0.9F; }},
        {"cap on logits", [](DecoderSpec& s) { s.final_softcap = s.final_softcap > 0 ? 0.0F : 2.0F; }},
        {"causal", [](DecoderSpec& s) { s.causal = false; }},
        {"QK-norm", [](DecoderSpec& s) { s.qk_norm = s.qk_norm == QkNorm::none ? QkNorm::per_head : QkNorm::none; }},
        {"window",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.window = l.window == 0 ? 8 : 0;
         }},
    };
}

std::vector<Flip> with(std::vector<Flip> flips, std::vector<Flip> more) {
    flips.insert(flips.end(), more.begin(), more.end());
    return flips;
}

std::vector<Flip> rotary_flips() {
    return {
        {"rotary pairs",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) r.interleaved = !r.interleaved;
         }},
        {"rotary base", [](DecoderSpec& s) { s.ropes[0].theta = s.ropes[0].theta == 10000.0 ? 300.0 : 10000.0; }},
        {"rotary factor", [](DecoderSpec& s) { s.ropes[0].factor = s.ropes[0].factor == 1.0 ? 2.0 : 1.0; }},
        {"rotary amplitude",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) r.attn_factor *= 1.2;
         }},
        {"rotary divisors",
         [](DecoderSpec& s) {
             if (s.ropes[0].divisors.empty())
                 s.ropes[0].divisors.assign(static_cast<std::size_t>(s.ropes[0].n_dims / 2), 2.0F);
             else
                 s.ropes[0].divisors.clear();
         }},
        {"rotated dimensions",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) {
                 r.n_dims = r.n_dims / 4 * 2;
                 r.divisors.clear();
             }
         }},
        {"no rotation",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.rope = -1;
         }},
    };
}

TEST(Switches, LlamaSeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()),
                            {{"attention biases", [](DecoderSpec& s) { s.attn_bias = Presence::absent; }},
                             {"MLP biases", [](DecoderSpec& s) { s.mlp_bias = Presence::absent; }},
                             {"learned positions", [](DecoderSpec& s) { s.positions = Positions::learned; }}});
    expect_all_seen({"llama", false}, flips);
    expect_all_seen({"llama", true}, flips);
    expect_all_seen({"llama3-rope", false}, rotary_flips());
    expect_all_seen({"llama-yarn", false}, rotary_flips());
    expect_all_seen({"llama-linear", false}, rotary_flips());
}

TEST(Switches, Gemma3SeesEveryOne) {
    const auto flips =
        with(with(common_flips(), rotary_flips()),
             {{"rotary base of the windows",
               [](DecoderSpec& s) { s.ropes[1].theta = s.ropes[1].theta == 10000.0 ? 300.0 : 10000.0; }},
              {"one rotation for all",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.rope = 0;
               }},
              {"window wider by one",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.window += l.window > 0 ? 1 : 0;
               }},
              {"window narrower by one",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.window -= l.window > 0 ? 1 : 0;
               }},
              {"which layers have windows",
               [](DecoderSpec& s) { std::rotate(s.layers.begin(), s.layers.begin() + 1, s.layers.end()); }},
              {"norm over the whole width", [](DecoderSpec& s) { s.qk_norm = QkNorm::whole_width; }}});
    expect_all_seen({"gemma3", false}, flips);
    expect_all_seen({"gemma3", true}, flips);
    expect_all_seen({"gemma3-hf", false}, flips);
}

TEST(Switches, Gpt2SeesEveryOne) {
    const auto flips = with(common_flips(), {{"positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
                                             {"position offset", [](DecoderSpec& s) {
                                                  s.position_offset = 1;
                                                  --s.context;
                                              }}});
    expect_all_seen({"gpt2", false}, flips);
    // Its GGUF carries the head as a copy of the embedding, so that tied or not is the same model.
    auto in_gguf = flips;
    std::erase_if(in_gguf, [](const Flip& f) { return std::string_view(f.name) == "tied head"; });
    expect_all_seen({"gpt2", true}, in_gguf);
    expect_all_seen({"gpt2-bare", false}, flips);
}

std::vector<Flip> without(std::vector<Flip> flips, std::initializer_list<std::string_view> names) {
    std::erase_if(flips, [&](const Flip& f) { return std::ranges::find(names, f.name) != names.end(); });
    return flips;
}

const Flip kWiderWindow{"window wider by one", [](DecoderSpec& s) {
                            for (LayerSpec& l : s.layers) l.window += l.window > 0 ? 1 : 0;
                        }};
const Flip kOtherLayers{"which layers have windows or rotate",
                        [](DecoderSpec& s) { std::rotate(s.layers.begin(), s.layers.begin() + 1, s.layers.end()); }};
const Flip kWholeWidth{"norm over the whole width", [](DecoderSpec& s) {
                           s.qk_norm = s.qk_norm == QkNorm::whole_width ? QkNorm::per_head : QkNorm::whole_width;
                       }};
const Flip kAttentionBias{"attention biases", [](DecoderSpec& s) {
                              s.attn_bias = s.attn_bias == Presence::required ? Presence::absent : Presence::required;
                          }};

TEST(Switches, Qwen2SeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kAttentionBias});
    expect_all_seen({"qwen2", false}, flips);
    expect_all_seen({"qwen2", true}, flips);
    expect_all_seen({"qwen2-window", false}, {kWiderWindow, kOtherLayers});
    expect_all_seen({"qwen2-yarn", false}, rotary_flips());
    expect_all_seen({"qwen2-yarn", true}, rotary_flips());
}

TEST(Switches, Qwen3SeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kWholeWidth, kAttentionBias});
    expect_all_seen({"qwen3", false}, flips);
    expect_all_seen({"qwen3", true}, with(with(common_flips(), rotary_flips()), {kWholeWidth}));
}

TEST(Switches, MistralAndSmolLm3SeeEveryOne) {
    expect_all_seen({"mistral", false}, with(with(common_flips(), rotary_flips()), {kWiderWindow}));
    expect_all_seen({"mistral-nemo", true}, with(common_flips(), rotary_flips()));
    expect_all_seen({"smollm3", false}, with(with(common_flips(), rotary_flips()), {kOtherLayers}));
    expect_all_seen({"smollm3", true}, with(with(common_flips(), rotary_flips()), {kOtherLayers}));
}

TEST(Switches, OlmoSeesEveryOne) {
    const auto first = with(without(with(common_flips(), rotary_flips()), {"norm weight plus one"}),
                            {{"no clamp", [](DecoderSpec& s) { s.qkv_clamp = 0; }},
                             {"norms with weights", [](DecoderSpec& s) { s.norm_params = true; }}});
    expect_all_seen({"olmo", false}, first);
    expect_all_seen({"olmo", true}, first);
    const auto second = with(with(common_flips(), rotary_flips()), {kWholeWidth});
    expect_all_seen({"olmo2", false}, second);
    expect_all_seen({"olmo2", true}, second);
    const auto third = with(second, {kWiderWindow, kOtherLayers, {"one rotation for all", [](DecoderSpec& s) {
                                                                      for (LayerSpec& l : s.layers) l.rope = 0;
                                                                  }}});
    expect_all_seen({"olmo3", false}, third);
    expect_all_seen({"olmo3", true}, third);
}

TEST(Switches, MixturesSeeEveryOne) {
    const std::vector<Flip> routing = {
        {"one expert more", [](DecoderSpec& s) { ++s.routing.n_used; }},
        {"one expert fewer", [](DecoderSpec& s) { --s.routing.n_used; }},
        {"weights that are made whole, or not", [](DecoderSpec& s) { s.routing.renormalize = !s.routing.renormalize; }},
        {"scores", [](DecoderSpec& s) { s.routing.score = RouterScore::sigmoid; }},
        {"scale", [](DecoderSpec& s) { s.routing.scale = 2.0F; }},
        {"groups", [](DecoderSpec& s) { s.routing.n_groups = s.routing.n_experts / 2; }},
        {"a dense layer", [](DecoderSpec& s) { s.layers[0].experts = false; }},
        {"activation", [](DecoderSpec& s) { s.activation = Activation::gelu_tanh; }},
    };
    for (const Case& c :
         {Case{"qwen3moe", false}, Case{"qwen3moe-all", true}, Case{"olmoe", false}, Case{"olmoe", true}})
        expect_all_seen(c, with(routing, rotary_flips()));
    // Five experts make no groups.
    expect_all_seen({"mixtral", false}, without(routing, {"groups"}));
    expect_all_seen({"mixtral-window", false}, {kWiderWindow});
    expect_all_seen({"mixtral", true}, without(routing, {"groups"}));
}

TEST(Switches, DeepSeekSeesEveryOne) {
    const std::vector<Flip> latent = {
        {"epsilon", [](DecoderSpec& s) { s.norm_eps = 1e-5F; }},
        {"epsilon of the latents' norms", [](DecoderSpec& s) { s.latent.norm_eps = 0.05F; }},
        {"scale of scores", [](DecoderSpec& s) { s.attn_scale *= 1.2F; }},
        {"causal", [](DecoderSpec& s) { s.causal = false; }},
        {"window",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.window = 8;
         }},
        {"clamp", [](DecoderSpec& s) { s.qkv_clamp = 0.5F; }},
        {"one expert more", [](DecoderSpec& s) { ++s.routing.n_used; }},
        {"one expert fewer", [](DecoderSpec& s) { --s.routing.n_used; }},
        {"weights that are made whole, or not", [](DecoderSpec& s) { s.routing.renormalize = !s.routing.renormalize; }},
        {"scores",
         [](DecoderSpec& s) {
             s.routing.score = s.routing.score == RouterScore::sigmoid ? RouterScore::softmax : RouterScore::sigmoid;
         }},
        {"scale of the experts", [](DecoderSpec& s) { s.routing.scale = 1.0F; }},
        {"shared expert", [](DecoderSpec& s) { s.d_ff_shared = 0; }},
        {"a layer more of experts", [](DecoderSpec& s) { s.layers[0].experts = true; }},
        {"activation", [](DecoderSpec& s) { s.activation = Activation::gelu_tanh; }},
    };
    const std::vector<Flip> groups = {
        {"no groups", [](DecoderSpec& s) { s.routing.n_groups = s.routing.n_groups_kept = 1; }},
        {"one group more is kept", [](DecoderSpec& s) { ++s.routing.n_groups_kept; }},
        {"what a group is worth",
         [](DecoderSpec& s) {
             s.routing.group_score =
                 s.routing.group_score == GroupScore::best ? GroupScore::best_two : GroupScore::best;
         }},
    };
    const Flip bias{"bias of the router", [](DecoderSpec& s) { s.router_bias = Presence::absent; }};
    for (const bool gguf : {false, true}) {
        expect_all_seen({"deepseek-v3", gguf}, with(with(with(latent, groups), rotary_flips()), {bias}));
        expect_all_seen({"deepseek-v2", gguf}, with(with(latent, groups), rotary_flips()));
        expect_all_seen({"deepseek-v2-lite", gguf}, with(latent, rotary_flips()));
    }
    expect_all_seen({"deepseek-v3-halves", false}, with(with(latent, rotary_flips()), {bias}));
}

TEST(Switches, GptOssSeesEveryOne) {
    const auto flips = with(
        rotary_flips(), {kWiderWindow,
                         kOtherLayers,
                         {"no sinks", [](DecoderSpec& s) { s.attn_sinks = false; }},
                         {"no biases of experts", [](DecoderSpec& s) { s.expert_biases = false; }},
                         {"another gate", [](DecoderSpec& s) { s.clamped_glu = false; }},
                         {"steepness of the gate", [](DecoderSpec& s) { s.glu.alpha = 1.0F; }},
                         {"limit of the gate", [](DecoderSpec& s) { s.glu.limit = s.glu.limit == 7.0F ? 4.0F : 7.0F; }},
                         {"one expert more", [](DecoderSpec& s) { ++s.routing.n_used; }},
                         {"weights that are made whole, or not", [](DecoderSpec& s) { s.routing.renormalize = false; }},
                         {"epsilon", [](DecoderSpec& s) { s.norm_eps = 1e-5F; }},
                         {"scale of scores", [](DecoderSpec& s) { s.attn_scale *= 1.2F; }}});
    for (const bool gguf : {false, true}) expect_all_seen({"gpt-oss", gguf}, with(flips, {kAttentionBias}));
    expect_all_seen({"gpt-oss-limit", false}, with(flips, {kAttentionBias}));
    for (const bool gguf : {false, true}) expect_all_seen({"gpt-oss-mxfp4", gguf}, flips);
}

TEST(Switches, Phi3SeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kWiderWindow});
    expect_all_seen({"phi3", false}, flips);
    expect_all_seen({"phi3", true}, flips);
    expect_all_seen({"phi3-short", false}, rotary_flips());
    expect_all_seen({"phi3-short", true}, rotary_flips());
    expect_all_seen({"phi3-long", false, 80}, without(rotary_flips(), {"rotary pairs"}));
    expect_all_seen({"llama-dynamic", false, 40}, rotary_flips());
    // What was asked for decides: the short factors, and a base that was not stretched, are other models here.
    ThreadPool threads(1);
    for (const char* const name : {"phi3-long", "llama-dynamic"}) {
        const test::Golden golden = test::read_golden(name);
        const auto decoder = load({name, false}, threads);
        test::Session session(*decoder, threads);
        EXPECT_GT(difference(session.feed(golden.tokens), golden.logits), 1e-2) << name;
    }
    EXPECT_EQ(load({"phi3-long", false}, threads)->spec().context, 20);
    EXPECT_EQ(load({"phi3-long", false, 50}, threads)->spec().context, 50);
    EXPECT_EQ(load({"phi3-long", false, 1000}, threads)->spec().context, 80);
}

TEST(Switches, Gemma2SeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kWiderWindow, kOtherLayers});
    expect_all_seen({"gemma2", false}, flips);
    expect_all_seen({"gemma2", true}, flips);
}

TEST(Switches, ApertusSeesEveryOne) {
    const auto flips = with(with(without(common_flips(), {"activation"}), rotary_flips()),
                            {{"no xIELU", [](DecoderSpec& s) { s.xielu.clear(); }},
                             {"alpha of what is positive", [](DecoderSpec& s) { s.xielu[0].raw_p += 0.3F; }},
                             {"alpha of what is negative", [](DecoderSpec& s) { s.xielu[1].raw_n += 0.3F; }},
                             {"beta", [](DecoderSpec& s) { s.xielu[1].beta += 0.2F; }},
                             kWholeWidth});
    expect_all_seen({"apertus", false}, flips);
    expect_all_seen({"apertus", true}, flips);
}

const Flip kParallel{"parallel branches", [](DecoderSpec& s) { s.parallel_residual = !s.parallel_residual; }};
const Flip kSharedNorm{"one norm for both branches", [](DecoderSpec& s) { s.shared_norm = !s.shared_norm; }};

TEST(Switches, GptNeoxAndGptJSeeEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kParallel, kSharedNorm});
    expect_all_seen({"gptneox", false}, with(flips, {kAttentionBias}));
    expect_all_seen({"gptneox", true}, flips);
    expect_all_seen({"gptneox-serial", false}, with(flips, {kAttentionBias}));
    expect_all_seen({"gptj", false}, flips);
}

TEST(Switches, GptNeoAndOptSeeEveryOne) {
    const std::vector<Flip> learned{{"positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
                                    {"position offset", [](DecoderSpec& s) {
                                         s.context += s.position_offset > 0 ? 1 : -1;
                                         s.position_offset += s.position_offset > 0 ? -1 : 1;
                                     }}};
    expect_all_seen({"gptneo", false}, with(with(common_flips(), learned), {kWiderWindow, kOtherLayers}));
    const auto opt = with(with(common_flips(), learned), {kAttentionBias});
    expect_all_seen({"opt", false}, opt);
    expect_all_seen({"opt-350m", false},
                    with(without(opt, {"norm after the addition", "final norm"}),
                         {{"embedding as wide as the model", [](DecoderSpec& s) { s.d_embed = 0; }}}));
    expect_all_seen({"opt-bare", false}, without(opt, {"norm weight plus one"}));
}

TEST(Switches, MptAndBloomSeeEveryOne) {
    const auto flips = with(common_flips(), {{"no positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
                                             {"largest bias of ALiBi", [](DecoderSpec& s) { s.alibi_max_bias *= 2; }},
                                             {"scale of ALiBi", [](DecoderSpec& s) { s.alibi_scale *= 2; }}});
    for (const bool gguf : {false, true}) {
        expect_all_seen({"mpt", gguf}, with(flips, {{"no clamp", [](DecoderSpec& s) { s.qkv_clamp = 0; }}}));
        expect_all_seen({"bloom", gguf},
                        with(flips, {{"no norm of the embedding", [](DecoderSpec& s) { s.embed_norm = false; }}}));
    }
    expect_all_seen({"mpt-scaled", false}, flips);
    // Behind norms of q and k, half the scale in one layer is not enough to tell.
    for (const bool gguf : {false, true})
        expect_all_seen({"mpt-qk", gguf}, with(without(flips, {"scale of scores by layer"}), {kWholeWidth}));
    expect_all_seen({"mpt-rope", false}, with(common_flips(), rotary_flips()));
    expect_all_seen({"falcon-rw", false}, with(flips, {kParallel, kAttentionBias}));
}

TEST(Switches, FalconSeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()), {kParallel, kSharedNorm});
    for (const bool gguf : {false, true}) {
        // Its GGUF calls a norm for attention alone by the same name, so that one norm or twice the same is one model.
        expect_all_seen({"falcon-7b", gguf}, gguf ? without(flips, {kSharedNorm.name}) : flips);
        expect_all_seen({"falcon-40b", gguf}, flips);
    }
    expect_all_seen({"falcon-11b", false}, flips);
}

}  // namespace
}  // namespace freehold
