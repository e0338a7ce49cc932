// Reads GBNF. What is regular is compiled as one terminal; only rules that recur, and those that lead to them, are
// rules.
#include "gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "freehold/base/error.h"
#include "regex_parse.h"

namespace freehold::grammar {

namespace {

constexpr int kDepth = 200;
constexpr std::size_t kLongest = 1'000'000;
constexpr std::uint32_t kMostCopies = 2000;  // of an element that is a rule, in a bounded repetition

struct Element;
using Sequence = std::vector<Element>;
using Choice = std::vector<Sequence>;
struct Element {
    Rx rx = 0;                      // regular by itself, when neither of the others is set
    std::uint32_t rule = kNone;     // a reference
    std::shared_ptr<Choice> group;  // ( ... )
    std::uint32_t least = 1, most = 1;
};
struct Named {
    std::string name;
    std::optional<Choice> body;
    std::size_t first_use = 0;  // offset, for messages
};

class Reader {
 public:
    Reader(Regexes& rx, std::string_view text) : rx_(rx), text_(code_points(text, "The grammar")) {}

    std::vector<Named> rules;

    void read() {
        space(true);
        while (more()) {
            const std::size_t begin = at_;
            const std::string name = word();
            if (name.empty()) fail("a rule's name is expected");
            space(false);
            if (text_.substr(at_, 3) != U"::=") fail("::= is expected");
            at_ += 3;
            space(true);
            const std::uint32_t index = find(name, begin);
            Choice body = choice(0);
            if (rules[index].body) {
                at_ = begin;
                fail(fmt::format("the rule \"{}\" is there already", name));
            }
            rules[index].body = std::move(body);
            space(true);
        }
    }
    [[nodiscard]] std::string where(std::size_t offset) const {
        std::size_t line = 1;
        std::size_t column = 1;
        for (std::size_t i = 0; i < offset && i < text_.size(); ++i) {
            ++column;
            if (text_[i] == U'\n') {
                ++line;
                column = 1;
            }
        }
        return fmt::format("line {}, column {}", line, column);
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::usage, fmt::format("The grammar is wrong at {}: {}.", where(at_), why),
                    "The notation is GBNF, as llama.cpp has it.");
    }
    [[nodiscard]] bool more() const noexcept { return at_ < text_.size(); }
    [[nodiscard]] char32_t peek() const noexcept { return more() ? text_[at_] : U'\0'; }

    void space(bool lines) {
        while (more()) {
            const char32_t c = peek();
            if (c == '#') {
                while (more() && peek() != '\n') ++at_;
            } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
                ++at_;
            } else {
                break;
            }
        }
    }
    std::string word() {
        std::string out;
        while (more()) {
            const char32_t c = peek();
            const bool ok =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            if (!ok) break;
            out.push_back(static_cast<char>(c));
            ++at_;
        }
        return out;
    }
    std::uint32_t find(const std::string& name, std::size_t offset) {
        const auto [at, fresh] = names_.emplace(name, static_cast<std::uint32_t>(rules.size()));
        if (fresh) {
            if (rules.size() > 50'000) {
                throw Error(ErrorKind::limit, "The grammar has more than 50000 rules.", "Use a smaller grammar.");
            }
            rules.push_back({name, std::nullopt, offset});
        }
        return at->second;
    }

    Choice choice(int depth) {
        if (depth > kDepth) {
            throw Error(ErrorKind::limit,
                        fmt::format("The grammar nests deeper than {} groups at {}.", kDepth, where(at_)),
                        "Use rules instead of groups.");
        }
        Choice out{sequence(depth)};
        while (true) {
            // A line that begins with | goes on with the rule.
            const std::size_t back = at_;
            space(true);
            if (peek() != '|') {
                if (depth == 0) at_ = back;
                break;
            }
            ++at_;
            space(true);
            out.push_back(sequence(depth));
        }
        return out;
    }

