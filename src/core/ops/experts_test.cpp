// Mixtures of experts against plain loops, whatever rows come together; and their gradients against differences.
#include "freehold/ops/experts.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "finite_difference.h"
#include "freehold/ops/ends.h"

namespace freehold {
namespace {

struct Mixture {
    Norm norm;
    Linear router;
    std::vector<Linear> gate, up, down;
    Linear shared_gate, shared_up, shared_down, shared_router;
    Routing routing;
    bool shared = false;
};

Routing routing_of(RouterScore score, bool renormalize, int groups = 1, int kept = 1) {
    Routing r;
    r.n_experts = 6;
    r.n_used = 2;
    r.score = score;
    r.renormalize = renormalize;
    r.scale = 1.7F;
    r.n_groups = groups;
    r.n_groups_kept = kept;
    r.group_score = GroupScore::best_two;
    return r;
}

constexpr std::int64_t kWidth = 32, kHidden = 24;

void make(test::FiniteDifference& fd, Mixture& m) {
    fd.make_norm(m.norm, NormKind::rms, kWidth);
    fd.make_linear(m.router, m.routing.n_experts, kWidth, false);
    m.gate.resize(static_cast<std::size_t>(m.routing.n_experts));
    m.up.resize(m.gate.size());
    m.down.resize(m.gate.size());
    for (std::size_t e = 0; e < m.gate.size(); ++e) {
        fd.make_linear(m.gate[e], kHidden, kWidth, false);
        fd.make_linear(m.up[e], kHidden, kWidth, e == 1);
        fd.make_linear(m.down[e], kWidth, kHidden, false);
    }
    if (!m.shared) return;
    fd.make_linear(m.shared_gate, kHidden, kWidth, false);
    fd.make_linear(m.shared_up, kHidden, kWidth, false);
    fd.make_linear(m.shared_down, kWidth, kHidden, false);
    fd.make_linear(m.shared_router, 1, kWidth, false);
}

// x += experts(norm(x)), as a decoder's layer does it.
void run(Exec& e, const Mixture& m, const Mat& x, const float* bias) {
    const std::size_t rows = x.rows, packed = rows * static_cast<std::size_t>(m.routing.n_used);
    const Norm none;
    const Mat xn = take_mat(e, rows, x.cols), logits = take_mat(e, rows, m.gate.size());
    norm_rows(e, m.norm, x, xn);
    const LinearOut to_router[] = {{&m.router, logits}};
    norm_linear(e, none, xn, to_router);
    const Chosen chosen = route(e, m.routing, logits, bias);
    const Mat gate = take_mat(e, packed, kHidden), up = take_mat(e, packed, kHidden), y = take_mat(e, packed, kWidth);
    const GroupedOut in[] = {{m.gate, gate}, {m.up, up}};
    grouped_linear(e, chosen, xn, false, in);
    const Mat acted = e.tape != nullptr ? take_mat(e, packed, kHidden) : gate;
    act(e, Activation::silu, gate, up, acted);
    const GroupedOut out[] = {{m.down, y}};
    grouped_linear(e, chosen, acted, true, out);
    SharedOut shared;
    if (m.shared) {
        const Mat sg = take_mat(e, rows, kHidden), su = take_mat(e, rows, kHidden), sa = take_mat(e, rows, kHidden);
        shared = {take_mat(e, rows, kWidth), take_mat(e, rows, 1)};
        const LinearOut first[] = {{&m.shared_gate, sg}, {&m.shared_up, su}, {&m.shared_router, shared.gate}};
        norm_linear(e, none, xn, first);
        sigmoid(e, shared.gate);
        act(e, Activation::silu, sg, su, sa);
        const LinearOut last[] = {{&m.shared_down, shared.y}};
        norm_linear(e, none, sa, last);
    }
    combine(e, chosen, y, shared, x, {});
}

// The same in double precision, one row at a time, with nothing shared with the code above.
std::vector<double> by_hand(const Mixture& m, std::span<const float> x, const std::vector<float>& bias) {
    const auto product = [](const Linear& l, const std::vector<double>& in) {
        std::vector<double> out(l.n_out());
        const auto w = l.w.tensor().f32();
        for (std::size_t n = 0; n < out.size(); ++n) {
            out[n] = l.bias.empty() ? 0.0 : static_cast<double>(l.bias.f32()[n]);
            for (std::size_t k = 0; k < in.size(); ++k) out[n] += static_cast<double>(w[n * in.size() + k]) * in[k];
        }
        return out;
    };
    const auto mlp = [&](const Linear& gate, const Linear& up, const Linear& down, const std::vector<double>& in) {
        std::vector<double> g = product(gate, in);
        const std::vector<double> u = product(up, in);
        for (std::size_t i = 0; i < g.size(); ++i) g[i] = g[i] / (1 + std::exp(-g[i])) * u[i];
        return product(down, g);
    };
    double square = 0;
    for (const float v : x) square += static_cast<double>(v) * static_cast<double>(v);
    const double r = 1 / std::sqrt(square / static_cast<double>(x.size()) + static_cast<double>(m.norm.eps));
    std::vector<double> xn;
    for (std::size_t i = 0; i < x.size(); ++i)
        xn.push_back(static_cast<double>(x[i]) * r * static_cast<double>(m.norm.weight.f32()[i]));
    std::vector<double> score = product(m.router, xn);
    if (m.routing.score == RouterScore::softmax) {
        double sum = 0;
        for (double& s : score) sum += s = std::exp(s);
        for (double& s : score) s /= sum;
    } else {
        for (double& s : score) s = 1 / (1 + std::exp(-s));
    }
    std::vector<double> choice = score;
    for (std::size_t i = 0; i < bias.size(); ++i) choice[i] += static_cast<double>(bias[i]);
    if (m.routing.n_groups > 1) {
        const std::size_t size = choice.size() / static_cast<std::size_t>(m.routing.n_groups);
        std::vector<std::pair<double, std::size_t>> groups;
        for (std::size_t g = 0; g * size < choice.size(); ++g) {
            std::vector<double> of(choice.begin() + static_cast<std::ptrdiff_t>(g * size),
                                   choice.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
            std::sort(of.rbegin(), of.rend());
            groups.emplace_back(of[0] + of[1], g);
        }
        std::sort(groups.rbegin(), groups.rend());
        for (std::size_t i = static_cast<std::size_t>(m.routing.n_groups_kept); i < groups.size(); ++i) {
            for (std::size_t k = 0; k < size; ++k) choice[groups[i].second * size + k] = -1e9;
        }
    }
    std::vector<std::size_t> order(choice.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return choice[a] > choice[b]; });
    order.resize(static_cast<std::size_t>(m.routing.n_used));
    double sum = 0;
    for (const std::size_t e : order) sum += score[e];
    std::vector<double> out(x.begin(), x.end());
    for (const std::size_t e : order) {
        const double weight = static_cast<double>(m.routing.scale) * score[e] / (m.routing.renormalize ? sum : 1);
        const std::vector<double> y = mlp(m.gate[e], m.up[e], m.down[e], xn);
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += weight * y[i];
    }
    if (m.shared) {
        const double weight = 1 / (1 + std::exp(-product(m.shared_router, xn)[0]));
        const std::vector<double> y = mlp(m.shared_gate, m.shared_up, m.shared_down, xn);
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += weight * y[i];
    }
    return out;
}

const std::vector<Routing>& routings() {
    static const std::vector<Routing> all = {
        routing_of(RouterScore::softmax, false), routing_of(RouterScore::softmax, true),
        routing_of(RouterScore::sigmoid, true), routing_of(RouterScore::sigmoid, true, 3, 1)};
    return all;
}

TEST(Experts, AgreeWithPlainLoopsWhateverComesTogether) {
    for (std::size_t i = 0; i < routings().size(); ++i) {
        test::FiniteDifference fd;
        Mixture m;
        m.routing = routings()[i];
        m.shared = i >= 2;
        make(fd, m);
        std::vector<float> bias;
        if (i >= 2) bias = {0.3F, -0.2F, 0.1F, 0.05F, -0.4F, 0.2F};
        constexpr std::size_t kRows = 70;
        const Tensor x = fd.random_tensor({kRows, kWidth});
        std::vector<float> together(x.f32().begin(), x.f32().end());
        Arena arena(std::size_t{8} << 20);
        Exec e{fd.threads(), active_kernels(), arena, nullptr};
        run(e, m, {together.data(), nullptr, kRows, kWidth}, bias.empty() ? nullptr : bias.data());
        for (std::size_t t = 0; t < kRows; ++t) {
            const auto row = x.f32().subspan(t * kWidth, kWidth);
            const std::vector<double> expected = by_hand(m, row, bias);
            std::vector<float> alone(row.begin(), row.end());
            arena.reset(0);
            run(e, m, {alone.data(), nullptr, 1, kWidth}, bias.empty() ? nullptr : bias.data());
            for (std::size_t c = 0; c < kWidth; ++c) {
                ASSERT_NEAR(static_cast<double>(together[t * kWidth + c]), expected[c], 2e-5)
                    << "routing " << i << " row " << t;
                ASSERT_EQ(together[t * kWidth + c], alone[c]) << "row " << t << " knows its neighbours";
            }
        }
    }
}

Tensor converted(const Tensor& w, DType to) {
    const DTypeTraits& t = traits(to);
    const std::size_t n = w.f32().size();
    const auto bytes = std::make_shared<std::vector<std::byte>>(n / t.block * t.bytes);
    t.from_f32(w.f32().data(), bytes->data(), n);
    const auto storage = std::make_shared<Storage>();
    storage->keep = bytes;
    storage->bytes = bytes->data();
    storage->size = bytes->size();
    return {to, w.shape(), storage};
}

TEST(Experts, QuantisedAndRoundedRowsAreTheSameGatheredOrNot) {
    for (const Profile profile : {Profile::bf16, Profile::q8}) {
        test::FiniteDifference fd;
        Mixture m;
        m.routing = routing_of(RouterScore::softmax, true);
        make(fd, m);
        for (auto* list : {&m.gate, &m.up}) {
            for (Linear& l : *list) {
                const Tensor w = converted(l.w.tensor(), profile == Profile::q8 ? DType::Q8_0 : DType::BF16);
                l.w = Weight(w, profile, true, fd.threads());
            }
        }
        constexpr std::size_t kRows = 40, kPacked = kRows * 2;
        Tensor x = fd.random_tensor({kRows, kWidth}), logits = fd.random_tensor({kRows, 6});
        Arena arena(std::size_t{8} << 20);
        Exec e{fd.threads(), active_kernels(), arena, nullptr};
        const Mat rows{x.f32_mut().data(), nullptr, kRows, kWidth};
        const Chosen chosen = route(e, m.routing, {logits.f32_mut().data(), nullptr, kRows, 6}, nullptr);
        const Mat a = take_mat(e, kPacked, kHidden), b = take_mat(e, kPacked, kHidden),
                  c = take_mat(e, kPacked, kHidden);
        const GroupedOut both[] = {{m.gate, a}, {m.up, b}};
        grouped_linear(e, chosen, rows, false, both);
        const Mat gathered = take_mat(e, kPacked, kWidth);
        for (std::size_t p = 0; p < kPacked; ++p) std::copy_n(rows.row(chosen.source[p]), kWidth, gathered.row(p));
        const GroupedOut one[] = {{m.gate, c}};
        grouped_linear(e, chosen, gathered, true, one);
        EXPECT_TRUE(std::equal(a.v, a.v + a.size(), c.v));
        EXPECT_FALSE(std::equal(a.v, a.v + a.size(), b.v));
    }
}

TEST(Experts, RowsThatAreNoNumbersStillHaveTheirExperts) {
    test::FiniteDifference fd;
    Arena arena(std::size_t{1} << 20);
    Exec e{fd.threads(), active_kernels(), arena, nullptr};
    const Routing r = routing_of(RouterScore::sigmoid, true, 3, 1);
    std::vector<float> logits(12, std::nanf(""));
    logits[6] = 1;
    const Chosen chosen = route(e, r, {logits.data(), nullptr, 2, 6}, nullptr);
    for (std::size_t t = 0; t < 2; ++t) {
        EXPECT_NE(chosen.expert[t * 2], chosen.expert[t * 2 + 1]);
        for (std::size_t k = 0; k < 2; ++k) {
            EXPECT_GE(chosen.expert[t * 2 + k], 0);
            EXPECT_LT(chosen.expert[t * 2 + k], 6);
        }
    }
    EXPECT_EQ(chosen.expert[2], 0);
    EXPECT_TRUE(std::isnan(chosen.weight.v[0]));
}

// Whether the row's experts stay chosen when its logits move a little: a choice that flips within a step has no slope.
bool steady(test::FiniteDifference& fd, const Mixture& m, std::span<const float> row, std::vector<int>& chosen_by) {
    constexpr std::size_t kTries = 64;
    Arena arena(std::size_t{1} << 20);
    Exec e{fd.threads(), active_kernels(), arena, nullptr};
    const std::size_t n = m.gate.size(), used = static_cast<std::size_t>(m.routing.n_used);
    std::vector<float> copy(row.begin(), row.end());
    const Mat xn = take_mat(e, 1, kWidth), logits = take_mat(e, 1, n), moved = take_mat(e, kTries, n);
    norm_rows(e, m.norm, {copy.data(), nullptr, 1, kWidth}, xn);
    const LinearOut to_router[] = {{&m.router, logits}};
    norm_linear(e, Norm{}, xn, to_router);
    const Tensor noise = fd.random_tensor({kTries, static_cast<std::int64_t>(n)}, 0.06F);
    for (std::size_t i = 0; i < moved.size(); ++i) moved.v[i] = logits.v[i % n] + noise.f32()[i];
    const Chosen chosen = route(e, m.routing, moved, nullptr);
    const auto set_of = [&](std::size_t t) {
        std::vector<int> set(chosen.expert + t * used, chosen.expert + (t + 1) * used);
        std::sort(set.begin(), set.end());
        return set;
    };
    chosen_by = set_of(0);
    for (std::size_t t = 1; t < kTries; ++t) {
        if (set_of(t) != chosen_by) return false;
    }
    return true;
}

TEST(Experts, GradientsAreSlopes) {
    for (std::size_t i = 0; i < routings().size(); ++i) {
        test::FiniteDifference fd;
        fd.chains = {{0, 5}, {5, 15}, {15, 16}};
        Mixture m;
        m.routing = routings()[i];
        m.shared = i >= 2;
        make(fd, m);
        std::vector<float> rows;
        std::vector<int> times(m.gate.size(), 0), set;
        while (rows.size() < 16 * static_cast<std::size_t>(kWidth)) {
            const Tensor row = fd.random_tensor({kWidth});
            if (!steady(fd, m, row.f32(), set)) continue;
            // Every expert is to have a gradient.
            const bool wanted =
                std::any_of(set.begin(), set.end(), [&](int e) { return times[static_cast<std::size_t>(e)] < 2; });
            if (!wanted && rows.size() < 12 * static_cast<std::size_t>(kWidth)) continue;
            for (const int e : set) ++times[static_cast<std::size_t>(e)];
            rows.insert(rows.end(), row.f32().begin(), row.f32().end());
            if (std::all_of(times.begin(), times.end(), [](int n) { return n >= 2; })) times.assign(times.size(), 0);
        }
        fd.input(kWidth, std::move(rows));
        fd.check("experts " + std::to_string(i), [&](Exec& e, std::span<const Mat> in) {
            run(e, m, in[0], nullptr);
            return in[0];
        });
    }
}

}  // namespace
}  // namespace freehold
