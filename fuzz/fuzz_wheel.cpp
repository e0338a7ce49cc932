// Wheels: the ZIP directory, every entry unpacked, METADATA, and the choice of a model's files. Names that pass must
// stay inside a folder, and no entry may hand out more than it claimed.
#include <memory>

#include "freehold/base/file.h"
#include "fuzz.h"
#include "layout.h"
#include "wheel.h"
#include "zip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        zip::Limits limits;
        limits.max_total = 8 << 20;  // so that one input does not take all the time
        auto archive = std::make_shared<const zip::Archive>(fuzz::as_bytes(data, size), "fuzzed.whl", limits);
        for (const zip::Entry& entry : archive->entries()) {
            fuzz::require(entry.folder || layout::path_fault(entry.name).empty());
            fuzz::planted_bug(entry.name.find_first_of("wab") != 0);  // no seed begins otherwise
            std::uint64_t handed_out = 0;
            static_cast<void>(fuzz::run([&] {
                archive->read(entry, [&](std::span<const std::byte> piece) { handed_out += piece.size(); });
                fuzz::require(handed_out == entry.size);
            }));
            fuzz::require(handed_out <= entry.size);
        }
        wheel::Wheel one;
        one.path = "fuzzed.whl";
        one.archive = archive;
        static_cast<void>(fuzz::run([&] { static_cast<void>(wheel::about(one)); }));
        for (const wheel::ModelPart& part : wheel::choose({one}, "", "fuzzed"))
            fuzz::require(layout::path_fault(part.path).empty());
    });
}
