// When panels are made: once, as the last step of a pull, where time passes anyway and disk use is what it is about.
// docs/decisions/0007-panels-in-the-store.md says why not at the first run.
#include "panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "console.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/engine/loaded_model.h"
#include "memory_estimate.h"
#include "session.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

// Of the free space, panels take at most this part: whoever is short of disk wants no second copy.
constexpr std::uint64_t kFreeParts = 4;

// Every byte is held against what the files give: runs take panels at their word (docs/decisions/0007), so that a pull
// is what mends them.
bool is_good(const std::shared_ptr<const ModelFiles>& files, const fs::path& panels, Profile profile,
             const Progress& progress) {
    try {
        const auto kept = PanelFile::open(panel_file_path(panels, profile), panels.filename().string());
        kept->verify();
        ThreadPool threads(wanted_threads(0));
        return compare_panels(files, profile, *kept, threads, progress).wrong.empty();
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        return false;
    }
}

void make(const Store& store, const StoredModel& model, const Progress& progress,
          const std::function<void(const std::string&)>& notice) {
    const auto files = ModelFiles::open(store.open_path(model));
    if (files->tensors().empty()) return;
    const Profile profile = default_profile(*files);
    const fs::path panels = store.panels_path(model);
    if (is_good(files, panels, profile, progress)) return;
    const auto turn = PanelTurn::try_take(store.home());
    if (!turn) return;
    const std::uint64_t bytes = estimate_memory(*files, read_spec(*files), profile, default_kv(profile)).panels;
    std::error_code ec;
    const fs::space_info space = fs::space(panels.parent_path(), ec);
    if (!ec && space.available / kFreeParts < bytes) {
        notice(
            fmt::format("No panels are kept for {}: they would take {} of the {} that are free. It runs all the "
                        "same and starts a little slower.",
                        model.name.str(), human_bytes(bytes), human_bytes(space.available)));
        return;
    }
    ThreadPool threads(wanted_threads(0));
    write_panels(files, profile, panel_file_path(panels, profile), panels.filename().string(), threads, progress);
}

// "embed, layers.0.attn.k and 12 more"
std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t kNamed = 3;
    const std::vector<std::string> first(names.begin(), names.begin() + std::min(names.size(), kNamed));
    const std::string text = printable(fmt::format("{}", fmt::join(first, ", ")), 300);
    return names.size() > kNamed ? fmt::format("{} and {} more", text, names.size() - kNamed) : text;
}

PanelVerdict examine(const Store& store, const StoredModel& model, Profile profile, const Progress& progress) {
    using Outcome = PanelVerdict::Outcome;
    const fs::path panels = store.panels_path(model);
    PanelVerdict out{Outcome::same, panel_file_path(panels, profile), {}, {}};
    const std::string name = out.file.filename().string();
    const std::string anew =
        fmt::format("Answers may be wrong until they are made anew: remove {}, then pull {} again.", out.file.string(),
                    model.record.source.empty() ? model.name.str() : model.record.source);
    std::shared_ptr<const PanelFile> kept;
    try {
        kept = PanelFile::open(out.file, panels.filename().string());
    } catch (const Error& error) {
        return {Outcome::other, out.file, error.message(), anew};
    }
    try {
        ThreadPool threads(wanted_threads(0));
        const PanelComparison found =
            compare_panels(ModelFiles::open(store.open_path(model)), profile, *kept, threads, progress);
        if (found.wrong.empty()) {
            out.message = fmt::format(
                "The repacked weights that a run maps ({}) were made anew and compared: {} weights, {}, byte for byte "
                "the same.",
                name, found.weights, human_bytes(found.bytes));
            return out;
        }
        return {Outcome::other, out.file,
                fmt::format("The repacked weights that a run maps ({}) are not what the model's files give: {}.", name,
                            listed(found.wrong)),
                anew};
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        return {Outcome::not_compared, out.file,
                fmt::format("The repacked weights that a run maps ({}) could not be made anew and compared: {}", name,
                            error.message()),
                anew};
    }
}

}  // namespace

bool panels_wanted() {
    const char* text = std::getenv("FREEHOLD_PANELS");
    const std::string_view wish = text == nullptr ? "" : text;
    if (wish == "off" || wish == "0") return false;
    if (wish.empty() || wish == "on" || wish == "1") return true;
    throw Error(ErrorKind::usage, fmt::format("FREEHOLD_PANELS is \"{}\".", wish), "Set it to on or off, or unset it.");
}

fs::path panels_for(const Store& store, const LocatedModel& located) {
    return located.stored && panels_wanted() ? store.panels_path(*located.stored) : fs::path();
}

std::uint64_t keep_panels(const Store& store, const StoredModel& model, const Progress& progress,
                          const std::function<void(const std::string&)>& notice) {
    const bool in_place = std::ranges::any_of(model.files, [](const StoredFile& f) { return f.linked_at.has_value(); });
    try {
        if (panels_wanted() && !in_place) make(store, model, progress, notice);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::usage) throw;
        // What this build cannot run needs no panels, and says so when it is run.
        if (error.kind() != ErrorKind::unsupported)
            notice(fmt::format("No panels are kept for {}, so it starts a little slower: {}", model.name.str(),
                               error.message()));
    }
    return store.panel_bytes(model);
}

std::vector<PanelVerdict> examine_panels(const Store& store, const StoredModel& model, const Progress& progress) {
    std::vector<PanelVerdict> out;
    for (const Profile profile : {Profile::f32, Profile::bf16, Profile::q8}) {
        std::error_code ec;
        if (fs::exists(panel_file_path(store.panels_path(model), profile), ec))
            out.push_back(examine(store, model, profile, progress));
    }
    return out;
}

}  // namespace freehold::cli
