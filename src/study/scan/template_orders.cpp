// A small reader of Jinja's blocks: which branch is open, what its condition asks, and what it writes.
#include "template_orders.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

namespace freehold::scan {
namespace {

bool is_letter(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}
bool is_word_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() &&
           (std::isspace(static_cast<unsigned char>(text.front())) != 0 || text.front() == '-' || text.front() == '+'))
        text.remove_prefix(1);
    while (!text.empty() &&
           (std::isspace(static_cast<unsigned char>(text.back())) != 0 || text.back() == '-' || text.back() == '+'))
        text.remove_suffix(1);
    return text;
}

// The texts between quotes in a block, with the place of each.
struct Quoted {
    std::size_t begin = 0, end = 0;  // of the quotes
    std::string_view text;
};
std::vector<Quoted> quoted_in(std::string_view block) {
    std::vector<Quoted> out;
    for (std::size_t i = 0; i < block.size(); ++i) {
        if (block[i] != '\'' && block[i] != '"') continue;
        std::size_t end = i + 1;
        while (end < block.size() && block[end] != block[i]) end += block[end] == '\\' ? 2U : 1U;
        end = std::min(end, block.size());
        out.push_back({i, end + 1, block.substr(i + 1, end - i - 1)});
        i = end;
    }
    return out;
}

// Words in plain letters with a blank between them, in a row.
std::size_t words_in(std::string_view text) {
    std::size_t best = 0, now = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (!is_letter(text[i])) {
            const bool between =
                text[i] == ' ' || text[i] == ',' || text[i] == '\'' || text[i] == '-' || text[i] == '.';
            if (!between) now = 0;
            ++i;
            continue;
        }
        while (i < text.size() && is_letter(text[i])) ++i;
        best = std::max(best, ++now);
    }
    return best;
}

// A word or words that a person would say: letters, digits and blanks.
bool is_said(std::string_view text) {
    return std::ranges::count_if(text, is_letter) >= 3 && std::ranges::all_of(text, [](char c) {
               return is_letter(c) || c == ' ' || c == '-' || c == '\'' ||
                      std::isdigit(static_cast<unsigned char>(c)) != 0;
           });
}

class Reader {
 public:
    explicit Reader(std::string_view source) : source_(source) {}

    std::vector<PlantedOrder> run() {
        for (std::size_t at = 0; at < source_.size();) {
            const std::size_t open = std::min({source_.find("{{", at), source_.find("{%", at), source_.find("{#", at)});
            if (open == std::string_view::npos) {
                write(source_.substr(at));
                break;
            }
            write(source_.substr(at, open - at));
            const char kind = source_[open + 1];
            const std::size_t end = closing(open + 2, kind);
            const std::string_view inside = trimmed(source_.substr(open + 2, end - open - 2));
            if (kind == '{') expression(inside);
            if (kind == '%') statement(inside, open);
            at = std::min(end + 2, source_.size());
        }
        return std::move(out_);
    }

 private:
    struct Branch {
        bool loop = false;
        std::optional<PlantedOrder> waits;  // for a word that is said
    };

    std::size_t closing(std::size_t at, char kind) const {
        const std::string_view mark = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
        char quote = '\0';
        for (; at < source_.size(); ++at) {
            const char c = source_[at];
            if (kind != '#' && quote != '\0') {
                if (c == '\\')
                    ++at;
                else if (c == quote)
                    quote = '\0';
            } else if (kind != '#' && (c == '\'' || c == '"')) {
                quote = c;
            } else if (source_.substr(at).starts_with(mark)) {
                return at;
            }
        }
        return source_.size();
    }

    void write(std::string_view text) {
        constexpr std::size_t kSentence = 4;
        if (words_in(text) < kSentence) return;
        for (Branch& branch : open_) {
            if (!branch.waits || out_.size() >= 20) continue;
            branch.waits->sentence = std::string(trimmed(text.substr(0, 400)));
            out_.push_back(*branch.waits);
            branch.waits.reset();
        }
    }

