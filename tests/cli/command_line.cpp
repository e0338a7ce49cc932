// A shell line with its three streams in files: no pipe can fill up, no test can hang on one.
#include "command_line.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace freehold::test {
namespace {

namespace fs = std::filesystem;

const fs::path& scratch() {
    static const fs::path folder = [] {
        std::string name = (fs::temp_directory_path() / "freehold-cli-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        return fs::path(name);
    }();
    // Removed when the program ends.
    static const struct Cleaner {
        ~Cleaner() {
            std::error_code ignored;
            fs::remove_all(folder, ignored);
        }
    } cleaner;
    return folder;
}

}  // namespace

std::string file_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

fs::path stories_folder() {
    return fs::path(FREEHOLD_TEST_DATA) / "stories260K";
}
std::string stories_model() {
    return (stories_folder() / "stories260K.bin").string();
}

Said shell_says(const std::string& line, const std::string& input) {
    const fs::path in = scratch() / "in";
    const fs::path out = scratch() / "out";
    const fs::path err = scratch() / "err";
    std::ofstream(in, std::ios::binary) << input;
    ::setenv("FREEHOLD", FREEHOLD_PROGRAM, 1);
    ::setenv("FREEHOLD_HOME", (scratch() / "home").c_str(), 1);
    ::setenv("FREEHOLD_THREADS", "1", 1);
    const std::string source = input.empty() ? "/dev/null" : in.string();
    const std::string command = "( " + line + " ) < " + source + " > " + out.string() + " 2> " + err.string();
    Said said;
    const int status = std::system(command.c_str());
    said.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    said.out = file_text(out);
    said.err = file_text(err);
    return said;
}

Said freehold_says(const std::string& arguments, const std::string& input, const std::string& environment) {
    return shell_says(environment + " \"$FREEHOLD\" " + arguments, input);
}

}  // namespace freehold::test
