// Gathers record, files, card, licence review, lineage and the packer's facts into one description.
#include "subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/manifest.h"
#include "freehold/formats/model_files.h"
#include "layout.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMaxCard = 16U << 20U;

// What a bundle of ours adds by itself: packed anew, it is made anew.
bool is_ours(std::string_view path) {
    return path == kIndexFile || path == kSignatureFile || path.starts_with("documents/");
}

void take_files(const PackSource& source, const PackOptions& options, Subject& out) {
    const bool packed_before = std::ranges::any_of(source.files, [](const auto& f) { return f.first == kIndexFile; });
    const bool first_card = std::ranges::any_of(source.files, [](const auto& f) { return f.first == kFirstCardFile; });
    for (const auto& [name, at] : source.files) {
        if (packed_before && is_ours(name)) continue;
        if (first_card && name == kCardFile) continue;  // the one that a bundle made
        if (const std::string wrong = name_fault(name); !wrong.empty())
            throw Error(ErrorKind::bad_file,
                        fmt::format("The file name \"{}\" is refused: {}.", printable(name), wrong),
                        "Rename the file.");
        if (is_ours(name))
            throw Error(ErrorKind::conflict,
                        fmt::format("The model has a file {}, where a bundle keeps its own.", name), "Rename it.");
        SubjectFile file{name, at, role_of(name), media_type_of(name), {}, fs::file_size(at)};
        if (name == kCardFile) file.path = kFirstCardFile;
        if (file.path == kFirstCardFile) file.role = "upstream-card";
        if (source.stored)
            for (const StoredFile& stored : source.stored->files)
                if (stored.path == name && !stored.linked_at) file.sha256 = stored.digest.substr(7);
        if (file.sha256.empty())
            file.sha256 = sha256_file(at, [&options, &label = name](std::uint64_t done, std::uint64_t total) {
                if (options.progress) options.progress({"hashing " + label, done, total, "B"});
            });
        out.files.push_back(std::move(file));
    }
    std::ranges::sort(out.files, {}, &SubjectFile::path);
    if (out.files.empty()) throw Error(ErrorKind::usage, fmt::format("{} holds no file.", source.name));
    std::vector<Resource> all;
    for (const SubjectFile& f : out.files) all.push_back({f.path, f.sha256});
    out.content = root_digest(all);
}

void read_card(Subject& out) {
    for (const SubjectFile& file : out.files) {
        if (file.path != kFirstCardFile || file.size > kMaxCard) continue;
        out.card = lineage::read_front_matter(read_text(file.at, kMaxCard));
        out.has_card = true;
    }
}

LicenceSay say_of(const licence::Known& known, std::string where) {
    return {known.id, known.name, std::move(where), known.spdx};
}

void read_licences(const PackSource& source, Subject& out) {
    licence::Subject subject;
    subject.name = source.name;
    for (const SubjectFile& file : out.files)
        subject.files.push_back({file.path == kFirstCardFile ? kCardFile : file.path, file.at});
    if (source.stored) subject.record_licence = source.stored->record.licence.id;
    out.review = licence::review(subject);
    for (const licence::Claim& claim : out.review.claims) {
        if (!out.declared.empty()) break;
        if (claim.known != nullptr) out.declared = say_of(*claim.known, claim.where);
    }
    if (out.declared.empty() && !out.review.claims.empty()) {
        const licence::Claim& claim = out.review.claims.front();
        out.declared = {"LicenseRef-claimed", claim.value, claim.where, false};
    }
    std::set<std::string> texts;
    for (const licence::ReviewedFile& file : out.review.texts) out.licence_files.push_back(file.name);
    for (const licence::Match* match : out.review.licences()) {
        if (match->likeness != licence::Likeness::exact || match->known == nullptr) continue;
        if (texts.insert(match->known->id).second) out.concluded = say_of(*match->known, "its text");
    }
    // Several texts: which part each covers is for a person to say.
    if (texts.size() > 1) out.concluded = {};
    const bool altered = std::ranges::any_of(
        out.review.licences(), [](const licence::Match* m) { return m->likeness == licence::Likeness::altered; });
    if (altered) out.concluded = {};
}

void read_template(Subject& out) {
    for (const SubjectFile& file : out.files) {
        if (!file.path.ends_with(".gguf")) continue;
        try {
            const auto model = ModelFiles::open(file.at);
            const Value* text = find(model->meta(), "tokenizer.chat_template");
            if (text != nullptr && text->as_string()) out.chat_template = std::string(*text->as_string());
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            continue;  // a part of a split file: the first one holds it
        }
        if (!out.chat_template.empty()) return;
    }
}

// Paths of this machine are nobody else's business.
void forget_paths(lineage::Node& node) {
    if (node.source.starts_with("file:")) node.source = "a file on the packer's machine";
    for (lineage::Node& parent : node.parents) forget_paths(parent);
}

