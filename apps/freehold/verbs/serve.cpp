// `freehold serve`: models behind HTTP, until Ctrl-C or SIGTERM; then what runs may finish.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <tuple>

#include "../advisory_flow.h"
#include "../console.h"
#include "../database_broker.h"
#include "../database_settings.h"
#include "../interrupt.h"
#include "../openness_routes.h"
#include "../page.h"
#include "../panels.h"
#include "../pull_helper.h"
#include "../scan_flow.h"
#include "../session.h"
#include "../settings/settings.h"
#include "freehold/access/json.h"
#include "freehold/base/log.h"
#include "freehold/database/state.h"
#include "freehold/safeguards/config.h"
#include "freehold/seal/seal.h"
#include "freehold/server/errors.h"
#include "freehold/server/guard.h"
#include "freehold/server/safeguards.h"
#include "freehold/server/server.h"
#include "freehold/server/service.h"
#include "freehold/server/stored_responses.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    SettingFlags flags;
    std::vector<std::string> tls;
    bool yes = false;
};

std::chrono::milliseconds keep_alive_of(const std::string& text) {
    const std::int64_t ms = read_keep(text);
    return ms < 0 ? server::kKeepForever : std::chrono::milliseconds(ms);
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

ModelFlags model_flags(const Settings& s, bool yes) {
    ModelFlags flags;
    flags.profile = s.text("profile");
    flags.kv = s.text("kv");
    flags.context = s.whole("context", 0);
    flags.threads = s.whole("threads", 0);
    flags.no_repack = !s.yes("repack", true);
    flags.no_speculation = !s.yes("speculation", true);
    flags.yes = yes;
    return flags;
}

int serve(const Options& o) {
    SettingFlags said = o.flags;
    if (!o.tls.empty()) {
        said.said["tls.certificate"] = {o.tls.at(0)};
        said.said["tls.key"] = {o.tls.at(1)};
    }
    const Settings s = Settings::load(said);
    const ModelFlags model = model_flags(s, o.yes);
    const std::vector<std::string> models = s.texts("models");
    const std::vector<std::string> pull_hosts = s.texts("pull_hosts");
    const bool sealed = s.yes("seal", true);
    server::ServerOptions http;
    std::tie(http.address, http.port) = read_address(s.text("listen", "127.0.0.1:8080"));
    http.tls_certificate = s.text("tls.certificate");
    http.tls_key = s.text("tls.key");
    const InterruptGuard guard(3);
    raise_descriptors();
    const Store store = Store::open();

    server::PoolOptions pool_options;
    pool_options.keep_alive = keep_alive_of(s.text("keep_alive", "5m"));
    pool_options.load = load_options(model);
    pool_options.engine.max_sequences = s.whole("parallel", 32);
    pool_options.engine.context = model.context;
    if (model.no_speculation) pool_options.engine.draft_tokens = 0;
    const advisory::Policy heeded = advisory::policy_from(s.text("advisories", "recall"));
    pool_options.panels = [store](const LocatedModel& located) { return panels_for(store, located); };
    // Asked for each request, so that an advisory stops a model or an adapter that is loaded already.
    const auto watch = std::make_shared<AdvisoryWatch>(store, heeded);
    pool_options.heed = [watch](const LocatedModel& located) { watch->heed(located); };
    // A name that the store knows is served under it; a path gets the name of its file.
    for (const std::string& name_or_path : models) {
        const LocatedModel located = find_or_pull(store, name_or_path, o.yes);
        const std::string name = located.stored ? located.stored->name.str() : located.path.stem().string();
        if (!located.stored) pool_options.aliases.emplace_back(name, located.path.string());
        if (pool_options.default_model.empty()) pool_options.default_model = name;
    }
    std::vector<std::string> wanted;
    for (const std::string& name_or_path : models) {
        const LocatedModel located = locate_model(store, name_or_path);
        wanted.push_back(located.stored ? located.stored->name.str() : located.path.stem().string());
    }

    // Before there are threads, and before the seal: it is the one that may go out.
    std::unique_ptr<PullHelper> puller;
    if (!pull_hosts.empty()) puller = std::make_unique<PullHelper>(pull_hosts);
    std::unique_ptr<DatabaseBroker> broker;
    std::shared_ptr<Database> database;
    if (const auto postgres = postgres_options(s)) {
        broker = std::make_unique<DatabaseBroker>(*postgres, sealed);
        database = broker->open();
    } else {
        std::filesystem::create_directories(store.home());
        database = open_state_database(store.home());
    }
    const std::shared_ptr<server::StoredResponses> responses = server::make_stored_responses(*database);

    HostOptions host_options;
    host_options.threads = wanted_threads(model.threads);
    host_options.memory_budget = static_cast<std::uint64_t>(s.number("memory", 0) * 1e9);
    Host host(host_options);
    server::GuardOptions guard_options;
    guard_options.home = store.home();
    guard_options.insecure = s.yes("insecure_no_keys", false);
    guard_options.config = s.access(store.home());
    guard_options.database = database;
    guard_options.each_second = [responses] { responses->refresh(); };
    guard_options.purge_responses = [responses](std::int64_t before) { responses->purge(before); };
    server::Guard gate(guard_options);
    server::Metrics metrics;
    server::Workers workers(4);
    server::ModelPool pool(host, store, workers, pool_options);
    server::Generator generator(pool, workers, metrics, server::make_output_planner());
    if (const std::string file = s.text("safeguards"); !file.empty())
        generator.guard_with(std::make_shared<server::Safeguards>(safeguards::load_config(file), generator, metrics));
    server::Service service{pool, generator, workers, metrics, gate, FREEHOLD_VERSION};
    server::enable_constraints(service);
    service.puller = puller.get();
    service.responses = responses;
    service.sealed = sealed;
    service.longest_keep_alive = keep_alive_of(s.text("longest_keep_alive", "24h"));
    service.most_blob = static_cast<std::uint64_t>(s.number("blob_size", 1000) * 1e9);
    // One thread: what is being answered has the rest.
    service.vet = [](const FetchedModel& sent) { return scan_fetched(sent, {}, {}, 1); };
    std::vector<server::Route> routes = server::api_routes(service);
    for (server::Route& route : gate.routes()) routes.push_back(std::move(route));
    for (server::Route& route : page_routes(store.home())) routes.push_back(std::move(route));
    for (server::Route& route : openness_routes(pool)) routes.push_back(std::move(route));
    server::add_openapi_route(routes, FREEHOLD_VERSION);
    metrics.counter("freehold_http_requests_total", "Requests by route, method and status");
    http.observer = [&metrics, &gate, log = s.yes("log_requests", false)](const server::ExchangeRecord& record) {
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
    // Before anybody is answered: a guard model that does not fire guards nothing.
    if (server::Safeguards* const guards = generator.safeguards()) {
        for (const auto& judge : guards->config().guards)
            if (!judge.model.empty()) static_cast<void>(pool.acquire(judge.model, server::kKeepForever));
        guards->prove();
    }
    http_server.start();
    if (puller) puller->listen();
    // From here on no thread of this process can open a connection to anywhere.
    if (sealed) seal_process();
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
    const auto leave = std::chrono::steady_clock::now() + std::chrono::seconds(s.whole("leave", 0));
    while (!interrupted() && std::chrono::steady_clock::now() < leave)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(s.whole("drain", 30));
    bool done = false;
    while (!done && !interrupted() && std::chrono::steady_clock::now() < until)
        done = http_server.drain(std::chrono::milliseconds(100));
    // Nobody is left without a word: streams end with an error of their dialect, the others get 503.
    if (!done && !interrupted()) {
        generator.end_all(std::make_exception_ptr(server::stopping_error()));
        if (!http_server.drain(std::chrono::seconds(3))) {
            http_server.refuse_waiting();
            http_server.drain(std::chrono::seconds(1));
        }
    }
    http_server.stop();
    return 0;
}

}  // namespace

Action setup_serve(CLI::App& app) {
    auto o = std::make_shared<Options>();
    add_setting_flags(app, o->flags);
    app.add_option("--tls", o->tls, "Certificate chain and key, PEM files")->type_name("CERT KEY")->expected(2);
    app.add_flag("-y,--yes", o->yes, "Fetch missing models of the catalogue without asking")->group("Running");
    app.footer(
        "All of this can stand in a file too, and in the environment: docs/configuration.md, `freehold config "
        "show`.\n\n"
        "Examples\n"
        "  freehold serve                                   all models of this machine, loaded on demand\n"
        "  freehold serve --models smollm2:135m             this one is ready at once\n"
        "  freehold serve --listen :8443 --tls cert.pem key.pem\n"
        "  curl http://127.0.0.1:8080/v1/chat/completions -d "
        "'{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'");
    return [o] { return serve(*o); };
}

}  // namespace freehold::cli
