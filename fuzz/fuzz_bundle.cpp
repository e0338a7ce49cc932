// Bundles of strangers: archives with a signature, an index, bills of materials and a lineage inside; envelopes,
// statements, keys and cards alone. The first byte says which.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "freehold/base/value.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/facts.h"
#include "freehold/bundle/manifest.h"
#include "freehold/bundle/verify.h"
#include "freehold/lineage/front_matter.h"
#include "fuzz.h"

namespace {

using namespace freehold;

// The bytes as a file, since an archive is read where it lies.
class MemoryFile {
 public:
    MemoryFile() : fd_(::memfd_create("bundle", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {}
    ~MemoryFile() { ::close(fd_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    const std::string& put(std::span<const std::byte> bytes) const {
        fuzz::require(::ftruncate(fd_, 0) == 0);
        fuzz::require(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
        return path_;
    }

 private:
    int fd_;
    std::string path_;
};

void archive(std::span<const std::byte> bytes) {
    static const MemoryFile file;
    const bundle::Contents contents = bundle::contents_of_tar(bytes, file.put(bytes));
    for (const bundle::Entry& entry : contents.entries) {
        fuzz::require(bundle::name_fault(entry.name).empty());
        fuzz::require(entry.offset <= bytes.size() && entry.size <= bytes.size() - entry.offset);
    }
    const bundle::VerifyReport report = bundle::verify(contents, {});
    // Without a key nothing is ever vouched for.
    fuzz::require(report.outcome() >= bundle::Outcome::unknown);
    for (const bundle::Check& check : report.checks) fuzz::require(!check.message.empty());
    fuzz::require(!to_json(bundle::to_value(report)).empty());
    fuzz::planted_bug(std::ranges::any_of(report.checks, [](const bundle::Check& check) {
        return check.key == "index" && check.outcome == bundle::Outcome::unknown;
    }));
}

void statement(std::string_view text) {
    const bundle::Statement s = bundle::parse_statement(text, "fuzz");
    fuzz::require(!s.files.empty() && bundle::root_digest(s.files) == s.root);
    // What was read can be written and read again.
    const bundle::Statement again = bundle::parse_statement(bundle::write_statement(s.subject, s.files), "again");
    fuzz::require(again.files.size() == s.files.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    return fuzz::run([&] {
        const auto bytes = fuzz::as_bytes(data + 1, size - 1);
        const std::string_view text = fuzz::as_text(data + 1, size - 1);
        switch (data[0]) {
            case 's':
                return statement(text);
            case 'e':
                return statement(bundle::parse_envelope(text, "fuzz").payload);
            case 'k':
                fuzz::require(!bundle::PublicKey::from_pem(text, "fuzz").hint().empty());
                return;
            case 'c':
                fuzz::require(lineage::read_front_matter(text).prose.size() <= text.size());
                return;
            case 'f':
                static_cast<void>(bundle::read_facts(text, "fuzz", "/nowhere"));
                return;
            default:
                return archive(bytes);
        }
    });
}
