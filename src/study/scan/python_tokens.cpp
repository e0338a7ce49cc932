// The lexer of Python: enough of it to follow names; what no interpreter would take is passed over.
#include "python_tokens.h"

#include <algorithm>
#include <cctype>

namespace freehold::scan {
namespace {

class Lexer {
 public:
    Lexer(std::string_view source, std::uint64_t line) : s_(source), line_(line) {}

    std::vector<Token> run() {
        while (at_ < s_.size() && tokens_.size() < 2'000'000) step();
        return std::move(tokens_);
    }

 private:
    void add(Token::Kind kind, std::string_view text) { tokens_.push_back({kind, text, line_}); }
    static bool is_word(char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    }

    void step() {
        const char c = s_[at_];
        if (c == '\n') {
            if (depth_ == 0) add(Token::Kind::end, "\n");
            ++line_;
            ++at_;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
            ++at_;
        } else if (c == '\\' && at_ + 1 < s_.size() && s_[at_ + 1] == '\n') {
            ++line_;
            at_ += 2;
        } else if (c == '#') {
            at_ = std::min(s_.find('\n', at_), s_.size());
        } else if (c == '\'' || c == '"') {
            string(at_);
        } else if (is_word(c)) {
            const std::size_t begin = at_;
            while (at_ < s_.size() && is_word(s_[at_])) ++at_;
            const bool prefix = at_ < s_.size() && (s_[at_] == '\'' || s_[at_] == '"') && at_ - begin <= 2;
            if (prefix) return string(at_);
            add(std::isdigit(static_cast<unsigned char>(c)) != 0 ? Token::Kind::number : Token::Kind::name,
                s_.substr(begin, at_ - begin));
        } else {
            if (c == '(' || c == '[' || c == '{') ++depth_;
            if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
            add(Token::Kind::sign, s_.substr(at_++, 1));
        }
    }

    void string(std::size_t quote_at) {
        const char quote = s_[quote_at];
        const bool triple = s_.substr(quote_at, 3) == std::string(3, quote);
        const std::string closing(triple ? 3 : 1, quote);
        std::size_t at = quote_at + closing.size();
        const std::size_t begin = at;
        const std::uint64_t first = line_;
        while (at < s_.size() && !s_.substr(at).starts_with(closing)) {
            if (s_[at] == '\\') ++at;
            if (at < s_.size() && s_[at] == '\n') {
                if (!triple && (at == 0 || s_[at - 1] != '\\')) break;
                ++line_;
            }
            ++at;
        }
        at = std::min(at, s_.size());
        tokens_.push_back({Token::Kind::text, s_.substr(begin, at - begin), first});
        at_ = std::min(at + closing.size(), s_.size());
    }

    std::string_view s_;
    std::size_t at_ = 0;
    std::uint64_t line_;
    int depth_ = 0;
    std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> python_tokens(std::string_view source, std::uint64_t first_line) {
    return Lexer(source, first_line).run();
}

}  // namespace freehold::scan
