// freehold plan: what a model would take, how fast it would answer here and what it would cost, before it is fetched.
#include "freehold/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../machine.h"
#include "../measured_peaks.h"
#include "../session.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
    std::string model, type = "q4_k_m", cache = "f16";
    std::vector<std::int64_t> contexts;
    double bandwidth = 0, peak = 0, memory_gb = 0, price = -1, tokens_per_day = 0, output_share = 0.25;
    double hosted_in = -1, hosted_out = -1;
    int streams = 1, threads = 0;
    bool list = false, measure = false, json = false;
};

struct Planned {
    std::string what, source;  // where the numbers came from
    std::vector<std::string> remarks;
    bool verified = true;
    plan::ModelShape shape;
    std::vector<std::int64_t> contexts;
    std::vector<plan::WeightRow> rows;
    plan::WeightRow chosen;
    plan::CacheType cache{};
    plan::Machine machine;
    bool bandwidth_given = false, peak_given = false, memory_given = false, kept = false;
    std::vector<plan::Rates> rates;  // by context, of the chosen type
    std::vector<plan::Holding> holdings;
    std::optional<plan::Cost> cost;
};

ValueMap read_config(const fs::path& path) {
    const Value value = parse_json(read_text(path, 64U << 20), path.string());
    const auto* map = value.get<ValueMap>();
    if (map == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} holds no JSON object.", path.string()),
                    "A plan needs the model's config.json.");
    return *map;
}

// What the index says of the files that it belongs to.
void look_at_index(Planned& p, const fs::path& folder) {
    const fs::path index = folder / "model.safetensors.index.json";
    if (!fs::exists(index)) return;
    const ValueMap map = read_config(index);
    const Value* size = freehold::find(map, "metadata.total_size");
    const Value* names = map.find("weight_map");
    const auto* weights = names == nullptr ? nullptr : names->get<ValueMap>();
    if (size == nullptr || !size->as_int() || *size->as_int() <= 0) return;
    const auto bytes = static_cast<std::uint64_t>(*size->as_int());
    p.remarks.push_back(
        fmt::format("The index names {} tensors of {} in all: {:.2f} bits for each weight counted here.",
                    weights == nullptr ? 0 : weights->size(), human_bytes(bytes),
                    8.0 * static_cast<double>(bytes) / static_cast<double>(p.shape.total())));
}

void from_folder(Planned& p, const fs::path& config) {
    p.source = config.string();
    p.shape = plan::shape_of_config(read_config(config), config.string());
    if (config.has_parent_path()) look_at_index(p, config.parent_path());
}

void from_files(Planned& p, const fs::path& path) {
    const auto files = ModelFiles::open(path);
    if (files->container() == Container::hf) return from_folder(p, files->path() / "config.json");
    const auto named = [&](std::string_view name) {
        const auto at = std::ranges::find_if(files->entries(), [&](const TensorEntry& e) { return e.name == name; });
        return at == files->entries().end() ? nullptr : &*at;
    };
    const TensorEntry* table = named("token_embd.weight");
    const std::int64_t rows = table == nullptr || table->shape.empty() ? 0 : table->shape[0];
    p.source = files->path().string();
    p.shape =
        plan::shape_of_gguf(files->meta(), files->architecture(), p.source, rows, named("output.weight") != nullptr);
    std::uint64_t numbers = 0, bytes = 0;
    for (const TensorEntry& e : files->entries()) {
        std::uint64_t n = 1;
        for (const std::int64_t d : e.shape) n *= static_cast<std::uint64_t>(d);
        numbers += n;
        bytes += e.nbytes;
    }
    p.remarks.push_back(fmt::format("Its tensors hold {} weights in {}.", with_thousands(numbers), human_bytes(bytes)));
}

// A path, a stored name, or a configuration known by name, in this order.
Planned find_model(const Options& o) {
    Planned p;
    p.what = o.model;
    std::error_code ignored;
    const fs::path path = o.model;
    if (fs::is_directory(path, ignored) && fs::exists(path / "config.json", ignored)) {
        from_folder(p, path / "config.json");
    } else if (fs::is_regular_file(path, ignored) && path.extension() == ".json") {
        from_folder(p, path);
    } else if (fs::exists(path, ignored)) {
        from_files(p, path);
    } else {
        const plan::KnownConfig* known = plan::find_config(o.model);
        try {
            from_files(p, locate_model(Store::open(), o.model).path);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::not_found) throw;
            if (known == nullptr)
                throw Error(ErrorKind::not_found, error.message(),
                            "Name a folder with config.json, a GGUF file, or one of `freehold plan --list`.");
            p.shape = plan::shape_of_config(known->config, known->name);
            p.what = known->name;
            p.source = known->source;
            p.verified = known->verified;
            if (!known->note.empty()) p.remarks.push_back(known->note);
        }
    }
    if (!p.shape.family_known)
        p.remarks.push_back(fmt::format("Family \"{}\" is not known here: counted as a gated decoder without biases.",
                                        p.shape.family.empty() ? "(none)" : p.shape.family));
    return p;
}

