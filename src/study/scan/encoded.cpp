// Finds the runs by looking at every 16th byte, as a run worth decoding covers at least one of them.
#include "encoded.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "pickle.h"
#include "readers.h"

namespace freehold::scan {
namespace {

constexpr std::size_t kStride = 16;
constexpr std::size_t kLeast = 20;  // characters; the shortest pickle that does harm has 26
constexpr std::size_t kMost = 256U << 20;
constexpr std::size_t kLine = 56;  // characters of a line that may go on in the next

constexpr std::int8_t kNo = -1;
using Table = std::array<std::int8_t, 256>;

Table table_of(std::string_view digits, std::string_view more = {}) {
    Table out;
    out.fill(kNo);
    for (std::size_t i = 0; i < digits.size(); ++i)
        out[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
    for (std::size_t i = 0; i < more.size(); ++i)
        out[static_cast<unsigned char>(more[i])] = static_cast<std::int8_t>(digits.size() - more.size() + i);
    return out;
}

const Table& base64_table() {
    static const Table kTable = table_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_");
    return kTable;
}
const Table& base32_table() {
    static const Table kTable = table_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    return kTable;
}
const Table& hex_table() {
    static const Table kTable = [] {
        Table table = table_of("0123456789abcdef");
        for (int i = 0; i < 6; ++i) table[static_cast<std::size_t>('A' + i)] = static_cast<std::int8_t>(10 + i);
        return table;
    }();
    return kTable;
}

// Digits of `bits` bits each, most significant first; line ends are passed over.
std::string decode(std::string_view text, const Table& table, int bits) {
    std::string out;
    out.reserve(text.size() * static_cast<std::size_t>(bits) / 8 + 1);
    std::uint32_t held = 0;
    int count = 0;
    for (const char c : text) {
        const std::int8_t digit = table[static_cast<unsigned char>(c)];
        if (digit == kNo) continue;
        held = held << static_cast<unsigned>(bits) | static_cast<std::uint32_t>(digit);
        count += bits;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>(held >> static_cast<unsigned>(count) & 0xff);
        }
    }
    return out;
}

bool all_in(std::string_view text, const Table& table) {
    return std::ranges::all_of(
        text, [&](char c) { return table[static_cast<unsigned char>(c)] != kNo || c == '\n' || c == '\r'; });
}

std::size_t longest_run(std::string_view text) {
    std::size_t longest = 0, run = 0;
    for (const char c : text) {
        run = base64_table()[static_cast<unsigned char>(c)] == kNo ? 0 : run + 1;
        longest = std::max(longest, run);
    }
    return longest;
}

bool worth_it(const std::string& decoded) {
    if (begins_like_payload(bytes_of(decoded))) return true;
    if (is_text(bytes_of(decoded)) && longest_run(decoded) >= kLeast) return true;  // encoded twice
    static const Limits kSmall = [] {
        Limits limits;
        limits.opcodes = 100000;
        return limits;
    }();
    if (!could_import(bytes_of(decoded), 0)) return false;
    const PickleRun run = run_pickle(bytes_of(decoded), 0, kSmall);
    return run.is_credible() && !run.events.empty();
}

const Table& table_of_bits(int bits) {
    return bits == 4 ? hex_table() : bits == 5 ? base32_table() : base64_table();
}

bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

// Where the run ends that holds `at`. Mail and PEM break lines after 64 or 76 characters.
std::size_t end_of_run(std::string_view text, std::size_t begin, std::size_t at) {
    const Table& digits = base64_table();
    const auto is_digit = [&](std::size_t i) { return digits[static_cast<unsigned char>(text[i])] != kNo; };
    std::size_t end = at;
    while (end < text.size() && end - begin < kMost) {
        if (is_digit(end))
            ++end;
        else if (is_line_end(text[end]) && end - begin >= kLine && end + 1 < text.size() &&
                 (is_digit(end + 1) || text[end + 1] == '\n'))
            ++end;
        else
            break;
    }
    return end;
}

// Behind the run that began before `from` and goes on there; `from` itself when there is none.
std::size_t behind_older_run(std::string_view text, std::size_t from) {
    if (from == 0) return 0;
    const Table& digits = base64_table();
    std::size_t last = from;
    while (last > 0 && from - last < 2 && is_line_end(text[last - 1])) --last;
    std::size_t begin = last;
    while (begin > 0 && last - begin < kLine && digits[static_cast<unsigned char>(text[begin - 1])] != kNo) --begin;
    const bool goes_on = last == from ? begin < last : last - begin >= kLine;
    return goes_on ? end_of_run(text, last == from ? begin : last - kLine, from) : from;
}

}  // namespace

bool begins_like_payload(Bytes bytes) noexcept {
    const std::string_view text = text_of(bytes);
    if (text.size() < 8) return false;
    const auto first = static_cast<unsigned char>(text[0]), second = static_cast<unsigned char>(text[1]);
    if (first == 0x80 && second <= 5) return true;
    if (first == 0x78 && (second == 0x01 || second == 0x5e || second == 0x9c || second == 0xda)) return true;
    for (const std::string_view magic : {"PK\x03\x04", "\x1f\x8b\x08", "BZh9",
                                         "\xfd"
                                         "7zXZ",
                                         "7z\xbc\xaf\x27\x1c", "\x93NUMPY",
                                         "\x7f"
                                         "ELF",
                                         "\x28\xb5\x2f\xfd"})
        if (text.starts_with(magic)) return true;
    for (const std::string_view magic :
         {"Rar!\x1a\x07", "\x04\x22\x4d\x18", "070701", "070707", "!<arch>\n", "LZIP", "\x89HDF"})
        if (text.starts_with(magic)) return true;
    if (text.starts_with(std::string_view("\x5d\0\0\x80\0", 5))) return true;  // LZMA
    if (text.size() >= 512 && text.substr(257, 5) == "ustar") return true;
    return text.starts_with("MZ") && text.find("PE\0\0", 0, 4) != std::string_view::npos;
}

void find_encoded(Bytes bytes, std::uint64_t from, std::uint64_t until, std::vector<EncodedRun>& out) {
    const std::string_view text = text_of(bytes);
    const Table& digits = base64_table();
    const auto is_digit = [&](std::size_t i) { return digits[static_cast<unsigned char>(text[i])] != kNo; };
    const std::size_t free = behind_older_run(text, from);
    const auto next_stop = [](std::size_t end) { return end - end % kStride + kStride - 1; };
    for (std::size_t at = next_stop(free); at < until && at < text.size(); at += kStride) {
        if (!is_digit(at)) continue;
        std::size_t begin = at;
        while (begin > free && is_digit(begin - 1) && at - begin < kStride) --begin;
        const std::size_t end = end_of_run(text, begin, at + 1);
        if (end - begin < kLeast) continue;
        const std::string_view run = text.substr(begin, end - begin);
        for (const int bits : {4, 5, 6}) {
            if (all_in(run, table_of_bits(bits)) && worth_it(decode(run, table_of_bits(bits), bits)))
                out.push_back({begin, end, bits});
        }
        at = next_stop(end) - kStride;
    }
}

void scan_encoded(Context& context, const Content& content, const EncodedRun& run) {
    const std::string_view text = text_of(content.bytes).substr(run.begin, run.end - run.begin);
    const std::string decoded = decode(text, table_of_bits(run.bits), run.bits);
    if (!context.take_unpacked(content, decoded.size())) return;
    context.descend(content, bytes_of(decoded), fmt::format("base{} at {}", 1 << run.bits, run.begin), "");
}

bool begins_zlib_payload(Bytes bytes) {
    const std::string_view text = text_of(bytes).substr(0, 512);
    if (text.size() < 16 || text[0] != '\x78') return false;
    const auto second = static_cast<unsigned char>(text[1]);
    if (second != 0x01 && second != 0x5e && second != 0x9c && second != 0xda) return false;
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) return false;
    std::string out(256, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int code = inflate(&stream, Z_SYNC_FLUSH);
    out.resize(out.size() - stream.avail_out);
    inflateEnd(&stream);
    return (code == Z_OK || code == Z_STREAM_END) && out.size() >= 16 && worth_it(out);
}

std::string inflate_zlib(Context& context, const Content& content, bool speculative) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) return {};
    std::string out;
    std::string piece(1 << 18, '\0');
    Bytes left = content.bytes;
    int code = Z_OK;
    bool whole = true;
    while (code == Z_OK) {
        if (stream.avail_in == 0) {
            const std::size_t n = std::min<std::size_t>(left.size(), 1U << 30);
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(left.data()));
            stream.avail_in = static_cast<uInt>(n);
            left = left.subspan(n);
        }
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        code = inflate(&stream, Z_NO_FLUSH);
        out.append(piece, 0, piece.size() - stream.avail_out);
        if (out.size() > context.limits().member || out.size() > context.unpacked_left()) {
            whole = false;
            break;
        }
    }
    inflateEnd(&stream);
    if (!whole) {
        if (!speculative) context.gap(content, fmt::format("it unpacks to more than {} bytes", out.size()));
        return {};
    }
    if (code != Z_STREAM_END && speculative && out.size() < 64) return {};
    if (!context.take_unpacked(content, out.size())) return {};
    return out;
}

}  // namespace freehold::scan
