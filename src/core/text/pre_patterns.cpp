// The table of pre-tokenizers by name. A stage is a pattern whose matches are set apart, or one of the words "@...":
// @punctuation (runs of it), @digits (runs), @digit (each alone), @bytes (GPT-2's words, then byte characters).
#include "pre_patterns.h"

#include <array>

namespace freehold::text {

const std::string_view kWordsGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

using Stages = std::string_view;

// clang-format off
#define FREEHOLD_ENDINGS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define FREEHOLD_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define FREEHOLD_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define FREEHOLD_LEAD R"([^\r\n\p{L}\p{N}]?)"
#define FREEHOLD_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define FREEHOLD_SIGNS R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define FREEHOLD_CASED(tail) FREEHOLD_LEAD FREEHOLD_UPPER "*" FREEHOLD_LOWER "+" tail "|" FREEHOLD_LEAD FREEHOLD_UPPER "+" FREEHOLD_LOWER "*" tail
#define FREEHOLD_PUNCT_WORDS R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
#define FREEHOLD_O200K FREEHOLD_CASED(FREEHOLD_ENDINGS "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" FREEHOLD_SPACES
// clang-format on

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    FREEHOLD_ENDINGS "|" FREEHOLD_LEAD R"(\p{L}+|\p{N}{1,3})" FREEHOLD_SIGNS FREEHOLD_SPACES;
constexpr std::string_view kQwen2 = FREEHOLD_ENDINGS "|" FREEHOLD_LEAD R"(\p{L}+|\p{N})" FREEHOLD_SIGNS FREEHOLD_SPACES;
constexpr std::string_view kCjk = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kCjkHangul = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kLineEnd = R"([\r\n])";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";

constexpr std::array<Stages, 1> kStagesGpt2{kGpt2};
constexpr std::array<Stages, 2> kStagesDigitGpt2{"@digit", kGpt2};
constexpr std::array<Stages, 1> kStagesLlama3{kLlama3};
constexpr std::array<Stages, 1> kStagesQwen2{kQwen2};
constexpr std::array<Stages, 1> kStagesQwen35{
    FREEHOLD_ENDINGS "|" FREEHOLD_LEAD R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" FREEHOLD_SPACES};
constexpr std::array<Stages, 6> kStagesDeepseekLlm{
    kLineEnd,
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE})"
    R"(\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC})"
    R"(\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E})"
    R"(\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943})"
    R"(]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    kCjkHangul,
    "@digit"};
constexpr std::array<Stages, 5> kStagesDeepseekCoder{kLineEnd, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjkHangul, "@digit"};
constexpr std::array<Stages, 3> kStagesDeepseekV3{R"(\p{N}{1,3})", kCjk,
                                                  FREEHOLD_PUNCT_WORDS R"(| ?[\p{P}\p{S}]+[\r\n]*)" FREEHOLD_SPACES};
constexpr std::array<Stages, 4> kStagesSpark{R"(\p{N}{1,3})", kCjk,
                                             FREEHOLD_PUNCT_WORDS R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)", "@digit"};
