// AVX-512 and AVX-VNNI by SIMDe on a CPU with AVX2, so that tests can run the very sources of those tables anywhere.
// Force-included in front of each of them in test_kernels_emulated; what SIMDe 0.7.4 lacks stands here, lane by lane.
#pragma once

#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_INLINE  // the tiles are unrolled: calls compile in seconds, their bodies in minutes
#include <simde/x86/avx512.h>

#include <array>
#include <cstdint>
#include <cstring>

#define FREEHOLD_EMULATED_VECTORS

namespace freehold::emulated {

template <class T, class V>
std::array<T, sizeof(V) / sizeof(T)> lanes(const V& v) noexcept {
    std::array<T, sizeof(V) / sizeof(T)> a;
    std::memcpy(&a, &v, sizeof v);
    return a;
}

template <class V, class T, std::size_t N>
V vector(const std::array<T, N>& a) noexcept {
    static_assert(sizeof(V) == sizeof a);
    V v;
    std::memcpy(&v, &a, sizeof v);
    return v;
}

// Lane by lane from one kind to another.
template <class To, class From, class R, class V, class F>
[[gnu::noinline]] R each(const V& v, F&& f) noexcept {
    const auto in = lanes<From>(v);
    std::array<To, sizeof(R) / sizeof(To)> out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<To>(f(in[i]));
    return vector<R>(out);
}

constexpr auto kSame = [](auto x) { return x; };

// Both halves by an instruction of AVX2.
template <class R, class Half, class V, class F>
[[gnu::noinline]] R halves(const V& v, F&& f) noexcept {
    const auto in = lanes<Half>(v);
    using Out = decltype(f(in[0]));
    return vector<R>(std::array<Out, 2>{f(in[0]), f(in[1])});
}

// Absent lanes are not touched, so that address sanitizers see what the chip would see.
template <class T, class V>
[[gnu::noinline]] V load(const V& otherwise, unsigned mask, const void* p) noexcept {
    auto a = lanes<T>(otherwise);
    for (std::size_t i = 0; i < a.size(); ++i)
        if ((mask >> i & 1U) != 0) std::memcpy(&a[i], static_cast<const char*>(p) + i * sizeof(T), sizeof(T));
    return vector<V>(a);
}

template <class T, class V>
[[gnu::noinline]] void store(void* p, unsigned mask, const V& v) noexcept {
    const auto a = lanes<T>(v);
    for (std::size_t i = 0; i < a.size(); ++i)
        if ((mask >> i & 1U) != 0) std::memcpy(static_cast<char*>(p) + i * sizeof(T), &a[i], sizeof(T));
}

[[gnu::noinline]] inline __m512i shuffle_i64x2(__m512i a, __m512i b, int control) noexcept {
    const auto x = lanes<__m128i>(a), y = lanes<__m128i>(b);
    const auto pick = [control](int i) { return static_cast<std::size_t>(control >> (2 * i) & 3); };
    return vector<__m512i>(std::array<__m128i, 4>{x[pick(0)], x[pick(1)], y[pick(2)], y[pick(3)]});
}

[[gnu::noinline]] inline __m512i madd_epi16(__m512i a, __m512i b) noexcept {
    const auto x = lanes<__m256i>(a), y = lanes<__m256i>(b);
    return vector<__m512i>(std::array<__m256i, 2>{_mm256_madd_epi16(x[0], y[0]), _mm256_madd_epi16(x[1], y[1])});
}

[[gnu::noinline]] inline __m256 extractf32x8(__m512 v, int which) noexcept {
    return lanes<__m256>(v)[static_cast<std::size_t>(which)];
}

[[gnu::noinline]] inline __m512i srai_epi32(__m512i v, int n) noexcept {
    return each<std::int32_t, std::int32_t, __m512i>(v, [n](std::int32_t x) { return x >> n; });
}

// Elements of every 128 bits in the order that two bits each of `control` say.
template <class V>
V shuffled(const V& v, int control) noexcept {
    const auto in = lanes<std::uint32_t>(v);
    auto out = in;
    for (int i = 0; i < 16; ++i)
        out[static_cast<std::size_t>(i)] = in[static_cast<std::size_t>(i / 4 * 4 + (control >> (2 * (i % 4)) & 3))];
    return vector<V>(out);
}

[[gnu::noinline]] inline __m512 permute_ps(__m512 v, int control) noexcept {
    return shuffled(v, control);
}

[[gnu::noinline]] inline __m512i shuffle_epi32(__m512i v, int control) noexcept {
    return shuffled(v, control);
}

[[gnu::noinline]] inline __m256i cvtps_ph(__m512 v, int) noexcept {
    return halves<__m256i, __m256>(v, [](__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); });
}

