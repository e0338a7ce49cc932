// The prefix tree and the book of pages, step by step: who shares, who copies, what is evicted first.
#include "page_book.h"

#include <gtest/gtest.h>

#include <cstring>

#include "toy_model.h"

namespace freehold {
namespace {

constexpr int kWindow = 40;
constexpr std::uint64_t kRow = 256;  // a page of 128 bytes in each of the two groups

struct Book {
    explicit Book(std::uint64_t rows) : pool(layout(), {rows * kRow, {}}), book(pool, true, 64) {}
    static KvLayout layout() { return ToyModel(50, 4096, kWindow).kv_layout(); }

    std::unique_ptr<Sequence> sequence(std::vector<Token> tokens, CacheUse cache = CacheUse::share) {
        Request r;
        r.cache = cache;
        auto s =
            std::make_unique<Sequence>(next++, std::move(r), Sampler({}, 50, scalar_kernels()), tokens.size() + 10);
        s->n_prompt = s->next_logit_row = s->logit_end = tokens.size();
        s->tokens = std::move(tokens);
        book.open(*s);
        return s;
    }
    // As the engine does: what the tree has, then everything else in one chunk. Returns how much the tree had.
    std::size_t compute(Sequence& s) {
        book.follow(s);
        book.copy_head(s);
        const std::size_t had = s.computed;
        EXPECT_TRUE(book.extend(s, s.tokens.size()));
        book.commit(s, s.tokens.size());
        return had;
    }
    std::size_t visit(std::vector<Token> tokens, CacheUse cache = CacheUse::share) {
        auto s = sequence(std::move(tokens), cache);
        const std::size_t had = compute(*s);
        book.close(*s, true);
        return had;
    }

