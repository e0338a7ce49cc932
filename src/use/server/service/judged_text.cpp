// What guards are shown, what is held back for them, and what a refusal says.
#include "judged_text.h"

#include <fmt/format.h>

namespace freehold::server {
namespace {

void add_line(std::string& out, std::string_view text) {
    if (text.empty()) return;
    if (!out.empty()) out += "\n\n";
    out += text;
}

void add_content(std::string& out, const Value& content) {
    if (const auto text = content.as_string()) return add_line(out, *text);
    const auto* const parts = content.get<ValueList>();
    if (parts == nullptr) return;
    for (const Value& part : *parts) {
        const auto* const map = part.get<ValueMap>();
        const Value* const text = map == nullptr ? nullptr : map->find("text");
        if (text != nullptr && text->as_string()) add_line(out, *text->as_string());
    }
}

}  // namespace

std::string client_words(const Prompt& prompt) {
    std::string out;
    const auto* const chat = std::get_if<ChatPrompt>(&prompt);
    if (chat == nullptr) return out;
    for (const Value& message : chat->messages) {
        const auto* const map = message.get<ValueMap>();
        if (map == nullptr) continue;
        if (const Value* content = map->find("content")) add_content(out, *content);
        if (const Value* calls = map->find("tool_calls")) add_line(out, to_json(*calls));
    }
    if (!chat->tools.empty()) add_line(out, to_json(Value(chat->tools)));
    add_line(out, chat->prefill);
    return out;
}

RequestError refusal_of(const safeguards::Decision& decision) {
    if (decision.verdict == safeguards::Verdict::unjudged) {
        return {503,
                ErrorKind::busy,
                fmt::format("The safeguard {} could not judge this request, and what is not judged is not answered.",
                            decision.guard),
                "Try again; whoever runs this server finds the reason in its audit log.",
                {},
                "safeguard_unavailable",
                5};
    }
    return {400,
            ErrorKind::usage,
            fmt::format("The safeguard {} refuses this request: {}.", decision.guard, decision.category),
            "Whoever runs this server decides what it answers.",
            "messages",
            "content_policy_violation"};
}

void join(Delta& held, Delta&& more) {
    held.choice = more.choice;
    held.text += more.text;
    for (OutputDelta& part : more.parts) {
        OutputDelta* const last = held.parts.empty() ? nullptr : &held.parts.back();
        if (last != nullptr && last->kind == part.kind && last->index == part.index &&
            part.kind != OutputDelta::Kind::tool_call) {
            last->text += part.text;
        } else {
            held.parts.push_back(std::move(part));
        }
    }
    for (TokenPiece& piece : more.tokens) held.tokens.push_back(std::move(piece));
}

}  // namespace freehold::server