void find_machine(Planned& p, const Options& o) {
    plan::Machine& m = p.machine;
    m.memory = o.memory_gb > 0 ? static_cast<std::uint64_t>(o.memory_gb * 1e9) : read_machine().memory;
    p.memory_given = o.memory_gb > 0;
    p.bandwidth_given = o.bandwidth > 0;
    p.peak_given = o.peak > 0;
    m.read_gbytes_per_s = o.bandwidth;
    m.int8_gops = m.float_gflops = o.peak;
    if (p.bandwidth_given && p.peak_given) return;
    if (!o.json && o.measure) notice("Measuring bandwidth and arithmetic of this machine.");
    const MeasuredPeaks measured = measured_peaks(Store::open().home(), wanted_threads(o.threads), o.measure);
    p.kept = measured.kept;
    if (!p.bandwidth_given) m.read_gbytes_per_s = measured.peaks.read_gbytes_per_s;
    if (!p.peak_given) {
        m.int8_gops = measured.peaks.int8_gops;
        m.float_gflops = measured.peaks.f32_gflops;
    }
}

Planned make_plan(const Options& o) {
    Planned p = find_model(o);
    p.cache = plan::cache_type(o.cache);
    p.rows = plan::weight_rows(p.shape);
    const auto row = std::ranges::find_if(p.rows, [&](const plan::WeightRow& r) { return r.type == o.type; });
    if (row == p.rows.end()) {
        std::string known;
        for (const plan::WeightRow& r : p.rows) known += (known.empty() ? "" : ", ") + r.type;
        throw Error(ErrorKind::usage, fmt::format("There is no type \"{}\" to plan with.", o.type),
                    fmt::format("Choose one of: {}.", known));
    }
    p.chosen = *row;
    p.contexts = o.contexts;
    if (p.contexts.empty()) {
        p.contexts = {4096, 32768};
        if (p.shape.context > 0) {
            std::erase_if(p.contexts, [&](std::int64_t c) { return c >= p.shape.context; });
            p.contexts.push_back(p.shape.context);
        }
    }
    for (const std::int64_t c : p.contexts)
        if (c < 1) throw Error(ErrorKind::usage, fmt::format("{} is no context.", c), "Give tokens, for example 8192.");
    std::ranges::sort(p.contexts);
    if (o.streams < 1) throw Error(ErrorKind::usage, "--streams must be at least 1.");
    if (o.output_share < 0 || o.output_share > 1) throw Error(ErrorKind::usage, "--output-share lies between 0 and 1.");
    find_machine(p, o);
    for (const std::int64_t c : p.contexts) {
        p.rates.push_back(plan::rates(p.shape, p.chosen, p.cache, p.machine, c, o.streams));
        p.holdings.push_back(plan::holding(p.shape, p.chosen, p.cache, p.machine, c, o.streams));
    }
    const bool priced = o.price >= 0 || o.hosted_in >= 0 || o.hosted_out >= 0;
    if (priced && o.tokens_per_day <= 0)
        throw Error(ErrorKind::usage, "A cost needs a use.", "Say how much with --tokens-per-day N.");
    if (o.tokens_per_day > 0)
        p.cost = plan::cost({o.tokens_per_day, o.output_share, std::max(0.0, o.price), std::max(0.0, o.hosted_in),
                             std::max(0.0, o.hosted_out)},
                            p.rates.front(), p.holdings.front());
    return p;
}

std::string rate_text(double r) {
    return r <= 0 ? "-" : r < 10 ? fmt::format("{:.2f}", r) : fmt::format("{:.0f}", r);
}

std::string experts_text(const plan::ModelShape& s) {
    return fmt::format("{} experts a layer, {} chosen for a token{}", s.n_experts, s.n_used,
                       s.n_shared > 0 ? fmt::format(", {} shared by all", s.n_shared) : "");
}

