// What one file's scan carries through all its layers: the bounds, what was found, and the way back to the dispatcher
// for content inside content.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "freehold/scan/scan.h"

namespace freehold::scan {

using Bytes = std::span<const std::byte>;

[[nodiscard]] inline std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}

struct Where {
    std::optional<std::uint64_t> offset;
    std::optional<std::uint64_t> line;
};
[[nodiscard]] inline Where at_offset(std::uint64_t offset) {
    return {offset, std::nullopt};
}
[[nodiscard]] inline Where at_line(std::uint64_t line) {
    return {std::nullopt, line};
}

// One piece of content with its name; `member` is the way to it inside the file ("" for the file itself).
struct Content {
    Bytes bytes;
    std::string name;    // file name or member name, for its ending
    std::string member;  // as in Finding
    int depth = 0;
    bool torchscript = false;  // the archive around it is TorchScript, whose classes are not imported from Python
};

// How the work is done; nothing of it decides about what is found.
struct Crew {
    unsigned threads = 1;
    std::function<void(std::uint64_t)> advance = {};  // so many bytes more were looked at; from any thread
};

class Context {
 public:
    Context(const Limits& limits, FileResult& result, Crew crew = {})
        : limits_(limits), result_(result), crew_(std::move(crew)) {}

    [[nodiscard]] const Limits& limits() const noexcept { return limits_; }
    [[nodiscard]] unsigned threads() const noexcept { return crew_.threads; }
    void advance(std::uint64_t bytes) const {
        if (crew_.advance) crew_.advance(bytes);
    }

    // Adds a finding unless the same one is there. `rule` must be one of all_rules().
    void find(std::string_view rule, const Content& in, Where where, std::string message);
    void find(std::string_view rule, Severity severity, const Content& in, Where where, std::string message);
    // Something was not looked at.
    void gap(const Content& in, std::string reason);
    // The first one names the file's kind.
    void kind(std::string_view name);
    [[nodiscard]] std::size_t findings() const noexcept { return result_.findings.size(); }

    // May so many bytes more be unpacked? If not, the gap is noted.
    [[nodiscard]] bool take_unpacked(const Content& in, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t unpacked_left() const noexcept;
    [[nodiscard]] bool take_member(const Content& in);

    // Looks at content inside `outer`, one level deeper. `label` is appended to the way ("!name").
    void descend(const Content& outer, Bytes bytes, std::string_view label, std::string_view name);

 private:
    const Limits& limits_;
    FileResult& result_;
    Crew crew_;
    std::uint64_t unpacked_ = 0, members_ = 0;
    bool cut_ = false;
};

// Decides what a piece of content is and hands it to whoever reads that (dispatch.cpp).
void scan_content(Context& context, const Content& content);

[[nodiscard]] const Rule& rule_of(std::string_view id);

}  // namespace freehold::scan
