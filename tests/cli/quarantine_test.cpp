// A pull from a server of the test, by the program as a user runs it: a hostile model is never usable, whenever the
// program is killed, and lies in quarantine with a report; a clean one is usable and says that it was looked at.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "freehold/base/value.h"
#include "freehold/store/store.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using testing::Scratch;

std::string model(const char* chat_template, std::size_t floats) {
    const Scratch scratch;
    const std::vector<float> values(floats, 0.5F);
    GgufWriter writer;
    writer.set("general.architecture", Value("llama"));
    writer.set("general.license", Value("mit"));
    writer.set("tokenizer.chat_template", Value(chat_template));
    writer.add_tensor("token_embd.weight", Tensor::from_f32(Shape({1, static_cast<std::int64_t>(floats)}), values));
    writer.write(scratch / "m.gguf");
    return testing::read_file(scratch / "m.gguf");
}

class Quarantine : public ::testing::Test {
 protected:
    // Starts `freehold pull`; what it says goes into a file.
    pid_t start(const std::string& url, const std::string& name) const {
        const pid_t pid = ::fork();
        if (pid != 0) return pid;
        ::setenv("FREEHOLD_HOME", home_.c_str(), 1);
        const int log = ::open((scratch_ / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ::dup2(log, 1);
        ::dup2(log, 2);
        ::execl(FREEHOLD_PROGRAM, "freehold", "pull", url.c_str(), "--as", name.c_str(), "--no-panels", nullptr);
        ::_exit(127);
    }
    static int finish(pid_t pid) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    std::string log() const { return testing::read_file(scratch_ / "log"); }
    // The report of what lies in quarantine under this name; null: there is none.
    Value report(const std::string& name) const {
        std::error_code ec;
        for (const auto& entry : fs::directory_iterator(home_ / "quarantine", ec))
            if (entry.path().filename().string().starts_with(name + "-"))
                return parse_json(testing::read_file(entry.path() / "report.json"), "report");
        return {};
    }
    bool usable(const std::string& name) const { return Store::open(home_).find(ModelName::parse(name)).has_value(); }

    Scratch scratch_;
    fs::path home_ = scratch_ / "home";
};

TEST_F(Quarantine, AHostileModelOfAServerIsNeverUsable) {
    const std::string hostile = model("{{ ''.__class__.__mro__ }}", 400000);
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = testing::serve_file(r, hostile, "\"v1\"");
        reply.piece = 200000;
        reply.pause_ms = 5;
        return reply;
    });
    const std::string url = server.url("/bad.gguf");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_NE(finish(start(url, "bad")), 0);
    const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    const std::string said = log();
    EXPECT_NE(said.find("template.escape"), std::string::npos) << said;
    EXPECT_NE(said.find("quarantine"), std::string::npos) << said;
    EXPECT_FALSE(usable("bad"));
    fs::remove_all(home_ / "quarantine");
    // Killed at any moment, it is not usable either, and the next pull says the same.
    std::mt19937 random(5);
    int killed = 0;
    for (int i = 0; i < 12; ++i) {
        const pid_t pid = start(url, "bad");
        std::this_thread::sleep_for(whole * (random() % 1000) / 1000);
        ::kill(pid, SIGKILL);
        killed += finish(pid) == -SIGKILL ? 1 : 0;
        EXPECT_FALSE(usable("bad")) << "after kill " << i;
        EXPECT_TRUE(Store::open(home_).verify().empty());
    }
    EXPECT_GT(killed, 0);
    EXPECT_NE(finish(start(url, "bad")), 0);
    EXPECT_FALSE(usable("bad"));
    const Value found = report("bad");
    ASSERT_NE(found.get<ValueMap>(), nullptr) << log();
    EXPECT_EQ(found.get<ValueMap>()->find("outcome")->as_string(), "finding");
    bool file = false;
    for (const auto& entry : fs::recursive_directory_iterator(home_ / "quarantine"))
        file = file || (entry.is_regular_file() && entry.file_size() == hostile.size());
    EXPECT_TRUE(file) << "what was fetched is kept for whoever wants to look at it";
}

TEST_F(Quarantine, ACleanModelOfAServerIsUsableAndSaysThatItWasLookedAt) {
    const std::string clean = model("{% for m in messages %}{{ m['content'] }}{% endfor %}", 1000);
    const HttpServer server([&](const HttpRequest& r) { return testing::serve_file(r, clean, "\"v1\""); });
    EXPECT_EQ(finish(start(server.url("/good.gguf"), "good")), 0) << log();
    ASSERT_TRUE(usable("good"));
    const StoredModel stored = Store::open(home_).get(ModelName::parse("good"));
    const Value* note = stored.record.extra.find("scan");
    ASSERT_NE(note, nullptr);
    EXPECT_EQ(note->get<ValueMap>()->find("outcome")->as_string(), "clean");
    EXPECT_FALSE(fs::exists(home_ / "quarantine"));
}

// A file of this machine is refused, and stays where it is.
TEST_F(Quarantine, LocalFilesStayWhereTheyAre) {
    testing::write_file(scratch_ / "mine.gguf", model("{{ cycler.__init__.__globals__ }}", 100));
    EXPECT_NE(finish(start((scratch_ / "mine.gguf").string(), "mine")), 0);
    EXPECT_FALSE(usable("mine"));
    EXPECT_TRUE(fs::exists(scratch_ / "mine.gguf"));
    EXPECT_NE(report("mine").get<ValueMap>(), nullptr);
}

}  // namespace
}  // namespace freehold
