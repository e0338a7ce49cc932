// freehold cp: a second name for the same version of a model; nothing is copied on disk.
#include <fmt/format.h>

#include "../console.h"
#include "../model_json.h"
#include "../session.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string from, to;
    bool force = false, json = false;
};

int cp_verb(const Options& o) {
    Store store = Store::open();
    const StoredModel model = store.copy(ModelName::parse(o.from), ModelName::parse(o.to), o.force);
    out(o.json ? to_json(Value(stored_model_json(model)), 2) + "\n"
               : fmt::format("{} is now a name of {}.\n", model.name.str(), o.from));
    return 0;
}

}  // namespace

Action setup_cp(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FROM", o->from, "A stored model")->required()->type_name("FROM");
    app.add_option("TO", o->to, "The new name[:tag]")->required()->type_name("TO");
    app.add_flag("-f,--force", o->force, "Take the name away from another model");
    add_json_flag(app, o->json);
    app.footer(
        "Both names mean the same bytes, which are stored once.\n\nExamples\n  freehold cp smollm2:135m "
        "helper:current");
    return [o] { return cp_verb(*o); };
}

}  // namespace freehold::cli
