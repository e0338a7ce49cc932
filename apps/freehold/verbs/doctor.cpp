// freehold doctor: what this machine is, whether Freehold is well on it, and which models will fit.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "../console.h"
#include "../interrupt.h"
#include "../machine.h"
#include "../panels.h"
#include "../progress_bar.h"
#include "../seal_report.h"
#include "../session.h"
#include "freehold/kernels/peaks.h"
#include "freehold/store/catalogue.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    int threads = 0;
    bool json = false, verify = false, no_measure = false, sealed = false;
    int pid = 0;
};

struct Finding {
    std::string message, hint;
};

// Weights, repacked copies and a cache for a long chat: about twice the file, as measured on the models of the
// catalogue.
std::uint64_t memory_for(std::uint64_t file_bytes) {
    return 2 * file_bytes + 300'000'000;
}

struct Fit {
    const CatalogueEntry* entry = nullptr;
    std::uint64_t needs = 0;
    bool fits = false, present = false;
};

struct Examined {
    MachineFacts machine;
    std::vector<std::string> tables;
    std::string active;
    Peaks peaks;
    int threads = 0;
    std::filesystem::path home;
    std::uint64_t free_bytes = 0, stored_bytes = 0;
    std::size_t models = 0, panels_compared = 0;
    Catalogue catalogue;
    std::vector<Fit> fits;
    std::vector<Finding> findings;
    bool damaged = false;  // the store holds something that --verify found wrong
};

void examine_store(Examined& e, bool verify) {
    const Store store = Store::open();
    e.home = store.home();
    e.free_bytes = free_disk(e.home);
    const auto models = store.list();
    e.models = models.size();
    for (const auto& model : models) e.stored_bytes += model.size;
    if (verify) {
        const InterruptGuard guard;
        ProgressBar bar;
        std::set<std::string> told, compared;  // files of panels: names of the same files share them
        for (const StoreFault& fault : store.verify(std::nullopt, bar.callback())) {
            e.damaged = true;
            told.insert(fault.file);
            e.findings.push_back(
                {fault.model.empty() ? fault.message : fault.model + ": " + fault.message, fault.hint});
        }
        for (const StoredModel& model : models) {
            if (!compared.insert(store.panels_path(model).string()).second) continue;
            for (const PanelVerdict& found : examine_panels(store, model, bar.callback())) {
                if (found.outcome == PanelVerdict::Outcome::same) {
                    ++e.panels_compared;
                } else if (told.insert(found.file.filename().string()).second) {
                    e.damaged = true;
                    e.findings.push_back({model.name.str() + ": " + found.message, found.hint});
                }
            }
        }
    }
    e.catalogue = Catalogue::load(e.home);
    for (const CatalogueEntry& entry : e.catalogue.entries()) {
        Fit fit{&entry, memory_for(entry.size()), false, false};
        fit.fits = fit.needs <= e.machine.available;
        const auto name = ModelName::try_parse(entry.name);
        fit.present = std::ranges::any_of(models, [&](const StoredModel& m) { return name && m.name == *name; });
        e.fits.push_back(fit);
    }
}

Examined examine(const Options& o) {
    Examined e;
    e.machine = read_machine();
    for (const Kernels* kernels : available_kernels()) e.tables.emplace_back(kernels->name);
    e.active = active_kernels().name;
    try {
        examine_store(e, o.verify);
    } catch (const Error& error) {
        // A store that cannot be opened is what a doctor is asked about; the rest is told all the same.
        if (error.kind() == ErrorKind::cancelled) throw;
        e.damaged = true;
        e.findings.push_back({error.message(), error.hint()});
    }
    {
        ThreadPool threads(wanted_threads(o.threads));
        e.threads = threads.size();
        if (!o.no_measure) e.peaks = measure_peaks(threads);
    }
    if (e.active == "scalar") {
        e.findings.push_back({"Only the plain kernels are in force: answers will be very slow.",
                              std::getenv("FREEHOLD_ISA") != nullptr
                                  ? "FREEHOLD_ISA asks for that; unset it."
                                  : "A processor with AVX2, or of the aarch64 kind, is needed for the fast ones."});
    }
    if (!e.home.empty() && e.free_bytes < 1'000'000'000) {
        e.findings.push_back({fmt::format("Only {} are free where models are kept.", human_bytes(e.free_bytes)),
                              "Remove a model (freehold rm), or set FREEHOLD_HOME to another disk."});
    }
    if (e.threads > e.machine.usable) {
        e.findings.push_back(
            {fmt::format("{} threads are more than the {} that this process may use.", e.threads, e.machine.usable),
             "Unset FREEHOLD_THREADS."});
    }
    return e;
}

