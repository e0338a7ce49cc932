// An adapter in memory beside the model that it changes, counted by the host; shared by all requests that use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "freehold/engine/engine.h"
#include "freehold/engine/host.h"

namespace freehold {

struct LoadedAdapter {
    std::string name;    // under which it was asked for
    std::string digest;  // of its bytes ("sha256:..."): Request::adapter, part of the key of every prefix
    std::string stored;  // digest of its manifest in the store; empty for a path
    std::shared_ptr<const Adapter> weights;
    std::int64_t rank = 0;  // the largest of its pairs
    std::uint64_t n_params = 0, bytes = 0;
    std::shared_ptr<const LoadedModel> model;  // for which it was loaded, and which must live as long
    MemoryBudget::Lease lease;
};

// Reads an adapter (AdapterFiles::open) for a loaded model: takes a turn of the host to repack it. Throws what
// AdapterFiles::open and Decoder::adapt throw, (name, stored: as above; without a name it is the path's last part)
// and Error{out_of_memory}. Encoders take none yet: Error{unsupported}.
[[nodiscard]] std::shared_ptr<const LoadedAdapter> load_adapter(Host& host, std::shared_ptr<const LoadedModel> model,
                                                                const std::filesystem::path& path,
                                                                std::string name = {}, std::string stored = {});
// Makes a request use it; null: the model as it is.
void use_adapter(Request& request, const std::shared_ptr<const LoadedAdapter>& adapter);

// "model+adapter" apart; the second is empty where there is no '+', which no name of the store can hold.
struct AdaptedName {
    std::string model, adapter;
};
[[nodiscard]] AdaptedName split_adapted(std::string_view name);

}  // namespace freehold
