// Fetching a model with a person watching: what it is, how large, under which licence, then progress.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "freehold/store/pull.h"

namespace freehold::cli {

struct PullFlow {
    PullOptions options;        // progress, announce and notice are set by run()
    bool quiet = false;         // no announcement, no progress
    std::function<bool()> ask;  // asked after the announcement; false stops as Error{cancelled}. Empty: nobody is asked
    bool panels = true;         // repack the model for faster starts when it is here (panels.h)
    bool scan = true;           // look for hostile content before anything is kept (scan_flow.h)
    std::uint64_t panel_bytes = 0;  // after run(): what panels of the model take on disk

    PullResult run(Store& store, const std::string& what);
};

// "Apache-2.0 (permissive: free to use, change and share; keep the notices)", or "not stated".
[[nodiscard]] std::string licence_line(const Licence& licence);

}  // namespace freehold::cli