    Sequence sequence(int depth) {
        Sequence out;
        while (true) {
            space(depth > 0);
            const char32_t c = peek();
            Element e;
            if (c == '"') {
                e.rx = literal();
            } else if (c == '[') {
                e.rx = char_class();
            } else if (c == '.') {
                ++at_;
                e.rx = rx_.any();
            } else if (c == '(') {
                const std::size_t begin = at_++;
                e.group = std::make_shared<Choice>(choice(depth + 1));
                space(true);
                if (peek() != ')') {
                    at_ = begin;
                    fail("the group is not closed");
                }
                ++at_;
            } else if (c == '<' || c == '!') {
                throw Error(ErrorKind::unsupported, fmt::format("The grammar names a token at {}.", where(at_)),
                            "Write the text of the token as a literal.");
            } else {
                const std::size_t begin = at_;
                const std::string name = word();
                if (name.empty()) break;
                const std::size_t end = at_;
                space(false);
                if (text_.substr(at_, 3) == U"::=") {
                    at_ = begin;  // the next rule
                    break;
                }
                at_ = end;
                e.rule = find(name, begin);
            }
            repetition(e);
            out.push_back(std::move(e));
            if (++elements_ > 500'000) {
                throw Error(ErrorKind::limit, "The grammar has more than 500000 elements.", "Use a smaller grammar.");
            }
        }
        if (more() && peek() != '|' && peek() != ')' && peek() != '\n' && peek() != '\r' && !begins_rule()) {
            fail(fmt::format("unexpected character U+{:04X}", static_cast<std::uint32_t>(peek())));
        }
        if (peek() == ')' && depth == 0) fail("there is a ) without its (");
        return out;
    }
    [[nodiscard]] bool begins_rule() const {
        const char32_t c = peek();
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    }

    void repetition(Element& e) {
        while (true) {
            const char32_t c = peek();
            std::uint32_t least = 0;
            std::uint32_t most = kNone;
            if (c == '*') {
                ++at_;
            } else if (c == '+') {
                least = 1;
                ++at_;
            } else if (c == '?') {
                most = 1;
                ++at_;
            } else if (c == '{') {
                ++at_;
                space(false);
                least = number();
                most = least;
                space(false);
                if (peek() == ',') {
                    ++at_;
                    space(false);
                    most = peek() >= '0' && peek() <= '9' ? number() : kNone;
                    space(false);
                }
                if (peek() != '}') fail("} is expected");
                ++at_;
                if (most < least) fail("the counts of a repetition are in the wrong order");
            } else {
                return;
            }
            if (e.least == 1 && e.most == 1) {
                e.least = least;
                e.most = most;
            } else {
                // A repetition of a repetition.
                Element inner = e;
                e = Element{};
                e.group = std::make_shared<Choice>(Choice{{std::move(inner)}});
                e.least = least;
                e.most = most;
                if (++nested_ > kDepth) {
                    throw Error(ErrorKind::limit, "The grammar repeats repetitions too often.", "Simplify it.");
                }
            }
        }
    }

    std::uint32_t number() {
        std::uint64_t n = 0;
        if (peek() < '0' || peek() > '9') fail("a number is expected");
        while (peek() >= '0' && peek() <= '9') {
            n = std::min<std::uint64_t>(n * 10 + (peek() - '0'), 10'000'000'000ULL);
            ++at_;
        }
        if (n > 1'000'000'000) {
            throw Error(ErrorKind::limit,
                        fmt::format("The grammar repeats more than 1000000000 times at {}.", where(at_)),
                        "Use a smaller count.");
        }
        return static_cast<std::uint32_t>(n);
    }

    CodePoint character() {
        if (!more()) fail("the text ends inside a literal");
        if (peek() != '\\') return static_cast<CodePoint>(text_[at_++]);
        ++at_;
        const char32_t c = peek();
        ++at_;
        const auto hex = [&](std::size_t n) {
            CodePoint value = 0;
            for (std::size_t i = 0; i < n; ++i, ++at_) {
                const char32_t d = peek();
                const char32_t lower = d | 32U;
                if (d >= '0' && d <= '9') {
                    value = value * 16 + (d - '0');
                } else if (lower >= 'a' && lower <= 'f') {
                    value = value * 16 + (lower - 'a' + 10);
                } else {
                    fail(fmt::format("{} hexadecimal digits are expected", n));
                }
            }
            if (value > kLastCodePoint) fail("there is no such code point");
            return value;
        };
        switch (c) {
            case 'x':
                return hex(2);
            case 'u':
                return hex(4);
            case 'U':
                return hex(8);
            case 't':
                return '\t';
            case 'r':
                return '\r';
            case 'n':
                return '\n';
            case '\\':
            case '"':
            case '[':
            case ']':
            case '-':
            case '^':
                return static_cast<CodePoint>(c);
            default:
                --at_;
                fail("there is no such escape");
        }
    }

    Rx literal() {
        const std::size_t begin = at_++;
        std::u32string out;
        while (peek() != '"') {
            if (!more()) {
                at_ = begin;
                fail("the literal is not closed");
            }
            out.push_back(static_cast<char32_t>(character()));
        }
        ++at_;
        return rx_.literal(out);
    }

    Rx char_class() {
        const std::size_t begin = at_++;
        const bool negated = peek() == '^';
        if (negated) ++at_;
        Ranges out;
        while (peek() != ']') {
            if (!more()) {
                at_ = begin;
                fail("the [ is not closed");
            }
            Range r;
            r.first = r.last = character();
            if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
                ++at_;
                r.last = character();
                if (r.last < r.first) fail("a range of characters runs backwards");
            }
            out.push_back(r);
        }
        ++at_;
        return rx_.set(negated ? complement(out) : out);
    }

