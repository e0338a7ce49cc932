// freehold quantize: a model as a GGUF file of fewer bits, which any program that reads GGUF can load.
#include "freehold/formats/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "../advisory_flow.h"
#include "../console.h"
#include "../interrupt.h"
#include "../machine.h"
#include "../progress_bar.h"
#include "../session.h"
#include "../source_digests.h"
#include "freehold/convert/convert.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model, out, type = "q4_k_m";
    int threads = 0;
    bool force = false, dry_run = false, yes = false, json = false;
};

struct Share {
    std::uint64_t tensors = 0, bytes = 0, weights = 0;
};

// What the file will hold, by type, the largest part first.
std::vector<std::pair<std::string, Share>> shares(const QuantPlan& plan) {
    std::map<std::string, Share> by_type;
    for (const QuantPlanEntry& entry : plan.entries) {
        Share& share = by_type[std::string(dtype_name(entry.to))];
        ++share.tensors;
        share.bytes += entry.bytes_to;
        share.weights += static_cast<std::uint64_t>(entry.shape.numel());
    }
    std::vector<std::pair<std::string, Share>> list(by_type.begin(), by_type.end());
    std::ranges::stable_sort(list, [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
    return list;
}

double bits_a_weight(const QuantPlan& plan) {
    return plan.n_weights == 0 ? 0
                               : 8.0 * static_cast<double>(plan.tensor_bytes_to) / static_cast<double>(plan.n_weights);
}

void announce(const QuantPlan& plan, const Options& o) {
    std::string parts;
    for (const auto& [type, share] : shares(plan))
        parts += fmt::format("{}{} {} ({} tensor{})", parts.empty() ? "" : ", ", type, human_bytes(share.bytes),
                             share.tensors, share.tensors == 1 ? "" : "s");
    notice(fmt::format("{} will be {} as {} ({:.2f} bits a weight; the tensors of {} take {}): {}.", o.out,
                       human_bytes(plan.file_bytes), plan.mix.name, bits_a_weight(plan), o.model,
                       human_bytes(plan.tensor_bytes_from), parts));
    const auto fell = std::ranges::count_if(plan.entries, [](const QuantPlanEntry& e) { return e.fell_back; });
    if (fell > 0)
        notice(fmt::format(
            "{} tensor{} with rows that are no multiple of the blocks of {} take the next larger type that fits.", fell,
            fell == 1 ? "" : "s", plan.mix.name));
    if (plan.requantises)
        notice(
            "This model is quantised already; what that lost stays lost, and some more goes. The original in F16 or "
            "BF16 gives a better file.");
}

ValueMap plan_json(const QuantPlan& plan, const Options& o) {
    ValueMap map;
    map.set("model", o.model);
    map.set("out", o.out);
    map.set("type", std::string(plan.mix.name));
    map.set("file_bytes", plan.file_bytes);
    map.set("weights", plan.n_weights);
    map.set("bits_per_weight", bits_a_weight(plan));
    map.set("requantised", plan.requantises);
    ValueList types;
    for (const auto& [type, share] : shares(plan)) {
        ValueMap entry;
        entry.set("type", type);
        entry.set("tensors", share.tensors);
        entry.set("weights", share.weights);
        entry.set("bytes", share.bytes);
        types.emplace_back(std::move(entry));
    }
    map.set("types", std::move(types));
    return map;
}

void check_place(const Options& o, std::uint64_t bytes) {
    const std::filesystem::path out_path = o.out;
    std::error_code ignored;
    if (std::filesystem::is_directory(out_path, ignored))
        throw Error(ErrorKind::usage, fmt::format("{} is a folder.", o.out), "Name the file to write in it.");
    if (!o.force && std::filesystem::exists(out_path, ignored))
        throw Error(ErrorKind::conflict, fmt::format("{} exists already.", o.out),
                    "Choose another name, or replace it with --force.");
    const std::uint64_t room = free_disk(std::filesystem::absolute(out_path));
    if (room < bytes)
        throw Error(ErrorKind::io, fmt::format("{} needs {}, and its disk has {} free.", o.out, human_bytes(bytes),
                                               human_bytes(room)));
}

// A folder is turned into a GGUF file first, beside OUT, which is removed again.
class Intermediate {
 public:
    std::shared_ptr<const ModelFiles> make(std::shared_ptr<const ModelFiles> folder, const Options& o) {
        path_ = std::filesystem::absolute(o.out + ".converting.gguf");
        std::uint64_t bytes = 0;
        for (const TensorEntry& e : folder->entries()) bytes += e.nbytes;
        if (free_disk(path_) < bytes)
            throw Error(ErrorKind::io,
                        fmt::format("Turning {} into a GGUF file first needs {}, and the disk of {} has {} free.",
                                    o.model, human_bytes(bytes), o.out, human_bytes(free_disk(path_))));
        const InterruptGuard guard;
        ProgressBar bar(o.json && !stderr_is_terminal());
        static_cast<void>(convert_to_gguf(std::move(folder), path_, {}, bar.callback()));
        bar.clear();
        return ModelFiles::open(path_);
    }
    Intermediate() = default;
    ~Intermediate() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove(path_, ignored);
    }
    Intermediate(const Intermediate&) = delete;
    Intermediate& operator=(const Intermediate&) = delete;

 private:
    std::filesystem::path path_;
};

std::string source_of(const Store& store, const LocatedModel& located, const ModelFiles& source, const Options& o) {
    const InterruptGuard guard;
    ProgressBar bar(o.json && !stderr_is_terminal());
    std::string digests = digests_of_source(store, located, source, bar.callback());
    bar.clear();
    return digests;
}

int quantize_verb(const Options& o) {
    const QuantMix& mix = quant_mix(o.type);
    if (!o.dry_run) check_place(o, 0);  // before a model is fetched
    const Store store = Store::open();
    const LocatedModel located = find_or_pull(store, o.model, o.yes);
    heed_advisories(store, located, o.model);
    const auto source = ModelFiles::open(located.path);
    Intermediate intermediate;
    const auto model = source->container() == Container::hf ? intermediate.make(source, o) : source;
    const QuantPlan plan = plan_quantise(model, mix, source_of(store, located, *source, o));
    if (!o.json) announce(plan, o);
    ValueMap map = plan_json(plan, o);
    if (!o.dry_run) {
        check_place(o, plan.file_bytes);
        const InterruptGuard guard;
        ThreadPool pool(wanted_threads(o.threads));
        ProgressBar bar(o.json && !stderr_is_terminal());
        const auto begin = std::chrono::steady_clock::now();
        write_quantised(plan, o.out, pool, bar.callback());
        bar.clear();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        map.set("seconds", seconds);
        if (!o.json)
            out(fmt::format("{} is written: {} in {}.\n", o.out, human_bytes(plan.file_bytes), human_seconds(seconds)));
    }
    if (o.json) out(to_json(Value(std::move(map)), 2) + "\n");
    return 0;
}

std::string type_list() {
    std::string text = "Types\n";
    for (const QuantMix& mix : quant_mixes()) text += fmt::format("  {:<8} {}\n", mix.name, mix.what);
    return text;
}

}  // namespace

Action setup_quantize(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model, "A stored name, a GGUF file or a Hugging Face folder, best in F16, BF16 or F32")
        ->required()
        ->type_name("MODEL");
    app.add_option("OUT", o->out, "The GGUF file to write")->required()->type_name("OUT");
    app.add_option("-t,--type", o->type, "What to make of it (default: q4_k_m); the types are listed below")
        ->type_name("TYPE");
    app.add_option("--threads", o->threads, "Threads (default: all that this process may use)")->type_name("N");
    app.add_flag("-n,--dry-run", o->dry_run, "Say what the file would be, and write nothing");
    app.add_flag("-f,--force", o->force, "Replace OUT if it exists");
    app.add_flag("-y,--yes", o->yes, "Fetch a missing model without asking");
    add_json_flag(app, o->json);
    app.footer(type_list() +
               "\nNorms and other small tensors keep their type. OUT appears when it is whole; its bytes do not depend "
               "on\nthe machine or the number of threads.\n\n"
               "Examples\n"
               "  freehold quantize model-f16.gguf model-q4_k_m.gguf\n"
               "  freehold quantize model-f16.gguf model-q8_0.gguf --type q8_0 --force");
    return [o] { return quantize_verb(*o); };
}

}  // namespace freehold::cli
