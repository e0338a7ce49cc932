// Admission, choice of rows, preemption.
#include "scheduler.h"

#include <algorithm>

#include "freehold/base/error.h"

namespace freehold {

namespace {

constexpr std::size_t kTokens = kPageTokens;

std::size_t pages_of(std::size_t tokens) {
    return (tokens + kTokens - 1) / kTokens;
}

std::unique_ptr<Sequence> take_from(std::vector<std::unique_ptr<Sequence>>& list, RequestId id) {
    const auto it = std::find_if(list.begin(), list.end(), [id](const auto& s) { return s->id == id; });
    if (it == list.end()) return nullptr;
    std::unique_ptr<Sequence> s = std::move(*it);
    list.erase(it);
    return s;
}

bool share_prefixes(const Sequence& a, const Sequence& b) {
    return a.reads && a.writes && b.reads && a.request.tenant == b.request.tenant &&
           a.request.adapter == b.request.adapter && a.request.interventions == b.request.interventions;
}

}  // namespace

std::unique_ptr<Sequence> Scheduler::take(RequestId id) {
    for (auto* list : {&running_, &waiting_, &parked_}) {
        if (auto s = take_from(*list, id)) return s;
    }
    return nullptr;
}

void Scheduler::park(RequestId id) {
    const auto runs = std::find_if(running_.begin(), running_.end(), [id](const auto& s) { return s->id == id; });
    if (runs != running_.end()) preempt(static_cast<std::size_t>(runs - running_.begin()));
    if (auto s = take_from(waiting_, id)) parked_.push_back(std::move(s));
}

void Scheduler::resume(RequestId id) {
    if (auto s = take_from(parked_, id)) wait_in_order(std::move(s));
}

bool Scheduler::fits_now(Sequence& s) const {
    // Pages that somebody who runs holds, or will hold, cost nothing; idle pages in the tree count as free.
    std::size_t shared = 0;
    std::uint64_t promised = 0;
    for (const auto& r : running_) {
        if (share_prefixes(*r, s)) {
            const std::size_t n = std::min({r->tokens.size(), s.tokens.size() - 1, s.follow_limit()});
            const auto end = s.tokens.begin() + static_cast<std::ptrdiff_t>(n);
            const auto differs = std::mismatch(s.tokens.begin(), end, r->tokens.begin()).first;
            shared = std::max(shared, static_cast<std::size_t>(differs - s.tokens.begin()) / kTokens);
        }
        // What it still has to compute, and a page to go on with.
        promised += book_.bytes_for_pages(std::min(r->pages_planned, pages_of(r->pending())) + 1);
    }
    s.pages_planned = pages_of(s.tokens.size() + 1) - shared;
    return running_.empty() || book_.bytes_for_pages(s.pages_planned) + promised <= book_.free_bytes();
}

void Scheduler::admit() {
    // In order of arrival: nobody overtakes, so a long prompt is not starved by short ones.
    while (!waiting_.empty() && running_.size() < limits_.max_sequences) {
        Sequence& s = *waiting_.front();
        book_.open(s);
        if (!fits_now(s)) {
            book_.close(s, false);
            return;
        }
        const auto place = std::find_if(running_.begin(), running_.end(), [&](const auto& r) { return r->id > s.id; });
        running_.insert(place, std::move(waiting_.front()));
        waiting_.erase(waiting_.begin());
    }
}

void Scheduler::preempt(std::size_t index) {
    std::unique_ptr<Sequence> s = std::move(running_[index]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
    // What is complete stays in the tree while there is room: then little has to be computed again.
    book_.close(*s, true);
    s->rows = 0;
    s->draft.clear();
    ++s->outcome.preempted;
    ++preemptions_;
    wait_in_order(std::move(s));
}

void Scheduler::wait_in_order(std::unique_ptr<Sequence> s) {
    const auto place = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& w) { return w->id > s->id; });
    waiting_.insert(place, std::move(s));
}

bool Scheduler::make_rows(Sequence& s, std::size_t n) {
    while (!book_.extend(s, s.computed + n)) {
        if (running_.size() == 1) {
            throw Error(ErrorKind::internal,
                        "The memory for keys and values is too small for a request that was accepted.",
                        "Please report this; a larger budget for keys and values avoids it.");
        }
        const bool itself = running_.back().get() == &s;
        preempt(running_.size() - 1);
        if (itself) return false;
    }
    s.rows = n;
    return true;
}

