// Opens every file of tests/corrupt/files and expects the error that EXPECTED.tsv names: its kind, and a phrase that
// shows that it is this fault which was seen and not another.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/formats/model_files.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "corrupt";

struct Fault {
    std::string path, kind, phrase;
};

// So that a failing case prints its path instead of bytes.
void PrintTo(const Fault& fault, std::ostream* out) {
    *out << fault.path;
}

std::vector<Fault> read_expected() {
    std::vector<Fault> faults;
    std::ifstream in(kFolder / "EXPECTED.tsv");
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') continue;
        const std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
        faults.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)});
    }
    return faults;
}

std::string test_name(const testing::TestParamInfo<Fault>& info) {
    std::string name;
    for (const char c : info.param.path) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    return name;
}

class Corrupt : public testing::TestWithParam<Fault> {};

TEST_P(Corrupt, GetsItsError) {
    const fs::path path = kFolder / "files" / GetParam().path;
    ASSERT_TRUE(fs::exists(path)) << path;
    try {
        ModelFiles::open(path);
        FAIL() << "was opened without complaint";
    } catch (const Error& e) {
        EXPECT_STREQ(kind_name(e.kind()), GetParam().kind.c_str()) << e.message();
        EXPECT_NE(e.message().find(GetParam().phrase), std::string::npos) << e.message();
        EXPECT_TRUE(e.message().ends_with('.')) << "a message is a sentence: " << e.message();
        EXPECT_LT(e.message().size(), 1000U);
    }
}

INSTANTIATE_TEST_SUITE_P(Files, Corrupt, testing::ValuesIn(read_expected()), test_name);

TEST(CorruptFolder, HasNoFileThatTheTableForgets) {
    const auto faults = read_expected();
    EXPECT_GT(faults.size(), 130U);
    for (const auto& entry : fs::recursive_directory_iterator(kFolder / "files")) {
        if (!entry.is_regular_file()) continue;
        const std::string file = fs::relative(entry.path(), kFolder / "files").string();
        const bool named = std::any_of(faults.begin(), faults.end(), [&](const Fault& f) {
            // Either itself, or a file beside the one that is named, or inside the folder that is named.
            return file == f.path || file.starts_with(f.path + "/") ||
                   (f.path.find('/') != f.path.rfind('/') &&
                    fs::path(file).parent_path() == fs::path(f.path).parent_path());
        });
        EXPECT_TRUE(named) << file;
    }
}

}  // namespace
}  // namespace freehold
