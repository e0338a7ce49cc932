// For whom a form of an answer is compiled: what takes long is shared fairly between tenants.
#pragma once

#include <string>

namespace freehold::server {

// While it lives, Service::constraints and Service::tools of this thread work for that tenant. A wish says what is
// asked for and not who asks; one scope around the call does.
class CompilingFor {
 public:
    explicit CompilingFor(const std::string& tenant) noexcept : before_(current()) { current() = &tenant; }
    ~CompilingFor() { current() = before_; }
    CompilingFor(const CompilingFor&) = delete;
    CompilingFor& operator=(const CompilingFor&) = delete;
    // Empty outside of any scope.
    [[nodiscard]] static std::string tenant() { return current() == nullptr ? std::string() : *current(); }

 private:
    static const std::string*& current() noexcept {
        thread_local const std::string* now = nullptr;
        return now;
    }
    const std::string* before_;
};

}  // namespace freehold::server
