// Cards line by line: "key: value", "key: [a, b]", and "- item" below a key.
#include "freehold/lineage/front_matter.h"

#include <algorithm>

#include "freehold/base/printable.h"

namespace freehold::lineage {
namespace {

constexpr std::size_t kMaxValues = 1000, kLongest = 500;

std::string scalar(std::string_view s) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!s.empty() && blank(s.front())) s.remove_prefix(1);
    while (!s.empty() && blank(s.back())) s.remove_suffix(1);
    if (s.size() >= 2 && (s.front() == '"' || s.front() == '\'') && s.back() == s.front())
        s = s.substr(1, s.size() - 2);
    return printable(s, kLongest);
}

class Reading {
 public:
    explicit Reading(FrontMatter& out) : out_(out) {}

    void row(std::string_view line) {
        if (const std::size_t first = line.find_first_not_of(' ');
            first != std::string_view::npos && line[first] == '-' &&
            (first + 1 == line.size() || line[first + 1] == ' ')) {
            if (!key_.empty() && depth_ != first && depth_ != std::string_view::npos) return;  // a list inside an item
            depth_ = first;
            // An item that is a map of its own (model-index) is no scalar.
            const std::string value = scalar(line.substr(first + 1));
            if (!key_.empty() && value.find(": ") == std::string::npos && !value.ends_with(':')) take(value);
            return;
        }
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || line.starts_with(' ') || line.starts_with('#')) return;
        key_ = scalar(line.substr(0, colon));
        depth_ = std::string_view::npos;
        const std::string value = scalar(line.substr(colon + 1));
        if (!value.starts_with('[') || !value.ends_with(']')) return take(value);
        for (std::string_view items = std::string_view(value).substr(1, value.size() - 2); !items.empty();) {
            const std::size_t comma = std::min(items.find(','), items.size());
            take(scalar(items.substr(0, comma)));
            items.remove_prefix(std::min(items.size(), comma + 1));
        }
    }

 private:
    void take(const std::string& value) {
        if (value.empty() || value == "null" || value == "~" || value == "|" || value == ">") return;
        if (++count_ <= kMaxValues) out_.values[key_].push_back(value);
    }

    FrontMatter& out_;
    std::string key_;
    std::size_t depth_ = std::string_view::npos;
    std::size_t count_ = 0;
};

}  // namespace

std::string FrontMatter::one(std::string_view key) const {
    const auto it = values.find(std::string(key));
    return it == values.end() || it->second.empty() ? std::string() : it->second.front();
}

std::vector<std::string> FrontMatter::all(std::string_view key) const {
    const auto it = values.find(std::string(key));
    return it == values.end() ? std::vector<std::string>() : it->second;
}

FrontMatter read_front_matter(std::string_view card) {
    FrontMatter out;
    const auto next_line = [&](std::size_t at) { return std::min(card.find('\n', at), card.size()); };
    const auto is_rule = [](std::string_view line) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
        return line == "---";
    };
    std::size_t end = next_line(0);
    if (!is_rule(card.substr(0, end))) {
        out.prose = std::string(card);
        return out;
    }
    Reading reading(out);
    const std::size_t begin = std::min(end + 1, card.size());
    for (std::size_t at = begin; at < card.size(); at = end + 1) {
        end = next_line(at);
        const std::string_view line = card.substr(at, end - at);
        if (is_rule(line)) {
            out.there = true;
            out.yaml = std::string(card.substr(begin, at - begin));
            out.prose = std::string(card.substr(std::min(end + 1, card.size())));
            return out;
        }
        reading.row(line);
    }
    // No second rule: a thematic break at the top of plain text.
    out.values.clear();
    out.prose = std::string(card);
    return out;
}

}  // namespace freehold::lineage
