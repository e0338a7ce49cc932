// The framework's classes: every list that the Model Openness Tool publishes, against that tool's own results.
#include "freehold/openness/mof.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;
using C = Component;

struct Expected {
    int mof_class = 0;
    std::array<double, 3> progress = {};
    std::set<std::string> missing;
};

std::vector<std::string> split(const std::string& line, char at) {
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string word; std::getline(in, word, at);) out.push_back(word);
    return out;
}

std::map<std::string, Expected> read_expected() {
    std::map<std::string, Expected> out;
    std::ifstream in(fs::path(FREEHOLD_TEST_DATA) / "openness/expected.tsv");
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
        if (line.ends_with('\r')) line.pop_back();
        const auto cells = split(line, '\t');
        Expected e;
        e.mof_class = std::stoi(cells.at(2));
        for (std::size_t i = 0; i < 3; ++i) e.progress.at(i) = std::stod(cells.at(3 + i));
        if (cells.size() > 6)
            for (const std::string& name : split(cells[6], ',')) e.missing.insert(name);
        out.emplace(cells.at(0), std::move(e));
    }
    return out;
}

TEST(ModelOpennessFramework, AgreesWithTheToolOnEveryPublishedList) {
    const std::map<std::string, Expected> expected = read_expected();
    const std::string all = read_text(fs::path(FREEHOLD_TEST_DATA) / "openness/published.yml");
    std::size_t checked = 0;
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = std::min(all.find("\n---\n", at), all.size());
        const std::string one = all.substr(at, end - at);
        at = end + 5;
        const std::string file = one.substr(2, one.find('\n') - 2);
        ASSERT_TRUE(expected.contains(file)) << file;
        const Expected& want = expected.at(file);
        const MofResult got = evaluate(read_published(one, file).components, Lists::tool);
        EXPECT_EQ(got.mof_class, want.mof_class) << file;
        for (std::size_t i = 0; i < 3; ++i)
            EXPECT_NEAR(got.progress.at(i), want.progress.at(i), 0.051) << file << " " << i;
        std::set<std::string> missing;
        for (const C c : got.missing_for(3)) missing.insert(info(c).mof);
        // The tool names a report that is there without an open licence, although a paper stands for it.
        const Standing report = got.items.at(static_cast<std::size_t>(C::technical_report)).standing;
        if (report == Standing::invalid || report == Standing::unlicensed) missing.insert("Technical report");
        EXPECT_EQ(missing, want.missing) << file;
        ++checked;
    }
    EXPECT_EQ(checked, 154U);
    EXPECT_EQ(expected.size(), 154U);
}

std::vector<Declared> complete(const std::string& code = "Apache-2.0", const std::string& rest = "CC-BY-4.0") {
    std::vector<Declared> out;
    for (const ComponentInfo& i : all_components())
        if (i.mof_class > 0) out.push_back({i.id, i.kind == Kind::code ? code : rest});
    return out;
}

int class_without(C c) {
    std::vector<Declared> list = complete();
    std::erase_if(list, [&](const Declared& d) { return d.component == c; });
    return evaluate(list, Lists::tool).mof_class;
}

TEST(ModelOpennessFramework, EachComponentDecidesItsClass) {
    EXPECT_EQ(evaluate(complete(), Lists::tool).mof_class, 1);
    for (const ComponentInfo& i : all_components()) {
        if (i.mof_class == 0) continue;
        int want = !i.required || i.id == C::technical_report ? 1 : i.mof_class == 3 ? 0 : i.mof_class + 1;
        EXPECT_EQ(class_without(i.id), want) << i.key;
    }
}

TEST(ModelOpennessFramework, APaperStandsForTheReportAndMustThenBeOpen) {
    std::vector<Declared> list = complete();
    std::erase_if(list, [](const Declared& d) { return d.component == C::technical_report; });
    EXPECT_EQ(evaluate(list, Lists::tool).mof_class, 1);
    for (Declared& d : list)
        if (d.component == C::research_paper) d.licence = "CC-BY-NC-4.0";
    const MofResult r = evaluate(list, Lists::tool);
    EXPECT_EQ(r.mof_class, 0);
    EXPECT_EQ(r.missing_for(3), std::vector<C>{C::research_paper});
}

TEST(ModelOpennessFramework, LicencesAreComparedLetterByLetter) {
    for (const char* id :
         {"Apache-2.0", "MIT", "CC-BY-4.0", "CC0-1.0", "OpenMDW-1.0", "ODbL-1.0", "WTFPL", "GPL-3.0-only"})
        EXPECT_TRUE(is_open(id, Lists::tool)) << id;
    for (const char* id :
         {"apache-2.0", "Apache 2.0", "MIT OR Apache-2.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "gemma", "", "PDDL-1.0"})
        EXPECT_FALSE(is_open(id, Lists::tool)) << id;
    EXPECT_TRUE(is_open("PDDL-1.0", Lists::mended));
    EXPECT_TRUE(is_osi_approved("Apache-2.0"));
    EXPECT_FALSE(is_osi_approved("CC-BY-4.0"));
    EXPECT_FALSE(fits("Apache-2.0", Kind::data));
    EXPECT_TRUE(fits("OpenMDW-1.0", Kind::data));
    EXPECT_TRUE(fits("CC-BY-4.0", Kind::document));
}

TEST(ModelOpennessFramework, FilesThatAreNoListsAreRefused) {
    for (const char* text : {"", "[", "release: 3", "release: {components: 3}", "- a\n- b"})
        EXPECT_THROW(static_cast<void>(read_published(text, "x.yml")), Error) << text;
    const PublishedRelease r = read_published(
        "release:\n  name: \"a\\u001b[31mb\"\n  components:\n    - 3\n    - {name: Datasets, license: MIT}\n", "x");
    EXPECT_EQ(r.components.size(), 1U);
    EXPECT_EQ(r.name.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace freehold::openness
