// Panel files: either a refusal or panels that lie one after another inside the file, and a table that is written again
// equal.
#include "freehold/formats/panel_file.h"
#include "fuzz.h"

namespace {

// The key that the corpus was made with.
const std::string kKey(64, 'a');

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const std::vector<PanelEntry> entries = parse_panel_table(bytes, kKey, "fuzzed.panels");
    std::uint64_t end = 0;
    bool has_capital = false;
    for (const PanelEntry& e : entries) {
        fuzz::require(e.at == end && e.at % 64 == 0);
        fuzz::require(e.facts.bytes <= bytes.size() && e.at <= bytes.size() - e.facts.bytes);
        end = (e.at + e.facts.bytes + 63) / 64 * 64;
        has_capital = has_capital || (!e.facts.name.empty() && e.facts.name[0] >= 'A' && e.facts.name[0] <= 'Z');
    }
    fuzz::require(end <= bytes.size());
    fuzz::planted_bug(has_capital && entries.size() == 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}
