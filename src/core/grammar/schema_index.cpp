// Places of a schema document: JSON pointers, identifiers, anchors, references.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "schema.h"

namespace freehold::grammar {

namespace {

constexpr std::array kOne = {
    "additionalItems",  "additionalProperties",  "contains",     "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties", "contentSchema"};
constexpr std::array kList = {"allOf", "anyOf", "oneOf", "prefixItems", "items"};
constexpr std::array kMap = {"$defs",     "definitions", "dependencies", "dependentSchemas", "patternProperties",
                             "properties"};

std::string unescaped(std::string_view token) {
    std::string percent;
    for (std::size_t i = 0; i < token.size(); ++i) {
        const auto hex = [](char c) {
            if (c >= '0' && c <= '9') return c - '0';
            c = static_cast<char>(c | 32);
            return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        };
        if (token[i] == '%' && i + 2 < token.size() && hex(token[i + 1]) >= 0 && hex(token[i + 2]) >= 0) {
            percent += static_cast<char>(hex(token[i + 1]) * 16 + hex(token[i + 2]));
            i += 2;
        } else {
            percent += token[i];
        }
    }
    std::string out;
    for (std::size_t i = 0; i < percent.size(); ++i) {
        if (percent[i] == '~' && i + 1 < percent.size() && (percent[i + 1] == '0' || percent[i + 1] == '1')) {
            out += percent[i + 1] == '0' ? '~' : '/';
            ++i;
        } else {
            out += percent[i];
        }
    }
    return out;
}

// RFC 3986 as far as schemas use it: absolute, from the root of the host, beside the present document, fragment.
std::string resolved(const std::string& base, const std::string& reference) {
    const std::size_t colon = reference.find(':');
    const std::size_t slash = reference.find_first_of("/?#");
    if (colon != std::string::npos && (slash == std::string::npos || colon < slash)) return reference;
    const std::string document = base.substr(0, base.find('#'));
    if (reference.empty() || reference[0] == '#') return document + reference;
    const std::size_t scheme = document.find("://");
    const std::size_t path =
        scheme == std::string::npos ? 0 : std::min(document.find('/', scheme + 3), document.size());
    if (reference[0] == '/') return document.substr(0, scheme == std::string::npos ? 0 : path) + reference;
    const std::size_t last = document.rfind('/');
    if (last == std::string::npos || (scheme != std::string::npos && last < path)) {
        return scheme == std::string::npos ? reference : document + "/" + reference;
    }
    return document.substr(0, last + 1) + reference;
}

// "x#" and "x" are the same document.
std::string plain(std::string uri) {
    if (!uri.empty() && uri.back() == '#') uri.pop_back();
    return uri;
}

}  // namespace

std::string escaped_pointer_token(std::string_view token) {
    std::string out;
    for (const char c : token) {
        if (c == '~') {
            out += "~0";
        } else if (c == '/') {
            out += "~1";
        } else {
            out += c;
        }
    }
    return out;
}

std::uint32_t SchemaCompiler::place_of(const Value& schema, const std::string& pointer, const Value* root,
                                       const std::string& base) {
    const auto [at, fresh] = place_index_.emplace(&schema, static_cast<std::uint32_t>(places_.size()));
    if (fresh) {
        if (places_.size() > 200'000) {
            throw Error(ErrorKind::limit, "The schema has more than 200000 parts.", "Use a smaller schema.");
        }
        places_.push_back({&schema, pointer, root, base});
    }
    return at->second;
}

std::uint32_t SchemaCompiler::child(std::uint32_t parent, const Value& schema, const std::string& tokens) {
    const Place from = places_[parent];
    return place_of(schema, from.pointer + tokens, from.root, from.base);
}

void SchemaCompiler::index(const Value& root) {
    struct Item {
        const Value* schema;
        std::string pointer, base;
        const Value* resource;
    };
    std::vector<Item> work{{&root, where_, "", &root}};
    while (!work.empty()) {
        Item item = std::move(work.back());
        work.pop_back();
        const auto* map = item.schema->get<ValueMap>();
        if (map == nullptr) continue;
        for (const char* name : {"$id", "id"}) {
            const Value* id = map->find(name);
            const auto* text = id != nullptr ? id->get<std::string>() : nullptr;
            if (text == nullptr || text->empty()) continue;
            const std::string uri = resolved(item.base, *text);
            if ((*text)[0] != '#') {
                item.base = plain(uri);
                item.resource = item.schema;
            }
            const std::uint32_t at = place_of(*item.schema, item.pointer, item.resource, item.base);
            uris_.emplace(plain(uri), at);
            break;
        }
        const std::uint32_t at = place_of(*item.schema, item.pointer, item.resource, item.base);
        if (item.schema == &root) uris_.emplace(plain(item.base), at);
        for (const char* name : {"$anchor", "$dynamicAnchor"}) {
            const Value* anchor = map->find(name);
            if (anchor == nullptr || anchor->get<std::string>() == nullptr) continue;
            uris_.emplace(item.base + "#" + *anchor->get<std::string>(), at);
        }
        const auto add = [&](const Value& v, const std::string& tokens) {
            work.push_back({&v, item.pointer + tokens, item.base, item.resource});
        };
        for (const auto& [key, value] : *map) {
            const auto is = [&, &name = key](const auto& names) {
                return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
            };
            if (is(kOne) && value.get<ValueMap>() != nullptr) add(value, "/" + escaped_pointer_token(key));
            if (const auto* list = value.get<ValueList>(); list != nullptr && is(kList)) {
                for (std::size_t i = 0; i < list->size(); ++i) add((*list)[i], fmt::format("/{}/{}", key, i));
            }
            if (const auto* below = value.get<ValueMap>(); below != nullptr && is(kMap)) {
                for (const auto& [name, schema] : *below)
                    add(schema, fmt::format("/{}/{}", key, escaped_pointer_token(name)));
            }
        }
    }
}

std::uint32_t SchemaCompiler::resolve(std::uint32_t from, const std::string& reference, const char* keyword) {
    const Place place = places_[from];
    const std::string uri = resolved(place.base, reference);
    if (const auto found = uris_.find(plain(uri)); found != uris_.end()) return found->second;
    const std::size_t hash = uri.find('#');
    const std::string document = uri.substr(0, hash);
    const std::string fragment = hash == std::string::npos ? "" : uri.substr(hash + 1);
    const auto walk = [&](const Value* at, std::string pointer, const Value* root,
                          const std::string& base) -> std::optional<std::uint32_t> {
        std::size_t i = 0;
        while (i < fragment.size()) {
            if (fragment[i] != '/') return std::nullopt;
            const std::size_t end = std::min(fragment.find('/', i + 1), fragment.size());
            const std::string token = unescaped(std::string_view(fragment).substr(i + 1, end - i - 1));
            if (const auto* map = at->get<ValueMap>()) {
                at = map->find(token);
                if (at == nullptr) return std::nullopt;
            } else if (const auto* list = at->get<ValueList>()) {
                if (token.empty() || token.size() > 6 || token.find_first_not_of("0123456789") != std::string::npos) {
                    return std::nullopt;
                }
                const auto n = static_cast<std::size_t>(std::stoul(token));
                if (n >= list->size()) return std::nullopt;
                at = &(*list)[n];
            } else {
                return std::nullopt;
            }
            pointer += "/" + escaped_pointer_token(token);
            i = end;
        }
        return place_of(*at, pointer, root, base);
    };
    if (const auto found = uris_.find(plain(document)); found != uris_.end()) {
        const Place target = places_[found->second];
        if (const auto hit = walk(target.schema, target.pointer, target.root, target.base)) return *hit;
    }
    // Identifiers that were only decoration: the pointer is meant from the document's own root.
    if (reference.starts_with('#')) {
        if (const auto hit = walk(places_[0].schema, where_, places_[0].schema, places_[0].base)) return *hit;
        throw Error(ErrorKind::usage,
                    fmt::format("The schema at {}: {} \"{}\" leads nowhere.", place.pointer, keyword, reference),
                    "Correct the reference; it must lead to a part of this schema.");
    }
    refuse(from, keyword, fmt::format("\"{}\" is another document, and nothing is fetched", reference));
}

// A schema that is the same as itself says nothing, and validators walk it for ever; JSON Schema leaves its meaning
// open (2020-12, 9.4.1).
void SchemaCompiler::refuse_circle(std::uint32_t at) {
    std::vector<std::uint32_t> open{at};
    std::set<std::uint32_t> met;
    while (!open.empty()) {
        const std::uint32_t from = open.back();
        open.pop_back();
        tick();
        const auto* map = places_[from].schema->get<ValueMap>();
        if (map == nullptr) continue;
        const auto follow = [&](std::uint32_t to) {
            if (to == at) {
                throw Error(ErrorKind::usage,
                            fmt::format("The schema at {} is wrong: its $ref leads back to itself, by way of {}.",
                                        places_[at].pointer, places_[from].pointer),
                            "Let the references lead to a schema that says something of the value.");
            }
            if (met.insert(to).second) open.push_back(to);
        };
        if (const Value* v = map->find("$ref"); v != nullptr && v->get<std::string>() != nullptr) {
            follow(resolve(from, *v->get<std::string>(), "$ref"));
            if (draft_ != Draft::unknown && draft_ != Draft::d2019 && draft_ != Draft::d2020) continue;
        }
        const Value* all = map->find("allOf");
        const auto* parts = all != nullptr ? all->get<ValueList>() : nullptr;
        for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
            if ((*parts)[i].get<ValueMap>() != nullptr) follow(child(from, (*parts)[i], fmt::format("/allOf/{}", i)));
        }
    }
}

void SchemaCompiler::refuse(std::uint32_t at, std::string_view keyword, const std::string& why) const {
    throw Error(ErrorKind::unsupported,
                fmt::format("The schema at {} uses {} in a way that cannot be honoured: {}.", places_[at].pointer,
                            keyword, why),
                "Write the schema without it, or check the answer afterwards.");
}

void SchemaCompiler::malformed(std::uint32_t at, std::string_view keyword, const std::string& must) const {
    throw Error(ErrorKind::usage,
                fmt::format("The schema at {} is wrong: {} must be {}.", places_[at].pointer, keyword, must),
                "Correct the schema.");
}

}  // namespace freehold::grammar
