// Finding and loading a model for a verb, with the questions and progress that a person expects.
#include "session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "advisory_flow.h"
#include "console.h"
#include "freehold/base/hash.h"
#include "freehold/store/catalogue.h"
#include "freehold/store/pull.h"
#include "freehold/store/source.h"
#include "interrupt.h"
#include "panels.h"
#include "progress_bar.h"
#include "pull_flow.h"

namespace freehold::cli {
namespace {

// Reads one line of a person's answer; no line (end of input, Ctrl-C) is no.
bool said_yes() {
    std::string line;
    char c = 0;
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, &c, 1);
        if (n <= 0) return false;
        if (c == '\n') break;
        line += c;
    }
    return line.empty() || line[0] == 'y' || line[0] == 'Y';
}

// The same progress under a name that the user knows.
Progress named(std::string what, Progress progress) {
    return [what = std::move(what), progress = std::move(progress)](const ProgressEvent& event) {
        ProgressEvent mine = event;
        mine.what = what;
        progress(mine);
    };
}

// Where the store keeps a model is nothing that its user typed: errors of loading name the model instead.
template <class F>
void with_name(const LocatedModel& located, const std::string& model, F&& load) {
    try {
        load();
    } catch (const Error& error) {
        const std::string path = located.path.string();
        std::string message = error.message();
        const auto at = message.find(path);
        if (!located.stored || at == std::string::npos) throw;
        throw Error(error.kind(), message.replace(at, path.size(), model), error.hint());
    }
}

std::shared_ptr<Drafter> open_drafter(const Session& session, const ModelFlags& flags, LoadedModelOptions options) {
    if (flags.no_speculation)
        throw Error(ErrorKind::usage, "--draft-model and --no-speculation contradict each other.",
                    "Leave one of them away.");
    const Store store = Store::open();
    const LocatedModel located = find_or_pull(store, flags.draft_model, flags.yes);
    heed_advisories(store, located, flags.draft_model);
    options.panels = panels_for(store, located);
    std::shared_ptr<const LoadedModel> draft;
    with_name(located, flags.draft_model, [&] { draft = session.host->load(located.path, options); });
    return make_model_drafter(*session.host, std::move(draft), *session.model);
}

// MODEL+ADAPTER is two names, unless something of that whole name lies on disk.
ModelFlags apart(const ModelFlags& flags) {
    ModelFlags out = flags;
    std::error_code ec;
    const AdaptedName names = split_adapted(flags.model);
    if (names.adapter.empty() || std::filesystem::exists(flags.model, ec)) return out;
    if (!flags.adapter.empty())
        throw Error(ErrorKind::usage, fmt::format("{} names an adapter, and --adapter another.", flags.model),
                    "One adapter works at a time: leave one of them away.");
    out.model = names.model;
    out.adapter = names.adapter;
    return out;
}

std::shared_ptr<const LoadedAdapter> open_adapter(const Store& store, const Session& session, const std::string& name) {
    const LocatedModel located = locate_model(store, name);
    if (located.stored && !is_adapter(located.stored->record))
        throw Error(ErrorKind::usage, fmt::format("{} is a model and no adapter.", located.stored->name.str()),
                    "`freehold list` says what is what.");
    heed_advisories(store, located, name);
    std::shared_ptr<const LoadedAdapter> out;
    with_name(located, name, [&] {
        out =
            load_adapter(*session.host, session.model, located.path, located.stored ? located.stored->name.str() : name,
                         located.stored ? located.stored->digest : std::string());
    });
    return out;
}

}  // namespace

void add_json_flag(CLI::App& app, bool& json) {
    app.add_flag("--json", json, "Print JSON, errors too");
}

