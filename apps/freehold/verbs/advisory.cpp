// freehold advisory: to say that a model must not be used, and to heed what others say.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "../advisory_flow.h"
#include "../console.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/bundle/signature.h"
#include "freehold/store/push.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kHit = 1;

struct Options {
    std::string what, id, summary, details, severity = "high", action = "recall", key, output, name, reference;
    std::vector<std::string> parts, fixed, references;
    bool json = false, take_unsigned = false, withdraw = false, plain_http = false;
};

std::string now() {
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

void put(const Options& o, const std::string& text) {
    if (o.output.empty())
        out(text);
    else
        write_text_atomic(o.output, text);
}

// --- making one ---------------------------------------------------------------------------------------------------

std::string kind_of(const std::string& path, bool adapter) {
    const std::string leaf = path.substr(path.rfind('/') + 1);
    if (leaf.ends_with(".py")) return "code";
    if (leaf.ends_with(".gguf") || leaf.ends_with(".safetensors") || leaf.ends_with(".bin"))
        return adapter ? "adapter" : "weights";
    return leaf.find("token") != std::string::npos || leaf == "vocab.json" || leaf == "vocab.txt" ||
                   leaf == "merges.txt"
               ? "tokenizer"
               : "weights";
}

bool is_weights(const std::string& path) {
    return path.ends_with(".gguf") || path.ends_with(".safetensors") || path.ends_with(".bin");
}

bool is_wanted(const Options& o, const std::string& path) {
    return o.parts.empty() ? is_weights(path) : std::ranges::find(o.parts, path) != o.parts.end();
}

// Every manifest by which a version is known, and the files that are meant.
void add_stored(const Options& o, const StoredModel& model, advisory::Advisory& a) {
    if (o.parts.empty()) {
        std::vector<std::string> versions{model.digest};
        if (const Value* known = model.record.extra.find("versions"))
            for (std::size_t i = 0; i < known->size(); ++i)
                versions.emplace_back(known->at(i).as_string().value_or(""));
        for (const std::string& digest : versions) a.affected.push_back({"version", digest, 0, model.name.str()});
    }
    for (const StoredFile& file : model.files) {
        if (!is_wanted(o, file.path)) continue;
        a.affected.push_back({kind_of(file.path, is_adapter(model.record)), file.digest, file.size, file.path});
    }
}

void add_path(const Options& o, const fs::path& path, advisory::Advisory& a) {
    std::vector<std::pair<std::string, fs::path>> files;
    if (fs::is_directory(path)) {
        for (const auto& entry : fs::recursive_directory_iterator(path))
            if (entry.is_regular_file())
                files.emplace_back(entry.path().lexically_relative(path).string(), entry.path());
    } else {
        files.emplace_back(path.filename().string(), path);
    }
    std::ranges::sort(files);
    for (const auto& [name, at] : files) {
        if (files.size() > 1 && !is_wanted(o, name)) continue;
        a.affected.push_back({kind_of(name, fs::exists(path / "adapter_config.json")), "sha256:" + sha256_file(at),
                              fs::file_size(at), name});
    }
}

int create(const Options& o) {
    const Store store = Store::open();
    advisory::Advisory a;
    a.id = o.id;
    a.modified = a.published = now();
    a.summary = o.summary;
    a.details = o.details.starts_with('@') ? read_text(o.details.substr(1), advisory::kMaxText) : o.details;
    for (const auto s :
         {advisory::Severity::low, advisory::Severity::medium, advisory::Severity::high, advisory::Severity::critical})
        if (o.severity == advisory::severity_name(s)) a.severity = s;
    for (const auto action : {advisory::Action::note, advisory::Action::update, advisory::Action::recall})
        if (o.action == advisory::action_name(action)) a.action = action;
    if (o.withdraw) a.withdrawn = a.modified;
    for (const std::string& url : o.references) a.references.emplace_back("WEB", url);
    const LocatedModel located = locate_model(store, o.what);
    if (located.stored)
        add_stored(o, *located.stored, a);
    else
        add_path(o, located.path, a);
    if (a.affected.empty())
        throw Error(ErrorKind::not_found, fmt::format("{} has no such part.", o.what),
                    "freehold show MODEL lists its files; without --part its weights are meant.");
    for (const std::string& name : o.fixed) {
        const LocatedModel better = locate_model(store, name);
        a.fixed.push_back(better.stored ? better.stored->digest : "sha256:" + sha256_file(better.path));
    }
    put(o, advisory::write(a));
    return 0;
}

int sign(const Options& o) {
    const std::string text = read_text(o.what, advisory::kMaxText);
    static_cast<void>(advisory::parse(text, o.what));
    const bundle::PrivateKey key = bundle::PrivateKey::load(o.key);
    put(o, bundle::sign_envelope(key, advisory::kMediaType, text));
    return 0;
}

// --- keeping them -------------------------------------------------------------------------------------------------

struct Text {
    std::string what, text;
};

std::vector<Text> texts_of(const Store& store, const Options& o) {
    std::vector<Text> all;
    if (o.what.starts_with("oci:")) {
        RegistryOptions options;
        options.plain_http = o.plain_http;
        options.notice = [](const std::string& sentence) { notice(sentence); };
        for (RemoteAttachment& one : attachments_of(store, o.what, advisory::kMediaType, options))
            all.push_back({one.document.name, std::move(one.document.text)});
        return all;
    }
    const auto add = [&](const fs::path& path) {
        all.push_back({path.string(), read_text(path, bundle::kMaxEnvelope)});
    };
    if (!fs::is_directory(o.what)) {
        add(o.what);
        return all;
    }
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(o.what))
        if (entry.is_regular_file() && entry.path().extension() == ".json") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& path : files) add(path);
    return all;
}

