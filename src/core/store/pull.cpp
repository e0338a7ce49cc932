// pull: resolve what was asked for, tell the plan, then fetch, look inside, store; source after source until one works.
// One lock per address under partial/ makes a second pull of the same thing wait and then find the work done.
#include "freehold/store/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/formats/origin.h"
#include "freehold/store/source.h"
#include "freehold/store/version.h"
#include "inspect.h"
#include "near.h"
#include "registry/reference.h"
#include "store_files.h"

namespace freehold {
namespace fs = std::filesystem;
namespace {

struct Target {
    ModelName name;
    std::vector<SourceSpec> sources;
    const CatalogueEntry* entry = nullptr;
    bool name_derived = false;  // nobody chose it, so it must not push another model aside
};

bool looks_like_path(std::string_view what) {
    return what.starts_with('/') || what.starts_with("./") || what.starts_with("../") || what.starts_with('~');
}

// "SmolLM2-135M-Instruct.Q4_1.gguf" -> smollm2-135m-instruct:q4_1; what cannot stand in a name becomes '-'.
ModelName name_from_stem(std::string stem) {
    for (const char* ending : {".gguf", ".safetensors", ".bin", ".whl"})
        if (stem.ends_with(ending)) stem.resize(stem.size() - std::string_view(ending).size());
    std::string clean;
    for (const char c : stem) {
        const auto u = static_cast<unsigned char>(c);
        const char lower = static_cast<char>(std::tolower(u));
        const bool word = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (word)
            clean += lower;
        else if (!clean.empty() && clean.back() != '-' && clean.back() != '.' && clean.back() != '_')
            clean += c == '.' || c == '_' ? c : '-';
    }
    while (!clean.empty() && (clean.back() == '-' || clean.back() == '.' || clean.back() == '_')) clean.pop_back();
    clean.resize(std::min<std::size_t>(clean.size(), 200));
    ModelName out;
    const auto cut = clean.find_last_of(".-");
    const std::string last = cut == std::string::npos ? "" : clean.substr(cut + 1);
    const bool quant = (last.size() >= 2 && last[0] == 'q' && last[1] >= '0' && last[1] <= '9') ||
                       last.starts_with("iq") || last == "f16" || last == "bf16" || last == "f32";
    out.name = quant ? clean.substr(0, cut) : clean;
    if (quant) out.tag = last;
    return out;
}

ModelName derived_name(const SourceSpec& source) {
    std::string text;
    if (source.kind == SourceKind::hf) {
        ModelName out = name_from_stem(fs::path(source.file).filename().string());
        const auto repo = ModelName::try_parse(source.location);
        if (repo) return {repo->name, source.file.empty() ? "latest" : out.tag};
        text = source.location;
    } else if (source.kind == SourceKind::oci) {
        const registry::Reference at = registry::parse_reference(source.text.substr(0, source.text.find('#')));
        const bool library = at.name.starts_with("library/");  // what hubs put in front of names without an owner
        return {library ? at.name.substr(8) : at.name, at.tag.empty() ? "latest" : at.tag};
    } else if (source.kind == SourceKind::pypi) {
        text = source.location;
    } else {
        std::string location = source.location.substr(0, source.location.find('?'));
        while (location.size() > 1 && location.ends_with('/')) location.pop_back();
        std::error_code ec;
        if (source.kind == SourceKind::file) location = fs::weakly_canonical(location, ec).string();
        text = fs::path(location).filename().string();
    }
    const ModelName out = name_from_stem(text);
    if (!ModelName::try_parse(out.str()))
        throw Error(ErrorKind::usage, fmt::format("No model name follows from \"{}\".", printable(source.text)),
                    "Choose one with --as NAME.");
    return out;
}

Target resolve(const Catalogue& catalogue, std::string_view what, const PullOptions& options) {
    Target out;
    if (!SourceSpec::has_scheme(what) && !looks_like_path(what)) out.entry = catalogue.find(what);
    if (out.entry != nullptr) {
        out.name = options.as.value_or(ModelName::parse(out.entry->name));
        for (const std::string& source : out.entry->sources) out.sources.push_back(SourceSpec::parse(source));
        return out;
    }
    const SourceSpec source = SourceSpec::parse(what);
    if (source.kind == SourceKind::file && !what.starts_with("file:") && !looks_like_path(what) &&
        !disk::facts(fs::path(what))) {
        const auto close = catalogue.near(what);
        throw Error(ErrorKind::not_found,
                    fmt::format("\"{}\" is neither in the catalogue nor a file here.", printable(what)),
                    close.empty() ? "Name a model of the catalogue (freehold list --catalogue), hf:org/repo[:file], "
                                    "pypi:package, oci:host/name, an https address or a path."
                                  : fmt::format("Did you mean {}?", detail::quoted_list(close)));
    }
    out.name = options.as ? *options.as : derived_name(source);
    out.name_derived = !options.as.has_value();
    out.sources.push_back(source);
    return out;
}

std::string hex_of(const std::string& digest) {
    return digest.substr(digest.find(':') + 1);
}

bool has_all_files(const StoredModel& model, const CatalogueEntry& entry) {
    return !entry.files.empty() &&
           std::all_of(entry.files.begin(), entry.files.end(), [&](const CatalogueFile& wanted) {
               return !wanted.sha256.empty() &&
                      std::any_of(model.files.begin(), model.files.end(), [&](const StoredFile& file) {
                          return file.path == wanted.path && hex_of(file.digest) == wanted.sha256;
                      });
           });
}

bool is_whole(const Store& store, const StoredModel& model) {
    return std::all_of(model.files.begin(), model.files.end(), [&](const StoredFile& file) {
        const auto known = disk::facts(store.file_path(file));
        return known && known->size == file.size && (!file.linked_at || known->mtime_ns == file.linked_mtime_ns);
    });
}

// A stored model (under whatever name) with all files of the entry, each blob there in full length.
std::optional<StoredModel> stored_twin(const Store& store, const CatalogueEntry& entry) {
    for (StoredModel& model : store.list()) {
        if (has_all_files(model, entry) && is_whole(store, model)) return std::move(model);
    }
    return std::nullopt;
}

// At the end of a turn, before its lock is let go: a lock that guards no unfinished download goes too, so that whoever
// waits takes a fresh one.
struct Tidy {
    const fs::path& work;
    const fs::path& lock_path;
    ~Tidy() {
        std::error_code ec;
        if (!fs::exists(work, ec)) fs::remove(lock_path, ec);
    }
};

class Pulling {
 public:
    Pulling(Store& store, const PullOptions& options, Target target)
        : store_(store), options_(options), target_(std::move(target)) {}

