// Sealed texts on disk: one file and one key for each tenant, day and replica. Writers and erasers take the lock of the
// folder, so that no text is written under a key that is being removed.
#include "freehold/access/texts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "crypto.h"
#include "freehold/base/file.h"
#include "freehold/base/log.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTexts = ".texts";
constexpr const char* kKey = ".key";

[[noreturn]] void fail(const char* doing, const fs::path& path, int error) {
    throw Error(ErrorKind::io, fmt::format("Cannot {} {}: {}.", doing, path.string(), std::strerror(error)),
                error == ENOSPC ? "Free some space: no text is lost that was to be kept."
                                : "Check the folder of the audit log and who owns it.");
}

// An owned descriptor.
struct Held {
    explicit Held(int descriptor) noexcept : fd(descriptor) {}
    ~Held() {
        if (fd >= 0) ::close(fd);
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    int fd;
};

// Waits for whoever writes or erases now; both take milliseconds.
std::unique_ptr<Held> lock_texts(const fs::path& root) {
    const fs::path file = root / "lock";
    auto held = std::make_unique<Held>(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (held->fd < 0) fail("open", file, errno);
    while (::flock(held->fd, LOCK_EX) != 0) {
        if (errno != EINTR) fail("lock", file, errno);
    }
    return held;
}

void make_private(const fs::path& folder) {
    fs::create_directories(folder);
    fs::permissions(folder, fs::perms::owner_all);
}

void append_line(const fs::path& file, const std::string& lines) {
    const Held out(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (out.fd < 0) fail("open", file, errno);
    for (std::string_view rest = lines; !rest.empty();) {
        const ssize_t n = ::write(out.fd, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("write", file, errno);
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fsync(out.fd) != 0 && errno != EINVAL) fail("bring to the disk", file, errno);
}

// What a sealed text belongs to: it opens for no other request and no other kind.
std::string bound_to(std::string_view tenant, std::string_view request, std::string_view kind) {
    return fmt::format("freehold text\n{}\n{}\n{}", tenant, request, kind);
}

class Vault final : public TextVault {
 public:
    explicit Vault(TextOptions options) : options_(std::move(options)), root_(options_.folder / "texts") {
        make_private(root_);
    }
    ~Vault() override {
        try {
            flush();
        } catch (const std::exception& fault) {
            log_error(fmt::format("The last texts could not be written: {}", fault.what()));
        }
    }

    std::string keep(std::string_view tenant, std::string_view request_id, std::string_view kind,
                     std::string_view text) override {
        bool full = false;
        const std::int64_t at = options_.clock();
        {
            const std::lock_guard hold(mutex_);
            if (!fault_.empty()) throw Error(ErrorKind::io, "Texts cannot be kept: " + fault_);
            queue_.push_back({checked_tenant(tenant.empty() ? kDefaultTenant : tenant), std::string(request_id),
                              std::string(kind), std::string(text), at});
            queued_ += text.size();
            full = queued_ > options_.queue_bytes;
        }
        if (full) flush();
        return time_text(at).substr(0, 10);
    }

    void flush() override {
        const std::lock_guard one(flushing_);
        std::vector<Waiting> queue;
        {
            const std::lock_guard hold(mutex_);
            queue.swap(queue_);
            queued_ = 0;
        }
        if (queue.empty()) return;
        try {
            write(queue);
            const std::lock_guard hold(mutex_);
            fault_.clear();
        } catch (const Error& fault) {
            const std::lock_guard hold(mutex_);
            fault_ = fault.message();
            queued_ = 0;
            queue_.insert(queue_.begin(), queue.begin(), queue.end());  // tried again with the next flush
            for (const Waiting& text : queue_) queued_ += text.text.size();
            throw;
        }
    }

 private:
    struct Waiting {
        std::string tenant, request, kind, text;
        std::int64_t at = 0;
    };

    void write(const std::vector<Waiting>& queue) {
        const auto held = lock_texts(root_);
        std::map<fs::path, std::string> lines;  // file without its ending
        std::map<fs::path, crypto::Key32> keys;
        for (const Waiting& waiting : queue) {
            const fs::path base =
                root_ / waiting.tenant / (time_text(waiting.at).substr(0, 10) + "." + options_.replica);
            auto key = keys.find(base);
            if (key == keys.end()) {
                make_private(base.parent_path());
                // Read each time: an eraser may have removed it, and then a new one begins.
                key = keys.emplace(base, crypto::load_or_make_key(fs::path(base) += kKey)).first;
            }
            const auto sealed =
                crypto::seal(key->second, waiting.text, bound_to(waiting.tenant, waiting.request, waiting.kind));
            lines[base] += to_json(Value(ValueMap{{"request", waiting.request},
                                                  {"kind", waiting.kind},
                                                  {"time", time_text(waiting.at)},
                                                  {"sealed", crypto::to_hex(sealed)}})) +
                           "\n";
        }
        for (const auto& [base, text] : lines) append_line(fs::path(base) += kTexts, text);
    }

    TextOptions options_;
    fs::path root_;
    std::mutex flushing_;
    std::mutex mutex_;  // of what follows
    std::vector<Waiting> queue_;
    std::size_t queued_ = 0;
    std::string fault_;
};

// One file of texts and where it belongs.
struct TextFile {
    fs::path file, key;
    std::string tenant, day;
};

std::vector<TextFile> text_files(const fs::path& folder) {
    std::vector<TextFile> files;
    std::error_code ec;
    for (const auto& tenant : fs::directory_iterator(folder / "texts", ec)) {
        if (!tenant.is_directory()) continue;
        for (const auto& entry : fs::directory_iterator(tenant.path())) {
            const std::string name = entry.path().filename().string();
            if (!name.ends_with(kTexts) || name.size() < 11) continue;
            fs::path key = entry.path();
            key.replace_extension(kKey);
            files.push_back({entry.path(), key, tenant.path().filename().string(), name.substr(0, 10)});
        }
    }
    std::ranges::sort(files, {}, &TextFile::file);
    return files;
}

struct SealedLine {
    std::string request, kind;
    std::optional<std::string> text;  // nullopt: it does not open
    std::uint64_t number = 0;
};

// Calls `each` for every line of a file; a last one that a kill cut is left out.
void read_texts(const TextFile& file, const std::function<void(const SealedLine&)>& each) {
    const crypto::Key32 key = crypto::load_key(file.key);
    const auto mapped = MappedFile::open(file.file);
    std::string_view rest(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
    for (std::uint64_t number = 1; !rest.empty(); ++number) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) return;
        SealedLine line;
        line.number = number;
        try {
            const Value value = parse_json(rest.substr(0, end), file.file.string());
            if (const auto* map = value.get<ValueMap>()) {
                const auto text = [&](const char* name) {
                    const Value* v = map->find(name);
                    return v == nullptr ? std::string() : std::string(v->as_string().value_or(""));
                };
                line.request = text("request");
                line.kind = text("kind");
                if (const auto bytes = crypto::from_hex(text("sealed")))
                    line.text = crypto::open(key, *bytes, bound_to(file.tenant, line.request, line.kind));
            }
        } catch (const Error&) {
            line.text.reset();  // no JSON any more: told as altered
        }
        each(line);
        rest.remove_prefix(end + 1);
    }
}

}  // namespace

std::unique_ptr<TextVault> TextVault::open(const TextOptions& options) {
    return std::make_unique<Vault>(options);
}

const char* text_state_name(KeptText::State state) noexcept {
    switch (state) {
        case KeptText::State::kept:
            return "kept";
        case KeptText::State::unbound:
            return "unbound";
        case KeptText::State::altered:
            return "altered";
        case KeptText::State::gone:
            return "gone";
    }
    return "gone";
}

EntryTexts find_texts(const fs::path& folder, const AuditRecord& record) {
    EntryTexts found;
    if (record.request_id.empty()) return found;
    const std::string tenant = record.tenant.empty() ? kDefaultTenant : record.tenant;
    // A request that ran over midnight stands in the file of the day before; its prompt may, and its answer not.
    const std::int64_t at = parse_time(record.time);
    const std::string last = record.time.substr(0, 10), first = time_text(at - 86'400'000).substr(0, 10);
    std::error_code ec;
    for (const TextFile& file : text_files(folder)) {
        if (file.tenant != tenant || file.day < first || file.day > last || !fs::exists(file.key, ec)) continue;
        const crypto::Key32 digest_key = crypto::load_key(folder / "digest.key");
        read_texts(file, [&](const SealedLine& line) {
            if (line.request != record.request_id || (line.kind != "prompt" && line.kind != "answer")) return;
            const bool prompt = line.kind == "prompt";
            KeptText& text = prompt ? found.prompt : found.answer;
            const std::string& digest = prompt ? record.prompt_digest : record.completion_digest;
            text = {};
            text.state = !line.text       ? KeptText::State::altered
                         : digest.empty() ? KeptText::State::unbound
                         : crypto::equal(crypto::hmac_sha256(digest_key, *line.text), digest)
                             ? KeptText::State::kept
                             : KeptText::State::altered;
            if (text.state != KeptText::State::altered) text.text = *line.text;
        });
    }
    return found;
}

namespace {

// What the chains say of texts: their digests, which of them must be there, and what was erased.
class TextsByChain {
 public:
    explicit TextsByChain(const fs::path& folder) {
        for (const std::string& replica : audit_replicas(folder)) read(folder, replica);
    }

    using Digests = std::pair<std::string, std::string>;  // of prompt and answer
    [[nodiscard]] const Digests* digests(const std::string& request) const {
        const auto found = digests_.find(request);
        return found == digests_.end() ? nullptr : &found->second;
    }
    void seen(const SealedLine& line) { wanted_.erase({line.request, line.kind}); }

    // What is not there, a fault for each file.
    void add_missing(std::vector<AuditFault>& faults) const {
        std::map<std::string, AuditFault> files;
        std::map<std::string, std::uint64_t> counts;
        for (const auto& [what, text] : wanted_) {
            if (excused(text)) continue;
            const std::string file = fmt::format("texts/{}/{}.{}{}", text.tenant, text.day, text.replica, kTexts);
            counts[file] += 1;
            AuditFault& fault = files[file];
            if (counts[file] > 1 && fault.entry <= text.entry) continue;
            fault = {"text", file, 0, text.entry, fmt::format("the first is the {} of {}", what.second, what.first)};
        }
        for (auto& [file, fault] : files) {
            const std::uint64_t n = counts[file];
            fault.message = fmt::format(
                "{} not there, and no entry tells of an erasure; {}.",
                n == 1 ? "A text that was kept is" : fmt::format("{} texts that were kept are", n), fault.message);
            faults.push_back(std::move(fault));
        }
    }

 private:
    static constexpr std::int64_t kUnwritten = 5000;  // ms that may lie between an entry and its texts on the disk
    struct Wanted {
        std::string tenant, day, replica;
        std::uint64_t entry = 0;
        std::int64_t time = 0;
    };
    struct Gap {  // a server of this replica ended without a word
        std::string replica;
        std::int64_t at = 0;
    };

    void read(const fs::path& folder, const std::string& replica) {
        std::string last;
        const auto is = [](std::string_view line, const char* kind) {
            return line.find(fmt::format("\"kind\":\"{}\"", kind)) != std::string_view::npos;
        };
        for (const AuditSegment& segment : audit_segments(folder, replica)) {
            read_audit_lines(segment.file, [&](std::string_view line, std::uint64_t number, bool whole) {
                if (!whole) return;
                const std::string where = fmt::format("{} line {}", segment.file.string(), number);
                try {
                    if (is(line, "start") && !last.empty() && !is(last, "stop"))
                        gaps_.push_back({replica, parse_time(parse_audit_line(last, where).time)});
                    if (!is(line, "healed") && !is(line, "chain")) last = line;
                    if (line.find("_digest\"") != std::string_view::npos || is(line, "erase"))
                        take(parse_audit_line(line, where), replica);
                } catch (const Error&) {
                    return;  // the verification of the chain names it
                }
            });
        }
    }

    void take(const AuditRecord& record, const std::string& replica) {
        const auto text = [](const ValueMap& map, const char* name) {
            const Value* v = map.find(name);
            return v == nullptr ? std::string() : std::string(v->as_string().value_or(""));
        };
        if (record.kind == "erase") {
            erased_.emplace_back(text(record.details, "before"), record.tenant);
            return;
        }
        digests_[record.request_id] = {record.prompt_digest, record.completion_digest};
        const Value* const kept = record.details.find("texts");
        const auto* const days = kept == nullptr ? nullptr : kept->get<ValueMap>();
        if (days == nullptr) return;
        for (const char* kind : {"prompt", "answer"}) {
            if (const std::string day = text(*days, kind); !day.empty()) {
                wanted_[{record.request_id, kind}] = {record.tenant.empty() ? kDefaultTenant : record.tenant, day,
                                                      replica, record.seq, parse_time(record.time)};
            }
        }
    }

    [[nodiscard]] bool excused(const Wanted& text) const {
        const bool gone = std::ranges::any_of(erased_, [&](const auto& erased) {
            return text.day < erased.first && (erased.second.empty() || erased.second == text.tenant);
        });
        // A server that runs writes them in a moment; one that was killed did not come to it.
        return gone || text.time > system_clock_ms() - kUnwritten || std::ranges::any_of(gaps_, [&](const Gap& gap) {
                   return gap.replica == text.replica && text.time <= gap.at && text.time > gap.at - kUnwritten;
               });
    }

    std::unordered_map<std::string, Digests> digests_;
    std::map<std::pair<std::string, std::string>, Wanted> wanted_;  // request and kind
    std::vector<std::pair<std::string, std::string>> erased_;       // before which day, of which tenant
    std::vector<Gap> gaps_;
};

}  // namespace

TextReport verify_texts(const fs::path& folder) {
    TextReport report;
    std::error_code ec;
    TextsByChain chain(folder);
    const std::vector<TextFile> files = text_files(folder);
    for (const TextFile& file : files) {
        if (!fs::exists(file.key, ec)) continue;  // erased: what is left says nothing
        const crypto::Key32 digest_key = crypto::load_key(folder / "digest.key");
        report.files += 1;
        const std::string name = fs::relative(file.file, folder).generic_string();
        const auto fault = [&](const SealedLine& line, std::string message) {
            report.faults.push_back({"text", name, line.number, 0, std::move(message)});
        };
        read_texts(file, [&](const SealedLine& line) {
            report.texts += 1;
            report.tenants[file.tenant] += 1;
            chain.seen(line);
            if (!line.text) {
                fault(line, fmt::format("The {} of {} is not what was sealed.", line.kind, line.request));
            } else if (const auto* known = chain.digests(line.request)) {
                const std::string& digest = line.kind == "prompt" ? known->first : known->second;
                if (!digest.empty() && !crypto::equal(crypto::hmac_sha256(digest_key, *line.text), digest)) {
                    fault(line, fmt::format("The {} of {} is not the one whose digest the chain has.", line.kind,
                                            line.request));
                }
            }
        });
    }
    chain.add_missing(report.faults);
    return report;
}

std::uint64_t erase_texts(const fs::path& folder, const EraseWish& wish) {
    const fs::path root = folder / "texts";
    std::error_code ec;
    if (!fs::is_directory(root, ec)) return 0;
    const auto held = lock_texts(root);
    const std::string before = time_text(wish.before_ms).substr(0, 10);
    std::uint64_t count = 0;
    for (const TextFile& file : text_files(folder)) {
        if (file.day >= before || (!wish.tenant.empty() && file.tenant != wish.tenant)) continue;
        crypto::shred(file.key);
        if (!fs::remove(file.file, ec) && ec) fail("remove", file.file, ec.value());
        ++count;
    }
    return count;
}

AuditEntry erase_entry(const EraseWish& wish, std::uint64_t files) {
    AuditEntry entry;
    entry.kind = "erase";
    entry.tenant = wish.tenant;
    entry.details.set("before", time_text(wish.before_ms).substr(0, 10));
    entry.details.set("files", static_cast<std::int64_t>(files));
    return entry;
}

}  // namespace freehold::access
