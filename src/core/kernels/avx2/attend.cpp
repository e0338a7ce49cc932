// Attention over pages on AVX2: tiles of up to six query rows, lanes are keys for the scores and dimensions for the
// values. Where a row sees only a part of a page, that page is added for it alone, so that masked keys are skipped, not
// multiplied.
#include <algorithm>
#include <limits>

#include "mac_tile.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// One tile of rows with what it carries through the keys.
struct Tile {
    const AttendTask* task;
    int rows = 0;
    std::size_t D = 0, Dv = 0, ldv = 0;  // ldv: Dv padded to 16
    float* q = nullptr;                  // [rows][D], scaled
    float* p = nullptr;                  // [rows][64], scores, then probabilities
    float* span = nullptr;               // [rows][ldv]
    float* total = nullptr;              // [rows][ldv]
    int first[kTileRows], last[kTileRows];
    float span_max[kTileRows], span_sum[kTileRows], total_max[kTileRows], total_sum[kTileRows];
    bool in_span[kTileRows], begun[kTileRows];
};

template <class Load>
const typename Load::Element* elements(const std::byte* page, std::size_t offset) noexcept {
    return reinterpret_cast<const typename Load::Element*>(page + offset);
}

// Scores of the sixteen keys of one page for all rows of the tile.
template <class Load, int R>
void score_page(const Tile& t, const std::byte* page, float* out) noexcept {
    __m256 acc[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    mac_tile<Load, R>(t.q, t.D, 1, elements<Load>(page, t.task->k_offset), kPageTokens, t.D, acc);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
        _mm256_store_ps(out + r * kKvBlock, acc[r][0]);
        _mm256_store_ps(out + r * kKvBlock + 8, acc[r][1]);
    }
}

// span[r] += sum over keys [k0, k1) of the page of p[r][key] * V[key], keys ascending, for rows [r0, r0 + R).
template <class Load, int R>
void value_page(const Tile& t, int r0, const std::byte* page, int k0, int k1, const float* p) noexcept {
    const auto* v = elements<Load>(page, t.task->v_offset) + static_cast<std::size_t>(k0) * t.Dv;
    const auto n = static_cast<std::size_t>(k1 - k0);
    p += r0 * kKvBlock + k0;
    float* out = t.span + static_cast<std::size_t>(r0) * t.ldv;
    std::size_t d = 0;
    for (; d + 16 <= t.Dv; d += 16) {
        __m256 acc[R][2];
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            const float* row = out + static_cast<std::size_t>(r) * t.ldv + d;
            acc[r][0] = _mm256_load_ps(row);
            acc[r][1] = _mm256_load_ps(row + 8);
        }
        mac_tile<Load, R>(p, kKvBlock, 1, v + d, t.Dv, n, acc);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            float* row = out + static_cast<std::size_t>(r) * t.ldv + d;
            _mm256_store_ps(row, acc[r][0]);
            _mm256_store_ps(row + 8, acc[r][1]);
        }
    }
    for (; d < t.Dv; ++d)
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            float& acc = out[static_cast<std::size_t>(r) * t.ldv + d];
            for (std::size_t k = 0; k < n; ++k) {
                float value;
                if constexpr (sizeof(typename Load::Element) == 2)
                    value = _cvtsh_ss(v[k * t.Dv + d]);
                else
                    value = v[k * t.Dv + d];
                acc = __builtin_fmaf(p[r * kKvBlock + static_cast<int>(k)], value, acc);
            }
        }
}

template <class Load, int R>
void value_rows(const Tile& t, const std::byte* page, int key0, const float* p) noexcept {
    bool whole = true;
    for (int r = 0; r < R; ++r) whole = whole && t.first[r] <= key0 && t.last[r] >= key0 + kPageTokens - 1;
    if (whole) return value_page<Load, R>(t, 0, page, 0, kPageTokens, p);
    for (int r = 0; r < R; ++r) {
        const int k0 = std::max(t.first[r] - key0, 0), k1 = std::min(t.last[r] - key0 + 1, kPageTokens);
        if (k0 < k1) value_page<Load, 1>(t, r, page, k0, k1, p);
    }
}

