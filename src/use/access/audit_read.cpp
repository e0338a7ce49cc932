// Reading a log from its files: segments in order, lines, the newest entries, one entry by its id.
// Nothing is locked and nothing changed, so this works on a copy and beside a running server.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "freehold/access/audit.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxLine = 1U << 20U;

std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

std::vector<std::string> audit_replicas(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
        if (entry.is_directory(ec) && !audit_segments(folder, entry.path().filename().string()).empty())
            names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

std::vector<AuditSegment> audit_segments(const fs::path& folder, const std::string& replica) {
    std::vector<AuditSegment> segments;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder / replica, ec)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("entries-") || !name.ends_with(".jsonl") || name.size() != 26) continue;
        if (const auto first = whole_number(std::string_view(name).substr(8, 12)))
            segments.push_back({entry.path(), *first});
    }
    std::ranges::sort(segments, {}, &AuditSegment::first);
    return segments;
}

void read_audit_lines(const fs::path& file, const std::function<void(std::string_view, std::uint64_t, bool)>& each) {
    const auto mapped = MappedFile::open(file);
    std::string_view rest(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
    for (std::uint64_t number = 1; !rest.empty(); ++number) {
        const std::size_t end = rest.find('\n');
        const bool whole = end != std::string_view::npos;
        const std::string_view line = rest.substr(0, end);
        if (whole && line.size() > kMaxLine) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} line {} is longer than an entry can be.", file.string(), number),
                        "The file was changed, or is no audit log.");
        }
        each(line, number, whole);
        if (!whole) return;
        rest.remove_prefix(end + 1);
    }
}

std::vector<AuditRecord> audit_tail(const fs::path& folder, const std::string& replica, std::size_t limit,
                                    std::uint64_t before, const std::string& tenant) {
    std::vector<AuditRecord> newest;
    std::vector<AuditSegment> segments = audit_segments(folder, replica);
    for (auto segment = segments.rbegin(); segment != segments.rend() && newest.size() < limit; ++segment) {
        if (before > 0 && segment->first >= before) continue;
        std::vector<std::string_view> lines;
        const auto mapped = MappedFile::open(segment->file);  // keeps the views alive
        std::string_view rest(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
        while (!rest.empty()) {
            const std::size_t end = rest.find('\n');
            if (end == std::string_view::npos) break;  // being written
            lines.push_back(rest.substr(0, end));
            rest.remove_prefix(end + 1);
        }
        for (std::size_t i = lines.size(); i-- > 0 && newest.size() < limit;) {
            AuditRecord record = parse_audit_line(lines[i], fmt::format("{} line {}", segment->file.string(), i + 1));
            if (before > 0 && record.seq >= before) continue;
            if (!tenant.empty() && record.tenant != tenant) continue;
            newest.push_back(std::move(record));
        }
    }
    return newest;
}

std::optional<AuditRecord> find_audit_entry(const fs::path& folder, const std::string& id) {
    const std::size_t slash = id.find('/');
    const std::string wanted_replica = slash == std::string::npos ? "" : id.substr(0, slash);
    const auto seq =
        whole_number(slash == std::string::npos ? std::string_view(id) : std::string_view(id).substr(slash + 1));
    const std::string mark = to_json(Value(id));  // as a line has it
    std::optional<AuditRecord> found;
    for (const std::string& replica : audit_replicas(folder)) {
        if (!wanted_replica.empty() && seq && replica != wanted_replica) continue;
        for (const AuditSegment& segment : audit_segments(folder, replica)) {
            read_audit_lines(segment.file, [&](std::string_view line, std::uint64_t number, bool whole) {
                if (found || !whole) return;
                if (!seq && line.find(mark) == std::string_view::npos) return;
                if (seq && line.find(fmt::format("\"seq\":{},", *seq)) == std::string_view::npos) return;
                AuditRecord record = parse_audit_line(line, fmt::format("{} line {}", segment.file.string(), number));
                if (seq ? record.seq == *seq : record.response_id == id || record.request_id == id)
                    found = std::move(record);
            });
            if (found) return found;
        }
    }
    return found;
}

}  // namespace freehold::access