    void expression(std::string_view inside) {
        if (inside.find("raise_exception") != std::string_view::npos) return;  // said to the program, not to the model
        for (const Quoted& quoted : quoted_in(inside)) write(quoted.text);
    }

    void statement(std::string_view inside, std::size_t at) {
        const std::size_t end = std::min(inside.find_first_of(" \t\n("), inside.size());
        const std::string_view word = inside.substr(0, end), rest = inside.substr(end);
        if (word == "if" || word == "elif" || word == "for" || word == "else") {
            if ((word == "elif" || word == "else") && !open_.empty()) open_.pop_back();
            Branch branch;
            branch.loop = word == "for";
            if (word == "if" || word == "elif") branch.waits = condition(rest, at);
            if (word == "for") take_from(rest, " in ");
            open_.push_back(std::move(branch));
        } else if ((word == "endif" || word == "endfor") && !open_.empty()) {
            open_.pop_back();
        } else if (word == "set") {
            take_from(rest, "=");
            expression(rest);
        }
    }

    // {% set x = messages[-1].content %}: x is what was said too.
    void take_from(std::string_view rest, std::string_view sign) {
        const std::size_t at = rest.find(sign);
        if (at == std::string_view::npos || !is_of_messages(rest.substr(at + sign.size()))) return;
        const std::string_view name = trimmed(rest.substr(0, at));
        if (!name.empty() && name.size() < 100) said_.insert(std::string(name.substr(name.rfind('.') + 1)));
    }

    // Does this expression reach for the words of a message?
    bool is_of_messages(std::string_view expression) const {
        for (std::size_t i = 0; i < expression.size();) {
            if (!is_word_char(expression[i])) {
                ++i;
                continue;
            }
            std::size_t end = i;
            while (end < expression.size() && is_word_char(expression[end])) ++end;
            const std::string_view word = expression.substr(i, end - i);
            if (word == "content" || said_.contains(std::string(word))) return true;
            i = end;
        }
        return false;
    }

    // "'word' in content", "content == 'word'", "content.startswith('word')".
    std::optional<PlantedOrder> condition(std::string_view text, std::size_t at) const {
        for (const Quoted& quoted : quoted_in(text)) {
            if (!is_said(quoted.text)) continue;
            const std::string_view before = part(text.substr(0, quoted.begin), true);
            const std::string_view after = part(text.substr(std::min(quoted.end, text.size())), false);
            const std::string_view left = trimmed(before), right = trimmed(after);
            const bool contained = right.starts_with("in ") && is_of_messages(right);
            const bool equal = left.ends_with("==") && is_of_messages(left) && !names_kind(left);
            const bool asked =
                left.ends_with("(") && is_of_messages(left) &&
                (left.find("with(") != std::string_view::npos || left.find("find(") != std::string_view::npos ||
                 left.find("count(") != std::string_view::npos || left.find("index(") != std::string_view::npos ||
                 left.find("search(") != std::string_view::npos || left.find("match(") != std::string_view::npos ||
                 left.find("split(") != std::string_view::npos);
            if (contained || equal || asked) return PlantedOrder{at, std::string(quoted.text), {}};
        }
        return std::nullopt;
    }
    // The part of a condition next to a text, up to the next "and" or "or".
    static std::string_view part(std::string_view text, bool last) {
        for (const std::string_view word : {" and ", " or "}) {
            const std::size_t at = last ? text.rfind(word) : text.find(word);
            if (at == std::string_view::npos) continue;
            text = last ? text.substr(at + word.size()) : text.substr(0, at);
        }
        return text;
    }
    static bool names_kind(std::string_view left) {
        for (const char* kind : {"role", "type", "name", "mode"})
            if (left.find(kind) != std::string_view::npos) return true;
        return false;
    }

    std::string_view source_;
    std::vector<Branch> open_;
    std::set<std::string> said_;
    std::vector<PlantedOrder> out_;
};

}  // namespace

std::vector<PlantedOrder> planted_orders(std::string_view source) {
    return Reader(source).run();
}

}  // namespace freehold::scan
