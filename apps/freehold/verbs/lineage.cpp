// freehold lineage: where a model comes from, and what was made from it.
#include <fmt/format.h>

#include "../console.h"
#include "../session.h"
#include "freehold/bundle/contents.h"
#include "freehold/lineage/lineage.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model;
    bool json = false;
};

lineage::Node node_of_path(const std::filesystem::path& path) {
    lineage::Files files;
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        for (const bundle::Entry& entry : bundle::contents_of_path(path).entries)
            files.emplace_back(entry.name, entry.at);
    } else {
        files.emplace_back(path.filename().string(), path);
    }
    return lineage::trace_files(path.string(), files);
}

int lineage_verb(const Options& o) {
    const Store store = Store::open();
    const LocatedModel located = locate_model(store, o.model);
    const lineage::Node root = located.stored ? lineage::trace(store, *located.stored) : node_of_path(located.path);
    std::vector<StoredModel> made;
    if (located.stored) made = lineage::descendants(store, located.stored->digest);
    if (o.json) {
        ValueList list;
        for (const StoredModel& model : made)
            list.emplace_back(ValueMap{{"name", model.name.str()}, {"digest", model.digest}});
        out(to_json(Value(ValueMap{{"tree", lineage::to_value(root)}, {"made_from_it", std::move(list)}}), 2) + "\n");
        return 0;
    }
    for (const std::string& line : lineage::tree_lines(root)) out(line + "\n");
    for (const StoredModel& model : made)
        out(fmt::format("made from it: {}  {}\n", model.name.str(), model.digest.substr(0, 19)));
    return 0;
}

}  // namespace

Action setup_lineage(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model, "A stored name, a model's folder, or a model file")
        ->required()
        ->type_name("MODEL");
    add_json_flag(app, o->json);
    app.footer(
        "Below a model stands what it was made from, down to the data. A digest ties a version to its parent; what "
        "only\n"
        "a card or a file says is marked as claimed; a line with ? is something that is not known.\n\n"
        "Examples\n"
        "  freehold lineage smollm2:135m\n"
        "  freehold lineage my-adapter --json");
    return [o] { return lineage_verb(*o); };
}

}  // namespace freehold::cli