const char* how_word(advisory::Imported::How how) {
    switch (how) {
        case advisory::Imported::How::added:
            return "added";
        case advisory::Imported::How::renewed:
            return "renewed";
        case advisory::Imported::How::present:
            return "here already";
        case advisory::Imported::How::older:
            break;
    }
    return "older than the one that is here";
}

int import(const Options& o) {
    const Store store = Store::open();
    const advisory::Register kept(store.home());
    const std::vector<Text> texts = texts_of(store, o);
    if (texts.empty())
        throw Error(ErrorKind::not_found, fmt::format("There is no advisory at {}.", o.what), "Check the place.");
    ValueList list;
    std::size_t refused = 0;
    std::optional<Error> fault;
    for (const Text& one : texts) {
        try {
            const advisory::Imported done = kept.import(one.text, one.what, o.take_unsigned);
            ValueMap map;
            map.set("id", done.kept.advisory.id);
            map.set("result", how_word(done.how));
            map.set("signer", done.kept.signer);
            map.set("trusted", done.kept.trusted);
            list.emplace_back(std::move(map));
            if (!o.json) out(fmt::format("{}: {} ({})\n", done.kept.advisory.id, how_word(done.how), done.kept.signer));
        } catch (const Error& e) {
            if (texts.size() == 1) throw;
            ++refused;
            fault = e;
            notice(fmt::format("{} {}", e.message(), e.hint()));
        }
    }
    if (o.json) out(to_json(Value(std::move(list)), 2) + "\n");
    if (!o.json) {
        for (const auto& [model, hit] : advisory::all_hits(store, kept.list()))
            notice(fmt::format("{}: {}", model.name.str(), advisory::sentence(hit)));
    }
    return fault ? exit_code(fault->kind()) : 0;
}

int list(const Options& o) {
    const advisory::Register kept(Store::open().home());
    std::vector<std::string> faults;
    const auto all = kept.list(&faults);
    if (o.json) {
        ValueList values;
        for (const advisory::Kept& one : all) {
            Value value = parse_json(advisory::write(one.advisory), one.advisory.id);
            ValueMap map = *value.get<ValueMap>();
            map.set("trusted", one.trusted);
            map.set("signer", one.signer);
            values.emplace_back(std::move(map));
        }
        out(to_json(Value(std::move(values)), 2) + "\n");
    } else {
        Table table(
            {{"ID"}, {"SEVERITY"}, {"ACTION"}, {"SIGNED BY"}, {"MODIFIED", false, true}, {"SUMMARY", false, true}});
        for (const advisory::Kept& one : all)
            table.add({one.advisory.id, advisory::severity_name(one.advisory.severity),
                       one.advisory.withdrawn.empty() ? advisory::action_name(one.advisory.action) : "withdrawn",
                       one.signer, age_of(one.advisory.modified), one.advisory.summary});
        if (table.empty())
            notice("There is no advisory on this machine.");
        else
            out(table.str(stdout_is_terminal() ? terminal_width() : 0));
    }
    for (const std::string& fault : faults) notice(fault);
    return 0;
}

