// From "these schemas hold, those do not" to alternatives without any combinator: and, or, one of, not, if.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "freehold/base/error.h"
#include "regex_parse.h"
#include "schema.h"

namespace freehold::grammar {

namespace {

constexpr std::size_t kMostBranches = 4096;

Atom negated(Atom a) {
    return a ^ 1U;
}

}  // namespace

void SchemaCompiler::tick() {
    if ((++work_ & 63U) == 0 && std::chrono::steady_clock::now() > deadline_) {
        throw Error(ErrorKind::limit, "Compiling the schema takes too long.",
                    "Use fewer alternatives, or simpler ones.");
    }
    if (program_.regexes.size() > 300'000) {
        throw Error(ErrorKind::limit, "The patterns of the schema need too many states.", "Use simpler patterns.");
    }
}

const std::vector<Flat>& SchemaCompiler::expand(const Key& key) {
    if (const auto found = expanded_.find(key); found != expanded_.end()) return found->second;
    std::vector<Flat> out;
    std::vector<Branch> work;
    if (key != Key{kNever}) {
        Branch first;
        // Negations last: by then the types are known, and most of a negation is about other types.
        for (const Atom a : key) {
            if ((a & 1U) != 0) first.pending.push_back(a);
        }
        for (std::size_t i = key.size(); i-- > 0;) {
            if ((key[i] & 1U) == 0) first.pending.push_back(key[i]);
        }
        work.push_back(std::move(first));
    }
    std::vector<Branch> next;
    while (!work.empty()) {
        tick();
        Branch b = std::move(work.back());
        work.pop_back();
        if (b.pending.empty()) {
            if (prune(b.flat)) out.push_back(std::move(b.flat));
            if (out.size() > kMostBranches) break;
            continue;
        }
        // The latest positive one; negations wait.
        auto at = std::find_if(b.pending.rbegin(), b.pending.rend(), [](Atom a) { return (a & 1U) == 0; });
        const Atom atom = at != b.pending.rend() ? *at : b.pending.back();
        if (at != b.pending.rend()) {
            b.pending.erase(std::next(at).base());
        } else {
            b.pending.pop_back();
        }
        next.clear();
        apply(std::move(b), atom, next);
        for (std::size_t i = next.size(); i-- > 0;) {
            if (next[i].flat.types != 0) work.push_back(std::move(next[i]));
        }
        if (work.size() > kMostBranches) break;
    }
    if (out.size() > kMostBranches || !work.empty()) {
        const std::string where = key.empty() ? where_ : places_[key.front() / 2].pointer;
        throw Error(
            ErrorKind::limit,
            fmt::format("The schema at {} has more than {} combinations of alternatives.", where, kMostBranches),
            "Use fewer anyOf, oneOf and dependencies beside each other.");
    }
    return expanded_.emplace(key, std::move(out)).first->second;
}

void SchemaCompiler::apply(Branch b, Atom atom, std::vector<Branch>& out) {
    if (b.seen.contains(negated(atom))) return;  // it holds and does not
    if (!b.seen.insert(atom).second) {
        out.push_back(std::move(b));
        return;
    }
    const std::uint32_t at = atom / 2;
    const bool positive = (atom & 1U) == 0;
    const Value& schema = *places_[at].schema;
    if (const auto* flag = schema.get<bool>()) {
        if (*flag == positive) out.push_back(std::move(b));
        return;
    }
    if (schema.get<ValueMap>() == nullptr) malformed(at, "it", "an object, true or false");
    if (positive) {
        hold(std::move(b), at, out);
    } else {
        fail(std::move(b), at, out);
    }
}

std::uint32_t SchemaCompiler::literal_place(std::uint32_t at, const Value& value) {
    const auto [found, fresh] = literals_.emplace(std::pair(&value, 0), 0);
    if (!fresh) return found->second;
    ValueMap s;
    if (const auto* list = value.get<ValueList>()) {
        s.set("type", "array");
        ValueList items;
        for (const Value& v : *list) items.emplace_back(ValueMap{{"const", v}});
        s.set("minItems", static_cast<std::int64_t>(items.size()));
        s.set("maxItems", static_cast<std::int64_t>(items.size()));
        if (!items.empty()) s.set("prefixItems", std::move(items));
    } else {
        ValueMap properties;
        ValueList required;
        for (const auto& [name, v] : *value.get<ValueMap>()) {
            properties.set(name, ValueMap{{"const", v}});
            required.emplace_back(name);
        }
        s.set("type", "object");
        s.set("properties", std::move(properties));
        s.set("required", std::move(required));
        s.set("additionalProperties", false);
    }
    owned_.emplace_back(std::move(s));
    const std::uint32_t id = child(at, owned_.back(), "");
    literals_[{&value, 0}] = id;
    return id;
}

// const and enum. Values that are objects or arrays become places of their own, one alternative each.
// A whole number beyond 64 bits was rounded when the schema was read, so another one would be held to.
void SchemaCompiler::check_exact(std::uint32_t at, const Value& number) const {
    const auto* d = number.get<double>();
    if (d != nullptr && std::abs(*d) >= 0x1p63)
        refuse(at, "const", "a number of this size is not kept to its last digit");
}

void SchemaCompiler::hold_values(Branch& b, std::uint32_t at, const std::vector<const Value*>& values,
                                 std::vector<Atom>& literals) {
    std::uint8_t types = 0;
    std::set<std::u32string> words;
    NumberRule numbers;
    numbers.allowed.emplace();
    for (const Value* v : values) {
        if (v->is_null()) {
            types |= Flat::null;
        } else if (const auto* flag = v->get<bool>()) {
            types |= *flag ? Flat::yes : Flat::no;
        } else if (const auto* text = v->get<std::string>()) {
            types |= Flat::string;
            words.insert(code_points(*text, "A value of enum"));
        } else if (const auto d = as_decimal(*v)) {
            check_exact(at, *v);
            types |= Flat::number;
            if (std::find(numbers.allowed->begin(), numbers.allowed->end(), *d) == numbers.allowed->end()) {
                numbers.allowed->push_back(*d);
            }
        } else {
            literals.push_back(2 * literal_place(at, *v));
        }
    }
    b.flat.types &= types;
    if (b.flat.words) {
        std::erase_if(*b.flat.words, [&](const std::u32string& w) { return !words.contains(w); });
    } else {
        b.flat.words = std::move(words);
    }
    b.flat.numbers = meet(b.flat.numbers, numbers);
}

void SchemaCompiler::hold(Branch b, std::uint32_t at, std::vector<Branch>& out) {
    const ValueMap& s = *places_[at].schema->get<ValueMap>();
    const auto list = [&](const char* name) -> const ValueList* {
        const Value* v = s.find(name);
        if (v == nullptr) return nullptr;
        const auto* l = v->get<ValueList>();
        if (l == nullptr || l->empty()) malformed(at, name, "a list of schemas with at least one");
        return l;
    };
    for (const char* name : {"$dynamicRef", "$recursiveRef"}) {
        const Value* v = s.find(name);
        if (v == nullptr) continue;
        const auto* text = v->get<std::string>();
        if (text == nullptr || *text != "#") refuse(at, name, "where it leads depends on who refers");
        b.pending.push_back(2 * resolve(at, "#", name));
    }
    if (const Value* v = s.find("$ref")) {
        const auto* text = v->get<std::string>();
        if (text != nullptr) {
            refuse_circle(at);
            b.pending.push_back(2 * resolve(at, *text, "$ref"));
            // Before 2019-09 a reference stands alone, and what is beside it counts for nothing.
            if (draft_ != Draft::unknown && draft_ != Draft::d2019 && draft_ != Draft::d2020) {
                out.push_back(std::move(b));
                return;
            }
        }
    }
    hold_types(b.flat, at, s);
    hold_numbers(b.flat, at, s);
    hold_strings(b.flat, at, s);
    hold_arrays(b.flat, at, s);
    hold_objects(b.flat, at, s);
    for (const char* name : {"extends", "disallow"}) {
        if (draft_ == Draft::d3 && s.find(name) != nullptr) refuse(at, name, "it is of draft 3");
    }
    if (const auto* parts = list("allOf")) {
        for (std::size_t i = parts->size(); i-- > 0;) {
            const Key k = key_of(at, (*parts)[i], fmt::format("/allOf/{}", i));
            if (k == Key{kNever}) return;
            b.pending.insert(b.pending.end(), k.begin(), k.end());
        }
    }
    if (const Value* v = s.find("not")) {
        const Key k = key_of(at, *v, "/not");
        if (k.empty()) return;
        if (k != Key{kNever}) b.pending.push_back(negated(k.front()));
    }
    std::vector<Branch> branches;
    branches.push_back(std::move(b));
    for (const char* name : {"const", "enum"}) {
        const Value* v = s.find(name);
        if (v == nullptr) continue;
        std::vector<const Value*> values{v};
        if (name[0] == 'e') {
            const auto* l = v->get<ValueList>();
            if (l == nullptr) malformed(at, "enum", "a list of values");
            values.clear();
            for (const Value& value : *l) values.push_back(&value);
        }
        std::vector<Branch> more;
        for (Branch& from : branches) {
            std::vector<Atom> literals;
            Branch scalars = from;
            hold_values(scalars, at, values, literals);
            if (scalars.flat.types != 0) more.push_back(std::move(scalars));
            for (const Atom a : literals) {
                more.push_back(from);
                more.back().pending.push_back(a);
            }
        }
        branches = std::move(more);
    }
    // Each of what follows turns every branch so far into several.
    using Way = std::pair<std::vector<Atom>, std::function<void(Flat&)>>;
    const auto split = [&](const std::vector<Way>& ways) {
        if (branches.size() * ways.size() > kMostBranches) {
            throw Error(ErrorKind::limit,
                        fmt::format("The schema at {} has more than {} combinations of alternatives.",
                                    places_[at].pointer, kMostBranches),
                        "Use fewer anyOf, oneOf and dependencies beside each other.");
        }
        std::vector<Branch> more;
        for (const Branch& from : branches) {
            for (const auto& [atoms, change] : ways) {
                Branch to = from;
                to.pending.insert(to.pending.end(), atoms.begin(), atoms.end());
                if (change) change(to.flat);
                if (to.flat.types != 0) more.push_back(std::move(to));
            }
        }
        branches = std::move(more);
    };
    if (const auto* parts = list("anyOf")) {
        std::vector<Way> ways;
        for (std::size_t i = 0; i < parts->size(); ++i) {
            const Key k = key_of(at, (*parts)[i], fmt::format("/anyOf/{}", i));
            if (k != Key{kNever}) ways.push_back({k, {}});
        }
        // An alternative that takes everything makes the others superfluous.
        const bool all = std::any_of(ways.begin(), ways.end(), [](const Way& w) { return w.first.empty(); });
        if (!all) split(ways);
    }
    if (const auto* parts = list("oneOf")) {
        std::vector<Key> keys;
        for (std::size_t i = 0; i < parts->size(); ++i) {
            keys.push_back(key_of(at, (*parts)[i], fmt::format("/oneOf/{}", i)));
        }
        const Key here{2 * at};
        std::vector<Way> ways;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (keys[i] == Key{kNever}) continue;
            std::vector<Atom> way = keys[i];
            bool possible = true;
            for (std::size_t j = 0; j < keys.size() && possible; ++j) {
                if (i == j || keys[j] == Key{kNever}) continue;
                if (keys[j].empty()) possible = false;  // the other takes everything
                tick();
                if (possible && !never(joined(keys[i], keys[j]), 4)) way.push_back(negated(keys[j].front()));
            }
            if (possible) ways.push_back({way, {}});
        }
        split(ways);
    }
    if (const Value* condition = s.find("if")) {
        const Key k = key_of(at, *condition, "/if");
        const Value* then_v = s.find("then");
        const Value* else_v = s.find("else");
        const Key then_k = then_v != nullptr ? key_of(at, *then_v, "/then") : Key{};
        const Key else_k = else_v != nullptr ? key_of(at, *else_v, "/else") : Key{};
        std::vector<Way> ways;
        if (!then_k.empty() || !else_k.empty()) {
            if (k != Key{kNever} && then_k != Key{kNever}) ways.push_back({joined(k, then_k), {}});
            if (!k.empty() && else_k != Key{kNever}) {
                std::vector<Atom> way = else_k;
                if (k != Key{kNever}) way.push_back(negated(k.front()));
                ways.push_back({way, {}});
            }
            split(ways);
        }
    }
    for (const char* name : {"dependencies", "dependentRequired", "dependentSchemas"}) {
        const Value* v = s.find(name);
        if (v == nullptr) continue;
        const auto* map = v->get<ValueMap>();
        if (map == nullptr) malformed(at, name, "an object");
        for (const auto& [key, needs] : *map) {
            const std::u32string trigger = code_points(key, "A property name");
            std::vector<std::u32string> names{trigger};
            std::vector<Atom> atoms;
            bool impossible = false;
            if (const auto* l = needs.get<ValueList>()) {
                for (const Value& n : *l) {
                    if (n.get<std::string>() == nullptr) malformed(at, name, "lists of names");
                    names.push_back(code_points(*n.get<std::string>(), "A property name"));
                }
                if (names.size() == 1) continue;
            } else if (const auto* one = needs.get<std::string>(); one != nullptr && draft_ == Draft::d3) {
                names.push_back(code_points(*one, "A property name"));
            } else {
                const Key k = key_of(at, needs, fmt::format("/{}/{}", name, key));
                if (k.empty()) continue;
                impossible = k == Key{kNever};
                if (!impossible) atoms = k;
            }
            std::vector<Way> ways;
            ways.push_back({{}, [trigger](Flat& f) {
                                if (f.required.contains(trigger)) f.types &= static_cast<std::uint8_t>(~Flat::object);
                                f.forbidden.insert(trigger);
                            }});
            if (!impossible) {
                ways.push_back({atoms, [names, trigger](Flat& f) {
                                    f.types &= Flat::object;
                                    if (f.forbidden.contains(trigger)) f.types = 0;
                                    f.required.insert(names.begin(), names.end());
                                }});
            }
            const bool concerned = std::any_of(branches.begin(), branches.end(),
                                               [](const Branch& x) { return (x.flat.types & Flat::object) != 0; });
            if (concerned) split(ways);
        }
    }
    for (Branch& done : branches) out.push_back(std::move(done));
}

