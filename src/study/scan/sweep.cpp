// A large file is cut into windows that fit the processor's caches; each is searched in all ways while it is there, so
// that the file is read from the disk once. Findings are joined in the order of the windows.
#include "sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "encoded.h"
#include "parallel.h"
#include "pickle.h"
#include "readers.h"

namespace freehold::scan {
namespace {

constexpr std::uint64_t kWindow = 4U << 20;
constexpr std::uint64_t kSmall = 1U << 20;  // content that is tried at each byte

// Archives that begin anywhere in other bytes. The marks are long enough not to stand in numbers by chance.
bool begins_archive(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (text.size() < 24) return false;
    if (text.starts_with("\x1f\x8b\x08"))  // no unknown flags, a known way of packing and system
        return (byte(3) & 0xe0U) == 0 && (byte(8) == 0 || byte(8) == 2 || byte(8) == 4) &&
               (byte(9) < 14 || byte(9) == 255);
    // LZMA's older format: properties, 8 MiB of dictionary, the length or that it is not known, then a zero.
    if (text.starts_with(std::string_view("\x5d\0\0\x80\0", 5)))
        return byte(13) == 0 &&
               ((byte(5) == 255 && byte(12) == 255) || (byte(10) == 0 && byte(11) == 0 && byte(12) == 0));
    if (text.starts_with("BZh")) return byte(3) >= '1' && byte(3) <= '9' && text.substr(4, 6) == "1AY&SY";
    if (text.starts_with("\x28\xb5\x2f\xfd")) return true;
    if (text.starts_with("PK\x03\x04")) return byte(4) <= 63 && byte(5) == 0 && byte(9) == 0 && byte(8) < 99;
    return text.starts_with(std::string_view("\xfd"
                                             "7zXZ\0",
                                             6)) ||
           text.starts_with("7z\xbc\xaf\x27\x1c") || text.starts_with("Rar!\x1a\x07");
}

void find_archives(Bytes bytes, std::uint64_t from, std::uint64_t until, std::vector<std::uint64_t>& out) {
    constexpr std::size_t kMost = 64;  // of one window
    const std::string_view text = text_of(bytes);
    for (const char first : std::string_view("\x1f"
                                             "B\x28P\xfd"
                                             "7R]")) {
        for (std::size_t at = text.substr(0, until).find(first, from);
             at != std::string_view::npos && out.size() < kMost; at = text.substr(0, until).find(first, at + 1))
            if (begins_archive(text.substr(at))) out.push_back(at);
    }
    for (std::size_t at = text.substr(0, until).find('\x78', from); at != std::string_view::npos && out.size() < kMost;
         at = text.substr(0, until).find('\x78', at + 1))
        if (begins_zlib_payload(bytes.subspan(at))) out.push_back(at);
    std::ranges::sort(out);
}

struct Found {
    std::vector<HiddenPickle> pickles;
    std::vector<EncodedRun> texts;
    std::vector<std::uint64_t> archives;
    bool gave_up = false;
};

void search(Context& context, const Content& content, std::uint64_t from, bool encoded) {
    const std::uint64_t size = content.bytes.size();
    const std::uint64_t windows = std::max<std::uint64_t>(1, (size + kWindow - 1) / kWindow);
    std::vector<Found> found(windows);
    on_threads(context.threads(), windows, [&](std::size_t i) {
        PickleSearch look;
        look.bytes = content.bytes;
        look.torchscript = content.torchscript;
        look.lowest = from;
        look.from = std::max<std::uint64_t>(from, i * kWindow);
        look.until = std::min<std::uint64_t>(size, (i + 1) * kWindow);
        look.everywhere = size - std::min(size, from) <= kSmall;
        if (look.from < look.until) found[i].gave_up = !find_pickles(look, context.limits(), found[i].pickles);
        if (encoded) {
            find_encoded(content.bytes, i * kWindow, look.until, found[i].texts);
            find_archives(content.bytes, std::max<std::uint64_t>(1, i * kWindow), look.until, found[i].archives);
        }
        if (content.depth <= 1) context.advance(look.until - i * kWindow);
    });
    for (const Found& window : found) {
        for (const HiddenPickle& pickle : window.pickles) publish_hidden(context, content, pickle);
        if (window.gave_up)
            context.gap(content, "it holds so much that looks like pickles that the search was given up");
    }
    for (const Found& window : found)
        for (const EncodedRun& run : window.texts) scan_encoded(context, content, run);
    // A ZIP archive that can be found from its end was looked at already; of another one the first member is enough.
    bool zip = has_zip_directory(content.bytes);
    for (const Found& window : found)
        for (const std::uint64_t at : window.archives) {
            const bool is_zip = text_of(content.bytes).substr(at, 2) == "PK";
            if (is_zip && std::exchange(zip, true)) continue;
            context.descend(content, content.bytes.subspan(at), fmt::format("archive at {}", at), "");
        }
}

}  // namespace

void sweep(Context& context, const Content& content, std::uint64_t from) {
    search(context, content, from, true);
}

void search_pickles(Context& context, const Content& content, std::uint64_t from) {
    if (content.bytes.size() >= from + 4) search(context, content, from, false);
}

void search_encoded(Context& context, const Content& content, std::uint64_t from) {
    std::vector<EncodedRun> runs;
    const std::uint64_t first = from / 16 * 16;
    if (first < content.bytes.size()) find_encoded(content.bytes, first, content.bytes.size(), runs);
    for (const EncodedRun& run : runs) scan_encoded(context, content, run);
}

}  // namespace freehold::scan
