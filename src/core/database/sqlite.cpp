// SQLite behind the Database interface: one connection under a mutex, statements prepared once and kept.
// Write-ahead log with synchronous FULL: what a transaction has committed survives a kill and a loss of power.
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "freehold/base/error.h"
#include "freehold/database/database.h"
#include "freehold/database/state.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

// "frhd": tells our files from other SQLite databases.
constexpr std::int64_t kApplicationId = 0x66726864;

struct CloseConnection {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
struct FinishStatement {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseConnection>;
using Prepared = std::unique_ptr<sqlite3_stmt, FinishStatement>;

[[noreturn]] void fail(int code, const std::string& said, const std::string& name, std::string_view doing) {
    const std::string message = fmt::format("{}: {} failed: {}.", name, doing, said);
    switch (code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw Error(ErrorKind::busy, fmt::format("{} is held by another process.", name),
                        "Wait for it to finish (a backup or a long clean-up may hold it), then try again.");
        case SQLITE_CONSTRAINT:
            throw Error(ErrorKind::conflict, message, "Choose another name, or change the one that exists.");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_FORMAT:
            throw Error(ErrorKind::bad_file, fmt::format("{} is damaged or no database: {}.", name, said),
                        "Put it aside and restore a backup (`freehold restore`).");
        case SQLITE_FULL:
            throw Error(ErrorKind::io, message, "Free some space on that disk and try again.");
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_AUTH:
            throw Error(ErrorKind::io, message, "Check who owns the file and its folder.");
        case SQLITE_IOERR:
            throw Error(ErrorKind::io, message, "Check the disk, and that the folder is not on a network share.");
        case SQLITE_NOMEM:
            throw Error(ErrorKind::out_of_memory, message);
        default:
            throw Error(ErrorKind::internal, message);
    }
}

class Sqlite final : public Database {
 public:
    Sqlite(const fs::path& file, const SqliteOptions& options) : name_(file.string()) {
        if (!options.read_only) make_private(file);
        sqlite3* raw = nullptr;
        const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_FULLMUTEX |
                          SQLITE_OPEN_EXRESCODE;
        const int code = sqlite3_open_v2(file.c_str(), &raw, flags, nullptr);
        db_.reset(raw);
        if (code != SQLITE_OK) {
            if (options.read_only && !fs::exists(file))
                throw Error(ErrorKind::not_found, fmt::format("There is no {}.", name_));
            fail(code, raw == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(raw), name_, "opening");
        }
        sqlite3_busy_timeout(db_.get(), options.busy_ms);
        // A file from elsewhere may carry triggers and views: they may call nothing, and change no schema.
        sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
        sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
        sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
        sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
        if (!options.read_only) configure(options);
        // The first page is read here, so that damage is told at the start and not by the first request.
        query("SELECT count(*) FROM sqlite_master", {});
    }

    std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
        const std::lock_guard hold(mutex_);
        return rows_of(sql, values);
    }
    std::int64_t run(std::string_view sql, std::span<const Cell> values) override {
        const std::lock_guard hold(mutex_);
        return changed_by(sql, values);
    }

    void transaction(const std::function<void(Statements&)>& work) override {
        const std::lock_guard hold(mutex_);
        Inside inside(*this);
        // IMMEDIATE takes the turn to write at once: two readers that both want to write would else end in BUSY.
        changed_by("BEGIN IMMEDIATE", {});
        try {
            work(inside);
            changed_by("COMMIT", {});
        } catch (...) {
            if (sqlite3_get_autocommit(db_.get()) == 0) sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
            throw;
        }
    }

