// freehold openness: forms of the report, needs and exit codes, several models, a person's word.
#include <gtest/gtest.h>

#include <filesystem>

#include "command_line.h"
#include "freehold/base/value.h"
#include "support/scratch.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;
using testing::Scratch;

const Value& at(const Value& value, std::string_view path) {
    const Value* found = find(*value.get<ValueMap>(), path);
    if (found == nullptr) throw std::runtime_error("no " + std::string(path));
    return *found;
}

class Openness : public ::testing::Test {
 protected:
    Openness() {
        testing::write_tiny_gguf(scratch_ / "m/model.gguf", 3, 256, "apache-2.0");
        testing::write_file(scratch_ / "m/train.py", "# soon\n");
    }
    [[nodiscard]] std::string model() const { return (scratch_ / "m").string(); }
    Scratch scratch_;
};

TEST_F(Openness, TextJsonSarifAndPage) {
    const Said text = freehold_says("openness " + model());
    ASSERT_EQ(text.code, 0) << text.err;
    for (const char* words : {"Open weights, permissive", "the text of that licence is not here",
                              "no code that does anything", "not legal advice", "general.architecture"})
        EXPECT_NE(text.out.find(words), std::string::npos) << words << "\n" << text.out;
    const Value json = parse_json(freehold_says("openness " + model() + " --json").out, "stdout");
    EXPECT_EQ(at(json, "category.key").as_string(), "open-weights-permissive");
    EXPECT_EQ(at(json, "components").size(), 19U);
    EXPECT_EQ(at(json, "osaid.items").size(), 7U);
    const Value sarif = parse_json(freehold_says("openness " + model() + " --sarif").out, "stdout");
    EXPECT_EQ(at(sarif, "version").as_string(), "2.1.0");
    const std::string page = (scratch_ / "r.html").string();
    EXPECT_EQ(freehold_says("openness " + model() + " --html " + page).code, 0);
    EXPECT_NE(test::file_text(page).find("</html>"), std::string::npos);
}

TEST_F(Openness, NeedsDecideTheExitCode) {
    EXPECT_EQ(freehold_says("openness " + model() + " --need weights").code, 0);
    EXPECT_EQ(freehold_says("openness " + model() + " --need weights,open-weights").code, 11);
    EXPECT_EQ(freehold_says("openness " + model() + " --need open-weights --trust-claims").code, 0);
    EXPECT_EQ(freehold_says("openness " + model() + " --need weights,training-code,open-weights").code, 1);
    const Said wrong = freehold_says("openness " + model() + " --need traning");
    EXPECT_EQ(wrong.code, 2);
    EXPECT_NE(wrong.err.find("data-information"), std::string::npos) << wrong.err;
    EXPECT_EQ(freehold_says("openness").code, 2);
    EXPECT_EQ(freehold_says("openness nobody:7b").code, 3);
}

TEST_F(Openness, SeveralStandSideBySide) {
    testing::write_tiny_gguf(scratch_ / "g.gguf", 4, 256, "gemma");
    const Said said = freehold_says("openness " + model() + " " + (scratch_ / "g.gguf").string());
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_NE(said.out.find("open-weights-restricted (claimed)"), std::string::npos) << said.out;
    const Value json = parse_json(
        freehold_says("openness " + model() + " " + (scratch_ / "g.gguf").string() + " --json").out, "stdout");
    EXPECT_EQ(json.size(), 2U);
}

TEST_F(Openness, APersonsWordIsKeptAndShownAsThat) {
    const std::string home = "FREEHOLD_HOME=" + (scratch_ / "home").string();
    const std::string words = "openness attest " + model() + " --item data-described --answer yes --name 'A. Weber'";
    EXPECT_EQ(freehold_says(words, {}, home).code, 2) << "no role";
    EXPECT_EQ(
        freehold_says("openness attest " + model() + " --item weather --answer yes --name A --role B", {}, home).code,
        2);
    const Said said = freehold_says(words + " --role maintainer --statement 'All of it.'", {}, home);
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_TRUE(std::filesystem::exists(model() + ".attestations.json"));
    const auto mode = std::filesystem::status(scratch_ / "home/attestations/signing.key.pem").permissions();
    EXPECT_EQ(mode & std::filesystem::perms::all,
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const Said report = freehold_says("openness " + model(), {}, home);
    EXPECT_NE(report.out.find("says A. Weber (maintainer)"), std::string::npos) << report.out;
    EXPECT_NE(report.out.find("signature: good"), std::string::npos) << report.out;
    const Value json = parse_json(freehold_says("openness " + model() + " --json", {}, home).out, "stdout");
    EXPECT_EQ(at(at(json, "attestations").at(0), "own_key").as_bool(), true);
    EXPECT_EQ(at(json, "category.as_attested").as_string(), "open-weights-permissive");
}

}  // namespace
}  // namespace freehold
