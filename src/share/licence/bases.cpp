// Which licence follows what is made from a model: by the model's name, and by an architecture that only one family
// of models has.
#include <algorithm>
#include <array>
#include <string>

#include "claims.h"

namespace freehold::licence {
namespace {

// "Llama 3.1", "llama_3.1" -> "llama-3.1"
std::string plain(std::string_view name) {
    std::string out(name);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == ' ' || c == '_' ? '-' : c;
    });
    return out;
}

struct Rule {
    std::string_view part;
    std::string_view id;  // empty: terms of nobody else, though the name looks so
};

}  // namespace

const Known* licence_of_base(std::string_view model) {
    // The first part that stands in the name decides, so that longer ones come first.
    constexpr auto kRules = std::to_array<Rule>({
        {"open-llama", ""},
        {"openllama", ""},
        {"tinyllama", ""},
        {"code-llama", "LicenseRef-Llama-2"},
        {"llama-guard-3-8b", "LicenseRef-Llama-3.1"},
        {"llama-guard-3", "LicenseRef-Llama-3.2"},
        {"llama-guard-2", "LicenseRef-Llama-3"},
        {"llama-guard-4", "LicenseRef-Llama-4"},
        {"llamaguard", "LicenseRef-Llama-2"},
        {"codellama", "LicenseRef-Llama-2"},
        {"r1-distill-llama-8b", "LicenseRef-Llama-3.1"},
        {"r1-distill-llama-70b", "LicenseRef-Llama-3.3"},
        {"vicuna-7b-v1.5", "LicenseRef-Llama-2"},
        {"vicuna-13b-v1.5", "LicenseRef-Llama-2"},
        {"vicuna", "LicenseRef-LLaMA-1"},
        {"mistral-large-instruct-24", "LicenseRef-Mistral-MRL-0.1"},
        {"codestral-22b", "LicenseRef-Mistral-MNPL-0.1"},
        {"qwen2.5-3b", "LicenseRef-Qwen-Research-2024"},
        {"qwen2.5-72b", "LicenseRef-Qwen-2024"},
        {"qwen-7b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"qwen-14b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"qwen-72b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"deepseek-llm", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-coder", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-moe", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-math", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-v2", "LicenseRef-DeepSeek-1.0"},
        {"codegemma", "LicenseRef-Gemma-2024-04-01"},
        {"recurrentgemma", "LicenseRef-Gemma-2024-04-01"},
        {"shieldgemma", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-7b", "LicenseRef-Gemma-2024-04-01"},
        {"stable-diffusion-xl", "LicenseRef-CreativeML-OpenRAIL++-M"},
        {"c4ai-", "CC-BY-NC-4.0"},
        {"facebook/opt-", "LicenseRef-OPT-175B"},
        {"llama-3.1", "LicenseRef-Llama-3.1"},
        {"llama-3.2", "LicenseRef-Llama-3.2"},
        {"llama-3.3", "LicenseRef-Llama-3.3"},
        {"llama-4", "LicenseRef-Llama-4"},
        {"llama-3-1", "LicenseRef-Llama-3.1"},
        {"llama-3-2", "LicenseRef-Llama-3.2"},
        {"llama-3-3", "LicenseRef-Llama-3.3"},
        {"llama3-1", "LicenseRef-Llama-3.1"},
        {"llama3-2", "LicenseRef-Llama-3.2"},
        {"llama3-3", "LicenseRef-Llama-3.3"},
        {"llama4", "LicenseRef-Llama-4"},
        {"llama-3", "LicenseRef-Llama-3"},
        {"llama2", "LicenseRef-Llama-2"},
        {"llama3.1", "LicenseRef-Llama-3.1"},
        {"llama3.2", "LicenseRef-Llama-3.2"},
        {"llama3.3", "LicenseRef-Llama-3.3"},
        {"llama-2", "LicenseRef-Llama-2"},
        {"gemma-3", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-2", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-1", "LicenseRef-Gemma-2024-04-01"},
        {"opt-175b", "LicenseRef-OPT-175B"},
        {"starcoder", "LicenseRef-BigCode-OpenRAIL-M-1.0"},
        {"bloom", "LicenseRef-BigScience-BLOOM-RAIL-1.0"},
        {"falcon-11b", "LicenseRef-Falcon-2-11B"},
        {"llama3", "LicenseRef-Llama-3"},
        {"llama-7b", "LicenseRef-LLaMA-1"},
        {"llama-13b", "LicenseRef-LLaMA-1"},
        {"llama-30b", "LicenseRef-LLaMA-1"},
        {"llama-33b", "LicenseRef-LLaMA-1"},
        {"llama-65b", "LicenseRef-LLaMA-1"},
    });
    const std::string name = plain(model);
    for (const Rule& r : kRules)
        if (name.find(r.part) != std::string::npos) return r.id.empty() ? nullptr : find_known(r.id);
    return nullptr;
}

const Known* licence_of_architecture(std::string_view name) {
    constexpr auto kRules = std::to_array<Rule>({{"cohere", "CC-BY-NC-4.0"},
                                                 {"cohere2", "CC-BY-NC-4.0"},
                                                 {"command-r", "CC-BY-NC-4.0"},
                                                 {"gemma", "LicenseRef-Gemma-2024-04-01"},
                                                 {"gemma-embedding", "LicenseRef-Gemma-2024-04-01"},
                                                 {"gemma2", "LicenseRef-Gemma-2024-04-01"},
                                                 {"gemma3", "LicenseRef-Gemma-2024-04-01"},
                                                 {"gemma3-text", "LicenseRef-Gemma-2024-04-01"},
                                                 {"gemma3n", "LicenseRef-Gemma-2024-04-01"},
                                                 {"llama4", "LicenseRef-Llama-4"},
                                                 {"mllama", "LicenseRef-Llama-3.2"},
                                                 {"paligemma", "LicenseRef-Gemma-2024-04-01"},
                                                 {"recurrent-gemma", "LicenseRef-Gemma-2024-04-01"}});
    const std::string wanted = plain(name);
    for (const Rule& r : kRules)
        if (r.part == wanted) return find_known(r.id);
    return nullptr;
}

}  // namespace freehold::licence
