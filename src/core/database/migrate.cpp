// Versioned schemas: each part of the program has its own number, kept in one table of the database itself.
// All steps of one start are one transaction, so a kill leaves the old schema or the new one.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/database/database.h"

namespace freehold {

std::int64_t migrate(Database& database, std::string_view part, std::span<const Migration> steps) {
    std::int64_t newest = 0;
    for (const Migration& step : steps) {
        if (step.version != newest + 1) {
            throw Error(ErrorKind::internal,
                        fmt::format("The schema of {} goes from version {} to {}.", part, newest, step.version));
        }
        newest = step.version;
    }
    std::int64_t before = 0;
    database.transaction([&](Statements& db) {
        db.run("CREATE TABLE IF NOT EXISTS freehold_schema (part TEXT PRIMARY KEY, version BIGINT NOT NULL)");
        const auto row = db.first("SELECT version FROM freehold_schema WHERE part = $1", {part});
        before = row ? row->integer(0) : 0;
        if (before > newest) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} was written by a newer Freehold: its tables of \"{}\" have version {}, this "
                                    "program knows {}.",
                                    database.name(), part, before, newest),
                        "Use that version of the program, or restore a backup that was made before it.");
        }
        for (const Migration& step : steps) {
            if (step.version <= before) continue;
            for (const std::string& statement : step.statements) db.run(statement);
        }
        if (before < newest) {
            db.run(
                "INSERT INTO freehold_schema (part, version) VALUES ($1, $2) "
                "ON CONFLICT (part) DO UPDATE SET version = excluded.version",
                {part, newest});
        }
    });
    return before;
}

}  // namespace freehold
