// PCRE2 behind Pattern.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <ctime>

#include "freehold/base/error.h"

namespace freehold::safeguards {
namespace {

struct Free {
    void operator()(pcre2_code* p) const noexcept { pcre2_code_free(p); }
    void operator()(pcre2_compile_context* p) const noexcept { pcre2_compile_context_free(p); }
    void operator()(pcre2_match_context* p) const noexcept { pcre2_match_context_free(p); }
    void operator()(pcre2_match_data* p) const noexcept { pcre2_match_data_free(p); }
    void operator()(pcre2_jit_stack* p) const noexcept { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// The limit counts from each place where a match may begin, and PCRE2's JIT counts repeated groups but not single
// characters that are given back: the window bounds what the limit does not.
constexpr std::uint32_t kSteps = 20'000;
constexpr std::size_t kWindow = 8192, kStride = 4096;
constexpr std::size_t kMostPattern = 64U << 10U;

struct Scratch {
    Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
    Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
    Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(32U << 10U, 1U << 20U, nullptr)};
    Scratch() {
        if (!data || !context) throw Error(ErrorKind::out_of_memory, "There is no memory for matching patterns.");
        pcre2_set_match_limit(context.get(), kSteps);
        pcre2_set_heap_limit(context.get(), 16U << 10U);  // in KiB
        if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
};

Scratch& scratch() {
    thread_local Scratch s;
    return s;
}

// A border between characters at or before `at`.
std::size_t border(std::string_view text, std::size_t at) {
    while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
    return at;
}

// The end of a window that begins at `begin`: behind a space where there is one, so that no word is cut.
std::size_t window_end(std::string_view text, std::size_t begin) {
    if (text.size() - begin <= kWindow) return text.size();
    const std::size_t most = begin + kWindow;
    const std::size_t space = text.find_last_of(" \n\t", most - 1);
    return space != std::string_view::npos && space + 256 > most ? space + 1 : border(text, most);
}

}  // namespace

std::chrono::nanoseconds Budget::now() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

struct Pattern::Compiled {
    Owned<pcre2_code> code;
};

Pattern::Pattern(std::string_view pattern, bool case_sensitive) : compiled_(std::make_unique<Compiled>()) {
    if (pattern.size() > kMostPattern) {
        throw Error(ErrorKind::usage,
                    fmt::format("The pattern has {} bytes; at most {} are taken.", pattern.size(), kMostPattern));
    }
    const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
    if (!context) throw Error(ErrorKind::out_of_memory, "There is no memory for compiling patterns.");
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_parens_nest_limit(context.get(), 100);
    const std::uint32_t options =
        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (case_sensitive ? 0U : PCRE2_CASELESS);
    int error = 0;
    PCRE2_SIZE offset = 0;
    compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                                        &offset, context.get()));
    if (!compiled_->code) {
        unsigned char words[256] = "it is no pattern";
        pcre2_get_error_message(error, words, sizeof words);
        throw Error(ErrorKind::usage, fmt::format("The pattern does not compile: {} at byte {}.",
                                                  reinterpret_cast<const char*>(words), offset));
    }
    // Where a hardened kernel forbids it, matching is slower and otherwise the same.
    pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Found Pattern::find(std::string_view text, const Budget& budget) const {
    Scratch& s = scratch();
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
    for (std::size_t begin = 0;;) {
        if (budget.spent()) return Found::gave_up;
        const std::size_t end = window_end(text, begin);
        const std::uint32_t options = PCRE2_NO_UTF_CHECK | (end == text.size() ? 0U : PCRE2_NOTEOL);
        const int rc = pcre2_match(compiled_->code.get(), subject, end, begin, options, s.data.get(), s.context.get());
        if (rc >= 0) return Found::yes;
        if (rc != PCRE2_ERROR_NOMATCH) return Found::gave_up;
        if (end == text.size()) return Found::no;
        begin = border(text, begin + kStride);
    }
}

}  // namespace freehold::safeguards
