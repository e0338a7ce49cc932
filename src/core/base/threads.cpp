// The persistent pool: workers spin for a moment, then sleep; a loop never waits for a worker that has not woken yet.
// One word holds epoch, open flag and the number of workers inside, so that joining and closing a loop cannot race.
#include "freehold/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "freehold/base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace freehold {

void set_float_environment() noexcept {
#if defined(__x86_64__)
    _mm_setcsr(0x1F80);  // all exceptions masked, nearest even, FTZ and DAZ off
#elif defined(__aarch64__)
    const std::uint64_t fpcr = 0;
    __asm__ volatile("msr fpcr, %0" ::"r"(fpcr));
#else
    std::fesetenv(FE_DFL_ENV);
#endif
}

namespace {

inline void cpu_pause() noexcept {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

constexpr auto kSpinTime = std::chrono::microseconds(50);
constexpr std::uint64_t kActiveMask = 0xFFFF;
constexpr std::uint64_t kOpenBit = 0x10000;
constexpr int kEpochShift = 17;
constexpr int kMaxThreads = 1024;

// Spins until `ready()` or until the time is over; returns whether it became ready.
template <class Ready>
bool spin_until(Ready&& ready) noexcept {
    const auto limit = std::chrono::steady_clock::now() + kSpinTime;
    do {
        for (int i = 0; i < 32; ++i) {
            if (ready()) return true;
            cpu_pause();
        }
    } while (std::chrono::steady_clock::now() < limit);
    return false;
}

}  // namespace

struct ThreadPool::Impl {
    alignas(64) std::atomic<std::uint64_t> state{0};  // epoch, open bit, workers inside
    alignas(64) std::atomic<std::size_t> next{0};     // next task to hand out
    alignas(64) std::atomic<std::uint32_t> wake{0};   // sleeping workers wait for a change of this
    std::atomic<int> sleepers{0};
    std::atomic<bool> stop{false};
    // The loop in progress: written while closed and empty, read by workers that have joined.
    alignas(64) std::size_t n_tasks = 0;
    void (*call)(void*, std::size_t, int) = nullptr;
    void* fn = nullptr;
    std::mutex one_loop;
    std::vector<std::thread> threads;

    void work(int worker) noexcept {
        for (;;) {
            const std::size_t task = next.fetch_add(1, std::memory_order_relaxed);
            if (task >= n_tasks) return;
            call(fn, task, worker);
        }
    }

    void worker_main(int worker) noexcept {
        set_float_environment();
        std::uint64_t seen = 0;
        const auto something_to_do = [&] {
            const std::uint64_t s = state.load(std::memory_order_seq_cst);
            return stop.load(std::memory_order_relaxed) || ((s & kOpenBit) != 0 && (s >> kEpochShift) != seen);
        };
        for (;;) {
            if (!spin_until(something_to_do)) {
                const std::uint32_t ticket = wake.load(std::memory_order_seq_cst);
                sleepers.fetch_add(1, std::memory_order_seq_cst);
                // Either the caller sees the sleeper, or this sees the caller's loop.
                if (!something_to_do()) wake.wait(ticket, std::memory_order_seq_cst);
                sleepers.fetch_sub(1, std::memory_order_seq_cst);
                continue;
            }
            if (stop.load(std::memory_order_relaxed)) return;
            std::uint64_t s = state.load(std::memory_order_relaxed);
            while ((s & kOpenBit) != 0 && (s >> kEpochShift) != seen) {
                if (!state.compare_exchange_weak(s, s + 1, std::memory_order_acquire, std::memory_order_relaxed))
                    continue;
                seen = s >> kEpochShift;
                work(worker);
                state.fetch_sub(1, std::memory_order_release);
                break;
            }
        }
    }

    void wake_all() noexcept {
        wake.fetch_add(1, std::memory_order_seq_cst);
        wake.notify_all();
    }

