// The writer of one chain: append() links and queues, one thread writes, flushes, begins segments and signs heads.
// What is on disk is never rewritten; only a line that a kill cut in the middle is set aside, and that is recorded.
// What the disk does not take now stays queued and is tried again; a head is signed only over what was synced.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "append_file.h"
#include "crypto.h"
#include "freehold/access/audit.h"
#include "freehold/base/file.h"
#include "freehold/base/log.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxQueue = 1U << 16U;
constexpr std::uint64_t kHeadRoom = 16384;  // for signed heads

void sync_folder(const fs::path& folder) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) fail_at("open", folder, errno);
    static_cast<void>(::fsync(fd));
    ::close(fd);
}

fs::path segment_path(const fs::path& dir, std::uint64_t first) {
    return dir / fmt::format("entries-{:012}.jsonl", first);
}

class Log final : public AuditLog {
 public:
    explicit Log(AuditOptions options)
        : options_(std::move(options)),
          dir_(options_.folder / options_.replica),
          signer_(prepare(options_)),
          digest_key_(crypto::load_or_make_key(options_.folder / "digest.key")),
          lock_(dir_ / "lock") {
        if (!lock_.lock()) {
            throw Error(ErrorKind::conflict, fmt::format("Another process writes the audit log {}.", dir_.string()),
                        "Give each server of an installation a replica name of its own.");
        }
        recover();
        try {
            make_room();
        } catch (const Error& full) {
            fault_ = full.message();
        }
        writer_ = std::thread([this] { write_loop(); });
    }

