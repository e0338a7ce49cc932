// Adapters beside a loaded model: read, held against it, repacked and counted.
#include "freehold/engine/loaded_adapter.h"

#include <fmt/format.h>

#include "freehold/base/error.h"
#include "freehold/formats/adapter_files.h"
#include "freehold/ops/adapter.h"

namespace freehold {

std::shared_ptr<const LoadedAdapter> load_adapter(Host& host, std::shared_ptr<const LoadedModel> model,
                                                  const std::filesystem::path& path, std::string name,
                                                  std::string stored) {
    const Decoder& decoder = model->need_decoder();
    const auto files = AdapterFiles::open(path);
    auto made = std::make_shared<LoadedAdapter>();
    made->name = name.empty() ? path.filename().string() : std::move(name);
    made->stored = std::move(stored);
    made->digest = files->digest();
    made->rank = files->largest_rank();
    made->n_params = files->n_params();
    // Panels of 16 outputs: a rank of 8 takes the room of one of 16. Asked for before it is made, told exactly after.
    made->lease = host.memory().take(2 * made->n_params * sizeof(float), fmt::format("Adapter {}", path.string()));
    {
        const Host::Turn turn(host);
        made->weights = decoder.adapt(*files, host.threads());
    }
    made->bytes = made->weights->bytes();
    made->lease = {};
    made->lease = host.memory().take(std::max<std::uint64_t>(made->bytes, 1), fmt::format("Adapter {}", path.string()));
    made->model = std::move(model);
    return made;
}

void use_adapter(Request& request, const std::shared_ptr<const LoadedAdapter>& adapter) {
    request.adapter_weights =
        adapter == nullptr ? nullptr : std::shared_ptr<const Adapter>(adapter, adapter->weights.get());
    request.adapter = adapter == nullptr ? std::string() : adapter->digest;
}

AdaptedName split_adapted(std::string_view name) {
    const std::size_t plus = name.rfind('+');
    if (plus == std::string_view::npos || plus == 0 || plus + 1 == name.size()) return {std::string(name), {}};
    return {std::string(name.substr(0, plus)), std::string(name.substr(plus + 1))};
}

}  // namespace freehold
