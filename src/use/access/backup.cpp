// Backups through libarchive: regular files with relative names, nothing else, in and out.
// The order of a restore: unpack to a folder of its own, check all, move the old aside, move the new in.
#include "freehold/access/backup.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "freehold/access/audit.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "freehold/database/database.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "freehold-backup.json";
// What belongs to an installation, as names under its home. A folder means all of its files.
constexpr std::array kState = {"audit", "access.json", "config.yaml", "catalogue.json"};
constexpr std::array kModels = {"oci-layout", "index.json", "blobs"};

struct FreeArchive {
    void operator()(archive* a) const noexcept { archive_free(a); }
};
struct FreeEntry {
    void operator()(archive_entry* e) const noexcept { archive_entry_free(e); }
};

// A folder that goes when the work is over, however it ends.
struct Workplace {
    explicit Workplace(fs::path at) : path(std::move(at)) {
        fs::create_directories(path);
        fs::permissions(path, fs::perms::owner_all);
    }
    ~Workplace() {
        std::error_code ec;
        fs::remove_all(path, ec);
    }
    Workplace(const Workplace&) = delete;
    Workplace& operator=(const Workplace&) = delete;
    fs::path path;
};

[[noreturn]] void broken(const fs::path& file, const std::string& fault) {
    throw Error(ErrorKind::bad_file, fmt::format("{} is no whole backup: {}", file.string(), fault),
                "Nothing was changed. Take another copy of it.");
}
[[noreturn]] void failed(const fs::path& file, archive* a) {
    const char* said = archive_error_string(a);
    throw Error(ErrorKind::io, fmt::format("{}: {}.", file.string(), said == nullptr ? "it failed" : said));
}

// A path that stays inside: parts of plain names, joined by '/'.
bool safe_name(std::string_view name) {
    if (name.empty() || name.size() > 4096 || name.front() == '/' || name.find('\\') != std::string_view::npos ||
        printable(name, 4096) != name)
        return false;
    while (true) {
        const std::size_t slash = name.find('/');
        const std::string_view part = name.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return false;
        if (slash == std::string_view::npos) return true;
        name.remove_prefix(slash + 1);
    }
}
bool belongs(std::string_view name) {
    const std::string_view top = name.substr(0, name.find('/'));
    return name == "state.db" || std::ranges::find(kState, top) != kState.end() ||
           std::ranges::find(kModels, top) != kModels.end();
}

struct Listed {
    std::uint64_t size = 0;
    std::string sha256;
};

// What goes in, each file mapped when it is listed: one that is replaced or removed afterwards stays what it was.
struct Packing {
    std::vector<std::pair<std::string, std::shared_ptr<const MappedFile>>> files;  // name in the backup, its bytes

    void add(const fs::path& home, const std::string& name) {
        const fs::path at = home / name;
        std::error_code ec;
        if (fs::is_regular_file(fs::symlink_status(at, ec))) files.emplace_back(name, MappedFile::open(at));
        if (!fs::is_directory(fs::symlink_status(at, ec))) return;
        // Signed heads before the entries that they sign: a server that writes meanwhile adds entries that no head of
        // this copy knows, and never a head without its entry.
        for (const bool heads : {true, false}) {
            for (const auto& entry : fs::recursive_directory_iterator(at)) {
                const std::string file = entry.path().filename().string();
                if (!entry.is_regular_file() || entry.is_symlink() || file == "lock") continue;
                // What was erased here must not come back from a backup.
                if (name == "audit" && fs::relative(entry.path(), at).begin()->string() == "texts") continue;
                if ((file == "checkpoints.jsonl") != heads) continue;
                files.emplace_back(fs::relative(entry.path(), home).generic_string(), MappedFile::open(entry.path()));
            }
        }
    }
};

