// No finding where there is nothing: the model files, templates and vocabularies of this repository, and whatever real
// ones FREEHOLD_CLEAN_CORPUS names (folders joined by ':').
#include "support.h"

namespace freehold::scan_test {
namespace {

void expect_clean(const fs::path& folder) {
    const auto report = scan::scan_path(folder);
    EXPECT_GT(report.files.size(), 0U) << folder;
    for (const auto& file : report.files) EXPECT_TRUE(file.findings.empty()) << folder << shown(file);
}

TEST(ScanCleanCorpus, TheModelsAndTemplatesOfThisRepositoryAreClean) {
    const fs::path root(FREEHOLD_SOURCE_DIR);
    for (const char* folder :
         {"tests/golden/templates", "tests/golden/models", "tests/golden/formats", "tests/golden/adapters",
          "tests/golden/encoders", "tests/golden/tokenizers", "tests/data/stories260K"}) {
        if (fs::exists(root / folder)) expect_clean(root / folder);
    }
}

TEST(ScanCleanCorpus, RealModelFilesAreClean) {
    const char* folders = std::getenv("FREEHOLD_CLEAN_CORPUS");
    if (folders == nullptr) GTEST_SKIP() << "FREEHOLD_CLEAN_CORPUS names no folders of real model files";
    std::string_view rest = folders;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(':'), rest.size());
        expect_clean(fs::path(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

}  // namespace
}  // namespace freehold::scan_test
