// Patterns of pre-tokenizers, written for Oniguruma (as tokenizer.json has them), run by PCRE2 with its JIT.
// A pattern is data from a model file: matching is bounded in steps and stack, and cannot read anything but its text.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace freehold::text {

// The same language in PCRE2's dialect: \s, \w, \h and properties mean what Oniguruma's Ruby syntax says, nested
// classes are flattened, {n,m}+ repeats again. Error{unsupported} for what has no equal (&&, absent operator,
// callouts).
[[nodiscard]] std::string translate_oniguruma(std::string_view pattern);

class Regex {
 public:
    struct Match {
        std::size_t begin, end;
    };
    // `what` names the place in error messages. Error{bad_file} if the pattern does not compile.
    Regex(std::string_view oniguruma_pattern, std::string_view what);
    ~Regex();
    Regex(Regex&&) noexcept;
    Regex& operator=(Regex&&) noexcept;

    // First match that begins at or after `from`, which must be a character's border; text must be valid UTF-8.
    // Error{limit} when the pattern needs too many steps on this text. Safe from many threads.
    [[nodiscard]] std::optional<Match> find(std::string_view text, std::size_t from) const;
    [[nodiscard]] const std::string& what() const noexcept { return what_; }

 private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;
    std::string what_;
};

// Walks all matches of `find` over a text as Oniguruma's iterator does: an empty match directly after the match before
// it is passed over. Calls on_match(begin, end) in order.
template <class Find, class OnMatch>
void for_each_match(std::string_view text, const Find& find, const OnMatch& on_match) {
    std::size_t from = 0;
    std::size_t last_end = std::string_view::npos;
    while (from <= text.size()) {
        const auto match = find(text, from);
        if (!match) return;
        const bool empty = match->begin == match->end;
        if (!(empty && match->end == last_end)) on_match(match->begin, match->end);
        last_end = match->end;
        from = match->end;
        if (empty) {
            // Step over one whole character, so that the next search begins at a border.
            ++from;
            while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0U) == 0x80U) ++from;
        }
    }
}

}  // namespace freehold::text
