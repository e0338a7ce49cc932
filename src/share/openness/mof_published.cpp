// Reads a release as the Model Openness Tool publishes it and looks its licences up in the tool's order.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/openness/mof.h"

namespace freehold::openness {
namespace {

std::string scalar(const YAML::Node& node, const char* key) {
    if (!node.IsMap()) return {};
    const YAML::Node value = node[key];
    return value && value.IsScalar() ? value.Scalar() : std::string();
}

// A component with a licence of its own that is empty has none: the tool does not fall back then.
std::string licence_of(const YAML::Node& component, const YAML::Node& release_licence, Kind kind) {
    if (component["license"] && !component["license"].IsNull()) return scalar(component, "license");
    if (!release_licence || !release_licence.IsMap()) return {};
    for (const char* which : {kind_key(kind), "distribution"}) {
        const YAML::Node entry = release_licence[which];
        if (!entry || !entry.IsMap()) continue;
        if (std::string name = scalar(entry, "name"); !name.empty()) return name;
    }
    return {};
}

}  // namespace

PublishedRelease read_published(std::string_view yaml, std::string_view what) {
    PublishedRelease out;
    YAML::Node root;
    try {
        root = YAML::Load(std::string(yaml));
    } catch (const YAML::Exception& e) {
        throw Error(ErrorKind::bad_file, fmt::format("{} is no YAML: line {}, {}.", what, e.mark.line + 1, e.msg),
                    "Give a file in the form that the Model Openness Tool publishes.");
    }
    const YAML::Node release = root.IsMap() ? root["release"] : YAML::Node();
    if (!release || !release.IsMap() || !release["components"] || !release["components"].IsSequence())
        throw Error(ErrorKind::bad_file, fmt::format("{} has no release with a list of components.", what),
                    "Give a file in the form that the Model Openness Tool publishes.");
    out.name = printable(scalar(release, "name"));
    out.version = printable(scalar(release, "version"));
    out.producer = printable(scalar(release, "producer"));
    for (const YAML::Node& component : release["components"]) {
        const ComponentInfo* known = component.IsMap() ? find_component(scalar(component, "name")) : nullptr;
        if (known == nullptr || *known->mof == '\0') continue;
        out.components.push_back({known->id, licence_of(component, release["license"], known->kind)});
    }
    return out;
}

}  // namespace freehold::openness
