// One connection to a database server, as the Database above it sees it: in this process (pq_link.cpp) or behind a
// broker (broker.cpp). Nothing is thrown for what a server or a network does: every outcome is a state of the answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/database/postgres.h"

namespace freehold::postgres {

struct Question {
    std::string_view sql;
    std::span<const Cell> values;
    // 0: on any connection, a new one if need be; else on that one only, inside its transaction.
    std::uint64_t session = 0;
    bool script = false;  // several statements without values
};

struct Answer {
    enum class State : std::uint8_t {
        done,
        away,    // there is no connection, and nothing was sent: of a session, its transaction is undone
        lost,    // sent, but no answer came: it may have happened
        repeat,  // undone by the server, which asks to do the transaction again
        failed,  // refused; `kind`, `message` and `hint` say why
    };
    State state = State::failed;
    std::uint64_t session = 0;  // of the connection that answered
    std::int64_t changed = 0;   // rows
    std::string tag;            // "COMMIT", "INSERT 0 1"
    std::vector<std::vector<Cell>> rows;
    ErrorKind kind = ErrorKind::internal;
    std::string message, hint;
};

class Link {
 public:
    virtual ~Link() = default;
    virtual Answer ask(const Question& question) = 0;
};

[[nodiscard]] std::unique_ptr<Link> make_pq_link(const PostgresOptions& options);
// The same, and the descriptor of its connection (-1: none), for the broker.
class PqLink : public Link {
 public:
    [[nodiscard]] virtual int descriptor() const noexcept = 0;
    // Has the server closed the connection, as far as is known without waiting?
    [[nodiscard]] virtual bool gone() noexcept = 0;
    // A connection, or what to tell about there being none.
    virtual Answer connect() = 0;
};
[[nodiscard]] std::unique_ptr<PqLink> make_single_pq_link(const PostgresOptions& options);

[[nodiscard]] std::unique_ptr<Database> make_database(std::unique_ptr<Link> link, std::string name);

}  // namespace freehold::postgres
