// Lineage, recipe and results as documents of our own form, each with a "format" line, plain JSON.
#include <fmt/format.h>

#include <algorithm>

#include "documents.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

// From the first known ancestor down to the model itself.
void add_steps(const lineage::Node& node, ValueList& steps) {
    for (const lineage::Node& parent : node.parents)
        if (parent.kind != "dataset" && parent.tie == lineage::Tie::digest) add_steps(parent, steps);
    ValueMap step;
    step.set("makes", node.name.empty() ? node.digest : node.name);
    if (!node.digest.empty()) step.set("manifest", node.digest);
    ValueList inputs;
    for (const lineage::Node& parent : node.parents) {
        ValueMap input{{"kind", parent.kind}, {"name", parent.name.empty() ? parent.digest : parent.name}};
        input.set("relation", parent.relation);
        input.set("digest", parent.digest.empty() ? Value() : Value(parent.digest));
        inputs.emplace_back(std::move(input));
    }
    step.set("from", std::move(inputs));
    if (!node.source.empty()) step.set("source", node.source);
    if (!node.revision.empty()) step.set("revision", node.revision);
    if (!node.quantisation.empty()) step.set("quantisation", node.quantisation);
    step.set("not_known", node.gaps);
    steps.emplace_back(std::move(step));
}

}  // namespace

std::string file_stem(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                          c == '_' || c == '-';
        out += word ? c : '-';
    }
    out = out.substr(0, 100);
    while (!out.empty() && out.front() == '.') out.erase(0, 1);
    return out.empty() ? "unnamed" : out;
}

std::string lineage_document(const Subject& s) {
    return to_json(Value(ValueMap{{"format", "freehold.lineage/1"},
                                  {"model", s.name},
                                  {"content", "sha256:" + s.content},
                                  {"tree", lineage::to_value(s.origin)}}),
                   2) +
           "\n";
}

std::string recipe_document(const Subject& s, Gaps& gaps) {
    ValueMap out{{"format", "freehold.recipe/1"}, {"model", s.name}};
    ValueList steps;
    add_steps(s.origin, steps);
    out.set("steps", std::move(steps));
    // What a recipe, or whoever made the version here, put on it: system message, template, parameters.
    for (const char* key : {"recipe", "created"})
        if (const Value* said = s.record.extra.find(key))
            out.set(key == std::string_view("created") ? "settings" : key, *said);
    for (const char* key : {"training_procedure", "preprocessing", "hyperparameters"})
        if (const std::string text = s.facts.text(key); !text.empty())
            out.set(key, text);
        else
            gaps.push_back({"recipe", fmt::format("{} (facts: {})", key, key)});
    if (s.record.extra.find("recipe") == nullptr)
        gaps.push_back({"recipe", "the recipe of the training: the store knows none for this model"});
    return to_json(Value(std::move(out)), 2) + "\n";
}

std::string results_document(const Subject& s) {
    ValueList results;
    for (const EvalResult& r : s.facts.results)
        results.emplace_back(ValueMap{{"task", r.task},
                                      {"dataset", r.dataset},
                                      {"dataset_type", r.dataset_type},
                                      {"split", r.split},
                                      {"metric", r.metric},
                                      {"value", r.value},
                                      {"by", "the packer's facts"}});
    return to_json(
               Value(ValueMap{{"format", "freehold.evaluation/1"}, {"model", s.name}, {"results", std::move(results)}}),
               2) +
           "\n";
}

}  // namespace freehold::bundle
