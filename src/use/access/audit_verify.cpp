// Holds a log against its own links and against what was signed, and names what is wrong and where it begins.
// Checkpoints are read before the entries: beside a running writer none is then ahead of what is seen.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "crypto.h"
#include "freehold/access/audit.h"
#include "freehold/base/file.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;

struct Seen {
    std::uint64_t seq = 0;
    std::string file;
    std::uint64_t line = 0;
};

// What an entry says of entries that are gone: those up to `through`.
struct Purge {
    std::uint64_t seq = 0, through = 0;
};

// One replica's chain, line by line; the first fault of the links is enough to place what follows.
class Chain {
 public:
    Chain(const fs::path& folder, std::string replica, const crypto::Verifier& key, const fs::path& exported)
        : folder_(folder), key_(key), exported_(exported) {
        report_.replica = std::move(replica);
    }

    ChainReport run() {
        const fs::path own = folder_ / report_.replica / "checkpoints.jsonl";
        std::error_code ec;
        if (fs::exists(own, ec)) read_checkpoints(own, true);
        const auto segments = audit_segments(folder_, report_.replica);
        for (const AuditSegment& segment : segments) {
            segment_ = &segment;
            last_segment_ = &segment == &segments.back();
            file_ = segment.file.filename().string();
            read_audit_lines(segment.file, [&](std::string_view line, std::uint64_t number, bool whole) {
                take(line, number, whole);
            });
        }
        name_break();
        check_beginning();
        check_signed();
        return std::move(report_);
    }

 private:
    void fault(const char* kind, std::uint64_t line, std::uint64_t entry, std::string message) {
        report_.faults.push_back({kind, file_, line, entry, std::move(message)});
    }

    void read_checkpoints(const fs::path& file, bool own) {
        file_ = file.filename().string();
        std::uint64_t expected = 0;
        read_audit_lines(file, [&](std::string_view line, std::uint64_t number, bool whole) {
            if (!whole) {
                report_.notes.push_back(fmt::format("{} ends inside a line, as after a kill.", file_));
                return;
            }
            try {
                const AuditCheckpoint point = parse_checkpoint_line(line, fmt::format("{} line {}", file_, number));
                if (!key_.verify(checkpoint_message(line), point.signature)) {
                    fault("checkpoint", number, point.seq,
                          fmt::format("The signature over entry {} is not of the key {}.", point.seq,
                                      key_.fingerprint()));
                    return;
                }
                if (own && point.number != expected) {
                    fault("checkpoint", number, point.seq,
                          fmt::format("Signed head {} is missing: {} stands in its place.", expected, point.number));
                }
                expected = point.number + 1;
                if (own) report_.checkpoints += 1;
                const auto [known, fresh] = signed_[point.chain].emplace(point.seq, point.hash);
                if (!fresh && known->second != point.hash) {
                    fault("rewritten", number, point.seq,
                          fmt::format("Entry {} was signed twice with different hashes.", point.seq));
                }
            } catch (const Error& e) {
                fault("checkpoint", number, 0, e.message());
            }
        });
    }

    void take(std::string_view line, std::uint64_t number, bool whole) {
        if (!whole) {
            if (last_segment_) {
                report_.notes.push_back(
                    fmt::format("{} ends inside a line ({} bytes), as after a kill or while it is written; the next "
                                "start sets it aside and records that.",
                                file_, line.size()));
            } else {
                fault("removed", number, expected_, fmt::format("{} ends inside an entry.", file_));
            }
            return;
        }
        AuditRecord record;
        try {
            record = parse_audit_line(line, fmt::format("{} line {}", file_, number));
        } catch (const Error& e) {
            if (line.find('\0') != std::string_view::npos && last_segment_) {
                report_.notes.push_back(
                    fmt::format("{} holds zeros from line {} on, as after a loss of power.", file_, number));
                return;
            }
            if (!broken_) {
                fault("altered", number, started_ ? expected_ : segment_->first,
                      fmt::format("Entry {} is not as it was written. {}", started_ ? expected_ : segment_->first,
                                  e.message()));
            }
            // The chain goes on behind the one that cannot be read.
            ++expected_;
            prev_.clear();
            started_ = true;
            return;
        }
        seen(record, number);
    }

