// A persistent pool of workers under a Host: one parallel loop at a time, spinning briefly between loops.
// Work is split by task index only, so results never depend on the number of threads (law 4).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>

namespace freehold {

// Sets the floating-point environment of the calling thread as NUMERICS rule 1 asks: round to nearest even,
// denormals kept (no FTZ, no DAZ), all exceptions masked. Every worker calls it; so must main and engine threads.
void set_float_environment() noexcept;

class ThreadPool {
 public:
    // `n_threads` counts the caller; 0 means min(affinity, cgroup quota). Throws Error{io} if threads cannot be had.
    explicit ThreadPool(int n_threads = 0);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    [[nodiscard]] int size() const noexcept;

    // Runs fn(task, worker) for task in [0, n_tasks) on all workers, returns when all are done. worker is in [0,
    // size()). Tasks are handed out dynamically; fn must not throw and must not call the pool again.
    template <class F>
    void run(std::size_t n_tasks, F&& fn) {
        using Fn = std::remove_reference_t<F>;
        run_erased(
            n_tasks, [](void* f, std::size_t task, int worker) { (*static_cast<Fn*>(f))(task, worker); },
            const_cast<void*>(static_cast<const void*>(&fn)));
    }

 private:
    void run_erased(std::size_t n_tasks, void (*call)(void*, std::size_t, int), void* fn);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Threads that this process may use: min of CPU affinity and cgroup quota, at least 1.
[[nodiscard]] int available_threads() noexcept;

}  // namespace freehold