void print_tables(const Planned& p, const Options& o, int width) {
    Table weights({{"TYPE"}, {"BITS", true}, {"WEIGHTS", true}, {"READ FOR A TOKEN", true}, {"TOKENS/S", true}});
    for (const plan::WeightRow& r : p.rows) {
        const plan::Rates rates = plan::rates(p.shape, r, p.cache, p.machine, p.contexts.front(), o.streams);
        weights.add({r.type, fmt::format("{:.2f}", r.bits), human_bytes(r.bytes), human_bytes(r.token_bytes),
                     rate_text(rates.decode)});
    }
    out("\n" + styled("Weights", Style::bold) +
        fmt::format(" (tokens/s: expected here, at a context of {})\n", p.contexts.front()));
    out(weights.str(width));
    Table caches({{"CONTEXT", true},
                  {"F32", true},
                  {"F16", true},
                  {"Q8_0", true},
                  {"IN ALL", true},
                  {"MACHINES", true},
                  {"WRITES", true},
                  {"READS", true}});
    for (std::size_t i = 0; i < p.contexts.size(); ++i) {
        const std::int64_t c = p.contexts[i];
        const auto bytes = [&](plan::CacheType t) { return human_bytes(plan::cache_bytes(p.shape, t, c)); };
        caches.add({with_thousands(static_cast<std::uint64_t>(c)), bytes(plan::CacheType::f32),
                    bytes(plan::CacheType::f16), bytes(plan::CacheType::q8_0), human_bytes(p.holdings[i].bytes),
                    p.holdings[i].machines == 0 ? "-" : with_thousands(p.holdings[i].machines),
                    rate_text(p.rates[i].decode), rate_text(p.rates[i].prefill)});
    }
    out("\n" + styled("Keys and values of one sequence", Style::bold) +
        fmt::format(" (in all, machines and tokens/s: {} with a cache in {}, {} stream{})\n", p.chosen.type,
                    plan::cache_name(p.cache), o.streams, o.streams == 1 ? "" : "s"));
    out(caches.str(width));
}

void add_cost(Facts& facts, const Planned& p, const Options& o) {
    const plan::Cost& c = *p.cost;
    facts.heading("A month");
    facts.add("use", fmt::format("{} tokens a day, {:.0f} % of them written by the model",
                                 with_thousands(static_cast<std::uint64_t>(o.tokens_per_day)), o.output_share * 100));
    const bool slow = c.busy > 1;
    facts.add("machines", fmt::format("{:.0f}{}; busy {:.1f} % of the time", c.machines,
                                      slow ? " (more than hold it: one set is too slow)" : "",
                                      100 * c.busy / std::max(1.0, std::ceil(c.busy))));
    if (o.price >= 0)
        facts.add("own", fmt::format("{:.2f}: {:.0f} x {} an hour x {} hours", c.own, c.machines, o.price,
                                     plan::kHoursPerMonth));
    if (o.hosted_in >= 0 || o.hosted_out >= 0) {
        facts.add("hosted", fmt::format("{:.2f}: {} a million tokens read, {} a million written", c.hosted,
                                        std::max(0.0, o.hosted_in), std::max(0.0, o.hosted_out)));
        if (o.price >= 0)
            facts.add("even", c.even_tokens_per_day > 0
                                  ? fmt::format("at {} tokens a day",
                                                with_thousands(static_cast<std::uint64_t>(c.even_tokens_per_day)))
                                  : std::string("at no use that one set of these machines can serve"));
    }
}

