// Rows of an answer, read with the type that the schema promises.
// What does not fit is told as damage, since only this program writes these tables.
#include <fmt/format.h>

#include "freehold/base/error.h"
#include "freehold/database/database.h"

namespace freehold {
namespace {

template <class T>
const T& as(const Cell& cell, std::size_t column, const std::string& what, const char* kind) {
    if (const T* found = std::get_if<T>(&cell.data())) return *found;
    throw Error(ErrorKind::bad_file, fmt::format("{} answers with no {} in column {}.", what, kind, column + 1),
                "The database was changed by another program; restore it from a backup (`freehold restore`).");
}

}  // namespace

const Cell& Row::cell(std::size_t column) const {
    if (column < cells_.size()) return cells_[column];
    throw Error(ErrorKind::internal,
                fmt::format("Column {} of an answer of {} was asked for; it has {}.", column + 1, what_, size()));
}

bool Row::is_null(std::size_t column) const {
    return cell(column).is_null();
}

std::int64_t Row::integer(std::size_t column) const {
    return as<std::int64_t>(cell(column), column, what_, "whole number");
}

double Row::real(std::size_t column) const {
    const Cell& found = cell(column);
    if (const auto* whole = std::get_if<std::int64_t>(&found.data())) return static_cast<double>(*whole);
    return as<double>(found, column, what_, "number");
}

const std::string& Row::text(std::size_t column) const {
    return as<std::string>(cell(column), column, what_, "text");
}

const Blob& Row::blob(std::size_t column) const {
    return as<Blob>(cell(column), column, what_, "bytes");
}

std::optional<std::int64_t> Row::maybe_integer(std::size_t column) const {
    if (is_null(column)) return std::nullopt;
    return integer(column);
}

std::optional<std::string> Row::maybe_text(std::size_t column) const {
    if (is_null(column)) return std::nullopt;
    return text(column);
}

std::optional<Row> Statements::first(std::string_view sql, std::initializer_list<Cell> values) {
    auto rows = query(sql, values);
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

}  // namespace freehold
