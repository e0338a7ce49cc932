// libpq: one connection, statements with parameters, and a bound on the time of each.
// Integers, reals and texts travel as text, bytes as bytes; what comes back is read by the type that the server names.
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "freehold/base/error.h"
#include "link.h"

namespace freehold::postgres {
namespace {

using State = Answer::State;
using Clock = std::chrono::steady_clock;

// Types of pg_type that stand in this program's tables, and those of counts and casts.
enum Type : Oid {
    kBool = 16,
    kBytea = 17,
    kInt8 = 20,
    kInt2 = 21,
    kInt4 = 23,
    kText = 25,
    kFloat4 = 700,
    kFloat8 = 701,
    kNumeric = 1700,
};

struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct Clear {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};
struct FreeInfo {
    void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};
using Connection = std::unique_ptr<PGconn, Finish>;
using Result = std::unique_ptr<PGresult, Clear>;

void quiet(void*, const char*) {}

// The first line of what libpq says, with a full stop.
std::string sentence(const char* said) {
    std::string text = said == nullptr ? "" : said;
    text.resize(std::min(text.find('\n'), text.size()));
    while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
    return text.empty() ? "it did not say why." : text + ".";
}

// The values of a statement in libpq's arrays.
struct Values {
    std::vector<std::string> texts;
    std::vector<const char*> at;
    std::vector<Oid> types;
    std::vector<int> lengths, formats;

    explicit Values(std::span<const Cell> cells) {
        texts.reserve(cells.size());
        for (const Cell& cell : cells) std::visit([this](const auto& value) { add(value); }, cell.data());
    }

