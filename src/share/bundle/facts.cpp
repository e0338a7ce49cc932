// The facts file, read strictly: a key with a slip of the pen must not silently become a gap.
#include "freehold/bundle/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "summary.h"

namespace freehold::bundle {
namespace {

constexpr std::array<const char*, 22> kTexts = {"version",
                                                "release_date",
                                                "supplier",
                                                "supplier_url",
                                                "supplier_contact",
                                                "download_url",
                                                "description",
                                                "uses",
                                                "out_of_scope",
                                                "limitations",
                                                "bias",
                                                "recommendations",
                                                "training_data",
                                                "training_procedure",
                                                "preprocessing",
                                                "hyperparameters",
                                                "evaluation",
                                                "environment",
                                                "energy_kwh",
                                                "citation",
                                                "authors",
                                                "approach"};
constexpr std::array<const char*, 8> kDataset = {"name",    "url",       "description", "licence",
                                                 "version", "published", "creator",     "relation"};
constexpr std::array<const char*, 5> kResult = {"task", "dataset", "dataset_type", "split", "metric"};
constexpr std::array<const char*, 5> kFile = {"name", "path", "url", "sha256", "format"};

class Reading {
 public:
    Reading(std::string what, std::filesystem::path folder) : what_(std::move(what)), folder_(std::move(folder)) {}

    Facts run(std::string_view json) {
        const Value tree = parse_json(json, what_);
        Facts out;
        for (const ValueEntry& entry : object(tree, "the document")) {
            if (is_one_of(kTexts, entry.key)) {
                if (std::string given = text(entry.value, entry.key); !given.empty()) out.texts[entry.key] = given;
            } else if (entry.key == "languages") {
                out.languages = texts(entry.value, entry.key);
            } else if (entry.key == "datasets") {
                for (std::size_t i = 0; i < list(entry.value, entry.key); ++i)
                    out.datasets.push_back(dataset(entry.value.at(i)));
            } else if (entry.key == "results") {
                for (std::size_t i = 0; i < list(entry.value, entry.key); ++i)
                    out.results.push_back(result(entry.value.at(i)));
            } else if (entry.key == "training_content") {
                read_content(entry.value, out);
            } else {
                unknown(entry.key);
            }
        }
        static constexpr std::array<const char*, 6> kApproaches = {
            "", "supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised"};
        if (!is_one_of(kApproaches, out.text("approach")))
            bad(
                fmt::format("the approach \"{}\" is none of supervised, unsupervised, reinforcement-learning, "
                            "semi-supervised, self-supervised.",
                            printable(out.text("approach"))));
        std::erase_if(out.datasets, [](const Dataset& d) { return d.name.empty(); });
        std::erase_if(out.results, [](const EvalResult& r) { return r.metric.empty(); });
        return out;
    }

 private:
    template <std::size_t N>
    static bool is_one_of(const std::array<const char*, N>& known, std::string_view key) {
        return std::ranges::any_of(known, [&](const char* k) { return key == k; });
    }

    [[noreturn]] void bad(const std::string& message) const {
        throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what_, message),
                    "'freehold pack --facts-form' prints a form with every key.");
    }
    [[noreturn]] void unknown(std::string_view key) const {
        bad(fmt::format("the key \"{}\" is not known.", printable(key)));
    }

    const ValueMap& object(const Value& value, std::string_view key) const {
        const ValueMap* map = value.get<ValueMap>();
        if (map == nullptr) bad(fmt::format("\"{}\" is no object.", printable(key)));
        return *map;
    }
    std::size_t list(const Value& value, std::string_view key) const {
        if (value.as_string() || value.get<ValueMap>() != nullptr || value.as_double() || value.as_bool())
            bad(fmt::format("\"{}\" is no list.", printable(key)));
        return value.size();
    }
    std::string text(const Value& value, std::string_view key) const {
        if (value.is_null()) return {};
        if (const auto string = value.as_string()) return std::string(*string);
        if (value.as_double()) return to_json(value);
        bad(fmt::format("\"{}\" is no text.", printable(key)));
    }
    std::vector<std::string> texts(const Value& value, std::string_view key) const {
        std::vector<std::string> out;
        for (std::size_t i = 0; i < list(value, key); ++i)
            if (std::string one = text(value.at(i), key); !one.empty()) out.push_back(std::move(one));
        return out;
    }

