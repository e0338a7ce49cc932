// Real files, when FREEHOLD_TEST_MODELS names a folder that has them: the same bits however a prompt is cut and whoever
// computes it, in the profile that serves the file.
#include <cstdlib>
#include <filesystem>

#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

class RealFiles : public testing::TestWithParam<const char*> {};

TEST_P(RealFiles, SameBitsHoweverCutAndWhoeverComputes) {
    const char* const folder = std::getenv("FREEHOLD_TEST_MODELS");
    const std::string path = std::string(folder == nullptr ? "" : folder) + "/" + GetParam();
    if (folder == nullptr || !std::filesystem::exists(path)) {
        GTEST_SKIP() << "FREEHOLD_TEST_MODELS does not name a folder with " << GetParam();
    }
    ThreadPool two(2), three(3);
    const auto files = ModelFiles::open(path);
    const Profile profile = default_profile(*files);
    EXPECT_EQ(profile, Profile::q8);
    const auto decoder = Decoder::load(files, {profile, true, {}}, two);
    std::vector<Token> tokens;
    for (int i = 0; i < 41; ++i) tokens.push_back((i * 7919 + 13) % decoder->spec().vocab);
    const std::filesystem::path kept = std::filesystem::path(testing::TempDir()) / "freehold_real_panels";
    write_panels(files, profile, kept, std::string(64, '0'), two);
    LoadOptions from_file{profile, true, {}, PanelFile::open(kept, std::string(64, '0'))};
    std::filesystem::remove(kept);
    const auto mapped = Decoder::load(files, from_file, three);
    EXPECT_EQ(mapped->mapped_panel_bytes(), decoder->panel_bytes());
    for (const KvType type : {KvType::F16, KvType::F32, KvType::Q8_0}) {
        test::Session plain(*decoder, two, type);
        const std::vector<float> want = plain.feed(tokens);
        const auto same = [&](const Decoder& d, ThreadPool& threads, const Kernels& kernels, std::span<const Token> ids,
                              std::size_t chunk) {
            test::Session session(d, threads, type, kernels);
            const std::vector<float> got = session.feed(ids, chunk);
            return std::memcmp(want.data(), got.data(), got.size() * sizeof(float)) == 0;
        };
        for (const std::size_t chunk : {1, 7, 16})
            EXPECT_TRUE(same(*decoder, three, active_kernels(), tokens, chunk)) << "chunks of " << chunk;
        EXPECT_TRUE(same(*mapped, two, active_kernels(), tokens, 16)) << "panels from a file";
        EXPECT_TRUE(same(*decoder, two, scalar_kernels(), std::span(tokens).first(3), 0)) << "scalar kernels";
        const auto unpacked = Decoder::load(files, {profile, false, {}}, two);
        EXPECT_EQ(unpacked->panel_bytes(), 0U);
        EXPECT_TRUE(same(*unpacked, two, active_kernels(), std::span(tokens).first(9), 0)) << "without panels";
    }
}

INSTANTIATE_TEST_SUITE_P(Named, RealFiles, testing::Values("smollm2.gguf", "gemma3.gguf"));

}  // namespace
}  // namespace freehold
