// Quantisers: how much error each leaves on numbers like weights, the same bytes on every machine, and nothing
// undefined whatever they are given. Bounds are what they reach; tests/oracle/quantise_errors.py compares with other
// writers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "freehold/tensor/dtype.h"

namespace freehold {
namespace {

// Sums of eight uniform numbers from a fixed generator: near a normal distribution, without a library.
std::vector<float> weights(std::size_t n) {
    std::uint64_t state = 3;
    std::vector<float> x(n);
    for (float& v : x) {
        std::int64_t sum = 0;
        for (int i = 0; i < 8; ++i) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            sum += static_cast<std::int64_t>(state >> 48) - 32768;
        }
        v = static_cast<float>(sum) * 0x1p-21F;
    }
    return x;
}

std::vector<std::byte> encode(const DTypeTraits& t, const std::vector<float>& x) {
    std::vector<std::byte> bytes(x.size() / t.block * t.bytes);
    t.from_f32(x.data(), bytes.data(), x.size());
    return bytes;
}

std::vector<float> decode(const DTypeTraits& t, const std::vector<std::byte>& bytes) {
    std::vector<float> x(bytes.size() / t.bytes * t.block);
    t.to_f32(bytes.data(), x.data(), x.size());
    return x;
}

std::uint64_t fnv(const std::vector<std::byte>& bytes) {
    std::uint64_t hash = 14695981039346656037U;
    for (const std::byte b : bytes) hash = (hash ^ static_cast<std::uint64_t>(b)) * 1099511628211U;
    return hash;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
    double error = 0, size = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double off = static_cast<double>(got[i]) - static_cast<double>(want[i]);
        error += off * off;
        size += static_cast<double>(want[i]) * static_cast<double>(want[i]);
    }
    return std::sqrt(error / size);
}

std::vector<const DTypeTraits*> quantisers() {
    std::vector<const DTypeTraits*> list;
    for (const DTypeTraits* t : all_traits())
        if (t->quantised && t->from_f32 != nullptr) list.push_back(t);
    return list;
}

struct Expected {
    double error;        // root of the squared error over that of the numbers, at most
    std::uint64_t hash;  // of the bytes
};

TEST(Quantisers, LeaveLittleErrorAndGiveTheSameBytesEverywhere) {
    static const std::map<std::string, Expected> known = {
        {"IQ4_NL", {0.07308, 12298161065913152910U}}, {"Q3_K", {0.14279, 13259823410870352934U}},
        {"Q4_0", {0.08008, 16842785342373450260U}},   {"Q4_1", {0.06895, 5652629568466329608U}},
        {"Q4_K", {0.06950, 9611732039268963508U}},    {"Q5_0", {0.03937, 10152508345692832170U}},
        {"Q5_1", {0.03336, 1529527027397218496U}},    {"Q5_K", {0.03428, 4607400733377379896U}},
        {"Q6_K", {0.01724, 1585313462151668484U}},    {"Q8_0", {0.00524, 6491793481836420570U}},
    };
    const std::vector<float> x = weights(16384);
    ASSERT_GE(quantisers().size(), 10U);
    for (const DTypeTraits* t : quantisers()) {
        const std::string name(t->name);
        const std::vector<std::byte> bytes = encode(*t, x);
        const double error = relative_error(decode(*t, bytes), x);
        const auto expected = known.find(name);
        if (expected == known.end()) {
            ADD_FAILURE() << name << " has no entry: error " << error << ", hash " << fnv(bytes);
            continue;
        }
        EXPECT_LE(error, expected->second.error) << name;
        EXPECT_EQ(fnv(bytes), expected->second.hash) << name;
    }
}

TEST(Quantisers, KeepZerosAndConstants) {
    for (const DTypeTraits* t : quantisers()) {
        SCOPED_TRACE(std::string(t->name));
        for (const float value : {0.0F, 1.0F, -1.0F, 0.015625F}) {
            const std::vector<float> x(512, value);
            for (const float v : decode(*t, encode(*t, x))) EXPECT_NEAR(v, value, std::abs(value) / 100);
        }
        std::vector<float> one(512, 0.0F);  // a single number among zeros
        one[300] = -0.75F;
        const std::vector<float> back = decode(*t, encode(*t, one));
        for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(back[i], one[i], 0.01);
    }
}

// Rows are cut anywhere between blocks by whoever splits the work.
TEST(Quantisers, LookAtOneBlockAtATime) {
    const std::vector<float> x = weights(2048);
    for (const DTypeTraits* t : quantisers()) {
        const std::vector<std::byte> whole = encode(*t, x);
        std::vector<std::byte> parts(whole.size());
        for (std::size_t at = 0; at < x.size(); at += 256)
            t->from_f32(x.data() + at, parts.data() + at / t->block * t->bytes, 256);
        EXPECT_EQ(whole, parts) << t->name;
    }
}

TEST(Quantisers, AnyNumbersGiveSomeCodes) {
    std::uint64_t state = 5;
    for (const DTypeTraits* t : quantisers())
        for (int round = 0; round < 40; ++round) {
            std::vector<float> x(256);
            for (float& v : x) {
                state = state * 6364136223846793005U + 1442695040888963407U;
                v = __builtin_bit_cast(float, static_cast<std::uint32_t>(state >> 32));  // any exponent, NaN, infinity
            }
            if (round % 4 == 0) x[7] = std::numeric_limits<float>::infinity();
            if (round % 4 == 1) x.assign(256, std::numeric_limits<float>::denorm_min());
            if (round % 4 == 2) x.assign(256, std::numeric_limits<float>::quiet_NaN());
            EXPECT_EQ(encode(*t, x), encode(*t, x)) << t->name;
            EXPECT_EQ(decode(*t, encode(*t, x)).size(), x.size());
        }
}

}  // namespace
}  // namespace freehold
