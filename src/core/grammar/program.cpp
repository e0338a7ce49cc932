// Building programs, and the order in which rules are entered.
#include "program.h"

#include <algorithm>

#include "freehold/base/error.h"

namespace freehold::grammar {

Program::Program()
    : json_open_object(literal("{", true)),
      json_close_object(literal("}", true)),
      json_open_array(literal("[", true)),
      json_close_array(literal("]", true)),
      json_comma(literal(",", true)),
      json_colon(literal(":", true)) {}

std::uint32_t Program::terminal(const Terminal& t) {
    terminals.push_back(t);
    return static_cast<std::uint32_t>(terminals.size() - 1);
}

std::uint32_t Program::literal(std::string_view text, bool blanks_before) {
    for (std::uint32_t i = 0; i < terminals.size(); ++i) {
        const Terminal& t = terminals[i];
        if (t.kind == Terminal::Kind::literal && t.blanks == blanks_before && literals[t.arg] == text) return i;
        if (i > 64) break;  // the few of JSON come first; others are seldom repeated
    }
    literals.emplace_back(text);
    return terminal({Terminal::Kind::literal, blanks_before, static_cast<std::uint32_t>(literals.size() - 1)});
}

std::uint32_t Program::number(const NumberRule& wanted) {
    const auto at = std::find(numbers.begin(), numbers.end(), wanted);
    if (at != numbers.end()) return static_cast<std::uint32_t>(at - numbers.begin());
    numbers.push_back(wanted);
    return static_cast<std::uint32_t>(numbers.size() - 1);
}

std::uint32_t Program::rule(std::string name) {
    rules.push_back({{}, false, 0, std::move(name)});
    return static_cast<std::uint32_t>(rules.size() - 1);
}

void Program::alternative(std::uint32_t rule_index, std::vector<Op> ops) {
    rules[rule_index].starts.push_back(static_cast<std::uint32_t>(code.size()));
    code.insert(code.end(), ops.begin(), ops.end());
    code.push_back({Op::Kind::end, 0});
}

bool Program::nullable(const Op& op) const {
    if (op.kind == Op::Kind::call) return rules[op.arg].nullable;
    if (op.kind != Op::Kind::terminal) return false;
    const Terminal& t = terminals[op.arg];
    return t.kind == Terminal::Kind::text && regexes.nullable(t.arg);
}

void Program::settle() {
    // Nullable: until nothing changes; a worklist from callee to callers keeps it linear.
    std::vector<std::vector<std::uint32_t>> callers(rules.size());
    for (std::uint32_t r = 0; r < rules.size(); ++r) {
        for (const std::uint32_t start : rules[r].starts) {
            for (std::uint32_t i = start; code[i].kind != Op::Kind::end; ++i) {
                if (code[i].kind == Op::Kind::call) callers[code[i].arg].push_back(r);
            }
        }
    }
    std::vector<std::uint32_t> work;
    for (std::uint32_t r = 0; r < rules.size(); ++r) work.push_back(r);
    while (!work.empty()) {
        const std::uint32_t r = work.back();
        work.pop_back();
        if (rules[r].nullable) continue;
        for (const std::uint32_t start : rules[r].starts) {
            std::uint32_t i = start;
            while (code[i].kind != Op::Kind::end && nullable(code[i])) ++i;
            if (code[i].kind != Op::Kind::end) continue;
            rules[r].nullable = true;
            work.insert(work.end(), callers[r].begin(), callers[r].end());
            break;
        }
    }
    // Ranks: the longest way over calls at the beginning. A circle among them is left recursion.
    std::vector<std::vector<std::uint32_t>> first(rules.size());
    std::vector<std::uint32_t> incoming(rules.size(), 0);
    for (std::uint32_t r = 0; r < rules.size(); ++r) {
        for (const std::uint32_t start : rules[r].starts) {
            for (std::uint32_t i = start; code[i].kind != Op::Kind::end; ++i) {
                if (code[i].kind == Op::Kind::call) {
                    first[r].push_back(code[i].arg);
                    ++incoming[code[i].arg];
                }
                if (!nullable(code[i])) break;
            }
        }
    }
    std::vector<std::uint32_t> ready;
    for (std::uint32_t r = 0; r < rules.size(); ++r) {
        if (incoming[r] == 0) ready.push_back(r);
    }
    std::size_t done = 0;
    while (!ready.empty()) {
        const std::uint32_t r = ready.back();
        ready.pop_back();
        ++done;
        for (const std::uint32_t callee : first[r]) {
            rules[callee].rank = std::max(rules[callee].rank, rules[r].rank + 1);
            if (--incoming[callee] == 0) ready.push_back(callee);
        }
    }
    if (done == rules.size()) return;
    for (std::uint32_t r = 0; r < rules.size(); ++r) {
        if (incoming[r] == 0) continue;
        throw Error(ErrorKind::unsupported,
                    "The rule \"" + rules[r].name + "\" can begin with itself (left recursion).",
                    "Write it as a repetition: instead of a ::= a b | c, a ::= c b*.");
    }
}

}  // namespace freehold::grammar