// The schema must not hold: at least one of its keywords fails.
void SchemaCompiler::fail(Branch b, std::uint32_t at, std::vector<Branch>& out) {
    const ValueMap& s = *places_[at].schema->get<ValueMap>();
    // What this schema asks of a value by itself.
    Flat f;
    const auto way = [&](std::uint8_t types, const std::function<void(Flat&)>& change, std::vector<Atom> atoms = {}) {
        Branch to = b;
        to.flat.types &= types;
        if (to.flat.types == 0) return;
        if (change) change(to.flat);
        to.pending.insert(to.pending.end(), atoms.begin(), atoms.end());
        out.push_back(std::move(to));
    };
    const auto fails = [&](const Key& k, std::uint8_t types = Flat::every,
                           const std::function<void(Flat&)>& change = {}) {
        if (k.empty()) return;
        if (k == Key{kNever}) {
            way(types, change);
        } else {
            way(types, change, {negated(k.front())});
        }
    };
    bool reference_alone = false;
    for (const char* name : {"$dynamicRef", "$recursiveRef", "$ref"}) {
        const Value* v = s.find(name);
        const auto* text = v != nullptr ? v->get<std::string>() : nullptr;
        if (text == nullptr) continue;
        if (name[1] != 'r' || name[2] != 'e' || name[3] != 'f') {
            if (*text != "#") refuse(at, name, "where it leads depends on who refers");
        }
        if (std::string_view(name) == "$ref") refuse_circle(at);
        way(Flat::every, {}, {negated(2 * resolve(at, *text, name))});
        reference_alone = std::string_view(name) == "$ref" && draft_ != Draft::unknown && draft_ != Draft::d2019 &&
                          draft_ != Draft::d2020;
    }
    if (reference_alone) return;

    f.types = Flat::every;
    hold_types(f, at, s);
    hold_numbers(f, at, s);
    hold_strings(f, at, s);
    hold_arrays(f, at, s);
    hold_objects(f, at, s);
    // Another type, or a number that is not whole.
    if (f.types != Flat::every) way(static_cast<std::uint8_t>(~f.types & Flat::every), {});
    const std::uint8_t inside = f.types;
    if ((inside & Flat::number) != 0) {
        const NumberRule& n = f.numbers;
        if (n.least) {
            way(Flat::number, [&](Flat& to) {
                NumberRule r;
                r.most = n.least;
                r.below = !n.above;
                to.numbers = meet(to.numbers, r);
            });
        }
        if (n.most) {
            way(Flat::number, [&](Flat& to) {
                NumberRule r;
                r.least = n.most;
                r.above = !n.below;
                to.numbers = meet(to.numbers, r);
            });
        }
        if (n.step) {
            way(Flat::number, [&](Flat& to) {
                NumberRule r;
                r.off_steps.push_back(*n.step);
                to.numbers = meet(to.numbers, r);
            });
        }
    }
    if ((inside & Flat::string) != 0) {
        if (f.least_length > 0) {
            way(Flat::string, [&](Flat& to) { to.most_length = std::min(to.most_length, f.least_length - 1); });
        }
        if (f.most_length != kNoBound) {
            way(Flat::string, [&](Flat& to) { to.least_length = std::max(to.least_length, f.most_length + 1); });
        }
        for (const Rx r : f.patterns) {
            way(Flat::string, [&](Flat& to) { to.patterns.push_back(program_.regexes.non(r)); });
        }
    }
    if ((inside & Flat::array & b.flat.types) != 0) {
        if (f.least_items > 0) {
            way(Flat::array, [&](Flat& to) { to.most_items = std::min(to.most_items, f.least_items - 1); });
        }
        if (f.most_items != kNone) {
            way(Flat::array, [&](Flat& to) { to.least_items = std::max(to.least_items, f.most_items + 1); });
        }
        for (const auto& items : f.items) {
            for (std::size_t i = 0; i < items.first.size(); ++i) {
                fails(items.first[i], Flat::array, [&](Flat& to) {
                    to.least_items = std::max(to.least_items, static_cast<std::uint32_t>(i) + 1);
                    Flat::Items wrong;
                    wrong.first.assign(i, {});
                    wrong.first.push_back(items.first[i] == Key{kNever} ? Key{} : Key{negated(items.first[i].front())});
                    to.items.push_back(std::move(wrong));
                });
            }
            if (items.rest == Key{kNever}) {
                way(Flat::array, [&](Flat& to) {
                    to.least_items = std::max(to.least_items, static_cast<std::uint32_t>(items.first.size()) + 1);
                });
            } else if (!items.rest.empty()) {
                if (!items.first.empty()) refuse(at, "items", "it is negated beside items of their own");
                way(Flat::array, [&](Flat& to) { to.contains.push_back({{negated(items.rest.front())}, 1, kNone}); });
            }
        }
        for (const auto& c : f.contains) {
            if (c.least > 0) {
                way(Flat::array, [&](Flat& to) { to.contains.push_back({c.what, 0, c.least - 1}); });
            }
            if (c.most != kNone) {
                way(Flat::array, [&](Flat& to) { to.contains.push_back({c.what, c.most + 1, kNone}); });
            }
        }
        if (f.distinct) refuse(at, "uniqueItems", "it is negated");
    }
    if ((inside & Flat::object & b.flat.types) != 0) {
        for (const auto& name : f.required) way(Flat::object, [&](Flat& to) { to.forbidden.insert(name); });
        if (f.least_properties > 0) {
            way(Flat::object,
                [&](Flat& to) { to.most_properties = std::min(to.most_properties, f.least_properties - 1); });
        }
        if (f.most_properties != kNone) {
            way(Flat::object,
                [&](Flat& to) { to.least_properties = std::max(to.least_properties, f.most_properties + 1); });
        }
        for (const auto& p : f.properties) {
            for (const auto& [name, key] : p.named) {
                fails(key, Flat::object, [&, n = &name, k = &key](Flat& to) {
                    to.required.insert(*n);
                    Flat::Properties wrong;
                    wrong.named.emplace_back(*n, *k == Key{kNever} ? Key{} : Key{negated(k->front())});
                    to.properties.push_back(std::move(wrong));
                });
            }
            for (const auto& [r, key] : p.patterns) {
                if (!key.empty()) refuse(at, "patternProperties", "it is negated");
            }
            if (p.additional == Key{kNever}) {
                if (b.flat.another) refuse(at, "additionalProperties", "it is negated twice");
                way(Flat::object, [&](Flat& to) {
                    to.properties.push_back({p.named, p.patterns, {}});
                    for (auto& [name, key] : to.properties.back().named) key.clear();
                    to.another = to.properties.size() - 1;
                });
            } else if (!p.additional.empty()) {
                refuse(at, "additionalProperties", "it is negated");
            }
        }
        if (!f.names.empty()) refuse(at, "propertyNames", "it is negated");
        for (const char* name : {"dependencies", "dependentRequired", "dependentSchemas"}) {
            const Value* v = s.find(name);
            const auto* map = v != nullptr ? v->get<ValueMap>() : nullptr;
            if (map == nullptr) continue;
            for (const auto& [key, needs] : *map) {
                const std::u32string trigger = code_points(key, "A property name");
                if (const auto* l = needs.get<ValueList>()) {
                    for (const Value& n : *l) {
                        if (n.get<std::string>() == nullptr) malformed(at, name, "lists of names");
                        const std::u32string lacking = code_points(*n.get<std::string>(), "A property name");
                        way(Flat::object, [&](Flat& to) {
                            to.required.insert(trigger);
                            to.forbidden.insert(lacking);
                        });
                    }
                } else {
                    fails(key_of(at, needs, fmt::format("/{}/{}", name, key)), Flat::object,
                          [&](Flat& to) { to.required.insert(trigger); });
                }
            }
        }
    }
    const auto list = [&](const char* name) -> const ValueList* {
        const Value* v = s.find(name);
        return v == nullptr ? nullptr : v->get<ValueList>();
    };
    if (const auto* parts = list("allOf")) {
        for (std::size_t i = 0; i < parts->size(); ++i) fails(key_of(at, (*parts)[i], fmt::format("/allOf/{}", i)));
    }
    if (const auto* parts = list("anyOf")) {
        std::vector<Atom> none;
        bool possible = true;
        for (std::size_t i = 0; i < parts->size(); ++i) {
            const Key k = key_of(at, (*parts)[i], fmt::format("/anyOf/{}", i));
            possible = possible && !k.empty();
            if (!k.empty() && k != Key{kNever}) none.push_back(negated(k.front()));
        }
        if (possible) way(Flat::every, {}, std::move(none));
    }
    if (const auto* parts = list("oneOf")) {
        std::vector<Key> keys;
        for (std::size_t i = 0; i < parts->size(); ++i)
            keys.push_back(key_of(at, (*parts)[i], fmt::format("/oneOf/{}", i)));
        std::vector<Atom> none;
        for (const Key& k : keys) {
            if (!k.empty() && k != Key{kNever}) none.push_back(negated(k.front()));
        }
        if (std::none_of(keys.begin(), keys.end(), [](const Key& k) { return k.empty(); })) way(Flat::every, {}, none);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            for (std::size_t j = i + 1; j < keys.size(); ++j) {
                const Key two = joined(keys[i], keys[j]);
                tick();
                if (!never(two, 4)) way(Flat::every, {}, two);
            }
        }
    }
    if (const Value* v = s.find("not")) {
        const Key k = key_of(at, *v, "/not");
        if (k != Key{kNever}) way(Flat::every, {}, k);
    }
    if (const Value* condition = s.find("if")) {
        const Key k = key_of(at, *condition, "/if");
        for (const bool then : {true, false}) {
            const Value* v = s.find(then ? "then" : "else");
            if (v == nullptr) continue;
            const Key body = key_of(at, *v, then ? "/then" : "/else");
            if (body.empty() || (then ? k == Key{kNever} : k.empty())) continue;
            std::vector<Atom> atoms;
            if (body != Key{kNever}) atoms.push_back(negated(body.front()));
            if (then) {
                atoms.insert(atoms.end(), k.begin(), k.end());
            } else if (k != Key{kNever}) {
                atoms.push_back(negated(k.front()));
            }
            way(Flat::every, {}, std::move(atoms));
        }
    }
    for (const char* name : {"const", "enum"}) {
        const Value* v = s.find(name);
        if (v == nullptr) continue;
        std::vector<const Value*> values{v};
        if (name[0] == 'e') {
            values.clear();
            if (v->get<ValueList>() == nullptr) malformed(at, "enum", "a list of values");
            for (const Value& value : *v->get<ValueList>()) values.push_back(&value);
        }
        Branch to = b;
        for (const Value* value : values) {
            if (value->is_null()) {
                to.flat.types &= static_cast<std::uint8_t>(~Flat::null);
            } else if (const auto* flag = value->get<bool>()) {
                to.flat.types &= static_cast<std::uint8_t>(*flag ? ~Flat::yes : ~Flat::no);
            } else if (const auto* text = value->get<std::string>()) {
                to.flat.not_words.insert(code_points(*text, "A value of enum"));
            } else if (const auto d = as_decimal(*value)) {
                check_exact(at, *value);
                to.flat.numbers.excluded.push_back(*d);
            } else {
                to.pending.push_back(negated(2 * literal_place(at, *value)));
            }
        }
        if (to.flat.types != 0) out.push_back(std::move(to));
    }
}