    Dataset dataset(const Value& value) const {
        Dataset out;
        out.evidence = "the packer's facts";
        const std::array<std::string*, 8> fields = {&out.name,    &out.url,       &out.description, &out.licence,
                                                    &out.version, &out.published, &out.creator,     &out.relation};
        for (const ValueEntry& entry : object(value, "datasets")) {
            if (entry.key == "types") {
                out.types = texts(entry.value, entry.key);
            } else if (entry.key == "files") {
                for (std::size_t i = 0; i < list(entry.value, entry.key); ++i)
                    out.files.push_back(data_file(entry.value.at(i)));
            } else {
                assign(kDataset, fields, entry);
            }
        }
        if (out.relation.empty()) out.relation = "trained on";
        if (out.relation != "trained on" && out.relation != "tested on")
            bad(fmt::format("the relation of a data set is \"trained on\" or \"tested on\", not \"{}\".",
                            printable(out.relation)));
        std::erase_if(out.files, [](const DataFile& f) { return f.name.empty(); });
        return out;
    }

    DataFile data_file(const Value& value) const {
        DataFile out;
        std::string path;
        const std::array<std::string*, 5> fields = {&out.name, &path, &out.url, &out.sha256, &out.format};
        for (const ValueEntry& entry : object(value, "files")) {
            if (entry.key == "columns")
                out.columns = texts(entry.value, entry.key);
            else
                assign(kFile, fields, entry);
        }
        if (!path.empty()) out.at = folder_ / path;
        return out;
    }

    EvalResult result(const Value& value) const {
        EvalResult out;
        const std::array<std::string*, 5> fields = {&out.task, &out.dataset, &out.dataset_type, &out.split,
                                                    &out.metric};
        for (const ValueEntry& entry : object(value, "results")) {
            if (entry.key == "value") {
                const auto number = entry.value.as_double();
                if (!number && !entry.value.is_null()) bad("the value of a result is no number.");
                out.value = number.value_or(0);
            } else {
                assign(kResult, fields, entry);
            }
        }
        return out;
    }

    template <std::size_t N>
    void assign(const std::array<const char*, N>& keys, const std::array<std::string*, N>& fields,
                const ValueEntry& entry) const {
        const auto it = std::ranges::find_if(keys, [&](const char* k) { return entry.key == k; });
        if (it == keys.end()) unknown(entry.key);
        *fields.at(static_cast<std::size_t>(it - keys.begin())) = text(entry.value, entry.key);
    }

    void read_content(const Value& value, Facts& out) const {
        for (const ValueEntry& entry : object(value, "training_content")) {
            if (!std::ranges::any_of(summary_fields(), [&](const SummaryField& f) { return entry.key == f.id; }))
                unknown(entry.key);
            if (std::string given = text(entry.value, entry.key); !given.empty())
                out.training_content[entry.key] = given;
        }
    }

    std::string what_;
    std::filesystem::path folder_;
};

template <std::size_t N>
ValueMap empty_form(const std::array<const char*, N>& keys) {
    ValueMap map;
    for (const char* key : keys) map.set(key, "");
    return map;
}

}  // namespace

std::string Facts::text(std::string_view key) const {
    const auto it = texts.find(key);
    return it == texts.end() ? std::string() : it->second;
}

Facts read_facts(std::string_view json, const std::string& what, const std::filesystem::path& folder) {
    return Reading(what, folder).run(json);
}

std::string facts_form() {
    ValueMap out = empty_form(kTexts);
    out.set("languages", ValueList{});
    ValueMap file = empty_form(kFile);
    file.set("columns", ValueList{});
    ValueMap dataset = empty_form(kDataset);
    dataset.set("relation", "trained on");
    dataset.set("types", ValueList{Value("text")});
    dataset.set("files", ValueList{Value(std::move(file))});
    out.set("datasets", ValueList{Value(std::move(dataset))});
    ValueMap result = empty_form(kResult);
    result.set("value", Value());
    out.set("results", ValueList{Value(std::move(result))});
    ValueMap content;
    for (const SummaryField& field : summary_fields()) content.set(field.id, "");
    out.set("training_content", std::move(content));
    return to_json(Value(std::move(out)), 2) + "\n";
}

}  // namespace freehold::bundle
