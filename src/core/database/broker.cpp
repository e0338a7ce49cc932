// Both ends of the broker's socket. Messages are a length and that many bytes; numbers are in the machine's own order,
// since both ends are this program on this machine. The broker trusts nothing that it reads, nor does the server.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "freehold/base/error.h"
#include "link.h"

namespace freehold::postgres {
namespace {

using State = Answer::State;

// Longer than any stored response may be.
constexpr std::uint32_t kMostBytes = 256U << 20U;

[[noreturn]] void no_message() {
    throw Error(ErrorKind::internal, "The database broker and the server do not understand each other.");
}

class Writer {
 public:
    template <class T>
    void number(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        bytes_.append(value);
    }
    void cell(const Cell& cell) {
        number(static_cast<std::uint8_t>(cell.data().index()));
        std::visit([this](const auto& value) { put(value); }, cell.data());
    }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
    void put(std::monostate) {}
    void put(std::int64_t value) { number(value); }
    void put(double value) { number(value); }
    void put(const std::string& value) { text(value); }
    void put(const Blob& value) { text({reinterpret_cast<const char*>(value.data()), value.size()}); }
    std::string bytes_;
};

class Reader {
 public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    template <class T>
    T number() {
        T value{};
        const std::string_view bytes = take(sizeof value);
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    std::string_view text() { return take(number<std::uint32_t>()); }
    // A number of things of at least `least` bytes each that are said to follow.
    std::uint32_t count(std::size_t least) {
        const auto n = number<std::uint32_t>();
        if (n > rest_.size() / least) no_message();
        return n;
    }
    Cell cell() {
        switch (number<std::uint8_t>()) {
            case 0:
                return {};
            case 1:
                return {number<std::int64_t>()};
            case 2:
                return {number<double>()};
            case 3:
                return {text()};
            case 4: {
                const std::string_view bytes = text();
                const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
                return {Blob(begin, begin + bytes.size())};
            }
            default:
                no_message();
        }
    }
    void end() const {
        if (!rest_.empty()) no_message();
    }

 private:
    std::string_view take(std::size_t size) {
        if (size > rest_.size()) no_message();
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    std::string_view rest_;
};

// False: the other end is gone.
bool send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}
bool receive_all(int socket, char* to, std::size_t size) {
    while (size > 0) {
        const ssize_t n = ::recv(socket, to, size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        to += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

bool send_message(int socket, const std::string& bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::array<char, sizeof size> head{};
    std::memcpy(head.data(), &size, sizeof size);
    return send_all(socket, {head.data(), head.size()}) && send_all(socket, bytes);
}
bool receive_message(int socket, std::string& bytes) {
    std::uint32_t size = 0;
    std::array<char, sizeof size> head{};
    if (!receive_all(socket, head.data(), head.size())) return false;
    std::memcpy(&size, head.data(), sizeof size);
    if (size > kMostBytes) no_message();
    bytes.resize(size);
    return receive_all(socket, bytes.data(), size);
}

std::string packed(const Question& question) {
    Writer out;
    out.number(question.session);
    out.number(static_cast<std::uint8_t>(question.script));
    out.text(question.sql);
    out.number(static_cast<std::uint32_t>(question.values.size()));
    for (const Cell& cell : question.values) out.cell(cell);
    return out.bytes();
}

Answer too_large(const char* what) {
    Answer answer;
    answer.kind = ErrorKind::limit;
    answer.message = fmt::format("{} is larger than the database broker passes on.", what);
    return answer;
}

std::string packed(const Answer& answer) {
    Writer out;
    out.number(static_cast<std::uint8_t>(answer.state));
    out.number(answer.session);
    out.number(answer.changed);
    out.number(static_cast<std::uint8_t>(answer.kind));
    out.text(answer.tag);
    out.text(answer.message);
    out.text(answer.hint);
    out.number(static_cast<std::uint32_t>(answer.rows.size()));
    for (const auto& row : answer.rows) {
        out.number(static_cast<std::uint32_t>(row.size()));
        for (const Cell& cell : row) out.cell(cell);
        if (out.bytes().size() > kMostBytes) return packed(too_large("an answer"));
    }
    return out.bytes();
}

Answer unpacked(std::string_view bytes) {
    Reader in(bytes);
    Answer answer;
    const auto state = in.number<std::uint8_t>();
    if (state > static_cast<std::uint8_t>(State::failed)) no_message();
    answer.state = static_cast<State>(state);
    answer.session = in.number<std::uint64_t>();
    answer.changed = in.number<std::int64_t>();
    const auto kind = in.number<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(ErrorKind::internal)) no_message();
    answer.kind = static_cast<ErrorKind>(kind);
    answer.tag = in.text();
    answer.message = in.text();
    answer.hint = in.text();
    answer.rows.resize(in.count(sizeof(std::uint32_t)));
    for (auto& row : answer.rows) {
        for (std::uint32_t left = in.count(1); left > 0; --left) row.push_back(in.cell());
    }
    in.end();
    return answer;
}

Answer answer_to(PqLink& link, const std::string& message, std::vector<Cell>& values) {
    Reader in(message);
    Question question;
    question.session = in.number<std::uint64_t>();
    question.script = in.number<std::uint8_t>() != 0;
    question.sql = in.text();
    values.clear();
    for (std::uint32_t left = in.count(1); left > 0; --left) values.push_back(in.cell());
    in.end();
    question.values = values;
    return link.ask(question);
}

class BrokerLink final : public Link {
 public:
    BrokerLink(int socket, int quiet_ms) : socket_(socket), quiet_(quiet_ms) {}
    ~BrokerLink() override { ::close(socket_); }
    BrokerLink(const BrokerLink&) = delete;
    BrokerLink& operator=(const BrokerLink&) = delete;

    Answer ask(const Question& question) override {
        std::string bytes = packed(question);
        if (bytes.size() > kMostBytes) return too_large("a statement");
        // Every question to an unreachable database is a new process and its wait: not more of them than need be.
        if (question.session == 0 && std::chrono::steady_clock::now() < quiet_until_) return last_away_;
        if (!send_message(socket_, bytes) || !receive_message(socket_, bytes)) {
            // Half a message may have been read: whether the statement was run is not known.
            Answer gone;
            gone.state = ended_ ? State::away : State::lost;
            gone.message = "the broker process has ended.";
            gone.hint = "Start the server again.";
            ended_ = true;
            return gone;
        }
        Answer answer = unpacked(bytes);
        if (answer.state == State::away && question.session == 0) {
            last_away_ = answer;
            quiet_until_ = std::chrono::steady_clock::now() + quiet_;
        }
        return answer;
    }

 private:
    int socket_;
    bool ended_ = false;
    std::chrono::milliseconds quiet_;
    std::chrono::steady_clock::time_point quiet_until_;
    Answer last_away_;
};

}  // namespace
}  // namespace freehold::postgres

namespace freehold {

bool answer_for_postgres(int socket, const PostgresOptions& options, const std::function<void(int connection)>& seal) {
    pollfd first{socket, POLLIN, 0};
    while (::poll(&first, 1, -1) < 0 && errno == EINTR) {
    }
    char peek = 0;
    if (::recv(socket, &peek, 1, MSG_PEEK) <= 0) return false;
    const auto link = postgres::make_single_pq_link(options);
    postgres::Answer connected = link->connect();
    const bool away = connected.state != postgres::Answer::State::done;
    seal(link->descriptor());
    std::string message;
    std::vector<Cell> values;
    while (postgres::receive_message(socket, message)) {
        if (away) {
            postgres::send_message(socket, postgres::packed(connected));
            return true;
        }
        const postgres::Answer answer = postgres::answer_to(*link, message, values);
        if (!postgres::send_message(socket, postgres::packed(answer))) return false;
        // Until there is a question, the connection may end: the next question then finds a fresh process.
        std::array<pollfd, 2> wait{{{socket, POLLIN, 0}, {link->descriptor(), POLLIN, 0}}};
        while (true) {
            if (link->gone()) return true;
            wait[1].fd = link->descriptor();
            if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return false;
            if (wait[1].revents != 0 && link->gone()) return true;
            if (wait[0].revents != 0) break;
        }
    }
    return false;
}

std::unique_ptr<Database> open_brokered_postgres(int socket, const PostgresOptions& options) {
    auto link = std::make_unique<postgres::BrokerLink>(socket, options.away_ms);
    return postgres::make_database(std::move(link), postgres_name(options.address));
}

}  // namespace freehold
