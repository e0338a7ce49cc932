// `freehold serve`: models behind HTTP, until Ctrl-C or SIGTERM; then what runs may finish.
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "../console.h"
#include "../database_broker.h"
#include "../database_flags.h"
#include "../interrupt.h"
#include "../page.h"
#include "../panels.h"
#include "../pull_helper.h"
#include "../session.h"
#include "freehold/base/log.h"
#include "freehold/database/state.h"
#include "freehold/seal/seal.h"
#include "freehold/server/guard.h"
#include "freehold/server/server.h"
#include "freehold/server/service.h"
#include "freehold/server/stored_responses.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    ModelFlags model;
    DatabaseFlags database;
    std::string replica;
    int leave_seconds = 0;
    std::vector<std::string> models, tls, pull_hosts;
    std::string listen = "127.0.0.1:8080", keep_alive = "5m";
    int parallel = 32, drain_seconds = 30;
    double memory_gb = 0;
    bool insecure = false, log_requests = false, no_seal = false;
};

// "127.0.0.1:8080", ":8443", "[::1]:80", "8080", "0.0.0.0".
void read_listen(const std::string& text, server::ServerOptions& options) {
    std::string address = text, port;
    if (const auto colon = text.rfind(':'); colon != std::string::npos && text.find(']', colon) == std::string::npos) {
        address = text.substr(0, colon);
        port = text.substr(colon + 1);
    } else if (text.find_first_not_of("0123456789") == std::string::npos) {
        address.clear();
        port = text;
    }
    if (address.size() > 1 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    if (address.empty()) address = port == text ? "127.0.0.1" : "0.0.0.0";
    int number = 8080;
    if (!port.empty()) {
        number = port.size() < 6 && port.find_first_not_of("0123456789") == std::string::npos ? std::stoi(port) : -1;
    }
    if (number < 0 || number > 65535) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no address and port.", text),
                    "Write 127.0.0.1:8080, :8443 (all addresses) or [::1]:8080.");
    }
    options.address = address;
    options.port = static_cast<std::uint16_t>(number);
}

// "5m", "30s", "2h", "90", "0", "-1" (for ever).
std::chrono::milliseconds read_duration(const std::string& text) {
    std::size_t used = 0;
    double value = 0;
    try {
        value = std::stod(text, &used);
    } catch (const std::exception&) {
        used = 0;
    }
    const std::string unit = text.substr(std::min(used, text.size()));
    const double factor = unit.empty() || unit == "s" ? 1
                          : unit == "m"               ? 60
                          : unit == "h"               ? 3600
                          : unit == "ms"              ? 0.001
                                                      : 0;
    if (used == 0 || factor == 0 || value > 1e9) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no time.", text), "Write 30s, 5m, 2h, or -1 for ever.");
    }
    if (value < 0) return server::kKeepForever;
    return std::chrono::milliseconds(static_cast<std::int64_t>(value * factor * 1000));
}

