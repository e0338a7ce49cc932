// freehold list: the models on this machine, and those that can be had by name.
#include <fmt/format.h>

#include <algorithm>

#include "../advisory_flow.h"
#include "../console.h"
#include "../model_json.h"
#include "../scan_flow.h"
#include "../session.h"
#include "freehold/store/catalogue.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    bool catalogue = false, json = false, quiet = false;
};

ValueMap entry_json(const CatalogueEntry& entry, bool present) {
    ValueMap map;
    map.set("name", entry.name);
    map.set("aliases", entry.aliases);
    map.set("description", entry.description);
    map.set("good_for", entry.good_for);
    map.set("kind", entry.kind);
    map.set("parameters", entry.parameters);
    map.set("context", entry.context);
    map.set("bytes", entry.size());
    map.set("licence", licence_json(entry.licence));
    map.set("sources", entry.sources);
    map.set("present", present);
    return map;
}

int list_catalogue(const Store& store, const Options& o, int width) {
    const Catalogue catalogue = Catalogue::load(store.home());
    const auto models = store.list();
    const auto present = [&](const CatalogueEntry& entry) {
        const auto name = ModelName::try_parse(entry.name);
        return std::ranges::any_of(models, [&](const StoredModel& m) { return name && m.name == *name; });
    };
    if (o.json) {
        ValueList list;
        for (const auto& entry : catalogue.entries()) list.emplace_back(entry_json(entry, present(entry)));
        out(to_json(Value(std::move(list)), 2) + "\n");
        return 0;
    }
    Table table({{"NAME"},
                 {"SIZE", true},
                 {"KIND"},
                 {"LICENCE", false, true},
                 {"HERE", false, true},
                 {"WHAT IT IS", false, true}});
    for (const auto& entry : catalogue.entries()) {
        if (o.quiet) {
            out(entry.name + "\n");
            continue;
        }
        table.add({entry.name, human_bytes(entry.size()), entry.kind, entry.licence.id, present(entry) ? "yes" : "",
                   entry.description});
    }
    if (!o.quiet) out(table.str(width));
    return 0;
}

int list_verb(const Options& o) {
    const Store store = Store::open();
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    if (o.catalogue) return list_catalogue(store, o, width);
    const auto models = store.list();
    const auto hits = list_advisories(store);
    if (o.json) {
        ValueList list;
        for (const auto& model : models) {
            ValueMap map = stored_model_json(model);
            ValueList advisories;
            for (const auto& hit : hits)
                if (hit.first.name == model.name) advisories.emplace_back(hit_json(hit.second));
            map.set("advisories", std::move(advisories));
            list.emplace_back(std::move(map));
        }
        out(to_json(Value(std::move(list)), 2) + "\n");
        return 0;
    }
    if (models.empty()) {
        if (!o.quiet)
            notice(
                "There is no model on this machine yet. `freehold pull smollm2:135m` fetches a small one; `freehold "
                "list --catalogue` lists those known by name.");
        return 0;
    }
    Table table({{"NAME"},
                 {"SIZE", true},
                 {"PARAMETERS", true, true},
                 {"FORMAT", false, true},
                 {"LICENCE", false, true},
                 {"ADDED", false, true},
                 {"SCAN", false, true},
                 {"DIGEST", false, true}});
    for (const auto& model : models) {
        if (o.quiet) {
            out(model.name.str() + "\n");
            continue;
        }
        const auto& r = model.record;
        table.add({model.name.str(), human_bytes(model.size), r.parameters > 0 ? human_count(r.parameters) : "",
                   r.quantisation, r.licence.id, age_of(r.created), scan_word(r),
                   model.digest.substr(0, model.digest.find(':') + 13)});
    }
    if (!o.quiet) out(table.str(width));
    for (const auto& hit : hits) notice(fmt::format("{}: {}", hit.first.name.str(), advisory::sentence(hit.second)));
    return 0;
}

}  // namespace

Action setup_list(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_flag("-c,--catalogue", o->catalogue, "List the models known by name instead, with sizes and licences");
    app.add_flag("-q,--quiet", o->quiet, "Names only");
    add_json_flag(app, o->json);
    app.footer("Examples\n  freehold list\n  freehold list --catalogue\n  freehold list --json");
    return [o] { return list_verb(*o); };
}

}  // namespace freehold::cli