Rx SchemaCompiler::language(const Flat& f) {
    Regexes& rx = program_.regexes;
    std::vector<Rx> parts = f.patterns;
    if (f.least_length > 0 || f.most_length != kNoBound)
        parts.push_back(rx.rep(rx.any(), f.least_length, f.most_length));
    if (f.words) {
        std::vector<Rx> words;
        for (const auto& w : *f.words) words.push_back(rx.literal(w));
        parts.push_back(rx.alt(std::move(words)));
    }
    for (const auto& w : f.not_words) parts.push_back(rx.non(rx.literal(w)));
    return rx.both(std::move(parts));
}

// Leaves out the types of which no value can be; false when none is left.
bool SchemaCompiler::prune(Flat& f) {
    const auto drop = [&](Flat::Type t) { f.types &= static_cast<std::uint8_t>(~t); };
    if ((f.types & Flat::number) != 0 && !f.numbers.free() && f.numbers.impossible()) drop(Flat::number);
    if ((f.types & Flat::string) != 0) {
        if (f.words) {
            Regexes& rx = program_.regexes;
            Flat rest = f;
            rest.words.reset();
            rest.not_words.clear();
            const Rx r = language(rest);
            std::erase_if(*f.words, [&](const std::u32string& w) {
                if (f.not_words.contains(w)) return true;
                Rx at = r;
                for (const char32_t c : w) at = rx.derivative(at, static_cast<CodePoint>(c));
                return !rx.nullable(at);
            });
            f.not_words.clear();
            f.patterns.clear();
            f.least_length = 0;
            f.most_length = kNoBound;
            if (f.words->empty()) drop(Flat::string);
        } else if (f.least_length > f.most_length || !program_.regexes.possible(language(f))) {
            drop(Flat::string);
        }
    }
    if ((f.types & Flat::array) != 0 && f.least_items > f.most_items) drop(Flat::array);
    if ((f.types & Flat::object) != 0) {
        bool ok = f.least_properties <= f.most_properties && f.required.size() <= f.most_properties;
        ok = ok && std::none_of(f.required.begin(), f.required.end(),
                                [&](const std::u32string& n) { return f.forbidden.contains(n); });
        if (!ok) drop(Flat::object);
    }
    return f.types != 0;
}

