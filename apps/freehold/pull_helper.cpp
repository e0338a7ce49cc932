// Both sides: the server's, which sends what to pull and hears how it goes, and the helper's, which forks once more for
// each pull, so that stopping one is ending a process. Messages are whole lines of JSON over a socket pair.
#include "pull_helper.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "advisory_flow.h"
#include "freehold/base/error.h"
#include "freehold/base/value.h"
#include "freehold/server/owner.h"
#include "freehold/store/catalogue.h"
#include "freehold/store/pull.h"
#include "freehold/store/source.h"
#include "panels.h"
#include "scan_flow.h"

namespace freehold::cli {
namespace {

constexpr std::size_t kMostMessage = 64 << 10;
constexpr std::size_t kMostPulls = 4;

bool say(int socket, const ValueMap& message) {
    const std::string text = to_json(Value(message));
    return text.size() < kMostMessage && send(socket, text.data(), text.size(), MSG_NOSIGNAL) >= 0;
}

// Null when the other side has gone.
Value hear(int socket) {
    std::string text(kMostMessage, '\0');
    ssize_t n = 0;
    do {
        n = recv(socket, text.data(), text.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) return {};
    text.resize(static_cast<std::size_t>(n));
    return parse_json(text, "a message");
}

ValueMap fault_message(std::int64_t id, const Error& error) {
    ErrorKind kind = error.kind();
    return {
        {"id", id}, {"kind", static_cast<std::int64_t>(kind)}, {"message", error.message()}, {"hint", error.hint()}};
}

// --- the helper's side --------------------------------------------------------------------------------------------

// What a client may name: entries of the catalogue, and sources with a scheme; never a path of this machine.
void check_wish(const Store& store, const std::string& what) {
    if (Catalogue::load(store.home()).find(what) != nullptr) return;
    if (SourceSpec::has_scheme(what) && SourceSpec::parse(what).kind != SourceKind::file) return;
    throw Error(
        ErrorKind::not_found, fmt::format("The catalogue knows no model \"{}\".", what.substr(0, 200)),
        "`freehold list --catalogue` lists its names; hf:org/repo, pypi:package and oci:host/name are understood too.");
}

[[noreturn]] void run_pull(int socket, std::int64_t id, const std::string& what) {
    int code = 0;
    try {
        Store store = Store::open();
        check_wish(store, what);
        PullOptions options;
        std::string last;
        auto said = std::chrono::steady_clock::now() - std::chrono::hours(1);
        const auto progress = [&](const ProgressEvent& event) {
            const auto now = std::chrono::steady_clock::now();
            if (event.what == last && now - said < std::chrono::milliseconds(200) && event.done != event.total) return;
            last = event.what;
            said = now;
            say(socket, {{"id", id}, {"what", event.what}, {"done", event.done}, {"total", event.total}});
        };
        options.progress = progress;
        options.announce = [&](const PullPlan& plan) { server::check_pulled_name(store, plan.name); };
        options.vet = [&](const FetchedModel& model) {
            PullVerdict verdict = heed_fetched(store, model, advisory_policy(), progress, {});
            return verdict.refusal.empty() ? scan_fetched(model, progress, {}) : verdict;
        };
        const PullResult result = pull(store, what, options);
        if (panels_wanted()) keep_panels(store, result.model, progress, [](const std::string&) {});
        say(socket, {{"id", id}, {"name", result.model.name.str()}});
    } catch (const Error& error) {
        say(socket, fault_message(id, error));
        code = 1;
    } catch (const std::exception& error) {
        say(socket, fault_message(id, Error(ErrorKind::internal, fmt::format("The pull failed: {}.", error.what()))));
        code = 1;
    }
    _exit(code);
}

[[noreturn]] void helper_main(int socket, std::vector<std::string> hosts) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "freehold-pull");
    // Ctrl-C is the server's to hear; what it wants of us it says.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_DFL);
    restrict_sources(std::move(hosts));
    std::map<pid_t, std::int64_t> running;
    for (;;) {
        pollfd wait{socket, POLLIN, 0};
        const int ready = poll(&wait, 1, 500);
        int status = 0;
        for (pid_t ended = 0; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
            const auto it = running.find(ended);
            if (it == running.end()) continue;
            if (WIFSIGNALED(status))
                say(socket, fault_message(it->second, Error(ErrorKind::cancelled, "The pull was stopped.")));
            running.erase(it);
        }
        if (ready <= 0) continue;
        const Value message = hear(socket);
        const auto* map = message.get<ValueMap>();
        if (map == nullptr) break;
        const std::int64_t id = map->find("id")->as_int().value_or(0);
        if (const Value* what = map->find("pull")) {
            if (running.size() >= kMostPulls) {
                say(socket, fault_message(id, Error(ErrorKind::busy, "Other models are being fetched.",
                                                    "Try again when they are here.")));
                continue;
            }
            const pid_t child = fork();
            if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                run_pull(socket, id, std::string(what->as_string().value_or("")));
            }
            if (child > 0) running[child] = id;
        } else {
            for (const auto& [child, its] : running) {
                if (its == id) kill(child, SIGTERM);
            }
        }
    }
    for (const auto& [child, id] : running) kill(child, SIGTERM);
    _exit(0);
}

}  // namespace

