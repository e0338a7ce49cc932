// The vocabulary's hash table: linear probing with a tag of the hash beside each id, so that most probes touch one
// line.
#include "vocabulary.h"

#include <fmt/format.h>

#include <cstring>

#include "freehold/base/error.h"

namespace freehold::text {
namespace {

constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15ULL;
constexpr std::int64_t kMaxTokens = 1LL << 24U;  // 16 million; the largest real vocabularies have 0.3 million
constexpr std::int64_t kMaxHole = 1LL << 20U;    // ids may leave gaps, but not of any size

std::string shown(std::string_view text) {
    constexpr std::size_t kMost = 40;
    return std::string(text.substr(0, kMost)) + (text.size() > kMost ? "..." : "");
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes) noexcept {
    std::uint64_t h = bytes.size() * kPrime;
    const char* p = bytes.data();
    std::size_t n = bytes.size();
    for (; n >= 8; p += 8, n -= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, p, 8);
        h = (h ^ word) * kPrime;
        h ^= h >> 32U;
    }
    if (n > 0) {
        std::uint64_t word = 0;
        std::memcpy(&word, p, n);
        h = (h ^ word) * kPrime;
        h ^= h >> 32U;
    }
    h *= kPrime;
    return h ^ (h >> 29U);
}

Vocabulary::Vocabulary(std::size_t expected) {
    std::size_t slots = 1024;
    while (slots < expected * 2 + expected / 2 && slots < (1ULL << 25U)) slots *= 2;
    slots_.resize(slots);
    tokens_.reserve(std::min<std::size_t>(expected, static_cast<std::size_t>(kMaxTokens)));
}

void Vocabulary::grow(std::size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    const std::size_t mask = slots - 1;
    for (const Slot& slot : old) {
        if (slot.id == kNone) continue;
        std::size_t at = hash_bytes(tokens_[static_cast<std::size_t>(slot.id)].text) & mask;
        while (slots_[at].id != kNone) at = (at + 1) & mask;
        slots_[at] = slot;
    }
}

void Vocabulary::add(std::int64_t id, std::string text, TokenInfo::Kind kind, std::string_view where) {
    if (id < 0)
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: token \"{}\" has the negative id {}", where, shown(text), id));
    if (id >= kMaxTokens || id > static_cast<std::int64_t>(used_) * 2 + kMaxHole) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: token \"{}\" has the id {}, far beyond the size of the vocabulary", where,
                                shown(text), id));
    }
    const auto index = static_cast<std::size_t>(id);
    if (index >= tokens_.size()) {
        tokens_.resize(index + 1, TokenInfo{{}, TokenInfo::Kind::unused});
        taken_.resize(index + 1, false);
    }
    if (taken_[index]) {
        throw Error(ErrorKind::bad_file, fmt::format("{}: the id {} is given to \"{}\" and to \"{}\"", where, id,
                                                     shown(tokens_[index].text), shown(text)));
    }
    if (!text.empty()) {
        if ((used_ + 1) * 2 > slots_.size()) grow(slots_.size() * 2);
        const std::uint64_t h = hash_bytes(text);
        const auto tag = static_cast<std::uint32_t>(h >> 32U);
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = h & mask;
        for (; slots_[at].id != kNone; at = (at + 1) & mask) {
            if (slots_[at].tag == tag && tokens_[static_cast<std::size_t>(slots_[at].id)].text == text) {
                throw Error(ErrorKind::bad_file,
                            fmt::format("{}: token \"{}\" stands there twice, as id {} and as id {}", where,
                                        shown(text), slots_[at].id, id));
            }
        }
        slots_[at] = {tag, static_cast<std::int32_t>(id)};
        longest_ = std::max(longest_, text.size());
    }
    ++used_;
    taken_[index] = true;
    tokens_[index] = TokenInfo{std::move(text), kind};
}

std::int32_t Vocabulary::find(std::string_view text) const noexcept {
    if (text.empty() || text.size() > longest_) return kNone;
    const std::uint64_t h = hash_bytes(text);
    const auto tag = static_cast<std::uint32_t>(h >> 32U);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = h & mask; slots_[at].id != kNone; at = (at + 1) & mask) {
        if (slots_[at].tag == tag && tokens_[static_cast<std::size_t>(slots_[at].id)].text == text)
            return slots_[at].id;
    }
    return kNone;
}

}  // namespace freehold::text
