// States of the automaton: how threads move over a byte, and what follows where a terminal ends.
#include "automaton.h"

#include <algorithm>

#include "freehold/base/error.h"

namespace freehold::grammar {

namespace {

std::uint64_t mix(std::uint64_t h, std::uint64_t v) noexcept {
    h ^= v + 0x9E3779B97F4A7C15ULL + (h << 6U) + (h >> 2U);
    h *= 0xFF51AFD7ED558CCDULL;
    return h ^ h >> 29U;
}

[[noreturn]] void too_much(const char* what) {
    throw Error(ErrorKind::limit, std::string("The constraint needs too many ") + what + " at one place of the answer.",
                "Its rules are too ambiguous or too large; use fewer alternatives that begin alike.");
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Program> program, AutomatonLimits limits)
    : program_(std::move(program)), limits_(limits), rx_(program_->regexes), numbers_(program_->numbers) {
    const auto number = [this](const NumberRule& rule) {
        for (std::uint32_t i = 0; i < numbers_.size(); ++i) {
            if (numbers_[i] == rule) return i;
        }
        numbers_.push_back(rule);
        return static_cast<std::uint32_t>(numbers_.size() - 1);
    };
    free_number_ = number({});
    NumberRule integer;
    integer.step = make_decimal("1");
    free_integer_ = number(integer);
    starts_.assign(program_->terminals.size(), kUnknown);
    texts_.emplace_back();
    text_index_.emplace("", 0);
    data_.push_back({});
    data_index_.emplace(0, 0);
    caller_lists_.emplace_back(0, 0);  // nobody

    const std::uint32_t nobody = 0;
    const std::uint32_t root = intern_callers({intern_caller({place(f_root_end, 0), 0, nobody})});
    begin_gathering();
    gathered_final_ = program_->rules[program_->root].nullable;
    for (const std::uint32_t c :
         std::vector<std::uint32_t>(caller_pool_.begin() + caller_lists_[root].first,
                                    caller_pool_.begin() + caller_lists_[root].first + caller_lists_[root].second)) {
        calls_.push_back({program_->root, {c}});
    }
    finish_closure();
    start_ = finish_state();
}

std::uint32_t Automaton::find_step(std::uint32_t state, std::uint8_t byte) {
    if (++steps_ > limits_.steps) too_much("steps");
    const State s = states_[state];
    begin_gathering();
    bool same = !s.final;
    bool arrived = false;
    for (std::uint32_t i = 0; i < s.n_threads; ++i) {
        const Thread thread = thread_pool_[s.first_thread + i];
        const std::uint32_t next = terminal_step(thread.terminal, byte);
        if (next == kDead || (next != thread.terminal && !fits(thread, next))) {
            same = false;
            continue;
        }
        if (goes_on(next)) add_thread(next, thread.place, thread.data, thread.callers);
        const TState& t = terminals_[next];
        same = same && next == thread.terminal && !t.accepting;
        if (!t.accepting) continue;
        arrived = true;
        std::uint32_t data = thread.data;
        if (t.key.kind == TKind::string && (thread.place >> kFrameShift) == f_object_key) {
            data = chosen_key(thread.place & ((1U << kFrameShift) - 1), data, words_[t.key.at & ~kWordBit]);
        }
        arrive(thread.place, data, thread.callers);
    }
    std::uint32_t result = state;
    if (!same) {
        if (arrived) finish_closure();
        result = gathered_.empty() && !gathered_final_ ? kDead : finish_state();
    }
    tables_[state].next[byte] = result;
    return result;
}

// A terminal has ended and `place` comes next. First everything that returns is followed up to a fixed point.
void Automaton::arrive(std::uint32_t at, std::uint32_t data, std::uint32_t callers) {
    struct Item {
        std::uint32_t place, data;
        std::vector<std::uint32_t> callers;
    };
    std::vector<Item> work;
    const auto list = [this](std::uint32_t id) {
        const auto [offset, count] = caller_lists_[id];
        return std::vector<std::uint32_t>(caller_pool_.begin() + offset, caller_pool_.begin() + offset + count);
    };
    work.push_back({at, data, list(callers)});
    while (!work.empty()) {
        Item item = std::move(work.back());
        work.pop_back();
        const std::uint64_t key = static_cast<std::uint64_t>(item.place) << 32U | item.data;
        const auto [found, fresh] = pending_index_.emplace(key, static_cast<std::uint32_t>(pending_.size()));
        if (fresh) pending_.push_back({item.place, item.data, {}});
        if (pending_.size() > limits_.threads) too_much("places");
        auto& known = pending_[found->second].callers;
        std::vector<std::uint32_t> news;
        std::set_difference(item.callers.begin(), item.callers.end(), known.begin(), known.end(),
                            std::back_inserter(news));
        if (news.empty() && !fresh) continue;
        std::vector<std::uint32_t> merged;
        merged.reserve(known.size() + news.size());
        std::merge(known.begin(), known.end(), news.begin(), news.end(), std::back_inserter(merged));
        known = std::move(merged);
        const auto frame = static_cast<Frame>(item.place >> kFrameShift);
        if (frame == f_root_end) {
            gathered_final_ = true;
            continue;
        }
        const bool ends =
            frame == f_object_end || (frame == f_code && program_->code[item.place].kind == Op::Kind::end);
        if (ends) {
            for (const std::uint32_t c : news) {
                const Caller caller = callers_[c];
                work.push_back({caller.place, caller.data, list(caller.callers)});
            }
        } else if (frame == f_code && program_->nullable(program_->code[item.place])) {
            work.push_back({item.place + 1, item.data, std::move(news)});
        }
    }
}

// Then everything that begins is entered, callers before callees.
void Automaton::finish_closure() {
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        const std::uint32_t at = pending_[i].place;
        const std::uint32_t callers = intern_callers(pending_[i].callers);
        enter(at, pending_[i].data, callers);
    }
    const auto& rules = program_->rules;
    // calls_ is kept as a heap by rank, lowest first; equal rules are merged when they come up.
    const auto later = [&](const auto& a, const auto& b) {
        return rules[a.first].rank != rules[b.first].rank ? rules[a.first].rank > rules[b.first].rank
                                                          : a.first > b.first;
    };
    std::make_heap(calls_.begin(), calls_.end(), later);
    while (!calls_.empty()) {
        std::pop_heap(calls_.begin(), calls_.end(), later);
        const std::uint32_t rule = calls_.back().first;
        std::vector<std::uint32_t> who = std::move(calls_.back().second);
        calls_.pop_back();
        while (!calls_.empty() && calls_.front().first == rule) {
            std::pop_heap(calls_.begin(), calls_.end(), later);
            who.insert(who.end(), calls_.back().second.begin(), calls_.back().second.end());
            calls_.pop_back();
        }
        std::sort(who.begin(), who.end());
        who.erase(std::unique(who.begin(), who.end()), who.end());
        const std::uint32_t callers = intern_callers(std::move(who));
        const std::size_t before = calls_.size();
        for (const std::uint32_t start : rules[rule].starts) {
            for (std::uint32_t i = start; program_->code[i].kind != Op::Kind::end; ++i) {
                enter(i, 0, callers);
                if (!program_->nullable(program_->code[i])) break;
            }
        }
        for (std::size_t n = before; n < calls_.size(); ++n) {
            std::push_heap(calls_.begin(), calls_.begin() + static_cast<std::ptrdiff_t>(n) + 1, later);
        }
    }
}

void Automaton::enter(std::uint32_t at, std::uint32_t data, std::uint32_t callers) {
    const auto frame = static_cast<Frame>(at >> kFrameShift);
    const std::uint32_t index = at & ((1U << kFrameShift) - 1);
    // The end of an object is also where arrays end: nothing follows, and there may be no shape to look at.
    if (frame >= f_object_open && frame < f_object_end) return enter_object(frame, index, data, callers);
    if (frame >= f_array_open && frame <= f_array_comma) return enter_array(frame, index, data, callers);
    if (frame != f_code) return;
    const Op& op = program_->code[at];
    switch (op.kind) {
        case Op::Kind::terminal:
            add_thread(start_of(op.arg), at + 1, data, callers);
            break;
        case Op::Kind::call:
            call(op.arg, at + 1, data, callers);
            break;
        case Op::Kind::object:
            enter_object(f_object_open, op.arg, 0, callers);
            break;
        case Op::Kind::array:
            enter_array(f_array_open, op.arg, 0, callers);
            break;
        case Op::Kind::end:
            break;
    }
}

void Automaton::call(std::uint32_t rule, std::uint32_t return_place, std::uint32_t data, std::uint32_t callers) {
    const bool tail = (return_place >> kFrameShift) == f_code && program_->code[return_place].kind == Op::Kind::end;
    if (tail) {
        const auto [offset, count] = caller_lists_[callers];
        calls_.emplace_back(
            rule, std::vector<std::uint32_t>(caller_pool_.begin() + offset, caller_pool_.begin() + offset + count));
    } else {
        calls_.emplace_back(rule, std::vector<std::uint32_t>{intern_caller({return_place, data, callers})});
    }
    if (calls_.size() > 4 * limits_.threads) too_much("rules");
}

void Automaton::add_thread(std::uint32_t terminal, std::uint32_t at, std::uint32_t data, std::uint32_t callers) {
    if (terminal == kDead) return;
    gathered_.push_back({terminal, at, data, callers});
    if (gathered_.size() > 4 * limits_.threads) too_much("ways to go on");
}

std::uint32_t Automaton::finish_state() {
    std::sort(gathered_.begin(), gathered_.end());
    gathered_.erase(std::unique(gathered_.begin(), gathered_.end()), gathered_.end());
    // The same place with other callers is one thread that returns to both.
    std::vector<Thread> threads;
    for (std::size_t i = 0; i < gathered_.size();) {
        std::size_t j = i + 1;
        const auto alike = [&](const Thread& a, const Thread& b) {
            return a.terminal == b.terminal && a.place == b.place && a.data == b.data;
        };
        while (j < gathered_.size() && alike(gathered_[i], gathered_[j])) ++j;
        Thread t = gathered_[i];
        if (j > i + 1) {
            std::vector<std::uint32_t> all;
            for (std::size_t k = i; k < j; ++k) {
                const auto [offset, count] = caller_lists_[gathered_[k].callers];
                all.insert(all.end(), caller_pool_.begin() + offset, caller_pool_.begin() + offset + count);
            }
            std::sort(all.begin(), all.end());
            all.erase(std::unique(all.begin(), all.end()), all.end());
            t.callers = intern_callers(std::move(all));
        }
        threads.push_back(t);
        i = j;
    }
    if (threads.size() > limits_.threads) too_much("ways to go on");
    return intern_state(std::move(threads), gathered_final_);
}

std::vector<Automaton::Thread> Automaton::threads(std::uint32_t state) const {
    const State& s = states_[state];
    return {thread_pool_.begin() + s.first_thread, thread_pool_.begin() + s.first_thread + s.n_threads};
}

std::uint32_t Automaton::after(const Thread& thread, std::uint32_t done_state) {
    const TState t = terminals_[done_state];
    const bool is_key = t.key.kind == TKind::string && (thread.place >> kFrameShift) == f_object_key;
    const Thread memo{is_key ? done_state : 0, thread.place, thread.data, thread.callers};
    const std::uint64_t h = mix(mix(mix(mix(9, memo.terminal), memo.place), memo.data), memo.callers);
    const auto [begin, end] = after_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (at->second.first == memo) return at->second.second;
    }
    if (++steps_ > limits_.steps) too_much("steps");
    std::uint32_t result = kDead;
    std::uint32_t data = thread.data;
    const std::uint32_t shape = thread.place & ((1U << kFrameShift) - 1);
    if (!is_key || key_allowed(shape, data_[data], words_[t.key.at & ~kWordBit], true)) {
        if (is_key) data = chosen_key(shape, data, words_[t.key.at & ~kWordBit]);
        begin_gathering();
        arrive(thread.place, data, thread.callers);
        finish_closure();
        result = finish_state();
    }
    bytes_ += 80;
    after_index_.emplace(h, std::pair(memo, result));
    return result;
}

