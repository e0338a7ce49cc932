// Advisories, as anybody may send them: what is accepted must be written back
// and read equal, and nothing of it may play with a terminal or name a path.
#include "freehold/advisory/advisory.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    const std::string_view text = fuzz::as_text(data, size);
    return fuzz::run([&] {
        const advisory::Advisory parsed = advisory::parse(text, "advisory");
        fuzz::require(!parsed.affected.empty() && !parsed.id.empty());
        fuzz::require(parsed.id.find('/') == std::string::npos && parsed.id.front() != '.');
        for (const advisory::Affected& one : parsed.affected)
            fuzz::require(one.digest.size() == 71 && one.digest.starts_with("sha256:"));
        for (const char c : parsed.summary) fuzz::require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
        const std::string written = advisory::write(parsed);
        fuzz::require(advisory::write(advisory::parse(written, "written")) == written);
        fuzz::planted_bug(parsed.affected.size() == 2 && parsed.severity == advisory::Severity::critical);
    });
}
