// A lineage as a tree of values for --json and bundles, and as lines for people.
#include <fmt/format.h>

#include <array>

#include "freehold/base/printable.h"
#include "freehold/lineage/lineage.h"

namespace freehold::lineage {
namespace {

void set_text(ValueMap& map, const char* key, const std::string& text) {
    if (!text.empty()) map.set(key, text);
}

std::string head_of(const Node& node) {
    std::string out = node.relation.empty() ? "" : printable(node.relation) + " ";
    if (node.kind == "dataset") out += "data ";
    if (node.kind == "adapter" && node.relation.empty()) out += "adapter ";
    out += node.name.empty() ? "a model without a name" : printable(node.name);
    if (!node.digest.empty()) out += fmt::format("  {}", node.digest.substr(0, 19));
    if (node.tie == Tie::claim && !node.relation.empty())
        out += fmt::format("  (claimed: {})", printable(node.evidence));
    else if (!node.here)
        out += "  (not on this machine)";
    return out;
}

void add_lines(const Node& node, const std::string& first, const std::string& rest, std::vector<std::string>& out) {
    out.push_back(first + head_of(node));
    const std::string bar = node.parents.empty() ? "   " : "│  ";
    std::string what;
    for (const std::string& part : {node.architecture, node.quantisation, node.licence})
        if (!part.empty()) what += (what.empty() ? "" : ", ") + printable(part);
    if (!what.empty() && node.kind != "dataset") out.push_back(rest + bar + what);
    if (!node.source.empty())
        out.push_back(rest + bar + "from " + printable(node.source) +
                      (node.revision.empty() ? "" : " at " + printable(node.revision)));
    for (const std::string& gap : node.gaps) out.push_back(rest + bar + "? " + printable(gap, 400));
    for (std::size_t i = 0; i < node.parents.size(); ++i) {
        const bool last = i + 1 == node.parents.size();
        add_lines(node.parents[i], rest + (last ? "└─ " : "├─ "), rest + (last ? "   " : "│  "), out);
    }
}

}  // namespace

Value to_value(const Node& node) {
    ValueMap map;
    map.set("kind", node.kind);
    set_text(map, "name", node.name);
    set_text(map, "digest", node.digest);
    set_text(map, "relation", node.relation);
    if (!node.relation.empty()) {
        map.set("tie", node.tie == Tie::digest ? "digest" : "claim");
        map.set("evidence", node.evidence);
    }
    map.set("here", node.here);
    set_text(map, "source", node.source);
    set_text(map, "revision", node.revision);
    set_text(map, "created", node.created);
    set_text(map, "architecture", node.architecture);
    set_text(map, "quantisation", node.quantisation);
    set_text(map, "licence", node.licence);
    if (node.parameters > 0) map.set("parameters", node.parameters);
    ValueList files, parents;
    for (const auto& [path, digest] : node.files) files.emplace_back(ValueMap{{"path", path}, {"digest", digest}});
    if (!files.empty()) map.set("files", std::move(files));
    for (const Node& parent : node.parents) parents.push_back(to_value(parent));
    map.set("parents", std::move(parents));
    map.set("not_known", node.gaps);
    return Value(std::move(map));
}

std::vector<std::string> tree_lines(const Node& node) {
    std::vector<std::string> out;
    add_lines(node, "", "", out);
    return out;
}

}  // namespace freehold::lineage
