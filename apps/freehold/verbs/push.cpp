// freehold push: a stored model into an OCI registry, and documents that go with it.
#include <fmt/format.h>

#include <filesystem>

#include "../advisory_flow.h"
#include "../console.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/store/push.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

constexpr std::uint64_t kMostAttached = 64ULL << 20;

struct Options {
    std::string model, to;
    std::vector<std::string> attach, mount_from;
    bool plain_http = false, json = false, quiet = false;
    int attempts = 5, chunk = 16;
};

// FILE or FILE=MEDIA/TYPE.
Attachment read_attachment(const std::string& text) {
    const auto equals = text.rfind('=');
    const bool typed = equals != std::string::npos && text.find('/', equals) != std::string::npos;
    const std::filesystem::path path = typed ? text.substr(0, equals) : text;
    Attachment out;
    out.name = path.filename().string();
    out.media_type = typed ? text.substr(equals + 1) : attachment_type(out.name);
    out.text = read_text(path, kMostAttached);
    return out;
}

ValueMap result_json(const PushResult& result) {
    ValueMap map;
    map.set("reference", result.reference);
    map.set("digest", result.digest);
    map.set("was_present", result.was_present);
    map.set("bytes_sent", result.bytes_sent);
    map.set("bytes_present", result.bytes_present);
    map.set("bytes_mounted", result.bytes_mounted);
    map.set("bytes_resumed", result.bytes_resumed);
    map.set("attached", result.attached);
    map.set("seconds", result.seconds);
    return map;
}

std::string result_text(const PushResult& result) {
    std::string text = result.was_present ? fmt::format("{} has this version already.\n", result.reference)
                                          : fmt::format("{} is there: {} sent in {}", result.reference,
                                                        human_bytes(result.bytes_sent), human_seconds(result.seconds));
    if (!result.was_present) {
        if (result.bytes_resumed > 0)
            text += fmt::format(", {} had been sent before", human_bytes(result.bytes_resumed));
        if (result.bytes_present > 0) text += fmt::format(", {} were there", human_bytes(result.bytes_present));
        if (result.bytes_mounted > 0)
            text += fmt::format(", {} taken from a neighbour", human_bytes(result.bytes_mounted));
        text += ".\n";
    }
    if (!result.attached.empty()) text += fmt::format("Attached to it: {}.\n", result.attached.size());
    return text + fmt::format("Its digest there: {}\n", result.digest);
}

int push_verb(const Options& o) {
    const Store store = Store::open();
    const InterruptGuard guard;
    ProgressBar bar(o.quiet || o.json);
    PushOptions options;
    options.plain_http = o.plain_http;
    options.attempts = o.attempts;
    options.chunk = static_cast<std::uint64_t>(o.chunk) << 20;
    options.mount_from = o.mount_from;
    options.progress = bar.callback();
    options.notice = [&](const std::string& sentence) {
        bar.clear();
        if (!o.quiet) notice(sentence);
    };
    for (const std::string& text : o.attach) options.attachments.push_back(read_attachment(text));
    const auto located = locate_model(store, o.model);
    if (!located.stored)
        throw Error(ErrorKind::usage, fmt::format("{} is a path; models of the store are pushed.", o.model),
                    fmt::format("Take it in first: freehold pull {} --link", o.model));
    heed_advisories(store, located, o.model);
    const PushResult result = push(store, *located.stored, o.to, options);
    bar.clear();
    if (o.json)
        out(to_json(Value(result_json(result)), 2) + "\n");
    else if (!o.quiet)
        out(result_text(result));
    return 0;
}

}  // namespace

Action setup_push(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model, "A model of the store")->required()->type_name("MODEL");
    app.add_option("TO", o->to, "oci:HOST[:PORT]/NAME[:TAG]")->required()->type_name("TO");
    app.add_option("--attach", o->attach,
                   "A document that refers to this version: a signature, a report; FILE or FILE=MEDIA/TYPE")
        ->allow_extra_args(false)
        ->type_name("FILE");
    app.add_option("--mount-from", o->mount_from, "Another repository of that registry that has some of it")
        ->allow_extra_args(false)
        ->type_name("NAME");
    app.add_option("--chunk", o->chunk, "Megabytes sent at once (default 16); a push that is killed loses one at most")
        ->type_name("MB")
        ->check(CLI::Range(1, 1024));
    app.add_flag("--plain-http", o->plain_http, "Speak without TLS to a registry on another machine");
    app.add_option("--attempts", o->attempts, "Tries for each part (default 5)")
        ->type_name("N")
        ->check(CLI::Range(1, 100));
    app.add_flag("-q,--quiet", o->quiet, "Say nothing unless something is wrong");
    add_json_flag(app, o->json);
    app.footer(
        "What the registry has is not sent again, and a push that was stopped goes on where it was. Passwords come "
        "from\n"
        "registries.json under FREEHOLD_HOME, or from the file that docker, podman or oras keep them in\n"
        "(docs/registries.md). Paths of this machine are not sent.\n\n"
        "Examples\n"
        "  freehold push notes:v2 oci:registry.example.org/team/notes:v2\n"
        "  freehold push notes:v2 oci:localhost:5000/team/notes:v2 --attach model.sig --attach bom.cdx.json");
    return [o] { return push_verb(*o); };
}

}  // namespace freehold::cli