[[gnu::noinline]] inline __m512 fmaddsub(__m512 a, __m512 b, __m512 c) noexcept {
    const auto x = lanes<__m256>(a), y = lanes<__m256>(b), z = lanes<__m256>(c);
    return vector<__m512>(
        std::array<__m256, 2>{_mm256_fmaddsub_ps(x[0], y[0], z[0]), _mm256_fmaddsub_ps(x[1], y[1], z[1])});
}

// vpdpbusd of 256 bits without the 16-bit steps of vpmaddubsw.
[[gnu::noinline]] inline __m256i dpbusd(__m256i sum, __m256i u, __m256i s) noexcept {
    const auto a = lanes<std::uint8_t>(u);
    const auto b = lanes<std::int8_t>(s);
    auto total = lanes<std::int32_t>(sum);
    for (std::size_t i = 0; i < a.size(); ++i) total[i / 4] += a[i] * b[i];
    return vector<__m256i>(total);
}

[[gnu::noinline]] inline __m512i dpbusd(__m512i sum, __m512i u, __m512i s) noexcept {
    const auto t = lanes<__m256i>(sum), a = lanes<__m256i>(u), b = lanes<__m256i>(s);
    return vector<__m512i>(std::array<__m256i, 2>{dpbusd(t[0], a[0], b[0]), dpbusd(t[1], a[1], b[1])});
}

// vdpbf16ps: the odd product, then the even one, each rounded once, denormals flushed in and out.
[[gnu::noinline]] inline __m512 dpbf16(__m512 sum, __m512i a, __m512i b) noexcept {
    const unsigned environment = _mm_getcsr();
    _mm_setcsr(environment | 0x8040U);
    auto total = lanes<__m256>(sum);
    const auto x = lanes<__m256i>(a), y = lanes<__m256i>(b);
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
    for (std::size_t i = 0; i < 2; ++i) {
        total[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(x[i], upper)),
                                   _mm256_castsi256_ps(_mm256_and_si256(y[i], upper)), total[i]);
        total[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x[i], 16)),
                                   _mm256_castsi256_ps(_mm256_slli_epi32(y[i], 16)), total[i]);
        __asm__ volatile("" : "+x"(total[i]));  // not past the end of the environment
    }
    _mm_setcsr(environment);
    return vector<__m512>(total);
}

}  // namespace freehold::emulated

#undef _mm512_cvtepi16_epi32
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepu8_epi16
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtps_pd
#undef _mm512_cvtps_ph
#undef _mm512_dpbusd_epi32
#undef _mm256_dpbusd_avx_epi32
#undef _mm512_extractf32x8_ps
#undef _mm512_fmaddsub_ps
#undef _mm512_madd_epi16  // SIMDe 0.7.4 gives it the arguments of its masked form
#undef _mm512_mask_loadu_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_maskz_loadu_epi32
#undef _mm256_maskz_loadu_epi16
#undef _mm512_mask_storeu_ps
#undef _mm512_mask_storeu_epi32
#undef _mm256_mask_storeu_epi16
#undef _mm512_permute_ps
#undef _mm512_shuffle_epi32
#undef _mm512_shuffle_i64x2
#undef _mm512_srai_epi32

