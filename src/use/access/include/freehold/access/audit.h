// The audit log: who asked what of which weights, and how it ended; append-only, each entry chained to the one before
// by SHA-256, heads signed with Ed25519. docs/audit.md has the format and how to check it without this program.
//
// On disk, under the folder of the log: signing.key.pem (0600), signing.pub.pem, digest.key (0600), and one folder a
// replica with segments (entries-000000000000.jsonl, named by their first entry), checkpoints.jsonl and lock. One
// process writes a replica's chain at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/access/principal.h"
#include "freehold/base/value.h"

namespace freehold::access {

// What happened. Empty texts and zeros are left out of the line.
struct AuditEntry {
    // "request"; also "start" and "stop" of a server, "key" (created, revoked, rotated), "model" (pulled, removed),
    // "erase" (stored texts), and what the log itself writes: "chain", "healed", "purge".
    std::string kind = "request";
    std::string key_id, name, tenant, by;  // who; by: "open", "key", "proxy", "console"
    std::string request_id, response_id;
    std::string route;                    // "POST /v1/chat/completions"
    std::string model, weights, adapter;  // name; manifest digests ("sha256:...")
    std::int64_t prompt_tokens = 0, completion_tokens = 0;
    std::string outcome;                           // "ok", "refused", "cancelled", "failed"
    int status = 0;                                // of HTTP
    std::vector<std::string> safeguards;           // decisions, in their order
    std::string prompt_digest, completion_digest;  // AuditLog::digest
    ValueMap details;                              // anything else; small

    void set_who(const Principal& who);
};

// An entry as it stands in a chain.
struct AuditRecord : AuditEntry {
    std::uint64_t seq = 0;
    std::string chain;  // "main.4fK2...": replica and a random part
    std::string time;   // RFC 3339 with milliseconds, UTC
    std::string prev, hash;
};

struct AuditOptions {
    std::filesystem::path folder;                        // $FREEHOLD_HOME/audit
    std::string replica = "main";                        // [A-Za-z0-9._-]
    std::uint64_t segment_bytes = 64ULL << 20U;          // a new segment begins after that
    std::uint64_t checkpoint_every = 1024;               // entries
    std::chrono::milliseconds checkpoint_after{60'000};  // where there are new entries, also when nothing more comes
    std::chrono::milliseconds flush_after{1000};
    std::size_t flush_entries = 64;
    // Kept free on the disk for the entries of what is being answered; where it cannot be had, fault() says so.
    std::uint64_t room_ahead = 1U << 20U;
    std::chrono::milliseconds retry_after{1000};  // after a fault
    std::filesystem::path export_to;              // checkpoints are copied to this folder as well; empty: nowhere
    Clock clock = system_clock_ms;
};
// Error{usage} for what cannot be AuditOptions::replica.
void check_replica_name(const std::string& name);
[[nodiscard]] std::filesystem::path audit_folder(const std::filesystem::path& home);

// Thread-safe. append() computes the link and queues the line (microseconds); one thread writes and flushes within
// flush_after or flush_entries, whichever comes first. A kill loses at most that much, and a line that was cut in the
// middle is set aside and told by an entry of kind "healed" at the next start.
class AuditLog {
 public:
    // Error{conflict} when another process writes this chain; Error{bad_file} when what lies there does not hold
    // together (it is left as it is); Error{io}.
    [[nodiscard]] static std::unique_ptr<AuditLog> open(const AuditOptions& options);
    virtual ~AuditLog() = default;  // flushes, and signs the head