 private:
    void put(std::string text, Oid type, int format = 0) {
        texts.push_back(std::move(text));
        at.push_back(texts.back().data());
        types.push_back(type);
        lengths.push_back(static_cast<int>(texts.back().size()));
        formats.push_back(format);
    }
    void add(std::monostate) {
        put("", 0);
        at.back() = nullptr;
    }
    void add(std::int64_t number) { put(std::to_string(number), kInt8); }
    void add(double number) { put(fmt::format("{}", number), kFloat8); }
    void add(const std::string& text) { put(text, kText); }
    void add(const Blob& bytes) {
        put(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), kBytea, 1);
    }
};

Cell bytes_of(const char* text) {
    std::size_t size = 0;
    const std::unique_ptr<unsigned char, decltype(&PQfreemem)> raw(
        PQunescapeBytea(reinterpret_cast<const unsigned char*>(text), &size), &PQfreemem);
    if (!raw) throw std::bad_alloc();
    const auto* begin = reinterpret_cast<const std::byte*>(raw.get());
    return {Blob(begin, begin + size)};
}

Cell cell_of(const PGresult* result, int row, int column) {
    if (PQgetisnull(result, row, column) != 0) return {};
    const std::string_view text(PQgetvalue(result, row, column),
                                static_cast<std::size_t>(PQgetlength(result, row, column)));
    switch (PQftype(result, column)) {
        case kBool:
            return {text == "t"};
        case kBytea:
            return bytes_of(text.data());
        case kFloat4:
        case kFloat8:
            return {std::strtod(text.data(), nullptr)};
        case kInt2:
        case kInt4:
        case kInt8:
        case kNumeric: {
            std::int64_t number = 0;
            const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (fault == std::errc() && end == text.data() + text.size()) return {number};
            return {std::strtod(text.data(), nullptr)};
        }
        default:
            return {text};
    }
}

// What a refusal of the server means here.
void classify(Answer& answer, const PGresult* result) {
    const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string_view state = code == nullptr ? "" : code;
    answer.state = State::failed;
    answer.message = sentence(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    if (state == "40001" || state == "40P01") {
        answer.state = State::repeat;
    } else if (state == "55P03" || state == "57014") {
        answer.kind = ErrorKind::busy;
        answer.message = "it is held by another process.";
        answer.hint = "Wait for it to finish (a long clean-up may hold it), then try again.";
    } else if (state.starts_with("23")) {
        answer.kind = ErrorKind::conflict;
        answer.hint = "Choose another name, or change the one that exists.";
    } else if (state.starts_with("53")) {
        answer.kind = state == "53200" ? ErrorKind::out_of_memory : ErrorKind::io;
        answer.hint = "The database server lacks something: look at its disk, memory and bounds.";
    } else if (state == "42501" || state == "25006") {
        answer.kind = ErrorKind::io;
        answer.hint = "The database's user needs the right to make and change tables in its schema.";
    } else if (state == "XX001" || state == "XX002") {
        answer.kind = ErrorKind::bad_file;
        answer.hint = "The database server found damage: restore its backup.";
    } else if (state.starts_with("22")) {
        answer.kind = ErrorKind::unsupported;
    }
}

class OneConnection final : public PqLink {
 public:
    explicit OneConnection(PostgresOptions options) : options_(std::move(options)) {}

    [[nodiscard]] int descriptor() const noexcept override { return connection_ ? PQsocket(connection_.get()) : -1; }

    [[nodiscard]] bool gone() noexcept override {
        if (!connection_ || PQstatus(connection_.get()) != CONNECTION_OK) return true;
        // Nothing is asked now, so what comes is a farewell and the end behind it (or a notice).
        for (int i = 0; i < 8; ++i) {
            pollfd wait{PQsocket(connection_.get()), POLLIN, 0};
            if (::poll(&wait, 1, 0) <= 0) break;
            if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) return true;
        }
        return false;
    }

    Answer connect() override {
        Answer answer;
        if (connection_) {
            answer.state = State::done;
            answer.session = session_;
            return answer;
        }
        answer.state = State::away;
        if (Clock::now() < quiet_until_) {
            answer.message = last_fault_;
            return answer;
        }
        const std::string seconds = std::to_string(std::max(2, options_.connect_seconds));
        std::vector<const char*> names = {"dbname",          "connect_timeout",  "application_name",
                                          "client_encoding", "tcp_user_timeout", "keepalives_idle"};
        std::vector<const char*> values = {
            options_.address.c_str(), seconds.c_str(), "freehold", "UTF8", "20000", "30"};
        if (!options_.password.empty()) {
            names.push_back("password");
            values.push_back(options_.password.c_str());
        }
        names.push_back(nullptr);
        values.push_back(nullptr);
        Connection fresh(PQconnectdbParams(names.data(), values.data(), 1));
        if (!fresh || PQstatus(fresh.get()) != CONNECTION_OK) return no_connection(answer, fresh.get());
        PQsetNoticeProcessor(fresh.get(), quiet, nullptr);
        connection_ = std::move(fresh);
        session_ = random_session();
        const std::string settings = fmt::format(
            "SET default_transaction_isolation = 'serializable'; SET statement_timeout = {}; SET lock_timeout = {}; "
            "SET idle_in_transaction_session_timeout = {}; SET synchronous_commit = 'on'; "
            "SET standard_conforming_strings = 'on'; SET bytea_output = 'hex'; SET extra_float_digits = 1",
            options_.statement_ms, options_.lock_ms, options_.statement_ms);
        const Answer set = exchange({settings, {}, 0, true});
        if (set.state != State::done) {
            answer.message = set.message.empty() ? "the connection broke." : set.message;
            drop();
            return answer;
        }
        answer.state = State::done;
        answer.session = session_;
        return answer;
    }

    Answer ask(const Question& question) override {
        Answer answer;
        if (connection_ && gone()) drop();
        if (question.session != 0) {
            if (!connection_ || question.session != session_) {
                answer.state = State::away;
                answer.message = "the connection of the transaction is gone.";
                return answer;
            }
        } else if (answer = connect(); answer.state != State::done) {
            return answer;
        }
        return exchange(question);
    }

 private:
    static std::uint64_t random_session() {
        std::random_device device;
        return (std::uint64_t{device()} << 32U | device()) | 1U;
    }

    Answer& no_connection(Answer& answer, const PGconn* failed) {
        answer.message = sentence(failed == nullptr ? "there is no memory" : PQerrorMessage(failed));
        if (failed != nullptr && PQconnectionNeedsPassword(failed) != 0)
            answer.hint = "It wants a password: --database-password-file, or FREEHOLD_DATABASE_PASSWORD.";
        last_fault_ = answer.message;
        quiet_until_ = Clock::now() + std::chrono::milliseconds(options_.away_ms);
        return answer;
    }

    void drop() noexcept {
        connection_.reset();
        session_ = 0;
    }

    Answer exchange(const Question& question) {
        Answer answer;
        answer.session = session_;
        for (const Cell& cell : question.values) {
            const auto* text = std::get_if<std::string>(&cell.data());
            if (text != nullptr && text->find('\0') != std::string::npos) {
                answer.kind = ErrorKind::unsupported;
                answer.message = "PostgreSQL keeps no text with a zero byte in it.";
                return answer;
            }
        }
        const std::string sql(question.sql);
        const Values values(question.values);
        const int sent = question.script
                             ? PQsendQuery(connection_.get(), sql.c_str())
                             : PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.at.size()),
                                                 values.types.data(), values.at.data(), values.lengths.data(),
                                                 values.formats.data(), 0);
        bool bad = false;
        if (sent == 1) {
            const auto until = Clock::now() + std::chrono::milliseconds(options_.statement_ms + 5000);
            while (Result result = next(until)) bad = take(answer, result.get(), sql) || bad;
        }
        if (PQstatus(connection_.get()) != CONNECTION_OK || late_ || sent != 1) {
            answer.state = State::lost;
            answer.message = late_ ? "it did not answer in time." : sentence(PQerrorMessage(connection_.get()));
            late_ = false;
            drop();
        } else if (!bad) {
            answer.state = State::done;
        }
        return answer;
    }

    // The next result of what was sent; null after the last one, and when the time is over (`late_`).
    Result next(Clock::time_point until) {
        while (PQisBusy(connection_.get()) != 0) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
            pollfd wait{PQsocket(connection_.get()), POLLIN, 0};
            const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
            if (ready < 0 && errno == EINTR) continue;
            if (ready <= 0) {
                late_ = true;
                return nullptr;
            }
            if (PQconsumeInput(connection_.get()) == 0) return nullptr;
        }
        return Result(PQgetResult(connection_.get()));
    }

    // True: it was refused.
    static bool take(Answer& answer, const PGresult* result, const std::string& sql) {
        const ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
            classify(answer, result);
            if (answer.state == State::failed && answer.kind == ErrorKind::internal)
                answer.message = fmt::format("{} failed: {}", sql, answer.message);
            return true;
        }
        answer.tag = PQcmdStatus(const_cast<PGresult*>(result));
        const char* changed = PQcmdTuples(const_cast<PGresult*>(result));
        answer.changed = status == PGRES_COMMAND_OK ? std::strtoll(changed, nullptr, 10) : 0;  // "": 0
        answer.rows.clear();
        const int rows = PQntuples(result), columns = PQnfields(result);
        for (int i = 0; i < rows; ++i) {
            std::vector<Cell> cells;
            cells.reserve(static_cast<std::size_t>(columns));
            for (int k = 0; k < columns; ++k) cells.push_back(cell_of(result, i, k));
            answer.rows.push_back(std::move(cells));
        }
        return false;
    }

    PostgresOptions options_;
    Connection connection_;
    std::uint64_t session_ = 0;
    bool late_ = false;
    std::string last_fault_;
    Clock::time_point quiet_until_;
};

