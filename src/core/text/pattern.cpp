// PCRE2 behind Regex: compiled once, JIT where the machine allows it, bounded in steps and stack.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

#include "freehold/base/error.h"

namespace freehold::text {
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

// What a thread needs to match: made on first use, kept for the thread's life.
struct Scratch {
    Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
    Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
    Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(32U << 10U, 8U << 20U, nullptr)};
    Scratch() {
        if (!data || !context) throw Error(ErrorKind::out_of_memory, "no memory for matching patterns");
        pcre2_set_heap_limit(context.get(), 64U << 10U);  // in KiB
        if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
};

Scratch& scratch() {
    thread_local Scratch s;
    return s;
}

std::string pcre2_message(int code) {
    unsigned char buffer[256];
    if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return fmt::format("error {}", code);
    return reinterpret_cast<const char*>(buffer);
}

constexpr std::size_t kMaxPattern = 64U << 10U;

}  // namespace

struct Regex::Compiled {
    Owned<pcre2_code> code;
    bool jit = false;
};

Regex::Regex(std::string_view pattern, std::string_view what) : compiled_(std::make_unique<Compiled>()), what_(what) {
    if (pattern.size() > kMaxPattern) {
        throw Error(ErrorKind::limit, fmt::format("{}: the pattern has {} bytes; at most {} are read", what,
                                                  pattern.size(), kMaxPattern));
    }
    std::string translated;
    try {
        translated = translate_oniguruma(pattern);
    } catch (const Error& e) {
        throw Error(e.kind(), fmt::format("{}: {}", what, e.message()), e.hint());
    }
    const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
    if (!context) throw Error(ErrorKind::out_of_memory, "no memory for compiling patterns");
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context.get(), 100);
    int error = 0;
    PCRE2_SIZE offset = 0;
    constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions,
                                        &error, &offset, context.get()));
    if (!compiled_->code) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: the pattern does not compile: {} near byte {}", what, pcre2_message(error),
                                std::min<std::size_t>(offset, pattern.size())),
                    "The tokenizer file is damaged, or written for another regular-expression dialect.");
    }
    // No JIT (a hardened kernel may forbid it) is slower and otherwise the same.
    compiled_->jit = pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::optional<Regex::Match> Regex::find(std::string_view text, std::size_t from) const {
    Scratch& s = scratch();
    // Honest patterns take a few steps a character; a pattern that explodes is cut off and not waited for.
    const std::size_t steps = 200'000 + 64 * std::min<std::size_t>(text.size() - from, 16U << 20U);
    pcre2_set_match_limit(s.context.get(), static_cast<std::uint32_t>(steps));
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (compiled_->jit) {
        rc = pcre2_jit_match(compiled_->code.get(), subject, text.size(), from, 0, s.data.get(), s.context.get());
    }
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(compiled_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         s.data.get(), s.context.get());
    }
    if (rc == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT) {
        throw Error(ErrorKind::limit,
                    fmt::format("{}: the pattern needs too many steps on a text of {} bytes", what_, text.size()),
                    "The model's pre-tokenizer pattern explodes on this text; another tokenizer file may do better.");
    }
    if (rc < 0) throw Error(ErrorKind::bad_file, fmt::format("{}: the pattern fails: {}", what_, pcre2_message(rc)));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(s.data.get());
    // A look-behind trick (\K) may report an end before its start or a start before `from`: neither may pass.
    if (range[1] < range[0] || range[0] < from) {
        throw Error(ErrorKind::bad_file, fmt::format("{}: the pattern moves its own match backwards", what_));
    }
    return Match{range[0], range[1]};
}

}  // namespace freehold::text
