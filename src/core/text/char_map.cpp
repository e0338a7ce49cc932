// Reading the compiled map, with every step bounded: the trie comes from a model file.
#include "char_map.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cstring>
#include <vector>

#include "freehold/base/error.h"

namespace freehold::text {
namespace {

class CharMap final : public Normalizer {
 public:
    CharMap(std::vector<std::uint32_t> trie, std::string strings, bool by_cluster)
        : trie_(std::move(trie)), strings_(std::move(strings)), by_cluster_(by_cluster) {}

    void apply(std::string& text, bool) const override {
        if (trie_.empty()) return;
        std::string out;
        out.reserve(text.size());
        if (!by_cluster_) {
            for (std::size_t at = 0; at < text.size();) {
                std::size_t used = replace(std::string_view(text).substr(at), false, out);
                if (used == 0) {
                    used = utf8_at(text, at).length;
                    out.append(text, at, used);
                }
                at += used;
            }
            text = std::move(out);
            return;
        }
        // Hugging Face works on what a reader sees as one character: a short cluster is looked up as a whole first.
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = cluster_end(text, at);
            const std::string_view cluster = std::string_view(text).substr(at, end - at);
            at = end;
            if (cluster.size() < 6 && replace(cluster, true, out) > 0) continue;
            for (std::size_t i = 0; i < cluster.size();) {
                const std::string_view c = cluster.substr(i, utf8_at(cluster, i).length);
                if (replace(c, true, out) == 0) out += c;
                i += c.size();
            }
        }
        text = std::move(out);
    }

 private:
    static std::size_t cluster_end(std::string_view text, std::size_t at) {
        utf8proc_int32_t state = 0;
        Utf8Char c = utf8_at(text, at);
        std::size_t end = at + c.length;
        while (end < text.size()) {
            const Utf8Char next = utf8_at(text, end);
            if (c.code < 0x300 && next.code < 0x300 && !(c.code == '\r' && next.code == '\n')) break;
            if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                                 static_cast<utf8proc_int32_t>(next.code), &state))
                break;
            end += next.length;
            c = next;
        }
        return end;
    }

    // Appends the replacement of the shortest or longest prefix of `key` that the trie has; returns the prefix's bytes,
    // 0 if there is none.
    std::size_t replace(std::string_view key, bool shortest, std::string& out) const {
        const auto offset = [](std::uint32_t unit) { return (unit >> 10U) << ((unit & (1U << 9U)) >> 6U); };
        std::uint32_t at = offset(trie_[0]);
        std::size_t used = 0, found = 0;
        for (std::size_t i = 0; i < key.size() && !(shortest && used > 0); ++i) {
            const auto byte = static_cast<unsigned char>(key[i]);
            at ^= byte;
            if (byte == 0 || at >= trie_.size()) break;
            const std::uint32_t unit = trie_[at];
            if ((unit & ((1U << 31U) | 0xFFU)) != byte) break;
            at ^= offset(unit);
            if (((unit >> 8U) & 1U) == 0U) continue;
            if (at >= trie_.size()) break;
            const std::size_t begin = trie_[at] & ((1U << 31U) - 1U);
            if (begin >= strings_.size()) break;
            used = i + 1;
            found = begin;
        }
        if (used == 0) return 0;
        const std::size_t end = strings_.find('\0', found);
        out.append(strings_, found, end == std::string::npos ? std::string::npos : end - found);
        return used;
    }

    std::vector<std::uint32_t> trie_;
    std::string strings_;
    bool by_cluster_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_char_map(std::string blob, bool by_cluster, std::string_view where) {
    std::vector<std::uint32_t> trie;
    std::string strings;
    if (!blob.empty()) {
        std::uint32_t bytes = 0;
        if (blob.size() >= 4) std::memcpy(&bytes, blob.data(), 4);
        if (blob.size() < 4 || bytes > blob.size() - 4 || bytes % 4 != 0 || bytes == 0) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: the trie says {} bytes, and {} are there", where, bytes, blob.size()));
        }
        trie.resize(bytes / 4);
        std::memcpy(trie.data(), blob.data() + 4, bytes);
        strings = blob.substr(4 + bytes);
    }
    return std::make_unique<CharMap>(std::move(trie), std::move(strings), by_cluster);
}

std::string bytes_of(const Value& list) {
    std::string out;
    if (const auto s = list.as_string()) return std::string(*s);
    const std::size_t count = list.size();
    out.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto n = list.at(i).as_int();
        if (!n || *n < -128 || *n > 255)
            throw Error(ErrorKind::bad_file, fmt::format("a list of bytes holds no byte at {}", i));
        out.push_back(static_cast<char>(*n));
    }
    return out;
}

}  // namespace freehold::text
