// The public summary of training content in the shape of the European Commission's template (24 July 2025): three
// parts, every field shown. An answer comes from the packer's facts or from data sets that are named; yes and no are
// never inferred, and what nobody answered says so.
#include "summary.h"

#include <fmt/format.h>

#include <array>

#include "documents.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

constexpr const char* kNotStated = "_Not stated._";

constexpr auto kFields = std::to_array<SummaryField>({
    {"1.1.provider", "1.1 Provider", "Name and contact of the provider"},
    {"1.1.representative", "1.1 Provider", "Authorised representative in the Union, where there is one"},
    {"1.2.versions", "1.2 Model", "Versions of the model that this summary covers"},
    {"1.2.dependencies", "1.2 Model", "Models that it was made from, and where their summaries are"},
    {"1.2.market_date", "1.2 Model", "Date of placing on the market of the Union"},
    {"1.3.text", "1.3 Modalities and size",
     "Text: size (under 1 billion, up to 10 trillion, over 10 trillion tokens) and kinds of content"},
    {"1.3.image", "1.3 Modalities and size",
     "Images: size (under 1 million, up to 1 billion, over 1 billion) and kinds"},
    {"1.3.audio", "1.3 Modalities and size",
     "Audio: size (under 10,000, up to 1 million, over 1 million hours) and kinds"},
    {"1.3.video", "1.3 Modalities and size",
     "Video: size (under 10,000, up to 1 million, over 1 million hours) and kinds"},
    {"1.3.other", "1.3 Modalities and size", "Other modalities: size and kinds"},
    {"1.3.latest", "1.3 Modalities and size",
     "Latest date at which data was acquired (month and year); whether training goes on"},
    {"1.3.languages", "1.3 Modalities and size", "Languages of the data"},
    {"1.3.characteristics", "1.3 Modalities and size", "Other characteristics of the data"},
    {"2.1.used", "2.1 Publicly available data sets",
     "Were publicly available data sets used, and of which modalities?"},
    {"2.1.large", "2.1 Publicly available data sets", "Large ones, by name, with a link"},
    {"2.1.others", "2.1 Publicly available data sets", "The others, described"},
    {"2.2.licensed", "2.2 Private data sets from third parties",
     "Data under commercial licences with right holders: used? modalities?"},
    {"2.2.private", "2.2 Private data sets from third parties",
     "Other private data from third parties: used? names, where public; description"},
    {"2.3.used", "2.3 Data crawled and scraped", "Was data crawled and scraped by or for the provider?"},
    {"2.3.crawlers", "2.3 Data crawled and scraped", "Names of the crawlers, their purposes and their behaviour"},
    {"2.3.period", "2.3 Data crawled and scraped", "Period of collection"},
    {"2.3.sources", "2.3 Data crawled and scraped", "Kinds of content and of online sources"},
    {"2.3.domains", "2.3 Data crawled and scraped",
     "The domains most crawled (10 %; small providers 5 % or 1,000, the lower)"},
    {"2.4.model", "2.4 User data", "Data from users' interactions with the model: used? modalities?"},
    {"2.4.services", "2.4 User data", "Data from other services of the provider: used? which? modalities?"},
    {"2.5.synthetic", "2.5 Synthetic data", "Synthetic data made for training: used? by which models?"},
    {"2.6.other", "2.6 Other sources", "Other sources: used? description"},
    {"3.1.code", "3.1 Rights reservations", "Is the provider a signatory of the code of practice?"},
    {"3.1.measures", "3.1 Rights reservations",
     "Measures to identify and respect reservations of text and data mining"},
    {"3.2.illegal", "3.2 Illegal content", "Measures to avoid or remove illegal content"},
    {"3.3.other", "3.3 Other information", "Other information about the processing"},
});

