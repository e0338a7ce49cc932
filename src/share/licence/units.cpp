// Where a piece of a document ends, and what its nouns stand for.
#include "units.h"

#include <algorithm>

namespace freehold::licence {
namespace {

// "https://img.shields.io/badge/License-CC%20BY--NC%204.0-red.svg" says "License-CC BY-NC 4.0".
std::string badges(std::string_view row) {
    constexpr std::string_view kMark = "img.shields.io/badge/";
    std::string out;
    for (std::size_t at = row.find(kMark); at != std::string_view::npos; at = row.find(kMark, at + 1)) {
        std::string_view label = row.substr(at + kMark.size(), 200);
        label = label.substr(0, label.find_first_of(")?#\" "));
        label = label.substr(0, label.rfind('-'));
        out += " . ";
        for (std::size_t i = 0; i < label.size(); ++i) {
            if (label[i] == '%' && i + 2 < label.size()) {
                out += ' ';
                i += 2;
            } else if (label[i] == '-' || label[i] == '_') {
                const bool doubled = i + 1 < label.size() && label[i + 1] == label[i];
                out += doubled ? '-' : label[i] == '-' ? ':' : ' ';
                if (!doubled && label[i] == '-') out += ' ';
                if (doubled) ++i;
            } else {
                out += label[i];
            }
        }
    }
    return out;
}

// Front matter and code are no prose; their lines stay, empty, so that line numbers hold.
std::string prose_of(std::string_view text) {
    std::string out;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    bool front = text.starts_with("---"), code = false;
    std::size_t line = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view row = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const bool fence = row.starts_with("```");
        if (fence) code = !code;
        if (!front && !code && !fence) {
            // The target of a link is looked at as an address.
            for (std::size_t i = 0; i < row.size(); ++i) {
                out += row[i];
                if (row[i] == ']' && i + 1 < row.size() && row[i + 1] == '(') out += ' ';
            }
            out += badges(row);
        }
        if (front && line > 0 && row.starts_with("---")) front = false;
        out += '\n';
        ++line;
    }
    return out;
}

bool blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

}  // namespace

bool one_of(std::string_view word, std::initializer_list<std::string_view> list) {
    return std::ranges::find(list, word) != list.end();
}

Document::Document(std::string_view text) : text_(prose_of(text.substr(0, 1U << 20))) {
    file_.source = text_;
    file_.words = split_words(text_);
    std::erase_if(file_.words, [](const Word& w) { return w.hidden; });
    file_.ids = Library::get().number(file_.words);
    cut();
}

std::string_view Document::gap_before(std::uint32_t i) const {
    const std::size_t from = i == 0 ? 0 : file_.words[i - 1].end;
    return file_.source.substr(from, file_.words[i].begin - from);
}

std::size_t Document::cell_of(const Unit& row, std::uint32_t i) const {
    const std::size_t from = file_.words[row.words.begin].begin;
    const std::string_view before = file_.source.substr(from, file_.words[i].begin - from);
    return static_cast<std::size_t>(std::ranges::count(before, '|'));
}

std::optional<About> Document::noun(std::uint32_t i, std::uint32_t end) const {
    const std::string& w = word(i);
    if (one_of(w, {"model", "models", "weights", "weight", "checkpoint", "checkpoints", "parameters", "adapter",
                   "adapters", "lora", "quantizations", "quants", "gguf", "llm"})) {
        const std::string_view next = i + 1 < end ? std::string_view(word(i + 1)) : std::string_view();
        if (next == "code") return About::code;
        if (one_of(next, {"card", "cards", "documentation", "architecture", "paper"})) return About::other;
        return About::model;
    }
    if (one_of(w, {"data", "dataset", "datasets", "corpus", "corpora", "images", "recordings", "annotations", "texts"}))
        return About::data;
    if (one_of(w, {"code", "codebase", "library", "libraries", "scripts", "script", "software", "toolkit", "framework",
                   "implementation"}))
        return About::code;
    if (one_of(w, {"tokenizer", "documentation", "docs", "paper", "report", "figures", "text"})) return About::other;
    return std::nullopt;
}

std::optional<About> Document::nouns(Range r) const {
    std::optional<About> out;
    for (std::uint32_t i = r.begin; i < r.end; ++i) {
        const std::optional<About> one = noun(i, r.end);
        if (one && out != About::model) out = one;
    }
    return out;
}

void Document::cut() {
    const auto n = static_cast<std::uint32_t>(file_.words.size());
    std::optional<About> section;
    bool terms = false, in_table = false;
    Range header;
    std::uint32_t table_line = 0;
    // The first sign of the line in which a word stands.
    const auto line_of = [&](std::uint32_t i) {
        const std::size_t start =
            file_.words[i].begin == 0 ? std::string_view::npos : file_.source.rfind('\n', file_.words[i].begin - 1);
        const std::size_t first = start == std::string_view::npos ? 0 : start + 1;
        std::string_view row = file_.source.substr(first, file_.words[i].begin - first + 1);
        while (!row.empty() && blank(row.front())) row.remove_prefix(1);
        return row;
    };
    const auto ends = [&](std::uint32_t i) {  // does a piece end before word i?
        const Word &before = file_.words[i - 1], &w = file_.words[i];
        const std::string_view gap = gap_before(i);
        if (w.line > before.line + 1 || std::ranges::count(gap, '\n') > 1) return true;
        if (w.starts_line) {
            const std::string_view row = line_of(i);
            const char sign = row.empty() ? 'x' : row.front();
            if (sign == '#' || sign == '|' || sign == '-' || sign == '*' || sign == '+' || sign == '>' || w.marker)
                return true;
        }
        const std::size_t stop = gap.find_first_of(".;!?");
        return stop != std::string_view::npos && !before.marker && stop + 1 < gap.size() && blank(gap[stop + 1]);
    };
    for (std::uint32_t b = 0; b < n;) {
        Unit u;
        const std::string_view row = line_of(b);
        u.heading = row.starts_with('#') && file_.words[b].starts_line;
        u.row = row.starts_with('|');
        std::uint32_t e = b + 1;
        const std::uint32_t line = file_.words[b].line;
        if (u.heading || u.row) {
            while (e < n && file_.words[e].line == line) ++e;
        } else {
            while (e < n && !ends(e)) ++e;
        }
        u.words = {b, e};
        if (u.heading) {
            section = nouns(u.words);
            terms = std::ranges::any_of(std::span(file_.words).subspan(b, e - b), [](const Word& w) {
                return one_of(w.text, {"license", "licenses", "licensing", "terms", "legal", "restrictions"});
            });
        }
        if (u.row) {
            if (!in_table || line > table_line + 2) header = {};
            u.header = header;
            if (header.begin == header.end) header = u.words;
            table_line = line;
        }
        in_table = u.row;
        u.section = section;
        u.terms = terms;
        units_.push_back(u);
        b = e;
    }
}

}  // namespace freehold::licence