    void join_all() noexcept {
        stop.store(true, std::memory_order_seq_cst);
        wake_all();
        for (std::thread& t : threads) t.join();
        threads.clear();
    }
};

ThreadPool::ThreadPool(int n_threads) : impl_(std::make_unique<Impl>()) {
    if (n_threads <= 0) n_threads = available_threads();
    if (n_threads > kMaxThreads) {
        throw Error(ErrorKind::usage,
                    "A pool of " + std::to_string(n_threads) + " threads was asked for; the most is 1024.",
                    "Use at most as many threads as the machine has cores (this process may use " +
                        std::to_string(available_threads()) + ").");
    }
    try {
        impl_->threads.reserve(static_cast<std::size_t>(n_threads - 1));
        for (int worker = 1; worker < n_threads; ++worker) {
            impl_->threads.emplace_back([impl = impl_.get(), worker] { impl->worker_main(worker); });
        }
    } catch (const std::system_error& e) {
        const std::size_t got = impl_->threads.size() + 1;
        impl_->join_all();
        throw Error(ErrorKind::io,
                    "The system gave only " + std::to_string(got) + " of " + std::to_string(n_threads) +
                        " threads: " + e.what() + ".",
                    "Ask for fewer threads (--threads) or raise the limit on processes (ulimit -u).");
    }
}

ThreadPool::~ThreadPool() {
    impl_->join_all();
}

int ThreadPool::size() const noexcept {
    return static_cast<int>(impl_->threads.size()) + 1;
}

void ThreadPool::run_erased(std::size_t n_tasks, void (*call)(void*, std::size_t, int), void* fn) {
    if (n_tasks == 0) return;
    Impl& p = *impl_;
    if (p.threads.empty() || n_tasks == 1) {
        for (std::size_t task = 0; task < n_tasks; ++task) call(fn, task, 0);
        return;
    }
    const std::lock_guard lock(p.one_loop);
    p.n_tasks = n_tasks;
    p.call = call;
    p.fn = fn;
    p.next.store(0, std::memory_order_relaxed);
    const std::uint64_t epoch = (p.state.load(std::memory_order_relaxed) >> kEpochShift) + 1;
    p.state.store((epoch << kEpochShift) | kOpenBit, std::memory_order_seq_cst);
    if (p.sleepers.load(std::memory_order_seq_cst) > 0) p.wake_all();
    p.work(0);
    // All tasks are taken: nobody may join any more, and only those inside are waited for.
    p.state.fetch_and(~kOpenBit, std::memory_order_acq_rel);
    const auto empty = [&] { return (p.state.load(std::memory_order_acquire) & kActiveMask) == 0; };
    while (!spin_until(empty)) std::this_thread::yield();
}

namespace {

int affinity_threads() noexcept {
    for (int cpus = 1024; cpus <= (1 << 18); cpus *= 2) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
        if (set == nullptr) break;
        const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
        const int rc = sched_getaffinity(0, bytes, set);
        const int n = rc == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (rc == 0) return std::max(n, 1);
    }
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// "max 100000" or "150000 100000" of cgroup v2; whole processors, 0 when there is no quota.
int quota_of(const std::string& folder) {
    std::ifstream in(folder + "/cpu.max");
    std::string quota;
    long long period = 0;
    if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
    long long q = 0;
    std::from_chars(quota.data(), quota.data() + quota.size(), q);
    return q <= 0 ? 0 : std::max(1, static_cast<int>(q / period));
}

int quota_of_v1(const std::string& folder) {
    std::ifstream quota_in(folder + "/cpu.cfs_quota_us"), period_in(folder + "/cpu.cfs_period_us");
    long long quota = 0, period = 0;
    if (!(quota_in >> quota) || !(period_in >> period) || quota <= 0 || period <= 0) return 0;
    return std::max(1, static_cast<int>(quota / period));
}

int cgroup_threads() {
    int least = 0;
    const auto take = [&](int n) {
        if (n > 0) least = least == 0 ? n : std::min(least, n);
    };
    std::ifstream in("/proc/self/cgroup");
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("0::")) continue;
        // A limit may sit at any level above.
        for (std::string path = line.substr(3); !path.empty() && path != "/";) {
            take(quota_of("/sys/fs/cgroup" + path));
            path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
        }
    }
    take(quota_of("/sys/fs/cgroup"));
    take(quota_of_v1("/sys/fs/cgroup/cpu"));
    return least;
}

}  // namespace

int available_threads() noexcept {
    const int by_affinity = affinity_threads();
    try {
        const int by_quota = cgroup_threads();
        return by_quota > 0 ? std::min(by_affinity, by_quota) : by_affinity;
    } catch (...) {
        return by_affinity;  // files that cannot be read set no quota
    }
}

}  // namespace freehold
