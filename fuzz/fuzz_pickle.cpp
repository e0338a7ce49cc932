// The interpreter of pickles alone: it ends within its bounds, tells places inside its input, and the cheap look that
// goes before it (could_import) never says no where it finds a dangerous import.
#include "pickle.h"

#include <string_view>

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        scan::Limits limits;
        limits.opcodes = 100000;
        limits.pickle_memory = 16 << 20;
        const auto bytes = fuzz::as_bytes(data, size);
        const scan::PickleRun run = scan::run_pickle(bytes, 0, limits);
        fuzz::require(run.end <= size && run.stopped == run.fault.empty());
        fuzz::require(run.opcodes <= limits.opcodes + size + 1);
        for (const scan::PickleEvent& event : run.events) fuzz::require(event.offset < size && !event.message.empty());
        // A module whose name begins with no letter cannot be there, so that the look may pass it over.
        fuzz::require(!run.dangerous || !run.plausible || scan::could_import(bytes, 0));
        fuzz::require(!run.dangerous || !run.events.empty());
        bool expands = false;
        for (const scan::PickleEvent& event : run.events)
            expands = expands || std::string_view(event.rule) == "pickle.expansion";
        fuzz::planted_bug(expands && run.imports > 0);
    });
}
