// Files, words and front matter: read as hostile text, sizes bounded.
#include "look.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kWholeText = 4ULL << 20;
constexpr std::size_t kHead = 1U << 20;

constexpr auto kTextEndings = std::to_array<std::string_view>(
    {"",       ".bib", ".c",    ".cc",   ".cfg",   ".cpp",  ".cu",   ".csv", ".h",     ".hpp",    ".html", ".ini",
     ".ipynb", ".jl",  ".js",   ".json", ".jsonl", ".lock", ".lua",  ".md",  ".py",    ".r",      ".rs",   ".rst",
     ".sh",    ".tex", ".toml", ".ts",   ".tsv",   ".txt",  ".yaml", ".yml", ".jinja", ".license"});

std::vector<std::string> tokens_of(std::string_view path) {
    std::vector<std::string> out;
    std::string word;
    const auto flush = [&] {
        if (!word.empty()) out.push_back(std::move(word));
        word.clear();
    };
    for (const char c : path) {
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            word += c;
        else
            flush();
    }
    flush();
    return out;
}

bool any_of(std::span<const std::string> tokens, std::string_view words) {
    while (true) {
        const std::size_t bar = words.find('|');
        const std::string_view word = words.substr(0, bar);
        // "eval*" is any word that begins so.
        const bool open = word.ends_with('*');
        const std::string_view stem = open ? word.substr(0, word.size() - 1) : word;
        if (std::ranges::any_of(tokens, [&](const std::string& t) { return open ? t.starts_with(stem) : t == stem; }))
            return true;
        if (bar == std::string_view::npos) return false;
        words.remove_prefix(bar + 1);
    }
}

std::string read_head(const fs::path& at) {
    const auto mapped = MappedFile::open(at);
    const auto bytes = mapped->bytes().first(std::min(mapped->bytes().size(), kHead));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string strip_value(std::string_view s) {
    s = trimmed(s);
    while (!s.empty() && (s.front() == '"' || s.front() == '\'')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == '"' || s.back() == '\'')) s.remove_suffix(1);
    return printable(s);
}

}  // namespace

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

std::string_view trimmed(std::string_view s) noexcept {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t first = s.find_first_not_of(kBlank);
    return first == std::string_view::npos ? std::string_view()
                                           : s.substr(first, s.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        out.push_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::size_t count_words(std::string_view text) {
    std::size_t words = 0;
    bool inside = false;
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || u >= 0x80;
        if (letter && !inside) ++words;
        inside = letter;
    }
    return words;
}

bool is_placeholder(std::string_view text) {
    const std::size_t words = count_words(text);
    if (words == 0) return true;
    if (words > 60) return false;
    const std::string all = lower(text);
    constexpr auto kSigns = std::to_array<std::string_view>(
        {"todo", "tbd", "to be added", "to be announced", "to be released", "coming soon", "placeholder", "fill in",
         "work in progress", "lorem ipsum", "more information needed", "will be released", "under construction"});
    return std::ranges::any_of(kSigns, [&](std::string_view s) { return all.find(s) != std::string::npos; });
}

bool File::has(std::string_view words) const {
    return any_of(tokens, words);
}

bool File::base_has(std::string_view words) const {
    return any_of(tokens_of(base), words);
}

std::vector<File> open_files(const Target& target, std::vector<std::string>& notes) {
    std::vector<File> out;
    for (const licence::SubjectFile& f : target.subject.files) {
        File file;
        file.name = printable(f.name, 400);
        const std::string path = lower(f.name);
        file.base = path.substr(path.rfind('/') + 1);
        const std::size_t dot = file.base.rfind('.');
        file.ext = dot == std::string::npos || dot == 0 ? "" : file.base.substr(dot);
        file.tokens = tokens_of(path);
        file.at = f.at;
        try {
            std::error_code fault;
            file.size = fs::file_size(f.at, fault);
            if (fault) throw Error(ErrorKind::io, fault.message());
            const auto known =
                std::ranges::find(target.file_digests, f.name, &std::pair<std::string, std::string>::first);
            file.digest = known != target.file_digests.end() ? known->second : "sha256:" + sha256_file(f.at);
            const bool small_unknown = file.size < 1024;  // may be a pointer
            if (std::ranges::find(kTextEndings, std::string_view(file.ext)) != kTextEndings.end() || small_unknown) {
                file.whole = file.size <= kWholeText;
                file.text = file.whole ? read_text(f.at, kWholeText) : read_head(f.at);
                file.is_text = file.text.find('\0') == std::string::npos;
                file.pointer = file.text.starts_with("version https://git-lfs.github.com/spec/");
                if (!file.is_text) file.text.clear();
            }
        } catch (const Error& e) {
            notes.push_back(fmt::format("{} could not be read: {}", file.name, e.message()));
        }
        out.push_back(std::move(file));
    }
    return out;
}

std::vector<File> own_files(std::vector<File> files) {
    const auto index = std::ranges::find(files, "bundle.json", &File::name);
    if (index == files.end() || index->text.find("\"freehold.bundle/") == std::string::npos) return files;
    constexpr auto kWritten = std::to_array<std::string_view>(
        {"bundle.json", "README.md", "documents/bom.cdx.json", "documents/bom.spdx3.json", "documents/lineage.json",
         "documents/recipe.json", "documents/training-content-summary.md", "documents/training-content-summary.json",
         "documents/licence-review.json", "documents/openness.json", "documents/openness.html", "documents/scan.json",
         "documents/scan.sarif"});
    std::erase_if(files, [&](const File& f) {
        return std::ranges::find(kWritten, std::string_view(f.name)) != kWritten.end() ||
               f.name.starts_with("documents/data/");
    });
    return files;
}

FrontMatter read_front_matter(std::string_view text) {
    FrontMatter out;
    if (!text.starts_with("---")) return out;
    const std::vector<std::string_view> lines = lines_of(text);
    std::string key;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const std::string_view row = lines[i];
        const auto line = static_cast<std::uint32_t>(i + 1);
        if (row.starts_with("---")) {
            out.last_line = line;
            return out;
        }
        const std::string_view content = trimmed(row);
        if (key == "model-index" && out.results == 0 && content.starts_with("value:")) {
            const std::string value = strip_value(content.substr(6));
            if (!value.empty() && (value[0] == '-' || (value[0] >= '0' && value[0] <= '9'))) out.results = line;
        }
        if (content.starts_with("-")) {
            const std::string value = strip_value(content.substr(1));
            if (!key.empty() && !value.empty() && row.find(": ") == std::string_view::npos)
                out.entries.push_back({key, value, line});
            continue;
        }
        const std::size_t colon = row.find(':');
        if (colon == std::string_view::npos || row.starts_with(' ') || row.starts_with('#')) continue;
        key = std::string(row.substr(0, colon));
        std::string_view value = trimmed(row.substr(colon + 1));
        if (value.starts_with('[') && value.ends_with(']')) {
            value = value.substr(1, value.size() - 2);
            while (!value.empty()) {
                const std::size_t comma = std::min(value.find(','), value.size());
                if (const std::string one = strip_value(value.substr(0, comma)); !one.empty())
                    out.entries.push_back({key, one, line});
                value.remove_prefix(std::min(value.size(), comma + 1));
            }
        } else {
            out.entries.push_back({key, strip_value(value), line});
        }
    }
    return {};  // never closed: no front matter
}

