// The bill of materials as SPDX 3.0.1 (ISO/IEC 5962's successor) in JSON-LD, profiles core, software, AI and dataset.
// A profile is claimed only where everything that its text asks for is there: neither schema nor shapes look at that.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "documents.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

constexpr const char* kContext = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
constexpr const char* kNoLicence = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense";
constexpr std::array<const char*, 13> kDataTypes = {"audio",   "categorical", "graph",  "image",      "noAssertion",
                                                    "numeric", "other",       "sensor", "structured", "syntactic",
                                                    "text",    "timeseries",  "video"};

const char* purpose_of(const std::string& role) {
    if (role == "weights") return "model";
    if (role == "config" || role == "tokenizer" || role == "template") return "configuration";
    if (role == "licence" || role == "card" || role == "upstream-card") return "documentation";
    return role == "code" ? "source" : "other";
}

class Graph {
 public:
    Graph(const Subject& subject, Gaps& gaps) : s_(subject), gaps_(gaps), base_("urn:uuid:" + subject.uuid("spdx")) {}

    std::string run() {
        add_agents();
        add_model();
        for (const SubjectFile& file : s_.files) add_file(file);
        relate(kModel, "contains", files_);
        for (const lineage::Node* node : s_.bases()) add_base(*node);
        for (const Dataset& set : s_.datasets) add_dataset(set);
        add_licences();
        return document();
    }

 private:
    static constexpr const char* kModel = "model";

    [[nodiscard]] std::string id(std::string_view part) const { return fmt::format("{}#{}", base_, part); }

    // An element with what every element has.
    ValueMap element(const char* type, std::string_view part) {
        ids_.push_back(id(part));
        return ValueMap{{"type", type}, {"spdxId", id(part)}, {"creationInfo", "_:creation"}};
    }

    void relate(std::string_view from, const char* type, const std::vector<std::string>& to) {
        if (to.empty()) return;
        ValueMap r = element("Relationship", fmt::format("relation-{}", ++relations_));
        r.set("from", id(from));
        r.set("relationshipType", type);
        r.set("to", to);
        graph_.emplace_back(std::move(r));
    }

    // False: it is not known, which is a gap, and the profile is then not claimed.
    bool need(ValueMap& map, const char* key, const std::string& value, const std::string& what, bool& complete) {
        if (!value.empty()) {
            map.set(key, value);
            return true;
        }
        complete = false;
        gaps_.push_back({"SPDX", what});
        return false;
    }

    void add_agents() {
        ValueMap creation{{"type", "CreationInfo"},
                          {"@id", "_:creation"},
                          {"specVersion", "3.0.1"},
                          {"created", s_.timestamp()},
                          {"createdBy", std::vector<std::string>{id("freehold")}}};
        graph_.emplace_back(std::move(creation));
        ValueMap us = element("SoftwareAgent", "freehold");
        us.set("name", fmt::format("Freehold {}", s_.tool_version));
        graph_.emplace_back(std::move(us));
        if (const std::string who = s_.facts.text("supplier"); !who.empty()) {
            ValueMap supplier = element("Organization", "supplier");
            supplier.set("name", who);
            graph_.emplace_back(std::move(supplier));
        }
    }

    // "2026-01-02" or a whole time.
    static std::string time_of(const std::string& text) {
        if (text.size() == 10) return seconds_of(text + "T00:00:00Z") ? text + "T00:00:00Z" : "";
        return seconds_of(text) ? text : "";
    }

