// What the tests of this room share: a clock that stands still until it is moved, and heads of requests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "freehold/access/door.h"
#include "support/state_database.h"

namespace freehold::access::test {

struct HandClock {
    std::int64_t now = 1'767'225'600'000;  // 2026-01-01T00:00:00Z
    [[nodiscard]] Clock clock() {
        return [this] { return now; };
    }
};

// The head of a request; what it views lives as long as it does.
struct Head {
    std::vector<std::pair<std::string, std::string>> headers;
    std::string peer = "127.0.0.1";
    bool changes = false;
    bool any_body_type = false;
    [[nodiscard]] Arrival arrival() const {
        Arrival arrival;
        arrival.headers = headers;
        arrival.peer = peer;
        arrival.changes = changes;
        arrival.any_body_type = any_body_type;
        return arrival;
    }
};

inline NewKey named(const std::string& name) {
    NewKey key;
    key.name = name;
    return key;
}

template <class F>
Refusal refusal_of(F&& action) {
    try {
        action();
    } catch (const Refusal& e) {
        return e;
    }
    ADD_FAILURE() << "nobody was refused";
    return {Why::may_not, "none"};
}

}  // namespace freehold::access::test
