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

// Work of one search, so that bytes made to look like pickles everywhere do not take for ever.
struct Budget {
    std::uint64_t opcodes;
    bool spend(std::uint64_t n) {
        if (n > opcodes) return false;
        opcodes -= n;
        return true;
    }
};
constexpr std::uint64_t kLeastWork = 20'000'000;  // opcodes of one search

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
bool find_headers(const PickleSearch& search, const Limits& limits, std::vector<HiddenPickle>& out) {
    const Bytes bytes = search.bytes;
    Budget budget{std::max<std::uint64_t>(kLeastWork, search.until - search.from)};
    for (std::uint64_t at = search.from; at < search.until && at + 4 < bytes.size();) {
        const std::uint64_t end = std::min<std::uint64_t>(search.until, bytes.size() - 4);
        const void* hit = std::memchr(bytes.data() + at, 0x80, end - at);
        if (hit == nullptr) return true;
        at = static_cast<std::uint64_t>(static_cast<const std::byte*>(hit) - bytes.data());
        const auto version = std::to_integer<unsigned>(bytes[at + 1]);
        if (version > 5 || !is_opcode(std::to_integer<unsigned char>(bytes[at + 2])) || !could_import(bytes, at)) {
            ++at;
            continue;
        }
        PickleRun run = run_pickle(bytes, at, limits, search.torchscript);
        if (!budget.spend(run.opcodes + 8)) return false;
        const bool taken = run.is_credible() && !run.events.empty();
        const std::uint64_t next = taken ? std::max(run.end, at + 1) : at + 1;
        if (taken) out.push_back({at, std::move(run)});
        at = next;
    }
    return true;
}

// Headerless ones, by the two lines of GLOBAL or INST: a dangerous module and a name.
bool find_lines(const PickleSearch& search, const Limits& limits, std::vector<HiddenPickle>& out) {
    const std::string_view text = text_of(search.bytes);
    Budget budget{kLeastWork};
    const std::string_view window = text.substr(0, search.until);
    for (std::size_t at = window.find('\n', search.from); at != std::string_view::npos;
         at = window.find('\n', at + 1)) {
        std::size_t end = at + 1;
        while (end < text.size() && end - at < 100 && is_word(text[end])) ++end;
        if (end == at + 1 || end >= text.size() || text[end] != '\n') continue;
        std::size_t begin = at;
        while (begin > search.lowest && at - begin < 100 && is_word(text[begin - 1])) --begin;
        for (std::size_t i = begin; i + 1 < at; ++i) {
            if (text[i] != 'c' && text[i] != 'i') continue;
            const std::string_view module = text.substr(i + 1, at - i - 1), name = text.substr(at + 1, end - at - 1);
            if (!could_be_dangerous(module, name) || !is_dotted_name(module) ||
                judge_name(module, name, false).kind != NameClass::dangerous)
                continue;
            // INST has its arguments before it.
            for (std::size_t start = i + 1; start-- > std::max<std::size_t>(search.lowest, i > 256 ? i - 256 : 0);) {
                if (i - start > 16 && text[i] == 'c') break;  // OBJ has a mark before its class
                if (!is_opcode(static_cast<unsigned char>(text[start]))) continue;
                PickleRun run = run_pickle(search.bytes, start, limits, false);
                if (!budget.spend(run.opcodes + 8)) return false;
                if (!run.dangerous || run.calls == 0) continue;
                out.push_back({start, std::move(run)});
                break;
            }
        }
    }
    return true;
}

// Headerless ones that import by STACK_GLOBAL.
bool find_everywhere(const PickleSearch& search, const Limits& limits, std::vector<HiddenPickle>& out) {
    const Bytes bytes = search.bytes;
    Budget budget{kLeastWork};
    if (text_of(bytes).find('\x93', search.from) == std::string_view::npos) return true;
    for (std::uint64_t at = search.from; at < search.until; ++at) {
        if (!is_opcode(std::to_integer<unsigned char>(bytes[at])) || !could_import(bytes, at)) continue;
        PickleRun run = run_pickle(bytes, at, limits, search.torchscript);
        if (!budget.spend(run.opcodes + 1)) return false;
        if (!run.dangerous || !run.plausible || run.calls == 0) continue;
        const std::uint64_t end = run.end;
        out.push_back({at, std::move(run)});
        at = end;
    }
    return true;
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

bool find_pickles(const PickleSearch& search, const Limits& limits, std::vector<HiddenPickle>& out) {
    if (search.bytes.size() < search.from + 4) return true;
    const Limits bounds = search_limits(limits);
    bool all = find_headers(search, bounds, out);
    all = find_lines(search, bounds, out) && all;
    return (!search.everywhere || find_everywhere(search, bounds, out)) && all;
}

void publish_hidden(Context& context, const Content& content, const HiddenPickle& found) {
    if (found.run.events.empty()) return;
    if (found.run.dangerous) return publish(context, content, found.run);
    const auto worst = std::ranges::max_element(found.run.events, {},
                                                [](const PickleEvent& event) { return rule_of(event.rule).severity; });
    if (rule_of(worst->rule).severity == Severity::low) return publish(context, content, found.run);
    context.find("pickle.hidden", content, at_offset(found.begin),
                 fmt::format("A pickle begins at offset {}: {}", found.begin, worst->message));
}

}  // namespace freehold::scan
