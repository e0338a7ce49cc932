// Ctrl-C while an answer streams: the program stops, what it had is printed whole, and the exit code says so.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "command_line.h"

namespace freehold {
namespace {

constexpr int kFilling = 3900;  // of the page that the smallest pipe holds

// `freehold run` on a pipe that is nearly full. It cannot finish while nobody reads: that makes the moment certain at
// which the signal meets it, however quick the machine is.
class StreamingRun {
 public:
    explicit StreamingRun(std::string model) : model_(std::move(model)) {
        if (::pipe(pipe_) != 0 || ::fcntl(pipe_[1], F_SETPIPE_SZ, 4096) < 0) return;
        const std::string filling(kFilling, '#');
        if (::write(pipe_[1], filling.data(), filling.size()) != kFilling) return;
        // What the child needs is made before the fork.
        std::string program = FREEHOLD_PROGRAM, verb = "run", empty, threads = "--threads", one = "1";
        std::string temperature = "--temperature", zero = "0";
        char* arguments[] = {program.data(), verb.data(),        model_.data(), empty.data(), threads.data(),
                             one.data(),     temperature.data(), zero.data(),   nullptr};
        const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        child_ = ::fork();
        if (child_ == 0) {
            ::dup2(null, STDIN_FILENO);
            ::dup2(pipe_[1], STDOUT_FILENO);
            ::close(pipe_[0]);
            ::close(pipe_[1]);
            ::execv(arguments[0], arguments);
            ::_exit(127);
        }
        ::close(null);
        ::close(pipe_[1]);
    }
    ~StreamingRun() {
        if (child_ > 0) {
            ::kill(child_, SIGKILL);
            ::waitpid(child_, nullptr, 0);
        }
        ::close(pipe_[0]);
    }
    StreamingRun(const StreamingRun&) = delete;
    StreamingRun& operator=(const StreamingRun&) = delete;

    [[nodiscard]] bool started() const { return child_ > 0; }

    // Until the first piece of the answer stands behind the filling.
    [[nodiscard]] bool wait_for_text() const {
        for (int i = 0; i < 6000; ++i) {
            int bytes = 0;
            if (::ioctl(pipe_[0], FIONREAD, &bytes) == 0 && bytes > kFilling) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    void send(int signal) const { ::kill(child_, signal); }

    // Everything until the end, without the filling, and the exit code (128 + signal when one ended it).
    test::Said rest() {
        test::Said said;
        char buffer[4096];
        for (ssize_t n = 0; (n = ::read(pipe_[0], buffer, sizeof buffer)) > 0;)
            said.out.append(buffer, static_cast<std::size_t>(n));
        said.out.erase(0, kFilling);
        int status = 0;
        ::waitpid(child_, &status, 0);
        child_ = -1;
        said.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return said;
    }

 private:
    std::string model_;
    int pipe_[2] = {-1, -1};
    ::pid_t child_ = -1;
};

TEST(Interrupt, RunPrintsWhatItHadAndExitsWith130) {
    const test::Said whole = test::freehold_says("run " + test::stories_model() + " '' --temperature 0");
    ASSERT_EQ(whole.code, 0) << whole.err;
    ASSERT_GT(whole.out.size(), 600U) << "too short to be interrupted";
    for (const int signal : {SIGINT, SIGTERM}) {
        StreamingRun run(test::stories_model());
        ASSERT_TRUE(run.started());
        ASSERT_TRUE(run.wait_for_text());
        run.send(signal);
        const test::Said said = run.rest();
        EXPECT_EQ(said.code, 130) << signal;
        ASSERT_TRUE(said.out.ends_with('\n')) << said.out;
        const std::string had = said.out.substr(0, said.out.size() - 1);
        EXPECT_FALSE(had.empty());
        EXPECT_LT(had.size(), whole.out.size() / 2) << "it went on after signal " << signal;
        EXPECT_EQ(whole.out.substr(0, had.size()), had);
    }
}

}  // namespace
}  // namespace freehold