    // The place of the entry. Error{io} while the log cannot be written: nothing new may begin unrecorded.
    virtual AuditRecord append(const AuditEntry& entry) = 0;
    // Of what has happened already (a request that was answered): taken also while the log cannot be written, kept in
    // memory and written once it can. Error{busy} when there is no more room in memory.
    virtual AuditRecord append_ended(const AuditEntry& entry) = 0;
    // Why nothing new should begin now; empty while all is well. The writer tries again each second, and with it a
    // disk that has room again is enough to go on.
    [[nodiscard]] virtual std::string fault() const = 0;
    // Returns when all that was appended before is on the disk.
    virtual void flush() = 0;
    // Flushes and signs the present head.
    virtual void checkpoint() = 0;
    // HMAC-SHA-256 of a text under the installation's own key, in hex: equal texts have equal digests, and without the
    // key nobody can try texts against them.
    [[nodiscard]] virtual std::string digest(std::string_view text) const = 0;
    // Entries older than that go, whole segments at a time, never the one being written. An entry "purge" and
    // a signed checkpoint remember up to where. Returns the number of segments removed.
    virtual std::uint64_t purge(std::int64_t before_ms) = 0;
    [[nodiscard]] virtual const std::string& chain() const noexcept = 0;
};

// One line of a segment, without its newline. `hash` and `prev` of the record are kept as given: see AuditRecord.
[[nodiscard]] std::string audit_line(AuditRecord& record);  // fills record.hash
// Takes a line apart and checks that its hash is that of its bytes. `what` names it in messages. Error{bad_file}.
[[nodiscard]] AuditRecord parse_audit_line(std::string_view line, const std::string& what);
// The record as `audit show`, `export` and the page have it.
[[nodiscard]] ValueMap audit_json(const AuditRecord& record);

struct AuditCheckpoint {
    std::string chain, time, hash, key;  // hash of entry `seq`; fingerprint of the signing key
    std::uint64_t seq = 0;
    std::uint64_t number = 0;  // 0, 1, 2, ... without gaps
    std::string signature;     // over the line before it
};
[[nodiscard]] AuditCheckpoint parse_checkpoint_line(std::string_view line, const std::string& what);
// The bytes that a checkpoint's signature covers, for a line that was parsed.
[[nodiscard]] std::string checkpoint_message(std::string_view line);

// Entries from disk, without a lock; beside a running writer they are those that it has written.
struct AuditSegment {
    std::filesystem::path file;
    std::uint64_t first = 0;  // by its name
};
[[nodiscard]] std::vector<std::string> audit_replicas(const std::filesystem::path& folder);
[[nodiscard]] std::vector<AuditSegment> audit_segments(const std::filesystem::path& folder, const std::string& replica);
// Calls `each` for every line; `whole` is false for a last one without its newline. Lines over 1 MiB are
// Error{bad_file}.
void read_audit_lines(const std::filesystem::path& file,
                      const std::function<void(std::string_view line, std::uint64_t number, bool whole)>& each);

// The newest entries first, at most `limit`, those before entry `before` (0: from the end); of one tenant unless empty.
[[nodiscard]] std::vector<AuditRecord> audit_tail(const std::filesystem::path& folder, const std::string& replica,
                                                  std::size_t limit, std::uint64_t before = 0,
                                                  const std::string& tenant = {});
// The entry of a response id, a request id, "REPLICA/SEQ" or SEQ. nullopt: there is none.
[[nodiscard]] std::optional<AuditRecord> find_audit_entry(const std::filesystem::path& folder, const std::string& id);

// What is wrong with a log, and where it begins.
struct AuditFault {
    // altered: an entry's bytes are not those that were hashed; rewritten: entries hold together but are not those
    // that were signed; removed, reordered, repeated: entries lack, stand elsewhere or twice; truncated: the signed
    // head lies behind the last entry; checkpoint: a signature or the row of checkpoints is wrong; unreadable.
    std::string kind;
    std::string file;         // where it was seen
    std::uint64_t line = 0;   // in that file, from 1; 0: the file as a whole
    std::uint64_t entry = 0;  // where it begins
    std::string message;
};
struct ChainReport {
    std::string replica, chain;
    std::uint64_t entries = 0, first = 0, last = 0;
    std::uint64_t checkpoints = 0;
    std::optional<std::uint64_t> signed_up_to;
    std::string head;                              // hash of the last entry
    std::map<std::string, std::uint64_t> tenants;  // entries of each
    std::vector<AuditFault> faults;
    std::vector<std::string> notes;  // no faults: a purge, a healed line, a torn end
};
struct VerifyOptions {
    std::filesystem::path public_key;   // empty: signing.pub.pem of the log (which proves less)
    std::filesystem::path checkpoints;  // exported ones (a folder); empty: only those beside the log
};
[[nodiscard]] std::vector<ChainReport> verify_audit(const std::filesystem::path& folder,
                                                    const VerifyOptions& options = {});

}  // namespace freehold::access
