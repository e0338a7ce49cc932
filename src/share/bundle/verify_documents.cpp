// Documents are read as hostile text: a digest that they name must be that of the file, and a file that they leave out
// is told. The lineage can only be followed as far as the store goes.
#include "verify_documents.h"

#include <fmt/format.h>

#include <set>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/manifest.h"
#include "layout.h"

namespace freehold::bundle {
namespace {

constexpr std::uint64_t kMaxDocument = 64U << 20U;
constexpr int kDeepest = 32;

std::string_view text_at(const ValueMap& map, std::string_view key) {
    const Value* value = map.find(key);
    return value == nullptr ? std::string_view() : value->as_string().value_or("");
}

// One list of files with digests, as a document has it.
struct Claims {
    const char* document;
    const char* key;
    std::map<std::string, std::string> files;  // name to digest
    std::vector<std::string> twice;
    void add(std::string_view name, std::string_view digest) {
        if (!files.emplace(name, digest).second) twice.emplace_back(name);
    }
};

void read_index(const ValueMap& map, Claims& claims) {
    if (text_at(map, "format") != kIndexFormat)
        throw Error(ErrorKind::unsupported, fmt::format("{} is of another format than {}.", kIndexFile, kIndexFormat));
    const Value* files = map.find("files");
    for (std::size_t i = 0; files != nullptr && i < files->size(); ++i) {
        const Value item = files->at(i);
        if (const ValueMap* file = item.get<ValueMap>()) claims.add(text_at(*file, "path"), text_at(*file, "sha256"));
    }
}

void read_cyclone(const ValueMap& map, Claims& claims) {
    const Value* components = map.find("components");
    for (std::size_t i = 0; components != nullptr && i < components->size(); ++i) {
        const Value item = components->at(i);
        const ValueMap* component = item.get<ValueMap>();
        if (component == nullptr || text_at(*component, "type") != "file") continue;
        const Value* hashes = component->find("hashes");
        for (std::size_t h = 0; hashes != nullptr && h < hashes->size(); ++h) {
            const Value one = hashes->at(h);
            const ValueMap* hash = one.get<ValueMap>();
            if (hash != nullptr && text_at(*hash, "alg") == "SHA-256")
                claims.add(text_at(*component, "name"), text_at(*hash, "content"));
        }
    }
}

void read_spdx(const ValueMap& map, Claims& claims) {
    const Value* graph = map.find("@graph");
    for (std::size_t i = 0; graph != nullptr && i < graph->size(); ++i) {
        const Value item = graph->at(i);
        const ValueMap* element = item.get<ValueMap>();
        if (element == nullptr || text_at(*element, "type") != "software_File") continue;
        const Value* hashes = element->find("verifiedUsing");
        for (std::size_t h = 0; hashes != nullptr && h < hashes->size(); ++h) {
            const Value one = hashes->at(h);
            const ValueMap* hash = one.get<ValueMap>();
            if (hash != nullptr && text_at(*hash, "algorithm") == "sha256")
                claims.add(text_at(*element, "name"), text_at(*hash, "hashValue"));
        }
    }
}

class Documents {
 public:
    Documents(const Contents& contents, const Digests& digests, const VerifyOptions& options,
              const std::function<void(Check)>& add)
        : contents_(contents), digests_(digests), options_(options), add_(add) {}

    void run() {
        with(kIndexFile, "index", [&](const ValueMap& map) {
            Claims claims{kIndexFile, "index", {}, {}};
            read_index(map, claims);
            compare(claims);
            for (const auto& [name, digest] : digests_)
                if (name != kIndexFile && !is_kept_by_git(name) && !claims.files.contains(name))
                    tell("index", Outcome::bad, fmt::format("{} is not in {}.", printable(name), kIndexFile), name);
        });
        with(kCycloneFile, "cyclonedx", [&](const ValueMap& map) {
            Claims claims{kCycloneFile, "cyclonedx", {}, {}};
            read_cyclone(map, claims);
            compare(claims);
        });
        with(kSpdxFile, "spdx", [&](const ValueMap& map) {
            Claims claims{kSpdxFile, "spdx", {}, {}};
            read_spdx(map, claims);
            compare(claims);
        });
        with(kLineageFile, "lineage", [&](const ValueMap& map) { check_lineage(map); });
        for (const std::string& parent : options_.parents)
            check_parent(
                ValueMap{{"name", "A parent"}, {"relation", "named by the store's manifest"}, {"digest", parent}});
    }

