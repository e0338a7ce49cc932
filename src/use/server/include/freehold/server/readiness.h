// What a gate may know beside who comes in: whether anybody can be let in for now. /ready asks the gate for it.
#pragma once

#include <string>

namespace freehold::server {

class Readiness {
 public:
    virtual ~Readiness() = default;
    // Why nobody is let in for now, as a sentence that everybody may read; empty: all is well. Thread-safe, quick.
    [[nodiscard]] virtual std::string not_ready() const = 0;
};

}  // namespace freehold::server
