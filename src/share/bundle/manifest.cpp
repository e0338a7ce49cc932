// The statement, written and read. Every list is bounded by the envelope around it, which is at most 64 MiB.
#include "freehold/bundle/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold::bundle {
namespace {

constexpr const char* kStatementType = "https://in-toto.io/Statement/v1";
constexpr const char* kPredicateType = "https://model_signing/signature/v1.0";
// What git keeps beside a model; the format leaves it out by itself.
constexpr std::array<const char*, 4> kGit = {".git", ".gitattributes", ".github", ".gitignore"};

[[noreturn]] void bad(const std::string& what, const std::string& message, const std::string& hint = {}) {
    throw Error(
        ErrorKind::bad_file, fmt::format("{}: {}", what, message),
        hint.empty() ? "It was not made by a signer that keeps to the format; do not use what it signs." : hint);
}

const ValueMap& object(const Value* value, std::string_view key, const std::string& what) {
    const ValueMap* map = value == nullptr ? nullptr : value->get<ValueMap>();
    if (map == nullptr) bad(what, fmt::format("\"{}\" is not there, or no object.", key));
    return *map;
}

std::string text(const ValueMap& map, std::string_view key, const std::string& what) {
    const Value* value = map.find(key);
    const auto string = value == nullptr ? std::nullopt : value->as_string();
    if (!string) bad(what, fmt::format("\"{}\" is not there, or no text.", key));
    return std::string(*string);
}

bool is_hex64(std::string_view hex) {
    return hex.size() == 64 &&
           std::ranges::all_of(hex, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

unsigned nibble(char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
}

void read_subject(const ValueMap& map, Statement& out, const std::string& what) {
    const Value* subjects = map.find("subject");
    if (subjects == nullptr || subjects->size() != 1) bad(what, "\"subject\" must name exactly one thing.");
    const Value first = subjects->at(0);
    const ValueMap& subject = object(&first, "subject[0]", what);
    out.subject = text(subject, "name", what);
    out.root = text(object(subject.find("digest"), "digest", what), "sha256", what);
    if (!is_hex64(out.root)) bad(what, "the digest of the subject is no SHA-256 in lower-case hex.");
}

void read_serialization(const ValueMap& predicate, Statement& out, const std::string& what) {
    const ValueMap& how = object(predicate.find("serialization"), "serialization", what);
    if (const std::string method = text(how, "method", what), hash = text(how, "hash_type", what);
        method != "files" || hash != "sha256")
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is made by the method \"{}\" with {}.", what, printable(method), printable(hash)),
                    "Here whole files are digested, by SHA-256.");
    const Value* links = how.find("allow_symlinks");
    const auto allowed = links == nullptr ? std::nullopt : links->as_bool();
    if (!allowed) bad(what, "\"allow_symlinks\" is not there, or neither true nor false.");
    if (*allowed) bad(what, "it lets symbolic links stand for files, so that other bytes can be put behind a name.");
    const Value* ignored = how.find("ignore_paths");
    for (std::size_t i = 0; ignored != nullptr && i < ignored->size(); ++i) {
        const Value item = ignored->at(i);
        const auto path = item.as_string();
        if (!path) bad(what, "\"ignore_paths\" holds something that is no text.");
        out.ignored.emplace_back(*path);
    }
    for (const std::string& path : out.ignored) {
        const bool git = std::ranges::any_of(kGit, [&](const char* name) { return path == name; });
        if (git || path == kSignatureFile) continue;
        bad(what,
            fmt::format("its signer left \"{}\" out, so that file can be changed without a trace.", printable(path)),
            "Ask for a signature over all files.");
    }
}

void read_resources(const ValueMap& predicate, Statement& out, const std::string& what) {
    const Value* list = predicate.find("resources");
    if (list == nullptr || list->size() == 0)
        bad(what, "it lists no file, so it says nothing about any.", "Ask for a signature over the files.");
    std::set<std::string_view> seen;
    out.files.reserve(list->size());
    for (std::size_t i = 0; i < list->size(); ++i) {
        const Value item = list->at(i);
        const ValueMap& entry = object(&item, "resources", what);
        Resource r{text(entry, "name", what), text(entry, "digest", what)};
        if (const std::string fault = name_fault(r.name); !fault.empty())
            bad(what, fmt::format("the name \"{}\" is refused: {}.", printable(r.name), fault));
        if (const std::string algorithm = text(entry, "algorithm", what); algorithm != "sha256")
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} digests {} by \"{}\".", what, printable(r.name), printable(algorithm)),
                        "Only SHA-256 of whole files is read here.");
        if (!is_hex64(r.digest)) bad(what, fmt::format("the digest of \"{}\" is no SHA-256.", printable(r.name)));
        out.files.push_back(std::move(r));
    }
    for (const Resource& r : out.files)
        if (!seen.insert(r.name).second)
            bad(what, fmt::format("the name \"{}\" stands there twice.", printable(r.name)));
}

}  // namespace