void print_facts(const Planned& p, const Options& o) {
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    const plan::ModelShape& s = p.shape;
    Facts facts;
    facts.heading(p.what);
    facts.add("family", s.family.empty() ? "not said" : s.family);
    facts.add("parameters",
              fmt::format("{} in all, {} active for a token", human_count(s.total()), human_count(s.active())));
    facts.add("shape",
              fmt::format("{} layers of width {}, {} heads, {} of keys and values, vocabulary {}", s.n_layers,
                          s.d_model, s.n_heads, s.kv_heads, with_thousands(static_cast<std::uint64_t>(s.vocab))));
    if (s.n_experts > 0) facts.add("experts", experts_text(s));
    if (!s.cache.empty() && s.cache.front().latent)
        facts.add("attention", fmt::format("latent: {} numbers a token and layer are kept", s.cache.front().numbers));
    facts.add("numbers from",
              p.source + (p.verified ? "" : " (UNVERIFIED: hold them against the maker's config.json)"));
    for (const std::string& remark : p.remarks) facts.add("", remark);
    facts.heading("Machine");
    const auto how = [](bool given, bool kept) { return given ? "given" : kept ? "measured before" : "measured now"; };
    facts.add("memory",
              fmt::format("{} ({})", human_bytes(p.machine.memory), p.memory_given ? "given" : "this machine's"));
    facts.add("bandwidth",
              fmt::format("{:.1f} GB/s ({})", p.machine.read_gbytes_per_s, how(p.bandwidth_given, p.kept)));
    facts.add("arithmetic", fmt::format("{:.0f} Gop/s in 8 bits, {:.0f} GFLOP/s in floats ({})", p.machine.int8_gops,
                                        p.machine.float_gflops, how(p.peak_given, p.kept)));
    out(facts.str(width));
    print_tables(p, o, width);
    if (p.cost) {
        Facts money;
        add_cost(money, p, o);
        out("\n" + money.str(width));
    }
    const std::string assumptions = fmt::format(
        "Assumed: decoding reaches {:.0f} % of the bandwidth and prompts {:.0f} % of the arithmetic (the middle of "
        "what "
        "docs/performance.md measured); a machine gives {:.0f} % of its memory; weights are read once a step and each "
        "stream stands at the middle of its context; machines hold layers one after the other, so that more of them "
        "hold "
        "more but answer one stream no faster, and the network between them costs nothing. A month has {} hours, "
        "rented "
        "in whole; hosted tokens cost the same at all hours.",
        plan::kDecodeShare * 100, plan::kPrefillShare * 100, plan::kUsableMemory * 100, plan::kHoursPerMonth);
    out("\n" + (width > 0 ? wrapped(assumptions, width, 0) : assumptions) + "\n");
}

ValueMap rates_json(const plan::Rates& r) {
    ValueMap map;
    map.set("decode_tokens_per_s", r.decode);
    map.set("decode_tokens_per_s_all_streams", r.decode_all);
    map.set("prefill_tokens_per_s", r.prefill);
    return map;
}

void print_json(const Planned& p, const Options& o) {
    const plan::ModelShape& s = p.shape;
    ValueMap map;
    map.set("model", p.what);
    map.set("family", s.family);
    map.set("family_known", s.family_known);
    map.set("numbers_from", p.source);
    map.set("verified", p.verified);
    map.set("remarks", p.remarks);
    map.set("parameters", s.total());
    map.set("active_parameters", s.active());
    map.set("layers", s.n_layers);
    map.set("context", s.context);
    map.set("experts", s.n_experts);
    map.set("experts_used", s.n_used);
    map.set("latent_cache", !s.cache.empty() && s.cache.front().latent);
    map.set("streams", o.streams);
    map.set("type", p.chosen.type);
    map.set("cache", std::string(plan::cache_name(p.cache)));
    ValueMap machine;
    machine.set("memory_bytes", p.machine.memory);
    machine.set("read_gbytes_per_s", p.machine.read_gbytes_per_s);
    machine.set("int8_gops", p.machine.int8_gops);
    machine.set("float_gflops", p.machine.float_gflops);
    map.set("machine", std::move(machine));
    ValueList weights;
    for (const plan::WeightRow& r : p.rows) {
        ValueMap row;
        row.set("type", r.type);
        row.set("bits_per_weight", r.bits);
        row.set("bytes", r.bytes);
        row.set("token_bytes", r.token_bytes);
        ValueList by_context;
        for (const std::int64_t c : p.contexts) {
            ValueMap at = rates_json(plan::rates(s, r, p.cache, p.machine, c, o.streams));
            const plan::Holding h = plan::holding(s, r, p.cache, p.machine, c, o.streams);
            at.set("context", c);
            at.set("bytes", h.bytes);
            at.set("machines", h.machines);
            by_context.emplace_back(std::move(at));
        }
        row.set("contexts", std::move(by_context));
        weights.emplace_back(std::move(row));
    }
    map.set("weights", std::move(weights));
    ValueList caches;
    for (const std::int64_t c : p.contexts) {
        ValueMap row;
        row.set("context", c);
        for (const auto type : {plan::CacheType::f32, plan::CacheType::f16, plan::CacheType::q8_0})
            row.set(std::string(plan::cache_name(type)), plan::cache_bytes(s, type, c));
        caches.emplace_back(std::move(row));
    }
    map.set("cache_bytes", std::move(caches));
    if (p.cost) {
        ValueMap month;
        month.set("tokens_per_day", o.tokens_per_day);
        month.set("output_share", o.output_share);
        month.set("machines", p.cost->machines);
        month.set("busy", p.cost->busy);
        month.set("own", p.cost->own);
        month.set("hosted", p.cost->hosted);
        month.set("even_tokens_per_day", p.cost->even_tokens_per_day);
        map.set("month", std::move(month));
    }
    ValueMap assumed;
    assumed.set("decode_share_of_bandwidth", plan::kDecodeShare);
    assumed.set("prefill_share_of_arithmetic", plan::kPrefillShare);
    assumed.set("usable_memory", plan::kUsableMemory);
    assumed.set("hours_per_month", plan::kHoursPerMonth);
    assumed.set("days_per_month", plan::kDaysPerMonth);
    map.set("assumed", std::move(assumed));
    out(to_json(Value(std::move(map)), 2) + "\n");
}

