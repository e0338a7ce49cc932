// freehold convert: a Hugging Face folder as a GGUF file, or a GGUF file as a folder, that compute the same.
#include "freehold/convert/convert.h"

#include <fmt/format.h>

#include <chrono>

#include "../advisory_flow.h"
#include "../console.h"
#include "../interrupt.h"
#include "../machine.h"
#include "../progress_bar.h"
#include "../session.h"
#include "../source_digests.h"
#include "freehold/base/error.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
    std::string from, to, type, name;
    bool force = false, yes = false, no_tokenizer = false, json = false;
};

ConvertOptions options_of(const Options& o) {
    ConvertOptions options;
    options.tokenizer = !o.no_tokenizer;
    options.name = o.name;
    if (o.type.empty()) return options;
    for (const auto& [name, type] :
         {std::pair{"f32", DType::F32}, std::pair{"f16", DType::F16}, std::pair{"bf16", DType::BF16}}) {
        if (o.type == name) options.type = type;
    }
    if (options.type == DType::None)
        throw Error(ErrorKind::usage, fmt::format("There is no type \"{}\" to convert to.", o.type),
                    "Choose f32, f16 or bf16; fewer bits are made by `freehold quantize`.");
    return options;
}

void check_place(const Options& o, bool to_gguf, std::uint64_t bytes) {
    std::error_code ignored;
    const fs::path to = o.to;
    if (to_gguf && fs::is_directory(to, ignored))
        throw Error(ErrorKind::usage, fmt::format("{} is a folder.", o.to), "Name the GGUF file to write in it.");
    if (fs::exists(to, ignored) && (!o.force || !to_gguf))
        throw Error(
            ErrorKind::conflict, fmt::format("{} exists already.", o.to),
            to_gguf ? "Choose another name, or replace it with --force." : "Name a folder that does not exist.");
    const std::uint64_t room = free_disk(fs::absolute(to));
    if (room < bytes)
        throw Error(ErrorKind::io, fmt::format("{} needs about {}, and its disk has {} free.", o.to, human_bytes(bytes),
                                               human_bytes(room)));
}

int convert_verb(const Options& o) {
    ConvertOptions options = options_of(o);
    const Store store = Store::open();
    const LocatedModel located = find_or_pull(store, o.from, o.yes);
    heed_advisories(store, located, o.from);
    const auto model = ModelFiles::open(located.path);
    const bool to_gguf = model->container() == Container::hf;
    if (to_gguf != (fs::path(o.to).extension() == ".gguf"))
        throw Error(ErrorKind::usage,
                    fmt::format("{} is a {}, so that {} would be a {}.", o.from, container_name(model->container()),
                                o.to, to_gguf ? "GGUF file" : "folder"),
                    to_gguf ? "Give it a name that ends in .gguf." : "Give it a name without .gguf.");
    std::uint64_t bytes = 0;
    for (const TensorEntry& e : model->entries()) bytes += e.nbytes;
    check_place(o, to_gguf, bytes);
    const InterruptGuard guard;
    ProgressBar bar(o.json && !stderr_is_terminal());
    const auto begin = std::chrono::steady_clock::now();
    options.source = digests_of_source(store, located, *model, bar.callback());
    const ConvertReport report = to_gguf ? convert_to_gguf(model, o.to, options, bar.callback())
                                         : convert_to_folder(model, o.to, options, bar.callback());
    bar.clear();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (o.json) {
        ValueMap map;
        map.set("from", o.from);
        map.set("to", o.to);
        map.set("container", to_gguf ? "gguf" : "hf");
        map.set("family", report.family);
        map.set("tensors", report.tensors);
        map.set("bytes", report.bytes);
        map.set("tokenizer", report.tokenizer);
        map.set("remarks", report.remarks);
        map.set("seconds", seconds);
        out(to_json(Value(std::move(map)), 2) + "\n");
        return 0;
    }
    out(fmt::format("{} is written: {}, family {}, {} tensors, in {}.\n", o.to, human_bytes(report.bytes),
                    report.family, report.tensors, human_seconds(seconds)));
    if (!report.tokenizer.empty()) out(fmt::format("Tokenizer: {}.\n", report.tokenizer));
    for (const std::string& remark : report.remarks) notice(remark);
    return 0;
}

}  // namespace

Action setup_convert(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FROM", o->from,
                   "A Hugging Face folder (safetensors or torch files), or a GGUF file, or a stored name")
        ->required()
        ->type_name("MODEL");
    app.add_option("TO", o->to, "The file NAME.gguf, or the folder, to write")->required()->type_name("OUT");
    app.add_option("-t,--type", o->type, "Of the matrices: f32, f16 or bf16 (default: as they are, if TO can hold it)")
        ->type_name("TYPE");
    app.add_option("--name", o->name, "Name of the model in a GGUF file")->type_name("NAME");
    app.add_flag("--no-tokenizer", o->no_tokenizer, "Leave tokenizer and template out");
    app.add_flag("-f,--force", o->force, "Replace a GGUF file that exists");
    app.add_flag("-y,--yes", o->yes, "Fetch a missing model without asking");
    add_json_flag(app, o->json);
    app.footer(
        "What is written is read again and held against the source before it takes its place: the same shape, "
        "switches\n"
        "and tokens, or a sentence that says what has no place in the other container. Without --type the numbers are "
        "the\n"
        "same too; blocks of a GGUF file become F32 in a folder.\n\n"
        "Examples\n"
        "  freehold convert ./SmolLM2-135M-Instruct smollm2-bf16.gguf\n"
        "  freehold convert model-q8_0.gguf ./model-folder --type bf16");
    return [o] { return convert_verb(*o); };
}

}  // namespace freehold::cli