int show(const Options& o) {
    for (const advisory::Kept& one : advisory::Register(Store::open().home()).list()) {
        if (one.advisory.id != o.what) continue;
        out(advisory::write(one.advisory));
        notice(one.trusted ? "Signed by " + one.signer + "." : "It is " + one.signer + ", so it only warns.");
        return 0;
    }
    throw Error(ErrorKind::not_found, fmt::format("There is no advisory {} here.", o.what),
                "freehold advisory list shows what there is.");
}

int remove(const Options& o) {
    if (!advisory::Register(Store::open().home()).remove(o.what))
        throw Error(ErrorKind::not_found, fmt::format("There is no advisory {} here.", o.what),
                    "freehold advisory list shows what there is.");
    return 0;
}

int check(const Options& o) {
    const Store store = Store::open();
    const auto kept = advisory::Register(store.home()).list();
    std::vector<std::pair<std::string, advisory::Hit>> hits;
    if (o.what.empty()) {
        for (auto& [model, hit] : advisory::all_hits(store, kept)) hits.emplace_back(model.name.str(), std::move(hit));
    } else {
        const LocatedModel located = locate_model(store, o.what);
        if (located.stored) {
            for (auto& hit : advisory::check(store, *located.stored, kept)) hits.emplace_back(o.what, std::move(hit));
        } else {
            std::vector<advisory::LooseFile> files;
            if (fs::is_directory(located.path)) {
                for (const auto& entry : fs::recursive_directory_iterator(located.path))
                    if (entry.is_regular_file())
                        files.push_back({entry.path().lexically_relative(located.path).string(), entry.path(), {}});
            } else {
                files.push_back({located.path.filename().string(), located.path, {}});
            }
            for (auto& hit : advisory::check_files(files, kept)) hits.emplace_back(o.what, std::move(hit));
        }
    }
    if (o.json) {
        ValueList list;
        for (const auto& [name, hit] : hits) {
            ValueMap map = hit_json(hit);
            map.set("model", name);
            list.emplace_back(std::move(map));
        }
        out(to_json(Value(std::move(list)), 2) + "\n");
    } else if (hits.empty()) {
        out(fmt::format("No advisory of {} hits {}.\n", kept.size(), o.what.empty() ? "a model here" : o.what));
    } else {
        for (const auto& [name, hit] : hits) out(fmt::format("{}: {}\n", name, advisory::sentence(hit)));
    }
    return hits.empty() ? 0 : kHit;
}

int trust(const Options& o) {
    std::string name = o.name;
    if (name.empty()) {
        for (const char c : fs::path(o.what).stem().string()) {
            const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
            name += word ? c : '-';
        }
    }
    const advisory::TrustedKey key = advisory::Register(Store::open().home()).trust(read_text(o.what, 16 << 10), name);
    out(fmt::format("Advisories signed by {} ({}, {}) count from now on.\n", key.name, key.kind, key.hint));
    return 0;
}

int distrust(const Options& o) {
    if (!advisory::Register(Store::open().home()).distrust(o.what))
        throw Error(ErrorKind::not_found, fmt::format("No key named {} is trusted here.", o.what),
                    "freehold advisory keys lists them.");
    return 0;
}