    void seen(const AuditRecord& record, std::uint64_t number) {
        report_.entries += 1;
        if (!record.tenant.empty()) report_.tenants[record.tenant] += 1;
        if (!started_) {
            started_ = true;
            report_.chain = record.chain;
            report_.first = record.seq;
            expected_ = record.seq;
            prev_ = record.prev;
            first_prev_ = record.prev;
            // Exported heads go by the name of the chain, which is known from here on.
            if (!exported_.empty()) {
                const fs::path file = exported_ / (record.chain + ".jsonl");
                std::error_code ec;
                if (fs::exists(file, ec)) {
                    const std::string back = file_;
                    read_checkpoints(file, false);
                    file_ = back;
                } else {
                    report_.notes.push_back(fmt::format("There are no exported checkpoints of {}.", record.chain));
                }
            }
        }
        if (broken_) {
            after_.insert(record.seq);
            remember(record);
            return;
        }
        const bool linked = prev_.empty() || record.prev == prev_;
        if (record.seq == expected_ && linked && record.chain == report_.chain) {
            expected_ = record.seq + 1;
            prev_ = record.hash;
            remember(record);
            return;
        }
        if (record.chain != report_.chain) {
            fault("reordered", number, record.seq,
                  fmt::format("Entry {} belongs to the chain {}, not to {}.", record.seq, record.chain, report_.chain));
        } else if (record.seq == expected_) {
            fault("rewritten", number, expected_ == 0 ? 0 : expected_ - 1,
                  fmt::format("Entry {} does not follow from entry {} as it stands now: that one was written anew.",
                              expected_, expected_ - 1));
        }
        // Missing or moved is known only when the rest has been seen.
        broken_ = Seen{record.seq, file_, number};
        after_.insert(record.seq);
        remember(record);
    }

    void remember(const AuditRecord& record) {
        report_.last = std::max(report_.last, record.seq);
        report_.head = record.hash;
        const auto points = signed_.find(record.chain);
        if (points != signed_.end()) {
            const auto point = points->second.find(record.seq);
            if (point != points->second.end()) {
                if (point->second == record.hash) {
                    good_up_to_ = record.seq;
                } else if (!wrong_) {
                    wrong_ = record.seq;
                }
            }
        }
        if (record.kind == "healed")
            report_.notes.push_back(fmt::format("Entry {}: a torn line was set aside after a kill.", record.seq));
        if (record.kind == "purge") {
            if (const Value* through = record.details.find("through"); through != nullptr && through->as_int())
                purges_.push_back(
                    {record.seq, static_cast<std::uint64_t>(std::max<std::int64_t>(*through->as_int(), 0))});
        }
    }

    // Now that all is seen: which kind of break was it?
    void name_break() {
        if (!broken_ || !report_.faults.empty()) return;
        file_ = broken_->file;
        const std::uint64_t at = broken_->seq;
        if (at < expected_) {
            fault("repeated", broken_->line, at,
                  fmt::format("Entry {} stands again where entry {} should.", at, expected_));
            return;
        }
        const bool moved = after_.contains(expected_);
        const std::string range = at == expected_ + 1 ? fmt::format("Entry {}", expected_)
                                                      : fmt::format("Entries {} to {}", expected_, at - 1);
        if (moved) {
            fault("reordered", broken_->line, expected_,
                  fmt::format("Entry {} stands where entry {} should; that one comes later.", at, expected_));
        } else {
            fault("removed", broken_->line, expected_,
                  fmt::format("{} {} missing.", range, at == expected_ + 1 ? "is" : "are"));
        }
    }

    void check_beginning() {
        // Anybody can write an entry that follows from the last; only one that a signed head covers speaks for the log.
        // The log itself signs behind such an entry before it removes anything.
        std::optional<std::uint64_t> purged;
        for (const Purge& purge : purges_) {
            if (!good_up_to_ || purge.seq > *good_up_to_) continue;
            purged = std::max(purged.value_or(0), purge.through);
            report_.notes.push_back(fmt::format("Entry {}: older entries were removed by policy.", purge.seq));
        }
        if (!started_ || report_.first == 0) return;
        const auto& points = signed_[report_.chain];
        const auto point = points.find(report_.first - 1);
        if (purged && *purged + 1 >= report_.first && point != points.end() && point->second == first_prev_) return;
        const auto segments = audit_segments(folder_, report_.replica);
        file_ = segments.front().file.filename().string();
        fault("removed", 1, 0,
              fmt::format("Entries 0 to {} are missing, and no signed purge says that they were removed by policy.",
                          report_.first - 1));
    }

