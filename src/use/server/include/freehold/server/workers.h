// A few threads for what is too slow for the I/O thread: parsing, templates, tokenising, JSON. And strands: work that
// must happen one after the other without a thread of its own.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace freehold::server {

class Workers {
 public:
    explicit Workers(int threads);
    ~Workers();  // runs what is queued, then ends
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // False when `bound` tasks wait already (the caller answers 503). Tasks must not throw.
    [[nodiscard]] bool try_post(std::function<void()> task, std::size_t bound);
    void post(std::function<void()> task);
    [[nodiscard]] std::size_t waiting() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Tasks of one strand run in order, one at a time, on the workers. Safe from any thread. Must live until its last task
// has run: hold it by shared_ptr in the tasks.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
    explicit Strand(Workers& workers) : workers_(workers) {}
    void post(std::function<void()> task);

 private:
    void run();
    Workers& workers_;
    std::mutex mutex_;
    std::deque<std::function<void()>> tasks_;
    bool running_ = false;
};

}  // namespace freehold::server
