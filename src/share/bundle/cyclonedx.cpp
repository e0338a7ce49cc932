// The bill of materials as CycloneDX 1.6 (ECMA-424): the model as a component with its model card, its files and data
// as components, its base as pedigree. What is not known is left out and counted as a gap; nothing is canonical in
// CycloneDX, so the order of this file is the order of the document.
#include <fmt/format.h>

#include "documents.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

ValueMap licence_of(const LicenceSay& say, const char* acknowledgement) {
    ValueMap one;
    // Only identifiers of SPDX's list may be ids; a name may be anything.
    if (say.spdx)
        one.set("id", say.id);
    else
        one.set("name", say.name.empty() ? say.id : say.name);
    one.set("acknowledgement", acknowledgement);
    return ValueMap{{"license", std::move(one)}};
}

ValueList licences_of(const Subject& s) {
    ValueList out;
    if (!s.declared.empty()) out.emplace_back(licence_of(s.declared, "declared"));
    if (!s.concluded.empty()) out.emplace_back(licence_of(s.concluded, "concluded"));
    return out;
}

ValueList sha256_list(const std::string& hex) {
    return ValueList{Value(ValueMap{{"alg", "SHA-256"}, {"content", hex}})};
}

std::string ref_of_data(const Dataset& set) {
    return "data:" + set.name;
}

ValueMap property(const std::string& name, const std::string& value) {
    return ValueMap{{"name", name}, {"value", value}};
}

ValueMap model_parameters(const Subject& s, Gaps& gaps) {
    ValueMap out;
    if (const std::string approach = s.facts.text("approach"); !approach.empty())
        out.set("approach", ValueMap{{"type", approach}});
    else
        gaps.push_back({"CycloneDX", "the kind of learning (facts: approach)"});
    if (const std::string task = s.task(); !task.empty())
        out.set("task", task);
    else
        gaps.push_back({"CycloneDX", "the task of the model (pipeline_tag in the card)"});
    if (const std::string& family = s.record.architecture.empty() ? s.origin.architecture : s.record.architecture;
        !family.empty()) {
        out.set("architectureFamily", family);
        out.set("modelArchitecture", family);
    }
    ValueList sets;
    for (const Dataset& set : s.datasets)
        if (set.relation == "trained on") sets.emplace_back(ValueMap{{"ref", ref_of_data(set)}});
    if (!sets.empty()) out.set("datasets", std::move(sets));
    if (s.task() == "text-generation") {
        out.set("inputs", ValueList{Value(ValueMap{{"format", "text"}})});
        out.set("outputs", ValueList{Value(ValueMap{{"format", "text"}})});
    }
    return out;
}

ValueMap considerations(const Subject& s, Gaps& gaps) {
    ValueMap out;
    const auto list = [&](const char* fact, const char* key) {
        if (const std::string text = s.facts.text(fact); !text.empty())
            out.set(key, std::vector<std::string>{text});
        else
            gaps.push_back({"CycloneDX", fmt::format("{} (facts: {})", key, fact)});
    };
    list("uses", "useCases");
    list("limitations", "technicalLimitations");
    if (const std::string bias = s.facts.text("bias"); !bias.empty())
        out.set("ethicalConsiderations", ValueList{Value(ValueMap{{"name", bias}})});
    return out;
}

ValueMap model_card_of(const Subject& s, Gaps& gaps) {
    ValueMap out{{"bom-ref", "model-card"}, {"modelParameters", model_parameters(s, gaps)}};
    ValueList metrics;
    for (const EvalResult& r : s.facts.results)
        metrics.emplace_back(ValueMap{{"type", r.metric},
                                      {"value", to_json(Value(r.value))},
                                      {"slice", r.dataset.empty() ? std::string("not said") : r.dataset}});
    if (!metrics.empty())
        out.set("quantitativeAnalysis", ValueMap{{"performanceMetrics", std::move(metrics)}});
    else
        gaps.push_back({"CycloneDX", "results of an evaluation (facts: results)"});
    if (ValueMap said = considerations(s, gaps); !said.empty()) out.set("considerations", std::move(said));
    return out;
}

ValueMap ancestor_of(const lineage::Node& node) {
    ValueMap out{{"type", "machine-learning-model"}, {"name", node.name.empty() ? node.digest : node.name}};
    if (!node.revision.empty()) out.set("version", node.revision);
    out.set("description", fmt::format("{} ({}: {})", node.relation,
                                       node.tie == lineage::Tie::digest ? "tied by digest" : "claimed", node.evidence));
    if (!node.digest.empty()) out.set("properties", ValueList{Value(property("freehold:manifest", node.digest))});
    return out;
}