    void check_signed() {
        if (!started_) {
            if (signed_.empty()) return;
            file_ = report_.replica;
            fault("truncated", 0, 0, "Entries were signed, and none is left.");
            return;
        }
        const auto points = signed_.find(report_.chain);
        if (points == signed_.end() || points->second.empty()) {
            if (report_.faults.empty()) report_.notes.emplace_back("No head has been signed yet.");
            return;
        }
        if (good_up_to_) report_.signed_up_to = good_up_to_;
        if (wrong_ && report_.faults.empty()) {
            fault("rewritten", 0, good_up_to_ ? *good_up_to_ + 1 : report_.first,
                  fmt::format("Entry {} is not the one that was signed: the log was written anew from entry {} on at "
                              "the earliest.",
                              *wrong_, good_up_to_ ? *good_up_to_ + 1 : report_.first));
        }
        const std::uint64_t head = points->second.rbegin()->first;
        if (head > report_.last) {
            fault("truncated", 0, report_.last + 1,
                  fmt::format("Entry {} was signed, but the log ends with entry {}: its end was cut off.", head,
                              report_.last));
        }
    }

    const fs::path& folder_;
    const crypto::Verifier& key_;
    const fs::path& exported_;
    ChainReport report_;
    const AuditSegment* segment_ = nullptr;
    bool last_segment_ = false, started_ = false;
    std::string file_, prev_, first_prev_;
    std::uint64_t expected_ = 0;
    std::optional<Seen> broken_;
    std::set<std::uint64_t> after_;                                       // entries seen behind the break
    std::map<std::string, std::map<std::uint64_t, std::string>> signed_;  // chain: entry: hash
    std::optional<std::uint64_t> good_up_to_, wrong_;
    std::vector<Purge> purges_;
};

// Chains that were signed with this key and exported, and of which nothing is here: a folder that was removed whole
// takes its own signed heads with it.
std::vector<ChainReport> lost_chains(const fs::path& exported, const crypto::Verifier& key,
                                     const std::vector<ChainReport>& here) {
    std::vector<ChainReport> lost;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(exported, ec)) {
        const std::string chain = entry.path().stem().string();
        if (entry.path().extension() != ".jsonl" ||
            std::ranges::any_of(here, [&](const ChainReport& r) { return r.chain == chain; }))
            continue;
        std::optional<AuditCheckpoint> last;
        std::uint64_t signed_by_key = 0;
        read_audit_lines(entry.path(), [&](std::string_view line, std::uint64_t, bool whole) {
            if (!whole) return;
            try {
                AuditCheckpoint point = parse_checkpoint_line(line, entry.path().filename().string());
                if (point.chain != chain || !key.verify(checkpoint_message(line), point.signature)) return;
                ++signed_by_key;
                if (!last || point.seq > last->seq) last = std::move(point);
            } catch (const Error&) {
                // A folder may hold the heads of other machines and other files: what is not of this key proves
                // nothing.
            }
        });
        if (!last) continue;
        ChainReport report;
        report.replica = chain.substr(0, chain.rfind('.'));
        report.chain = chain;
        report.checkpoints = signed_by_key;
        report.signed_up_to = last->seq;
        report.faults.push_back({"truncated", entry.path().filename().string(), 0, 0,
                                 fmt::format("The chain {} was signed up to entry {}, and nothing of it is here: its "
                                             "folder was removed, or is kept elsewhere.",
                                             chain, last->seq)});
        lost.push_back(std::move(report));
    }
    std::ranges::sort(lost, {}, &ChainReport::chain);
    return lost;
}

}  // namespace

std::vector<ChainReport> verify_audit(const fs::path& folder, const VerifyOptions& options) {
    const fs::path key_file = options.public_key.empty() ? folder / "signing.pub.pem" : options.public_key;
    const crypto::Verifier key = crypto::Verifier::from_pem(read_text(key_file, 65536), key_file.string());
    std::vector<std::string> replicas = audit_replicas(folder);
    // A chain whose entries are all gone still has its signed heads.
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
        const std::string name = entry.path().filename().string();
        if (fs::exists(entry.path() / "checkpoints.jsonl", ec) && std::ranges::find(replicas, name) == replicas.end())
            replicas.push_back(name);
    }
    std::vector<ChainReport> reports;
    reports.reserve(replicas.size());
    for (const std::string& replica : replicas)
        reports.push_back(Chain(folder, replica, key, options.checkpoints).run());
    if (!options.checkpoints.empty()) {
        for (ChainReport& report : lost_chains(options.checkpoints, key, reports)) reports.push_back(std::move(report));
    }
    return reports;
}

}  // namespace freehold::access
