// Go's text/template to Jinja: cut into texts and actions, then each action said in the other language.
#include "go_template.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::server {
namespace {

constexpr std::size_t kLongest = 64 << 10;
constexpr int kDeepest = 32;

struct Piece {
    bool action = false;
    std::string text;
};

[[noreturn]] void refuse(std::string_view what) {
    throw Error(ErrorKind::unsupported,
                fmt::format("The template's \"{}\" has no counterpart here.", printable(what.substr(0, 80))),
                "Leave template away: the model's own template, in Jinja, stays in force. Or send one in Jinja.");
}

std::string_view trimmed(std::string_view s) {
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front())) != 0) s.remove_prefix(1);
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back())) != 0) s.remove_suffix(1);
    return s;
}

// A literal as Jinja writes one, so that no white space of the texts meets the rules of its blocks.
std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\\' || c == '\'') out += '\\';
        if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else
            out += c;
    }
    return out + "'";
}

std::vector<Piece> cut(std::string_view source) {
    std::vector<Piece> pieces;
    bool trim_next = false;
    while (!source.empty()) {
        const std::size_t open = source.find("{{");
        std::string_view text = source.substr(0, std::min(open, source.size()));
        source.remove_prefix(text.size());
        if (trim_next)
            while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
        trim_next = false;
        std::string_view inner;
        if (!source.empty()) {
            // A string may hold the closing braces.
            std::size_t end = 2;
            char inside = 0;
            for (; end + 1 < source.size(); ++end) {
                const char c = source[end];
                if (inside != 0) {
                    if (c == '\\' && inside == '"')
                        ++end;
                    else if (c == inside)
                        inside = 0;
                } else if (c == '"' || c == '`') {
                    inside = c;
                } else if (c == '}' && source[end + 1] == '}') {
                    break;
                }
            }
            if (end + 1 >= source.size()) refuse(source);
            inner = source.substr(2, end - 2);
            source.remove_prefix(end + 2);
            if (inner.size() >= 2 && inner.front() == '-' && std::isspace(static_cast<unsigned char>(inner[1])) != 0) {
                inner.remove_prefix(1);
                while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
                    text.remove_suffix(1);
            }
            if (inner.size() >= 2 && inner.back() == '-' &&
                std::isspace(static_cast<unsigned char>(inner[inner.size() - 2])) != 0) {
                inner.remove_suffix(1);
                trim_next = true;
            }
        }
        if (!text.empty()) pieces.push_back({false, std::string(text)});
        inner = trimmed(inner);
        if (!inner.empty() && !inner.starts_with("/*")) pieces.push_back({true, std::string(inner)});
    }
    return pieces;
}

// Words of an action: names, fields, strings, numbers, parentheses.
std::vector<std::string> words_of(std::string_view action) {
    std::vector<std::string> words;
    while (!(action = trimmed(action)).empty()) {
        std::size_t n = 1;
        const char c = action.front();
        if (c == '"' || c == '`') {
            while (n < action.size() && action[n] != c) n += action[n] == '\\' && c == '"' ? 2 : 1;
            if (n >= action.size()) refuse(action);
            ++n;
        } else if (action.starts_with(":=")) {
            n = 2;
        } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '$' || c == '_') {
            while (n < action.size() && (std::isalnum(static_cast<unsigned char>(action[n])) != 0 || action[n] == '.' ||
                                         action[n] == '_' || action[n] == '$'))
                ++n;
        } else if (c != '(' && c != ')' && c != ',') {
            refuse(action);
        }
        words.emplace_back(action.substr(0, n));
        action.remove_prefix(n);
    }
    return words;
}

std::string string_literal(const std::string& word) {
    std::string text = word.substr(1, word.size() - 2);
    if (word.front() == '`') return quoted(text);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        if (c == 'n')
            out += '\n';
        else if (c == 't')
            out += '\t';
        else if (c == 'r')
            out += '\r';
        else if (c == '\\' || c == '"')
            out += c;
        else
            refuse(word);
    }
    return quoted(out);
}