// As many connections as wanted need as many descriptors.
void raise_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string request_line(const server::ExchangeRecord& record) {
    ValueMap line;
    line.set("time", std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
    line.set("id", record.request->id);
    line.set("peer", record.request->peer);
    if (record.request->principal.keyed) line.set("key", record.request->principal.key_name);
    line.set("method", record.request->method);
    line.set("path", record.request->path.empty() ? record.request->target : record.request->path);
    line.set("status", record.status);
    line.set("complete", record.completed);
    line.set("seconds", record.seconds);
    line.set("bytes_in", static_cast<std::int64_t>(record.bytes_in));
    line.set("bytes_out", static_cast<std::int64_t>(record.bytes_out));
    for (const auto& [key, value] : record.notes) line.set(key, value);
    return to_json(line) + "\n";
}

int serve(const Options& o) {
    server::ServerOptions http;
    read_listen(o.listen, http);
    if (!o.tls.empty()) {
        http.tls_certificate = o.tls.at(0);
        http.tls_key = o.tls.at(1);
    }
    const InterruptGuard guard(3);
    raise_descriptors();
    const Store store = Store::open();

    server::PoolOptions pool_options;
    pool_options.keep_alive = read_duration(o.keep_alive);
    pool_options.load = load_options(o.model);
    pool_options.engine.max_sequences = o.parallel;
    pool_options.engine.context = o.model.context;
    if (o.model.no_speculation) pool_options.engine.draft_tokens = 0;
    pool_options.panels = [store](const LocatedModel& located) { return panels_for(store, located); };
    // A name that the store knows is served under it; a path gets the name of its file.
    for (const std::string& model : o.models) {
        const LocatedModel located = find_or_pull(store, model, o.model.yes);
        const std::string name = located.stored ? located.stored->name.str() : located.path.stem().string();
        if (!located.stored) pool_options.aliases.emplace_back(name, located.path.string());
        if (pool_options.default_model.empty()) pool_options.default_model = name;
    }
    std::vector<std::string> wanted;
    for (const auto& model : o.models) {
        const LocatedModel located = locate_model(store, model);
        wanted.push_back(located.stored ? located.stored->name.str() : located.path.stem().string());
    }

    // Before there are threads, and before the seal: it is the one that may go out.
    std::unique_ptr<PullHelper> puller;
    if (!o.pull_hosts.empty()) puller = std::make_unique<PullHelper>(o.pull_hosts);
    std::unique_ptr<DatabaseBroker> broker;
    std::shared_ptr<Database> database;
    if (const auto postgres = postgres_options(o.database)) {
        broker = std::make_unique<DatabaseBroker>(*postgres, !o.no_seal);
        database = broker->open();
    } else {
        database = open_state_database(store.home());
    }
    const std::shared_ptr<server::StoredResponses> responses = server::make_stored_responses(*database);

    HostOptions host_options;
    host_options.threads = wanted_threads(o.model.threads);
    host_options.memory_budget = static_cast<std::uint64_t>(o.memory_gb * 1e9);
    Host host(host_options);
    server::GuardOptions guard_options;
    guard_options.home = store.home();
    guard_options.insecure = o.insecure;
    guard_options.database = database;
    guard_options.replica = o.replica;
    guard_options.each_second = [responses] { responses->refresh(); };
    guard_options.purge_responses = [responses](std::int64_t before) { responses->purge(before); };
    server::Guard gate(guard_options);
    server::Metrics metrics;
    server::Workers workers(3);
    server::ModelPool pool(host, store, workers, pool_options);
    server::Generator generator(pool, workers, metrics, server::make_output_planner());
    server::Service service{pool, generator, workers, metrics, gate, FREEHOLD_VERSION};
    server::enable_constraints(service);
    service.puller = puller.get();
    service.responses = responses;
    service.sealed = !o.no_seal;
    std::vector<server::Route> routes = server::api_routes(service);
    for (server::Route& route : gate.routes()) routes.push_back(std::move(route));
    for (server::Route& route : page_routes(store.home())) routes.push_back(std::move(route));
    server::add_openapi_route(routes, FREEHOLD_VERSION);
    metrics.counter("freehold_http_requests_total", "Requests by route, method and status");
    http.observer = [&metrics, &gate, log = o.log_requests](const server::ExchangeRecord& record) {
        metrics.add("freehold_http_requests_total",
                    {{"method", record.route != nullptr ? record.route->method : "other"},
                     {"route", record.route != nullptr ? record.route->pattern : "none"},
                     {"status", std::to_string(record.status)}});
        gate.observe(record);
        if (log) err(request_line(record));
    };
    server::Server http_server(std::move(http), std::move(routes), gate, workers);
    service.counts = [&] { return http_server.counts(); };
    std::atomic<bool> leaving = false;
    service.draining = [&] { return leaving || http_server.draining(); };
    http_server.start();
    if (puller) puller->listen();
    // From here on no thread of this process can open a connection to anywhere.
    if (!o.no_seal) seal_process();
    out(fmt::format("Freehold serves at {}\n", http_server.url()));
    for (const std::string& name : wanted) {
        const auto lease = pool.acquire(name, server::kKeepForever);
        out(fmt::format("  {}  loaded in {}, {} of memory, context {}\n", lease->name,
                        human_seconds(lease->load_seconds), human_bytes(lease->memory),
                        lease->engine ? with_thousands(static_cast<std::uint64_t>(lease->engine->context())) : "-"));
    }
    if (wanted.empty()) out(fmt::format("  {} models, loaded when they are asked for\n", pool.known().size()));
    out(fmt::format("  OpenAI clients: base URL {}/v1, {}\n  Ctrl-C ends it when what runs has finished.\n",
                    http_server.url(),
                    std::string_view(gate.kind()) == "open" ? "any key" : "with a key of `freehold key create`"));
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    err("Finishing what runs; Ctrl-C again ends at once.\n");
    clear_interrupt();
    // A proxy that asks /ready sends others elsewhere before the door closes.
    leaving = true;
    const auto leave = std::chrono::steady_clock::now() + std::chrono::seconds(o.leave_seconds);
    while (!interrupted() && std::chrono::steady_clock::now() < leave)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(o.drain_seconds);
    bool done = false;
    while (!done && !interrupted() && std::chrono::steady_clock::now() < until)
        done = http_server.drain(std::chrono::milliseconds(100));
    http_server.stop();
    return 0;
}

}  // namespace