// What an address says, by libpq's own names of its parts.
std::map<std::string, std::string, std::less<>> parts_of(std::string_view address) {
    char* fault = nullptr;
    const std::unique_ptr<PQconninfoOption, FreeInfo> options(PQconninfoParse(std::string(address).c_str(), &fault));
    PQfreemem(fault);
    if (!options) {
        // The text may hold a password, and libpq's message repeats it.
        throw Error(ErrorKind::usage, "The address of the database cannot be understood.",
                    "Write postgres://USER@HOST:5432/NAME, or postgres:///NAME?host=/run/postgresql for a local one.");
    }
    std::map<std::string, std::string, std::less<>> parts;
    for (const PQconninfoOption* part = options.get(); part->keyword != nullptr; ++part) {
        if (part->val != nullptr) parts[part->keyword] = part->val;
    }
    return parts;
}

}  // namespace

std::unique_ptr<PqLink> make_single_pq_link(const PostgresOptions& options) {
    return std::make_unique<OneConnection>(options);
}

std::unique_ptr<Link> make_pq_link(const PostgresOptions& options) {
    return make_single_pq_link(options);
}

}  // namespace freehold::postgres

namespace freehold {

bool is_postgres(std::string_view address) {
    return address.starts_with("postgres://") || address.starts_with("postgresql://") ||
           (address.find('=') != std::string_view::npos && address.find('/') != 0);
}

bool has_password(std::string_view address) {
    const auto parts = postgres::parts_of(address);
    return parts.contains("password") || parts.contains("sslpassword");
}

std::string postgres_name(const std::string& address) {
    const auto parts = postgres::parts_of(address);
    const auto part = [&](const char* name, const char* otherwise = "") {
        const auto found = parts.find(name);
        return found == parts.end() ? std::string(otherwise) : found->second;
    };
    const std::string user = part("user"), host = part("host", part("hostaddr").c_str()), port = part("port");
    return fmt::format("postgres://{}{}{}{}/{}{}", user, user.empty() ? "" : "@", host.starts_with('/') ? "" : host,
                       port.empty() || host.starts_with('/') ? "" : ":" + port, part("dbname"),
                       host.starts_with('/') ? "?host=" + host : "");
}

}  // namespace freehold