    Regexes& rx_;
    std::u32string text_;
    std::size_t at_ = 0, elements_ = 0;
    int nested_ = 0;
    std::map<std::string, std::uint32_t> names_;
};

class Builder {
 public:
    Builder(Program& program, std::vector<Named>& rules) : p_(program), rx_(program.regexes), rules_(rules) {}

    std::uint32_t build(std::uint32_t root) {
        sort_out();
        if (regular_[root]) {
            const std::uint32_t r = p_.rule("root");
            if (terms_[root] != rx_.nothing()) p_.alternative(r, terminal(terms_[root]));
            return r;
        }
        indices_.assign(rules_.size(), kNone);
        for (std::uint32_t i = 0; i < rules_.size(); ++i) {
            if (!regular_[i]) indices_[i] = p_.rule(rules_[i].name);
        }
        for (std::uint32_t i = 0; i < rules_.size(); ++i) {
            if (!regular_[i]) emit(indices_[i], *rules_[i].body);
        }
        return indices_[root];
    }

 private:
    static void references(const Choice& choice, std::vector<std::uint32_t>& out) {
        for (const Sequence& s : choice) {
            for (const Element& e : s) {
                if (e.rule != kNone) out.push_back(e.rule);
                if (e.group) references(*e.group, out);
            }
        }
    }

    // Rules whose references are all regular are regular, from the leaves up; what is left recurs or leads there.
    void sort_out() {
        const std::size_t n = rules_.size();
        regular_.assign(n, false);
        terms_.assign(n, 0);
        std::vector<int> depth(n, 0);
        std::vector<std::vector<std::uint32_t>> users(n);
        std::vector<std::size_t> open(n, 0);
        std::vector<std::uint32_t> ready;
        std::vector<std::vector<std::uint32_t>> uses(n);
        for (std::uint32_t i = 0; i < n; ++i) {
            references(*rules_[i].body, uses[i]);
            open[i] = uses[i].size();
            for (const std::uint32_t u : uses[i]) users[u].push_back(i);
            if (open[i] == 0) ready.push_back(i);
        }
        while (!ready.empty()) {
            const std::uint32_t i = ready.back();
            ready.pop_back();
            for (const std::uint32_t u : uses[i]) depth[i] = std::max(depth[i], depth[u] + 1);
            // A long chain stays a chain of rules: terms are walked by recursion.
            regular_[i] =
                depth[i] <= 100 && std::all_of(uses[i].begin(), uses[i].end(), [&](auto u) { return regular_[u]; });
            if (regular_[i]) terms_[i] = term(*rules_[i].body);
            for (const std::uint32_t u : users[i]) {
                if (--open[u] == 0) ready.push_back(u);
            }
        }
    }

    [[nodiscard]] bool is_regular(const Element& e) const {
        if (e.rule != kNone) return regular_[e.rule];
        if (!e.group) return true;
        return std::all_of(e.group->begin(), e.group->end(), [this](const Sequence& s) {
            return std::all_of(s.begin(), s.end(), [this](const Element& x) { return is_regular(x); });
        });
    }
    Rx term(const Element& e) {
        const Rx one = e.rule != kNone ? terms_[e.rule] : e.group ? term(*e.group) : e.rx;
        return rx_.rep(one, e.least, e.most);
    }
    Rx term(const Choice& choice) {
        std::vector<Rx> parts;
        for (const Sequence& s : choice) {
            Rx r = rx_.empty();
            for (std::size_t i = s.size(); i-- > 0;) r = rx_.cat(term(s[i]), r);
            parts.push_back(r);
        }
        return rx_.alt(std::move(parts));
    }

