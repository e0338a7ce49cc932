// The Model Openness Framework 1.0: which components a release has, under which licence each, and the class that
// follows. A pure function over a list, so that the lists that others publish and the artefacts on disk are judged
// alike. Rules: the Linux Foundation's Model Openness Tool as of May 2026 (docs/openness.md says where it leaves the
// paper).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::openness {

// The framework's 17 components in its own order, and two that it does not count but this report looks for.
enum class Component : std::uint8_t {
    architecture_code,
    parameters_final,
    evaluation_results,
    model_card,
    data_card,
    technical_report,
    sample_outputs,
    training_code,
    inference_code,
    evaluation_code,
    evaluation_data,
    supporting_tools,
    datasets,
    data_code,
    parameters_intermediate,
    research_paper,
    model_metadata,
    optimiser_state,
    tokenizer,
};
inline constexpr std::size_t kComponents = 19;
inline constexpr std::size_t kMofComponents = 17;

// What a component is made of; it decides which licences fit.
enum class Kind : std::uint8_t { code, data, document };
[[nodiscard]] const char* kind_key(Kind k) noexcept;

struct ComponentInfo {
    Component id;
    const char* key;    // "training-code"
    const char* title;  // "Training code"
    const char* mof;    // the name that the framework uses; "" for the two that it does not have
    Kind kind;
    int mof_class;        // 3, 2, 1; 0 for the two
    bool required;        // for that class and those above it
    const char* meaning;  // one sentence: what must be there
};
[[nodiscard]] std::span<const ComponentInfo> all_components() noexcept;
[[nodiscard]] const ComponentInfo& info(Component c) noexcept;
[[nodiscard]] const ComponentInfo* find_component(std::string_view key_or_mof_name) noexcept;

// One component of a release and the licence that applies to it: an SPDX identifier as it was written, compared letter
// by letter; empty when there is none.
struct Declared {
    Component component = Component::architecture_code;
    std::string licence;
};

enum class Standing : std::uint8_t {
    included,    // there, under an open licence
    invalid,     // there, under a licence that is not open
    unlicensed,  // there, without one
    missing,
};
[[nodiscard]] const char* standing_key(Standing s) noexcept;

struct MofItem {
    Component component = Component::architecture_code;
    Standing standing = Standing::missing;
    std::string licence;
    bool fitting = true;  // false: open, but of the wrong kind (Apache-2.0 on a document); it counts all the same
};

struct MofResult {
    int mof_class = 0;  // 3 Open Model, 2 Open Tooling, 1 Open Science; 0 none
    // Percent of what class III, II, I needs; a class shows 0 until the one below it is complete.
    std::array<double, 3> progress = {0, 0, 0};
    std::vector<MofItem> items;  // the 17, in order
    // What keeps it from this class (3, 2 or 1): its own and the lower classes' components.
    [[nodiscard]] std::vector<Component> missing_for(int mof_class) const;
};

// Which licences count as open.
enum class Lists : std::uint8_t {
    tool,   // as the tool has them, its slips too: PDDL-1.0 is not open there
    mended  // PDDL-1.0 counts
};
[[nodiscard]] MofResult evaluate(std::span<const Declared> components, Lists lists);

// "Class II, Open Tooling"; "none" for 0.
[[nodiscard]] std::string class_title(int mof_class);

// Facts about licence identifiers (SPDX 3.x list, OSI and FSF flags as the tool keeps them).
[[nodiscard]] bool is_osi_approved(std::string_view spdx_id) noexcept;
[[nodiscard]] bool is_open(std::string_view spdx_id, Lists lists) noexcept;
[[nodiscard]] bool fits(std::string_view spdx_id, Kind kind) noexcept;

// A list as the tool publishes it (YAML: framework, release, components), licences already looked up: the component's
// own, else the release's for that kind, else the distribution's. Throws Error{bad_file} that names `what`.
struct PublishedRelease {
    std::string name, version, producer;
    std::vector<Declared> components;
};
[[nodiscard]] PublishedRelease read_published(std::string_view yaml, std::string_view what);

}  // namespace freehold::openness
