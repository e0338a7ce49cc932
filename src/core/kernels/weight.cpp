// Weights as panels: built once in parallel, or panel by panel when a product needs them.
// The only file that knows how a dtype becomes a panel under a profile.
#include "freehold/kernels/weight.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "freehold/base/error.h"
#include "panel_memory.h"

namespace freehold {
namespace {

constexpr std::size_t kChunk = 256;  // columns that are expanded at a time; every format's block divides it

std::size_t panel_bytes_of(Profile profile, const DTypeTraits& t, std::size_t K) noexcept {
    switch (profile) {
        case Profile::f32:
            return K * kPanelRows * sizeof(float);
        case Profile::bf16:
            return (K + 1) / 2 * 2 * kPanelRows * sizeof(std::uint16_t);
        case Profile::q8:
            break;
    }
    return QPanelForm{t.form}.panel_bytes(K / kQBlock);
}

void build_q8(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    const QPanelForm form{t.form};
    CodeBlock codes[kPanelRows][kChunk / kQBlock];
    const CodeBlock* rows[kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) rows[r] = codes[r];
    for (std::size_t k = 0; k < K; k += kChunk) {
        const std::size_t n = std::min(kChunk, K - k);
        for (int r = 0; r < n_rows; ++r) t.to_codes(w.row(row0 + r) + k / t.block * t.bytes, codes[r], n);
        pack_q_panel(form, rows, n_rows, k / kQBlock, n / kQBlock, panel);
    }
}

// Calls put(row, k, value) for every value of the panel.
template <class Put>
void expand_rows(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, Put&& put) {
    float values[kPanelRows][kChunk];
    for (std::size_t k = 0; k < K; k += kChunk) {
        const std::size_t n = std::min(kChunk, K - k);
        for (int r = 0; r < n_rows; ++r) t.to_f32(w.row(row0 + r) + k / t.block * t.bytes, values[r], n);
        for (std::size_t i = 0; i < n; ++i)
            for (int r = 0; r < n_rows; ++r) put(r, k + i, values[r][i]);
    }
}

void build_f32(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    auto* out = reinterpret_cast<float*>(panel);
    if (n_rows < kPanelRows) std::fill_n(out, K * kPanelRows, 0.0F);
    expand_rows(w, t, row0, n_rows, K, [out](int r, std::size_t k, float v) { out[k * kPanelRows + r] = v; });
}

void build_bf16(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    auto* out = reinterpret_cast<std::uint16_t*>(panel);
    if (n_rows < kPanelRows || K % 2 != 0) std::fill_n(out, (K + 1) / 2 * 2 * kPanelRows, std::uint16_t{0});
    expand_rows(w, t, row0, n_rows, K,
                [out](int r, std::size_t k, float v) { out[(k / 2 * kPanelRows + r) * 2 + k % 2] = f32_to_bf16(v); });
}

// Pages of a mapped file that a repacked copy now serves for: dropped here, read again if somebody asks for a row.
void let_pages_go(const Tensor& w) noexcept {
    if (w.empty() || !w.storage()->mapped) return;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(w.data()) + page - 1) / page * page;
    const auto end = (reinterpret_cast<std::uintptr_t>(w.data()) + w.nbytes()) / page * page;
    if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

const char* profile_name(Profile p) noexcept {
    switch (p) {
        case Profile::f32:
            return "f32";
        case Profile::bf16:
            return "bf16";
        case Profile::q8:
            break;
    }
    return "q8";
}

std::optional<Profile> profile_from_name(std::string_view name) noexcept {
    for (const Profile p : {Profile::f32, Profile::bf16, Profile::q8})
        if (name == profile_name(p)) return p;
    return std::nullopt;
}

Profile effective_profile(Profile profile, DType dtype) noexcept {
    const DTypeTraits* t = find_traits(dtype);
    if (profile != Profile::q8 || (t != nullptr && t->quantised)) return profile;
    return dtype == DType::BF16 ? Profile::bf16 : Profile::f32;
}

Weight::Weight(Tensor w, Profile profile, bool repack, ThreadPool& threads) : tensor_(std::move(w)) {
    const DTypeTraits& t = traits(tensor_.dtype());
    if (tensor_.shape().rank() != 2)
        throw Error(ErrorKind::internal, "A weight needs two dimensions, not " + tensor_.shape().str() + ".");
    profile_ = effective_profile(profile, tensor_.dtype());
    n_ = tensor_.shape()[0];
    k_ = tensor_.shape()[1];
    form_ = QPanelForm{t.form};
    panel_stride_ = panel_bytes_of(profile_, t, static_cast<std::size_t>(k_));
    if (!repack || n_ == 0) return;
    panels_ = allocate_panels(panel_stride_ * static_cast<std::size_t>(n_panels()));
    renew(threads);
    let_pages_go(tensor_);
}

std::size_t Weight::panel_bytes() const noexcept {
    return panels_ ? panel_stride_ * static_cast<std::size_t>(n_panels()) : 0;
}

void Weight::build_panel(std::int64_t panel, std::byte* out) const noexcept {
    const DTypeTraits& t = *find_traits(tensor_.dtype());
    const std::int64_t row0 = panel * kPanelRows;
    const int n_rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, n_ - row0));
    const auto K = static_cast<std::size_t>(k_);
    switch (profile_) {
        case Profile::f32:
            return build_f32(tensor_, t, row0, n_rows, K, out);
        case Profile::bf16:
            return build_bf16(tensor_, t, row0, n_rows, K, out);
        case Profile::q8:
            return build_q8(tensor_, t, row0, n_rows, K, out);
    }
}

void Weight::renew(ThreadPool& threads) {
    if (!panels_) return;
    constexpr std::size_t kPerTask = 8;
    const auto n = static_cast<std::size_t>(n_panels());
    threads.run((n + kPerTask - 1) / kPerTask, [&](std::size_t task, int) {
        for (std::size_t p = task * kPerTask; p < std::min(n, (task + 1) * kPerTask); ++p)
            build_panel(static_cast<std::int64_t>(p), panels_.get() + p * panel_stride_);
    });
}

void Weight::row_f32(std::int64_t r, float* out) const {
    if (r < 0 || r >= n_)
        throw Error(ErrorKind::internal,
                    "Row " + std::to_string(r) + " was asked of a matrix with " + std::to_string(n_) + " rows.");
    traits(tensor_.dtype()).to_f32(tensor_.row(r), out, static_cast<std::size_t>(k_));
}

}  // namespace freehold
