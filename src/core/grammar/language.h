// Regular languages over code points as hash-consed terms with intersection and complement; automata come from their
// derivatives (Brzozowski 1964; Owens, Reppy and Turon 2009), one state when it is reached, counters never unrolled.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace freehold::grammar {

using Rx = std::uint32_t;  // a term of one Regexes
using CodePoint = std::uint32_t;
struct Range {
    CodePoint first = 0, last = 0;  // both inside
    friend bool operator==(const Range&, const Range&) = default;
};
using Ranges = std::vector<Range>;

constexpr CodePoint kLastCodePoint = 0x10FFFF;
constexpr CodePoint kSpecialMark = 0x110000;  // stands before the text of a control token
constexpr CodePoint kTextBegin = 0x110001;    // anchors, while a pattern is read
constexpr CodePoint kTextEnd = 0x110002;
constexpr std::uint32_t kNoBound = 0xFFFFFFFF;

// Sorted, disjoint, not adjacent.
[[nodiscard]] Ranges normalised(Ranges ranges);
[[nodiscard]] Ranges complement(const Ranges& ranges);  // within 0..kLastCodePoint

// Bounds on what one automaton may become. Over: Error{limit}.
struct RegexLimits {
    std::size_t terms = 400'000;  // of all kinds
    std::size_t list = 20'000;    // parts of one alternation
    std::size_t search = 20'000;  // states visited to find out whether anything is left
};

class Regexes {
 public:
    enum class Kind : std::uint8_t { nothing, empty, set, cat, alt, both, non, rep };

    explicit Regexes(RegexLimits limits = {});

    [[nodiscard]] Rx nothing() const noexcept { return 0; }
    [[nodiscard]] Rx empty() const noexcept { return 1; }
    [[nodiscard]] Rx any() const noexcept { return any_; }       // one code point
    [[nodiscard]] Rx anything() const noexcept { return all_; }  // any text
    [[nodiscard]] Rx set(const Ranges& ranges);                  // normalised first
    [[nodiscard]] Rx literal(std::u32string_view text);
    [[nodiscard]] Rx cat(Rx a, Rx b);
    [[nodiscard]] Rx cat(std::initializer_list<Rx> parts);
    [[nodiscard]] Rx alt(std::vector<Rx> parts);
    [[nodiscard]] Rx both(std::vector<Rx> parts);
    [[nodiscard]] Rx non(Rx a);
    [[nodiscard]] Rx rep(Rx a, std::uint32_t least, std::uint32_t most = kNoBound);

    [[nodiscard]] bool nullable(Rx r) const noexcept { return nodes_[r].nullable; }
    [[nodiscard]] Kind kind(Rx r) const noexcept { return nodes_[r].kind; }
    [[nodiscard]] Rx derivative(Rx r, CodePoint c);
    // Does every code point of [first, last] have the same derivative?
    [[nodiscard]] bool constant_on(Rx r, CodePoint first, CodePoint last);
    // Is there a text in it? Terms without both/non never lie; otherwise a search, Error{limit} beyond the bound.
    [[nodiscard]] bool possible(Rx r);
    // The counters of a term of the form any{m,n}, or nothing.
    struct Counter {
        std::uint32_t least, most;
    };
    [[nodiscard]] bool counter(Rx r, Counter& out) const noexcept;
    // With one symbol struck out (its sets lose it), and the mirror image; for anchors.
    [[nodiscard]] Rx without(Rx r, CodePoint symbol);
    [[nodiscard]] Rx mirrored(Rx r);
    [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
    // Is there a text on which more than `most` ways to go on stay open for `for_long` characters in a row? Looks along
    // one text, the one that opens the most; `budget` counts the derivatives that may be taken for it.
    [[nodiscard]] bool stays_wide(Rx r, std::size_t most, std::size_t for_long, std::size_t& budget);

 private:
    struct Node {
        Kind kind;
        bool nullable;
        bool searched;          // contains both or non, so emptiness is not plain to see
        std::uint32_t a, b, c;  // set: index; cat: two; rep: term, least, most; alt, both: offset, count
        friend bool operator==(const Node&, const Node&) = default;
    };
    [[nodiscard]] Rx intern(const Node& node, std::span<const Rx> list = {});
    [[nodiscard]] Rx make_list(Kind kind, std::vector<Rx> parts);
    [[nodiscard]] std::span<const Rx> list(const Node& n) const noexcept { return {lists_.data() + n.a, n.b}; }
    [[nodiscard]] std::size_t ways(Rx r, int depth) const;
    [[nodiscard]] bool in_set(std::uint32_t set, CodePoint c) const noexcept;
    const std::vector<CodePoint>& breaks(Rx r);
    void collect(Rx r, std::vector<CodePoint>& out, int depth) const;
    Rx derive(Rx r, CodePoint c, int depth);
    template <class F>
    Rx rebuild(Rx r, const F& on_set, bool mirror, std::unordered_map<Rx, Rx>& memo, int depth);

    RegexLimits limits_;
    std::vector<Node> nodes_;
    std::vector<Rx> lists_;
    std::vector<Ranges> sets_;
    std::unordered_multimap<std::uint64_t, Rx> index_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> set_index_;
    std::unordered_map<std::uint64_t, Rx> derivatives_;
    std::unordered_map<Rx, std::vector<CodePoint>> breaks_;
    std::unordered_map<Rx, bool> possible_;
    Rx any_ = 0, all_ = 0;
    CodePoint last_symbol_ = kLastCodePoint;  // the mark of control tokens, once a term holds it
};

}  // namespace freehold::grammar
