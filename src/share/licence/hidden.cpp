// One pass from mark to mark; a kind of tag that is closed nowhere below is not searched for again.
#include "hidden.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

namespace freehold::licence {
namespace {

constexpr auto kNone = std::string_view::npos;

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

bool blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// The end of "~~struck out~~" that begins at `i`, or 0. A longer run of these signs underlines a heading.
std::size_t struck_end(std::string_view s, std::size_t i) {
    constexpr std::size_t kFar = 4000;
    const auto tilde = [&](std::size_t k) { return k < s.size() && s[k] == '~'; };
    if (!tilde(i + 1) || tilde(i + 2) || (i > 0 && tilde(i - 1)) || i + 2 >= s.size() || blank(s[i + 2])) return 0;
    const std::string_view window = s.substr(0, std::min(s.size(), i + kFar));
    const std::size_t close = window.find("~~", i + 3);
    if (close == kNone || tilde(close + 2) || window.substr(i, close - i).find("\n\n") != kNone) return 0;
    return close + 2;
}

// Whether the inside of a tag ("div style=...") says that its content is not shown.
bool not_shown(std::string_view inside) {
    std::string flat = lower(inside);
    const bool attribute = flat.ends_with(" hidden") || flat.find(" hidden ") != std::string::npos ||
                           flat.find(" hidden=") != std::string::npos;
    std::erase_if(flat, blank);
    return attribute || flat.find("display:none") != std::string::npos ||
           flat.find("visibility:hidden") != std::string::npos;
}

class Finder {
 public:
    explicit Finder(std::string_view text) : s_(text), small_(lower(text)) {}

    std::vector<HiddenSpan> run() {
        std::size_t i = 0;
        while ((i = s_.find_first_of("<~", i)) != kNone) {
            const std::size_t end = s_[i] == '~' ? struck_end(s_, i) : tag_end(i);
            if (end > i) out_.push_back({i, end});
            i = std::max(end, i + 1);
        }
        return std::move(out_);
    }

 private:
    std::size_t tag_end(std::size_t i) {
        if (s_.substr(i).starts_with("<!--")) {
            const std::size_t close = s_.find("-->", i + 4);
            return close == kNone ? s_.size() : close + 3;
        }
        const std::size_t close = s_.substr(i, 400).find('>');
        if (close == kNone) return 0;
        const std::string_view inside = s_.substr(i + 1, close - 1);
        const std::string name = lower(inside.substr(0, inside.find_first_of(" \t\r\n/")));
        if (name.empty() || name.size() > 12) return 0;
        const bool struck = name == "s" || name == "del" || name == "strike";
        if ((!struck && !not_shown(inside)) || unclosed_.contains(name)) return 0;
        const std::size_t end = small_.find("</" + name, i + close);
        if (end == kNone) {
            unclosed_.insert(name);
            return 0;
        }
        const std::size_t last = s_.find('>', end);
        return last == kNone ? s_.size() : last + 1;
    }

    std::string_view s_;
    std::string small_;
    std::vector<HiddenSpan> out_;
    std::set<std::string> unclosed_;
};

}  // namespace

std::vector<HiddenSpan> hidden_spans(std::string_view text) {
    return Finder(text).run();
}

}  // namespace freehold::licence
