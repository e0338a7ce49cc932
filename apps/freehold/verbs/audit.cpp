// freehold audit: reads the record of who asked what of which weights; it never writes to it.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../session.h"
#include "freehold/access/json.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
    std::string folder, public_key, checkpoints, id, to, replica, since, tenant;
    std::size_t count = 20;
    bool json = false;
};

fs::path folder_of(const Options& o) {
    return o.folder.empty() ? access::audit_folder(default_home()) : fs::path(o.folder);
}

int verify(const Options& o) {
    const fs::path folder = folder_of(o);
    std::error_code ec;
    if (o.public_key.empty() && !fs::exists(folder / "signing.pub.pem", ec)) {
        throw Error(ErrorKind::not_found, fmt::format("There is no audit log in {}.", folder.string()),
                    "`freehold serve` begins one with its first start; --folder names another place.");
    }
    const auto reports = access::verify_audit(folder, {o.public_key, o.checkpoints});
    const access::TextReport texts = access::verify_texts(folder);
    const bool good =
        texts.faults.empty() && std::ranges::all_of(reports, [](const auto& report) { return report.faults.empty(); });
    if (o.json) {
        out(to_json(Value(access::audit_state_json(reports, texts)), 2) + "\n");
        return good ? 0 : exit_code(ErrorKind::bad_file);
    }
    if (reports.empty()) notice("The log has no entries yet.");
    for (const access::ChainReport& report : reports) {
        Facts facts;
        facts.heading(report.replica);
        facts.add("chain", report.chain);
        facts.add("entries", fmt::format("{} ({} to {})", with_thousands(report.entries), report.first, report.last));
        facts.add("signed", report.signed_up_to
                                ? fmt::format("up to entry {}, {} heads", *report.signed_up_to, report.checkpoints)
                                : "not yet");
        facts.add("state", report.faults.empty() ? styled("whole", Style::green) : styled("broken", Style::red));
        for (const std::string& note : report.notes) facts.add("note", note);
        for (const access::AuditFault& fault : report.faults) {
            facts.add(fault.kind, fmt::format("{} [{}{}]", fault.message, fault.file,
                                              fault.line > 0 ? fmt::format(" line {}", fault.line) : ""));
        }
        out(facts.str(stdout_is_terminal() ? terminal_width() : 0));
    }
    if (texts.files > 0 || !texts.faults.empty()) {
        Facts facts;
        facts.heading("texts");
        facts.add("kept", fmt::format("{} in {} files", with_thousands(texts.texts), with_thousands(texts.files)));
        facts.add("state", texts.faults.empty() ? styled("whole", Style::green) : styled("broken", Style::red));
        for (const access::AuditFault& fault : texts.faults)
            facts.add(fault.kind, fmt::format("{} [{}{}]", fault.message, fault.file,
                                              fault.line > 0 ? fmt::format(" line {}", fault.line) : ""));
        out(facts.str(stdout_is_terminal() ? terminal_width() : 0));
    }
    if (o.checkpoints.empty() && good && !reports.empty()) {
        notice(
            "Held against the signed heads beside the log. Who can write there can cut both: --checkpoints and "
            "--public-key hold it against copies from elsewhere.");
    }
    return good ? 0 : exit_code(ErrorKind::bad_file);
}

// From an entry to the weights that answered, and on to what they were made of.
ValueMap lineage(const Store& store, const std::string& digest, int depth) {
    ValueMap map;
    map.set("digest", digest);
    try {
        const StoredModel model = store.get_by_digest(digest);
        map.set("source", model.record.source);
        map.set("revision", model.record.source_revision);
        map.set("created", model.record.created);
        map.set("quantisation", model.record.quantisation);
        map.set("licence", model.record.licence.id);
        ValueList files, parents;
        for (const StoredFile& file : model.files)
            files.emplace_back(ValueMap{{"path", file.path}, {"digest", file.digest}});
        for (const std::string& parent : model.record.parents) {
            if (depth < 8) parents.emplace_back(lineage(store, parent, depth + 1));
        }
        map.set("files", std::move(files));
        map.set("parents", std::move(parents));
    } catch (const Error& fault) {
        map.set("missing", fault.message());
    }
    return map;
}