// --- the server's side --------------------------------------------------------------------------------------------

struct PullHelper::State {
    int socket = -1;
    std::mutex mutex;
    std::int64_t next = 1;
    std::map<std::int64_t, std::function<void(const server::PullEvent&)>> waiting;

    ~State() {
        if (socket >= 0) close(socket);
    }

    // The one who waits for `id`; taken out when it is the last event.
    std::function<void(const server::PullEvent&)> listener(std::int64_t id, bool last) {
        const std::lock_guard lock(mutex);
        const auto it = waiting.find(id);
        if (it == waiting.end()) return {};
        auto found = it->second;
        if (last) waiting.erase(it);
        return found;
    }

    void take(const ValueMap& map) {
        const auto text = [&](const char* key) {
            const Value* value = map.find(key);
            return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
        };
        const auto number = [&](const char* key) {
            const Value* value = map.find(key);
            return value == nullptr ? std::int64_t{0} : value->as_int().value_or(0);
        };
        server::PullEvent event;
        event.finished = map.find("what") == nullptr;
        event.what = text("what");
        event.done = static_cast<std::uint64_t>(number("done"));
        event.total = static_cast<std::uint64_t>(number("total"));
        event.name = text("name");
        if (map.find("message") != nullptr)
            event.fault = Error(static_cast<ErrorKind>(number("kind")), text("message"), text("hint"));
        if (const auto tell = listener(number("id"), event.finished)) tell(event);
    }
};

PullHelper::PullHelper(std::vector<std::string> hosts) : state_(std::make_shared<State>()) {
    std::array<int, 2> ends{};
    // Whole messages or none.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw Error(ErrorKind::io, fmt::format("The helper for pulls cannot be reached: {}.", std::strerror(errno)));
    state_->socket = ends[0];
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        helper_main(ends[1], std::move(hosts));
    }
    close(ends[1]);
    if (child < 0)
        throw Error(ErrorKind::io, fmt::format("The helper for pulls cannot be started: {}.", std::strerror(errno)));
    child_ = child;
}

PullHelper::~PullHelper() {
    shutdown(state_->socket, SHUT_RDWR);
    if (listener_.joinable()) listener_.join();
    if (child_ > 0) waitpid(child_, nullptr, 0);
}

void PullHelper::listen() {
    listener_ = std::thread([state = state_] {
        for (;;) {
            const Value message = hear(state->socket);
            const auto* map = message.get<ValueMap>();
            if (map == nullptr) break;
            state->take(*map);
        }
        // Nobody will finish what was begun.
        std::map<std::int64_t, std::function<void(const server::PullEvent&)>> left;
        {
            const std::lock_guard lock(state->mutex);
            left.swap(state->waiting);
        }
        server::PullEvent event;
        event.finished = true;
        event.fault =
            Error(ErrorKind::internal, "The helper that fetches models has ended.", "Start the server again.");
        for (auto& [id, tell] : left) tell(event);
    });
}

std::shared_ptr<void> PullHelper::start(const std::string& what,
                                        std::function<void(const server::PullEvent&)> on_event) {
    if (what.size() > 4096) throw Error(ErrorKind::usage, "The name of the model is longer than any name.");
    std::int64_t id = 0;
    {
        const std::lock_guard lock(state_->mutex);
        id = state_->next++;
        state_->waiting[id] = std::move(on_event);
    }
    if (!say(state_->socket, {{"id", id}, {"pull", what}})) {
        static_cast<void>(state_->listener(id, true));
        throw Error(ErrorKind::internal, "The helper that fetches models cannot be reached.",
                    "Start the server again.");
    }
    return {nullptr, [state = state_, id](void*) {
                if (state->listener(id, false)) say(state->socket, {{"id", id}, {"cancel", true}});
            }};
}

}  // namespace freehold::cli
