// Repacked weights beside stored models, as their user sees them: made by pull, told by show, taken away by rm, and of
// no consequence for the answer whether they are there, damaged or switched off.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <vector>

#include "command_line.h"
#include "freehold/base/hash.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using test::freehold_says;
using test::Said;

constexpr const char* kRun = "run tiny:panels 'Once' --temperature 0 --max-tokens 20";

fs::path panels_folder() {
    const Value doctor = parse_json(freehold_says("doctor --no-measure --json").out, "doctor");
    return fs::path(std::string(*find(*doctor.get<ValueMap>(), "store.home")->as_string())) / "panels";
}

std::vector<fs::path> panel_files() {
    std::vector<fs::path> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(panels_folder(), ec))
        if (entry.path().extension() == ".panels") out.push_back(entry.path());
    return out;
}

std::int64_t told_bytes(const std::string& verb, const char* key) {
    const Said said = freehold_says(verb);
    EXPECT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, verb);
    const Value* bytes = find(*value.get<ValueMap>(), key);
    return bytes == nullptr ? -1 : bytes->as_int().value_or(-1);
}

class Panels : public testing::Test {
 protected:
    void SetUp() override {
        const Said pulled = freehold_says("pull " + test::stories_folder().string() + " --as tiny:panels");
        ASSERT_EQ(pulled.code, 0) << pulled.err;
        EXPECT_NE(pulled.out.find("more on disk"), std::string::npos) << pulled.out;
        ASSERT_EQ(panel_files().size(), 1U);
        file_ = panel_files().front();
        want_ = freehold_says(kRun, {}, "FREEHOLD_PANELS=off").out;
        EXPECT_FALSE(want_.empty());
    }
    void TearDown() override { freehold_says("rm tiny:panels"); }

    void expect_answer(const std::string& when) {
        const Said said = freehold_says(kRun);
        EXPECT_EQ(said.code, 0) << when << said.err;
        EXPECT_EQ(said.out, want_) << when;
        EXPECT_TRUE(said.err.empty()) << when << said.err;
    }

    fs::path file_;
    std::string want_;
};

TEST_F(Panels, AreCountedAndGoWithTheLastName) {
    const auto size = static_cast<std::int64_t>(fs::file_size(file_));
    EXPECT_EQ(told_bytes("show tiny:panels --json", "panel_bytes_on_disk"), size);
    EXPECT_NE(freehold_says("show tiny:panels").out.find("on disk, in addition to the file"), std::string::npos);
    expect_answer("mapped");
    EXPECT_EQ(freehold_says("doctor --verify --no-measure").code, 0);
    EXPECT_EQ(freehold_says("cp tiny:panels tiny:other").code, 0);
    EXPECT_EQ(freehold_says("rm tiny:panels").code, 0);
    EXPECT_TRUE(fs::exists(file_));
    EXPECT_EQ(freehold_says("rm tiny:other").code, 0);
    EXPECT_FALSE(fs::exists(file_));
}

TEST_F(Panels, DamagedOnesAreRemovedAndMadeAgainByPull) {
    const std::string whole = test::file_text(file_);
    const std::size_t tail = whole.rfind("FHPANELS");
    std::string other_layout = whole, other_key = whole, other_size = whole;
    other_layout[tail + 8] = 99;
    other_key[tail + 40] = other_key[tail + 40] == '0' ? '1' : '0';
    other_size[tail + 24] = static_cast<char>(other_size[tail + 24] ^ 1);
    for (const std::string& bad : {std::string(), std::string(10, 'x'), whole.substr(0, whole.size() / 2),
                                   whole.substr(1), whole + "x", other_layout, other_key, other_size}) {
        std::ofstream(file_, std::ios::binary | std::ios::trunc) << bad;
        expect_answer("damaged");
        EXPECT_FALSE(fs::exists(file_));
        expect_answer("without");
    }
    // A changed panel is what --verify is for.
    ASSERT_EQ(freehold_says("pull " + test::stories_folder().string() + " --as tiny:panels").code, 0);
    ASSERT_TRUE(fs::exists(file_));
    EXPECT_EQ(test::file_text(file_), whole);
    std::string changed = whole;
    changed[1000] = static_cast<char>(changed[1000] ^ 1);
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << changed;
    const Said verified = freehold_says("doctor --verify --no-measure");
    EXPECT_NE(verified.code, 0);
    EXPECT_NE(verified.out.find(".panels"), std::string::npos) << verified.out;
    // And a pull mends it.
    ASSERT_EQ(freehold_says("pull " + test::stories_folder().string() + " --as tiny:panels").code, 0);
    EXPECT_EQ(test::file_text(file_), whole);
    EXPECT_EQ(freehold_says("doctor --verify --no-measure").code, 0);
}