void add_model_flags(CLI::App& app, ModelFlags& flags) {
    app.add_option("MODEL", flags.model,
                   "A name (freehold list), or a path: a GGUF file, a Hugging Face folder, a llama2.c .bin")
        ->required()
        ->type_name("MODEL");
    app.add_option("--profile", flags.profile, "Numeric profile: f32, bf16 or q8 (default: what suits the file)")
        ->type_name("P")
        ->group("Running");
    app.add_option("--kv", flags.kv,
                   "Type of cached keys and values: f32, f16 or q8_0 (default: f16; f32 with --profile f32)")
        ->type_name("T")
        ->group("Running");
    app.add_option("--context", flags.context, "Longest sequence, prompt and answer (default: the model's own)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 30))
        ->group("Running");
    app.add_option("--threads", flags.threads, "Threads to compute with (default: all this process may use)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024))
        ->group("Running");
    app.add_flag("--no-repack", flags.no_repack, "Compute from the file as it is: less memory, slower")
        ->group("Running");
    app.add_flag("-y,--yes", flags.yes, "Fetch a missing model of the catalogue without asking")->group("Running");
    add_json_flag(app, flags.json);
}

void add_speculation_flags(CLI::App& app, ModelFlags& flags) {
    app.add_flag("--no-speculation", flags.no_speculation,
                 "Compute every token by itself. Guessing ahead changes none, it only saves time where text repeats")
        ->group("Running");
    app.add_option("--draft-model", flags.draft_model,
                   "A smaller model with the same vocabulary that guesses ahead; what it guesses is checked")
        ->type_name("MODEL")
        ->group("Running");
    app.add_option("--draft-tokens", flags.draft_tokens, "Tokens to guess ahead at most (default 3)")
        ->type_name("N")
        ->check(CLI::Range(1, 64))
        ->group("Running");
}

void add_adapter_flag(CLI::App& app, ModelFlags& flags) {
    flags.takes_adapter = true;
    app.add_option("--adapter", flags.adapter,
                   "A LoRA adapter on top: a stored name, a folder that PEFT saved, or a GGUF file (MODEL+NAME says "
                   "the same of a stored one)")
        ->type_name("ADAPTER")
        ->group("Running");
}

int wanted_threads(int flag) {
    int threads = flag;
    if (threads == 0) {
        const char* text = std::getenv("FREEHOLD_THREADS");
        if (text == nullptr || *text == '\0') return 0;
        const std::string_view digits(text);
        const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), threads);
        if (problem != std::errc() || end != digits.data() + digits.size()) {
            throw Error(ErrorKind::usage, fmt::format("FREEHOLD_THREADS is \"{}\", which is no number.", text),
                        "Set it to a number of threads, or unset it.");
        }
    }
    if (threads < 1 || threads > 1024) {
        throw Error(ErrorKind::usage, fmt::format("{} threads make no sense.", threads),
                    fmt::format("Give a number from 1; this process may use {}.", available_threads()));
    }
    return threads;
}

LoadedModelOptions load_options(const ModelFlags& flags) {
    LoadedModelOptions options;
    options.repack = !flags.no_repack;
    options.context = flags.context;
    if (!flags.profile.empty()) {
        options.profile = profile_from_name(flags.profile);
        if (!options.profile) {
            throw Error(ErrorKind::usage, fmt::format("There is no profile \"{}\".", flags.profile),
                        "Profiles: f32 (exact, slow), bf16, q8 (serves quantised files). docs/numerics.md says what "
                        "each promises.");
        }
    }
    if (!flags.kv.empty()) {
        options.kv = kv_from_name(flags.kv);
        if (!options.kv) {
            throw Error(ErrorKind::usage, fmt::format("There is no type \"{}\" for keys and values.", flags.kv),
                        "Types: f32 (exact), f16 (half of it), q8_0 (a quarter and a little).");
        }
    }
    if (flags.context < 0) {
        throw Error(ErrorKind::usage, fmt::format("A context of {} tokens makes no sense.", flags.context),
                    "Give a positive number, or leave --context away.");
    }
    return options;
}