// What is known without the provider's word. Only names, never a yes or no.
std::string known_answer(const Subject& s, std::string_view id) {
    std::string out;
    if (id == "1.2.versions") out = fmt::format("{} (version {}, content sha256:{})", s.name, s.version, s.content);
    if (id == "1.2.dependencies")
        for (const lineage::Node* base : s.bases())
            out += fmt::format("{}{} ({}; {})", out.empty() ? "" : "; ", base->name.empty() ? base->digest : base->name,
                               base->relation, base->tie == lineage::Tie::digest ? "tied by digest" : "claimed");
    if (id == "1.3.languages")
        for (const std::string& language : s.facts.languages) out += (out.empty() ? "" : ", ") + language;
    if (id == "2.1.large")
        for (const Dataset& set : s.datasets)
            if (set.relation == "trained on" && !set.url.empty())
                out += fmt::format("{}{} ({})", out.empty() ? "" : "; ", set.name, set.url);
    if (id == "2.1.others")
        for (const Dataset& set : s.datasets)
            if (set.relation == "trained on" && set.url.empty())
                out += fmt::format("{}{} (only named, by {})", out.empty() ? "" : "; ", set.name, set.evidence);
    return out;
}

struct Answer {
    std::string text;
    const char* by = "";  // whose word it is
};

Answer answer_of(const Subject& s, const SummaryField& field) {
    if (const auto it = s.facts.training_content.find(field.id); it != s.facts.training_content.end())
        return {it->second, "the provider"};
    if (std::string known = known_answer(s, field.id); !known.empty()) return {std::move(known), "the artefacts"};
    return {};
}

}  // namespace

std::span<const SummaryField> summary_fields() noexcept {
    return kFields;
}

std::string summary_markdown(const Subject& s, Gaps& gaps) {
    std::string out = fmt::format(
        "# Public summary of training content: {}\n\n"
        "In the shape of the template of the European Commission under Article 53(1)(d) of Regulation (EU) 2024/1689. "
        "Written by Freehold {} on {}; answers are the provider's own where they say so. A field that nobody answered "
        "is marked _not stated_: it is neither a yes nor a no.\n",
        s.name, s.tool_version, s.timestamp());
    constexpr std::array<const char*, 3> kParts = {"1. General information", "2. List of data sources",
                                                   "3. Relevant aspects of data processing"};
    std::string_view section;
    char part = '0';
    std::size_t silent = 0;
    for (const SummaryField& field : kFields) {
        if (field.id[0] != part) {
            part = field.id[0];
            out += fmt::format("\n## {}\n", kParts.at(static_cast<std::size_t>(part - '1')));
        }
        if (section != field.section) {
            section = field.section;
            out += fmt::format("\n### {}\n\n", section);
        }
        const Answer answer = answer_of(s, field);
        if (answer.text.empty()) ++silent;
        out += fmt::format("- **{}** ({}): {}\n", field.question, field.id,
                           answer.text.empty() ? std::string(kNotStated)
                                               : fmt::format("{} _[{}]_", valid_utf8(answer.text), answer.by));
    }
    if (silent > 0)
        gaps.push_back({"training-content summary",
                        fmt::format("{} of {} fields (facts: training_content)", silent, kFields.size())});
    return out;
}

std::string summary_json(const Subject& s) {
    ValueList fields;
    for (const SummaryField& field : kFields) {
        const Answer answer = answer_of(s, field);
        fields.emplace_back(ValueMap{{"id", field.id},
                                     {"section", field.section},
                                     {"question", field.question},
                                     {"answer", answer.text.empty() ? Value() : Value(answer.text)},
                                     {"by", answer.text.empty() ? Value() : Value(answer.by)}});
    }
    return to_json(Value(ValueMap{{"format", "freehold.training-content-summary/1"},
                                  {"template", "C(2025) 5235"},
                                  {"model", s.name},
                                  {"version", s.version},
                                  {"updated", s.timestamp()},
                                  {"fields", std::move(fields)}}),
                   2) +
           "\n";
}

}  // namespace freehold::bundle
