// Lists of words over a text: whole words and phrases, found in one pass whatever their number.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace freehold::safeguards {

// Unicode compatibility form without default-ignorable characters (zero width, soft hyphens, tags); with `fold` also
// without case. Broken UTF-8 becomes U+FFFD.
[[nodiscard]] std::string normalised(std::string_view text, bool fold);

// The words of a normalised text: runs of letters, marks and numbers.
[[nodiscard]] std::vector<std::string_view> words_of(std::string_view text);

class WordList {
 public:
    explicit WordList(const std::vector<std::string>& entries);
    [[nodiscard]] bool found_in(const std::vector<std::string_view>& words) const;
    [[nodiscard]] bool empty() const noexcept { return by_first_.empty(); }

 private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };
    // The first word of each entry, and what has to follow it.
    std::unordered_map<std::string, std::vector<std::vector<std::string>>, Hash, std::equal_to<>> by_first_;
};

}  // namespace freehold::safeguards
