// The tokens of a model: id to text and kind, and text to id by an open hash table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/text/tokenizer.h"

namespace freehold::text {

[[nodiscard]] std::uint64_t hash_bytes(std::string_view bytes) noexcept;

class Vocabulary {
 public:
    static constexpr std::int32_t kNone = -1;

    explicit Vocabulary(std::size_t expected = 0);
    // Error{bad_file} if the id is negative or far beyond the others, if it is taken, or if the text is there already.
    // An empty text takes its id but is never found. `where` names the place in messages.
    void add(std::int64_t id, std::string text, TokenInfo::Kind kind, std::string_view where);
    void set_kind(std::int32_t id, TokenInfo::Kind kind) { tokens_[static_cast<std::size_t>(id)].kind = kind; }

    [[nodiscard]] std::int32_t find(std::string_view text) const noexcept;  // kNone if there is none
    [[nodiscard]] std::int32_t size() const noexcept { return static_cast<std::int32_t>(tokens_.size()); }
    [[nodiscard]] const TokenInfo& operator[](std::int32_t id) const noexcept {
        return tokens_[static_cast<std::size_t>(id)];
    }
    [[nodiscard]] bool has(std::int32_t id) const noexcept {
        return id >= 0 && id < size() && taken_[static_cast<std::size_t>(id)];
    }
    [[nodiscard]] std::size_t longest() const noexcept { return longest_; }  // bytes of the longest text

 private:
    struct Slot {
        std::uint32_t tag = 0;
        std::int32_t id = kNone;
    };
    void grow(std::size_t slots);
    std::vector<TokenInfo> tokens_;
    std::vector<bool> taken_;
    std::vector<Slot> slots_;
    std::size_t used_ = 0, longest_ = 0;
};

}  // namespace freehold::text