std::string name_fault(std::string_view name) {
    if (name.empty()) return "it is empty";
    if (name.size() > 1024) return "it is longer than 1024 bytes";
    if (name.front() == '/') return "it is an absolute path";
    for (std::string_view rest = name; !rest.empty();) {
        const std::size_t n = utf8_length(rest);
        if (n == 0) return "it is no UTF-8";
        const auto c = static_cast<unsigned char>(rest.front());
        if (c < 0x20 || c == 0x7f) return "it holds a control character";
        if (c == '\\') return "it holds a backslash";
        rest.remove_prefix(n);
    }
    for (std::size_t start = 0; start <= name.size();) {
        const std::size_t end = std::min(name.find('/', start), name.size());
        const std::string_view part = name.substr(start, end - start);
        if (part.empty()) return "it has an empty part";
        if (part == "." || part == "..") return "it climbs about in folders";
        if (part.size() >= 2 && part[1] == ':') return "a part begins with a drive letter";
        if (part.size() > 255) return "a part is longer than 255 bytes";
        start = end + 1;
    }
    return {};
}

std::string root_digest(const std::vector<Resource>& files) {
    Sha256 sha;
    for (const Resource& file : files) {
        std::array<std::byte, 32> raw{};
        for (std::size_t i = 0; i < raw.size(); ++i)
            raw[i] = static_cast<std::byte>(nibble(file.digest[2 * i]) << 4U | nibble(file.digest[2 * i + 1]));
        sha.update(raw);
    }
    return sha.hex();
}

std::string write_statement(std::string_view subject, std::vector<Resource> files) {
    if (files.empty()) throw Error(ErrorKind::usage, "There is no file to sign.");
    std::ranges::sort(files, {}, &Resource::name);
    ValueList resources;
    for (const Resource& file : files)
        resources.emplace_back(ValueMap{{"name", file.name}, {"algorithm", "sha256"}, {"digest", file.digest}});
    std::vector<std::string> ignored(kGit.begin(), kGit.end());
    ignored.emplace_back(kSignatureFile);
    ValueMap how{{"method", "files"}, {"hash_type", "sha256"}, {"allow_symlinks", false}, {"ignore_paths", ignored}};
    ValueMap about{{"name", std::string(subject)}, {"digest", ValueMap{{"sha256", root_digest(files)}}}};
    ValueMap predicate{{"resources", std::move(resources)}, {"serialization", std::move(how)}};
    ValueMap out{{"_type", kStatementType},
                 {"subject", ValueList{Value(std::move(about))}},
                 {"predicateType", kPredicateType},
                 {"predicate", std::move(predicate)}};
    return to_json(Value(std::move(out)));
}

Statement parse_statement(std::string_view payload, const std::string& what) {
    const Value tree = parse_json(payload, what);
    const ValueMap& map = object(&tree, "the statement", what);
    if (const std::string type = text(map, "_type", what); type != kStatementType)
        bad(what, fmt::format("it is no in-toto statement v1 but \"{}\".", printable(type)));
    if (const std::string type = text(map, "predicateType", what); type != kPredicateType)
        throw Error(ErrorKind::unsupported, fmt::format("{} says something of the type \"{}\".", what, printable(type)),
                    "A signed model says \"https://model_signing/signature/v1.0\".");
    Statement out;
    read_subject(map, out, what);
    const ValueMap& predicate = object(map.find("predicate"), "predicate", what);
    read_serialization(predicate, out, what);
    read_resources(predicate, out, what);
    if (root_digest(out.files) != out.root) bad(what, "the digest of the whole is not that of the files it lists.");
    return out;
}

}  // namespace freehold::bundle