    void backup_to(const fs::path& file) override {
        make_private(file);
        sqlite3* raw = nullptr;
        const int opened = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
        const Connection target(raw);
        if (opened != SQLITE_OK) fail(opened, sqlite3_errstr(opened), file.string(), "opening the backup");
        const std::lock_guard hold(mutex_);
        sqlite3_backup* backup = sqlite3_backup_init(target.get(), "main", db_.get(), "main");
        if (backup == nullptr)
            fail(sqlite3_errcode(target.get()), sqlite3_errmsg(target.get()), file.string(), "the backup");
        int code = SQLITE_OK;
        do code = sqlite3_backup_step(backup, -1);
        while (code == SQLITE_BUSY || code == SQLITE_LOCKED);
        const int finished = sqlite3_backup_finish(backup);
        if (code != SQLITE_DONE) fail(code, sqlite3_errstr(code), file.string(), "the backup");
        if (finished != SQLITE_OK) fail(finished, sqlite3_errstr(finished), file.string(), "the backup");
    }

    std::vector<std::string> check() override {
        std::vector<std::string> faults;
        for (const Row& row : query("PRAGMA integrity_check(20)", {})) {
            if (row.text(0) != "ok") faults.push_back(name_ + ": " + row.text(0) + ".");
        }
        return faults;
    }

    void scrub() override {
        // Old content lives on in the log of pages until it is folded back into the file and cut.
        query("PRAGMA wal_checkpoint(TRUNCATE)", {});
    }

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }

 private:
    // The statements of a running transaction: the mutex is held already.
    class Inside final : public Statements {
     public:
        explicit Inside(Sqlite& owner) : owner_(owner) {}
        std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
            return owner_.rows_of(sql, values);
        }
        std::int64_t run(std::string_view sql, std::span<const Cell> values) override {
            return owner_.changed_by(sql, values);
        }

