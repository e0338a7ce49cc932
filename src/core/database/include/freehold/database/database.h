// The small facts of an installation (keys, use, stored responses, jobs) in one SQL database: this interface, and the
// few functions that open one. SQLite stands behind it, or PostgreSQL (postgres.h) where several replicas share one.
//
// SQL is written in what SQLite and PostgreSQL share: parameters are $1, $2, ...; types are BIGINT, DOUBLE PRECISION,
// TEXT and BYTEA; truth is a BIGINT of 0 or 1; times are BIGINT milliseconds since 1970 (UTC); ids are texts that we
// make ourselves; `INSERT ... ON CONFLICT (...) DO UPDATE SET a = excluded.a` and `RETURNING` may be used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "freehold/base/error.h"

namespace freehold {

using Blob = std::vector<std::byte>;

// One value of a row, or one parameter.
class Cell {
 public:
    using Data = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;
    Cell() = default;
    Cell(std::nullopt_t) {}                                    // NOLINT(google-explicit-constructor): NULL
    Cell(std::string text) : data_(std::move(text)) {}         // NOLINT(google-explicit-constructor)
    Cell(std::string_view text) : data_(std::string(text)) {}  // NOLINT(google-explicit-constructor)
    Cell(const char* text) : data_(std::string(text)) {}       // NOLINT(google-explicit-constructor)
    Cell(Blob bytes) : data_(std::move(bytes)) {}              // NOLINT(google-explicit-constructor)
    Cell(double number) : data_(number) {}                     // NOLINT(google-explicit-constructor)
    Cell(bool truth) : data_(std::int64_t{truth}) {}           // NOLINT(google-explicit-constructor)
    template <class T>
    requires(std::is_integral_v<T>) Cell(T number)  // NOLINT(google-explicit-constructor)
        : data_(static_cast<std::int64_t>(number)) {}
    template <class T>
    Cell(const std::optional<T>& maybe) {  // NOLINT(google-explicit-constructor)
        if (maybe) *this = Cell(*maybe);
    }

    [[nodiscard]] const Data& data() const noexcept { return data_; }
    [[nodiscard]] bool is_null() const noexcept { return std::holds_alternative<std::monostate>(data_); }

 private:
    Data data_;
};

// One row of an answer. A column of another type than asked for is Error{bad_file}: the database is not what we wrote.
class Row {
 public:
    Row(std::vector<Cell> cells, std::string what) : cells_(std::move(cells)), what_(std::move(what)) {}

    [[nodiscard]] std::size_t size() const noexcept { return cells_.size(); }
    [[nodiscard]] bool is_null(std::size_t column) const;
    [[nodiscard]] std::int64_t integer(std::size_t column) const;
    [[nodiscard]] double real(std::size_t column) const;
    [[nodiscard]] const std::string& text(std::size_t column) const;
    [[nodiscard]] const Blob& blob(std::size_t column) const;
    // The same where NULL is a value.
    [[nodiscard]] std::optional<std::int64_t> maybe_integer(std::size_t column) const;
    [[nodiscard]] std::optional<std::string> maybe_text(std::size_t column) const;

 private:
    [[nodiscard]] const Cell& cell(std::size_t column) const;
    std::vector<Cell> cells_;
    std::string what_;  // the database, for messages
};

// The database cannot be reached now. What was asked for did not happen, unless the message says that this is not
// known. At the HTTP edge: 503 with Retry-After.
class DatabaseAway : public Error {
 public:
    explicit DatabaseAway(std::string message, std::string hint = {})
        : Error(ErrorKind::network, std::move(message), std::move(hint)) {}
};

// What can be asked, inside a transaction or outside. Values go in as parameters only, never as part of the SQL.
// Throws Error{busy} when others hold the database for too long, Error{conflict} when a constraint forbids the change
// (a key that exists already), Error{io}, Error{bad_file} (damaged), Error{internal} (SQL that is wrong), DatabaseAway.
class Statements {
 public:
    virtual ~Statements() = default;
    // All rows at once: ask for what fits into memory (LIMIT).
    virtual std::vector<Row> query(std::string_view sql, std::span<const Cell> values) = 0;
    // The number of rows that were changed.
    virtual std::int64_t run(std::string_view sql, std::span<const Cell> values) = 0;

    std::vector<Row> query(std::string_view sql, std::initializer_list<Cell> values = {}) {
        return query(sql, std::span<const Cell>(values.begin(), values.size()));
    }
    std::int64_t run(std::string_view sql, std::initializer_list<Cell> values = {}) {
        return run(sql, std::span<const Cell>(values.begin(), values.size()));
    }
    // The first row, or nullopt.
    std::optional<Row> first(std::string_view sql, std::initializer_list<Cell> values = {});
};

// Thread-safe: any thread may ask; transactions of one object wait for each other. Several processes may use one
// database.
class Database : public Statements {
 public:
    using Statements::query;
    using Statements::run;
    // All of `work` or nothing, as if no other writer existed; an exception undoes it and flies on. `work` may be run
    // again where the database asks for it (PostgreSQL: serialisation), so it must change nothing else; it must use the
    // statements that it is given, not the Database, which would wait for ever on itself.
    virtual void transaction(const std::function<void(Statements&)>& work) = 0;
    // The whole as one consistent file (of SQLite), while others go on working. Error{unsupported} where the database
    // has tools of its own for that.
    virtual void backup_to(const std::filesystem::path& file) = 0;
    // Sentences about damage; empty: none was found. Reads everything.
    virtual std::vector<std::string> check() = 0;
    // Removed rows leave nothing readable behind in the files of the database, as far as it can see to that.
    virtual void scrub() = 0;
    // For messages: the path, or the address without secrets.
    [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

struct SqliteOptions {
    int busy_ms = 5000;          // how long a statement waits for another process before Error{busy}
    bool secure_delete = false;  // removed content is overwritten with zeros
    bool read_only = false;      // Error{not_found} when there is none
};
// Opens or creates the file (mode 0600; a wider one is narrowed). Write-ahead log, every commit brought to the disk.
// A file that is no SQLite database, or damaged at its head: Error{bad_file}.
[[nodiscard]] std::unique_ptr<Database> open_sqlite(const std::filesystem::path& file,
                                                    const SqliteOptions& options = {});
// state.db of an installation.
[[nodiscard]] std::filesystem::path state_database_path(const std::filesystem::path& home);

// One step of a schema: the statements that lead from version - 1 to version.
struct Migration {
    std::int64_t version = 0;  // 1, 2, 3, ...
    std::vector<std::string> statements;
};
// Brings the tables of one part of the program ("access", "responses") to the newest version, in one transaction;
// processes that start together wait for each other. Returns the version found before (0: none). A schema newer than
// `steps` knows is Error{unsupported}: an older program must not write into it.
std::int64_t migrate(Database& database, std::string_view part, std::span<const Migration> steps);

}  // namespace freehold
