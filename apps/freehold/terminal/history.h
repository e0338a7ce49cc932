// What was typed in earlier chats, one entry a line in $FREEHOLD_HOME/history, readable by its owner only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace freehold::cli {

class History {
 public:
    // An empty path: kept in memory only.
    explicit History(std::filesystem::path file);
    void add(const std::string& entry);  // also to the file, atomically; failures are not worth an interruption
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] const std::string& at(std::size_t i) const { return entries_[i]; }

 private:
    std::filesystem::path file_;
    std::vector<std::string> entries_;
};

}  // namespace freehold::cli
