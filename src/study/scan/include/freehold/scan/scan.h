// Looks at model files for hostile content without ever running any of it: pickles by an opcode interpreter, code,
// templates, graphs, archives. Three outcomes for each file: clean, finding, not scanned and why. docs/scan.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/progress.h"

namespace freehold::scan {

enum class Severity : std::uint8_t { low, medium, high, critical };
[[nodiscard]] const char* severity_name(Severity severity) noexcept;

enum class Outcome : std::uint8_t { clean, finding, not_scanned };
[[nodiscard]] const char* outcome_name(Outcome outcome) noexcept;

// A kind of finding. `severity` is the usual one; a finding may have another.
struct Rule {
    const char* id;  // "pickle.dangerous-import": never renamed, never used for something else
    Severity severity;
    const char* summary;  // what it is about, one sentence
    const char* way_out;  // what to do about it
};
[[nodiscard]] std::span<const Rule> all_rules() noexcept;

struct Finding {
    const Rule* rule = nullptr;  // one of all_rules()
    Severity severity = Severity::low;
    std::string member;  // where inside the file: "archive/data.pkl", "model.tar.gz!w.pkl"; empty: the file itself
    std::optional<std::uint64_t> offset;  // bytes from the beginning of that member
    std::optional<std::uint64_t> line;    // of text, from 1
    std::string message;                  // a sentence
};

// A part that could not be looked at. `member` as in Finding.
struct Gap {
    std::string member;
    std::string reason;
};

struct FileResult {
    std::string path;  // relative to what was scanned, '/' separators
    std::string kind;  // "torch archive", "GGUF", ...
    std::uint64_t bytes = 0;
    std::vector<Finding> findings;
    std::vector<Gap> gaps;

    // A finding outweighs a gap, and a gap outweighs the rest that was clean.
    [[nodiscard]] Outcome outcome() const noexcept;
};

// Bounds. What lies beyond one of them is "not scanned", never "clean".
struct Limits {
    int depth = 8;                             // archives and encodings inside each other
    std::uint64_t unpacked = 2ULL << 30;       // bytes that one file may unpack to, all levels together
    std::uint64_t member = 512ULL << 20;       // bytes of one unpacked member
    std::uint64_t members = 100000;            // members of one file, all levels together
    std::uint64_t opcodes = 50'000'000;        // of one pickle
    std::uint64_t pickle_memory = 512U << 20;  // for the stack and the memo of one pickle
    std::size_t findings = 200;                // told for one file; one more says that there are others
    std::uint64_t files = 200000;              // of one folder
};

struct Options {
    Limits limits;
    // Bytes looked at, and the file that is being looked at; from one thread at a time, some times a second. May throw
    // Error{cancelled}.
    Progress progress;
    // 0: as many as the process may use. What is found does not depend on it.
    unsigned threads = 0;
};

struct Report {
    std::string target;  // as it was asked for
    std::vector<FileResult> files;
    double seconds = 0;

    [[nodiscard]] std::size_t count(Outcome outcome) const noexcept;
    [[nodiscard]] Outcome outcome() const noexcept;
    // The worst severity of all findings; nullopt when there is none.
    [[nodiscard]] std::optional<Severity> worst() const noexcept;
};

// Increases with every change of what is found.
inline constexpr int kRulesVersion = 3;

// A file, or a folder with everything below it; symbolic links are looked at, and followed only inside the folder.
// Throws Error{not_found|io} for the path itself; what goes wrong with one file below is that file's gap.
// A configuration that asks for code of its repository (code.remote) is as bad as what that code does: its severity is
// raised to the worst that was found in code beside it. scan_path does so itself.
void weigh_remote_code(Report& report);
[[nodiscard]] Report scan_path(const std::filesystem::path& path, const Options& options = {});

// One file under the name that it has in its model, which need not be its name on this disk.
[[nodiscard]] FileResult scan_file(const std::filesystem::path& path, std::string_view name,
                                   const Options& options = {});

// Bytes under a name. Never throws for what is in them.
[[nodiscard]] FileResult scan_bytes(std::span<const std::byte> bytes, std::string_view name,
                                    const Options& options = {});

}  // namespace freehold::scan
