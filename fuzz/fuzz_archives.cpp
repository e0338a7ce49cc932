// Archives inside each other: whatever their headers and directories say, no more is unpacked than the bounds allow,
// and nothing is thrown.
#include <string>

#include "freehold/scan/scan.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        scan::Options options;
        options.threads = 1;
        options.limits.depth = 3;
        options.limits.unpacked = 1 << 20;
        options.limits.member = 256 << 10;
        options.limits.members = 100;
        options.limits.opcodes = 20000;
        options.limits.pickle_memory = 4 << 20;
        const scan::FileResult result = scan::scan_bytes(fuzz::as_bytes(data, size), "m.zip", options);
        fuzz::require((result.outcome() == scan::Outcome::clean) == (result.findings.empty() && result.gaps.empty()));
        bool lies = false;
        for (const scan::Finding& finding : result.findings) {
            fuzz::require(finding.rule != nullptr && !finding.message.empty());
            lies = lies || finding.message.find("another length") != std::string::npos;
        }
        fuzz::planted_bug(lies);
    });
}
