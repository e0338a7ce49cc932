// The texts of the store: index, manifest, layout file, catalogue. What is accepted must be written back and read
// equal. The first byte of the input chooses the reader.
#include <set>

#include "freehold/store/catalogue.h"
#include "freehold/store/source.h"
#include "fuzz.h"
#include "layout.h"
#include "registry/client.h"
#include "registry/contents.h"

namespace {

using namespace freehold;

void index(std::string_view text) {
    const layout::Index parsed = layout::parse_index(text, "index.json");
    const std::string written = layout::write_index(parsed);
    const layout::Index again = layout::parse_index(written, "written.json");
    fuzz::require(again.entries.size() == parsed.entries.size() && again.foreign.size() == parsed.foreign.size());
    fuzz::require(layout::write_index(again) == written);
    for (const layout::IndexEntry& entry : parsed.entries) {
        fuzz::require(layout::is_digest(entry.digest));
        fuzz::require(ModelName::parse(entry.name.str()) == entry.name);
    }
}

void manifest(std::string_view text) {
    layout::Manifest parsed = layout::parse_manifest(text, "manifest");
    for (const StoredFile& file : parsed.files) {
        fuzz::require(layout::path_fault(file.path).empty());
        fuzz::require(file.path.front() != '/' && file.path.find("..") != 0);
    }
    const std::string written = layout::write_manifest(parsed);
    fuzz::require(layout::write_manifest(layout::parse_manifest(written, "written")) == written);
    static_cast<void>(layout::write_config("name", parsed.record, parsed.files));
    fuzz::planted_bug(parsed.files.size() == 2 && parsed.files[0].size % 10 == 7);
}

// What a registry sends: manifests of any publisher, lists of them, challenges.
void remote(std::string_view text) {
    const registry::Contents contents = registry::read_contents(text, "oci:h.org/x:v1", {});
    fuzz::require(!contents.files.empty());
    std::set<std::string> names;
    for (const registry::RemoteFile& file : contents.files) {
        fuzz::require(layout::path_fault(file.path).empty() && layout::is_digest(file.digest));
        fuzz::require(names.insert(file.path).second);
    }
}

void remote_index(std::string_view text) {
    fuzz::require(layout::is_digest(registry::choose_manifest(text, "index")));
}

void challenge(std::string_view text) {
    for (const registry::Challenge& one : registry::parse_challenges(text)) fuzz::require(!one.scheme.empty());
}

void sources(std::string_view text) {
    const SourceSpec spec = SourceSpec::parse(text);
    for (const std::string& package : spec.packages) fuzz::require(!package.empty() && package.front() != '-');
    static_cast<void>(ModelName::try_parse(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text = freehold::fuzz::as_text(data + 1, size - 1);
    return freehold::fuzz::run([&] {
        switch (data[0]) {
            case 'i':
                return index(text);
            case 'm':
                return manifest(text);
            case 'l':
                return freehold::layout::check_layout_file(text, "oci-layout");
            case 'r':
                return remote(text);
            case 'x':
                return remote_index(text);
            case 'w':
                return challenge(text);
            case 'c':
                return static_cast<void>(freehold::Catalogue::parse(text, "catalogue.json"));
            default:
                return sources(text);
        }
    });
}