     private:
        Sqlite& owner_;
    };

    // The file exists with mode 0600 before SQLite writes a byte; its log and index files take the same mode.
    static void make_private(const fs::path& file) {
        const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            const int e = errno;
            throw Error(e == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                        fmt::format("Cannot open {}: {}.", file.string(), std::strerror(e)),
                        "Check who owns the folder, or set FREEHOLD_HOME to one that you may write.");
        }
        struct stat info {};
        if (::fstat(fd, &info) == 0 && (info.st_mode & 077) != 0) static_cast<void>(::fchmod(fd, 0600));
        const bool fresh = info.st_size == 0;
        ::close(fd);
        if (!fresh) return;
        const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
        const int parent = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0) return;
        static_cast<void>(::fsync(parent));
        ::close(parent);
    }

    void configure(const SqliteOptions& options) {
        const auto mode = query("PRAGMA journal_mode = WAL", {});
        if (mode.empty() || mode[0].text(0) != "wal") {
            throw Error(ErrorKind::io, fmt::format("{} cannot keep a write-ahead log where it lies.", name_),
                        "Set FREEHOLD_HOME to a folder on a local disk.");
        }
        for (const char* setting : {"PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON",
                                    "PRAGMA temp_store = MEMORY", "PRAGMA cell_size_check = ON"}) {
            query(setting, {});
        }
        if (options.secure_delete) query("PRAGMA secure_delete = ON", {});
        const std::int64_t id = query("PRAGMA application_id", {}).at(0).integer(0);
        const std::int64_t tables = query("SELECT count(*) FROM sqlite_master", {}).at(0).integer(0);
        if (id == kApplicationId) return;
        if (id != 0 || tables != 0) {
            throw Error(ErrorKind::bad_file, fmt::format("{} is a database of another program.", name_),
                        "Move it away, or set FREEHOLD_HOME to another folder.");
        }
        query(fmt::format("PRAGMA application_id = {}", kApplicationId), {});
    }

    // A statement from the store of prepared ones, fresh for use; SQL texts are constants of the program, so they are
    // few.
    sqlite3_stmt* prepare(std::string_view sql) {
        if (const auto known = prepared_.find(sql); known != prepared_.end()) {
            sqlite3_reset(known->second.get());
            sqlite3_clear_bindings(known->second.get());
            return known->second.get();
        }
        sqlite3_stmt* raw = nullptr;
        const char* rest = nullptr;
        const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &raw, &rest);
        Prepared statement(raw);
        if (code != SQLITE_OK) fail(code, sqlite3_errmsg(db_.get()), name_, sql);
        if (raw == nullptr || rest != sql.data() + sql.size())
            throw Error(ErrorKind::internal, fmt::format("Not one statement of SQL: {}", sql));
        if (prepared_.size() >= 256) prepared_.clear();
        return prepared_.emplace(std::string(sql), std::move(statement)).first->second.get();
    }

    void bind(sqlite3_stmt* statement, std::string_view sql, std::span<const Cell> values) {
        if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != values.size()) {
            throw Error(ErrorKind::internal, fmt::format("{} values for the parameters of: {}", values.size(), sql));
        }
        for (std::size_t i = 0; i < values.size(); ++i) {
            // "$2" is a name to SQLite, numbered by where it first stands in the text.
            const int at = sqlite3_bind_parameter_index(statement, fmt::format("${}", i + 1).c_str());
            const int code = at == 0 ? SQLITE_RANGE : bind_one(statement, at, values[i]);
            if (code != SQLITE_OK) fail(code, sqlite3_errstr(code), name_, sql);
        }
    }

    static int bind_one(sqlite3_stmt* statement, int at, const Cell& cell) {
        struct Binder {
            sqlite3_stmt* statement;
            int at;
            int operator()(std::monostate) const { return sqlite3_bind_null(statement, at); }
            int operator()(std::int64_t number) const { return sqlite3_bind_int64(statement, at, number); }
            int operator()(double number) const { return sqlite3_bind_double(statement, at, number); }
            int operator()(const std::string& text) const {
                return sqlite3_bind_text64(statement, at, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
            }
            int operator()(const Blob& bytes) const {
                // An empty blob is not NULL.
                if (bytes.empty()) return sqlite3_bind_zeroblob(statement, at, 0);
                return sqlite3_bind_blob64(statement, at, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
            }
        };
        return std::visit(Binder{statement, at}, cell.data());
    }

    static Cell read_column(sqlite3_stmt* statement, int column) {
        switch (sqlite3_column_type(statement, column)) {
            case SQLITE_INTEGER:
                return {static_cast<std::int64_t>(sqlite3_column_int64(statement, column))};
            case SQLITE_FLOAT:
                return {sqlite3_column_double(statement, column)};
            case SQLITE_TEXT: {
                const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
                return {std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)))};
            }
            case SQLITE_BLOB: {
                const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, column));
                return {Blob(bytes, bytes + sqlite3_column_bytes(statement, column))};
            }
            default:
                return {};
        }
    }

    // Resets a statement when its use is over, so that it holds no lock.
    struct Reset {
        sqlite3_stmt* statement;
        ~Reset() {
            sqlite3_reset(statement);
            sqlite3_clear_bindings(statement);
        }
    };

    std::vector<Row> rows_of(std::string_view sql, std::span<const Cell> values) {
        sqlite3_stmt* statement = prepare(sql);
        const Reset reset{statement};
        bind(statement, sql, values);
        std::vector<Row> rows;
        int code = SQLITE_OK;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            std::vector<Cell> cells;
            const int columns = sqlite3_column_count(statement);
            cells.reserve(static_cast<std::size_t>(columns));
            for (int i = 0; i < columns; ++i) cells.push_back(read_column(statement, i));
            rows.emplace_back(std::move(cells), name_);
        }
        if (code != SQLITE_DONE) fail(code, sqlite3_errmsg(db_.get()), name_, sql);
        return rows;
    }

    std::int64_t changed_by(std::string_view sql, std::span<const Cell> values) {
        rows_of(sql, values);
        return sqlite3_changes64(db_.get());
    }

    std::string name_;
    std::mutex mutex_;
    Connection db_;
    std::map<std::string, Prepared, std::less<>> prepared_;  // goes before the connection
};

}  // namespace

std::unique_ptr<Database> open_sqlite(const fs::path& file, const SqliteOptions& options) {
    return std::make_unique<Sqlite>(file, options);
}

std::unique_ptr<Database> open_state_database(const fs::path& home) {
    SqliteOptions options;
    options.secure_delete = true;
    return open_sqlite(state_database_path(home), options);
}

fs::path state_database_path(const fs::path& home) {
    return home / "state.db";
}

}  // namespace freehold
