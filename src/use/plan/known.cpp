// The configurations that are known by name: configs.json, built into the library.
#include <algorithm>

#include "configs_text.h"
#include "freehold/base/error.h"
#include "freehold/plan/shape.h"

namespace freehold::plan {
namespace {

std::vector<KnownConfig> parse() {
    const Value root = parse_json(configs_text(), "the catalogue of configurations");
    std::vector<KnownConfig> known;
    const Value* list = root.get<ValueMap>() == nullptr ? nullptr : root.get<ValueMap>()->find("models");
    if (list == nullptr) throw Error(ErrorKind::internal, "The catalogue of configurations has no \"models\".");
    for (std::size_t i = 0; i < list->size(); ++i) {
        const Value entry = list->at(i);
        const ValueMap& map = *entry.get<ValueMap>();
        KnownConfig k;
        k.name = *map.find("name")->as_string();
        const Value& aliases = *map.find("aliases");
        for (std::size_t a = 0; a < aliases.size(); ++a) k.aliases.emplace_back(*aliases.at(a).as_string());
        k.source = *map.find("source")->as_string();
        k.verified = *map.find("verified")->as_bool();
        if (const Value* note = map.find("note")) k.note = *note->as_string();
        k.config = *map.find("config")->get<ValueMap>();
        known.push_back(std::move(k));
    }
    return known;
}

}  // namespace

std::span<const KnownConfig> known_configs() {
    static const std::vector<KnownConfig> known = parse();
    return known;
}

const KnownConfig* find_config(std::string_view name) {
    for (const KnownConfig& k : known_configs())
        if (k.name == name || std::find(k.aliases.begin(), k.aliases.end(), name) != k.aliases.end()) return &k;
    return nullptr;
}

}  // namespace freehold::plan