void scale_row(float* x, std::size_t padded, float factor) noexcept {
    const __m256 f = _mm256_set1_ps(factor);
    for (std::size_t d = 0; d < padded; d += 8) _mm256_store_ps(x + d, _mm256_mul_ps(_mm256_load_ps(x + d), f));
}

// Scores to probabilities of one row and block: masks, maximum, correction of what was summed before, exponentials,
// sum.
void softmax_block(Tile& t, int r, int block0) noexcept {
    float* p = t.p + r * kKvBlock;
    const __m256i low = _mm256_set1_epi32(t.first[r] - block0 - 1), high = _mm256_set1_epi32(t.last[r] - block0 + 1);
    const __m256 minus_infinity = _mm256_set1_ps(kMinusInfinity);
    const F8 cap = F8::set(t.task->softcap);
    __m256 s[kKvBlock / 8];
    __m256 best = minus_infinity;
    for (int i = 0; i < kKvBlock / 8; ++i) {
        const __m256i key = _mm256_add_epi32(_mm256_set1_epi32(8 * i), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        const __m256i seen = _mm256_and_si256(_mm256_cmpgt_epi32(key, low), _mm256_cmpgt_epi32(high, key));
        F8 score{_mm256_load_ps(p + 8 * i)};
        if (t.task->softcap != 0) score = formula::softcap_of(score, cap);
        s[i] = _mm256_blendv_ps(minus_infinity, score.v, _mm256_castsi256_ps(seen));
        best = _mm256_max_ps(s[i], best);
    }
    const float block_max = largest(best);
    if (!t.in_span[r]) {
        t.in_span[r] = true;
        t.span_max[r] = kMinusInfinity;
        t.span_sum[r] = 0;
        std::fill_n(t.span + static_cast<std::size_t>(r) * t.ldv, t.ldv, 0.0F);
        t.span_max[r] = std::max(t.span_max[r], block_max);
    } else if (block_max > t.span_max[r]) {
        const float correction = fh_exp(t.span_max[r] - block_max);
        t.span_sum[r] *= correction;
        scale_row(t.span + static_cast<std::size_t>(r) * t.ldv, t.ldv, correction);
        t.span_max[r] = block_max;
    }
    const F8 max = F8::set(t.span_max[r]);
    __m256 lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int i = 0; i < kKvBlock / 8; ++i) {
        // A masked lane is minus infinity, so it becomes 0 and adds nothing.
        const __m256 e = formula::exp_nonpositive_of(F8{s[i]} - max).v;
        lanes[i % 2] = _mm256_add_ps(lanes[i % 2], e);
        _mm256_store_ps(p + 8 * i, e);
    }
    t.span_sum[r] += tree16(lanes[0], lanes[1]);
}

// One block of 64 keys for the tile.
template <class Load, int R>
void add_block(Tile& t, int block0) noexcept {
    int lowest = t.first[0], highest = t.last[0];
    for (int r = 1; r < R; ++r) {
        lowest = std::min(lowest, t.first[r]);
        highest = std::max(highest, t.last[r]);
    }
    const int begin = std::max(lowest, block0), end = std::min(highest + 1, block0 + kKvBlock);
    const int page0 = begin / kPageTokens, page1 = (end - 1) / kPageTokens;
    for (int page = page0; page <= page1; ++page)
        if (t.task->pages[page] != nullptr)
            score_page<Load, R>(t, t.task->pages[page], t.p + (page * kPageTokens - block0));
    for (int r = 0; r < R; ++r)
        if (t.first[r] < block0 + kKvBlock && t.last[r] >= block0 && t.first[r] <= t.last[r])
            softmax_block(t, r, block0);
    for (int page = page0; page <= page1; ++page)
        if (t.task->pages[page] != nullptr)
            value_rows<Load, R>(t, t.task->pages[page], page * kPageTokens, t.p + (page * kPageTokens - block0));
}

