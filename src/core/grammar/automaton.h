// Runs a Program byte by byte. States are sets of threads (terminal state, place in the program, data of a frame, who
// called), hash-consed, with transitions found when they are first taken; stacks are shared graphs, so an ambiguous
// grammar costs no more than its distinct places. Not for several threads at once.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "program.h"

namespace freehold::grammar {

constexpr std::uint32_t kDead = 0xFFFFFFFF;
constexpr std::uint32_t kUnknown = 0xFFFFFFFE;

struct AutomatonLimits {
    std::size_t bytes = std::size_t{32} << 20U;  // of states; a fuller automaton is begun anew
    std::size_t threads = 4096;                  // of one state
    std::size_t steps = 400'000;                 // new transitions for one mask
};

class Automaton {
 public:
    explicit Automaton(std::shared_ptr<const Program> program, AutomatonLimits limits = {});

    [[nodiscard]] std::uint32_t start() const noexcept { return start_; }
    // kDead when the byte cannot come. Error{limit} when a bound is passed.
    [[nodiscard]] std::uint32_t step(std::uint32_t state, std::uint8_t byte) {
        const std::uint32_t next = tables_[state].next[byte];
        return next != kUnknown ? next : find_step(state, byte);
    }
    [[nodiscard]] bool may_end(std::uint32_t state) const noexcept { return states_[state].final; }
    [[nodiscard]] bool over(std::uint32_t state) const noexcept { return states_[state].n_threads == 0; }

    // One way to go on: a state of a terminal, the place behind it, the data of the frame there, and who called.
    struct Thread {
        std::uint32_t terminal, place, data, callers;
        friend bool operator==(const Thread&, const Thread&) = default;
        // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a 0 in the comparison that the compiler writes.
        friend auto operator<=>(const Thread&, const Thread&) = default;
    };
    // A terminal by itself: its transitions do not depend on what stands around it, so masks are found thread by
    // thread.
    [[nodiscard]] std::vector<Thread> threads(std::uint32_t state) const;
    // The state when this thread's terminal has ended in `done`; kDead: it may not.
    [[nodiscard]] std::uint32_t after(const Thread& thread, std::uint32_t done);
    // A key of an object may depend on the keys before: may this one go on so?
    [[nodiscard]] bool fits(const Thread& thread, std::uint32_t terminal_state);
    // Whatever it becomes, it may go on: no need to ask fits() before the end.
    [[nodiscard]] bool always_fits(const Thread& thread) const;
    [[nodiscard]] bool goes_on(std::uint32_t terminal_state) const noexcept;
    [[nodiscard]] bool inside_string(std::uint32_t terminal_state) const noexcept;
    [[nodiscard]] std::uint32_t terminal_step(std::uint32_t terminal_state, std::uint8_t byte) {
        const std::uint32_t next = terminal_tables_[terminal_state].next[byte];
        return next != kUnknown ? next : find_terminal_step(terminal_state, byte);
    }
    [[nodiscard]] bool terminal_done(std::uint32_t terminal_state) const noexcept {
        return terminals_[terminal_state].accepting;
    }
    // Inside a JSON string that may be any text from here on (with bounds on its length or without).
    [[nodiscard]] bool terminal_counter(std::uint32_t terminal_state, Regexes::Counter& out) const noexcept;
    // The state whose tokens are the same for a vocabulary without longer tokens than `longest` characters: far bounds
    // on a length become one.
    [[nodiscard]] std::uint32_t near_terminal(std::uint32_t terminal_state, std::uint32_t longest);
    // Whatever well-formed characters without escapes come, at least `n` of them may come from here.
    [[nodiscard]] bool takes_any(std::uint32_t terminal_state, std::uint32_t n);

