// The texts of requests and answers, where it is configured that they are kept: beside the audit chain, never in it, so
// that they can be erased and the chain still holds. The chain has their keyed digests, which tell a changed text.
//
// On disk, under the folder of the log: texts/TENANT/DAY.REPLICA.texts, a line of JSON for each text, sealed with
// AES-256-GCM under the key in DAY.REPLICA.key (0600), which is made for that tenant, day and replica alone. Erasing
// removes the key first: what a disk may still hold of the texts is then worth nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/access/audit.h"

namespace freehold::access {

struct TextOptions {
    std::filesystem::path folder;  // of the log: $FREEHOLD_HOME/audit
    std::string replica = "main";
    std::size_t queue_bytes = 64U << 20U;  // beyond that keep() writes by itself
    Clock clock = system_clock_ms;
};

// Thread-safe. keep() queues; flush() seals, writes and brings to the disk: call it every second.
class TextVault {
 public:
    [[nodiscard]] static std::unique_ptr<TextVault> open(const TextOptions& options);
    virtual ~TextVault() = default;  // flushes what it can
    // `kind`: "prompt" or "answer". Returns the day under which it is kept, for details.texts of the entry: it says
    // that the text must be there. Error{io} once writing has failed.
    virtual std::string keep(std::string_view tenant, std::string_view request_id, std::string_view kind,
                             std::string_view text) = 0;
    virtual void flush() = 0;
};

// What is left of an entry's text.
struct KeptText {
    enum class State : std::uint8_t {
        kept,     // and it is the text whose digest the chain has
        unbound,  // sealed as it was, but written after the entry: in the background, or the client had gone
        altered,  // not what was sealed, or not the text of the digest
        gone,     // erased, or never kept
    };
    State state = State::gone;
    std::string text;  // of kept and unbound
};
struct EntryTexts {
    KeptText prompt, answer;
};
[[nodiscard]] const char* text_state_name(KeptText::State state) noexcept;  // "kept", "unbound", "altered", "gone"
// Reads the folder's digest.key and the keys of the day. Error{io}.
[[nodiscard]] EntryTexts find_texts(const std::filesystem::path& folder, const AuditRecord& record);

struct TextReport {
    std::uint64_t texts = 0, files = 0;
    std::map<std::string, std::uint64_t> tenants;  // texts of each
    // kind "text": sealed bytes were changed, a digest differs, or a text is not there that the chain says was kept
    std::vector<AuditFault> faults;
};
// Holds every kept text against its seal and against the digest in the chain, and what the chain says was kept against
// what is there. What was erased, and the chain says so, is no fault; nor is what a kill can lose, the texts of the
// last seconds before a start without a stop.
[[nodiscard]] TextReport verify_texts(const std::filesystem::path& folder);

struct EraseWish {
    std::int64_t before_ms = 0;  // whole days (UTC) that ended by then
    std::string tenant;          // empty: of all tenants
};
// Erases, keys first; a server may go on running. Returns how many files of texts went.
std::uint64_t erase_texts(const std::filesystem::path& folder, const EraseWish& wish);
// What the chain remembers of that: kind "erase", with the tenant, the day before which, and how many files.
[[nodiscard]] AuditEntry erase_entry(const EraseWish& wish, std::uint64_t files);

}  // namespace freehold::access
