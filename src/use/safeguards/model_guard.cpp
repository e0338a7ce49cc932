// Llama Guard's manner of asking and answering.
#include "freehold/safeguards/model_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "freehold/base/printable.h"

namespace freehold::safeguards {
namespace {

std::string trimmed(std::string_view text) {
    const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && space(text.front())) text.remove_prefix(1);
    while (!text.empty() && space(text.back())) text.remove_suffix(1);
    return std::string(text);
}

bool begins(std::string_view word, std::string_view piece) {
    return !piece.empty() && word.substr(0, piece.size()) == piece;
}

// A space behind what opens a control token (<|eot_id|>, <end_of_turn>, </s>, [INST]).
std::string broken_up(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 16);
    for (std::size_t i = 0; i < text.size(); ++i) {
        out += text[i];
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : ' ');
        const bool opens = (text[i] == '<' && (next == '|' || next == '/' || std::isalpha(next) != 0)) ||
                           (text[i] == '[' && (next == '/' || std::isupper(next) != 0));
        if (opens) out += ' ';
    }
    return out;
}

}  // namespace

const std::map<std::string, std::string>& common_codes() {
    static const std::map<std::string, std::string> codes = {
        {"S1", "illicit/violent"}, {"S2", "illicit"},
        {"S3", "sexual"},          {"S4", "sexual/minors"},
        {"S5", "defamation"},      {"S6", "specialized-advice"},
        {"S7", "privacy"},         {"S8", "intellectual-property"},
        {"S9", "illicit/violent"}, {"S10", "hate"},
        {"S11", "self-harm"},      {"S12", "sexual"},
        {"S13", "elections"},      {"S14", "code-interpreter-abuse"}};
    return codes;
}

ValueList guard_messages(std::string_view asked, std::string_view answered, bool is_answer) {
    ValueList messages;
    messages.emplace_back(ValueMap{{"role", "user"}, {"content", broken_up(asked)}});
    if (is_answer) messages.emplace_back(ValueMap{{"role", "assistant"}, {"content", broken_up(answered)}});
    return messages;
}

Judgement read_answer(const GuardConfig& guard, const std::vector<AnswerToken>& answer) {
    Judgement judgement;
    std::string text;
    double safe = 0, unsafe = 0;
    bool weighed = false;
    for (const AnswerToken& token : answer) {
        text += token.text;
        if (weighed || trimmed(token.text).empty()) continue;
        weighed = true;
        const auto weigh = [&](const std::string& piece, float logprob) {
            const std::string word = trimmed(piece);
            if (begins("safe", word)) safe += std::exp(static_cast<double>(logprob));
            if (begins("unsafe", word)) unsafe += std::exp(static_cast<double>(logprob));
        };
        // The alternatives hold the token itself where they hold anything.
        const bool among =
            std::ranges::any_of(token.alternatives, [&](const auto& a) { return a.first == token.text; });
        if (!among) weigh(token.text, token.logprob);
        for (const auto& [piece, logprob] : token.alternatives) weigh(piece, logprob);
    }
    text = trimmed(text);
    const bool says_unsafe = text.starts_with("unsafe");
    if ((!says_unsafe && !text.starts_with("safe")) || safe + unsafe <= 0) {
        judgement.unjudged = fmt::format("it answered \"{}\" instead of safe or unsafe", printable(text, 60));
        return judgement;
    }
    if (!says_unsafe) return judgement;
    const double score = unsafe / (safe + unsafe);
    const std::string_view rest = std::string_view(text).substr(6);
    bool any_code = false;
    for (std::size_t at = 0; at < rest.size();) {
        const std::size_t end = std::min(rest.find_first_of(", \n\t\r", at), rest.size());
        const std::string code(rest.substr(at, end - at));
        at = end + 1;
        if (code.empty()) continue;
        any_code = true;
        const auto known = guard.codes.find(code);
        const std::string category = known == guard.codes.end() ? printable(code, 40) : known->second;
        if (!category.empty()) judgement.hits.push_back({category, score, printable(code, 40)});
    }
    // Unsafe for no reason that it names: that is no code that somebody turned off.
    if (!any_code) judgement.hits.push_back({"unsafe", score, "unsafe"});
    return judgement;
}

}  // namespace freehold::safeguards