void write_entry(archive* out, const fs::path& file, const std::string& name, std::string_view bytes) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0600);
    if (archive_write_header(out, entry.get()) != ARCHIVE_OK) failed(file, out);
    while (!bytes.empty()) {
        const la_ssize_t n = archive_write_data(out, bytes.data(), std::min<std::size_t>(bytes.size(), 1U << 20U));
        if (n <= 0) failed(file, out);
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::string_view as_text(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// The manifest's digest stands last and covers the bytes before it, as an entry of the audit log has it.
constexpr std::string_view kDigestMark = ",\n \"digest\": \"";

std::string manifest_text(ValueMap manifest) {
    std::string text = to_json(Value(std::move(manifest)), 1);
    text.resize(text.rfind('\n'));  // the closing brace comes after the digest
    return text + std::string(kDigestMark) + sha256_hex(std::as_bytes(std::span(text.data(), text.size()))) + "\"\n}";
}

void check_manifest(const std::string& text, const fs::path& file) {
    const std::size_t at = text.rfind(kDigestMark);
    if (at == std::string::npos) broken(file, "its manifest has no digest of its own.");
    const std::string tail = sha256_hex(std::as_bytes(std::span(text.data(), at))) + "\"\n}";
    if (text.substr(at + kDigestMark.size()) != tail) broken(file, "its manifest is not as it was written.");
}

std::map<std::string, Listed> read_manifest(const std::string& text, const fs::path& file, BackupFacts& facts) {
    const Value value = parse_json(text, file.string() + ": " + kManifest);
    const auto* map = value.get<ValueMap>();
    const Value* version = map == nullptr ? nullptr : map->find("version");
    const Value* list = map == nullptr ? nullptr : map->find("files");
    const Value* created = map == nullptr ? nullptr : map->find("created");
    if (version == nullptr || version->as_int().value_or(0) < 1 || *version->as_int() > 2 || list == nullptr ||
        created == nullptr || !created->as_string())
        broken(file, "its manifest is not one that this program knows.");
    // Those of version 1 had none. It finds damage; against malice a backup lies where nobody else writes.
    if (*version->as_int() > 1) check_manifest(text, file);
    facts.created = std::string(*created->as_string());
    std::map<std::string, Listed> files;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const Value item = list->at(i);
        const auto* fields = item.get<ValueMap>();
        const Value* name = fields == nullptr ? nullptr : fields->find("name");
        const Value* size = fields == nullptr ? nullptr : fields->find("size");
        const Value* digest = fields == nullptr ? nullptr : fields->find("sha256");
        if (name == nullptr || !name->as_string() || size == nullptr || size->as_int().value_or(-1) < 0 ||
            digest == nullptr || !digest->as_string())
            broken(file, "its manifest lists something that is no file.");
        const std::string path(*name->as_string());
        if (!safe_name(path) || !belongs(path))
            broken(file, fmt::format("\"{}\" does not belong into one.", printable(path)));
        const Listed listed{static_cast<std::uint64_t>(*size->as_int()), std::string(*digest->as_string())};
        if (!files.emplace(path, listed).second) broken(file, fmt::format("\"{}\" is listed twice.", path));
        facts.models = facts.models || path == "index.json";
        facts.files += 1;
        facts.bytes += listed.size;
    }
    return files;
}

// Reads all of a backup; with `to`, unpacks it there.
BackupFacts read_backup(const fs::path& file, const fs::path* to, const Progress& progress) {
    const std::unique_ptr<archive, FreeArchive> in(archive_read_new());
    archive_read_support_filter_gzip(in.get());
    archive_read_support_format_tar(in.get());
    if (archive_read_open_filename(in.get(), file.c_str(), 1U << 20U) != ARCHIVE_OK) {
        std::error_code ec;
        if (!fs::exists(file, ec)) throw Error(ErrorKind::not_found, fmt::format("There is no {}.", file.string()));
        broken(file, "it is no gzipped tar.");
    }
    BackupFacts facts;
    std::map<std::string, Listed> wanted;
    bool first = true;
    std::uint64_t done = 0;
    std::vector<std::byte> buffer(1U << 20U);
    archive_entry* entry = nullptr;
    for (int code = 0; (code = archive_read_next_header(in.get(), &entry)) != ARCHIVE_EOF;) {
        if (code != ARCHIVE_OK) broken(file, "it is damaged or cut off.");
        const char* raw = archive_entry_pathname(entry);
        const std::string name = raw == nullptr ? "" : raw;
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr)
            broken(file, fmt::format("\"{}\" is no plain file.", printable(name)));
        if (first) {
            if (name != kManifest) broken(file, "it does not begin with a manifest.");
            std::string text;
            for (la_ssize_t n = 0; (n = archive_read_data(in.get(), buffer.data(), buffer.size())) != 0;) {
                if (n < 0 || text.size() > (256U << 20U)) broken(file, "its manifest cannot be read.");
                text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(n));
            }
            wanted = read_manifest(text, file, facts);
            first = false;
            continue;
        }
        const auto listed = wanted.find(name);
        if (listed == wanted.end()) broken(file, fmt::format("\"{}\" is not in its manifest.", printable(name)));
        std::optional<AtomicFile> out;
        if (to != nullptr) {
            fs::create_directories((*to / name).parent_path());
            out.emplace(*to / name);
        }
        Sha256 hash;
        std::uint64_t size = 0;
        for (la_ssize_t n = 0; (n = archive_read_data(in.get(), buffer.data(), buffer.size())) != 0;) {
            if (n < 0) broken(file, fmt::format("\"{}\" cannot be read.", name));
            const auto bytes = std::span(buffer).first(static_cast<std::size_t>(n));
            size += bytes.size();
            if (size > listed->second.size) break;
            hash.update(bytes);
            if (out) out->write(bytes);
            done += bytes.size();
            if (progress) progress({"reading " + name, done, facts.bytes, "B"});
        }
        if (size != listed->second.size || hash.hex() != listed->second.sha256)
            broken(file, fmt::format("\"{}\" is not what its manifest says.", name));
        if (out) {
            out->commit();
            if (!name.starts_with("blobs/"))
                fs::permissions(*to / name, fs::perms::owner_read | fs::perms::owner_write);
        }
        wanted.erase(listed);
    }
    if (first) broken(file, "it is empty.");
    if (!wanted.empty()) broken(file, fmt::format("\"{}\" is missing.", wanted.begin()->first));
    return facts;
}

