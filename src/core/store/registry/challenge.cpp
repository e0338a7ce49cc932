// WWW-Authenticate (RFC 9110, 11.6.1): several challenges in one line, parameters as tokens or quoted strings.
// A comma separates both parameters and challenges; what is followed by '=' is a parameter.
#include <algorithm>
#include <cctype>

#include "client.h"

namespace freehold::registry {
namespace {

bool is_token(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string take_token(std::string_view& text) {
    std::string out;
    while (!text.empty() && is_token(text.front())) {
        out += static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
        text.remove_prefix(1);
    }
    return out;
}

void skip(std::string_view& text, std::string_view what) {
    while (!text.empty() && what.find(text.front()) != std::string_view::npos) text.remove_prefix(1);
}

std::string take_value(std::string_view& text) {
    std::string out;
    if (!text.starts_with('"')) {
        while (!text.empty() && text.front() != ',' && text.front() != ' ') {
            out += text.front();
            text.remove_prefix(1);
        }
        return out;
    }
    text.remove_prefix(1);
    while (!text.empty() && text.front() != '"') {
        if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
        out += text.front();
        text.remove_prefix(1);
    }
    if (!text.empty()) text.remove_prefix(1);
    return out;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view text) {
    std::vector<Challenge> out;
    while (true) {
        skip(text, " \t,");
        const std::string word = take_token(text);
        if (word.empty()) return out;  // the end, or something that is none
        const std::string_view before = text;
        skip(text, " \t");
        if (text.starts_with('=') && !out.empty()) {
            text.remove_prefix(1);
            skip(text, " \t");
            out.back().parameters[word] = take_value(text);
            continue;
        }
        text = before;
        out.push_back({word, {}});
        if (out.size() > 16) return out;
    }
}

}  // namespace freehold::registry