    PullResult run() {
        const auto start = std::chrono::steady_clock::now();
        PullResult out;
        if (auto twin = twin_of_entry()) {
            tell_plan(target_.sources.front(), {}, true);
            out.model = take_name(*twin);
            out.was_present = true;
        } else {
            out = from_some_source();
        }
        out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return out;
    }

 private:
    std::optional<StoredModel> twin_of_entry() const {
        return target_.entry == nullptr ? std::nullopt : stored_twin(store_, *target_.entry);
    }

    StoredModel take_name(const StoredModel& twin) {
        return twin.name == target_.name ? twin : store_.copy(twin.name, target_.name, true);
    }

    void notice(const std::string& sentence) const {
        if (options_.notice) options_.notice(sentence);
    }

    void tell_plan(const SourceSpec& source, const SourcePlan& found, bool present) {
        if (told_ || !options_.announce) return;
        told_ = true;
        PullPlan plan;
        plan.name = target_.name;
        plan.source = source.text;
        plan.present = present;
        plan.bytes = found.bytes;
        if (!found.licence.empty()) plan.licence = classify_licence(found.licence);
        if (target_.entry != nullptr) {
            plan.description = target_.entry->description;
            plan.licence = target_.entry->licence;
            plan.from_catalogue = true;
            if (target_.entry->size() != 0) plan.bytes = target_.entry->size();
        }
        options_.announce(plan);
    }

    PullResult from_some_source() {
        for (std::size_t i = 0; i < target_.sources.size(); ++i) {
            const bool last = i + 1 == target_.sources.size();
            try {
                return from_source(target_.sources[i]);
            } catch (const Error& e) {
                const bool elsewhere = e.kind() == ErrorKind::network || e.kind() == ErrorKind::not_found ||
                                       e.kind() == ErrorKind::bad_file || e.kind() == ErrorKind::unsupported;
                if (last || !elsewhere) {
                    if (!first_fault_) throw;
                    // The preferred source's fault is the one to mend; the others are told as notices.
                    notice(fmt::format("{} ({})", e.message(), target_.sources[i].text));
                    throw Error(*first_fault_);
                }
                if (!first_fault_) first_fault_ = e;
                notice(fmt::format("{} The next source is tried: {}", e.message(), target_.sources[i + 1].text));
            }
        }
        throw Error(ErrorKind::internal, "A model without a source was pulled.");
    }

