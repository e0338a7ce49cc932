// Panel files: what is written is found again, for exactly the facts it was made from; what is cut, changed or of other
// origin is refused before a byte of it is used.
#include "freehold/formats/panel_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "freehold/base/error.h"
#include "support/scratch.h"

namespace freehold {
namespace {

using testing::error_of;
using testing::Scratch;

const std::string kKey(64, 'a');

PanelFacts facts_of(const std::string& name, std::uint64_t bytes) {
    return {name, DType::Q4_1, 2, 48, 64, 4096, bytes};
}

std::vector<std::byte> content(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::byte> out(n);
    for (std::byte& b : out) b = static_cast<std::byte>(random());
    return out;
}

// Three weights of sizes that are no multiples of the alignment; one is empty.
std::string written(const std::filesystem::path& path) {
    PanelFileWriter writer(path, kKey);
    writer.add(facts_of("embed", 1000), content(1000, 1));
    writer.add(facts_of("layers.0.attn.q", 0), {});
    writer.add(facts_of("layers.0.attn.k", 64), content(64, 2));
    const std::uint64_t size = writer.finish();
    std::string bytes = testing::read_file(path);
    EXPECT_EQ(size, bytes.size());
    return bytes;
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

TEST(PanelFile, GivesBackWhatWasWritten) {
    const Scratch scratch;
    written(scratch / "p");
    const auto file = PanelFile::open(scratch / "p", kKey);
    file->verify();
    for (const auto& [name, n, seed] : {std::tuple{"embed", 1000U, 1U}, {"layers.0.attn.k", 64U, 2U}}) {
        const auto found = file->find(facts_of(name, n));
        ASSERT_NE(found, nullptr) << name;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.get()) % 64, 0U);
        EXPECT_EQ(std::memcmp(found.get(), content(n, seed).data(), n), 0) << name;
    }
    EXPECT_EQ(file->find(facts_of("layers.0.attn.v", 64)), nullptr);
}

TEST(PanelFile, IsFoundOnlyByTheVeryFacts) {
    const Scratch scratch;
    written(scratch / "p");
    const auto file = PanelFile::open(scratch / "p", kKey);
    const PanelFacts right = facts_of("embed", 1000);
    ASSERT_NE(file->find(right), nullptr);
    PanelFacts other = right;
    other.dtype = DType::Q4_0;
    EXPECT_EQ(file->find(other), nullptr);
    (other = right).profile = 0;
    EXPECT_EQ(file->find(other), nullptr);
    (other = right).rows = 49;
    EXPECT_EQ(file->find(other), nullptr);
    (other = right).cols = 32;
    EXPECT_EQ(file->find(other), nullptr);
    (other = right).source_offset = 4097;
    EXPECT_EQ(file->find(other), nullptr);
    (other = right).bytes = 1001;
    EXPECT_EQ(file->find(other), nullptr);
}

TEST(PanelFile, NothingIsThereBeforeTheEnd) {
    const Scratch scratch;
    {
        PanelFileWriter writer(scratch / "p", kKey);
        writer.add(facts_of("embed", 1000), content(1000, 1));
    }
    EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(PanelFile, CutAnywhereItIsRefused) {
    const Scratch scratch;
    const std::string whole = written(scratch / "p");
    static_cast<void>(parse_panel_table(bytes_of(whole), kKey, "p"));
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const std::string cut = whole.substr(0, n);
        EXPECT_EQ(error_of([&] { static_cast<void>(parse_panel_table(bytes_of(cut), kKey, "p")); }).kind(),
                  ErrorKind::bad_file)
            << n;
    }
    const std::string longer = whole + "x";
    EXPECT_EQ(error_of([&] { static_cast<void>(parse_panel_table(bytes_of(longer), kKey, "p")); }).kind(),
              ErrorKind::bad_file);
}

// A changed bit in table or tail is refused, or changes facts that no reader asks for; in the panels only the digest
// can tell.
TEST(PanelFile, EveryChangedBitIsSeen) {
    const Scratch scratch;
    const std::string whole = written(scratch / "p");
    const std::vector<PanelEntry> want = parse_panel_table(bytes_of(whole), kKey, "p");
    const std::size_t body = 1024 + 64, digest = whole.size() - 64;
    for (std::size_t i = body; i < digest; ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = whole;
            changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
            std::vector<PanelEntry> got;
            try {
                got = parse_panel_table(bytes_of(changed), kKey, "p");
            } catch (const Error& e) {
                ASSERT_EQ(e.kind(), ErrorKind::bad_file) << i;
                continue;
            }
            ASSERT_EQ(got.size(), want.size());
            bool same = true;
            for (std::size_t e = 0; e < got.size(); ++e) {
                EXPECT_EQ(got[e].at, want[e].at) << "places follow from sizes";
                same = same && got[e].facts == want[e].facts;
            }
            EXPECT_FALSE(same) << "byte " << i << " bit " << bit << " went unseen";
        }
    }
    for (const std::size_t i : {std::size_t{0}, std::size_t{999}, body - 1, whole.size() - 1}) {
        std::string changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        testing::write_file(scratch / "changed", changed);
        EXPECT_EQ(error_of([&] { PanelFile::open(scratch / "changed", kKey)->verify(); }).kind(), ErrorKind::bad_file);
    }
}

TEST(PanelFile, OtherKeysLayoutsAndDoublesAreRefused) {
    const Scratch scratch;
    std::string whole = written(scratch / "p");
    const Error key = error_of([&] { static_cast<void>(PanelFile::open(scratch / "p", std::string(64, 'b'))); });
    EXPECT_EQ(key.kind(), ErrorKind::bad_file);
    EXPECT_NE(key.message().find("made from other files"), std::string::npos);
    const std::size_t layout = whole.rfind("FHPANELS") + 8;
    whole[layout] = static_cast<char>(kPanelLayout + 1);
    const Error other = error_of([&] { static_cast<void>(parse_panel_table(bytes_of(whole), kKey, "p")); });
    EXPECT_NE(other.message().find("layout"), std::string::npos) << other.message();
    PanelFileWriter twice(scratch / "twice", kKey);
    twice.add(facts_of("embed", 64), content(64, 1));
    twice.add(facts_of("embed", 64), content(64, 1));
    twice.finish();
    EXPECT_EQ(error_of([&] { static_cast<void>(PanelFile::open(scratch / "twice", kKey)); }).kind(),
              ErrorKind::bad_file);
    EXPECT_EQ(error_of([&] { static_cast<void>(PanelFile::open(scratch / "none", kKey)); }).kind(),
              ErrorKind::not_found);
    EXPECT_EQ(error_of([&] { static_cast<void>(PanelFileWriter(scratch / "x", "short")); }).kind(),
              ErrorKind::internal);
}

}  // namespace
}  // namespace freehold