void print_json(const Examined& e) {
    ValueMap machine;
    machine.set("system", e.machine.system);
    machine.set("processor", e.machine.processor);
    machine.set("cores", std::int64_t{e.machine.cores});
    machine.set("usable_cores", std::int64_t{e.machine.usable});
    machine.set("threads", std::int64_t{e.threads});
    machine.set("instruction_sets", e.machine.instruction_sets);
    machine.set("memory_bytes", e.machine.memory);
    machine.set("available_bytes", e.machine.available);
    machine.set("memory_limited_by_container", e.machine.memory_limited);
    ValueMap kernels;
    kernels.set("available", e.tables);
    kernels.set("active", e.active);
    ValueMap peaks;
    peaks.set("read_gbytes_per_s", e.peaks.read_gbytes_per_s);
    peaks.set("f32_gflops", e.peaks.f32_gflops);
    peaks.set("bf16_gflops", e.peaks.bf16_gflops);
    peaks.set("int8_gops", e.peaks.int8_gops);
    ValueMap store;
    store.set("home", e.home.string());
    store.set("models", std::uint64_t{e.models});
    store.set("bytes", e.stored_bytes);
    store.set("free_bytes", e.free_bytes);
    ValueList fits;
    for (const Fit& fit : e.fits) {
        ValueMap entry;
        entry.set("name", fit.entry->name);
        entry.set("bytes", fit.entry->size());
        entry.set("needs_bytes", fit.needs);
        entry.set("fits", fit.fits);
        entry.set("present", fit.present);
        fits.emplace_back(std::move(entry));
    }
    ValueList findings;
    for (const Finding& finding : e.findings) {
        ValueMap entry;
        entry.set("message", finding.message);
        entry.set("hint", finding.hint);
        findings.emplace_back(std::move(entry));
    }
    ValueMap map;
    map.set("machine", std::move(machine));
    map.set("kernels", std::move(kernels));
    map.set("peaks", std::move(peaks));
    map.set("store", std::move(store));
    map.set("fits", std::move(fits));
    map.set("findings", std::move(findings));
    out(to_json(Value(std::move(map)), 2) + "\n");
}

std::string rate(double per_second, const char* unit) {
    return per_second > 0 ? fmt::format("{:.0f} {}", per_second, unit) : std::string("not measured");
}

void print_facts(const Examined& e) {
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    Facts facts;
    facts.heading("Machine");
    if (!e.machine.system.empty()) facts.add("system", e.machine.system);
    facts.add("processor", e.machine.processor.empty() ? "not known" : e.machine.processor);
    facts.add("cores", fmt::format("{}, of which this process may use {}", e.machine.cores, e.machine.usable));
    facts.add("has", e.machine.instruction_sets.empty()
                         ? "none of the vector extensions that are used here"
                         : fmt::format("{}", fmt::join(e.machine.instruction_sets, ", ")));
    facts.add("memory", fmt::format("{}{}, {} free to use", human_bytes(e.machine.memory),
                                    e.machine.memory_limited ? " (bounded by a container)" : "",
                                    human_bytes(e.machine.available)));
    facts.heading("Speed");
    facts.add("kernels",
              fmt::format("{} in force; this build and processor have {}", e.active, fmt::join(e.tables, ", ")));
    facts.add("threads", std::to_string(e.threads));
    facts.add("bandwidth", rate(e.peaks.read_gbytes_per_s, "GB/s read from memory by all threads"));
    facts.add("arithmetic",
              fmt::format("F32 {}; int8 {}", rate(e.peaks.f32_gflops, "GFLOP/s"), rate(e.peaks.int8_gops, "Gop/s")));
    facts.heading("Store");
    facts.add("home", e.home.empty() ? "cannot be used" : e.home.string());
    facts.add("models", fmt::format("{}, {}; {} free on the disk", e.models, human_bytes(e.stored_bytes),
                                    human_bytes(e.free_bytes)));
    if (e.panels_compared > 0)
        facts.add("panels", fmt::format("{} files made anew from their models and compared", e.panels_compared));
    out(facts.str(width));
    out("\n" + styled("Will it fit?", Style::bold) + "\n");
    Table table(
        {{"MODEL"}, {"TO FETCH", true}, {"MEMORY", true}, {"FITS"}, {"KIND", false, true}, {"HERE", false, true}});
    for (const Fit& fit : e.fits) {
        table.add({fit.entry->name, human_bytes(fit.entry->size()), human_bytes(fit.needs), fit.fits ? "yes" : "no",
                   fit.entry->kind, fit.present ? "yes" : ""});
    }
    out(table.str(width));
    out("\n");
    if (e.findings.empty()) {
        out(styled("Nothing is wrong.", Style::green) + "\n");
    }
    for (const Finding& finding : e.findings) {
        const std::string text = fmt::format("! {}\n  {}", finding.message, finding.hint);
        out((width > 0 ? wrapped(text, width, 2) : text) + "\n");
    }
}

}  // namespace

Action setup_doctor(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_flag("--verify", o->verify,
                 "Read every stored byte again: files against digests, repacked weights against files");
    app.add_flag("--no-measure", o->no_measure, "Do not measure bandwidth and arithmetic (takes a second)");
    app.add_option("--threads", o->threads, "Threads to measure with")->type_name("N");
    auto* sealed =
        app.add_flag("--sealed", o->sealed, "Try every way out of a sealed process, and look at the servers that run");
    app.add_option("--pid", o->pid, "With --sealed: look at this process only")->type_name("PID")->needs(sealed);
    add_json_flag(app, o->json);
    app.footer(
        "What fits is estimated: twice the file, for the repacked copy and a long chat; `freehold show MODEL` is "
        "exact.\n\n"
        "Examples\n  freehold doctor\n  freehold doctor --verify\n  freehold doctor --sealed\n  freehold doctor "
        "--json");
    return [o] {
        if (o->sealed) return report_seal(o->pid, o->json);
        const Examined e = examine(*o);
        o->json ? print_json(e) : print_facts(e);
        return e.damaged ? exit_code(ErrorKind::bad_file) : 0;
    };
}

}  // namespace freehold::cli