    KvPool pool;
    PageBook book;
    RequestId next = 1;
};

std::vector<Token> counting(std::size_t n, Token from = 0) {
    std::vector<Token> t(n);
    for (std::size_t i = 0; i < n; ++i) t[i] = static_cast<Token>((static_cast<std::size_t>(from) + i) % 50);
    return t;
}

std::vector<Token> join(std::vector<Token> a, const std::vector<Token>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(PageBook, SharesPagesAndCopiesHeads) {
    Book b(100);
    EXPECT_EQ(b.visit(counting(100)), 0U);
    EXPECT_EQ(b.visit(counting(100)), 99U);                         // six pages shared, three tokens copied
    EXPECT_EQ(b.visit(join(counting(50), {7, 8, 9})), 50U);         // three pages and two tokens of the fourth
    EXPECT_EQ(b.visit(join(counting(40), counting(40, 25))), 40U);  // in the middle of a page
    EXPECT_EQ(b.visit(counting(100, 1)), 0U);
    EXPECT_EQ(b.visit(counting(200)), 100U);  // goes on where the first ended
    EXPECT_EQ(b.pool.used_bytes(), b.pool.idle_bytes());
    b.book.clear_cache();
    EXPECT_EQ(b.pool.used_bytes(), 0U);
}

TEST(PageBook, ALongerTailReplacesTheShorter) {
    Book b(100);
    b.visit(counting(20));
    const std::uint64_t used = b.pool.used_pages();
    b.visit(counting(22));
    EXPECT_EQ(b.pool.used_pages(), used);
    b.visit(counting(21));
    EXPECT_EQ(b.pool.used_pages(), used);
    b.visit(counting(32));
    EXPECT_EQ(b.pool.used_pages(), used);
    EXPECT_EQ(b.visit(counting(33)), 32U);
}

TEST(PageBook, WhoComputedTheSameTwiceKeepsOne) {
    Book b(100);
    auto one = b.sequence(counting(64));
    auto two = b.sequence(counting(64));
    EXPECT_EQ(b.compute(*one), 0U);
    // The second began before the first was done.
    ASSERT_TRUE(b.book.extend(*two, 64));
    EXPECT_EQ(b.pool.used_pages(), 2 * 8U);
    b.book.commit(*two, 64);
    EXPECT_EQ(one->table.pages[0], two->table.pages[0]);
    EXPECT_EQ(b.pool.used_pages(), 8U);
    b.book.close(*one, true);
    b.book.close(*two, true);
    EXPECT_EQ(b.pool.idle_pages(), 8U);
}

TEST(PageBook, EvictsTheLongestUnusedFirst) {
    Book b(20);
    b.visit(counting(80));                  // five rows
    b.visit(counting(80, 10));              // five
    b.visit(counting(80, 20));              // five
    EXPECT_EQ(b.visit(counting(81)), 80U);  // used again; with its tail sixteen
    auto big = b.sequence(counting(128, 30));
    ASSERT_EQ(b.compute(*big), 0U);  // eight rows: something has to go
    b.book.close(*big, true);
    EXPECT_EQ(b.visit(counting(81), CacheUse::read_only), 80U);
    EXPECT_LT(b.visit(counting(80, 10), CacheUse::read_only), 79U);
}

TEST(PageBook, WhatIsInUseIsNeverEvicted) {
    Book b(10);
    auto one = b.sequence(counting(96));
    b.compute(*one);
    const auto pages = one->table.pages[0];
    auto two = b.sequence(counting(96, 10));
    EXPECT_FALSE(b.book.extend(*two, 96));
    EXPECT_EQ(one->table.pages[0], pages);
    b.book.close(*one, true);
    EXPECT_TRUE(b.book.extend(*two, 96));
    b.book.close(*two, false);
}

TEST(PageBook, AHeadThatIsBeingCopiedIsNotEvicted) {
    Book b(3);
    b.visit(counting(10));  // a tail of one row
    auto hog = b.sequence(counting(32, 20));
    b.compute(*hog);  // the other two rows
    auto s = b.sequence(counting(12));
    b.book.follow(*s);
    b.book.copy_head(*s);  // no room but the head's own: then there is nothing to copy
    EXPECT_EQ(s->computed, 0U);
    EXPECT_TRUE(b.book.extend(*s, 12));
    b.book.close(*s, false);
    b.book.close(*hog, false);
}

// A long conversation whose middle lost its window pages: a hit at its end is whole, one in the middle goes back to
// where everything in view is there.
TEST(PageBook, HolesBehindAWindow) {
    Book b(80);
    const auto talk = counting(640);  // forty rows
    b.visit(talk);
    EXPECT_EQ(b.pool.used_pages(), 80U);
    // Something else needs room: the window pages in the middle go first.
    auto big = b.sequence(counting(600, 7));
    ASSERT_TRUE(b.book.extend(*big, 600));  // 38 rows; 40 of 80 are taken, two rows free
    b.book.close(*big, false);
    auto more = b.sequence(counting(720, 7));
    ASSERT_TRUE(b.book.extend(*more, 720));  // 45 rows: does not fit without
    EXPECT_LT(b.pool.idle_pages(), 70U);
    b.book.close(*more, false);
    EXPECT_EQ(b.visit(join(talk, {1, 2, 3}), CacheUse::read_only), 640U);
    // Diverges after 320 tokens: the window pages before it are gone, so it has to begin anew (or at least well
    // before).
    EXPECT_LT(b.visit(join(counting(320), counting(30, 33)), CacheUse::read_only), 320U - kWindow + 16U);
    // Who computes it again fills the holes.
    b.visit(join(counting(320), counting(30, 33)));
    EXPECT_EQ(b.visit(join(counting(320), counting(30, 34)), CacheUse::read_only), 320U);
}

TEST(PageBook, ABranchingPointKeepsItsWindow) {
    Book b(100);
    const auto system = counting(320);
    b.visit(join(system, counting(320, 3)));
    b.visit(join(system, counting(320, 4)));
    auto big = b.sequence(counting(700, 7));
    ASSERT_TRUE(b.book.extend(*big, 700));
    b.book.close(*big, false);
    EXPECT_LT(b.pool.idle_pages(), 100U);
    EXPECT_EQ(b.visit(join(system, counting(320, 5)), CacheUse::read_only), 320U);
}

TEST(PageBook, KnowsWhatFits) {
    Book b(20);
    // 40 pages of 128 bytes; the window takes at most 3 + 4 + 2 of them.
    EXPECT_EQ(b.book.capacity_tokens(), 31U * 16U);
    EXPECT_EQ(b.book.bytes_for_tokens(31 * 16), 40U * 128U);
    EXPECT_GT(b.book.bytes_for_tokens(31 * 16 + 1), 40U * 128U);
}

TEST(PrefixTree, KeysDoNotRunIntoEachOther) {
    KvPool pool(Book::layout(), {1 << 20, {}});
    PrefixTree tree(pool);
    std::set<PrefixTree::NodeId> roots;
    for (const PrefixKey& k :
         {PrefixKey{"", "", ""}, PrefixKey{"a", "", ""}, PrefixKey{"", "a", ""}, PrefixKey{"", "", "a"},
          PrefixKey{"1:a", "", ""}, PrefixKey{"ab", "", ""}, PrefixKey{"a", "b", ""}}) {
        roots.insert(tree.root(k));
        EXPECT_EQ(tree.root(k), tree.root(k));
    }
    EXPECT_EQ(roots.size(), 7U);
}

}  // namespace
}  // namespace freehold