Findings::Findings() {
    for (const ComponentInfo& i : all_components()) {
        Part part;
        part.component = i.id;
        parts_.push_back(std::move(part));
    }
}

void Findings::add(Component c, const File& f, Presence p, Sureness s, std::string what, std::uint32_t line,
                   std::string key) {
    add(c, Evidence{p, s, f.name, f.digest, line, std::move(key), std::move(what)});
}

void Findings::demote(Component c, std::string_view base_name, const std::string& why) {
    for (Evidence& e : parts_[static_cast<std::size_t>(c)].evidence) {
        const std::string path = lower(e.file);
        if (e.presence != Presence::here || path.substr(path.rfind('/') + 1) != base_name) continue;
        e.presence = Presence::hollow;
        e.what += "; " + why;
    }
}

void Findings::deny(Component c, const std::string& why) {
    for (Evidence& e : parts_[static_cast<std::size_t>(c)].evidence) {
        if (e.presence != Presence::here) continue;
        e.presence = Presence::hollow;
        e.what += "; but " + why;
    }
}

void Findings::unmask_copies() {
    const auto& final_ones = parts_[static_cast<std::size_t>(Component::parameters_final)].evidence;
    for (Evidence& e : parts_[static_cast<std::size_t>(Component::parameters_intermediate)].evidence) {
        const auto twin = std::ranges::find_if(final_ones, [&](const Evidence& f) {
            return f.presence == Presence::here && !f.digest.empty() && f.digest == e.digest;
        });
        if (e.presence != Presence::here || twin == final_ones.end()) continue;
        e.presence = Presence::hollow;
        e.what += fmt::format("; but it is {} once more, byte for byte", twin->file);
    }
}

std::vector<Part> Findings::take() {
    for (Part& part : parts_) {
        std::ranges::stable_sort(part.evidence, [](const Evidence& a, const Evidence& b) {
            return a.presence != b.presence ? a.presence > b.presence : a.sureness > b.sureness;
        });
        if (part.evidence.empty()) continue;
        part.presence = part.evidence.front().presence;
        part.sureness = part.evidence.front().sureness;
    }
    return std::move(parts_);
}

}  // namespace freehold::openness
