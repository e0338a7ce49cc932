// Pairs tensors of one name and walks their values side by side. Files are read in pieces with pread, not through the
// mapping: what is read of a model of any size never stays in this process.
#include "tensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/tensor/dtype.h"

namespace freehold::diff {
namespace {

constexpr std::size_t kPiece = 1 << 18;  // values that are looked at together; at most 1 MB of F32 a side

// Bytes of the files of one model.
class Bytes {
 public:
    explicit Bytes(const ModelFiles& files) : files_(files), open_(files.files().size(), -1) {}
    ~Bytes() {
        for (const int fd : open_)
            if (fd >= 0) ::close(fd);
    }
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;

    void read(const TensorEntry& tensor, std::uint64_t from, std::span<std::byte> to) {
        int& fd = open_.at(tensor.file);
        const std::string path = files_.files().at(tensor.file).string();
        if (fd < 0) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) throw Error(ErrorKind::io, fmt::format("{} cannot be read: {}.", path, std::strerror(errno)));
        while (!to.empty()) {
            const ssize_t n = ::pread(fd, to.data(), to.size(), static_cast<off_t>(tensor.offset + from));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0)
                throw Error(ErrorKind::io, fmt::format("{} ends in the middle of {}.", path, printable(tensor.name)),
                            "It was changed while it was read; try again.");
            from += static_cast<std::uint64_t>(n);
            to = to.subspan(static_cast<std::size_t>(n));
        }
    }

 private:
    const ModelFiles& files_;
    std::vector<int> open_;
};

// Sums over values, in the order in which they come.
struct Sums {
    std::uint64_t count = 0, changed = 0, not_finite = 0;
    double largest = 0, squares = 0, squares_a = 0;

    void add(std::span<const float> a, std::span<const float> b) {
        count += a.size();
        for (std::size_t i = 0; i < a.size(); ++i) {
            const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
            if (!std::isfinite(x) || !std::isfinite(y)) {
                const bool same = x == y || (std::isnan(x) && std::isnan(y));
                if (!same) ++changed, ++not_finite;
                continue;
            }
            squares_a += x * x;
            if (x == y) continue;
            ++changed;
            const double d = std::abs(y - x);
            largest = std::max(largest, d);
            squares += d * d;
        }
    }
    void add_equal(std::span<const float> a) {
        count += a.size();
        for (const float v : a)
            if (std::isfinite(v)) squares_a += static_cast<double>(v) * static_cast<double>(v);
    }
    void add(const Sums& other) {
        count += other.count;
        changed += other.changed;
        not_finite += other.not_finite;
        largest = std::max(largest, other.largest);
        squares += other.squares;
        squares_a += other.squares_a;
    }
    [[nodiscard]] Numbers numbers() const {
        Numbers out;
        out.count = count;
        out.changed = changed;
        out.not_finite = not_finite;
        out.largest = largest;
        const auto n = static_cast<double>(count);
        out.rms = count == 0 ? 0 : std::sqrt(squares / n);
        out.relative = squares_a == 0 ? 0 : std::sqrt(squares / squares_a);
        return out;
    }
};

std::uint64_t count_of(const TensorEntry& t) {
    return std::accumulate(t.shape.begin(), t.shape.end(), std::uint64_t{1},
                           [](std::uint64_t n, std::int64_t d) { return n * static_cast<std::uint64_t>(d); });
}

class Comparing {
 public:
    Comparing(const ModelFiles& a, const ModelFiles& b, const Options& options)
        : a_(a), b_(b), bytes_a_(a), bytes_b_(b), options_(options) {}

    Tensors run() {
        std::map<std::string, std::pair<const TensorEntry*, const TensorEntry*>,
                 bool (*)(const std::string&, const std::string&)>
            all([](const std::string& x, const std::string& y) { return counts_before(x, y); });
        for (const TensorEntry& t : a_.entries()) all[t.name].first = &t;
        for (const TensorEntry& t : b_.entries()) all[t.name].second = &t;
        for (const auto& [name, pair] : all)
            if (pair.first != nullptr && pair.second != nullptr) total_ += pair.first->nbytes;
        out_.count_a = a_.entries().size();
        out_.count_b = b_.entries().size();
        out_.values_compared = options_.values;
        for (const auto& [name, pair] : all) take(name, pair.first, pair.second);
        for (auto& [layer, sums] : layers_) {
            LayerChange& change = out_.layers.at(index_.at(layer));
            change.numbers = sums.numbers();
        }
        std::ranges::sort(out_.layers, [](const LayerChange& x, const LayerChange& y) {
            const auto rank = [](const std::string& s) {
                return s == "embedding" ? 0 : s.starts_with("layer ") ? 1 : s == "output" ? 2 : 3;
            };
            return rank(x.layer) != rank(y.layer) ? rank(x.layer) < rank(y.layer) : counts_before(x.layer, y.layer);
        });
        return std::move(out_);
    }

 private:
    LayerChange& layer(const std::string& name) {
        const auto [it, fresh] = index_.try_emplace(name, out_.layers.size());
        if (fresh) out_.layers.push_back({name, 0, 0, {}});
        return out_.layers[it->second];
    }

    void take(const std::string& name, const TensorEntry* a, const TensorEntry* b) {
        TensorChange change;
        change.name = printable(name);
        change.layer = layer_of(name);
        if (a != nullptr) change.dtype_a = a->type_name, change.shape_a = a->shape;
        if (b != nullptr) change.dtype_b = b->type_name, change.shape_b = b->shape;
        ++layer(change.layer).tensors;
        bool differs = true;
        if (a == nullptr || b == nullptr) {
            change.change = a == nullptr ? Change::added : Change::removed;
        } else {
            change.dtype = a->type_name != b->type_name;
            change.shape = a->shape != b->shape;
            if (options_.values) compare_values(*a, *b, change);
            differs = change.dtype || change.shape || change.values;
            done_ += a->nbytes;
        }
        if (!differs) {
            ++out_.same;
            return;
        }
        ++layer(change.layer).tensors_changed;
        out_.changes.push_back(std::move(change));
    }

