// One pattern of an operator over texts that anybody may send: bounded in steps, in stack, and in processor time.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

namespace freehold::safeguards {

// Processor time of this thread, so that a busy machine changes no verdict.
class Budget {
 public:
    explicit Budget(std::chrono::nanoseconds most) : until_(now() + most) {}
    [[nodiscard]] bool spent() const { return now() > until_; }

 private:
    static std::chrono::nanoseconds now();
    std::chrono::nanoseconds until_;
};

enum class Found { no, yes, gave_up };

class Pattern {
 public:
    // Error{usage} when it does not compile.
    Pattern(std::string_view pattern, bool case_sensitive);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;

    // `text` must be valid UTF-8. Long texts are looked at in overlapping windows, so that a pattern whose time grows
    // with the square of the text cannot stand still in one of a megabyte.
    [[nodiscard]] Found find(std::string_view text, const Budget& budget) const;

 private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;
};

}  // namespace freehold::safeguards
