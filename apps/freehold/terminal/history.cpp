// Another chat may have added to the file meanwhile, so it is read again before it is replaced.
#include "history.h"

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold::cli {
namespace {

constexpr std::size_t kMostEntries = 1000;

std::string escaped(const std::string& entry) {
    std::string line;
    for (const char c : entry) {
        if (c == '\\') {
            line += "\\\\";
        } else if (c == '\n') {
            line += "\\n";
        } else {
            line += c;
        }
    }
    return line;
}

std::string unescaped(const std::string& line) {
    std::string entry;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size()) {
            entry += line[++i] == 'n' ? '\n' : line[i];
        } else {
            entry += line[i];
        }
    }
    return entry;
}

std::vector<std::string> read_entries(const std::filesystem::path& file) {
    std::vector<std::string> entries;
    std::error_code problem;
    if (file.empty() || !std::filesystem::exists(file, problem)) return entries;
    try {
        const std::string text = read_text(file, 16U << 20U);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            if (end > at) entries.push_back(unescaped(text.substr(at, end - at)));
            at = end + 1;
        }
    } catch (const Error&) {
        entries.clear();  // a history that cannot be read is no reason not to chat
    }
    return entries;
}

}  // namespace

History::History(std::filesystem::path file) : file_(std::move(file)), entries_(read_entries(file_)) {}

void History::add(const std::string& entry) {
    if (entry.empty() || (!entries_.empty() && entries_.back() == entry)) return;
    entries_.push_back(entry);
    if (file_.empty()) return;
    std::vector<std::string> all = read_entries(file_);
    all.push_back(entry);
    std::string text;
    for (std::size_t i = all.size() > kMostEntries ? all.size() - kMostEntries : 0; i < all.size(); ++i)
        text += escaped(all[i]) + "\n";
    try {
        write_text_atomic(file_, text);
        std::filesystem::permissions(file_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    } catch (const std::exception&) {
        file_.clear();  // a full or read-only disk: go on in memory
    }
}

}  // namespace freehold::cli