bool Automaton::fits(const Thread& thread, std::uint32_t terminal_state) {
    const TKey k = terminals_[terminal_state].key;
    if (k.kind != TKind::string || (thread.place >> kFrameShift) != f_object_key) return true;
    const std::uint32_t shape = thread.place & ((1U << kFrameShift) - 1);
    const WordPlace w = words_[k.at & ~kWordBit];
    if (k.phase == inside || k.phase == partial_any || k.phase == blanks || k.phase == done)
        return key_allowed(shape, data_[thread.data], w, terminals_[terminal_state].accepting);
    return key_goes_on(shape, data_[thread.data], w, becoming(k));
}

bool Automaton::always_fits(const Thread& thread) const {
    if ((thread.place >> kFrameShift) != f_object_key) return true;
    const ObjectShape& o = program_->objects[thread.place & ((1U << kFrameShift) - 1)];
    return others_allowed(o, data_[thread.data]) &&
           std::any_of(o.others.begin(), o.others.end(), [this](const auto& x) { return x.keys == rx_.anything(); });
}

bool Automaton::goes_on(std::uint32_t terminal_state) const noexcept {
    const TKey& k = terminals_[terminal_state].key;
    return k.phase != done && !(k.kind == TKind::text && k.phase == inside && k.at == rx_.empty());
}

