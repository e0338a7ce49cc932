// One policy for run, chat, serve, pull and list. Where no advisory was ever imported, this costs a look at a folder.
// A register that cannot be read stops nothing, but is told.
#include "advisory_flow.h"

#include <fmt/format.h>

#include "console.h"
#include "freehold/base/error.h"
#include "freehold/store/push.h"
#include "settings/settings.h"

namespace freehold::cli {
namespace {

std::vector<advisory::Kept> kept_in(const Store& store) {
    std::vector<std::string> faults;
    std::vector<advisory::Kept> out = advisory::Register(store.home()).list(&faults);
    for (const std::string& fault : faults) notice(fmt::format("An advisory is left out: {}", fault));
    return out;
}

std::string way_out(const advisory::Hit& hit) {
    std::string text;
    if (!hit.kept.advisory.fixed.empty()) text = fmt::format("In its place: {}. ", hit.kept.advisory.fixed.front());
    return text + fmt::format("freehold advisory show {} says more; FREEHOLD_ADVISORIES=warn uses it all the same.",
                              hit.kept.advisory.id);
}

std::vector<advisory::Hit> hits_of(const Store& store, const LocatedModel& located) {
    const std::vector<advisory::Kept> kept = kept_in(store);
    if (located.stored) return advisory::check(store, *located.stored, kept);
    std::vector<advisory::LooseFile> files;
    std::error_code ec;
    // A file of safetensors stands for its folder, as everywhere.
    const bool whole = located.path.extension() == ".safetensors" || std::filesystem::is_directory(located.path, ec);
    if (whole) {
        const auto folder = std::filesystem::is_directory(located.path, ec) ? located.path : located.path.parent_path();
        for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder, ec))
            if (entry.is_regular_file(ec)) files.push_back({entry.path().filename().string(), entry.path(), {}});
    } else {
        files.push_back({located.path.filename().string(), located.path, {}});
    }
    return advisory::check_files(files, kept);
}

std::string mark_of(const std::filesystem::path& path) {
    std::error_code ec;
    const auto time = std::filesystem::last_write_time(path, ec);
    return ec ? std::string("-") : std::to_string(time.time_since_epoch().count());
}

}  // namespace

advisory::Policy advisory_policy() {
    return advisory::policy_from(Settings::read({}).text("advisories", "recall"));
}

void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name) {
    if (advisory::Register(store.home()).empty()) return;
    heed_advisories(store, located, name, advisory_policy());
}

void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name,
                     advisory::Policy policy) {
    if (policy == advisory::Policy::off || advisory::Register(store.home()).empty()) return;
    for (const advisory::Hit& hit : hits_of(store, located)) {
        if (advisory::refuses(policy, hit))
            throw Error(ErrorKind::denied, fmt::format("{} is not used: {}", name, advisory::sentence(hit)),
                        way_out(hit));
        notice(fmt::format("{}: {}", name, advisory::sentence(hit)));
    }
}

void AdvisoryWatch::heed(const LocatedModel& located) {
    constexpr auto kKept = std::chrono::seconds(5);
    const advisory::Register kept(store_.home());
    if (policy_ == advisory::Policy::off || kept.empty()) return;
    // Texts and keys are replaced whole, which changes their folders.
    const std::string state = mark_of(kept.folder()) + "/" + mark_of(kept.folder() / "keys");
    const std::string name = located.stored ? located.stored->name.str() : located.path.string();
    const std::string key = located.stored ? name + "@" + located.stored->digest : name + "@" + mark_of(located.path);
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (state != register_state_) answers_.clear();
    register_state_ = state;
    auto found = answers_.find(key);
    if (found == answers_.end() || (located.stored && now > found->second.at + kKept)) {
        Answer answer{std::nullopt, now};
        for (const advisory::Hit& hit : hits_of(store_, located)) {
            const std::string sentence = advisory::sentence(hit);
            if (advisory::refuses(policy_, hit)) {
                answer.refusal =
                    Error(ErrorKind::denied, fmt::format("{} is not used: {}", name, sentence), way_out(hit));
                break;
            }
            if (std::string line = fmt::format("{}: {}", name, sentence); told_.insert(line).second) notice(line);
        }
        if (answers_.size() > 4096) answers_.clear();
        found = answers_.insert_or_assign(key, std::move(answer)).first;
    }
    if (found->second.refusal) throw Error(*found->second.refusal);
}

PullVerdict heed_fetched(const Store& store, const FetchedModel& model, advisory::Policy policy,
                         const Progress& progress, const std::function<void(const std::string&)>& notice) {
    PullVerdict verdict;
    if (policy == advisory::Policy::off || advisory::Register(store.home()).empty()) return verdict;
    const std::vector<advisory::Kept> kept = kept_in(store);
    std::vector<advisory::LooseFile> files;
    for (const auto& [name, at] : model.files) {
        const auto digest = model.digests.find(name);
        files.push_back({name, at, digest == model.digests.end() ? std::string() : digest->second});
    }
    std::vector<advisory::Hit> hits = advisory::check_files(files, kept, progress);
    for (advisory::Hit& hit : advisory::check_versions(model.versions, kept)) hits.push_back(std::move(hit));
    for (const advisory::Hit& hit : hits) {
        if (advisory::refuses(policy, hit)) {
            verdict.refusal = fmt::format("{} was not kept: {}", model.name.str(), advisory::sentence(hit));
            verdict.hint = way_out(hit);
            verdict.report = to_json(Value(hit_json(hit)), 2) + "\n";
            return verdict;
        }
        if (notice) notice(advisory::sentence(hit));
    }
    return verdict;
}

void import_attached(const Store& store, const std::string& source, bool plain_http,
                     const std::function<void(const std::string&)>& notice) {
    RegistryOptions options;
    options.plain_http = plain_http;
    options.notice = notice;
    try {
        const auto attached = attachments_of(store, source.substr(0, source.find('#')), advisory::kMediaType, options);
        for (const RemoteAttachment& one : attached) {
            try {
                static_cast<void>(advisory::Register(store.home()).import(one.document.text, one.document.name, false));
            } catch (const Error& e) {
                if (notice) notice(fmt::format("An advisory that is attached to it does not count: {}", e.message()));
            }
        }
    } catch (const Error& e) {
        // The pull itself says it better when there is nothing to be reached.
        if (e.kind() == ErrorKind::cancelled) throw;
    }
}

std::vector<std::pair<StoredModel, advisory::Hit>> list_advisories(const Store& store) {
    if (advisory::Register(store.home()).empty() || advisory_policy() == advisory::Policy::off) return {};
    return advisory::all_hits(store, kept_in(store));
}

ValueMap hit_json(const advisory::Hit& hit) {
    const advisory::Advisory& a = hit.kept.advisory;
    ValueMap map;
    map.set("id", a.id);
    map.set("severity", advisory::severity_name(a.severity));
    map.set("action", advisory::action_name(a.action));
    map.set("summary", a.summary);
    map.set("modified", a.modified);
    map.set("trusted", hit.kept.trusted);
    map.set("signer", hit.kept.signer);
    map.set("part", hit.part);
    map.set("kind", hit.affected.kind);
    map.set("digest", hit.affected.digest);
    map.set("ancestor", hit.ancestor.empty() ? Value() : Value(hit.ancestor));
    map.set("fixed", a.fixed);
    return map;
}

}  // namespace freehold::cli
