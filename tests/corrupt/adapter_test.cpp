// Opens every adapter of tests/corrupt/adapter and expects the error that EXPECTED.tsv names; the sound ones of
// tests/golden open.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/formats/adapter_files.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "corrupt" / "adapter";

struct Fault {
    std::string path, kind, phrase;
};

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

TEST(CorruptAdapter, GetsItsError) {
    const auto faults = read_expected();
    EXPECT_GT(faults.size(), 40U);
    for (const Fault& fault : faults) {
        const fs::path path = kFolder / fault.path;
        ASSERT_TRUE(fs::exists(path)) << path;
        try {
            AdapterFiles::open(path);
            ADD_FAILURE() << fault.path << " was opened without complaint";
        } catch (const Error& e) {
            EXPECT_STREQ(kind_name(e.kind()), fault.kind.c_str()) << fault.path << ": " << e.message();
            EXPECT_NE(e.message().find(fault.phrase), std::string::npos) << fault.path << ": " << e.message();
            EXPECT_TRUE(e.message().ends_with('.')) << "a message is a sentence: " << e.message();
        }
    }
    for (const auto& entry : fs::directory_iterator(kFolder)) {
        const std::string name = entry.path().filename().string();
        const bool named = name == "EXPECTED.tsv" ||
                           std::any_of(faults.begin(), faults.end(), [&](const Fault& f) { return f.path == name; });
        EXPECT_TRUE(named) << name;
    }
}

TEST(CorruptAdapter, IsToldFromASoundOne) {
    const fs::path golden = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "golden";
    for (const char* name : {"llama", "llama-some", "gemma3", "gpt2"}) {
        const fs::path folder = golden / "adapters" / name;
        EXPECT_TRUE(AdapterFiles::is_one(folder)) << name;
        EXPECT_TRUE(AdapterFiles::is_one(folder / "adapter_model.safetensors")) << name;
        const auto files = AdapterFiles::open(folder);
        EXPECT_EQ(files->base(),
                  std::string("freehold/tiny-") + (std::string_view(name) == "llama-some" ? "llama" : name));
        EXPECT_EQ(files->digest().size(), 71U);
        EXPECT_GT(files->n_params(), 0U);
    }
    EXPECT_FALSE(AdapterFiles::is_one(golden / "models" / "llama"));
    EXPECT_FALSE(AdapterFiles::is_one(golden / "models" / "llama" / "llama.gguf"));
    EXPECT_FALSE(AdapterFiles::is_one(golden / "nothing"));
}

}  // namespace
}  // namespace freehold