    void tell(const std::string& name, std::uint64_t done) const {
        if (options_.progress) options_.progress({"comparing " + printable(name), done_ + done, total_, "B"});
    }

    void compare_values(const TensorEntry& a, const TensorEntry& b, TensorChange& change) {
        if (change.shape) {
            change.why_not = "the shapes differ";
            return;
        }
        const DTypeTraits* const left = find_traits(a.dtype);
        const DTypeTraits* const right = find_traits(b.dtype);
        const bool readable =
            left != nullptr && right != nullptr && left->to_f32 != nullptr && right->to_f32 != nullptr;
        if (!readable) {
            if (change.dtype) {
                change.why_not = "one of the types has no codec here";
                return;
            }
            change.values = !equal_bytes(a, b);
            if (change.values) change.why_not = fmt::format("type {} has no codec here; the bytes differ", a.type_name);
            return;
        }
        Sums sums;
        const std::uint64_t count = count_of(a);
        const std::size_t block = std::lcm<std::size_t>(left->block, right->block);
        const std::size_t piece = kPiece / block * block;
        for (std::uint64_t at = 0; at < count; at += piece) {
            tell(a.name, at / left->block * left->bytes);
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(piece, count - at));
            raw_a_.resize(n / left->block * left->bytes);
            raw_b_.resize(n / right->block * right->bytes);
            bytes_a_.read(a, at / left->block * left->bytes, raw_a_);
            bytes_b_.read(b, at / right->block * right->bytes, raw_b_);
            values_a_.resize(n);
            left->to_f32(raw_a_.data(), values_a_.data(), n);
            if (left == right && raw_a_ == raw_b_) {
                sums.add_equal(values_a_);
                continue;
            }
            values_b_.resize(n);
            right->to_f32(raw_b_.data(), values_b_.data(), n);
            sums.add(values_a_, values_b_);
        }
        change.values = sums.changed > 0;
        change.numbers = sums.numbers();
        layers_[change.layer].add(sums);
    }

    bool equal_bytes(const TensorEntry& a, const TensorEntry& b) {
        if (a.nbytes != b.nbytes) return false;
        for (std::uint64_t at = 0; at < a.nbytes; at += 1 << 20) {
            tell(a.name, at);
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(1 << 20, a.nbytes - at));
            raw_a_.resize(n);
            raw_b_.resize(n);
            bytes_a_.read(a, at, raw_a_);
            bytes_b_.read(b, at, raw_b_);
            if (raw_a_ != raw_b_) return false;
        }
        return true;
    }

    const ModelFiles& a_;
    const ModelFiles& b_;
    Bytes bytes_a_, bytes_b_;
    const Options& options_;
    Tensors out_;
    std::map<std::string, std::size_t> index_;  // of out_.layers
    std::map<std::string, Sums> layers_;
    std::uint64_t done_ = 0, total_ = 0;
    std::vector<std::byte> raw_a_, raw_b_;
    std::vector<float> values_a_, values_b_;
};

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

}  // namespace

std::string layer_of(std::string_view tensor) {
    static constexpr std::array<std::string_view, 8> kMarks{"blk.",   "layers.", "layer.", "h.",
                                                            "block.", "blocks.", "h_",     "resblocks."};
    for (const std::string_view mark : kMarks) {
        for (auto at = tensor.find(mark); at != std::string_view::npos; at = tensor.find(mark, at + 1)) {
            const bool begins = at == 0 || tensor[at - 1] == '.';
            std::size_t end = at + mark.size();
            while (end < tensor.size() && is_digit(tensor[end])) ++end;
            const bool numbered = end > at + mark.size() && end < tensor.size() && tensor[end] == '.';
            if (begins && numbered)
                return "layer " + std::string(tensor.substr(at + mark.size(), end - at - mark.size()));
        }
    }
    const auto has = [&](std::string_view part) { return tensor.find(part) != std::string_view::npos; };
    if (has("embd") || has("embed") || has("wte") || has("wpe")) return "embedding";
    if (has("output") || has("lm_head") || has("final") || has("ln_f") || tensor.starts_with("model.norm"))
        return "output";
    return "other";
}

bool counts_before(std::string_view a, std::string_view b) noexcept {
    std::size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
        if (is_digit(a[i]) && is_digit(b[j])) {
            const std::size_t from_i = i, from_j = j;
            while (i < a.size() && is_digit(a[i])) ++i;
            while (j < b.size() && is_digit(b[j])) ++j;
            std::string_view x = a.substr(from_i, i - from_i), y = b.substr(from_j, j - from_j);
            while (x.size() > 1 && x.front() == '0') x.remove_prefix(1);
            while (y.size() > 1 && y.front() == '0') y.remove_prefix(1);
            if (x.size() != y.size()) return x.size() < y.size();
            if (x != y) return x < y;
            continue;
        }
        if (a[i] != b[j]) return a[i] < b[j];
        ++i, ++j;
    }
    if ((i < a.size()) != (j < b.size())) return j < b.size();
    return a < b;  // "01" and "1" are counted alike, yet are two names
}

Tensors compare_tensors(const ModelFiles& a, const ModelFiles& b, const Options& options) {
    return Comparing(a, b, options).run();
}

}  // namespace freehold::diff