// Spans are merged in ascending order; the first one is taken as it is.
void close_span(Tile& t) noexcept {
    for (int r = 0; r < t.rows; ++r) {
        if (!t.in_span[r]) continue;
        t.in_span[r] = false;
        float* span = t.span + static_cast<std::size_t>(r) * t.ldv;
        float* total = t.total + static_cast<std::size_t>(r) * t.ldv;
        if (!t.begun[r]) {
            t.begun[r] = true;
            std::copy_n(span, t.ldv, total);
            t.total_max[r] = t.span_max[r];
            t.total_sum[r] = t.span_sum[r];
            continue;
        }
        const float max = std::max(t.total_max[r], t.span_max[r]);
        const float old_factor = fh_exp(t.total_max[r] - max), new_factor = fh_exp(t.span_max[r] - max);
        t.total_sum[r] = __builtin_fmaf(t.span_sum[r], new_factor, t.total_sum[r] * old_factor);
        const __m256 f_old = _mm256_set1_ps(old_factor), f_new = _mm256_set1_ps(new_factor);
        for (std::size_t d = 0; d < t.ldv; d += 8)
            _mm256_store_ps(total + d, _mm256_fmadd_ps(_mm256_load_ps(span + d), f_new,
                                                       _mm256_mul_ps(_mm256_load_ps(total + d), f_old)));
        t.total_max[r] = max;
    }
}

template <class Load, int R>
void attend_tile(const AttendTask& task, int row0) noexcept {
    Tile t;
    t.task = &task;
    t.rows = R;
    t.D = static_cast<std::size_t>(task.head_dim);
    t.Dv = static_cast<std::size_t>(task.v_dim);
    t.ldv = (t.Dv + 15) / 16 * 16;
    auto* at = reinterpret_cast<float*>(task.scratch);
    t.p = at;
    at += R * kKvBlock;
    t.span = at;
    at += R * t.ldv;
    t.total = at;
    at += R * t.ldv;
    t.q = at;
    int lowest = std::numeric_limits<int>::max(), highest = -1;
    for (int r = 0; r < R; ++r) {
        const float* q = task.q[row0 + r];
        for (std::size_t d = 0; d < t.D; ++d) t.q[static_cast<std::size_t>(r) * t.D + d] = q[d] * task.scale;
        t.first[r] = std::max(task.first[row0 + r], 0);
        t.last[r] = task.last[row0 + r];
        t.in_span[r] = t.begun[r] = false;
        if (t.first[r] > t.last[r]) {  // sees nothing: out of the way of the tile's range
            t.first[r] = std::numeric_limits<int>::max();
            t.last[r] = -1;
            continue;
        }
        lowest = std::min(lowest, t.first[r]);
        highest = std::max(highest, t.last[r]);
    }
    for (int block0 = lowest / kKvBlock * kKvBlock; block0 <= highest; block0 += kKvBlock) {
        add_block<Load, R>(t, block0);
        if ((block0 + kKvBlock) % kKvSpan == 0) close_span(t);
    }
    close_span(t);
    for (int r = 0; r < R; ++r) {
        float* out = task.out[row0 + r];
        const float* total = t.total + static_cast<std::size_t>(r) * t.ldv;
        for (std::size_t d = 0; d < t.Dv; ++d) out[d] = t.begun[r] ? total[d] / t.total_sum[r] : 0.0F;
        if (task.logsumexp != nullptr)
            task.logsumexp[row0 + r] = t.begun[r] ? t.total_max[r] + fh_log(t.total_sum[r]) : kMinusInfinity;
    }
}

template <class Load>
void attend_rows(const AttendTask& task) noexcept {
    int row = 0;
    for (; row + kTileRows <= task.n_rows; row += kTileRows) attend_tile<Load, kTileRows>(task, row);
    switch (task.n_rows - row) {
        case 5:
            return attend_tile<Load, 5>(task, row);
        case 4:
            return attend_tile<Load, 4>(task, row);
        case 3:
            return attend_tile<Load, 3>(task, row);
        case 2:
            return attend_tile<Load, 2>(task, row);
        case 1:
            return attend_tile<Load, 1>(task, row);
        default:
            return;
    }
}

}  // namespace

void attend(const AttendTask& task) {
    if (task.type == KvType::F32)
        attend_rows<LoadF32>(task);
    else
        attend_rows<LoadF16>(task);
}

}  // namespace freehold::avx2
