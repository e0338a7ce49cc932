// Reads the includes of every source file and fails on an arrow that points up, sideways between wings, or in a circle.
// The table below is the house (docs/architecture.md): a room may include itself and the rooms named beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Rooms = std::map<std::string, std::set<std::string>>;

const Rooms& may_include() {
    static const Rooms rooms = {
        {"base", {}},
        {"tensor", {"base"}},
        {"kernels", {"tensor", "base"}},
        {"ops", {"kernels", "tensor", "base"}},
        {"formats", {"tensor", "base"}},
        {"text", {"base"}},
        {"models", {"ops", "formats", "kernels", "tensor", "base"}},
        {"grammar", {"text", "base"}},
        {"engine", {"models", "ops", "formats", "grammar", "text", "kernels", "tensor", "base"}},
        {"store", {"formats", "tensor", "base"}},
        {"database", {"base"}},
        // The wing "use": its rooms may know each other, no other wing's.
        {"seal", {"base"}},
        {"plan", {"formats", "tensor", "base"}},
        {"access", {"database", "store", "formats", "base"}},
        {"output", {"engine", "grammar", "text", "base"}},
        {"safeguards", {"base"}},
        {"web", {}},
        {"server",
         {"access", "seal", "output", "safeguards", "web", "engine", "grammar", "models", "formats", "text", "store",
          "database", "kernels", "tensor", "base"}},
        // The wing "study".
        {"scan", {"formats", "base"}},
        // The wing "modify".
        {"convert", {"models", "text", "formats", "kernels", "tensor", "base"}},
        // The wing "share".
        {"licence", {"store", "formats", "base"}},
        {"lineage", {"store", "formats", "base"}},
        {"bundle", {"lineage", "licence", "store", "formats", "base"}},
        {"openness", {"bundle", "licence", "store", "formats", "base"}},
        {"diff", {"licence", "store", "formats", "tensor", "base"}},
        {"advisory", {"bundle", "store", "formats", "base"}},
    };
    return rooms;
}

// The room of a file: the folder under src/core or under a wing; "" for files elsewhere (apps, tests, bench and fuzz
// may use every room).
std::string room_of(const fs::path& relative) {
    auto part = relative.begin();
    if (part == relative.end() || *part != "src") return "";
    if (++part == relative.end()) return "";
    return ++part == relative.end() ? "" : part->string();
}

struct Include {
    std::string from, to;  // rooms
    std::string where;     // file:line
};

std::vector<Include> read_includes(const fs::path& root) {
    static const std::regex pattern(R"rx(^\s*#\s*include\s*"freehold/([a-z0-9_]+)/)rx");
    std::vector<Include> found;
    for (const auto& entry : fs::recursive_directory_iterator(root / "src")) {
        const auto extension = entry.path().extension();
        if (extension != ".h" && extension != ".cpp" && extension != ".inl") continue;
        const fs::path relative = fs::relative(entry.path(), root);
        std::ifstream in(entry.path());
        std::string line;
        std::smatch match;
        for (int number = 1; std::getline(in, line); ++number) {
            if (std::regex_search(line, match, pattern)) {
                found.push_back({room_of(relative), match[1], relative.string() + ":" + std::to_string(number)});
            }
        }
    }
    return found;
}

std::vector<std::string> wrong_arrows(const std::vector<Include>& includes, const Rooms& rooms) {
    std::vector<std::string> wrong;
    for (const auto& include : includes) {
        const auto room = rooms.find(include.from);
        if (room == rooms.end()) {
            wrong.push_back(include.where + " lies in a room that the table does not know: \"" + include.from + "\"");
        } else if (include.to != include.from && !room->second.contains(include.to)) {
            wrong.push_back(include.where + ": " + include.from + " may not include " + include.to);
        }
    }
    return wrong;
}

TEST(Architecture, ArrowsPointDownOnly) {
    const auto includes = read_includes(FREEHOLD_SOURCE_DIR);
    ASSERT_GT(includes.size(), 50U) << "the sources were not found, so nothing was checked";
    for (const auto& message : wrong_arrows(includes, may_include())) ADD_FAILURE() << message;
}

TEST(Architecture, AnArrowThatPointsUpIsSeen) {
    const std::vector<Include> planted = {
        {"kernels", "models", "planted:1"}, {"base", "tensor", "planted:2"}, {"attic", "base", "planted:3"}};
    EXPECT_EQ(wrong_arrows(planted, may_include()).size(), 3U);
}

TEST(Architecture, TheTableHasNoCircle) {
    const auto& rooms = may_include();
    for (const auto& [name, below] : rooms) {
        for (const auto& other : below) {
            ASSERT_TRUE(rooms.contains(other)) << name << " names " << other << ", which is no room";
            EXPECT_FALSE(rooms.at(other).contains(name)) << name << " and " << other << " include each other";
        }
    }
}

// Heavy headers cost every file that sees them; they stay in private sources (docs/architecture.md).
TEST(Architecture, PublicHeadersAreLight) {
    static const std::regex heavy(
        R"rx(#\s*include\s*[<"](nlohmann/|archive\.h|boost/|curl/|CLI/|openssl/|seccomp|spdlog/|sqlite3|immintrin|hwy/))rx");
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(FREEHOLD_SOURCE_DIR) / "src")) {
        if (entry.path().extension() != ".h" || entry.path().string().find("/include/") == std::string::npos) continue;
        std::ifstream in(entry.path());
        std::string line;
        while (std::getline(in, line)) {
            EXPECT_FALSE(std::regex_search(line, heavy)) << entry.path().string() << ": " << line;
        }
    }
}

// A newcomer reads what a file is for in its first line.
TEST(Architecture, EveryFileSaysWhatItIsFor) {
    for (const char* top : {"src", "apps", "tests", "fuzz", "bench"}) {
        const fs::path folder = fs::path(FREEHOLD_SOURCE_DIR) / top;
        if (!fs::exists(folder)) continue;
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            const auto extension = entry.path().extension();
            if (extension != ".h" && extension != ".cpp") continue;
            std::ifstream in(entry.path());
            std::string line;
            std::getline(in, line);
            EXPECT_TRUE(line.starts_with("//")) << entry.path().string() << " does not begin with a comment";
        }
    }
}

TEST(Architecture, EveryRoomHasAReadme) {
    int rooms = 0;
    for (const char* floor : {"core", "use", "study", "modify", "share"}) {
        const fs::path folder = fs::path(FREEHOLD_SOURCE_DIR) / "src" / floor;
        if (!fs::exists(folder)) continue;
        for (const auto& room : fs::directory_iterator(folder)) {
            if (!room.is_directory()) continue;
            ++rooms;
            EXPECT_TRUE(fs::exists(room.path() / "README.md")) << room.path().string();
            EXPECT_TRUE(may_include().contains(room.path().filename().string())) << room.path().string();
        }
    }
    EXPECT_GT(rooms, 8);
}

}  // namespace
