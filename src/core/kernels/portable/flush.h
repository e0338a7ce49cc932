// Denormals flushed as the hardware's BF16 dot flushes them (rule 2), for the time that an object lives.
//
// x86 decides after rounding whether a result is tiny, aarch64 before: a sum just under 2^-126 that rounds up to it is
// 2^-126 there and zero here. So on aarch64 the chip's own flag for "a result was flushed" is watched: whoever sees it
// set computes again without vectors. It stays clear unless numbers around 1e-38 turn up.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace freehold::portable {

class FlushDenormals {
 public:
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
#if defined(__aarch64__)
    FlushDenormals() noexcept {
        __asm__ volatile("mrs %0, fpcr" : "=r"(control_)::"memory");
        __asm__ volatile("mrs %0, fpsr" : "=r"(status_)::"memory");
        __asm__ volatile("msr fpsr, %0" ::"r"(status_ & ~kUnderflow) : "memory");
        __asm__ volatile("msr fpcr, %0" ::"r"(control_ | kFlushToZero) : "memory");
    }
    ~FlushDenormals() {
        __asm__ volatile("msr fpcr, %0" ::"r"(control_) : "memory");
        __asm__ volatile("msr fpsr, %0" ::"r"(status_) : "memory");
    }
    // Whether a result may have been flushed that should not have been.
    [[nodiscard]] static bool in_doubt() noexcept {
        std::uint64_t status = 0;
        __asm__ volatile("mrs %0, fpsr" : "=r"(status)::"memory");
        return (status & kUnderflow) != 0;
    }

 private:
    static constexpr std::uint64_t kFlushToZero = std::uint64_t{1} << 24, kUnderflow = 8;
    std::uint64_t control_ = 0, status_ = 0;
#elif defined(__x86_64__)
    FlushDenormals() noexcept : control_(_mm_getcsr()) {
        _mm_setcsr(control_ | 0x8040U);
    }
    ~FlushDenormals() {
        _mm_setcsr(control_);
    }
    [[nodiscard]] static bool in_doubt() noexcept {
        return false;
    }

 private:
    unsigned control_;
#else
#error "flush.h does not know how this architecture flushes denormals"
#endif
};

}  // namespace freehold::portable
