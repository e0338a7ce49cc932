// Weights as panels: built once in parallel, or panel by panel when a product needs them.
// The only file that knows how a dtype becomes a panel under a profile.
#include "freehold/kernels/weight.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "freehold/base/error.h"
#include "lay.h"
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

// Rows that a panel has and the weight has not: zeros.
const PackedBlock kNoBlocks[kChunk / kQBlock] = {};
constexpr std::uint32_t kNoWords[kChunk] = {};

// The general way, through the code form that every quantised format has.
void build_q8_by_codes(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K,
                       std::byte* panel) {
    const QPanelForm form{t.form};
    CodeBlock codes[kPanelRows][kChunk / kQBlock];
    const CodeBlock* rows[kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) rows[r] = codes[r];
    const std::size_t stride = w.row_bytes();
    const std::byte* first = w.row(row0);
    for (std::size_t k = 0; k < K; k += kChunk) {
        const std::size_t n = std::min(kChunk, K - k), at = k / t.block * t.bytes;
        for (int r = 0; r < n_rows; ++r) t.to_codes(first + static_cast<std::size_t>(r) * stride + at, codes[r], n);
        pack_q_panel(form, rows, n_rows, k / kQBlock, n / kQBlock, panel);
    }
}

void build_q8(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    if (t.to_packed == nullptr) return build_q8_by_codes(w, t, row0, n_rows, K, panel);
    const QPanelForm form{t.form};
    PackedBlock blocks[kPanelRows][kChunk / kQBlock];
    const PackedBlock* rows[kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) rows[r] = r < n_rows ? blocks[r] : kNoBlocks;
    const std::size_t stride = w.row_bytes();
    const std::byte* first = w.row(row0);
    for (std::size_t k = 0; k < K; k += kChunk) {
        const std::size_t n = std::min(kChunk, K - k), at = k / t.block * t.bytes;
        for (int r = 0; r < n_rows; ++r) t.to_packed(first + static_cast<std::size_t>(r) * stride + at, blocks[r], n);
        lay_q_panel(form, rows, k / kQBlock, n / kQBlock, panel);
    }
}

// Chunks of F32 of every row, made words by to_words(values, n) -> number of words, laid one after another from `out`.
template <class ToWords>
void build_words(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel,
                 ToWords&& to_words) {
    alignas(64) float values[kChunk];
    alignas(64) std::uint32_t words[kPanelRows][kChunk];
    const std::uint32_t* rows[kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) rows[r] = r < n_rows ? words[r] : kNoWords;
    auto* out = reinterpret_cast<std::uint32_t*>(panel);
    for (std::size_t k = 0; k < K; k += kChunk) {
        const std::size_t n = std::min(kChunk, K - k);
        std::size_t n_words = 0;
        for (int r = 0; r < n_rows; ++r) {
            t.to_f32(w.row(row0 + r) + k / t.block * t.bytes, values, n);
            n_words = to_words(values, n, words[r]);
        }
        lay_words(rows, n_words, out);
        out += n_words * kPanelRows;
    }
}

void build_f32(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    build_words(w, t, row0, n_rows, K, panel, [](const float* values, std::size_t n, std::uint32_t* words) {
        std::memcpy(words, values, n * sizeof(float));
        return n;
    });
}

void build_bf16(const Tensor& w, const DTypeTraits& t, std::int64_t row0, int n_rows, std::size_t K, std::byte* panel) {
    build_words(w, t, row0, n_rows, K, panel, [](float* values, std::size_t n, std::uint32_t* words) {
        if (n % 2 != 0) values[n++] = 0;  // the last pair of an odd row; a chunk is even, so there is room
        for (std::size_t i = 0; i < n / 2; ++i)
            words[i] = f32_to_bf16(values[2 * i]) | static_cast<std::uint32_t>(f32_to_bf16(values[2 * i + 1])) << 16;
        return n / 2;
    });
}