    void add_model() {
        ValueMap m = element("ai_AIPackage", kModel);
        m.set("name", s_.name);
        m.set("software_packageVersion", s_.version);
        m.set("software_primaryPurpose", "model");
        need(m, "software_downloadLocation", s_.address(), "where the model is got from (facts: download_url)", ai_);
        need(m, "releaseTime", time_of(s_.facts.text("release_date")), "when it was released (facts: release_date)",
             ai_);
        need(m, "suppliedBy", s_.facts.text("supplier").empty() ? "" : id("supplier"),
             "who supplies the model (facts: supplier)", ai_);
        if (const std::string text = s_.facts.text("description"); !text.empty()) m.set("description", text);
        const auto optional = [&](const char* key, const char* fact) {
            if (const std::string text = s_.facts.text(fact); !text.empty()) m.set(key, text);
        };
        optional("ai_informationAboutTraining", "training_procedure");
        optional("ai_informationAboutApplication", "uses");
        optional("ai_limitation", "limitations");
        const auto list = [&](const char* key, const std::string& text) {
            if (!text.empty()) m.set(key, std::vector<std::string>{text});
        };
        list("ai_modelDataPreprocessing", s_.facts.text("preprocessing"));
        list("ai_typeOfModel", s_.record.architecture.empty() ? s_.origin.architecture : s_.record.architecture);
        list("ai_domain", s_.task());
        ValueList metrics;
        for (const EvalResult& r : s_.facts.results)
            metrics.emplace_back(ValueMap{{"type", "DictionaryEntry"},
                                          {"key", r.dataset.empty() ? r.metric : r.metric + " on " + r.dataset},
                                          {"value", to_json(Value(r.value))}});
        if (!metrics.empty()) m.set("ai_metric", std::move(metrics));
        if (const auto weights = s_.weights(); weights.size() == 1)
            m.set("verifiedUsing", hash_list(weights.front()->sha256));
        graph_.emplace_back(std::move(m));
    }

    static ValueList hash_list(const std::string& hex) {
        return ValueList{Value(ValueMap{{"type", "Hash"}, {"algorithm", "sha256"}, {"hashValue", hex}})};
    }

    void add_file(const SubjectFile& file) {
        const std::string part = fmt::format("file-{}", files_.size() + 1);
        ValueMap f = element("software_File", part);
        f.set("name", file.path);
        f.set("software_primaryPurpose", purpose_of(file.role));
        f.set("contentType", file.media_type);
        f.set("verifiedUsing", hash_list(file.sha256));
        graph_.emplace_back(std::move(f));
        files_.push_back(id(part));
    }

    void add_base(const lineage::Node& node) {
        const std::string part = fmt::format("base-{}", ++bases_);
        ValueMap b = element("ai_AIPackage", part);
        b.set("name", node.name.empty() ? node.digest : node.name);
        b.set("software_primaryPurpose", "model");
        if (!node.revision.empty()) b.set("software_packageVersion", node.revision);
        b.set("comment", fmt::format("{} ({}: {}){}", node.relation,
                                     node.tie == lineage::Tie::digest ? "tied by digest" : "claimed", node.evidence,
                                     node.digest.empty() ? "" : "; its manifest: " + node.digest));
        graph_.emplace_back(std::move(b));
        // Only what its own bill of materials could say is missing: release, supplier, address, licence.
        ai_ = false;
        relate(kModel, "descendantOf", {id(part)});
    }

    void add_dataset(const Dataset& set) {
        const std::string part = fmt::format("data-{}", ++sets_);
        ValueMap d = element("dataset_DatasetPackage", part);
        d.set("name", set.name);
        d.set("software_primaryPurpose", "data");
        const auto missing = [&](const char* what) { return fmt::format("the data set {}: {}", set.name, what); };
        need(d, "software_downloadLocation", set.url, missing("where it is got from"), data_);
        if (const std::string when = time_of(set.published);
            need(d, "releaseTime", when, missing("when it was published"), data_))
            d.set("builtTime", when);
        if (set.creator.empty()) {
            data_ = false;
            gaps_.push_back({"SPDX", missing("who made it")});
        } else {
            ValueMap maker = element("Organization", part + "-maker");
            maker.set("name", set.creator);
            graph_.emplace_back(std::move(maker));
            d.set("originatedBy", std::vector<std::string>{id(part + "-maker")});
        }
        if (!set.version.empty()) d.set("software_packageVersion", set.version);
        if (!set.description.empty()) d.set("description", set.description);
        std::vector<std::string> types;
        for (const std::string& type : set.types)
            if (std::ranges::any_of(kDataTypes, [&](const char* t) { return type == t; })) types.push_back(type);
        if (types.empty()) types.emplace_back("noAssertion");
        d.set("dataset_datasetType", types);
        d.set("comment", fmt::format("named by {}", set.evidence));
        graph_.emplace_back(std::move(d));
        relate(kModel, set.relation == "tested on" ? "testedOn" : "trainedOn", {id(part)});
        const licence::Known* known = set.licence.empty() ? nullptr : licence::find_known(set.licence);
        const LicenceSay say = known != nullptr      ? LicenceSay{known->id, known->name, {}, known->spdx}
                               : set.licence.empty() ? LicenceSay{}
                                                     : LicenceSay{"LicenseRef-claimed", set.licence, {}, false};
        relate(part, "hasDeclaredLicense", {licence(say)});
        relate(part, "hasConcludedLicense", {kNoLicence});
    }

    // The element of a licence, made at its first use.
    std::string licence(const LicenceSay& say) {
        if (say.empty()) return kNoLicence;
        const std::string part = "licence-" + file_stem(say.id + (say.spdx ? "" : "-" + say.name));
        if (!licences_.insert(part).second) return id(part);
        ValueMap l = element("simplelicensing_LicenseExpression", part);
        l.set("simplelicensing_licenseExpression", say.id);
        if (!say.spdx) {
            ValueMap text = element("simplelicensing_SimpleLicensingText", part + "-text");
            text.set("name", say.name);
            const licence::Known* known = licence::find_known(say.id);
            const std::string_view words = known == nullptr ? std::string_view() : licence::text_of(*known);
            text.set(
                "simplelicensing_licenseText",
                words.empty() ? fmt::format("Named as \"{}\"; its text is not here.", say.name) : std::string(words));
            graph_.emplace_back(std::move(text));
            l.set("simplelicensing_customIdToUri",
                  ValueList{
                      Value(ValueMap{{"type", "DictionaryEntry"}, {"key", say.id}, {"value", id(part + "-text")}})});
        }
        graph_.emplace_back(std::move(l));
        return id(part);
    }

    void add_licences() {
        relate(kModel, "hasDeclaredLicense", {licence(s_.declared)});
        relate(kModel, "hasConcludedLicense", {licence(s_.concluded)});
        if (s_.declared.empty()) gaps_.push_back({"SPDX", "a licence: nothing names one"});
        if (s_.concluded.empty()) gaps_.push_back({"SPDX", "a licence text that is exactly a known one"});
    }

    std::string document() {
        ValueMap doc{{"type", "SpdxDocument"},
                     {"spdxId", id("document")},
                     {"creationInfo", "_:creation"},
                     {"name", fmt::format("{} {}", s_.name, s_.version)}};
        std::vector<std::string> profiles = {"core", "software", "simpleLicensing"};
        if (ai_) profiles.emplace_back("ai");
        if (data_ && sets_ > 0) profiles.emplace_back("dataset");
        doc.set("profileConformance", profiles);
        if (!ai_ || !data_)
            doc.set("comment",
                    fmt::format("What the {} ask{} for is not wholly known, so conformance with {} is not claimed.",
                                ai_     ? "profile for data sets"
                                : data_ ? "profile for AI packages"
                                        : "profiles for AI packages and data sets",
                                ai_ || data_ ? "s" : "", ai_ || data_ ? "it" : "them"));
        doc.set("rootElement", std::vector<std::string>{id(kModel)});
        doc.set("element", ids_);
        graph_.emplace_back(std::move(doc));
        return to_json(Value(ValueMap{{"@context", kContext}, {"@graph", std::move(graph_)}}), 2) + "\n";
    }

    const Subject& s_;
    Gaps& gaps_;
    std::string base_;
    ValueList graph_;
    std::vector<std::string> ids_, files_;
    std::set<std::string> licences_;
    int relations_ = 0, bases_ = 0, sets_ = 0;
    bool ai_ = true, data_ = true;  // is everything there that the profile's text asks for?
};

}  // namespace

std::string spdx(const Subject& subject, Gaps& gaps) {
    return Graph(subject, gaps).run();
}

}  // namespace freehold::bundle
