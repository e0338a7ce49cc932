// The worker threads, and strands over them.
#include "freehold/server/workers.h"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <utility>
#include <vector>

#include "freehold/base/log.h"
#include "freehold/base/threads.h"

namespace freehold::server {

struct Workers::Impl {
    mutable std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::function<void()>> tasks;
    bool ending = false;
    std::vector<std::thread> threads;

    void work() {
        set_float_environment();
        for (;;) {
            std::function<void()> task;
            {
                std::unique_lock lock(mutex);
                wake.wait(lock, [this] { return ending || !tasks.empty(); });
                if (tasks.empty()) return;
                task = std::move(tasks.front());
                tasks.pop_front();
            }
            try {
                task();
            } catch (const std::exception& fault) {
                log_error(std::string("A task of the server failed: ") + fault.what());
            }
        }
    }
};

Workers::Workers(int threads) : impl_(std::make_unique<Impl>()) {
    for (int i = 0; i < std::max(threads, 1); ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
}

Workers::~Workers() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->ending = true;
    }
    impl_->wake.notify_all();
    for (auto& thread : impl_->threads) thread.join();
}

bool Workers::try_post(std::function<void()> task, std::size_t bound) {
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->tasks.size() >= bound) return false;
        impl_->tasks.push_back(std::move(task));
    }
    impl_->wake.notify_one();
    return true;
}

void Workers::post(std::function<void()> task) {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->tasks.push_back(std::move(task));
    }
    impl_->wake.notify_one();
}

std::size_t Workers::waiting() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->tasks.size();
}

void Strand::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
        if (running_) return;
        running_ = true;
    }
    workers_.post([self = shared_from_this()] { self->run(); });
}

void Strand::run() {
    // A bounded turn, so that one busy strand does not keep a worker for itself.
    constexpr int kTurn = 64;
    for (int i = 0; i < kTurn; ++i) {
        std::function<void()> task;
        {
            const std::lock_guard lock(mutex_);
            if (tasks_.empty()) {
                running_ = false;
                return;
            }
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        try {
            task();
        } catch (const std::exception& fault) {
            log_error(std::string("A task of the server failed: ") + fault.what());
        }
    }
    workers_.post([self = shared_from_this()] { self->run(); });
}

}  // namespace freehold::server
