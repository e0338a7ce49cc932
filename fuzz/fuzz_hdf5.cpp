// HDF5: addresses that lead anywhere, trees and heaps that hold themselves, lengths that lie.
#include <string>

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
        // Its signature and superblock are right, and something behind them leads outside.
        bool outside = false;
        for (const scan::Gap& gap : result.gaps)
            outside = outside || gap.reason.find("the object at") != std::string::npos;
        fuzz::planted_bug(outside);
    });
}
