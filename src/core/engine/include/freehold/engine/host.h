// What every model, training job and cache of a process asks for means: threads, kernels, the memory budget, whose turn
// it is to compute, and the registry of models that are loaded. One Host a process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/threads.h"
#include "freehold/engine/loaded_model.h"
#include "freehold/kernels/kernels.h"

namespace freehold {

// Bytes that may be taken, and who took them. Safe from any thread.
class MemoryBudget {
 public:
    // Given back when it dies. Empty after being moved from.
    class Lease {
     public:
        Lease() = default;
        Lease(Lease&& other) noexcept;
        Lease& operator=(Lease&& other) noexcept;
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

     private:
        friend class MemoryBudget;
        MemoryBudget* budget_ = nullptr;
        std::uint64_t bytes_ = 0;
    };

    explicit MemoryBudget(std::uint64_t limit);
    ~MemoryBudget();
    MemoryBudget(const MemoryBudget&) = delete;
    MemoryBudget& operator=(const MemoryBudget&) = delete;

    // Throws Error{out_of_memory} with what is asked for, what is free, and a hint.
    [[nodiscard]] Lease take(std::uint64_t bytes, const std::string& what);
    [[nodiscard]] std::uint64_t limit() const noexcept;
    [[nodiscard]] std::uint64_t used() const noexcept;
    [[nodiscard]] std::uint64_t free() const noexcept;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct HostOptions {
    int threads = 0;                   // 0: min(affinity, cgroup quota)
    std::uint64_t memory_budget = 0;   // bytes; 0: three quarters of what the machine (or its cgroup) has
    const Kernels* kernels = nullptr;  // null: active_kernels()
};

class Host {
 public:
    explicit Host(const HostOptions& options = {});
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    [[nodiscard]] ThreadPool& threads() noexcept;
    [[nodiscard]] const Kernels& kernels() const noexcept;
    [[nodiscard]] MemoryBudget& memory() noexcept;

    // The model at `path` (a file or folder, see ModelFiles::open). A model that is loaded already with the same
    // options is shared. Takes seconds (weights are repacked); safe from any thread. Throws what ModelFiles, Decoder
    // and Tokenizer throw.
    std::shared_ptr<const LoadedModel> load(const std::filesystem::path& path, const LoadedModelOptions& options = {},
                                            const Progress& progress = {});
    // Models that somebody still holds.
    [[nodiscard]] std::vector<std::shared_ptr<const LoadedModel>> loaded() const;

    // The thread pool runs one thing at a time: whoever computes holds a turn for one step. First come, first served,
    // so that engines, evaluations and training steps alternate.
    class Turn {
     public:
        explicit Turn(Host& host);
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

     private:
        Host& host_;
    };

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold
