// Follows parents through the store, and gathers the claims of cards, GGUF keys and adapter configs where it ends.
#include "freehold/lineage/lineage.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/origin.h"
#include "freehold/lineage/front_matter.h"

namespace freehold::lineage {
namespace {

constexpr int kDeepest = 16;
constexpr std::uint64_t kMaxCard = 16U << 20U;
constexpr std::size_t kMaxClaims = 100;

std::string extra_text(const ModelRecord& record, std::string_view key) {
    const Value* value = record.extra.find(key);
    return value == nullptr ? std::string() : printable(value->as_string().value_or(""));
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

Node claimed(const char* kind, std::string name, const char* relation, std::string evidence) {
    Node out;
    out.kind = kind;
    out.name = std::move(name);
    out.relation = relation;
    out.tie = Tie::claim;
    out.evidence = std::move(evidence);
    return out;
}

// What the files of one model say about where it comes from.
class Claims {
 public:
    explicit Claims(Node& node) : node_(node) {}

    void read(const Files& files) {
        for (const auto& [name, at] : files) {
            try {
                if (name == "README.md" || name == "upstream/README.md") card(name, read_text(at, kMaxCard));
                if (name == "config.json") {
                    const Value tree = parse_json(read_text(at, kMaxCard), name);
                    if (const ValueMap* map = tree.get<ValueMap>(); map != nullptr) origin(name, *map);
                }
                if (name == "adapter_config.json") adapter(name, read_text(at, kMaxCard));
                if (name.ends_with(".gguf")) gguf(name, at);
            } catch (const Error& e) {
                if (e.kind() == ErrorKind::cancelled) throw;
                // Without the sentence of the fault: it names paths of this machine, and a lineage is passed on.
                node_.gaps.push_back(fmt::format("{} could not be read ({}).", printable(name), kind_name(e.kind())));
            }
        }
    }

 private:
    void add(Node parent) {
        if (parent.name.empty() || node_.parents.size() >= kMaxClaims) return;
        // The same name from two files is one claim with two witnesses.
        for (Node& known : node_.parents) {
            if (known.kind != parent.kind || lower(known.name) != lower(parent.name) || known.tie != Tie::claim)
                continue;
            if (known.evidence.find(parent.evidence) == std::string::npos) known.evidence += "; " + parent.evidence;
            return;
        }
        node_.parents.push_back(std::move(parent));
    }

    void card(const std::string& name, const std::string& text) {
        const FrontMatter matter = read_front_matter(text);
        const std::string said = matter.one("base_model_relation");
        const char* const relation = said == "quantized"  ? "quantised from"
                                     : said == "adapter"  ? "adapter of"
                                     : said == "merge"    ? "merged from"
                                     : said == "finetune" ? "fine-tuned from"
                                                          : "derived from";
        for (const std::string& base : matter.all("base_model"))
            add(claimed("model", base, relation, fmt::format("{}, base_model", name)));
        for (const std::string& set : matter.all("datasets"))
            add(claimed("dataset", set, "trained on", fmt::format("{}, datasets", name)));
        if (node_.licence.empty()) node_.licence = matter.one("license");
    }

    void adapter(const std::string& name, const std::string& text) {
        const Value tree = parse_json(text, name);
        const ValueMap* map = tree.get<ValueMap>();
        const Value* base = map == nullptr ? nullptr : map->find("base_model_name_or_path");
        if (base != nullptr && base->as_string())
            add(claimed("model", printable(*base->as_string()), "adapter of",
                        fmt::format("{}, base_model_name_or_path", name)));
    }

    // The files that it was made from, by their digests.
    void origin(const std::string& name, const ValueMap& meta) {
        for (const auto& [key, relation] :
             {std::pair{kQuantisedFrom, "quantised from"}, {kConvertedFrom, "converted from"}}) {
            const Value* const said = meta.find(key);
            if (said == nullptr) continue;
            const std::vector<std::string> digests = digests_in(said->as_string().value_or(""));
            if (digests.empty()) continue;
            const std::string what =
                digests.size() == 1 ? "the file " + digests.front()
                                    : fmt::format("{} files, the first of them {}", digests.size(), digests.front());
            add(claimed("model", what, relation, fmt::format("{}, {}", name, key)));
        }
    }

    void gguf(const std::string& name, const std::filesystem::path& at) {
        const auto files = ModelFiles::open(at);
        const auto text = [&](const std::string& key) {
            const Value* value = find(files->meta(), key);
            return value == nullptr ? std::string() : printable(value->as_string().value_or(""));
        };
        if (node_.architecture.empty()) node_.architecture = files->architecture();
        if (node_.licence.empty()) node_.licence = text("general.license");
        for (int i = 0; i < 16; ++i) {
            for (const auto& [key, kind, relation] :
                 {std::tuple{"base_model", "model", "derived from"}, std::tuple{"dataset", "dataset", "trained on"}}) {
                const std::string prefix = fmt::format("general.{}.{}.", key, i);
                const std::string title = text(prefix + "name");
                if (title.empty()) continue;
                const std::string maker = text(prefix + "organization");
                add(claimed(kind, maker.empty() ? title : maker + "/" + title, relation,
                            fmt::format("{}, {}name", name, prefix)));
            }
        }
        origin(name, files->meta());
        if (const std::string by = text("general.quantized_by"); !by.empty())
            node_.gaps.push_back(fmt::format("{} says that {} quantised it; from which file is not said.", name, by));
    }

    Node& node_;
};

std::string relation_of(const ModelRecord& child) {
    if (const std::string said = extra_text(child, "relation"); !said.empty()) return said;
    return is_adapter(child) ? "adapter of" : "derived from";
}

void describe(const StoredModel& model, Node& out) {
    const ModelRecord& r = model.record;
    out.kind = is_adapter(r) ? "adapter" : "model";
    out.name = model.name.name == "untagged" ? std::string() : model.name.str();
    out.digest = model.digest;
    out.source = r.source;
    out.revision = r.source_revision;
    out.created = r.created;
    out.architecture = r.architecture;
    out.quantisation = r.quantisation;
    out.licence = r.licence.id;
    out.parameters = r.parameters;
    out.here = true;
    for (const StoredFile& file : model.files) out.files.emplace_back(file.path, file.digest);
}

bool has(const Node& node, std::string_view kind) {
    return std::ranges::any_of(node.parents, [&](const Node& p) { return p.kind == kind; });
}

void tell_gaps(Node& node) {
    const bool model = has(node, "model"), data = has(node, "dataset");
    if (!model && !data)
        node.gaps.emplace_back("Neither a base nor data is named: how it was made is not known.");
    else if (!data && std::ranges::none_of(node.parents, [](const Node& p) { return p.kind == "model"; }))
        node.gaps.emplace_back("No training data is named.");
    for (const Node& parent : node.parents) {
        if (parent.tie == Tie::claim && parent.kind == "dataset")
            node.gaps.push_back(fmt::format("The data set {} is only named: no version, no digest.", parent.name));
    }
    if (model && !data) node.gaps.emplace_back("On what data it was trained further, if it was, is not known.");
}

Node trace_stored(const Store& store, const StoredModel& model, int depth) {
    Node out;
    describe(model, out);
    for (const std::string& digest : model.record.parents) {
        Node parent;
        if (depth < kDeepest) {
            try {
                parent = trace_stored(store, store.get_by_digest(digest), depth + 1);
            } catch (const Error& e) {
                if (e.kind() == ErrorKind::cancelled) throw;
                parent.kind = "model";
                parent.digest = digest;
                parent.name = extra_text(model.record, "base");
                parent.gaps.emplace_back("It is not on this machine, so what it was made from is not known.");
            }
        }
        parent.relation = relation_of(model.record);
        parent.tie = Tie::digest;
        parent.evidence = "the store's manifest";
        out.parents.push_back(std::move(parent));
    }
    Files files;
    for (const StoredFile& file : model.files) files.emplace_back(file.path, store.file_path(file));
    const bool tied = !out.parents.empty();
    Node said;
    Claims(said).read(files);
    if (out.licence.empty()) out.licence = said.licence;
    std::ranges::move(said.gaps, std::back_inserter(out.gaps));
    for (Node& claim : said.parents) {
        // A base that the manifest names by digest needs no claim beside it.
        if (tied && claim.kind == "model") continue;
        out.parents.push_back(std::move(claim));
    }
    if (const std::string base = extra_text(model.record, "base"); !tied && !base.empty() && !has(out, "model"))
        out.parents.push_back(claimed("model", base, relation_of(model.record).c_str(), "the adapter's own word"));
    tell_gaps(out);
    return out;
}

}  // namespace

Node trace(const Store& store, const StoredModel& model) {
    return trace_stored(store, model, 0);
}

Node trace_files(const std::string& name, const Files& files) {
    Node out;
    out.kind = std::ranges::any_of(files, [](const auto& f) { return f.first == "adapter_config.json"; }) ? "adapter"
                                                                                                          : "model";
    out.name = name;
    out.here = true;
    Claims(out).read(files);
    out.gaps.emplace_back("It is not in the store, which would know where it came from.");
    tell_gaps(out);
    return out;
}

std::vector<StoredModel> descendants(const Store& store, const std::string& manifest_digest) {
    const std::vector<StoredModel> all = store.list();
    std::set<std::string> family = {manifest_digest};
    std::vector<StoredModel> out;
    std::set<std::string> told;
    for (bool more = true; more;) {
        more = false;
        for (const StoredModel& model : all) {
            const bool made =
                std::ranges::any_of(model.record.parents, [&](const std::string& p) { return family.contains(p); });
            if (!made || !told.insert(model.name.str()).second) continue;
            family.insert(model.digest);
            out.push_back(model);
            more = true;
        }
    }
    return out;
}

}  // namespace freehold::lineage