bool Automaton::inside_string(std::uint32_t terminal_state) const noexcept {
    const TKey& k = terminals_[terminal_state].key;
    return k.kind == TKind::string && k.phase == inside;
}

// The data of an object's frame once this key has come; the value's rule is pending in it.
std::uint32_t Automaton::chosen_key(std::uint32_t shape, std::uint32_t data, const WordPlace& w) {
    const ObjectShape& o = program_->objects[shape];
    Data d = data_[data];
    if (w.first < w.last && program_->lists[w.list].words[w.first].size() == w.depth) {
        d.seen.resize((o.values.size() + 63) / 64);
        d.seen[w.first / 64] |= std::uint64_t{1} << (w.first % 64);
        if (o.pinned) {
            for (std::uint32_t n = 0; n < o.order.size(); ++n) {
                if (o.order[n] < o.order[w.first]) d.seen[n / 64] |= std::uint64_t{1} << (n % 64);
            }
        }
        if (w.first / 64 < o.hits.size() && (o.hits[w.first / 64] >> (w.first % 64) & 1U) != 0) d.hits = 1;
        d.pending = o.values[w.first];
    } else {
        for (std::size_t k = 0; k < w.others.size(); ++k) {
            if (!rx_.nullable(w.others[k])) continue;
            d.pending = o.others[k].value;
            if (o.others[k].hit && o.needs_hit) d.hits = 1;
        }
        if (o.pinned) {
            d.seen.assign((o.values.size() + 63) / 64, 0);
            for (std::uint32_t n = 0; n < o.values.size(); ++n) d.seen[n / 64] |= std::uint64_t{1} << (n % 64);
        }
    }
    // Counted as far as a bound asks.
    if (d.count < std::max(o.least, o.most == kNone ? 0 : o.most)) ++d.count;
    return intern_data(std::move(d));
}

