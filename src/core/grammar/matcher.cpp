// Masks from the tree of a vocabulary and the automaton of a grammar; an answer as a list of states.
#include "freehold/grammar/matcher.h"

#include <malloc.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "runner.h"

namespace freehold {

namespace grammar {

Masks::Trim::~Trim() {
#ifdef __GLIBC__
    if (due) static_cast<void>(::malloc_trim(0));
#endif
}

void Masks::walk(const ByteTree& tree, std::uint32_t begin, std::uint32_t end, std::uint32_t state,
                 std::span<std::uint32_t> bits) {
    const auto nodes = tree.nodes();
    if (begin >= end) return;
    const std::uint32_t base = nodes[begin].depth;
    path_.resize(std::max(path_.size(), tree.depth() + 2));
    path_[0] = state;
    for (std::uint32_t i = begin; i < end;) {
        const TrieNode& n = nodes[i];
        const std::uint32_t d = n.depth - base;
        const std::uint32_t next = automaton.step(path_[d], n.byte);
        if (next == kDead) {
            i += n.size;
            continue;
        }
        tree.mark(i, bits);
        path_[d + 1] = next;
        ++i;
    }
}

// One thread over the whole tree: its terminal alone as long as it lasts, whole states behind it.
void Masks::walk_thread(const ByteTree& tree, const Automaton::Thread& thread, std::span<std::uint32_t> bits) {
    const auto nodes = tree.nodes();
    thread_path_.resize(std::max(thread_path_.size(), tree.depth() + 2));
    thread_path_[0] = thread.terminal;
    const bool ask = !automaton.always_fits(thread);
    for (std::uint32_t i = 0; i < nodes.size();) {
        const TrieNode& n = nodes[i];
        const std::uint32_t before = thread_path_[n.depth];
        const std::uint32_t next = automaton.terminal_step(before, n.byte);
        if (next == kDead || (ask && next != before && !automaton.fits(thread, next))) {
            i += n.size;
            continue;
        }
        thread_path_[n.depth + 1] = next;
        const bool on = automaton.goes_on(next);
        if (automaton.terminal_done(next)) {
            const std::uint32_t behind = automaton.after(thread, next);
            if (behind != kDead) {
                tree.mark(i, bits);
                walk(tree, i + 1, i + n.size, behind, bits);
            }
        } else {
            tree.mark(i, bits);
        }
        i += on ? 1 : n.size;
    }
}

void Masks::walk_inside(const ByteTree& tree, std::uint32_t terminal, Inside& out) {
    const auto nodes = tree.nodes();
    path_.resize(std::max(path_.size(), tree.depth() + 2));
    path_[0] = terminal;
    for (std::uint32_t i = 0; i < nodes.size();) {
        const TrieNode& n = nodes[i];
        const std::uint32_t next = automaton.terminal_step(path_[n.depth], n.byte);
        if (next == kDead) {
            i += n.size;
            continue;
        }
        if (automaton.terminal_done(next)) {
            out.exits.emplace_back(i, next);
            i += n.size;
            continue;
        }
        tree.mark(i, out.mask);
        path_[n.depth + 1] = next;
        ++i;
    }
}

const Masks::Inside& Masks::inside(OfTrie& of, std::uint32_t terminal) {
    const Trie& trie = *of.trie;
    terminal = automaton.near_terminal(terminal, static_cast<std::uint32_t>(trie.longest()));
    const auto [at, fresh] = of.inside.try_emplace(terminal);
    Inside& out = at->second;
    if (!fresh) return out;
    const auto longest = static_cast<std::uint32_t>(trie.longest_safe());
    Regexes::Counter counter{};
    if (automaton.terminal_counter(terminal, counter) || automaton.takes_any(terminal, longest)) {
        const std::uint32_t most = automaton.terminal_counter(terminal, counter) ? counter.most : longest;
        const auto safe = trie.safe_up_to(most);
        out.mask.assign(safe.begin(), safe.end());
        out.mask.resize(trie.words());
    } else {
        out.mask.assign(trie.words(), 0);
        walk_inside(trie.safe(), terminal, out);
    }
    walk_inside(trie.other(), terminal, out);
    bytes_ += 4 * (out.mask.size() + out.exits.size()) + 128;
    return out;
}

std::span<const std::uint32_t> Masks::mask(const Trie& trie, std::uint32_t state) {
    auto of = std::find_if(tries_.begin(), tries_.end(), [&](const OfTrie& t) { return t.trie == &trie; });
    if (of == tries_.end()) {
        tries_.push_back({&trie, {}, {}});
        of = tries_.end() - 1;
    }
    if (const auto found = of->masks.find(state); found != of->masks.end()) return found->second;
    automaton.begin_budget();
    std::vector<std::uint32_t> bits(trie.words(), 0);
    for (const Automaton::Thread& thread : automaton.threads(state)) {
        if (!automaton.inside_string(thread.terminal) || !automaton.always_fits(thread)) {
            walk_thread(trie.all(), thread, bits);
            continue;
        }
        const Inside& in = inside(*of, thread.terminal);
        for (std::size_t i = 0; i < bits.size(); ++i) bits[i] |= in.mask[i];
        const auto nodes = trie.other().nodes();
        for (const auto& [exit, done] : in.exits) {
            const std::uint32_t behind = automaton.after(thread, done);
            if (behind == kDead) continue;
            trie.other().mark(exit, bits);
            walk(trie.other(), exit + 1, exit + nodes[exit].size, behind, bits);
        }
    }
    if (of->masks.size() >= 256) {
        bytes_ -= of->masks.size() * (4 * trie.words() + 64);
        of->masks.clear();
    }
    bytes_ += 4 * trie.words() + 64;
    return of->masks.emplace(state, std::move(bits)).first->second;
}

}  // namespace grammar

using grammar::kDead;

TokenTrie::TokenTrie(std::unique_ptr<const grammar::Trie> trie) : trie_(std::move(trie)) {}
TokenTrie::~TokenTrie() = default;
std::int32_t TokenTrie::vocab() const noexcept {
    return trie_->vocab();
}

std::shared_ptr<const TokenTrie> make_token_trie(std::span<const std::string> tokens) {
    return std::shared_ptr<const TokenTrie>(
        new TokenTrie(std::make_unique<const grammar::Trie>(std::vector<std::string>(tokens.begin(), tokens.end()))));
}

std::shared_ptr<const TokenTrie> make_token_trie(const Tokenizer& tokenizer, std::int32_t vocab) {
    const std::int32_t n = tokenizer.size();
    std::vector<std::string> tokens(static_cast<std::size_t>(std::max(n, vocab)));
    for (std::int32_t id = 0; id < n; ++id) {
        std::string& bytes = tokens[static_cast<std::size_t>(id)];
        switch (tokenizer.token(id).kind) {
            case TokenInfo::Kind::unknown:
            case TokenInfo::Kind::unused:
                break;
            case TokenInfo::Kind::control:
                bytes = "\xFF" + tokenizer.piece(id, true);
                if (bytes.size() == 1) bytes.clear();
                break;
            default:
                bytes = tokenizer.piece(id);
                // A byte that no text has is the mark of control tokens.
                if (bytes.find('\xFF') != std::string::npos) bytes.clear();
                break;
        }
    }
    return make_token_trie(tokens);
}

struct Matcher::Impl {
    std::shared_ptr<const Grammar> grammar;
    std::shared_ptr<const TokenTrie> trie;
    std::vector<std::int32_t> end_ids;
    std::shared_ptr<grammar::Masks> masks;
    std::vector<std::uint32_t> states;  // before each token, and now
    std::vector<std::int32_t> tokens;
    bool ended = false;  // the last of `tokens` is an end token, which has no state

