// The scanner: whatever the bytes are and whatever their name promises, it ends within its bounds, throws nothing and
// keeps its promises about outcomes. The first byte chooses the name.
#include <array>

#include "freehold/scan/report.h"
#include "freehold/scan/scan.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    if (size == 0) return 0;
    static constexpr std::array<const char*, 16> kNames = {
        "m.pkl", "m.pt",   "m.npy",         "m.zip",  "m.json", "m.jinja", "m.py", "m.onnx",
        "m.pb",  "m.gguf", "m.safetensors", "m.yaml", "m.c",    "m.ipynb", "m.h5", "m.pth"};
    return fuzz::run([&] {
        scan::Options options;
        options.threads = 1;
        options.limits.unpacked = 4 << 20;
        options.limits.member = 1 << 20;
        options.limits.opcodes = 200000;
        options.limits.pickle_memory = 16 << 20;
        options.limits.members = 200;
        const auto bytes = fuzz::as_bytes(data + 1, size - 1);
        const scan::FileResult result = scan::scan_bytes(bytes, kNames[data[0] % kNames.size()], options);
        fuzz::require(result.findings.size() <= options.limits.findings);
        fuzz::require((result.outcome() == scan::Outcome::clean) == (result.findings.empty() && result.gaps.empty()));
        for (const scan::Finding& finding : result.findings)
            fuzz::require(finding.rule != nullptr && !finding.message.empty());
        scan::Report report;
        report.files.push_back(result);
        fuzz::require(!to_json(Value(scan::report_sarif(report, "0"))).empty());
        bool lies = false;
        for (const scan::Finding& finding : result.findings)
            lies = lies || finding.message.find("another length") != std::string::npos;
        fuzz::planted_bug(lies);
    });
}
