// Which table runs: the test says so, and is red when the CPU has an instruction set that the program would not use.
// FREEHOLD_ISA, when it is set for a test run, is respected.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "freehold/base/error.h"
#include "freehold/kernels/kernels.h"

namespace freehold {
namespace {

TEST(Dispatch, UsesTheBestTableThatTheCpuCanRun) {
    std::string names;
    for (const Kernels* k : available_kernels()) names += std::string(names.empty() ? "" : ", ") + k->name;
    const char* wanted = std::getenv("FREEHOLD_ISA");
    std::cout << "kernels in this build for this CPU: " << names << "; in force: " << active_kernels().name << "\n";
    ASSERT_EQ(available_kernels().front(), &scalar_kernels());
    if (wanted != nullptr && *wanted != '\0') {
        EXPECT_STREQ(active_kernels().name, wanted);
        return;
    }
    EXPECT_EQ(&active_kernels(), available_kernels().back());
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        EXPECT_NE(find_kernels("avx2"), nullptr) << "the CPU has AVX2, the table is missing";
        EXPECT_STRNE(active_kernels().name, "scalar");
    }
    // The compiler's own detection as a second opinion: it looks at XCR0 as well.
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512vnni");
    EXPECT_EQ(find_kernels("avx512") != nullptr, avx512);
    EXPECT_EQ(find_kernels("avx512bf16") != nullptr, avx512 && __builtin_cpu_supports("avx512bf16"));
#elif defined(__aarch64__)
    EXPECT_NE(find_kernels("neon"), nullptr) << "every aarch64 has NEON, the table is missing";
    // "asimddp" in /proc/cpuinfo is bit 20 of the same mask.
    EXPECT_EQ(find_kernels("neondot") != nullptr, (::getauxval(AT_HWCAP) >> 20 & 1U) != 0);
#endif
}

TEST(Dispatch, EveryTableIsFull) {
    for (const Kernels* k : available_kernels()) {
        SCOPED_TRACE(k->name);
        EXPECT_TRUE(k->panel_f32 && k->panel_bf16 && k->panel_q8 && k->quantize_row && k->to_bf16 && k->f16_to_f32 &&
                    k->f32_to_f16);
        EXPECT_TRUE(k->norm_row && k->activate && k->xielu && k->add && k->add_scaled && k->scale && k->rope &&
                    k->attend);
        EXPECT_TRUE(k->argmax && k->max_value && k->exp_sum && k->softcap);
        EXPECT_EQ(find_kernels(k->name), k);
    }
    EXPECT_EQ(find_kernels("abacus"), nullptr);
}

}  // namespace
}  // namespace freehold