    [[nodiscard]] bool is_end(std::int32_t token) const {
        return std::find(end_ids.begin(), end_ids.end(), token) != end_ids.end();
    }

    [[nodiscard]] std::uint32_t advance(std::uint32_t state, std::int32_t token) const {
        const std::string_view bytes = trie->trie().bytes(token);
        if (bytes.empty()) return kDead;
        for (const char c : bytes) {
            state = masks->automaton.step(state, static_cast<std::uint8_t>(c));
            if (state == kDead) break;
        }
        return state;
    }

    // An automaton that has grown too large is left behind; the answer so far is walked again in a new one.
    void refresh(grammar::Runner& runner) {
        if (!masks->full()) return;
        if (runner.current == masks) {
            runner.current = std::make_shared<grammar::Masks>(masks->automaton.shared_program());
        }
        masks = runner.current;
        std::vector<std::uint32_t> again{masks->automaton.start()};
        for (std::size_t i = 0; i + 1 < states.size(); ++i) {
            masks->automaton.begin_budget();
            again.push_back(advance(again.back(), tokens[i]));
        }
        states = std::move(again);
    }
};

Matcher::Matcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
                 std::span<const std::int32_t> end_ids)
    : impl_(std::make_unique<Impl>()) {
    impl_->grammar = std::move(grammar);
    impl_->trie = std::move(trie);
    impl_->end_ids.assign(end_ids.begin(), end_ids.end());
    const std::lock_guard lock(impl_->grammar->runner_->mutex);
    impl_->masks = impl_->grammar->runner_->current;
    impl_->states = {impl_->masks->automaton.start()};
}

