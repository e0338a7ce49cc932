// utf8proc behind the words.
#include "words.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::safeguards {
namespace {

bool is_ascii(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80U; });
}

bool is_word_character(utf8proc_int32_t character) noexcept {
    const utf8proc_category_t category = utf8proc_category(character);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO);  // letters, marks, numbers
}
static_assert(UTF8PROC_CATEGORY_LU == 1 && UTF8PROC_CATEGORY_NO == 11, "letters, marks and numbers stand together");

bool is_ascii_word(unsigned char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string normalised(std::string_view text, bool fold) {
    if (is_ascii(text)) {
        std::string out(text);
        if (fold) {
            std::ranges::transform(out, out.begin(),
                                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        }
        return out;
    }
    const std::string whole = valid_utf8(text);
    const int options =
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_IGNORE | (fold ? UTF8PROC_CASEFOLD : 0);
    utf8proc_uint8_t* mapped = nullptr;
    const utf8proc_ssize_t length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(whole.data()),
                     static_cast<utf8proc_ssize_t>(whole.size()), &mapped, static_cast<utf8proc_option_t>(options));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
    if (length < 0) throw Error(ErrorKind::out_of_memory, "There is no memory for normalising a text.");
    return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length)};
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    std::size_t begin = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        std::size_t length = 1;
        bool word = is_ascii_word(byte);
        if (byte >= 0x80U) {
            utf8proc_int32_t character = 0;
            const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                                        static_cast<utf8proc_ssize_t>(text.size() - at), &character);
            length = n > 0 ? static_cast<std::size_t>(n) : 1;
            word = n > 0 && is_word_character(character);
        }
        if (word && !inside) begin = at;
        if (!word && inside) words.push_back(text.substr(begin, at - begin));
        inside = word;
        at += length;
    }
    if (inside) words.push_back(text.substr(begin));
    return words;
}

WordList::WordList(const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
        const std::string folded = normalised(entry, true);
        const std::vector<std::string_view> words = words_of(folded);
        if (words.empty()) continue;
        by_first_[std::string(words.front())].emplace_back(words.begin() + 1, words.end());
    }
}

bool WordList::found_in(const std::vector<std::string_view>& words) const {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto entry = by_first_.find(words[i]);
        if (entry == by_first_.end()) continue;
        for (const std::vector<std::string>& rest : entry->second) {
            if (rest.size() < words.size() - i &&
                std::equal(rest.begin(), rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1)) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace freehold::safeguards
