// freehold pack: a model with its documents and a signature, as a folder or a tar file that others can check.
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "../advisory_flow.h"
#include "../bundle_documents.h"
#include "../console.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/bundle/pack.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model, out, key, facts;
    bool json = false, force = false, dry_run = false, facts_form = false;
};

// What builds that can be repeated are told (reproducible-builds.org).
std::optional<std::int64_t> source_date() {
    const char* text = std::getenv("SOURCE_DATE_EPOCH");
    if (text == nullptr || *text == '\0') return std::nullopt;
    const std::string_view digits = text;
    std::int64_t seconds = -1;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (fault != std::errc() || end != digits.data() + digits.size() || seconds < 0 || seconds > 253402300799)
        throw Error(ErrorKind::usage, fmt::format("SOURCE_DATE_EPOCH is \"{}\", no number of seconds.", digits),
                    "Unset it, or set it to seconds since 1970.");
    return seconds;
}

bundle::PackSource find_source(const Store& store, const std::string& name) {
    const LocatedModel located = locate_model(store, name);
    heed_advisories(store, located, name);
    return located.stored ? bundle::source_of_model(store, *located.stored) : bundle::source_of_path(located.path);
}

ValueMap plan_json(const bundle::PackPlan& plan) {
    ValueList documents, gaps;
    for (const bundle::PackedDocument& d : plan.documents)
        documents.emplace_back(
            ValueMap{{"path", d.path}, {"role", d.role}, {"media_type", d.media_type}, {"bytes", d.size}});
    for (const bundle::Gap& gap : plan.gaps)
        gaps.emplace_back(ValueMap{{"document", gap.document}, {"what", gap.what}});
    return ValueMap{
        {"files", plan.files}, {"bytes", plan.bytes}, {"documents", std::move(documents)}, {"gaps", std::move(gaps)}};
}

void print_gaps(const bundle::PackPlan& plan) {
    if (plan.gaps.empty()) return;
    Facts facts;
    facts.heading("Not known, and marked as a gap");
    std::string document, all;
    const auto flush = [&] {
        if (!all.empty()) facts.add(document, all);
        all.clear();
    };
    for (const bundle::Gap& gap : plan.gaps) {
        if (gap.document != document) flush();
        document = gap.document;
        all += (all.empty() ? "" : "\n") + gap.what;
    }
    flush();
    out(facts.str(stdout_is_terminal() ? terminal_width() : 0));
}

int pack_verb(const Options& o) {
    if (o.facts_form) {
        out(bundle::facts_form());
        return 0;
    }
    if (o.model.empty()) throw Error(ErrorKind::usage, "There is no model to pack.", "Name a stored model or a path.");
    if (o.out.empty())
        throw Error(ErrorKind::usage, "There is no place to write to.", "Name a new folder or a .tar file with -o.");
    const Store store = Store::open();
    bundle::PackOptions options;
    options.out = o.out;
    options.replace = o.force;
    options.store = &store;
    options.tool_version = FREEHOLD_VERSION;
    options.time = source_date();
    if (!o.key.empty()) options.key = bundle::PrivateKey::load(o.key);
    if (!o.facts.empty())
        options.facts = bundle::read_facts(read_text(o.facts, 16U << 20U), o.facts,
                                           std::filesystem::absolute(o.facts).parent_path());
    const bundle::PackSource source = find_source(store, o.model);
    options.more = bundle_documents(store, source);
    const InterruptGuard guard;
    ProgressBar bar(o.json && !stderr_is_terminal());
    options.progress = bar.callback();
    const bundle::Pack pack = bundle::Pack::prepare(source, options);
    bar.clear();
    if (!o.json)
        notice(fmt::format("{} will be {} files, {}{}.", o.out, pack.plan().files + (options.key ? 1 : 0),
                           human_bytes(pack.plan().bytes), options.key ? "" : "; without a signature (--key)"));
    ValueMap map = plan_json(pack.plan());
    map.set("out", o.out);
    if (!o.dry_run) {
        const bundle::PackResult result = pack.write(options);
        bar.clear();
        map.set("root", result.root);
        map.set("key", result.key_hint.empty() ? Value() : Value(result.key_hint));
        if (!o.json)
            out(fmt::format("{} is packed: {} files, {}, content sha256:{}.\n", o.out, pack.plan().files,
                            human_bytes(pack.plan().bytes), result.root));
    }
    if (o.json)
        out(to_json(Value(std::move(map)), 2) + "\n");
    else
        print_gaps(pack.plan());
    return 0;
}

}  // namespace

Action setup_pack(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model, "A stored name, a model's folder, or a model file")->type_name("MODEL");
    app.add_option("-o,--out", o->out, "The folder to make, or the file when it ends in .tar")->type_name("PATH");
    app.add_option("--key", o->key, "Sign with this private key (freehold signing-key makes one)")->type_name("FILE");
    app.add_option("--facts", o->facts, "What only people know: uses, limits, data, results (JSON)")->type_name("FILE");
    app.add_flag("--facts-form", o->facts_form, "Print an empty form of such a file");
    app.add_flag("-n,--dry-run", o->dry_run, "Say what it would be and what is missing, and write nothing");
    app.add_flag("-f,--force", o->force, "Replace a .tar file of that name");
    add_json_flag(app, o->json);
    app.footer(
        "Beside the model's own files: model card, data cards (Croissant), bills of materials (CycloneDX 1.6, SPDX\n"
        "3.0.1), lineage, recipe, licence review, and a summary of training content in the shape of the EU's "
        "template.\n"
        "What is not known is marked as a gap. The same input gives the same bytes, the signature aside; the time in "
        "the\n"
        "documents is SOURCE_DATE_EPOCH, else when the version came into the store.\n\n"
        "Examples\n"
        "  freehold signing-key team.key\n"
        "  freehold pack smollm2:135m -o ./smollm2-bundle --key team.key\n"
        "  freehold pack ./my-model -o my-model.tar --key team.key --facts facts.json\n"
        "  freehold pack --facts-form > facts.json");
    return [o] { return pack_verb(*o); };
}

}  // namespace freehold::cli
