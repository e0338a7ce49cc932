// Python pickles, protocols 0 to 5, walked opcode by opcode with a symbolic stack and memo: names are followed to where
// they are imported and called, and nothing is ever made of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "context.h"

namespace freehold::scan {

// One thing that a pickle does and should not.
struct PickleEvent {
    const char* rule;
    std::uint64_t offset;
    std::string message;
};

// What one pickle does, from its first opcode to STOP or to the fault that ends it.
struct PickleRun {
    bool header = false;   // it begins with PROTO
    bool stopped = false;  // STOP was reached
    bool over_limit = false;
    std::uint64_t end = 0;  // behind the last opcode that was understood
    std::string fault;      // why it ended before STOP, at `end`
    std::uint64_t opcodes = 0;
    std::uint64_t imports = 0;  // all, also harmless ones
    std::uint64_t calls = 0;
    bool dangerous = false;  // imports something of pickle.dangerous-import
    bool plausible = true;   // all imported names are shaped like names
    bool arrays = false;     // joblib's arrays lie between its opcodes
    std::vector<PickleEvent> events;

    // Is this a pickle that does something, rather than bytes that happen to read like opcodes?
    [[nodiscard]] bool is_credible() const noexcept;
};

// `begin` is where the pickle begins in `bytes`; offsets count from the beginning of `bytes`.
[[nodiscard]] PickleRun run_pickle(Bytes bytes, std::uint64_t begin, const Limits& limits, bool torchscript = false);

// A cheap look: false when no import can be reached from `begin` (pickle_skim.cpp).
[[nodiscard]] bool could_import(Bytes bytes, std::uint64_t begin) noexcept;

// The pickles at the beginning of `content`, one after the other (a legacy torch file has five), into findings.
// Returns the offset behind the last; 0: there is none. `expected`: the name of the file promises a pickle.
std::uint64_t scan_pickles(Context& context, const Content& content, std::uint64_t begin, bool expected);

// A pickle that was found by searching.
struct HiddenPickle {
    std::uint64_t begin = 0;
    PickleRun run;
};
// What is searched, and where the searched pickles begin: in [from, until). They may go on behind it.
struct PickleSearch {
    Bytes bytes;
    bool torchscript = false;
    std::uint64_t lowest = 0;  // nothing before it belongs to what is searched
    std::uint64_t from = 0, until = 0;
    bool everywhere = false;  // try each byte, as headerless pickles have no shape; for small content
};
// Appends what it finds. False: so much looked like pickles that the search was given up.
[[nodiscard]] bool find_pickles(const PickleSearch& search, const Limits& limits, std::vector<HiddenPickle>& out);

// Found where no loader begins to read by itself.
void publish_hidden(Context& context, const Content& content, const HiddenPickle& found);

// --- names (pickle_names.cpp) ---

// library: a class of a library of numbers, made by its own code; `maker`: a function of such a library that does so.
enum class NameClass : std::uint8_t { harmless, maker, library, unknown, nested_load, dangerous };
struct NameVerdict {
    NameClass kind = NameClass::unknown;
    const char* why = "";  // "runs commands"
};
[[nodiscard]] NameVerdict judge_name(std::string_view module, std::string_view name, bool torchscript);
// A quick look before judge_name, for lists of millions of words: false when it would not say `dangerous`.
[[nodiscard]] bool could_be_dangerous(std::string_view module, std::string_view name);
// "a.b_c": parts that Python could import.
[[nodiscard]] bool is_dotted_name(std::string_view text) noexcept;

}  // namespace freehold::scan
