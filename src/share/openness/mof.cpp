// The table of components and the rules of the classes; nothing here looks at a file.
#include "freehold/openness/mof.h"

#include <fmt/format.h>

#include <algorithm>

#include "licence_flags.h"

namespace freehold::openness {
namespace {

using C = Component;

constexpr std::array<ComponentInfo, kComponents> kInfo = {{
    {C::architecture_code, "architecture-code", "Architecture code", "Model architecture", Kind::code, 3, true,
     "the source code that builds the network"},
    {C::parameters_final, "parameters", "Parameters (final)", "Model parameters (Final)", Kind::data, 3, true,
     "the trained weights, whole"},
    {C::evaluation_results, "evaluation-results", "Evaluation results", "Evaluation results", Kind::document, 3, true,
     "what it scored, on what"},
    {C::model_card, "model-card", "Model card", "Model card", Kind::document, 3, true,
     "what it is for, its limits, how it was made"},
    {C::data_card, "data-card", "Data card", "Data card", Kind::document, 3, true,
     "where the training data is from, how it was chosen and processed"},
    {C::technical_report, "technical-report", "Technical report", "Technical report", Kind::document, 3, true,
     "how it was made, in detail; a research paper may stand for it"},
    {C::sample_outputs, "sample-outputs", "Sample outputs", "Sample model outputs", Kind::document, 3, false,
     "examples of what it writes"},
    {C::training_code, "training-code", "Training code", "Training code", Kind::code, 2, true,
     "the code and settings that trained it"},
    {C::inference_code, "inference-code", "Inference code", "Inference code", Kind::code, 2, true,
     "the code that runs it"},
    {C::evaluation_code, "evaluation-code", "Evaluation code", "Evaluation code", Kind::code, 2, true,
     "the code that measured it"},
    {C::evaluation_data, "evaluation-data", "Evaluation data", "Evaluation data", Kind::data, 2, true,
     "the data it was measured with"},
    {C::supporting_tools, "supporting-tools", "Supporting libraries and tools", "Supporting libraries and tools",
     Kind::code, 2, false, "what else is needed: libraries by version, tokenizer and search code"},
    {C::datasets, "training-data", "Training data", "Datasets", Kind::data, 1, true, "the data it was trained on"},
    {C::data_code, "data-code", "Data processing code", "Data preprocessing code", Kind::code, 1, true,
     "the code that chose, cleaned and filtered the data"},
    {C::parameters_intermediate, "checkpoints", "Parameters (intermediate)", "Model parameters (Intermediate)",
     Kind::data, 1, true, "weights from during the training"},
    {C::research_paper, "research-paper", "Research paper", "Research paper", Kind::document, 1, true,
     "a paper about it"},
    {C::model_metadata, "model-metadata", "Model metadata", "Model metadata", Kind::data, 1, false,
     "its configuration in machine-readable form"},
    {C::optimiser_state, "optimiser-state", "Optimiser state", "", Kind::data, 0, false,
     "what is needed to go on training from the last step"},
    {C::tokenizer, "tokenizer", "Tokenizer", "", Kind::data, 0, false, "how text becomes numbers"},
}};

bool in(std::span<const std::string_view> sorted, std::string_view id) noexcept {
    return std::ranges::binary_search(sorted, id);
}

// How one component that is declared stands.
Standing standing_of(const std::string& licence, Lists lists) {
    if (is_open(licence, lists)) return Standing::included;
    return licence.empty() || licence == "unlicensed" ? Standing::unlicensed : Standing::invalid;
}

const MofItem& item(const MofResult& r, Component c) {
    return r.items[static_cast<std::size_t>(c)];
}

// What a class needs: its own required components and those of the classes below. Where there is no open technical
// report, a paper that is there at all stands for it: it must then be open itself.
std::vector<Component> needed(const MofResult& r, int mof_class) {
    std::vector<Component> out;
    for (const ComponentInfo& i : kInfo)
        if (i.required && i.mof_class >= mof_class) out.push_back(i.id);
    const bool report = item(r, C::technical_report).standing == Standing::included;
    const bool paper = item(r, C::research_paper).standing != Standing::missing;
    if (report || !paper) return out;
    std::erase(out, C::technical_report);
    if (mof_class > 1) out.push_back(C::research_paper);
    return out;
}

}  // namespace

const char* kind_key(Kind k) noexcept {
    return k == Kind::code ? "code" : k == Kind::data ? "data" : "document";
}

const char* standing_key(Standing s) noexcept {
    constexpr std::array<const char*, 4> kKeys = {"included", "invalid", "unlicensed", "missing"};
    return kKeys[static_cast<std::size_t>(s)];
}

std::span<const ComponentInfo> all_components() noexcept {
    return kInfo;
}

const ComponentInfo& info(Component c) noexcept {
    return kInfo[static_cast<std::size_t>(c)];
}

const ComponentInfo* find_component(std::string_view name) noexcept {
    for (const ComponentInfo& i : kInfo)
        if (name == i.key || (*i.mof != '\0' && name == i.mof)) return &i;
    return nullptr;
}

MofResult evaluate(std::span<const Declared> components, Lists lists) {
    MofResult out;
    for (std::size_t i = 0; i < kMofComponents; ++i) {
        MofItem entry;
        entry.component = kInfo[i].id;
        for (const Declared& d : components) {
            if (d.component != entry.component) continue;
            entry.licence = d.licence;
            entry.standing = standing_of(d.licence, lists);
            entry.fitting = fits(d.licence, kInfo[i].kind);
            break;
        }
        out.items.push_back(std::move(entry));
    }
    for (int c = 3; c >= 1; --c) {
        const std::vector<Component> list = needed(out, c);
        const auto open = static_cast<double>(
            std::ranges::count_if(list, [&](Component one) { return item(out, one).standing == Standing::included; }));
        out.progress[static_cast<std::size_t>(3 - c)] = 100.0 * open / static_cast<double>(list.size());
        if (static_cast<std::size_t>(open) < list.size()) break;
        out.mof_class = c;
    }
    return out;
}

std::vector<Component> MofResult::missing_for(int wanted) const {
    std::vector<Component> out = needed(*this, wanted);
    std::erase_if(out, [&](Component c) { return item(*this, c).standing == Standing::included; });
    return out;
}

std::string class_title(int mof_class) {
    switch (mof_class) {
        case 3:
            return "Class III, Open Model";
        case 2:
            return "Class II, Open Tooling";
        case 1:
            return "Class I, Open Science";
        default:
            return "no class";
    }
}

bool is_osi_approved(std::string_view id) noexcept {
    return in(kOsiApproved, id);
}

bool is_open(std::string_view id, Lists lists) noexcept {
    return in(kOsiApproved, id) || in(kFsfLibre, id) || in(kOpenData, id) || id == "OpenMDW-1.0" ||
           (lists == Lists::mended && id == "PDDL-1.0");
}

bool fits(std::string_view id, Kind kind) noexcept {
    if (id == "OpenMDW-1.0") return true;
    switch (kind) {
        case Kind::code:
            return in(kForCode, id);
        case Kind::data:
            return in(kForData, id);
        case Kind::document:
            break;
    }
    return in(kForDocuments, id);
}

}  // namespace freehold::openness
