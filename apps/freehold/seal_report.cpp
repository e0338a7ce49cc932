// What was tried and what came of it, as a table or as JSON.
#include "seal_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "console.h"
#include "database_broker.h"
#include "freehold/base/error.h"
#include "freehold/base/value.h"
#include "freehold/seal/seal.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

// A process of a server's database broker. It either holds no connection, or one, and then it is sealed.
struct Broker {
    int pid = 0;
    ProcessSeal seal;
    [[nodiscard]] bool shut() const {
        return seal.listening.empty() &&
               (seal.outgoing.empty() || (seal.outgoing.size() == 1 && seal.filtered == seal.threads));
    }
};

struct Server {
    int pid = 0;
    ProcessSeal seal;
    std::vector<Broker> brokers;
    [[nodiscard]] bool sealed() const { return seal.sealed() && std::ranges::all_of(brokers, &Broker::shut); }
};

// The name that the kernel shows, and the process that started it.
struct Kin {
    std::string name;
    int parent = 0;
};
Kin kin_of(int pid) {
    std::ifstream in(fmt::format("/proc/{}/stat", pid));
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const std::size_t open = text.find('('), close = text.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close + 4 >= text.size()) return {};
    Kin kin{text.substr(open + 1, close - open - 1), 0};
    std::from_chars(text.data() + close + 4, text.data() + text.size(), kin.parent);
    return kin;
}

// Processes whose program is called freehold and whose first word is serve.
std::vector<int> serving_processes() {
    std::vector<int> found;
    std::error_code code;
    for (fs::directory_iterator it("/proc", code), end; !code && it != end; it.increment(code)) {
        const std::string name = it->path().filename().string();
        int pid = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
        std::ifstream in(it->path() / "cmdline", std::ios::binary);
        std::string program, verb;
        std::getline(in, program, '\0');
        std::getline(in, verb, '\0');
        if (fs::path(program).filename() == "freehold" && verb == "serve") found.push_back(pid);
    }
    return found;
}

// What a server started is named; the server itself is called as the program is.
bool is_helper(int pid) {
    return kin_of(pid).name.starts_with("freehold-");
}

std::vector<Broker> brokers_of(int server) {
    std::vector<Broker> found;
    std::vector<int> parents = {server};
    const std::vector<int> candidates = serving_processes();
    for (std::size_t i = 0; i < parents.size(); ++i) {
        for (const int pid : candidates) {
            const Kin kin = kin_of(pid);
            if (kin.parent != parents[i] || kin.name != kBrokerName) continue;
            parents.push_back(pid);
            found.push_back({pid, inspect_seal(pid)});
        }
    }
    return found;
}

std::vector<Server> servers(int pid) {
    if (pid != 0) return {{pid, inspect_seal(pid), brokers_of(pid)}};
    std::vector<Server> found;
    for (const int candidate : serving_processes()) {
        try {
            if (!is_helper(candidate)) found.push_back({candidate, inspect_seal(candidate), brokers_of(candidate)});
        } catch (const Error& error) {
            // Another user's, or one that has just ended.
            if (error.kind() != ErrorKind::denied && error.kind() != ErrorKind::not_found) throw;
        }
    }
    return found;
}

void print_json(const std::vector<SealAttempt>& attempts, const std::vector<Server>& found, bool sealed) {
    ValueList tried;
    for (const auto& a : attempts) {
        ValueMap entry;
        entry.set("name", a.name);
        entry.set("refused", a.refused);
        entry.set("outcome", a.outcome);
        tried.emplace_back(std::move(entry));
    }
    ValueList running;
    for (const auto& s : found) {
        ValueMap entry;
        entry.set("pid", std::int64_t{s.pid});
        entry.set("sealed", s.sealed());
        entry.set("threads", std::int64_t{s.seal.threads});
        entry.set("filtered_threads", std::int64_t{s.seal.filtered});
        entry.set("listening", s.seal.listening);
        entry.set("outgoing", s.seal.outgoing);
        ValueList brokers;
        for (const auto& b : s.brokers) {
            brokers.emplace_back(ValueMap{{"pid", std::int64_t{b.pid}},
                                          {"shut", b.shut()},
                                          {"sealed", b.seal.filtered == b.seal.threads},
                                          {"connections", Value(b.seal.outgoing)}});
        }
        entry.set("database_broker", std::move(brokers));
        running.emplace_back(std::move(entry));
    }
    ValueMap map;
    map.set("sealed", sealed);
    map.set("attempts", std::move(tried));
    map.set("servers", std::move(running));
    out(to_json(Value(std::move(map)), 2) + "\n");
}

}  // namespace

int report_seal(int pid, bool json) {
    const auto attempts = try_the_seal();
    const auto found = servers(pid);
    bool sealed = true;
    for (const auto& a : attempts) sealed = sealed && a.refused;
    const bool shut = sealed;
    for (const auto& s : found) sealed = sealed && s.sealed();
    if (json) {
        print_json(attempts, found, sealed);
        return sealed ? 0 : exit_code(ErrorKind::denied);
    }
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    out(styled("Ways out of a sealed process, tried on this machine just now", Style::bold) + "\n");
    Table table({{"WAY"}, {"WHAT CAME OF IT"}});
    for (const auto& a : attempts) {
        table.add({a.name, a.refused ? a.outcome : styled("! " + a.outcome, Style::red)});
    }
    out(table.str(width));
    out("\n" + styled("Servers that run", Style::bold) + "\n");
    if (found.empty()) out("None that may be looked at: `freehold serve` seals itself once it listens.\n");
    for (const auto& s : found) {
        Facts facts;
        facts.add("process", std::to_string(s.pid));
        facts.add("sealed", s.sealed() ? "yes" : styled("no", Style::red));
        facts.add("threads", fmt::format("{}, {} under the filter", s.seal.threads, s.seal.filtered));
        facts.add("listens on",
                  s.seal.listening.empty() ? "nothing" : fmt::format("{}", fmt::join(s.seal.listening, ", ")));
        facts.add("opened itself",
                  s.seal.outgoing.empty() ? "no connection" : fmt::format("{}", fmt::join(s.seal.outgoing, ", ")));
        for (const auto& b : s.brokers) {
            const std::string holds = b.seal.outgoing.empty() ? "holds no TCP connection"
                                                              : fmt::format("holds {} and can open nothing",
                                                                            fmt::join(b.seal.outgoing, ", "));
            facts.add("database",
                      fmt::format("process {} {}", b.pid, b.shut() ? holds : styled("is not shut", Style::red)));
        }
        out(facts.str(width));
    }
    out("\n");
    if (sealed) {
        out(styled(fmt::format("All {} ways are shut.", attempts.size()), Style::green) + "\n");
    } else {
        out(styled(shut ? "A server is not sealed." : "Not every way is shut.", Style::red) + "\n");
    }
    return sealed ? 0 : exit_code(ErrorKind::denied);
}

}  // namespace freehold::cli