    void begin_budget() noexcept { steps_ = 0; }
    [[nodiscard]] bool full() const noexcept { return bytes_ > limits_.bytes; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t states() const noexcept { return states_.size(); }
    [[nodiscard]] const Program& program() const noexcept { return *program_; }
    [[nodiscard]] const std::shared_ptr<const Program>& shared_program() const noexcept { return program_; }

 private:
    enum class TKind : std::uint8_t { text, string, number, literal };
    // string: where in its quoted form.
    enum Phase : std::uint8_t { blanks, inside, escape, hex, high, high_u, low, partial, partial_any, done };
    struct TKey {
        TKind kind = TKind::literal;
        std::uint8_t phase = 0;
        std::uint8_t left = 0;  // digits or bytes to come
        std::uint8_t extra = 0;
        std::uint32_t spec = 0;  // terminal
        std::uint32_t at = 0;    // code point state, number text, place in a literal
        std::uint32_t value = 0;
        friend bool operator==(const TKey&, const TKey&) = default;
    };
    struct TState {
        TKey key;
        bool accepting = false;
    };
    struct Table {
        std::array<std::uint32_t, 256> next;
        Table() { next.fill(kUnknown); }
    };
    // States over code points: a term of Regexes, or (with the top bit) a place in a list of words beside others.
    struct WordPlace {
        std::uint32_t list, first, last, depth;
        std::vector<Rx> others;
        friend bool operator==(const WordPlace&, const WordPlace&) = default;
    };
    static constexpr std::uint32_t kWordBit = 0x80000000;

    struct State {
        std::uint32_t first_thread, n_threads;
        bool final;
    };
    struct Data {
        std::vector<std::uint64_t> seen;
        std::uint32_t count = 0, hits = 0, pending = kNone;
        friend bool operator==(const Data&, const Data&) = default;
    };
    struct Caller {
        std::uint32_t place, data, callers;
        friend bool operator==(const Caller&, const Caller&) = default;
        friend auto operator<=>(const Caller&, const Caller&) = default;
    };
    // Places: an index into code, or one of these with the shape's index below.
    enum Frame : std::uint32_t {
        f_code = 0,
        f_object_open,
        f_object_key,
        f_object_colon,
        f_object_value,
        f_object_comma,
        f_object_end,
        f_array_open,
        f_array_value,
        f_array_comma,
        f_root_end,
    };
    static constexpr std::uint32_t kFrameShift = 26;
    [[nodiscard]] static std::uint32_t place(Frame f, std::uint32_t index) noexcept {
        return (f << kFrameShift) | index;
    }

    std::uint32_t find_step(std::uint32_t state, std::uint8_t byte);
    std::uint32_t find_terminal_step(std::uint32_t t, std::uint8_t byte);
    std::uint32_t compute_terminal_step(const TKey& key, std::uint8_t byte);
    std::uint32_t string_step(TKey key, std::uint8_t byte);
    std::uint32_t text_step(TKey key, std::uint8_t byte);
    std::uint32_t number_step(TKey key, std::uint8_t byte);
    std::uint32_t utf8_lead(TKey key, std::uint8_t byte);
    std::uint32_t utf8_next(TKey key, std::uint8_t byte);
    std::uint32_t after_char(TKey key, std::uint32_t next);
    std::uint32_t start_of(std::uint32_t terminal);
    std::uint32_t intern_terminal(const TKey& key);
    [[nodiscard]] bool accepting(const TKey& key) const;

    std::uint32_t char_step(std::uint32_t at, CodePoint c);
    bool char_constant(std::uint32_t at, CodePoint first, CodePoint last);
    [[nodiscard]] bool char_final(std::uint32_t at) const;
    std::uint32_t intern_word(WordPlace w);
    [[nodiscard]] bool word_constant(const WordPlace& w, CodePoint first, CodePoint last) const;

    // What the present step gathers.
    struct Pending {
        std::uint32_t place, data;
        std::vector<std::uint32_t> callers;  // ids of Caller, sorted
    };
    std::uint32_t chosen_key(std::uint32_t shape, std::uint32_t data, const WordPlace& w);
    void begin_gathering();
    void arrive(std::uint32_t place, std::uint32_t data, std::uint32_t callers);
    void finish_closure();
    void enter(std::uint32_t place, std::uint32_t data, std::uint32_t callers);
    void enter_object(Frame f, std::uint32_t shape, std::uint32_t data, std::uint32_t callers);
    void enter_array(Frame f, std::uint32_t shape, std::uint32_t data, std::uint32_t callers);
    void enter_item(std::uint32_t shape, std::uint32_t data, std::uint32_t callers);
    void call(std::uint32_t rule, std::uint32_t return_place, std::uint32_t data, std::uint32_t callers);
    void add_thread(std::uint32_t terminal, std::uint32_t place, std::uint32_t data, std::uint32_t callers);
    [[nodiscard]] bool key_allowed(std::uint32_t shape, const Data& data, const WordPlace& w, bool complete) const;
    // The same inside a character: may one of those that it can still become go on with a key?
    [[nodiscard]] bool key_goes_on(std::uint32_t shape, const Data& data, const WordPlace& w, const Ranges& next);
    // The characters that a state inside one (UTF-8, an escape) can still become.
    [[nodiscard]] Ranges becoming(const TKey& key) const;
    [[nodiscard]] bool any_in(Rx r, CodePoint first, CodePoint last);
    [[nodiscard]] bool name_allowed(const ObjectShape& o, const Data& d, std::uint32_t name) const;
    [[nodiscard]] bool others_allowed(const ObjectShape& o, const Data& d) const;
    [[nodiscard]] bool may_close(const ObjectShape& o, const Data& d) const;
    [[nodiscard]] bool any_key(const ObjectShape& o, const Data& d) const;
    std::uint32_t finish_state();

    std::uint32_t intern_data(Data d);
    std::uint32_t intern_caller(const Caller& c);
    std::uint32_t intern_callers(std::vector<std::uint32_t> list);  // sorted, unique
    std::uint32_t intern_state(std::vector<Thread> threads, bool final);

    std::shared_ptr<const Program> program_;
    AutomatonLimits limits_;
    Regexes rx_;
    std::uint32_t free_number_ = 0, free_integer_ = 0;
    std::vector<NumberRule> numbers_;

    std::vector<TState> terminals_;
    std::deque<Table> terminal_tables_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> terminal_index_;
    std::vector<std::uint32_t> starts_;  // [terminal]
    std::vector<WordPlace> words_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> word_index_;
    std::vector<std::string> texts_;
    std::unordered_map<std::string, std::uint32_t> text_index_;
    std::unordered_map<std::uint64_t, bool> takes_any_;

    std::vector<Data> data_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> data_index_;
    std::vector<Caller> callers_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> caller_index_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> caller_lists_;  // offset, count
    std::vector<std::uint32_t> caller_pool_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> caller_list_index_;

    std::vector<Thread> thread_pool_;
    std::vector<State> states_;
    std::deque<Table> tables_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> state_index_;
    std::unordered_multimap<std::uint64_t, std::pair<Thread, std::uint32_t>> after_index_;
    std::uint32_t start_ = 0;

    // Of one step.
    std::vector<Pending> pending_;
    std::unordered_map<std::uint64_t, std::uint32_t> pending_index_;
    std::vector<std::pair<std::uint32_t, std::vector<std::uint32_t>>> calls_;  // rule -> callers
    std::vector<Thread> gathered_;
    bool gathered_final_ = false;
    std::size_t steps_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace freehold::grammar
