// PostgreSQL behind the Database interface: by libpq in this process, or by a broker process for one that is sealed.
//
// Transactions are serializable and take one lock first, so that writers wait for each other as they do with SQLite;
// what the server asks to repeat is repeated. A connection that was lost is opened again by the next statement; until
// that works everybody gets DatabaseAway. A change whose connection broke before the answer is never sent twice: the
// error then says that its outcome is not known.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "freehold/database/database.h"

namespace freehold {

struct PostgresOptions {
    // "postgres://user@host:5432/name", "postgres:///name?host=/run/postgresql", or libpq's "host=... dbname=...".
    std::string address;
    std::string password;       // empty: the address's own, else libpq's (~/.pgpass)
    int connect_seconds = 5;    // at most that long for a new connection
    int statement_ms = 20'000;  // one statement, answer included
    int lock_ms = 5'000;        // how long a transaction waits for its turn before Error{busy}
    int away_ms = 500;          // after a failed connection nothing is tried for that long
};

// Is that the address of a PostgreSQL database ("postgres://", "postgresql://", or words with "=")?
[[nodiscard]] bool is_postgres(std::string_view address);
// Does the address carry a password? Error{usage} when it cannot be understood; the text is not repeated.
[[nodiscard]] bool has_password(std::string_view address);
// "postgres://user@host:port/name": the address without secrets. Error{usage}.
[[nodiscard]] std::string postgres_name(const std::string& address);

// Connects at once. DatabaseAway when nobody answers, Error{usage} for an address that makes no sense.
[[nodiscard]] std::unique_ptr<Database> open_postgres(const PostgresOptions& options);

// The broker's side, for a process of its own that has no threads. Waits until `socket` (one end of a stream socket
// pair) has a question, and only then connects: to the one address of `options`, before it reads a byte of the
// question; `seal` is called with the descriptor of the connection and must shut every other way out. Then answers
// what comes until the other end closes (returns false) or the connection to the database is gone (returns true: this
// process must end, and a fresh one may take its place, since a sealed one cannot connect again).
// Throws what `seal` throws, and Error{internal} for a message that is none.
bool answer_for_postgres(int socket, const PostgresOptions& options, const std::function<void(int connection)>& seal);

// The sealed side: a Database that has its statements run by the broker at the other end of `socket`, which it owns.
// Connects at once, as open_postgres. A broker that has ended is DatabaseAway for ever.
[[nodiscard]] std::unique_ptr<Database> open_brokered_postgres(int socket, const PostgresOptions& options);

}  // namespace freehold
