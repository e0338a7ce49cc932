// An advisory: what is wrong with which bytes, and what to do. The shape is OSV's (https://ossf.github.io/osv-schema/,
// 1.6.0); as its list of ecosystems knows no models, things are keyed by digest in affected[].database_specific.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace freehold::advisory {

enum class Severity : std::uint8_t { unknown, low, medium, high, critical };
[[nodiscard]] const char* severity_name(Severity s) noexcept;
// note: to be known; update: there is something better; recall: do not use it.
enum class Action : std::uint8_t { note, update, recall };
[[nodiscard]] const char* action_name(Action a) noexcept;

// One thing that is hit.
struct Affected {
    std::string kind;        // "weights", "adapter", "tokenizer", "code", "version" (a manifest)
    std::string digest;      // "sha256:" and 64 lower-case hex digits
    std::uint64_t size = 0;  // bytes; 0: not said. Files of another size need not be hashed
    std::string name;        // for people only
    friend bool operator==(const Affected&, const Affected&) = default;
};

struct Advisory {
    std::string id;                    // [A-Za-z0-9][A-Za-z0-9._-]{0,99}
    std::string modified;              // RFC 3339, UTC, ending in Z
    std::string published, withdrawn;  // the same, or empty; a withdrawn advisory hits nothing
    std::string summary, details;
    std::vector<std::string> aliases;
    std::vector<std::pair<std::string, std::string>> references;  // type ("ADVISORY", "WEB"), address
    std::vector<std::string> cvss;                                // vectors, as they are
    Severity severity = Severity::unknown;
    Action action = Action::note;
    std::vector<Affected> affected;
    std::vector<std::string> fixed;  // digests of what to use instead
};

inline constexpr std::string_view kMediaType = "application/vnd.freehold.advisory.v1+json";
inline constexpr std::size_t kMaxText = 4U << 20U;
inline constexpr std::size_t kMaxAffected = 100000;

// `what` names it in messages. Error{bad_file} for anything that is no advisory of this shape; keys of OSV that are not
// used here are passed over.
[[nodiscard]] Advisory parse(std::string_view text, const std::string& what);
// The same advisory gives the same bytes; parse(write(x)) is x. Error{usage} for one that parse() would refuse.
[[nodiscard]] std::string write(const Advisory& advisory);

}  // namespace freehold::advisory