void Automaton::begin_gathering() {
    gathered_.clear();
    gathered_final_ = false;
    pending_.clear();
    pending_index_.clear();
    calls_.clear();
}

std::uint32_t Automaton::intern_data(Data d) {
    std::uint64_t h = mix(mix(mix(1, d.count), d.hits), d.pending);
    for (const std::uint64_t w : d.seen) h = mix(h, w);
    const auto [begin, end] = data_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (data_[at->second] == d) return at->second;
    }
    const auto id = static_cast<std::uint32_t>(data_.size());
    bytes_ += sizeof(Data) + 8 * d.seen.size() + 48;
    data_.push_back(std::move(d));
    data_index_.emplace(h, id);
    return id;
}

std::uint32_t Automaton::intern_caller(const Caller& c) {
    const std::uint64_t h = mix(mix(mix(2, c.place), c.data), c.callers);
    const auto [begin, end] = caller_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (callers_[at->second] == c) return at->second;
    }
    const auto id = static_cast<std::uint32_t>(callers_.size());
    bytes_ += sizeof(Caller) + 48;
    callers_.push_back(c);
    caller_index_.emplace(h, id);
    return id;
}

std::uint32_t Automaton::intern_callers(std::vector<std::uint32_t> list) {
    if (list.empty()) return 0;
    std::uint64_t h = 3;
    for (const std::uint32_t c : list) h = mix(h, c);
    const auto [begin, end] = caller_list_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        const auto [offset, count] = caller_lists_[at->second];
        if (count == list.size() && std::equal(list.begin(), list.end(), caller_pool_.begin() + offset)) {
            return at->second;
        }
    }
    const auto id = static_cast<std::uint32_t>(caller_lists_.size());
    caller_lists_.emplace_back(static_cast<std::uint32_t>(caller_pool_.size()),
                               static_cast<std::uint32_t>(list.size()));
    caller_pool_.insert(caller_pool_.end(), list.begin(), list.end());
    bytes_ += 4 * list.size() + 56;
    caller_list_index_.emplace(h, id);
    return id;
}

std::uint32_t Automaton::intern_state(std::vector<Thread> threads, bool final) {
    std::uint64_t h = final ? 5 : 4;
    for (const Thread& t : threads) h = mix(mix(mix(mix(h, t.terminal), t.place), t.data), t.callers);
    const auto [begin, end] = state_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        const State& s = states_[at->second];
        if (s.final == final && s.n_threads == threads.size() &&
            std::equal(threads.begin(), threads.end(), thread_pool_.begin() + s.first_thread)) {
            return at->second;
        }
    }
    const auto id = static_cast<std::uint32_t>(states_.size());
    states_.push_back(
        {static_cast<std::uint32_t>(thread_pool_.size()), static_cast<std::uint32_t>(threads.size()), final});
    thread_pool_.insert(thread_pool_.end(), threads.begin(), threads.end());
    tables_.emplace_back();
    state_index_.emplace(h, id);
    bytes_ += sizeof(State) + sizeof(Table) + sizeof(Thread) * threads.size() + 64;
    return id;
}

}  // namespace freehold::grammar