    std::vector<Op> terminal(Rx r) {
        if (r == rx_.empty()) return {};
        return {{Op::Kind::terminal, p_.terminal({Terminal::Kind::text, false, r})}};
    }

    void emit(std::uint32_t rule, const Choice& choice) {
        for (const Sequence& s : choice) {
            std::vector<Op> ops;
            bool possible = true;
            for (std::size_t i = 0; i < s.size();) {
                if (!is_regular(s[i])) {
                    repeat(s[i], ops);
                    ++i;
                    continue;
                }
                // Neighbours that are regular are one terminal.
                std::size_t j = i;
                while (j < s.size() && is_regular(s[j])) ++j;
                Rx r = rx_.empty();
                for (std::size_t k = j; k-- > i;) r = rx_.cat(term(s[k]), r);
                possible = possible && r != rx_.nothing();
                for (const Op& op : terminal(r)) ops.push_back(op);
                i = j;
            }
            if (possible) p_.alternative(rule, std::move(ops));
        }
    }

    void repeat(const Element& e, std::vector<Op>& ops) {
        std::uint32_t rule = kNone;
        if (e.rule != kNone) {
            rule = indices_[e.rule];
        } else {
            rule = p_.rule("(group)");
            emit(rule, *e.group);
        }
        const Op call{Op::Kind::call, rule};
        if (e.least > kMostCopies || (e.most != kNone && e.most > kMostCopies) || (copies_ += e.least) > 100'000) {
            throw Error(ErrorKind::limit,
                        fmt::format("The grammar repeats \"{}\", which recurs, more than {} times.",
                                    p_.rules[rule].name, kMostCopies),
                        "Use a smaller count, or * without one.");
        }
        for (std::uint32_t i = 0; i < e.least; ++i) ops.push_back(call);
        if (e.most == e.least) return;
        if (e.most == kNone) {
            const std::uint32_t more = p_.rule(p_.rules[rule].name + "*");
            p_.alternative(more, {call, {Op::Kind::call, more}});
            p_.alternative(more, {});
            ops.push_back({Op::Kind::call, more});
            return;
        }
        std::uint32_t next = kNone;
        for (std::uint32_t i = e.least; i < e.most; ++i) {
            const std::uint32_t option = p_.rule(p_.rules[rule].name + "?");
            std::vector<Op> one{call};
            if (next != kNone) one.push_back({Op::Kind::call, next});
            p_.alternative(option, std::move(one));
            p_.alternative(option, {});
            next = option;
        }
        copies_ += e.most;
        ops.push_back({Op::Kind::call, next});
    }

    Program& p_;
    Regexes& rx_;
    std::vector<Named>& rules_;
    std::vector<bool> regular_;
    std::vector<Rx> terms_;
    std::vector<std::uint32_t> indices_;
    std::size_t copies_ = 0;
};

}  // namespace

std::uint32_t compile_gbnf(Program& program, std::string_view text) {
    if (text.size() > kLongest) {
        throw Error(ErrorKind::limit, fmt::format("The grammar has {} bytes; the bound is {}.", text.size(), kLongest),
                    "Use a smaller grammar.");
    }
    Reader reader(program.regexes, text);
    reader.read();
    std::uint32_t root = kNone;
    for (std::uint32_t i = 0; i < reader.rules.size(); ++i) {
        if (reader.rules[i].name == "root") root = i;
        if (reader.rules[i].body) continue;
        throw Error(ErrorKind::usage,
                    fmt::format("The grammar uses the rule \"{}\" at {}, but nothing defines it.", reader.rules[i].name,
                                reader.where(reader.rules[i].first_use)),
                    "Add the rule, or correct its name.");
    }
    if (root == kNone) {
        throw Error(ErrorKind::usage, "The grammar has no rule \"root\".", "The rule named root is the whole answer.");
    }
    return Builder(program, reader.rules).build(root);
}

}  // namespace freehold::grammar
