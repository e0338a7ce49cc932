// freehold rm: removes names; bytes that no name needs any more go with the last one.
#include <fmt/format.h>

#include "../console.h"
#include "../session.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::vector<std::string> models;
    bool json = false;
};

int rm_verb(const Options& o) {
    Store store = Store::open();
    // All names are looked up before the first one goes.
    std::vector<ModelName> names;
    for (const auto& model : o.models) names.push_back(store.get(ModelName::parse(model)).name);
    ValueList list;
    for (const auto& name : names) {
        const GcResult freed = store.remove(name);
        if (o.json) {
            ValueMap map;
            map.set("name", name.str());
            map.set("files", freed.files);
            map.set("bytes", freed.bytes);
            list.emplace_back(std::move(map));
        } else {
            out(freed.bytes > 0
                    ? fmt::format("{} is removed; {} are free again.\n", name.str(), human_bytes(freed.bytes))
                    : fmt::format("{} is removed; its bytes belong to another name too.\n", name.str()));
        }
    }
    if (o.json) out(to_json(Value(std::move(list)), 2) + "\n");
    return 0;
}

}  // namespace

Action setup_rm(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->models, "Stored models")->required()->type_name("MODEL");
    add_json_flag(app, o->json);
    app.footer("Files used in place (pull --link) stay where they are.\n\nExamples\n  freehold rm smollm2:135m");
    return [o] { return rm_verb(*o); };
}

}  // namespace freehold::cli