    FetchOptions fetch_options(const fs::path& work) const {
        FetchOptions out;
        out.partial_dir = work;
        out.progress = options_.progress;
        out.attempts = options_.attempts;
        out.plain_http = options_.plain_http;
        out.credentials = store_.home() / "registries.json";
        out.notice = options_.notice;
        out.have = [this](const std::string& hex) {
            const std::string digest = "sha256:" + hex;
            return store_.has_blob(digest) ? store_.blob_path(digest) : fs::path();
        };
        if (target_.entry != nullptr) {
            for (const CatalogueFile& file : target_.entry->files) out.expected[file.path] = {file.size, file.sha256};
        }
        return out;
    }

    disk::FileLock take_turn(const fs::path& lock_path, bool& waited) const {
        while (true) {
            if (auto lock = disk::FileLock::try_take(lock_path)) return *std::move(lock);
            if (!waited) notice(fmt::format("Another Freehold is fetching {}; waiting for it.", target_.name.str()));
            waited = true;
            if (options_.progress) options_.progress({"waiting for another pull of " + target_.name.str(), 0, 0, "B"});
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }

    // What stands in the store under our name, when it came from the same source.
    std::optional<StoredModel> stored_from(const SourceSpec& source) const {
        try {
            auto model = store_.find(target_.name);
            if (model && model->record.source == source.text) return model;
        } catch (const Error&) {
            return std::nullopt;  // damaged: fetched anew
        }
        return std::nullopt;
    }

    void guard_name(const SourceSpec& source) const {
        if (!target_.name_derived || stored_from(source)) return;
        const auto index = detail::read_index(store_.home());
        if (detail::find_entry(index, target_.name) == nullptr) return;
        throw Error(
            ErrorKind::conflict,
            fmt::format("There is another model named {} in the store, from another source.", target_.name.str()),
            fmt::format("Choose a name with --as NAME, or remove that one with 'freehold rm {}'.", target_.name.str()));
    }

    PullResult from_source(const SourceSpec& asked) {
        SourceSpec source = asked;
        if (source.kind == SourceKind::file) {
            std::error_code ec;
            if (!source.location.starts_with('~'))
                source.location = fs::absolute(source.location, ec).lexically_normal().string();
            source.text = "file:" + source.location;
        } else if (options_.link) {
            throw Error(ErrorKind::usage,
                        fmt::format("{} is not a file on this machine, so it cannot be used in place.", source.text),
                        "Leave --link away.");
        }
        guard_name(source);
        disk::make_folders(store_.partial_dir());
        const std::string key = sha256_hex(std::as_bytes(std::span(source.text))).substr(0, 32);
        const fs::path work = store_.partial_dir() / key;
        const fs::path lock_path = store_.partial_dir() / (key + ".lock");
        bool waited = false;
        const auto lock = take_turn(lock_path, waited);
        const Tidy tidy{work, lock_path};
        PullResult out = under_lock(source, work, waited);
        disk::remove_tree(work);
        return out;
    }

    PullResult under_lock(const SourceSpec& source, const fs::path& work, bool waited) {
        PullResult out;
        if (auto twin = twin_of_entry()) {
            tell_plan(source, {}, true);
            out.model = take_name(*twin);
            out.was_present = true;
            return out;
        }
        const FetchOptions fetching = fetch_options(work);
        const SourcePlan plan = target_.entry != nullptr ? SourcePlan{} : plan_fetch(source, fetching);
        if (auto stored = stored_from(source)) {
            const bool same = !plan.revision.empty() && plan.revision == stored->record.source_revision;
            if ((waited || same) && is_whole(store_, *stored)) {
                tell_plan(source, plan, true);
                out.model = *stored;
                out.was_present = true;
                return out;
            }
        }
        tell_plan(source, plan, false);
        out.model = store_files(source, fetch(source, fetching));
        return out;
    }

    // Of what was quantised or converted: the model here that has the files it was made from.
    void name_source(ModelRecord& record) const {
        for (const auto& [key, relation] :
             {std::pair{"quantised_from", "quantised from"}, {"converted_from", "converted from"}}) {
            const Value* const from = record.extra.find(key);
            if (from == nullptr) continue;
            const std::vector<std::string> digests = digests_in(from->as_string().value_or(""));
            for (const StoredModel& model : store_.list()) {
                const auto is_here = [&](const std::string& digest) {
                    return std::ranges::any_of(model.files, [&](const StoredFile& f) { return f.digest == digest; });
                };
                if (digests.empty() || !std::ranges::all_of(digests, is_here)) continue;
                record.parents = {model.digest};
                record.extra.set("relation", relation);
                return;
            }
        }
    }

    // Parents as the publisher's store knew them, by the names that the same versions have in this one.
    void find_parents(ModelRecord& record) const {
        if (record.parents.empty()) return;
        const auto models = store_.list();
        for (std::string& parent : record.parents) {
            const auto here = std::ranges::find_if(models, [&](const StoredModel& m) { return is_version(m, parent); });
            if (here != models.end()) parent = here->digest;
        }
    }

    // An adapter's lineage: the model that it was trained on, if that is here.
    void name_base(ModelRecord& record) const {
        if (!is_adapter(record)) {
            name_source(record);
            if (options_.base)
                throw Error(ErrorKind::usage, fmt::format("{} is a model and no adapter.", target_.name.str()),
                            "Leave --base away.");
            return;
        }
        if (options_.base) {
            const StoredModel base = store_.get(*options_.base);
            if (is_adapter(base.record))
                throw Error(ErrorKind::usage, fmt::format("{} is an adapter itself.", base.name.str()),
                            "Name the model that this one was trained on.");
            record.parents = {base.digest};
            return;
        }
        if (!record.parents.empty() && store_.has_blob(record.parents.front())) return;
        const Value* const said = record.extra.find("base");
        const std::string base(said != nullptr ? said->as_string().value_or("") : "");
        const std::string leaf = base.substr(base.rfind('/') + 1);
        const auto named = ModelName::try_parse(leaf);
        for (const StoredModel& model : store_.list()) {
            if (base.empty() || is_adapter(model.record)) continue;
            const std::string& source = model.record.source;
            const bool same = source == "hf:" + base || source.starts_with("hf:" + base + ":") ||
                              source == "file:" + base || (named && model.name == *named);
            if (!same) continue;
            record.parents = {model.digest};
            return;
        }
        notice(fmt::format("It is not known which model here {} was trained on{}; --base NAME keeps its lineage.",
                           target_.name.str(),
                           base.empty() ? std::string() : fmt::format(" (it says \"{}\")", printable(base))));
    }

    void vet(const SourceSpec& source, const Fetched& fetched, ModelRecord& record) const {
        if (!options_.vet) return;
        FetchedModel model{target_.name, source.text, {}};
        for (const FetchedFile& file : fetched.files) {
            model.files.emplace_back(file.path, file.at);
            if (!file.sha256.empty()) model.digests[file.path] = "sha256:" + file.sha256;
        }
        model.versions = fetched.parents;
        if (const Value* known = fetched.extra.find("versions")) {
            for (std::size_t i = 0; i < known->size(); ++i)
                model.versions.emplace_back(known->at(i).as_string().value_or(""));
        }
        const PullVerdict verdict = options_.vet(model);
        if (!verdict.refusal.empty()) {
            std::vector<bool> movable;
            for (const FetchedFile& file : fetched.files) movable.push_back(file.owned);
            throw quarantine(store_, model, movable, verdict);
        }
        for (const ValueEntry& entry : verdict.note) record.extra.set(entry.key, entry.value);
    }

    StoredModel store_files(const SourceSpec& source, const Fetched& fetched) {
        ModelRecord record;
        record.source = source.text;
        record.source_revision = fetched.revision;
        if (!fetched.licence.empty()) record.licence = classify_licence(fetched.licence);
        record.description = fetched.description;
        record.parents = fetched.parents;
        record.extra = fetched.extra;
        try {
            detail::inspect(fetched.files, record);
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            // Name what the user asked for; the path inside partial/ means nothing to them.
            throw Error(e.kind(), fmt::format("{} is not a model that can be used: {}", source.text, e.message()),
                        e.hint());
        }
        vet(source, fetched, record);
        find_parents(record);
        name_base(record);
        if (target_.entry != nullptr) {
            record.licence = target_.entry->licence;
            record.description = target_.entry->description;
            record.extra.set("catalogue", target_.entry->name);
            if (!target_.entry->good_for.empty()) record.extra.set("good_for", target_.entry->good_for);
            if (!target_.entry->kind.empty()) record.extra.set("kind", target_.entry->kind);
        }
        std::vector<NewFile> files;
        for (const FetchedFile& file : fetched.files) {
            NewFile added;
            added.path = file.path;
            added.at = file.at;
            added.how = file.owned ? NewFile::How::move : options_.link ? NewFile::How::link : NewFile::How::copy;
            if (!file.sha256.empty()) added.digest = "sha256:" + file.sha256;
            added.digest_known = file.owned && !file.sha256.empty();
            files.push_back(std::move(added));
        }
        return store_.add(target_.name, files, record, options_.progress);
    }

    Store& store_;
    const PullOptions& options_;
    Target target_;
    bool told_ = false;
    std::optional<Error> first_fault_;
};

}  // namespace

Error quarantine(const Store& store, const FetchedModel& model, const std::vector<bool>& movable,
                 const PullVerdict& verdict) {
    const std::string key = sha256_hex(std::as_bytes(std::span(model.source))).substr(0, 12);
    const fs::path folder = store.home() / "quarantine" / (fs::path(model.name.name).filename().string() + "-" + key);
    disk::remove_tree(folder);
    disk::make_folders(folder);
    bool moved = false;
    for (std::size_t i = 0; i < model.files.size(); ++i) {
        if (!movable.at(i)) continue;
        const auto& [name, at] = model.files[i];
        const fs::path to = folder / "files" / name;
        disk::make_folders(to.parent_path());
        std::error_code ec;
        fs::rename(at, to, ec);
        moved = moved || !ec;
    }
    if (!verdict.report.empty()) write_text_atomic(folder / "report.json", verdict.report);
    return Error(ErrorKind::denied, verdict.refusal,
                 fmt::format("{} {} in {}.", verdict.hint, moved ? "The files and the report are" : "The report is",
                             folder.string()));
}

PullResult pull(Store& store, std::string_view what, const PullOptions& options) {
    const Catalogue catalogue = Catalogue::load(store.home());
    return Pulling(store, options, resolve(catalogue, what, options)).run();
}

LocatedModel locate_model(const Store& store, std::string_view name_or_path) {
    LocatedModel out;
    const auto name = looks_like_path(name_or_path) ? std::nullopt : ModelName::try_parse(name_or_path);
    const Catalogue catalogue = Catalogue::load(store.home());
    if (name) {
        if (auto model = store.find(*name)) {
            out.path = store.open_path(*model);
            out.stored = std::move(model);
            return out;
        }
        // An alias of the catalogue leads to the model under its own name.
        if (const CatalogueEntry* entry = catalogue.find(name_or_path)) {
            if (auto model = store.find(ModelName::parse(entry->name))) {
                out.path = store.open_path(*model);
                out.stored = std::move(model);
                return out;
            }
        }
    }
    fs::path path(name_or_path);
    if (name_or_path.starts_with("~/")) {
        if (const char* home = std::getenv("HOME"); home != nullptr)
            path = fs::path(home) / fs::path(name_or_path.substr(2));
    }
    if (disk::facts(path)) {
        out.path = path;
        return out;
    }
    if (const CatalogueEntry* entry = name ? catalogue.find(name_or_path) : nullptr)
        throw Error(ErrorKind::not_found, fmt::format("The model {} is not on this machine yet.", entry->name),
                    fmt::format("Fetch it with 'freehold pull {}'.", entry->name));
    if (!name)
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", printable(name_or_path)),
                    "Check the spelling of the path.");
    std::vector<std::string> names = catalogue.near(name_or_path);
    for (const StoredModel& model : store.list()) names.push_back(model.name.str());
    const auto close = detail::nearest(name->str(), names, 3);
    throw Error(ErrorKind::not_found, fmt::format("\"{}\" is neither a model of the store nor a file.", name_or_path),
                close.empty() ? "'freehold list' shows what is here; 'freehold pull' fetches more."
                              : fmt::format("Did you mean {}?", detail::quoted_list(close)));
}

}  // namespace freehold