// Surely nothing fulfils it? Looks a few levels down; "no" when it cannot tell.
bool SchemaCompiler::never(const Key& key, int depth) {
    if (key == Key{kNever}) return true;
    if (key.empty() || depth <= 0) return false;
    if (const auto found = never_.find({key, depth}); found != never_.end()) return found->second;
    if (never_open_.contains(key)) return false;
    never_open_.insert(key);
    bool result = false;
    try {
        const std::vector<Flat> flats = expand(key);
        result = std::all_of(flats.begin(), flats.end(), [&](const Flat& f) { return never(f, depth); });
    } catch (const Error& e) {
        never_open_.erase(key);
        if (e.kind() != ErrorKind::unsupported) throw;
        return false;
    }
    never_open_.erase(key);
    never_.emplace(std::pair(key, depth), result);
    return result;
}

bool SchemaCompiler::never(const Flat& f, int depth) {
    if ((f.types & ~(Flat::object | Flat::array)) != 0) return false;
    if ((f.types & Flat::array) != 0) {
        bool dead = false;
        for (std::uint32_t i = 0; i < std::min<std::uint32_t>(f.least_items, 8) && !dead; ++i) {
            Key k;
            for (const auto& items : f.items) k = joined(k, i < items.first.size() ? items.first[i] : items.rest);
            dead = never(k, depth - 1);
        }
        if (!dead) return false;
    }
    if ((f.types & Flat::object) != 0) {
        bool dead = false;
        for (const auto& name : f.required) {
            tick();
            dead = dead || never(property_key(f, name), depth - 1);
            if (dead) break;
        }
        if (!dead) return false;
    }
    return true;
}

// What the value of this property must fulfil.
Key SchemaCompiler::property_key(const Flat& f, const std::u32string& name) {
    if (f.forbidden.contains(name)) return {kNever};
    Regexes& rx = program_.regexes;
    Key k;
    for (const auto& p : f.properties) {
        bool known = false;
        for (const auto& [n, key] : p.named) {
            if (n != name) continue;
            known = true;
            k = joined(k, key);
        }
        for (const auto& [pattern_rx, key] : p.patterns) {
            Rx at = pattern_rx;
            for (const char32_t c : name) at = rx.derivative(at, static_cast<CodePoint>(c));
            if (!rx.nullable(at)) continue;
            known = true;
            k = joined(k, key);
        }
        if (!known) k = joined(k, p.additional);
    }
    return k;
}

}  // namespace freehold::grammar