    ~Log() override {
        {
            const std::lock_guard hold(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        if (writer_.joinable()) writer_.join();
        segment_.give_back_room();
        checkpoint_file_.give_back_room();
    }

    AuditRecord append(const AuditEntry& entry) override {
        {
            const std::lock_guard hold(mutex_);
            if (!fault_.empty()) {
                throw Error(ErrorKind::io, "The audit log cannot be written: " + fault_,
                            "No request is answered that cannot be recorded. It is tried again each second.");
            }
        }
        return append_ended(entry);
    }

    AuditRecord append_ended(const AuditEntry& entry) override {
        const std::lock_guard hold(mutex_);
        if (queue_.size() + writing_ >= kMaxQueue) {
            throw Error(ErrorKind::busy, "The audit log waits for its disk.", "Try again in a moment.");
        }
        AuditRecord record;
        static_cast<AuditEntry&>(record) = entry;
        return link(record);
    }

    [[nodiscard]] std::string fault() const override {
        const std::lock_guard hold(mutex_);
        if (!fault_.empty()) return fault_;
        return queue_.size() + writing_ >= kMaxQueue / 2 ? "Its disk is too slow for what comes." : std::string();
    }

    void flush() override {
        std::unique_lock hold(mutex_);
        const std::uint64_t upto = next_;
        flush_to_ = std::max(flush_to_, upto);
        wake_.notify_all();
        written_.wait(hold, [&] { return on_disk_ >= upto || !fault_.empty(); });
        if (!fault_.empty()) throw Error(ErrorKind::io, "The audit log cannot be written: " + fault_);
    }

    void checkpoint() override {
        {
            const std::lock_guard hold(mutex_);
            sign_now_ = true;
        }
        flush();
        std::unique_lock hold(mutex_);
        wake_.notify_all();
        written_.wait(hold, [&] { return !sign_now_ || !fault_.empty(); });
        if (!fault_.empty()) throw Error(ErrorKind::io, "The audit log cannot be written: " + fault_);
    }

    [[nodiscard]] std::string digest(std::string_view text) const override {
        return crypto::hmac_sha256(digest_key_, text);
    }

    std::uint64_t purge(std::int64_t before_ms) override {
        const std::vector<AuditSegment> segments = audit_segments(options_.folder, options_.replica);
        // A segment may go when the next one's first entry is old enough: then all of its own are.
        std::size_t count = 0;
        std::uint64_t through = 0;
        for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
            std::string first;
            read_audit_lines(segments[i + 1].file, [&](std::string_view line, std::uint64_t number, bool) {
                if (number == 1) first = std::string(line);
            });
            const AuditRecord next = parse_audit_line(first, segments[i + 1].file.string() + " line 1");
            if (parse_time(next.time) >= before_ms) break;
            count = i + 1;
            through = next.seq - 1;
        }
        if (count == 0) return 0;
        AuditEntry entry;
        entry.kind = "purge";
        entry.details.set("through", static_cast<std::int64_t>(through));
        entry.details.set("before", time_text(before_ms));
        append(entry);
        checkpoint();
        for (std::size_t i = 0; i < count; ++i) {
            if (::unlink(segments[i].file.c_str()) != 0 && errno != ENOENT) fail_at("remove", segments[i].file, errno);
        }
        sync_folder(dir_);
        return count;
    }

    [[nodiscard]] const std::string& chain() const noexcept override { return chain_; }

 private:
    struct Waiting {
        std::string line;
        std::uint64_t seq = 0;
        std::string hash;
        std::chrono::steady_clock::time_point since;
    };

    // The folders and the signing key, before anything else is touched.
    static crypto::Signer prepare(const AuditOptions& options) {
        check_replica_name(options.replica);
        std::error_code ec;
        fs::create_directories(options.folder / options.replica, ec);
        if (ec) fail_at("make the folder", options.folder / options.replica, ec.value());
        fs::permissions(options.folder, fs::perms::owner_all, ec);
        return crypto::Signer::load_or_make(options.folder / "signing.key.pem", options.folder / "signing.pub.pem");
    }

    // Under the mutex, or before the writer runs.
    AuditRecord link(AuditRecord& record) {
        record.chain = chain_;
        record.seq = next_;
        record.time = time_text(options_.clock());
        record.prev = head_;
        std::string line = audit_line(record);
        line += '\n';
        head_ = record.hash;
        ++next_;
        queue_.push_back({std::move(line), record.seq, record.hash, std::chrono::steady_clock::now()});
        if (queue_.size() == 1 || queue_.size() >= options_.flush_entries) wake_.notify_all();
        return record;
    }

    void recover() {
        read_checkpoints();
        const std::vector<AuditSegment> segments = audit_segments(options_.folder, options_.replica);
        if (segments.empty()) {
            if (checkpoints_ > 0) {
                throw Error(ErrorKind::bad_file, fmt::format("{} has signed heads, but no entries.", dir_.string()),
                            "Set the folder aside for the inquiry; the next start begins a new chain.");
            }
            begin_chain();
            return;
        }
        const AuditSegment& last = segments.back();
        segment_ = AppendFile(last.file);
        std::uint64_t good = 0, lines = 0;
        std::string final_line;
        bool torn = false;
        read_audit_lines(last.file, [&](std::string_view line, std::uint64_t, bool whole) {
            // A loss of power leaves zeros where the file grew before its bytes arrived.
            if (torn || !whole || line.find('\0') != std::string_view::npos) {
                torn = true;
                return;
            }
            good += line.size() + 1;
            final_line = std::string(line);
            ++lines;
        });
        if (lines > 0) {
            const AuditRecord head = parse_audit_line(final_line, fmt::format("{} line {}", last.file.string(), lines));
            chain_ = head.chain;
            head_ = head.hash;
            next_ = head.seq + 1;
        } else if (segments.size() > 1) {
            // Killed when a new segment had its name and nothing else.
            std::string line;
            read_audit_lines(segments[segments.size() - 2].file,
                             [&](std::string_view text, std::uint64_t, bool) { line = std::string(text); });
            const AuditRecord head = parse_audit_line(line, segments[segments.size() - 2].file.string());
            chain_ = head.chain;
            head_ = head.hash;
            next_ = head.seq + 1;
        }
        if (signed_seq_ && (next_ == 0 || *signed_seq_ >= next_)) {
            throw Error(
                ErrorKind::bad_file,
                fmt::format("The audit log {} ends with entry {}, but entry {} was signed: its end was cut off.",
                            dir_.string(), next_ == 0 ? 0 : next_ - 1, *signed_seq_),
                "Set the folder aside for the inquiry (`freehold audit verify` says more); the next start "
                "begins a new chain.");
        }
        if (torn) set_torn_aside(last.file, good);
        on_disk_ = next_;
        const fs::path evidence = dir_ / fmt::format("torn-{:012}", next_);
        if (next_ == 0) {
            begin_chain();
        } else {
            last_ = {next_ - 1, head_};
        }
        std::error_code ec;
        if (!fs::exists(evidence, ec)) return;
        const std::string bytes = read_text(evidence, 64U << 20U);
        AuditRecord healed;
        healed.kind = "healed";
        healed.details.set("bytes", static_cast<std::int64_t>(bytes.size()));
        healed.details.set("sha256", crypto::sha256(bytes));
        healed.details.set("file", evidence.filename().string());
        link(healed);
        log_warn(
            fmt::format("The audit log ended inside a line ({} bytes), as after a kill; that is recorded as entry "
                        "{}, and the bytes lie in {}.",
                        bytes.size(), healed.seq, evidence.string()));
    }

    void begin_chain() {
        chain_ = options_.replica + "." + crypto::random_text(16);
        head_ = std::string(64, '0');
        segment_ = AppendFile(segment_path(dir_, 0));
        segment_.cut(0);
        sync_folder(dir_);
        AuditRecord first;
        first.kind = "chain";
        first.details.set("signing_key", signer_.verifier().fingerprint());
        link(first);
    }

    // The torn bytes are safe under a name of their own before they leave the segment.
    void set_torn_aside(const fs::path& file, std::uint64_t good) {
        const std::string all = read_text(file, 4ULL << 30U);
        write_text_atomic(dir_ / fmt::format("torn-{:012}", next_), std::string_view(all).substr(good));
        segment_.cut(good);
    }

    void read_checkpoints() {
        checkpoint_file_ = AppendFile(dir_ / "checkpoints.jsonl");
        std::uint64_t good = 0;
        bool torn = false;
        read_audit_lines(dir_ / "checkpoints.jsonl", [&](std::string_view line, std::uint64_t number, bool whole) {
            if (torn || !whole) {
                torn = true;
                return;
            }
            const AuditCheckpoint point =
                parse_checkpoint_line(line, fmt::format("{} line {}", (dir_ / "checkpoints.jsonl").string(), number));
            good += line.size() + 1;
            checkpoints_ = point.number + 1;
            signed_seq_ = point.seq;
        });
        // A head that was being signed when the process died is signed again.
        if (torn) checkpoint_file_.cut(good);
        static_cast<void>(checkpoint_file_.reserve(kHeadRoom));
    }

    void sign(std::uint64_t seq, const std::string& hash) {
        ValueMap map;
        map.set("chain", chain_);
        map.set("number", static_cast<std::int64_t>(checkpoints_));
        map.set("seq", static_cast<std::int64_t>(seq));
        map.set("hash", hash);
        map.set("time", time_text(options_.clock()));
        map.set("key", signer_.verifier().fingerprint());
        std::string line = to_json(Value(std::move(map)));
        line.pop_back();
        line += R"(,"signature":")" + std::string(128, '0') + "\"}";
        const std::string signature = signer_.sign(checkpoint_message(line));
        line.replace(line.size() - 130, 128, signature);
        line += '\n';
        checkpoint_file_.append_synced(line);
        ++checkpoints_;
        signed_seq_ = seq;
        signed_at_ = std::chrono::steady_clock::now();
        if (!options_.export_to.empty()) to_export_ += line;
        export_heads();
    }