Action setup_serve(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("--models", o->models, "Models to load at once and keep; without it, models load when asked for")
        ->type_name("MODEL");
    app.add_option("--listen", o->listen, "Address and port (default 127.0.0.1:8080)")->type_name("ADDR:PORT");
    app.add_option("--tls", o->tls, "Certificate chain and key, PEM files")->type_name("CERT KEY")->expected(2);
    app.add_option("--keep-alive", o->keep_alive, "How long an unused model stays: 30s, 5m, -1 for ever (default 5m)")
        ->type_name("TIME");
    app.add_option("--parallel", o->parallel, "Answers that are written at once, of one model (default 32)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024));
    app.add_option("--memory", o->memory_gb, "Gigabytes for models and caches (default: three quarters of all)")
        ->type_name("GB")
        ->check(CLI::Range(0.0, 1e6));
    app.add_option("--drain", o->drain_seconds, "Seconds that running answers get at the end (default 30)")
        ->type_name("S")
        ->check(CLI::Range(0, 86400));
    add_database_flags(app, o->database);
    app.add_option("--replica", o->replica, "Name of this server among those that share a database (default main)")
        ->type_name("NAME")
        ->group("Replicas");
    app.add_option("--leave", o->leave_seconds,
                   "Seconds in which /ready says no while requests are still taken, at the end (default 0)")
        ->type_name("S")
        ->check(CLI::Range(0, 3600))
        ->group("Replicas");
    app.add_flag("--insecure-no-keys", o->insecure, "Listen beyond this machine and ask nobody for a key");
    app.add_option(
           "--pull-hosts", o->pull_hosts,
           "Let operators have models fetched, from these hosts only (\"pypi\": what this machine's pip is set to)")
        ->type_name("HOST");
    app.add_flag("--no-seal", o->no_seal, "Do without the filter that keeps this process from opening connections");
    app.add_flag("--log-requests", o->log_requests, "One line of JSON for each request, on standard error");
    app.add_option("--profile", o->model.profile, "Numeric profile: f32, bf16 or q8 (default: what suits the file)")
        ->type_name("P")
        ->group("Running");
    app.add_option("--kv", o->model.kv, "Type of cached keys and values: f32, f16 or q8_0")
        ->type_name("T")
        ->group("Running");
    app.add_option("--context", o->model.context, "Longest sequence, prompt and answer (default: the model's own)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 30))
        ->group("Running");
    app.add_option("--threads", o->model.threads, "Threads to compute with (default: all this process may use)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024))
        ->group("Running");
    app.add_flag("--no-repack", o->model.no_repack, "Compute from the files as they are: less memory, slower")
        ->group("Running");
    app.add_flag("--no-speculation", o->model.no_speculation, "Compute every token by itself")->group("Running");
    app.add_flag("-y,--yes", o->model.yes, "Fetch missing models of the catalogue without asking")->group("Running");
    app.footer(
        "Examples\n"
        "  freehold serve                                   all models of this machine, loaded on demand\n"
        "  freehold serve --models smollm2:135m             this one is ready at once\n"
        "  freehold serve --listen :8443 --tls cert.pem key.pem\n"
        "  curl http://127.0.0.1:8080/v1/chat/completions -d "
        "'{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'");
    return [o] { return serve(*o); };
}

}  // namespace freehold::cli