LocatedModel find_or_pull(const Store& store, const std::string& model, bool yes) {
    try {
        return locate_model(store, model);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        const bool is_path = model.find('/') == 0 || model.starts_with("./") || model.starts_with("../");
        const bool may_ask = stdin_is_terminal() && stderr_is_terminal();
        if (is_path || (!yes && !may_ask)) throw;
        const bool known = Catalogue::load(store.home()).find(model) != nullptr;
        if (!known && !SourceSpec::has_scheme(model)) throw;
        Store writable = store;
        PullFlow flow;
        flow.ask = [&] {
            if (yes) return true;
            err("Fetch it now? [Y/n] ");
            return said_yes();
        };
        const PullResult result = flow.run(writable, model);
        return {store.open_path(result.model), result.model};
    }
}

std::string Session::name() const {
    const std::string base = located.stored ? located.stored->name.str() : located.path.string();
    return adapter ? base + "+" + adapter->name : base;
}

std::string Session::digest() const {
    if (located.stored) return located.stored->digest;
    const auto& files = model->files()->files();
    if (files.size() == 1) return "sha256:" + sha256_file(files.front());
    std::string list;
    for (const auto& file : files) list += sha256_file(file) + "  " + file.filename().string() + "\n";
    return "sha256:" + sha256_hex(std::as_bytes(std::span(list)));
}

Session open_session(const ModelFlags& given, const EngineOptions* engine_options) {
    const ModelFlags flags = apart(given);
    if (!flags.adapter.empty() && !flags.takes_adapter)
        throw Error(ErrorKind::unsupported, "This command works with a model as it is, without an adapter.",
                    fmt::format("Name {} alone.", flags.model));
    Session session;
    LoadedModelOptions options = load_options(flags);
    HostOptions host_options;
    host_options.threads = wanted_threads(flags.threads);
    const Store store = Store::open();
    session.located = find_or_pull(store, flags.model, flags.yes);
    if (session.located.stored && is_adapter(session.located.stored->record))
        throw Error(ErrorKind::usage, fmt::format("{} is an adapter, which works on top of a model.", flags.model),
                    fmt::format("Name both: MODEL+{}.", flags.model));
    heed_advisories(store, session.located, flags.model);
    options.panels = panels_for(store, session.located);
    const auto started = std::chrono::steady_clock::now();
    session.host = std::make_unique<Host>(host_options);
    {
        const InterruptGuard guard;
        ProgressBar bar(!stderr_is_terminal());
        with_name(session.located, flags.model, [&] {
            session.model =
                session.host->load(session.located.path, options, named("loading " + flags.model, bar.callback()));
            if (engine_options != nullptr) static_cast<void>(session.model->need_decoder());
        });
    }
    if (engine_options != nullptr) {
        EngineOptions wanted = *engine_options;
        if (const int most = session.model->need_decoder().spec().context; flags.context > most)
            throw Error(ErrorKind::usage,
                        fmt::format("A context of {} tokens is more than the {} of this model.", flags.context, most),
                        fmt::format("Give at most {}, or leave --context away.", most));
        if (flags.context > 0) wanted.context = flags.context;
        if (flags.draft_tokens > 0) wanted.draft_tokens = flags.draft_tokens;
        if (flags.no_speculation) wanted.draft_tokens = 0;
        if (!flags.draft_model.empty()) wanted.drafter = open_drafter(session, flags, options);
        session.engine = std::make_unique<Engine>(*session.host, session.model, wanted);
    }
    if (!flags.adapter.empty()) session.adapter = open_adapter(store, session, flags.adapter);
    session.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return session;
}

ValueMap describe_session(const Session& session) {
    ValueMap map;
    map.set("model", session.name());
    map.set("digest", session.digest());
    if (session.adapter)
        map.set("adapter", session.adapter->stored.empty() ? session.adapter->digest : session.adapter->stored);
    map.set("profile", std::string(session.model->decoder() ? profile_name(session.model->decoder()->profile()) : ""));
    map.set("kv", std::string(kv_name(session.model->kv())));
    map.set("threads", std::int64_t{session.host->threads().size()});
    map.set("isa", std::string(session.host->kernels().name));
    return map;
}

}  // namespace freehold::cli
