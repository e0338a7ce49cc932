// Where pickles are looked for: one after the other from the beginning of a file, and anywhere inside it.
#include "pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "freehold/base/printable.h"

namespace freehold::scan {
namespace {

void publish(Context& context, const Content& content, const PickleRun& run) {
    for (const PickleEvent& event : run.events)
        context.find(event.rule, content, at_offset(event.offset), event.message);
}

// Found where no loader begins to read by itself: another pickle loads it, or some junk stands before it.
void publish_hidden(Context& context, const Content& content, std::uint64_t begin, const PickleRun& run) {
    if (run.events.empty()) return;
    if (run.dangerous) return publish(context, content, run);
    context.find("pickle.hidden", content, at_offset(begin),
                 fmt::format("A pickle begins at offset {}: {}", begin, run.events.front().message));
}

// Work of one search, so that bytes made to look like pickles everywhere do not take for ever.
struct Budget {
    std::uint64_t opcodes;
    bool spend(std::uint64_t n) {
        if (n > opcodes) return false;
        opcodes -= n;
        return true;
    }
};

Limits search_limits(const Limits& limits) {
    Limits out = limits;
    out.opcodes = std::min<std::uint64_t>(limits.opcodes, 5'000'000);
    out.pickle_memory = std::min<std::uint64_t>(limits.pickle_memory, 128U << 20);
    return out;
}

bool is_opcode(unsigned char c) {
    static const auto kTable = [] {
        std::array<bool, 256> table{};
        for (const char known : std::string_view("().012FIJKLMNPQRSTUVXabcdeghijloprstu]}GBCq"))
            table[static_cast<unsigned char>(known)] = true;
        for (int i = 0x80; i <= 0x98; ++i) table[static_cast<std::size_t>(i)] = true;
        return table;
    }();
    return kTable[c];
}

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

// Protocols 2 to 5 begin with PROTO.
void search_headers(Context& context, const Content& content, std::uint64_t from, const Limits& limits,
                    Budget& budget) {
    const Bytes bytes = content.bytes;
    for (std::uint64_t at = from; at + 4 < bytes.size();) {
        const void* hit = std::memchr(bytes.data() + at, 0x80, bytes.size() - at - 4);
        if (hit == nullptr) return;
        at = static_cast<std::uint64_t>(static_cast<const std::byte*>(hit) - bytes.data());
        const auto version = std::to_integer<unsigned>(bytes[at + 1]);
        if (version > 5 || !is_opcode(std::to_integer<unsigned char>(bytes[at + 2])) || !could_import(bytes, at)) {
            ++at;
            continue;
        }
        const PickleRun run = run_pickle(bytes, at, limits, content.torchscript);
        if (!budget.spend(run.opcodes + 8))
            return context.gap(content, "it holds so much that looks like pickles that the search was given up");
        const bool taken = run.is_credible() && !run.events.empty();
        if (taken) publish_hidden(context, content, at, run);
        at = taken ? std::max(run.end, at + 1) : at + 1;
    }
}

// Headerless ones, by the two lines of GLOBAL or INST: a dangerous module and a name.
void search_lines(Context& context, const Content& content, std::uint64_t from, const Limits& limits, Budget& budget) {
    const std::string_view text = text_of(content.bytes);
    for (std::size_t at = text.find('\n', from); at != std::string_view::npos; at = text.find('\n', at + 1)) {
        std::size_t end = at + 1;
        while (end < text.size() && end - at < 100 && is_word(text[end])) ++end;
        if (end == at + 1 || end >= text.size() || text[end] != '\n') continue;
        std::size_t begin = at;
        while (begin > from && at - begin < 100 && is_word(text[begin - 1])) --begin;
        for (std::size_t i = begin; i + 1 < at; ++i) {
            if (text[i] != 'c' && text[i] != 'i') continue;
            const std::string_view module = text.substr(i + 1, at - i - 1), name = text.substr(at + 1, end - at - 1);
            if (!is_dotted_name(module) || judge_name(module, name, false).kind != NameClass::dangerous) continue;
            // INST has its arguments before it.
            for (std::size_t start = i + 1; start-- > std::max<std::size_t>(from, i > 256 ? i - 256 : 0);) {
                if (i - start > 16 && text[i] == 'c') break;  // OBJ has a mark before its class
                if (!is_opcode(static_cast<unsigned char>(text[start]))) continue;
                const PickleRun run = run_pickle(content.bytes, start, limits, false);
                if (!budget.spend(run.opcodes + 8)) return;
                if (!run.dangerous || run.calls == 0) continue;
                publish_hidden(context, content, start, run);
                break;
            }
        }
    }
}

// Headerless ones that import by STACK_GLOBAL have no shape of their own: small content is tried everywhere.
void search_everywhere(Context& context, const Content& content, std::uint64_t from, const Limits& limits,
                       Budget& budget) {
    const Bytes bytes = content.bytes;
    if (bytes.size() - from > (1U << 20) || text_of(bytes).find('\x93', from) == std::string_view::npos) return;
    for (std::uint64_t at = from; at < bytes.size(); ++at) {
        if (!is_opcode(std::to_integer<unsigned char>(bytes[at])) || !could_import(bytes, at)) continue;
        const PickleRun run = run_pickle(bytes, at, limits, content.torchscript);
        if (!budget.spend(run.opcodes + 1)) return;
        if (!run.dangerous || !run.plausible || run.calls == 0) continue;
        publish_hidden(context, content, at, run);
        at = run.end;
    }
}

}  // namespace

std::uint64_t scan_pickles(Context& context, const Content& content, std::uint64_t begin, bool expected) {
    std::uint64_t at = begin;
    for (bool first = true; at < content.bytes.size(); first = false) {
        const PickleRun run = run_pickle(content.bytes, at, context.limits(), content.torchscript);
        const bool real = run.is_credible() || (run.header && run.opcodes > 2) || (expected && run.stopped);
        if (!real) break;
        if (first) context.kind(content.depth == 0 ? "pickle" : "");
        if (run.header || run.is_credible()) publish(context, content, run);
        if (!run.stopped && (run.header || run.imports > 0))
            context.gap(content,
                        fmt::format("the pickle at offset {} ends at {}: {}; behind it names were searched only", at,
                                    run.end, run.fault));
        at = std::max(run.end, at + 1);
        if (!run.stopped) break;
    }
    return at == begin ? 0 : at;
}

void search_pickles(Context& context, const Content& content, std::uint64_t from) {
    if (content.bytes.size() < from + 4) return;
    const Limits limits = search_limits(context.limits());
    Budget budget{std::max<std::uint64_t>(20'000'000, content.bytes.size() / 2)};
    search_headers(context, content, from, limits, budget);
    Budget lines{20'000'000};
    search_lines(context, content, from, limits, lines);
    Budget everywhere{20'000'000};
    search_everywhere(context, content, from, limits, everywhere);
}

}  // namespace freehold::scan
