// What all matchers of one grammar share: the automaton as far as it was needed, and masks that were computed.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "automaton.h"
#include "trie.h"

namespace freehold::grammar {

// An automaton and the masks of its states, for one or several vocabularies.
class Masks {
 public:
    explicit Masks(std::shared_ptr<const Program> program) : automaton(std::move(program)) {}

 private:
    // Many small pieces go at once: the system gets their memory back. The first member ends last.
    struct Trim {
        bool due = false;
        ~Trim();
    } trim_;

 public:
    Automaton automaton;
    // The tokens that may come in this state, without end tokens. Valid until the next call.
    [[nodiscard]] std::span<const std::uint32_t> mask(const Trie& trie, std::uint32_t state);
    ~Masks() { trim_.due = automaton.bytes() + bytes_ > (std::size_t{8} << 20U); }
    Masks(const Masks&) = delete;
    Masks& operator=(const Masks&) = delete;
    [[nodiscard]] bool full() const noexcept { return automaton.full() || bytes_ > (std::size_t{32} << 20U); }

 private:
    // Of a place inside a JSON string: tokens that stay inside, and nodes of Trie::other() where the string ends, each
    // with the state in which its terminal has ended.
    struct Inside {
        std::vector<std::uint32_t> mask;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> exits;
    };
    struct OfTrie {
        const Trie* trie = nullptr;
        std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> masks;
        std::unordered_map<std::uint32_t, Inside> inside;
    };
    const Inside& inside(OfTrie& of, std::uint32_t terminal);
    void walk(const ByteTree& tree, std::uint32_t begin, std::uint32_t end, std::uint32_t state,
              std::span<std::uint32_t> bits);
    void walk_thread(const ByteTree& tree, const Automaton::Thread& thread, std::span<std::uint32_t> bits);
    void walk_inside(const ByteTree& tree, std::uint32_t terminal, Inside& out);

    std::vector<OfTrie> tries_;
    std::vector<std::uint32_t> path_, thread_path_;  // states by depth
    std::size_t bytes_ = 0;
};

class Runner {
 public:
    std::mutex mutex;
    std::shared_ptr<Masks> current;
};

}  // namespace freehold::grammar