constexpr std::array<Stages, 2> kStagesYoutu{
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    FREEHOLD_CASED(FREEHOLD_ENDINGS "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" FREEHOLD_SPACES};
constexpr std::array<Stages, 4> kStagesFalcon{"@punctuation", "@bytes", "@digits", "[0-9][0-9][0-9]"};
constexpr std::array<Stages, 4> kStagesDefault{R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr std::array<Stages, 1> kStagesBloom{kBloom};
constexpr std::array<Stages, 2> kStagesViking{kBloom, "@digit"};
constexpr std::array<Stages, 1> kStagesTekken{
    FREEHOLD_CASED("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" FREEHOLD_SPACES};
constexpr std::array<Stages, 1> kStagesGpt4o{FREEHOLD_O200K};
constexpr std::array<Stages, 2> kStagesAya{R"(\d{1,3}(?=(?:\d{3})*\b))", FREEHOLD_O200K};
constexpr std::array<Stages, 1> kStagesKimi{
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+)" FREEHOLD_ENDINGS
    R"(?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*)" FREEHOLD_ENDINGS
    R"(?|\p{N}{1,3})" FREEHOLD_SIGNS FREEHOLD_SPACES};
constexpr std::array<Stages, 2> kStagesSuper{R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"};
constexpr std::array<Stages, 1> kStagesBailing{
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<Stages, 1> kStagesSeed{
    FREEHOLD_ENDINGS "|" FREEHOLD_LEAD R"(\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" FREEHOLD_SPACES};
constexpr std::array<Stages, 1> kStagesUfak{FREEHOLD_LEAD R"(\p{L}+|\p{N})" FREEHOLD_SIGNS FREEHOLD_SPACES};
constexpr std::array<Stages, 1> kStagesJais2{
    FREEHOLD_ENDINGS
    "|" FREEHOLD_LEAD R"(\p{L}+|\p{N}{1,3})" FREEHOLD_SIGNS
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})"};
constexpr std::array<Stages, 3> kStagesAfmoe{
    R"(\p{Nd}{1,3}(?=(?:\p{Nd}{3})*(?!\p{Nd})))",
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)",
    FREEHOLD_PUNCT_WORDS R"(| ?[\p{P}\p{S}]+[\r\n]*)" FREEHOLD_SPACES};
constexpr std::array<Stages, 2> kStagesLaguna{kLines, kQwen2};
constexpr std::array<Stages, 1> kStagesExaoneMoe{
    FREEHOLD_ENDINGS "|" FREEHOLD_LEAD
                     R"((?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<Stages, 2> kStagesMiniCpm{
    R"(\p{N}{1,3})", FREEHOLD_ENDINGS "|" FREEHOLD_LEAD R"(\p{L}+|\p{N}+)" FREEHOLD_SIGNS FREEHOLD_SPACES};
constexpr std::array<Stages, 6> kStagesChameleon{"<sentinel:[0-9]+>",       "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                                                 "([\\t\\n]|    |  )",      "@digit",
                                                 R"([\p{P}!-/:-@\[-`{-~])", kGpt2};
constexpr std::array<Stages, 1> kStagesLines{kLines};
constexpr std::array<Stages, 1> kStagesWhitespace{R"(\S+)"};

constexpr std::array kTable{
    PrePattern{"default", kStagesDefault},
    PrePattern{"gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en "
               "jina-v2-code roberta-bpe exaone4 jais trillion granite-docling",
               kStagesGpt2},
    PrePattern{"gpt-neox mpt olmo", kStagesGpt2, true},
    PrePattern{"smollm starcoder refact codeshell exaone minerva-7b minerva mellum2", kStagesDigitGpt2},
    PrePattern{"command-r", kStagesDigitGpt2, true},
    PrePattern{"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", kStagesLlama3, false,
               true, true},
    PrePattern{"dbrx smaug-bpe smaug chatglm-bpe chatglm4", kStagesLlama3},
    PrePattern{"glm4 glm5", kStagesLlama3, false, true},
    PrePattern{"qwen2 deepseek-r1-qwen megrez stablelm2 kormo f2llmv2", kStagesQwen2, true},
    PrePattern{"hunyuan solar-open grok-2", kStagesQwen2},
    PrePattern{"qwen35", kStagesQwen35, true},
    PrePattern{"ufakzeka", kStagesUfak},
    PrePattern{"deepseek-llm", kStagesDeepseekLlm},
    PrePattern{"deepseek-coder", kStagesDeepseekCoder},
    PrePattern{"deepseek-v3 hunyuan-dense joyai-llm hy_v4", kStagesDeepseekV3},
    PrePattern{"spark2_5", kStagesSpark},
    PrePattern{"youtu", kStagesYoutu, false, true},
    PrePattern{"falcon", kStagesFalcon},
    PrePattern{"bloom poro-chat poro gpt3-finnish", kStagesBloom},
    PrePattern{"viking", kStagesViking},
    PrePattern{"tekken", kStagesTekken, false, true, true},
    PrePattern{"gpt-4o llama4 kanana2 talkie minimax-m2", kStagesGpt4o},
    PrePattern{"granite-embed-multi-97m", kStagesGpt4o, false, true},
    PrePattern{"tiny_aya cohere2moe", kStagesAya},
    PrePattern{"kimi-k2", kStagesKimi},
    PrePattern{"superbpe", kStagesSuper},
    PrePattern{"bailingmoe bailingmoe2 llada-moe", kStagesBailing},
    PrePattern{"seed-coder", kStagesSeed},
    PrePattern{"jais-2", kStagesJais2},
    PrePattern{"afmoe", kStagesAfmoe},
    PrePattern{"laguna", kStagesLaguna},
    PrePattern{"exaone-moe", kStagesExaoneMoe},
    PrePattern{"minicpm5", kStagesMiniCpm, false, true},
    PrePattern{"chameleon", kStagesChameleon, false, false, true},
    PrePattern{"gemma4 granite-embed-multi-311m", kStagesLines, false, false, true, true},
    PrePattern{"sarvam-moe", kStagesLines, false, false, false, true},
    PrePattern{"whitespace", kStagesWhitespace, false, false, false, true},
};

// Files older than the key: what their architecture's only tokenizer was.
constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kByArchitecture{{
    {"gpt2", "gpt-2"},
    {"gptneox", "gpt-neox"},
    {"gptj", "gpt-2"},
    {"phi2", "gpt-2"},
    {"mpt", "mpt"},
    {"olmo", "olmo"},
    {"falcon", "falcon"},
    {"starcoder", "starcoder"},
    {"starcoder2", "starcoder"},
    {"refact", "refact"},
    {"codeshell", "codeshell"},
    {"bloom", "bloom"},
    {"qwen", "qwen2"},
    {"qwen2", "qwen2"},
    {"qwen2moe", "qwen2"},
    {"qwen3", "qwen2"},
    {"command-r", "command-r"},
    {"dbrx", "dbrx"},
    {"jais", "jais"},
    {"chatglm", "chatglm-bpe"},
}};

bool has_name(std::string_view names, std::string_view name) {
    while (!names.empty()) {
        const std::size_t space = names.find(' ');
        if (names.substr(0, space) == name) return true;
        if (space == std::string_view::npos) return false;
        names.remove_prefix(space + 1);
    }
    return false;
}

}  // namespace

const PrePattern* find_pre_pattern(std::string_view name) {
    for (const PrePattern& p : kTable) {
        if (has_name(p.names, name)) return &p;
    }
    return nullptr;
}

std::string_view pre_of_architecture(std::string_view architecture) {
    for (const auto& [arch, pre] : kByArchitecture) {
        if (arch == architecture) return pre;
    }
    return "default";
}

PreTokenizers make_pre_tokenizers(const PrePattern& pattern) {
    PreTokenizers list;
    const std::string_view name = pattern.names.substr(0, pattern.names.find(' '));
    const std::string where = "pre-tokenizer " + std::string(name);
    bool bytes = pattern.meta_spaces;
    for (const std::string_view stage : pattern.stages) {
        if (stage == "@punctuation") {
            list.push_back(make_split(CharClass::punctuation, SplitBehavior::contiguous));
        } else if (stage == "@digits") {
            list.push_back(make_split(CharClass::numeric, SplitBehavior::contiguous));
        } else if (stage == "@digit") {
            list.push_back(make_split(CharClass::numeric, SplitBehavior::isolated));
        } else if (stage == "@bytes") {
            list.push_back(make_byte_level(false, std::make_unique<Regex>(kGpt2, where)));
            bytes = true;
        } else {
            list.push_back(make_split(Regex(stage, where), SplitBehavior::isolated, false));
        }
    }
    if (!bytes) list.push_back(make_byte_level(false, nullptr));
    return list;
}

std::span<const PrePattern> all_pre_patterns() {
    return kTable;
}

}  // namespace freehold::text
