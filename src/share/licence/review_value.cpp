// A review and its judgements as a tree of values, for --json and for the reports that are built on it.
#include <array>

#include "freehold/licence/review.h"

namespace freehold::licence {

const char* weight_key(Finding::Weight w) noexcept {
    constexpr std::array<const char*, 3> kKeys = {"note", "warning", "conflict"};
    return kKeys[static_cast<std::size_t>(w)];
}

Value to_value(const Review& review) {
    ValueMap map;
    map.set("subject", review.subject);
    ValueList texts, claims, findings;
    for (const ReviewedFile& f : review.texts) {
        ValueMap entry;
        entry.set("file", f.name);
        entry.set("digest", f.digest);
        entry.set("report", to_value(f.report));
        texts.emplace_back(std::move(entry));
    }
    for (const Claim& c : review.claims) {
        ValueMap entry;
        entry.set("where", c.where);
        if (c.line > 0) entry.set("line", std::int64_t{c.line});
        entry.set("value", c.value);
        entry.set("id", c.known != nullptr ? Value(c.known->id) : Value());
        claims.emplace_back(std::move(entry));
    }
    for (const Finding& f : review.findings) {
        ValueMap entry;
        entry.set("weight", weight_key(f.weight));
        entry.set("key", f.key);
        entry.set("message", f.message);
        entry.set("where", f.where);
        findings.emplace_back(std::move(entry));
    }
    map.set("texts", std::move(texts));
    map.set("claims", std::move(claims));
    map.set("findings", std::move(findings));
    map.set("not_legal_advice", not_legal_advice());
    return map;
}

Value to_value(std::span<const Judgement> judgements) {
    ValueList out;
    for (const Judgement& j : judgements) {
        ValueMap entry;
        entry.set("need", j.need);
        entry.set("verdict", verdict_key(j.verdict));
        entry.set("reason", j.reason);
        entry.set("where", j.where);
        ValueList quotes;
        for (const Quote& q : j.quotes) {
            ValueMap quote;
            quote.set("first_line", std::int64_t{q.first_line});
            quote.set("last_line", std::int64_t{q.last_line});
            quote.set("text", q.text);
            quotes.emplace_back(std::move(quote));
        }
        entry.set("quotes", std::move(quotes));
        out.emplace_back(std::move(entry));
    }
    return out;
}

}  // namespace freehold::licence