// A byte of the panels changes, and the digest at the end with it: only what the model's files give can tell.
TEST_F(Panels, ChangedWithTheirDigestAreNamedAndMadeAnew) {
    const std::string whole = test::file_text(file_);
    const Said before = freehold_says("verify tiny:panels");
    EXPECT_EQ(before.code, 2) << before.out;  // nobody signed it
    EXPECT_NE(before.out.find("made anew and compared"), std::string::npos) << before.out;
    EXPECT_NE(freehold_says("doctor --verify --no-measure").out.find("made anew"), std::string::npos);
    std::string changed = whole.substr(0, whole.size() - 64);
    changed[1000] = static_cast<char>(changed[1000] ^ 1);
    changed += sha256_hex(std::as_bytes(std::span(changed)));
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << changed;
    const Said verified = freehold_says("verify tiny:panels");
    EXPECT_EQ(verified.code, 1) << verified.out;
    EXPECT_NE(verified.out.find("are not what the model's files give"), std::string::npos) << verified.out;
    EXPECT_NE(verified.out.find("pull"), std::string::npos) << verified.out;
    const Said doctor = freehold_says("doctor --verify --no-measure");
    EXPECT_NE(doctor.code, 0);
    EXPECT_NE(doctor.out.find(file_.filename().string()), std::string::npos) << doctor.out;
    // And a pull mends it.
    ASSERT_EQ(freehold_says("pull " + test::stories_folder().string() + " --as tiny:panels").code, 0);
    EXPECT_EQ(test::file_text(file_), whole);
    EXPECT_EQ(freehold_says("verify tiny:panels").code, 2);
}

TEST_F(Panels, OfAnotherModelAreNotTaken) {
    // Another table under the right name and key: names, shapes and places decide for each weight.
    std::string renamed = test::file_text(file_);
    const std::size_t at = renamed.rfind("layers.0.attn.q");
    ASSERT_NE(at, std::string::npos);
    renamed[at + 7] = '9';
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << renamed;
    expect_answer("renamed");
    EXPECT_FALSE(fs::exists(file_)) << "of no use to the next start";
}

TEST_F(Panels, AreNotMadeWhereNobodyWantsThem) {
    EXPECT_EQ(freehold_says("rm tiny:panels").code, 0);
    const std::string pull = "pull " + test::stories_folder().string() + " --as tiny:panels";
    EXPECT_EQ(told_bytes(pull + " --no-panels --json", "panel_bytes"), 0);
    EXPECT_TRUE(panel_files().empty());
    EXPECT_NE(freehold_says("show tiny:panels").out.find("none on disk"), std::string::npos);
    EXPECT_EQ(freehold_says(pull, {}, "FREEHOLD_PANELS=off").code, 0);
    EXPECT_TRUE(panel_files().empty());
    EXPECT_NE(freehold_says(pull, {}, "FREEHOLD_PANELS=perhaps").code, 0);
    EXPECT_EQ(freehold_says("rm tiny:panels").code, 0);
    EXPECT_EQ(freehold_says(pull + " --link").code, 0);
    EXPECT_TRUE(panel_files().empty()) << "used in place";
    expect_answer("linked");
}

}  // namespace
}  // namespace freehold
