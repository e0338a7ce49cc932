// Ollama's dialect where no package of a client looks: the lines of a pull, a client that leaves one.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

// A puller that tells what the test tells it to.
class FakePuller : public Puller {
 public:
    std::shared_ptr<void> start(const std::string& what, std::function<void(const PullEvent&)> on_event) override {
        const std::lock_guard lock(mutex_);
        asked_ = what;
        tell_ = std::move(on_event);
        changed_.notify_all();
        return {nullptr, [this](void*) {
                    const std::lock_guard inner(mutex_);
                    let_go_ = true;
                    changed_.notify_all();
                }};
    }
    void tell(const PullEvent& event) {
        std::function<void(const PullEvent&)> listener;
        {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, std::chrono::seconds(20), [this] { return tell_ != nullptr; });
            listener = tell_;
            if (event.finished) tell_ = nullptr;
        }
        listener(event);
    }
    bool wait_let_go() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return let_go_; });
    }
    std::string asked() {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void(const PullEvent&)> tell_;
    std::string asked_;
    bool let_go_ = false;
};

PullEvent progress(const std::string& what, std::uint64_t done, std::uint64_t total) {
    PullEvent event;
    event.what = what;
    event.done = done;
    event.total = total;
    return event;
}

TEST(OllamaPull, LinesNameDigestsThatAreKnown) {
    FakePuller puller;
    Fixture fixture;
    fixture.service().puller = &puller;
    Client c(fixture.port());
    c.start_post("/api/pull", R"({"model":"smollm2:135m"})");
    puller.tell(progress("pulling SmolLM2-135M-Instruct.Q4_1.gguf", 50, 200));
    puller.tell(progress("pulling something-else.json", 1, 2));
    puller.tell(progress("hashing", 0, 0));
    PullEvent last;
    last.finished = true;
    last.name = "smollm2:135m";
    puller.tell(last);
    const auto reply = c.reply();
    ASSERT_EQ(reply.status, 200);
    const std::string hex = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    EXPECT_EQ(reply.body,
              "{\"status\":\"pulling manifest\"}\n"
              "{\"status\":\"pulling b179c9523d0e\",\"digest\":\"sha256:" +
                  hex +
                  "\",\"total\":200,\"completed\":50}\n"
                  "{\"status\":\"pulling something-else.json\",\"total\":2,\"completed\":1}\n"
                  "{\"status\":\"hashing\"}\n"
                  "{\"status\":\"writing manifest\"}\n"
                  "{\"status\":\"success\"}\n");
    EXPECT_EQ(puller.asked(), "smollm2:135m");
    EXPECT_TRUE(puller.wait_let_go());
}

TEST(OllamaCreate, WhatGoesWrongInAStreamIsItsLastLine) {
    Fixture fixture;
    Client c(fixture.port());
    const auto reply = c.post("/api/create", R"({"model":"new","from":"stories"})");
    EXPECT_TRUE(reply.whole);
    EXPECT_NE(reply.body.find(R"("error":"This model is no GGUF file)"), std::string::npos) << reply.body;
    EXPECT_EQ(c.post("/api/create", R"({"model":"new","from":"stories","stream":false})").status, 400);
}

TEST(OllamaPull, AClientThatGoesStopsIt) {
    FakePuller puller;
    Fixture fixture;
    fixture.service().puller = &puller;
    {
        Client c(fixture.port());
        c.start_post("/api/pull", R"({"model":"smollm2:135m"})");
        puller.tell(progress("pulling SmolLM2-135M-Instruct.Q4_1.gguf", 50, 200));
        EXPECT_TRUE(c.receive());
    }
    EXPECT_TRUE(puller.wait_let_go());
    PullEvent last;
    last.finished = true;
    last.fault = Error(ErrorKind::cancelled, "The pull was stopped.");
    puller.tell(last);
}

}  // namespace
}  // namespace freehold::server
