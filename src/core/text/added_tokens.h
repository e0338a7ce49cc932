// Tokens that are found in the text before anything else looks at it: control tokens and those that users added.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::text {

struct AddedToken {
    std::int32_t id = 0;
    std::string content;       // what is looked for
    bool special = false;      // only looked for when the caller lets special tokens be parsed
    bool normalized = false;   // looked for after the normalizer, not before
    bool lstrip = false;       // takes white space on its left with it
    bool rstrip = false;       // takes white space on its right with it
    bool single_word = false;  // only between characters that are no part of a word
};

// Finds the leftmost, then longest token; immutable after the last add().
class AddedTokens {
 public:
    // Error{bad_file} for contents over 1,024 bytes; an empty content is passed over.
    void add(AddedToken token);
    [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

    // Cuts the text: on_text(begin, end) for what lies between tokens, on_token(id) for tokens, in order.
    template <class OnText, class OnToken>
    void split(std::string_view text, bool parse_special, const OnText& on_text, const OnToken& on_token) const {
        std::size_t done = 0;
        Found found;
        for (std::size_t from = 0; next(text, from, done, parse_special, found); from = found.next) {
            if (found.begin > done) on_text(done, found.begin);
            on_token(found.id);
            done = found.end;
        }
        if (done < text.size()) on_text(done, text.size());
    }

 private:
    struct Found {
        std::size_t begin = 0, end = 0, next = 0;
        std::int32_t id = 0;
    };
    struct Node {
        std::vector<std::pair<unsigned char, std::uint32_t>> children;  // sorted by byte
        std::int32_t token = -1;                                        // index into tokens_
    };
    bool next(std::string_view text, std::size_t from, std::size_t done, bool parse_special, Found& found) const;

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_{Node{}};
    std::array<bool, 256> begins_{};
};

}  // namespace freehold::text