class Translator {
 public:
    explicit Translator(std::string_view source) : pieces_(cut(source)) {
        for (const Piece& p : pieces_) {
            if (p.action && p.text.find(".Messages") != std::string::npos) by_messages_ = true;
        }
    }

    std::string run() {
        if (by_messages_) {
            constexpr std::string_view kSystem =
                "{%- set ns = namespace(s='') -%}{%- for m in messages -%}{%- if m.role == 'system' -%}"
                "{%- set ns.s = ns.s ~ ('\\n\\n' if ns.s else '') ~ (m.content or '') -%}{%- endif -%}{%- endfor -%}"
                "{%- set system = ns.s -%}";
            return std::string(kSystem) + part(0, pieces_.size());
        }
        return turns();
    }

 private:
    // The older form says one turn; a conversation is its turns one after another, the last cut off before .Response.
    std::string turns() {
        std::size_t at = pieces_.size();
        int depth = 0;
        for (std::size_t i = 0; i < pieces_.size(); ++i) {
            if (!pieces_[i].action) continue;
            const std::string& a = pieces_[i].text;
            if (a.starts_with("if ") || a.starts_with("range ")) ++depth;
            if (a == "end") --depth;
            if (a != ".Response") continue;
            if (depth != 0 || at != pieces_.size()) refuse(a);
            at = i;
        }
        const std::string before = part(0, at), after = at < pieces_.size() ? part(at + 1, pieces_.size()) : "";
        const std::string names = "{%- set system = ns.s -%}{%- set prompt = ns.p -%}";
        return "{%- set ns = namespace(s='', p='') -%}{%- for m in messages -%}{%- if m.role == 'system' -%}"
               "{%- set ns.s = ns.s ~ ('\\n\\n' if ns.s else '') ~ (m.content or '') -%}"
               "{%- elif m.role == 'assistant' -%}" +
               names + before + "{{ m.content or '' }}" + after +
               "{%- set ns.s = '' -%}{%- set ns.p = '' -%}{%- else -%}"
               "{%- set ns.p = ns.p ~ ('\\n\\n' if ns.p else '') ~ (m.content or '') -%}{%- endif -%}{%- endfor -%}"
               "{%- if ns.s or ns.p -%}" +
               names + before + "{%- endif -%}";
    }

    std::string part(std::size_t from, std::size_t to) {
        std::string out;
        std::vector<std::string> open;
        for (std::size_t i = from; i < to; ++i) {
            if (!pieces_[i].action) {
                out += "{{ " + quoted(pieces_[i].text) + " }}";
                continue;
            }
            out += action(pieces_[i].text, open);
        }
        if (!open.empty()) refuse("a block without its end");
        return out;
    }

    std::string action(const std::string& text, std::vector<std::string>& open) {
        words_ = words_of(text);
        at_ = 0;
        depth_ = 0;
        if (words_.empty()) return {};
        const std::string first = words_[0];
        std::string out;
        if (first == "if") {
            ++at_;
            open.emplace_back("endif");
            out = "{%- if " + call() + " -%}";
        } else if (first == "else") {
            ++at_;
            if (open.empty() || open.back() != "endif") refuse(text);
            if (at_ == words_.size()) return "{%- else -%}";
            if (words_[at_++] != "if") refuse(text);
            out = "{%- elif " + call() + " -%}";
        } else if (first == "end") {
            ++at_;
            if (open.empty()) refuse(text);
            out = "{%- " + open.back() + " -%}";
            open.pop_back();
        } else if (first == "range") {
            const bool plain = words_.size() == 2 && is_messages(words_[1]);
            const bool counted = words_.size() == 6 && words_[1] == "$i" && words_[2] == "," && words_[3] == "$_" &&
                                 words_[4] == ":=" && is_messages(words_[5]);
            if (!plain && !counted) refuse(text);
            at_ = words_.size();
            open.emplace_back("endfor");
            out = "{%- for m in messages -%}{%- set i = loop.index0 -%}";
        } else if (first.starts_with('$') && words_.size() > 2 && words_[1] == ":=") {
            at_ = 2;
            out = "{%- set " + variable(first) + " = " + call() + " -%}";
        } else {
            out = "{{ " + call() + " }}";
        }
        if (at_ != words_.size()) refuse(text);
        return out;
    }