int print_list(bool json) {
    Table table(
        {{"NAME"}, {"PARAMETERS", true}, {"ACTIVE", true}, {"CONTEXT", true}, {"NUMBERS"}, {"ALSO", false, true}});
    ValueList list;
    for (const plan::KnownConfig& k : plan::known_configs()) {
        const plan::ModelShape s = plan::shape_of_config(k.config, k.name);
        std::string aliases;
        for (const std::string& alias : k.aliases) aliases += (aliases.empty() ? "" : ", ") + alias;
        table.add({k.name, human_count(s.total()), human_count(s.active()),
                   with_thousands(static_cast<std::uint64_t>(s.context)), k.verified ? "read" : "unverified", aliases});
        ValueMap entry;
        entry.set("name", k.name);
        entry.set("aliases", k.aliases);
        entry.set("parameters", s.total());
        entry.set("active_parameters", s.active());
        entry.set("context", s.context);
        entry.set("verified", k.verified);
        entry.set("source", k.source);
        list.emplace_back(std::move(entry));
    }
    out(json ? to_json(Value(std::move(list)), 2) + "\n" : table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

}  // namespace

Action setup_plan(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option(
           "MODEL", o->model,
           "A folder with config.json (weights need not be there), a config.json, a GGUF file, a stored name, or "
           "a name of --list")
        ->type_name("MODEL");
    app.add_flag("--list", o->list, "List the models whose configurations are known by name");
    app.add_option("-c,--context", o->contexts, "Contexts to plan for (default: 4096, 32768 and the model's own)")
        ->type_name("N");
    app.add_option("-t,--type", o->type, "Type of the weights for machines and cost (default: q4_k_m)")
        ->type_name("TYPE");
    app.add_option("--kv", o->cache, "Type of keys and values: f32, f16 or q8_0 (default: f16)")->type_name("TYPE");
    app.add_option("--streams", o->streams, "Sequences that are answered at once (default: 1)")->type_name("N");
    app.add_option("--bandwidth", o->bandwidth,
                   "Read bandwidth of the machine, in GB/s (default: this one's, measured)")
        ->type_name("X");
    app.add_option("--peak", o->peak, "Its arithmetic, in Gop/s (default: this one's, measured)")->type_name("X");
    app.add_option("--memory", o->memory_gb, "Its memory, in GB (default: this one's)")->type_name("X");
    app.add_flag("--measure", o->measure, "Measure this machine anew");
    app.add_option("--threads", o->threads, "Threads to measure with")->type_name("N");
    app.add_option("--price-per-hour", o->price, "Price of one machine for an hour")->type_name("X");
    app.add_option("--tokens-per-day", o->tokens_per_day, "Tokens read and written in a day")->type_name("N");
    app.add_option("--output-share", o->output_share, "Share of them that the model writes (default: 0.25)")
        ->type_name("X");
    app.add_option("--hosted-price-in", o->hosted_in, "What a hosted one asks for a million tokens read")
        ->type_name("X");
    app.add_option("--hosted-price-out", o->hosted_out, "What it asks for a million tokens written")->type_name("X");
    add_json_flag(app, o->json);
    app.footer(
        "Prices are in whatever currency they are given in.\n\n"
        "Examples\n"
        "  freehold plan deepseek-v3 --memory 512 --context 32768\n"
        "  freehold plan ./Llama-3.1-405B --type q8_0 --bandwidth 300 --peak 20000 --memory 768\n"
        "  freehold plan llama3.1:70b --price-per-hour 2.5 --tokens-per-day 5000000 --hosted-price-in 0.6 "
        "--hosted-price-out 0.8");
    return [o] {
        if (o->list) return print_list(o->json);
        if (o->model.empty()) throw Error(ErrorKind::usage, "Which model?", "Name one, or see `freehold plan --list`.");
        const Planned p = make_plan(*o);
        o->json ? print_json(p, *o) : print_facts(p, *o);
        return 0;
    };
}

}  // namespace freehold::cli