// Arguments are variadic because macros see commas inside of calls.
#define FREEHOLD_EACH(to, from, result, ...) \
    freehold::emulated::each<to, from, result>(__VA_ARGS__, freehold::emulated::kSame)
#define FREEHOLD_HALVES(result, half, call, ...) \
    freehold::emulated::halves<result, half>(__VA_ARGS__, [](half x_) { return call; })

#define _mm512_cvtepi16_epi32(...) FREEHOLD_EACH(std::int32_t, std::int16_t, __m512i, __VA_ARGS__)
#define _mm512_cvtepi32_epi16(...) FREEHOLD_EACH(std::int16_t, std::int32_t, __m256i, __VA_ARGS__)
#define _mm512_cvtepi32_epi8(...) FREEHOLD_EACH(std::int8_t, std::int32_t, __m128i, __VA_ARGS__)
#define _mm512_cvtepi8_epi32(...) FREEHOLD_EACH(std::int32_t, std::int8_t, __m512i, __VA_ARGS__)
#define _mm512_cvtepu8_epi16(...) FREEHOLD_EACH(std::uint16_t, std::uint8_t, __m512i, __VA_ARGS__)
#define _mm512_cvtps_pd(...) FREEHOLD_EACH(double, float, __m512d, __VA_ARGS__)
#define _mm512_cvtepi32_ps(...) FREEHOLD_HALVES(__m512, __m256i, _mm256_cvtepi32_ps(x_), __VA_ARGS__)
#define _mm512_cvtps_epi32(...) FREEHOLD_HALVES(__m512i, __m256, _mm256_cvtps_epi32(x_), __VA_ARGS__)
#define _mm512_cvtph_ps(...) FREEHOLD_HALVES(__m512, __m128i, _mm256_cvtph_ps(x_), __VA_ARGS__)
#define _mm512_cvtps_ph(...) freehold::emulated::cvtps_ph(__VA_ARGS__)
#define _mm512_permute_ps(...) freehold::emulated::permute_ps(__VA_ARGS__)
#define _mm512_shuffle_epi32(...) freehold::emulated::shuffle_epi32(__VA_ARGS__)
#define _mm512_srai_epi32(...) freehold::emulated::srai_epi32(__VA_ARGS__)
#define _mm512_madd_epi16(...) freehold::emulated::madd_epi16(__VA_ARGS__)
#define _mm512_extractf32x8_ps(...) freehold::emulated::extractf32x8(__VA_ARGS__)
#define _mm512_fmaddsub_ps(...) freehold::emulated::fmaddsub(__VA_ARGS__)
#define _mm512_shuffle_i64x2(...) freehold::emulated::shuffle_i64x2(__VA_ARGS__)
#define _mm512_dpbusd_epi32(...) freehold::emulated::dpbusd(__VA_ARGS__)
#define _mm256_dpbusd_avx_epi32(...) freehold::emulated::dpbusd(__VA_ARGS__)
#define _mm512_mask_loadu_ps(...) freehold::emulated::load<float, __m512>(__VA_ARGS__)
#define _mm512_maskz_loadu_ps(...) freehold::emulated::load<float, __m512>(__m512{}, __VA_ARGS__)
#define _mm512_maskz_loadu_epi32(...) freehold::emulated::load<std::int32_t, __m512i>(__m512i{}, __VA_ARGS__)
#define _mm256_maskz_loadu_epi16(...) freehold::emulated::load<std::int16_t, __m256i>(__m256i{}, __VA_ARGS__)
#define _mm512_mask_storeu_ps(...) freehold::emulated::store<float, __m512>(__VA_ARGS__)
#define _mm512_mask_storeu_epi32(...) freehold::emulated::store<std::int32_t, __m512i>(__VA_ARGS__)
#define _mm256_mask_storeu_epi16(...) freehold::emulated::store<std::int16_t, __m256i>(__VA_ARGS__)
