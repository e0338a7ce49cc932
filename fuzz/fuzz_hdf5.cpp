// HDF5: addresses that lead anywhere, trees and heaps that hold themselves, lengths that lie.
#include <string_view>

#include "freehold/scan/scan.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        scan::Options options;
        options.threads = 1;
        options.limits.unpacked = 1 << 20;
        options.limits.member = 256 << 10;
        options.limits.members = 1000;
        options.limits.opcodes = 20000;
        options.limits.pickle_memory = 4 << 20;
        const scan::FileResult result = scan::scan_bytes(fuzz::as_bytes(data, size), "m.h5", options);
        bool in_attribute = false;
        for (const scan::Finding& finding : result.findings)
            in_attribute = in_attribute || finding.member.find('@') != std::string::npos;
        fuzz::planted_bug(in_attribute);
    });
}