// Pages of a mapped file that a repacked copy now serves for, of rows [row0, row1): dropped here, read again if
// somebody asks for a row.
void let_pages_go(const Tensor& w, std::int64_t row0, std::int64_t row1) noexcept {
    if (row0 >= row1 || !w.storage()->mapped) return;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto row_bytes = w.nbytes() / static_cast<std::size_t>(w.shape()[0]);
    const auto first = reinterpret_cast<std::uintptr_t>(w.data());
    const auto begin = (first + static_cast<std::size_t>(row0) * row_bytes + page - 1) / page * page;
    const auto end = (first + static_cast<std::size_t>(row1) * row_bytes) / page * page;
    if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

// Of a matrix whose panels serve, single rows are looked up at most (an embedding): where the system keeps the file in
// huge pages, each such row would count as 2 MiB of this process.
void ask_for_small_pages(const Tensor& w) noexcept {
#ifdef MADV_NOHUGEPAGE
    if (w.empty() || !w.storage()->mapped) return;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(w.data()) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(w.data()) + w.nbytes();
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_NOHUGEPAGE);
#endif
}

// f(panel) for each of [begin, end), shared among the threads.
template <class F>
void for_panels(ThreadPool& threads, std::size_t begin, std::size_t end, F&& f) {
    constexpr std::size_t kPerTask = 8;
    threads.run((end - begin + kPerTask - 1) / kPerTask, [&](std::size_t task, int) {
        const std::size_t from = begin + task * kPerTask;
        for (std::size_t p = from; p < std::min(end, from + kPerTask); ++p) f(p);
    });
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

Weight::Weight(Tensor w, Profile profile) : tensor_(std::move(w)) {
    const DTypeTraits& t = traits(tensor_.dtype());
    if (tensor_.shape().rank() != 2)
        throw Error(ErrorKind::internal, "A weight needs two dimensions, not " + tensor_.shape().str() + ".");
    profile_ = effective_profile(profile, tensor_.dtype());
    n_ = tensor_.shape()[0];
    k_ = tensor_.shape()[1];
    form_ = QPanelForm{t.form};
    panel_stride_ = panel_bytes_of(profile_, t, static_cast<std::size_t>(k_));
}

Weight::Weight(Tensor w, Profile profile, bool repack, ThreadPool& threads) : Weight(std::move(w), profile) {
    if (!repack || n_ == 0) return;
    const std::shared_ptr<std::byte> memory = allocate_panels(panel_stride_ * static_cast<std::size_t>(n_panels()));
    own_ = memory.get();
    panels_ = memory;
    // In slices, so that a large matrix is not in memory twice: one page of the file at each seam stays.
    constexpr std::size_t kSlice = std::size_t{8} << 20;
    const auto n = static_cast<std::size_t>(n_panels());
    const std::size_t slice = std::max<std::size_t>(kSlice / std::max<std::size_t>(panel_stride_, 1), 1);
    for (std::size_t p = 0; p < n; p += slice) {
        const std::size_t end = std::min(n, p + slice);
        for_panels(threads, p, end,
                   [this](std::size_t at) { build_panel(static_cast<std::int64_t>(at), own_ + at * panel_stride_); });
        let_pages_go(tensor_, static_cast<std::int64_t>(p) * kPanelRows,
                     std::min<std::int64_t>(n_, static_cast<std::int64_t>(end) * kPanelRows));
    }
}

Weight::Weight(Tensor w, Profile profile, std::shared_ptr<const std::byte> panels) : Weight(std::move(w), profile) {
    panels_ = std::move(panels);
    ask_for_small_pages(tensor_);
}

std::size_t Weight::panels_needed(const Tensor& w, Profile profile) {
    const Weight plain(w, profile);
    return plain.panel_stride_ * static_cast<std::size_t>(plain.n_panels());
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
    if (own_ == nullptr) {
        throw Error(ErrorKind::internal, "Panels that are mapped from a file cannot be made anew.",
                    "Load the model without them.");
    }
    for_panels(threads, 0, static_cast<std::size_t>(n_panels()),
               [this](std::size_t p) { build_panel(static_cast<std::int64_t>(p), own_ + p * panel_stride_); });
}

void Weight::row_f32(std::int64_t r, float* out) const {
    if (r < 0 || r >= n_)
        throw Error(ErrorKind::internal,
                    "Row " + std::to_string(r) + " was asked of a matrix with " + std::to_string(n_) + " rows.");
    traits(tensor_.dtype()).to_f32(tensor_.row(r), out, static_cast<std::size_t>(k_));
}

}  // namespace freehold