std::size_t Scheduler::within_logits(const Sequence& s, std::size_t n, std::size_t logit_rows) {
    std::size_t wanting = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (s.wants_logits(s.computed + i) && ++wanting > logit_rows) return i;
    }
    return n;
}

bool Scheduler::somebody_computes_page_of(const Sequence& s) const {
    // Only the page right behind the common place in the tree can be new to both: what lies deeper is not there yet.
    if (!s.reads || s.computed != s.cursor_pages * kTokens || s.follow_limit() < s.computed + kTokens) return false;
    const auto page = s.tokens.begin() + static_cast<std::ptrdiff_t>(s.computed);
    for (const auto& r : running_) {
        if (r.get() == &s) return false;  // only older ones are waited for: no two wait for each other
        if (r->rows == 0 || !r->writes || r->cursor != s.cursor || r->tokens.size() < s.computed + kTokens) continue;
        if (std::equal(page, page + kTokens, r->tokens.begin() + static_cast<std::ptrdiff_t>(s.computed))) return true;
    }
    return false;
}

void Scheduler::plan_prompts(std::size_t rows, std::size_t logit_rows) {
    std::vector<RequestId> order;
    for (const auto& s : running_) {
        if (s->pending() > 1) order.push_back(s->id);
    }
    if (order.empty()) return;
    const auto find = [&](RequestId id) -> Sequence* {
        for (const auto& s : running_) {
            if (s->id == id) return s.get();
        }
        return nullptr;  // gave up its place meanwhile
    };
    // Two rounds: an even share for everybody, then the rest in order of age. Who waits for another takes no share, so
    // the first round counts as it goes.
    std::size_t sharers = order.size();
    for (int round = 0; round < 2; ++round) {
        std::size_t left = sharers;
        for (const RequestId id : order) {
            Sequence* s = find(id);
            if (s == nullptr || rows == 0) continue;
            if (s->rows == 0 && somebody_computes_page_of(*s)) {
                if (round == 0) --left;
                continue;
            }
            if (s->rows == 0) book_.copy_head(*s);
            const std::size_t share =
                round == 0 ? std::max<std::size_t>(rows / std::max<std::size_t>(left, 1), 64) : rows;
            if (round == 0) --left;
            std::size_t used_logits = 0;
            for (std::size_t i = 0; i < s->rows; ++i) used_logits += s->wants_logits(s->computed + i) ? 1U : 0U;
            std::size_t n = std::min({s->pending(), chunk_, s->rows + std::min(share, rows)});
            n = within_logits(*s, n, logit_rows + used_logits);
            if (n <= s->rows) continue;
            const std::size_t before = s->rows;
            if (!make_rows(*s, n)) continue;
            rows -= n - before;
            std::size_t now_logits = 0;
            for (std::size_t i = 0; i < n; ++i) now_logits += s->wants_logits(s->computed + i) ? 1U : 0U;
            logit_rows -= now_logits - used_logits;
        }
    }
}

bool Scheduler::plan() {
    admit();
    for (const auto& s : running_) s->rows = 0;
    for (const auto& s : running_) {
        if (s->pending() > 1) book_.follow(*s);
    }
    std::size_t rows = limits_.max_rows;
    std::size_t logit_rows = limits_.max_logit_rows;
    bool decoding = false;
    for (std::size_t i = 0; i < running_.size(); ++i) {
        Sequence& s = *running_[i];
        if (s.pending() != 1) continue;
        if (!make_rows(s, 1)) break;  // it was the youngest
        decoding = true;
        --rows;
        --logit_rows;
    }
    // Guesses take what is left: nobody loses a row or a page to them.
    for (const auto& s : running_) {
        const std::size_t n = s->pending() == 1 && s->rows == 1 ? std::min({s->draft.size(), rows, logit_rows}) : 0;
        if (n > 0 && book_.extend(*s, s->computed + 1 + n)) {
            s->draft.resize(n);
            s->rows += n;
            rows -= n;
            logit_rows -= n;
        } else {
            s->draft.clear();
        }
    }
    if (decoding) rows = std::min(rows, limits_.max_rows_beside_decoding);
    plan_prompts(rows, logit_rows);
    return std::any_of(running_.begin(), running_.end(), [](const auto& s) { return s->rows > 0; });
}

}  // namespace freehold
