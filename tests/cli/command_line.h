// Runs the program as a process of its own and keeps what it said. The store is a folder of the test.
#pragma once

#include <filesystem>
#include <string>

namespace freehold::test {

struct Said {
    int code = -1;  // exit code, 128 + signal when a signal ended it
    std::string out, err;
};
// `arguments` is shell text, as a user types it after "freehold".
Said freehold_says(const std::string& arguments, const std::string& input = {}, const std::string& environment = {});
// Any shell line; $FREEHOLD is the program.
Said shell_says(const std::string& line, const std::string& input = {});

[[nodiscard]] std::filesystem::path stories_folder();
[[nodiscard]] std::string stories_model();
[[nodiscard]] std::string file_text(const std::filesystem::path& path);

}  // namespace freehold::test