int keys(const Options& o) {
    ValueList values;
    Table table({{"NAME"}, {"KIND"}, {"DIGEST"}});
    for (const advisory::TrustedKey& key : advisory::Register(Store::open().home()).keys()) {
        table.add({key.name, key.kind, key.hint});
        values.emplace_back(
            ValueMap{{"name", Value(key.name)}, {"kind", Value(key.kind)}, {"digest", Value(key.hint)}});
    }
    if (o.json)
        out(to_json(Value(std::move(values)), 2) + "\n");
    else if (table.empty())
        notice("No key is trusted here: freehold advisory trust KEY.pub.");
    else
        out(table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

using Run = int (*)(const Options&);

void setup_create(CLI::App& sub, Options& o) {
    sub.add_option("MODEL", o.what, "What is hit: a stored name, a file or a folder")->required()->type_name("MODEL");
    sub.add_option("--id", o.id, "Its name in the world, as in x_ACME-2026-1")->required()->type_name("ID");
    sub.add_option("--summary", o.summary, "One line")->required()->type_name("TEXT");
    sub.add_option("--details", o.details, "More, or @FILE")->type_name("TEXT");
    sub.add_option("--severity", o.severity, "low, medium, high (default) or critical")
        ->type_name("S")
        ->check(CLI::IsMember({"low", "medium", "high", "critical"}));
    sub.add_option("--action", o.action, "recall (default): do not use it; update: there is a better one; note")
        ->type_name("A")
        ->check(CLI::IsMember({"recall", "update", "note"}));
    sub.add_option("--part", o.parts, "Only this file of it (default: its weights and the version as a whole)")
        ->allow_extra_args(false)
        ->type_name("PATH");
    sub.add_option("--fixed", o.fixed, "What to use in its place")->allow_extra_args(false)->type_name("MODEL");
    sub.add_option("--reference", o.references, "Where more is told")->allow_extra_args(false)->type_name("URL");
    sub.add_flag("--withdraw", o.withdraw, "Say that this advisory no longer holds");
    sub.add_option("-o,--output", o.output, "Write it here (default: standard output)")->type_name("FILE");
}

}  // namespace

Action setup_advisory(CLI::App& app) {
    auto o = std::make_shared<Options>();
    auto run = std::make_shared<Run>(nullptr);
    const auto add = [&](const char* name, const char* summary, Run action) {
        CLI::App* sub = app.add_subcommand(name, summary);
        sub->callback([run, action] { *run = action; });
        return sub;
    };
    app.require_subcommand(1);
    setup_create(*add("create", "Write an advisory about a model (an OSV document)", create), *o);
    CLI::App* sub = add("sign", "Sign one with a private key", sign);
    sub->add_option("FILE", o->what, "The advisory")->required()->type_name("FILE");
    sub->add_option("--key", o->key, "Private key, PEM")->required()->type_name("KEY");
    sub->add_option("-o,--output", o->output, "Write it here (default: standard output)")->type_name("FILE");
    sub = add("import", "Take in advisories", import);
    sub->add_option("FROM", o->what, "A file, a folder, or oci:HOST/NAME[:TAG]")->required()->type_name("FROM");
    sub->add_flag("--unsigned", o->take_unsigned, "Those that no trusted key signed too; they only warn");
    sub->add_flag("--plain-http", o->plain_http, "Speak without TLS to a registry on another machine");
    add_json_flag(*sub, o->json);
    sub = add("check", "Say which models are hit; exit code 1 when one is", check);
    sub->add_option("MODEL", o->what, "A stored name, a file or a folder (default: all models here)")
        ->type_name("MODEL");
    add_json_flag(*sub, o->json);
    add_json_flag(*add("list", "List the advisories that are here", list), o->json);
    add("show", "Print one", show)->add_option("ID", o->what, "Which")->required()->type_name("ID");
    add("remove", "Take one away", remove)->add_option("ID", o->what, "Which")->required()->type_name("ID");
    sub = add("trust", "Let the advisories of a key count", trust);
    sub->add_option("KEY", o->what, "Its public key, PEM")->required()->type_name("KEY");
    sub->add_option("--name", o->name, "What it is called here (default: the name of the file)")->type_name("NAME");
    add("distrust", "No longer", distrust)->add_option("NAME", o->what, "Which key")->required()->type_name("NAME");
    add_json_flag(*add("keys", "List the keys whose advisories count", keys), o->json);
    app.footer(
        "pull, run, chat, serve and list look at them: the setting `advisories` (FREEHOLD_ADVISORIES) says whether a "
        "model\n"
        "that is hit is warned about or refused. What was made from it is hit too (docs/advisories.md).\n\n"
        "Examples\n"
        "  freehold advisory create notes:v1 --id x_ACME-2026-1 --summary \"Gives away training data\" -o a.json\n"
        "  freehold advisory sign a.json --key acme.key -o a.advisory.json\n"
        "  freehold advisory trust acme.key.pub --name acme\n"
        "  freehold advisory import oci:registry.example.org/acme/advisories\n"
        "  freehold advisory check");
    return [o, run] { return (*run)(*o); };
}

}  // namespace freehold::cli