ValueMap model_component(const Subject& s, Gaps& gaps) {
    ValueMap out{{"type", "machine-learning-model"}, {"bom-ref", "model"}, {"name", s.name}, {"version", s.version}};
    if (const std::string supplier = s.facts.text("supplier"); !supplier.empty()) {
        ValueMap who{{"name", supplier}};
        if (const std::string url = s.facts.text("supplier_url"); !url.empty())
            who.set("url", std::vector<std::string>{url});
        out.set("supplier", std::move(who));
    } else {
        gaps.push_back({"CycloneDX", "who supplies the model (facts: supplier)"});
    }
    if (const std::string text =
            s.facts.text("description").empty() ? s.record.description : s.facts.text("description");
        !text.empty())
        out.set("description", text);
    if (const auto weights = s.weights(); weights.size() == 1) out.set("hashes", sha256_list(weights.front()->sha256));
    if (ValueList licences = licences_of(s); !licences.empty())
        out.set("licenses", std::move(licences));
    else
        gaps.push_back({"CycloneDX", "a licence: nothing names one"});
    ValueList ancestors;
    for (const lineage::Node* base : s.bases()) ancestors.emplace_back(ancestor_of(*base));
    if (!ancestors.empty()) out.set("pedigree", ValueMap{{"ancestors", std::move(ancestors)}});
    if (const std::string url = s.address(); !url.empty())
        out.set("externalReferences", ValueList{Value(ValueMap{{"url", url}, {"type", "distribution"}})});
    out.set("modelCard", model_card_of(s, gaps));
    ValueList properties;
    if (!s.digest.empty()) properties.emplace_back(property("freehold:manifest", s.digest));
    properties.emplace_back(property("freehold:content", "sha256:" + s.content));
    if (s.record.parameters > 0)
        properties.emplace_back(property("freehold:parameters", fmt::format("{}", s.record.parameters)));
    if (!s.record.quantisation.empty())
        properties.emplace_back(property("freehold:quantisation", s.record.quantisation));
    if (s.record.context > 0)
        properties.emplace_back(property("freehold:context", fmt::format("{}", s.record.context)));
    out.set("properties", std::move(properties));
    return out;
}

ValueMap data_component(const Dataset& set) {
    ValueMap about{{"type", "dataset"}, {"name", set.name}};
    if (!set.url.empty()) about.set("contents", ValueMap{{"url", set.url}});
    if (!set.description.empty()) about.set("description", set.description);
    if (!set.creator.empty())
        about.set("governance",
                  ValueMap{{"owners", ValueList{Value(ValueMap{{"organization", ValueMap{{"name", set.creator}}}})}}});
    ValueMap out{{"type", "data"}, {"bom-ref", ref_of_data(set)}, {"name", set.name}};
    if (!set.version.empty()) out.set("version", set.version);
    if (!set.licence.empty()) {
        const licence::Known* known = licence::find_known(set.licence);
        out.set("licenses",
                ValueList{Value(licence_of(known == nullptr ? LicenceSay{set.licence, set.licence, {}, false}
                                                            : LicenceSay{known->id, known->name, {}, known->spdx},
                                           "declared"))});
    }
    out.set("data", ValueList{Value(std::move(about))});
    out.set("properties", ValueList{Value(property("freehold:evidence", set.evidence)),
                                    Value(property("freehold:relation", set.relation))});
    return out;
}

}  // namespace

std::string cyclonedx(const Subject& s, Gaps& gaps) {
    ValueList components;
    for (const SubjectFile& file : s.files)
        components.emplace_back(ValueMap{{"type", "file"},
                                         {"bom-ref", "file:" + file.path},
                                         {"mime-type", file.media_type},
                                         {"name", file.path},
                                         {"hashes", sha256_list(file.sha256)},
                                         {"properties", ValueList{Value(property("freehold:role", file.role))}}});
    for (const Dataset& set : s.datasets) components.emplace_back(data_component(set));
    if (s.datasets.empty()) gaps.push_back({"CycloneDX", "training data: none is named (facts: datasets)"});
    ValueMap tool{{"type", "application"}, {"name", "Freehold"}, {"version", s.tool_version}};
    ValueMap metadata{{"timestamp", s.timestamp()},
                      {"tools", ValueMap{{"components", ValueList{Value(std::move(tool))}}}},
                      {"component", model_component(s, gaps)}};
    std::vector<std::string> parts;
    for (const SubjectFile& file : s.files) parts.push_back("file:" + file.path);
    // Said aloud: there is more to this model than could be found.
    ValueMap composition{{"aggregate", "incomplete"}, {"assemblies", std::vector<std::string>{"model"}}};
    ValueMap out{{"$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json"},
                 {"bomFormat", "CycloneDX"},
                 {"specVersion", "1.6"},
                 {"serialNumber", "urn:uuid:" + s.uuid("cyclonedx")},
                 {"version", 1},
                 {"metadata", std::move(metadata)},
                 {"components", std::move(components)},
                 {"dependencies", ValueList{Value(ValueMap{{"ref", "model"}, {"dependsOn", parts}})}},
                 {"compositions", ValueList{Value(std::move(composition))}}};
    return to_json(Value(std::move(out)), 2) + "\n";
}

}  // namespace freehold::bundle