// An owned descriptor; its lock goes with it.
struct Held {
    explicit Held(int descriptor) noexcept : fd(descriptor) {}
    ~Held() {
        if (fd >= 0) ::close(fd);
    }
    Held(Held&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
    Held& operator=(Held&&) = delete;
    int fd;
};

// Takes the locks of all audit chains: whoever writes one is a running server.
std::vector<Held> hold_chains(const fs::path& folder) {
    std::vector<Held> held;
    for (const std::string& replica : audit_replicas(folder)) {
        held.emplace_back(::open((folder / replica / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (held.back().fd >= 0 && ::flock(held.back().fd, LOCK_EX | LOCK_NB) != 0) {
            throw Error(ErrorKind::conflict,
                        fmt::format("A server runs on this installation (audit chain {}).", replica),
                        "Stop it, then restore.");
        }
    }
    return held;
}

}  // namespace

BackupFacts backup_installation(const fs::path& home, const fs::path& file, const BackupOptions& options) {
    const Workplace work(home / fmt::format(".backup-{}", ::getpid()));
    Packing packing;
    if (fs::exists(state_database_path(home))) {
        open_sqlite(state_database_path(home))->backup_to(work.path / "state.db");
        packing.files.emplace_back("state.db", MappedFile::open(work.path / "state.db"));
    }
    for (const char* name : kState) packing.add(home, name);
    if (options.models) {
        for (const char* name : kModels) packing.add(home, name);
    }
    BackupFacts facts;
    facts.created = time_text(system_clock_ms());
    facts.models = options.models;
    ValueList list;
    std::vector<std::string_view> bytes;
    for (const auto& [name, mapped] : packing.files) {
        std::string_view text = as_text(*mapped);
        // The line that a server is writing now is not whole yet.
        if (name.starts_with("audit/") && name.ends_with(".jsonl")) text = text.substr(0, text.rfind('\n') + 1);
        bytes.push_back(text);
        facts.files += 1;
        facts.bytes += text.size();
        list.emplace_back(ValueMap{{"name", name},
                                   {"size", static_cast<std::int64_t>(text.size())},
                                   {"sha256", sha256_hex(std::as_bytes(std::span(text.data(), text.size())))}});
    }
    ValueMap manifest;
    manifest.set("version", 2);
    manifest.set("created", facts.created);
    manifest.set("files", std::move(list));

    fs::path beside = file;
    beside += fmt::format(".part-{}", ::getpid());
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) throw Error(ErrorKind::io, fmt::format("Cannot write {}.", beside.string()), "Check its folder.");
    const Held closer(fd);
    try {
        const std::unique_ptr<archive, FreeArchive> out(archive_write_new());
        archive_write_set_format_pax_restricted(out.get());
        archive_write_add_filter_gzip(out.get());
        archive_write_set_options(out.get(), "gzip:compression-level=1");
        if (archive_write_open_fd(out.get(), fd) != ARCHIVE_OK) failed(beside, out.get());
        write_entry(out.get(), beside, kManifest, manifest_text(std::move(manifest)));
        std::uint64_t done = 0;
        for (std::size_t i = 0; i < packing.files.size(); ++i) {
            write_entry(out.get(), beside, packing.files[i].first, bytes[i]);
            done += bytes[i].size();
            if (options.progress) options.progress({"packing " + packing.files[i].first, done, facts.bytes, "B"});
        }
        if (archive_write_close(out.get()) != ARCHIVE_OK) failed(beside, out.get());
        if (::fsync(fd) != 0) throw Error(ErrorKind::io, fmt::format("Cannot bring {} to the disk.", beside.string()));
        fs::rename(beside, file);
    } catch (...) {
        std::error_code ec;
        fs::remove(beside, ec);
        throw;
    }
    return facts;
}

BackupFacts check_backup(const fs::path& file, const Progress& progress) {
    return read_backup(file, nullptr, progress);
}

BackupFacts restore_installation(const fs::path& home, const fs::path& file, const Progress& progress) {
    fs::create_directories(home);
    const auto held = hold_chains(audit_folder(home));
    const Workplace work(home / fmt::format(".restore-{}", ::getpid()));
    const BackupFacts facts = read_backup(file, &work.path, progress);
    std::error_code ec;
    if (fs::exists(work.path / "state.db", ec)) {
        const auto faults = open_sqlite(work.path / "state.db")->check();
        if (!faults.empty()) broken(file, "its database is damaged. " + faults.front());
        // What opening it left beside it is no part of it.
        for (const char* side : {"state.db-wal", "state.db-shm"}) fs::remove(work.path / side, ec);
    }
    if (fs::exists(work.path / "audit" / "signing.pub.pem", ec)) {
        for (const ChainReport& report : verify_audit(work.path / "audit")) {
            if (!report.faults.empty())
                broken(file, fmt::format("its audit log does not hold: {}", report.faults.front().message));
        }
    }
    std::string stamp = time_text(system_clock_ms());
    std::ranges::replace(stamp, ':', '-');
    const fs::path before = home / ("before-restore-" + stamp);
    std::vector<fs::path> parts;  // listed first, as moving them changes what is being listed
    for (const auto& entry : fs::directory_iterator(work.path)) parts.push_back(entry.path());
    for (const fs::path& part : parts) {
        const fs::path name = part.filename();
        for (const char* tail : {"", "-wal", "-shm"}) {
            fs::path old = name;
            old += tail;
            if ((*tail != '\0' && name != "state.db") || !fs::exists(home / old, ec)) continue;
            fs::create_directories(before);
            fs::permissions(before, fs::perms::owner_all);
            fs::rename(home / old, before / old);
        }
        fs::rename(part, home / name);
    }
    const int folder = ::open(home.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        static_cast<void>(::fsync(folder));
        ::close(folder);
    }
    return facts;
}

}  // namespace freehold::access