void collect_datasets(Subject& out) {
    out.datasets = out.facts.datasets;
    for (Dataset& set : out.datasets) {
        for (DataFile& file : set.files) {
            if (file.at.empty() || !file.sha256.empty()) continue;
            file.sha256 = sha256_file(file.at);
        }
    }
    const auto add = [&](const lineage::Node& node, auto&& self) -> void {
        for (const lineage::Node& parent : node.parents) {
            if (parent.kind == "dataset" &&
                std::ranges::none_of(out.datasets, [&](const Dataset& d) { return d.name == parent.name; })) {
                Dataset named;
                named.name = parent.name;
                named.evidence = parent.evidence;
                // The data of a base is in the weights of what was made from it.
                out.datasets.push_back(std::move(named));
            }
            self(parent, self);
        }
    };
    add(out.origin, add);
}

}  // namespace

std::string rfc3339(std::int64_t seconds) {
    const auto time = static_cast<std::time_t>(seconds);
    std::tm utc{};
    gmtime_r(&time, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::optional<std::int64_t> seconds_of(std::string_view text) {
    if (text.size() != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
        text[16] != ':' || text[19] != 'Z')
        return std::nullopt;
    const auto number = [&](std::size_t at, std::size_t size) {
        int value = -1;
        const auto [end, fault] = std::from_chars(text.data() + at, text.data() + at + size, value);
        return fault == std::errc() && end == text.data() + at + size ? value : -1;
    };
    std::tm utc{};
    utc.tm_year = number(0, 4) - 1900;
    utc.tm_mon = number(5, 2) - 1;
    utc.tm_mday = number(8, 2);
    utc.tm_hour = number(11, 2);
    utc.tm_min = number(14, 2);
    utc.tm_sec = number(17, 2);
    const std::int64_t seconds = ::timegm(&utc);
    return rfc3339(seconds) == text ? std::optional(seconds) : std::nullopt;
}

std::string Subject::timestamp() const {
    return rfc3339(time);
}

// RFC 9562, version 8: our own bits, those of a digest.
std::string Subject::uuid(std::string_view salt) const {
    const std::string text = fmt::format("{}\n{}\n{}", salt, content, name);
    std::string hex = sha256_hex(std::as_bytes(std::span(text)));
    hex[12] = '8';
    hex[16] = 'a';
    return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                       hex.substr(20, 12));
}

std::string Subject::task() const {
    if (const std::string said = card.one("pipeline_tag"); !said.empty()) return said;
    const Value* kind = record.extra.find("kind");
    const std::string_view text = kind == nullptr ? std::string_view() : kind->as_string().value_or("");
    if (text == "chat" || text == "base") return "text-generation";
    if (text == "embedding") return "feature-extraction";
    return {};
}

std::string Subject::address() const {
    if (const std::string said = facts.text("download_url"); !said.empty()) return said;
    const std::string_view source = record.source;
    if (source.starts_with("https://")) return record.source;
    const auto until = [](std::string_view text, std::string_view ends) {
        return std::string(text.substr(0, std::min(text.find_first_of(ends), text.size())));
    };
    if (source.starts_with("hf:")) return "https://huggingface.co/" + until(source.substr(3), ":@");
    if (source.starts_with("pypi:")) return "https://pypi.org/project/" + until(source.substr(5), "=:+") + "/";
    return {};
}

std::vector<const SubjectFile*> Subject::weights() const {
    std::vector<const SubjectFile*> out;
    for (const SubjectFile& file : files)
        if (file.role == "weights") out.push_back(&file);
    return out;
}

std::vector<const lineage::Node*> Subject::bases() const {
    std::vector<const lineage::Node*> out;
    for (const lineage::Node& parent : origin.parents)
        if (parent.kind != "dataset") out.push_back(&parent);
    return out;
}

Subject gather(const PackSource& source, const PackOptions& options) {
    Subject out;
    out.name = source.name;
    out.tool_version = options.tool_version;
    out.facts = options.facts;
    if (source.stored) {
        out.record = source.stored->record;
        out.digest = source.stored->digest;
    }
    take_files(source, options, out);
    out.version = out.facts.text("version").empty() ? out.content.substr(0, 12) : out.facts.text("version");
    out.time = options.time.value_or(source.stored ? seconds_of(out.record.created).value_or(0)
                                                   : static_cast<std::int64_t>(std::time(nullptr)));
    read_card(out);
    read_licences(source, out);
    read_template(out);
    lineage::Files files;
    for (const SubjectFile& file : out.files) files.emplace_back(file.path, file.at);
    out.origin = source.stored && options.store != nullptr ? lineage::trace(*options.store, *source.stored)
                                                           : lineage::trace_files(source.name, files);
    forget_paths(out.origin);
    if (out.record.source.starts_with("file:")) out.record.source.clear();
    collect_datasets(out);
    return out;
}

}  // namespace freehold::bundle