Matcher::~Matcher() = default;
Matcher::Matcher(const Matcher& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}

void Matcher::mask(std::span<std::uint32_t> bits) {
    grammar::Runner& runner = *impl_->grammar->runner_;
    const std::lock_guard lock(runner.mutex);
    std::fill(bits.begin(), bits.end(), 0);
    bool end = impl_->ended;
    if (!impl_->ended) {
        impl_->refresh(runner);
        const std::uint32_t state = impl_->states.back();
        const auto found = impl_->masks->mask(impl_->trie->trie(), state);
        std::copy_n(found.begin(), std::min(found.size(), bits.size()), bits.begin());
        end = impl_->masks->automaton.may_end(state);
    }
    for (const std::int32_t id : impl_->end_ids) {
        const auto word = static_cast<std::size_t>(id) / 32;
        if (id < 0 || word >= bits.size()) continue;
        const std::uint32_t bit = 1U << (static_cast<std::uint32_t>(id) % 32);
        bits[word] = end ? bits[word] | bit : bits[word] & ~bit;
    }
}

bool Matcher::allows(std::int32_t token) {
    if (token < 0 || token >= impl_->trie->vocab()) return false;
    grammar::Runner& runner = *impl_->grammar->runner_;
    const std::lock_guard lock(runner.mutex);
    if (impl_->ended) return impl_->is_end(token);
    impl_->refresh(runner);
    impl_->masks->automaton.begin_budget();
    if (impl_->is_end(token)) return impl_->masks->automaton.may_end(impl_->states.back());
    return impl_->advance(impl_->states.back(), token) != kDead;
}

bool Matcher::accept(std::int32_t token) {
    if (impl_->ended || token < 0 || token >= impl_->trie->vocab()) return false;
    grammar::Runner& runner = *impl_->grammar->runner_;
    const std::lock_guard lock(runner.mutex);
    impl_->refresh(runner);
    impl_->masks->automaton.begin_budget();
    if (impl_->is_end(token)) {
        if (!impl_->masks->automaton.may_end(impl_->states.back())) return false;
        impl_->ended = true;
        impl_->tokens.push_back(token);
        return true;
    }
    const std::uint32_t next = impl_->advance(impl_->states.back(), token);
    if (next == kDead) return false;
    impl_->states.push_back(next);
    impl_->tokens.push_back(token);
    return true;
}

void Matcher::rollback(std::size_t n) {
    n = std::min(n, impl_->tokens.size());
    if (n == 0) return;
    impl_->tokens.resize(impl_->tokens.size() - n);
    impl_->states.resize(impl_->tokens.size() + 1);
    impl_->ended = false;
}

std::size_t Matcher::accepted() const noexcept {
    return impl_->tokens.size();
}

std::string Matcher::forced() {
    std::string text;
    if (impl_->ended) return text;
    grammar::Runner& runner = *impl_->grammar->runner_;
    const std::lock_guard lock(runner.mutex);
    impl_->refresh(runner);
    grammar::Automaton& a = impl_->masks->automaton;
    a.begin_budget();
    std::uint32_t state = impl_->states.back();
    while (text.size() < 256 && !a.may_end(state)) {
        std::uint32_t next = kDead;
        int ways = 0;
        char byte = 0;
        for (int b = 0; b < 256 && ways < 2; ++b) {
            const std::uint32_t to = a.step(state, static_cast<std::uint8_t>(b));
            if (to == kDead) continue;
            ++ways;
            next = to;
            byte = static_cast<char>(b);
        }
        if (ways != 1) break;
        text.push_back(byte);
        state = next;
    }
    return text;
}

bool Matcher::may_end() const {
    if (impl_->ended) return true;
    const std::lock_guard lock(impl_->grammar->runner_->mutex);
    return impl_->masks->automaton.may_end(impl_->states.back());
}

bool Matcher::is_over() const {
    if (impl_->ended) return true;
    const std::lock_guard lock(impl_->grammar->runner_->mutex);
    return impl_->masks->automaton.over(impl_->states.back());
}

}  // namespace freehold