    static bool is_messages(const std::string& word) { return word == ".Messages" || word == "$.Messages"; }

    static std::string variable(const std::string& word) {
        const std::string name = word.substr(1);
        if (name.empty() || name.find('.') != std::string::npos) refuse(word);
        if (name == "i") return "i";
        return "v_" + name;
    }

    // A value, or a function with its arguments.
    std::string call() {
        if (at_ >= words_.size() || ++depth_ > kDeepest) refuse("an action without a value");
        const std::string word = words_[at_];
        const bool infix = word == "eq" || word == "ne" || word == "and" || word == "or";
        std::string out;
        if (infix) {
            ++at_;
            const std::string a = value();
            std::string b = value();
            const std::string sign = word == "eq" ? " == " : word == "ne" ? " != " : word == "and" ? " and " : " or ";
            out = "(" + a + sign + b + ")";
            // eq with more arguments is true for any of them; and, or go on.
            while (at_ < words_.size() && words_[at_] != ")") {
                b = value();
                if (word == "ne") refuse(word);
                out = word == "eq" ? "(" + out + " or (" + a + " == " + b + "))" : "(" + out + sign + b + ")";
            }
        } else if (word == "not") {
            ++at_;
            out = "(not " + value() + ")";
        } else if (word == "len") {
            ++at_;
            out = "(" + value() + " | length)";
        } else if (word == "slice") {
            ++at_;
            if (at_ >= words_.size() || !is_messages(words_[at_])) refuse(word);
            ++at_;
            out = "messages[" + value() + ":]";
        } else {
            out = value();
        }
        --depth_;
        return out;
    }

    std::string value() {
        if (at_ >= words_.size()) refuse("a function without its arguments");
        const std::string word = words_[at_++];
        if (word == "(") {
            std::string out = call();
            if (at_ >= words_.size() || words_[at_++] != ")") refuse("a parenthesis that is not closed");
            return out;
        }
        if (word.front() == '"' || word.front() == '`') return string_literal(word);
        if (word.find_first_not_of("0123456789") == std::string::npos && word.size() < 10) return word;
        if (word == "true" || word == "false") return word;
        if (word == ".System" || word == "$.System") return "system";
        if (is_messages(word)) return "messages";
        if (!by_messages_ && (word == ".Prompt" || word == "$.Prompt")) return "prompt";
        if (by_messages_ && word == ".Role") return "m.role";
        if (by_messages_ && word == ".Content") return "(m.content or '')";
        // What only templates with tools or thinking ask for is absent in a conversation without them.
        if (word == ".Tools" || word == "$.Tools") return "(tools or [])";
        if (word == ".Suffix" || word == "$.Suffix") return "''";
        if (word.starts_with('$') && word.size() > 1 && word[1] != '.') return variable(word);
        refuse(word);
    }

    std::vector<Piece> pieces_;
    bool by_messages_ = false;
    std::vector<std::string> words_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace

bool looks_like_jinja(std::string_view source) noexcept {
    return source.find("{%") != std::string_view::npos;
}

std::string jinja_from_go(std::string_view source) {
    if (source.size() > kLongest)
        throw Error(ErrorKind::limit, fmt::format("The template has {} bytes.", source.size()),
                    fmt::format("At most {} are read.", kLongest));
    return Translator(source).run();
}

}  // namespace freehold::server