    // A folder that takes no copy now gets it later; the head itself is signed and stands beside the entries.
    void export_heads() {
        if (to_export_.empty()) return;
        fs::create_directories(options_.export_to);
        AppendFile copy(options_.export_to / (chain_ + ".jsonl"));
        copy.append_synced(to_export_);
        to_export_.clear();
    }

    void write_loop() {
        std::unique_lock hold(mutex_);
        while (true) {
            const auto due = [&] {
                return stop_ || (fault_.empty() && (sign_now_ || flush_to_ > on_disk_)) ||
                       queue_.size() >= options_.flush_entries;
            };
            if (!fault_.empty()) {
                wake_.wait_for(hold, options_.retry_after, [&] { return stop_; });
            } else if (queue_.empty()) {
                const auto more = [&] { return due() || !queue_.empty(); };
                // The last entries of a busy minute are signed in a quiet one.
                if (last_ && (!signed_seq_ || *signed_seq_ < last_->first)) {
                    using std::chrono::milliseconds;
                    wake_.wait_until(hold, signed_at_ + options_.checkpoint_after + milliseconds(1), more);
                } else {
                    wake_.wait(hold, more);
                }
            }
            if (fault_.empty() && !queue_.empty() && !due())
                wake_.wait_until(hold, queue_.front().since + options_.flush_after, due);
            std::deque<Waiting> batch;
            batch.swap(queue_);
            writing_ = batch.size();
            const bool ending = stop_, signing = sign_now_;
            hold.unlock();
            std::string fault;
            try {
                write_batch(batch);
                sign_when_due(ending || signing);
                export_heads();
                make_room();
            } catch (const std::exception& e) {
                fault = e.what();
            }
            hold.lock();
            // What was not written goes before what came meanwhile.
            queue_.insert(queue_.begin(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
            writing_ = 0;
            if (last_) on_disk_ = std::max(on_disk_, last_->first + 1);
            if (fault.empty() != fault_.empty()) {
                if (fault.empty()) {
                    log_info("The audit log can be written again; what waited is recorded.");
                } else {
                    log_error("The audit log cannot be written: " + fault);
                }
            }
            fault_ = fault;
            if (signing) sign_now_ = false;
            written_.notify_all();
            if (!ending) continue;
            if (!fault_.empty() && !queue_.empty())
                log_error(
                    fmt::format("{} entries of the audit log could not be written before the end.", queue_.size()));
            if (!fault_.empty() || queue_.empty()) return;
        }
    }

    // Only the writer thread (and the constructor before it) touches what these touch. Of `batch` remains what is not
    // on the disk.
    void write_batch(std::deque<Waiting>& batch) {
        while (!batch.empty()) {
            if (segment_.size() > 0 && segment_.size() >= options_.segment_bytes) begin_segment(batch.front().seq);
            std::string text;
            std::size_t count = 0;
            while (count < batch.size() && (count == 0 || segment_.size() + text.size() < options_.segment_bytes))
                text += batch[count++].line;
            segment_.append_synced(text);
            last_ = {batch[count - 1].seq, batch[count - 1].hash};
            batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
        }
    }

    void sign_when_due(bool asked) {
        if (!last_ || (signed_seq_ && *signed_seq_ >= last_->first)) return;
        const std::uint64_t unsigned_entries = signed_seq_ ? last_->first - *signed_seq_ : last_->first + 1;
        const bool late = std::chrono::steady_clock::now() - signed_at_ > options_.checkpoint_after;
        if (asked || late || unsigned_entries >= options_.checkpoint_every) sign(last_->first, last_->second);
    }

    // A segment that is over ends with a signed head, so that it can be purged or kept elsewhere on its own.
    void begin_segment(std::uint64_t first) {
        if (last_ && (!signed_seq_ || *signed_seq_ < last_->first)) sign(last_->first, last_->second);
        segment_.give_back_room();
        segment_ = AppendFile(segment_path(dir_, first));
        sync_folder(dir_);
    }

    // Room for the entries of what is being answered now. Without it the log counts as one that cannot be written, so
    // that the door closes before an answer is given whose entry finds no place.
    void make_room() {
        const bool has = segment_.reserve(options_.room_ahead) && checkpoint_file_.reserve(kHeadRoom);
        if (!has) {
            throw Error(ErrorKind::io,
                        fmt::format("There is no room of {} bytes for the next entries in {}.", options_.room_ahead,
                                    dir_.string()),
                        "Free some space: no request is answered that cannot be recorded.");
        }
    }

    AuditOptions options_;
    fs::path dir_;
    crypto::Signer signer_;
    crypto::Key32 digest_key_;
    AppendFile lock_, segment_, checkpoint_file_;
    std::string chain_;
    std::uint64_t checkpoints_ = 0;
    std::optional<std::uint64_t> signed_seq_;
    std::optional<std::pair<std::uint64_t, std::string>> last_;  // on the disk: number and hash
    std::string to_export_;                                      // signed heads whose copy was not written yet
    std::chrono::steady_clock::time_point signed_at_ = std::chrono::steady_clock::now();

    mutable std::mutex mutex_;  // of what follows
    std::condition_variable wake_, written_;
    std::deque<Waiting> queue_;
    std::size_t writing_ = 0;  // entries that the writer has taken
    std::string head_, fault_;
    std::uint64_t next_ = 0, on_disk_ = 0, flush_to_ = 0;  // entries
    bool stop_ = false, sign_now_ = false;
    std::thread writer_;
};

}  // namespace

std::unique_ptr<AuditLog> AuditLog::open(const AuditOptions& options) {
    return std::make_unique<Log>(options);
}

void check_replica_name(const std::string& name) {
    const bool plain =
        !name.empty() && name.size() <= 64 && name.front() != '.' && std::ranges::all_of(name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                   c == '-';
        });
    if (plain) return;
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is no name of a replica.", printable(name)),
                "Letters, digits and . _ - are allowed, 64 at most, the first no dot.");
}

fs::path audit_folder(const fs::path& home) {
    return home / "audit";
}

}  // namespace freehold::access
