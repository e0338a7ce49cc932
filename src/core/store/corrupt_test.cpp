// Every file of tests/corrupt/store gets the error that EXPECTED.tsv names, with a sentence that says what is wrong.
// The files are made by tests/oracle/make_corrupt_store.py.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "freehold/store/catalogue.h"
#include "freehold/store/source.h"
#include "layout.h"
#include "sources.h"
#include "support/scratch.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

struct Expectation {
    std::string file, kind, phrase;
};

const fs::path& folder() {
    static const fs::path path = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "corrupt" / "store";
    return path;
}

std::vector<Expectation> expectations() {
    std::vector<Expectation> out;
    std::ifstream in(folder() / "EXPECTED.tsv");
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') continue;
        const auto first = line.find('\t'), second = line.find('\t', first + 1);
        out.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)});
    }
    return out;
}

void read(const std::string& name) {
    const fs::path path = folder() / name;
    if (name.ends_with(".whl")) {
        const testing::Scratch scratch;
        FetchOptions options;
        options.partial_dir = scratch.path() / "work";
        static_cast<void>(sources::fetch_wheel(path, SourceSpec::parse(path.string()), options));
        return;
    }
    const std::string text = testing::read_file(path);
    if (name.starts_with("index")) static_cast<void>(layout::parse_index(text, name));
    if (name.starts_with("manifest")) static_cast<void>(layout::parse_manifest(text, name));
    if (name.starts_with("layout")) layout::check_layout_file(text, name);
    if (name.starts_with("catalogue")) static_cast<void>(Catalogue::parse(text, name));
}

TEST(CorruptStore, EveryFileGetsItsError) {
    const auto all = expectations();
    ASSERT_GT(all.size(), 90U);
    for (const Expectation& expected : all) {
        std::string kind = "ok", message, hint;
        try {
            read(expected.file);
        } catch (const Error& e) {
            kind = kind_name(e.kind());
            message = e.message();
            hint = e.hint();
        }
        EXPECT_EQ(kind, expected.kind) << expected.file << ": " << message;
        EXPECT_NE(message.find(expected.phrase), std::string::npos) << expected.file << ": " << message;
        if (kind == "ok") continue;
        EXPECT_EQ(message.back(), '.') << "a sentence ends: " << message;
        EXPECT_LT(message.size(), 1000U) << expected.file;
        for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << expected.file;
    }
}

TEST(CorruptStore, EveryFileIsExpected) {
    std::set<std::string> named{"EXPECTED.tsv"};
    for (const Expectation& expected : expectations()) named.insert(expected.file);
    for (const auto& entry : fs::directory_iterator(folder()))
        EXPECT_TRUE(named.contains(entry.path().filename().string())) << entry.path();
}

}  // namespace
}  // namespace freehold