 private:
    void tell(const char* key, Outcome outcome, std::string message, std::string file = {}) {
        add_({key, outcome, std::move(message), std::move(file)});
    }

    template <class Read>
    void with(const char* name, const char* key, Read&& read) {
        const Entry* entry = contents_.find(name);
        if (entry == nullptr) return;
        try {
            const Value tree = parse_json(read_entry(*entry, kMaxDocument), name);
            const ValueMap* map = tree.get<ValueMap>();
            if (map == nullptr) throw Error(ErrorKind::bad_file, fmt::format("{} is no object.", name));
            read(*map);
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            tell(key, e.kind() == ErrorKind::unsupported ? Outcome::unknown : Outcome::bad, e.message(), name);
        }
    }

    void compare(const Claims& claims) {
        std::size_t wrong = 0;
        for (const std::string& name : claims.twice) {
            ++wrong;
            tell(claims.key, Outcome::bad, fmt::format("{} names {} twice.", claims.document, printable(name)), name);
        }
        for (const auto& [name, digest] : claims.files) {
            const auto it = digests_.find(name);
            if (it != digests_.end() && it->second == digest) continue;
            ++wrong;
            tell(claims.key, Outcome::bad,
                 it == digests_.end()
                     ? fmt::format("{} speaks of {}, which is not here.", claims.document, printable(name))
                     : fmt::format("{} names the digest {} for {}, whose digest is {}.", claims.document,
                                   printable(digest, 64), printable(name), it->second),
                 name);
        }
        if (wrong > 0) return;
        if (claims.files.empty())
            tell(claims.key, Outcome::bad, fmt::format("{} names no file.", claims.document), claims.document);
        else
            tell(claims.key, Outcome::good,
                 fmt::format("{} names {} files, with their digests.", claims.document, claims.files.size()));
    }

    void check_lineage(const ValueMap& map) {
        const Value* tree = map.find("tree");
        const ValueMap* root = tree == nullptr ? nullptr : tree->get<ValueMap>();
        if (root == nullptr) throw Error(ErrorKind::bad_file, fmt::format("{} holds no tree.", kLineageFile));
        check_node(*root, 0);
    }

    void check_node(const ValueMap& node, int depth) {
        if (depth > kDeepest) throw Error(ErrorKind::bad_file, fmt::format("{} is too deep.", kLineageFile));
        const Value* parents = node.find("parents");
        if (depth == 0 && (parents == nullptr || parents->size() == 0))
            tell("lineage", Outcome::note, "It is not said what this model was made from.");
        for (std::size_t i = 0; parents != nullptr && i < parents->size(); ++i) {
            const Value item = parents->at(i);
            const ValueMap* parent = item.get<ValueMap>();
            if (parent == nullptr) throw Error(ErrorKind::bad_file, fmt::format("{} is malformed.", kLineageFile));
            check_parent(*parent);
            check_node(*parent, depth + 1);
        }
    }

    void check_parent(const ValueMap& parent) {
        const std::string name = printable(text_at(parent, "name").empty() ? "a parent" : text_at(parent, "name"));
        const std::string digest = printable(text_at(parent, "digest"), 71);
        const std::string relation = printable(text_at(parent, "relation"));
        if (digest.empty())
            return tell("lineage", Outcome::note,
                        fmt::format("{} ({}) is only named: no digest ties it to this model, so it cannot be verified.",
                                    name, relation));
        if (options_.store == nullptr)
            return tell("lineage", Outcome::note,
                        fmt::format("{} ({}, {}) was not looked for.", name, relation, digest));
        try {
            const StoredModel here = options_.store->get_by_digest(digest);
            tell("lineage", Outcome::good,
                 fmt::format("{} ({}) is in the store as {}.", name, relation,
                             here.name.name == "untagged" ? digest : here.name.str()));
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            tell("lineage", Outcome::note,
                 fmt::format("{} ({}, {}) is not on this machine, so that it was made from it rests on the signer's "
                             "word.",
                             name, relation, digest));
        }
    }

    const Contents& contents_;
    const Digests& digests_;
    const VerifyOptions& options_;
    const std::function<void(Check)>& add_;
};

}  // namespace

void check_documents(const Contents& contents, const Digests& digests, const VerifyOptions& options,
                     const std::function<void(Check)>& add) {
    Documents(contents, digests, options, add).run();
}

}  // namespace freehold::bundle