void print_lineage(Facts& facts, const ValueMap& map, const std::string& name) {
    const auto text = [&](const char* key) {
        const Value* value = map.find(key);
        return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
    };
    facts.heading(name);
    facts.add("manifest", text("digest"));
    for (const char* key : {"source", "revision", "created", "quantisation", "licence", "missing"}) {
        if (!text(key).empty()) facts.add(key, text(key));
    }
    if (const Value* files = map.find("files")) {
        for (std::size_t i = 0; i < files->size(); ++i) {
            const Value file = files->at(i);
            facts.add("file", fmt::format("{} {}", *find(*file.get<ValueMap>(), "path")->as_string(),
                                          *find(*file.get<ValueMap>(), "digest")->as_string()));
        }
    }
    if (const Value* parents = map.find("parents")) {
        for (std::size_t i = 0; i < parents->size(); ++i) {
            const Value parent = parents->at(i);
            print_lineage(facts, *parent.get<ValueMap>(), "Made from");
        }
    }
}

// A text of a stranger, line by line, with nothing in it that a terminal obeys.
void add_lines(Facts& facts, std::string_view text) {
    for (const char* name = "text";; name = "") {
        const std::size_t end = text.find('\n');
        facts.add(name, printable(text.substr(0, end), 1U << 20U));
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

int show(const Options& o) {
    const auto record = access::find_audit_entry(folder_of(o), o.id);
    if (!record) {
        throw Error(ErrorKind::not_found, fmt::format("There is no entry of \"{}\".", o.id),
                    "Give the id of a response (chatcmpl-...), of a request (the header X-Request-Id), or the number "
                    "of an entry.");
    }
    const Store store = Store::open();
    ValueMap map = access::audit_json(*record);
    // Who may open the keys of the texts may read them: they are files of this machine's owner.
    const access::EntryTexts texts = access::find_texts(folder_of(o), *record);
    std::vector<std::pair<std::string, ValueMap>> made;
    if (record->weights.starts_with("sha256:")) made.emplace_back("Weights", lineage(store, record->weights, 0));
    if (record->adapter.starts_with("sha256:")) made.emplace_back("Adapter", lineage(store, record->adapter, 0));
    if (o.json) {
        for (auto& [name, part] : made) map.set(name == "Weights" ? "weights_lineage" : "adapter_lineage", part);
        map.set("texts", access::texts_json(texts));
        out(to_json(Value(std::move(map)), 2) + "\n");
        return 0;
    }
    Facts facts;
    facts.heading("Entry");
    for (const auto& [key, value] : map) {
        facts.add(key, value.as_string() ? std::string(*value.as_string()) : to_json(value));
    }
    for (const auto& [name, part] : made) print_lineage(facts, part, name);
    for (const auto& [name, kept] : {std::pair{"Prompt", &texts.prompt}, std::pair{"Answer", &texts.answer}}) {
        if (kept->state == access::KeptText::State::gone) continue;
        facts.heading(name);
        switch (kept->state) {
            case access::KeptText::State::altered:
                facts.add("text", styled("is not the one that was recorded", Style::red));
                break;
            case access::KeptText::State::unbound:
                facts.add("note", "The entry has no digest of it: it was written when nobody waited any more.");
                [[fallthrough]];
            default:
                add_lines(facts, kept->text);
        }
    }
    out(facts.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

int export_log(const Options& o) {
    const fs::path folder = folder_of(o);
    std::optional<AtomicFile> file;
    if (!o.to.empty()) file.emplace(o.to);
    const std::string since = o.since.empty() ? "" : access::time_text(access::parse_time(o.since));
    std::uint64_t count = 0;
    for (const std::string& replica : access::audit_replicas(folder)) {
        if (!o.replica.empty() && replica != o.replica) continue;
        for (const access::AuditSegment& segment : access::audit_segments(folder, replica)) {
            access::read_audit_lines(segment.file, [&](std::string_view line, std::uint64_t number, bool whole) {
                if (!whole) return;
                const auto record =
                    access::parse_audit_line(line, fmt::format("{} line {}", segment.file.string(), number));
                if (record.time < since || (!o.tenant.empty() && record.tenant != o.tenant)) return;
                // The bytes as they stand: their hashes still hold.
                const std::string text = std::string(line) + "\n";
                if (file) {
                    file->write(text);
                } else {
                    out(text);
                }
                ++count;
            });
        }
    }
    if (file) {
        file->commit();
        notice(fmt::format("{} entries are in {}.", with_thousands(count), o.to));
    }
    return 0;
}

int tail(const Options& o) {
    const fs::path folder = folder_of(o);
    Table table({{"NO", true},
                 {"TIME"},
                 {"WHO"},
                 {"WHAT"},
                 {"MODEL", false, true},
                 {"TOKENS", true, true},
                 {"OUTCOME"},
                 {"WEIGHTS", false, true}});
    for (const std::string& replica : access::audit_replicas(folder)) {
        if (replica != (o.replica.empty() ? "main" : o.replica)) continue;
        auto records = access::audit_tail(folder, replica, o.count, 0, o.tenant);
        std::ranges::reverse(records);
        for (const access::AuditRecord& record : records) {
            if (o.json) {
                out(to_json(Value(access::audit_json(record))) + "\n");
                continue;
            }
            const auto tokens = record.prompt_tokens + record.completion_tokens;
            table.add({std::to_string(record.seq), record.time.substr(0, 19),
                       record.name.empty() ? record.by : record.name,
                       record.kind == "request" ? record.route : record.kind, record.model,
                       tokens > 0 ? with_thousands(static_cast<std::uint64_t>(tokens)) : "",
                       record.status > 0 ? fmt::format("{} {}", record.outcome, record.status) : record.outcome,
                       record.weights.substr(0, 19)});
        }
    }
    if (!o.json) out(table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

}  // namespace

Action setup_audit(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.require_subcommand(1);
    CLI::App* check = app.add_subcommand("verify", "Hold the log against its hashes and signed heads");
    check->add_option("--public-key", o->public_key, "The public key as it was kept elsewhere (PEM)")
        ->type_name("FILE");
    check->add_option("--checkpoints", o->checkpoints, "Folder of signed heads as they were exported")
        ->type_name("FOLDER");
    CLI::App* one = app.add_subcommand("show", "One entry, its weights and what they were made of");
    one->add_option("ID", o->id, "Id of a response or request, or REPLICA/NUMBER")->required()->type_name("ID");
    CLI::App* copy = app.add_subcommand("export", "Write the entries as JSON lines, byte for byte");
    copy->add_option("-o,--output", o->to, "File (default: standard output)")->type_name("FILE");
    copy->add_option("--since", o->since, "Only entries from this time on")->type_name("TIME");
    CLI::App* last = app.add_subcommand("tail", "The newest entries");
    last->add_option("-n,--count", o->count, "How many (default 20)")->type_name("N")->check(CLI::Range(1, 100000));
    const char* const examples =
        "Examples\n  freehold audit verify\n  freehold audit verify --checkpoints /mnt/worm --public-key "
        "signing.pub.pem\n  freehold audit show chatcmpl-Ab3dE9xK\n  freehold audit export --since 2026-11-01 -o "
        "november.jsonl\n  freehold audit tail -n 50";
    app.footer(examples);
    for (CLI::App* sub : {check, one, copy, last}) {
        sub->footer(examples);
        sub->add_option("--folder", o->folder, "The log (default: audit/ under FREEHOLD_HOME)")->type_name("FOLDER");
        if (sub != copy) add_json_flag(*sub, o->json);
    }
    for (CLI::App* sub : {copy, last}) {
        sub->add_option("--replica", o->replica, "Only this one's chain")->type_name("NAME");
        sub->add_option("--tenant", o->tenant, "Only this tenant's entries")->type_name("T");
    }
    return [o, check, one, copy] {
        if (check->parsed()) return verify(*o);
        if (one->parsed()) return show(*o);
        return copy->parsed() ? export_log(*o) : tail(*o);
    };
}

}  // namespace freehold::cli
