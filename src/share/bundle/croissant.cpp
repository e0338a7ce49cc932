// A data card as Croissant 1.1 (mlcommons/croissant): what the set is, which files it has, and, where columns are told,
// how records are read from them. A digest stands there only for files that were read or whose digest was given.
#include <fmt/format.h>

#include "documents.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

ValueMap context() {
    // schema.org by https: its http form is refused by the reader.
    ValueMap out{{"@language", "en"},
                 {"@vocab", "https://schema.org/"},
                 {"sc", "https://schema.org/"},
                 {"cr", "http://mlcommons.org/croissant/"},
                 {"dct", "http://purl.org/dc/terms/"}};
    for (const char* term : {"citeAs", "column", "extract", "field", "fileObject", "recordSet", "source"})
        out.set(term, fmt::format("cr:{}", term));
    out.set("conformsTo", "dct:conformsTo");
    out.set("dataType", ValueMap{{"@id", "cr:dataType"}, {"@type", "@vocab"}});
    return out;
}

std::string format_of(const DataFile& file) {
    if (!file.format.empty()) return file.format;
    if (file.name.ends_with(".csv")) return "text/csv";
    if (file.name.ends_with(".tsv")) return "text/tab-separated-values";
    if (file.name.ends_with(".jsonl")) return "application/jsonlines";
    if (file.name.ends_with(".json")) return "application/json";
    if (file.name.ends_with(".parquet")) return "application/x-parquet";
    return file.name.ends_with(".txt") ? "text/plain" : "application/octet-stream";
}

ValueMap record_set(const DataFile& file, const std::string& name) {
    ValueList fields;
    for (const std::string& column : file.columns) {
        ValueMap source{{"fileObject", ValueMap{{"@id", file.name}}}, {"extract", ValueMap{{"column", column}}}};
        fields.emplace_back(ValueMap{{"@type", "cr:Field"},
                                     {"@id", name + "/" + column},
                                     {"name", column},
                                     {"dataType", "sc:Text"},
                                     {"source", std::move(source)}});
    }
    return ValueMap{{"@type", "cr:RecordSet"}, {"@id", name}, {"name", name}, {"field", std::move(fields)}};
}

}  // namespace

std::string croissant(const Subject& subject, const Dataset& set, Gaps& gaps) {
    const auto gap = [&](const std::string& what) {
        gaps.push_back({"data card", fmt::format("{}: {}", set.name, what)});
    };
    ValueMap out{{"@context", context()},
                 {"@type", "sc:Dataset"},
                 {"conformsTo", "http://mlcommons.org/croissant/1.1"},
                 {"name", set.name}};
    if (set.description.empty()) gap("a description");
    out.set("description", set.description.empty()
                               ? fmt::format("Named as data of {} by {}. Nobody described it to the packer.",
                                             subject.name, set.evidence)
                               : set.description);
    const auto text = [&](const char* key, const std::string& value, const char* what) {
        if (value.empty())
            gap(what);
        else
            out.set(key, value);
    };
    text("license", set.licence, "a licence");
    text("url", set.url, "an address");
    text("version", set.version, "a version");
    text("datePublished", set.published, "the date of its publication");
    if (set.creator.empty())
        gap("who made it");
    else
        out.set("creator", ValueMap{{"@type", "Organization"}, {"name", set.creator}});
    ValueList files, records;
    for (const DataFile& file : set.files) {
        ValueMap one{{"@type", "cr:FileObject"},
                     {"@id", file.name},
                     {"name", file.name},
                     {"contentUrl", file.url.empty() ? file.name : file.url},
                     {"encodingFormat", format_of(file)}};
        if (file.sha256.empty()) {
            // The format asks for a digest, so a file without one is not listed.
            gap(fmt::format("the digest of {}", file.name));
            continue;
        }
        if (file.url.empty()) gap(fmt::format("where others get {}", file.name));
        one.set("sha256", file.sha256);
        files.emplace_back(std::move(one));
        if (!file.columns.empty()) records.emplace_back(record_set(file, "records-" + file_stem(file.name)));
    }
    if (files.empty())
        gap("its files");
    else
        out.set("distribution", std::move(files));
    if (!records.empty()) out.set("recordSet", std::move(records));
    return to_json(Value(std::move(out)), 2) + "\n";
}

}  // namespace freehold::bundle
