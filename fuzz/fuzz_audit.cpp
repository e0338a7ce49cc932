// Lines of the audit log and of its signed heads, and access.json. What is accepted as an entry must be written back to
// the same bytes. The first byte of the input chooses the reader; an entry gets the hash of its bytes, so that the
// fuzzer comes past it.
#include "crypto.h"
#include "freehold/access/audit.h"
#include "freehold/access/json.h"
#include "fuzz.h"

namespace {

using namespace freehold;

void entry(std::string_view text, bool hashed) {
    std::string line(text);
    if (hashed) line += ",\"hash\":\"" + access::crypto::sha256(text) + "\"}";
    access::AuditRecord record = access::parse_audit_line(line, "fuzz");
    fuzz::require(record.hash.size() == 64 && line.find(record.hash) != std::string::npos);
    // Written anew it reads as the same record.
    const std::string written = access::audit_line(record);
    const access::AuditRecord again = access::parse_audit_line(written, "written");
    fuzz::require(again.seq == record.seq && again.prev == record.prev);
    static_cast<void>(to_json(Value(access::audit_json(again))));
    fuzz::planted_bug(record.seq == 77 && record.status == 7);
}

void head(std::string_view text) {
    const access::AuditCheckpoint point = access::parse_checkpoint_line(text, "fuzz");
    fuzz::require(point.signature.size() == 128);
    fuzz::require(access::checkpoint_message(text).size() < text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text = freehold::fuzz::as_text(data + 1, size - 1);
    return freehold::fuzz::run([&] {
        switch (data[0]) {
            case 'e':
                return entry(text, true);
            case 'r':
                return entry(text, false);
            case 'h':
                return head(text);
            case 'k':
                return static_cast<void>(freehold::access::looks_like_secret(text));
            default:
                return static_cast<void>(freehold::access::parse_access_config(text, "access.json"));
        }
    });
}
