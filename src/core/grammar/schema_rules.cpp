// From alternatives of plain shapes to the rules, terminals and frames of a program.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "freehold/base/error.h"
#include "schema.h"

namespace freehold::grammar {
namespace {

// Written plainly, whole numbers of a list have no fraction.
void keep_whole(NumberRule& n) {
    if (n.plain && n.allowed && !n.step && std::ranges::all_of(*n.allowed, &Decimal::is_integer))
        n.step = as_decimal(Value(std::int64_t{1}));
}

}  // namespace

SchemaCompiler::SchemaCompiler(Program& program, const JsonSchemaOptions& options, std::vector<std::string>& notes)
    : program_(program),
      options_(options),
      notes_(notes),
      deadline_(std::chrono::steady_clock::now() + options.limits.time) {}

std::uint32_t SchemaCompiler::compile(const Value& schema, std::string where) {
    where_ = std::move(where);
    owned_.push_back(schema);
    const Value& root = owned_.back();
    if (const auto* map = root.get<ValueMap>()) {
        const Value* dialect = map->find("$schema");
        if (dialect != nullptr && dialect->get<std::string>() != nullptr) {
            const std::string& name = *dialect->get<std::string>();
            const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
            draft_ = has("draft-03")   ? Draft::d3
                     : has("draft-04") ? Draft::d4
                     : has("draft-06") ? Draft::d6
                     : has("draft-07") ? Draft::d7
                     : has("2019-09")  ? Draft::d2019
                     : has("2020-12")  ? Draft::d2020
                                       : Draft::unknown;
        }
    }
    index(root);
    const std::uint32_t at = place_of(root, where_, &root, "");
    Key key;
    if (const auto* flag = root.get<bool>()) {
        if (!*flag) key = {kNever};
    } else {
        key = {2 * at};
    }
    const std::uint32_t rule = rule_of(key);
    while (!to_build_.empty()) {
        const auto [index, what] = std::move(to_build_.back());
        to_build_.pop_back();
        build(index, what);
    }
    remove_endless();
    if (program_.rules[rule].starts.empty()) {
        throw Error(ErrorKind::usage, fmt::format("No JSON can fulfil the schema at {}.", where_),
                    options_.closed_objects
                        ? "Its keywords contradict each other, with strict also where a property is required and not "
                          "declared; correct the schema, or ask without strict."
                        : "Its keywords contradict each other; correct the schema.");
    }
    return rule;
}

std::uint32_t SchemaCompiler::rule_of(const Key& key) {
    const auto [at, fresh] = rules_.emplace(key, 0);
    if (!fresh) return at->second;
    const std::string name = key.empty() || key == Key{kNever} ? where_ : places_[key.front() / 2].pointer;
    const std::uint32_t rule = program_.rule(name);
    at->second = rule;
    if (program_.rules.size() > 100'000) {
        throw Error(ErrorKind::limit, "The schema comes to more than 100000 rules.", "Use a smaller schema.");
    }
    to_build_.emplace_back(rule, key);
    return rule;
}

void SchemaCompiler::build(std::uint32_t rule, const Key& key) {
    const std::vector<Flat> flats = expand(key);
    Regexes& rx = program_.regexes;
    const std::string name = program_.rules[rule].name;
    std::uint8_t constants = 0;
    std::vector<Rx> strings;
    std::set<std::u32string> words;
    std::set<std::uint32_t> numbers;
    std::vector<std::vector<Op>> ways;
    for (const Flat& f : flats) {
        tick();
        constants |= f.types & (Flat::null | Flat::yes | Flat::no);
        if ((f.types & Flat::number) != 0) {
            NumberRule n = f.numbers;
            n.plain = n.plain || options_.plain_numbers;
            keep_whole(n);
            if (!n.impossible()) numbers.insert(program_.number(n));
        }
        if ((f.types & Flat::string) != 0) {
            if (f.words) {
                words.insert(f.words->begin(), f.words->end());
            } else {
                strings.push_back(language(f));
            }
        }
        if ((f.types & Flat::array) != 0) {
            if (const auto shape = array_shape(f, name)) {
                ways.push_back({{Op::Kind::terminal, program_.json_open_array}, {Op::Kind::array, *shape}});
            }
        }
        if ((f.types & Flat::object) != 0) {
            if (const auto shape = object_shape(f, name)) {
                ways.push_back({{Op::Kind::terminal, program_.json_open_object}, {Op::Kind::object, *shape}});
            }
        }
    }
    const auto terminal = [&](Terminal::Kind kind, std::uint32_t arg) {
        ways.push_back({{Op::Kind::terminal, program_.terminal({kind, true, arg})}});
    };
    for (const auto& [type, text] : {std::pair(Flat::null, "null"), {Flat::yes, "true"}, {Flat::no, "false"}}) {
        if ((constants & type) != 0) ways.push_back({{Op::Kind::terminal, program_.literal(text, true)}});
    }
    const Rx all = rx.alt(strings);
    if (all != rx.nothing()) terminal(Terminal::Kind::string, all);
    if (!words.empty() && all != rx.anything()) {
        program_.lists.push_back({{words.begin(), words.end()}});
        terminal(Terminal::Kind::words, static_cast<std::uint32_t>(program_.lists.size() - 1));
    }
    for (const std::uint32_t n : numbers) terminal(Terminal::Kind::number, n);
    for (auto& way : ways) program_.alternative(rule, std::move(way));
}

std::optional<std::uint32_t> SchemaCompiler::array_shape(const Flat& f, const std::string& name) {
    ArrayShape a;
    std::size_t places = 0;
    for (const auto& items : f.items) places = std::max(places, items.first.size());
    if (f.most_items != kNone) places = std::min<std::size_t>(places, f.most_items);
    a.least = f.least_items;
    a.most = f.most_items;
    const auto key_at = [&](std::size_t i) {
        Key k;
        for (const auto& items : f.items) k = joined(k, i < items.first.size() ? items.first[i] : items.rest);
        return k;
    };
    Flat::Contains wanted{{}, 0, kNone};
    std::vector<Flat::Contains> contains = f.contains;
    // At least 0 of anything is nothing; "none of them" is a rule for every item.
    Key every;
    std::erase_if(contains, [&](const Flat::Contains& c) {
        if (c.most == 0 && !c.what.empty()) {
            if (c.least > 0) return false;
            if (c.what != Key{kNever}) every = joined(every, {c.what.front() ^ 1U});
            return true;
        }
        return c.least == 0 && c.most == kNone;
    });
    if (contains.size() > 1) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("The schema at {} asks for several contains at once, which cannot be honoured.", name),
                    "Ask for one contains, or check the answer afterwards.");
    }
    if (!contains.empty()) wanted = contains.front();
    if (wanted.what.empty()) {
        // Any item counts.
        if (!contains.empty()) {
            a.least = std::max(a.least, wanted.least);
            a.most = std::min(a.most, wanted.most);
        }
        contains.clear();
    } else if (wanted.what == Key{kNever}) {
        if (wanted.least > 0) return std::nullopt;
        contains.clear();
    }
    if (a.least > a.most) return std::nullopt;
    a.counted = !contains.empty();
    if (a.counted) {
        a.least_hits = wanted.least;
        a.most_hits = wanted.most;
        if (a.least_hits > a.most_hits || a.least_hits > a.most) return std::nullopt;
    }
    const auto item = [&](const Key& k, std::uint32_t& plain, std::uint32_t& hit) {
        const Key base = joined(k, every);
        if (!a.counted) {
            plain = never(base, 6) ? kNone : rule_of(base);
            return;
        }
        const Key with = joined(base, wanted.what);
        const Key without = joined(base, {wanted.what.front() ^ 1U});
        hit = never(with, 6) ? kNone : rule_of(with);
        plain = never(without, 6) ? kNone : rule_of(without);
    };
    if (f.distinct && a.most > 1) {
        // All different: possible where the items are a few plain values, each of which may come once.
        if (places > 0 || a.counted) {
            throw Error(
                ErrorKind::unsupported,
                fmt::format(
                    "The schema at {} uses uniqueItems beside prefixItems or contains, which cannot be honoured.",
                    name),
                "Leave uniqueItems out, or check the answer afterwards.");
        }
        const Key k = joined(key_at(0), every);
        std::uint8_t constants = 0;
        std::set<std::u32string> words;
        std::vector<Decimal> numbers;
        bool finite = k != Key{kNever};
        if (finite) {
            for (const Flat& one : expand(k)) {
                constants |= one.types & (Flat::null | Flat::yes | Flat::no);
                if ((one.types & (Flat::array | Flat::object)) != 0) finite = false;
                if ((one.types & Flat::string) != 0) {
                    if (one.words) {
                        words.insert(one.words->begin(), one.words->end());
                    } else {
                        finite = false;
                    }
                }
                if ((one.types & Flat::number) != 0) {
                    const auto few = few_numbers(one.numbers);
                    finite = finite && few.has_value();
                    for (const Decimal& d : few.value_or(std::vector<Decimal>())) {
                        if (std::find(numbers.begin(), numbers.end(), d) == numbers.end()) numbers.push_back(d);
                    }
                }
            }
        }
        if (!finite && k != Key{kNever}) {
            throw Error(
                ErrorKind::unsupported,
                fmt::format("The schema at {} uses uniqueItems over items that are not a list of plain values, which "
                            "cannot be honoured.",
                            name),
                "Give the items as an enum or as integers between near bounds, leave uniqueItems out, or check the "
                "answer afterwards.");
        }
        a.distinct = true;
        const auto add = [&](Op op) {
            const std::uint32_t rule = program_.rule(name);
            program_.alternative(rule, {op});
            a.choices.push_back(rule);
        };
        for (const auto& [type, text] : {std::pair(Flat::null, "null"), {Flat::yes, "true"}, {Flat::no, "false"}}) {
            if ((constants & type) != 0) add({Op::Kind::terminal, program_.literal(text, true)});
        }
        for (const auto& w : words) {
            program_.lists.push_back({{w}});
            add({Op::Kind::terminal, program_.terminal({Terminal::Kind::words, true,
                                                        static_cast<std::uint32_t>(program_.lists.size() - 1)})});
        }
        for (const Decimal& d : numbers) {
            NumberRule n;
            n.allowed = std::vector<Decimal>{d};
            n.plain = options_.plain_numbers;
            keep_whole(n);
            add({Op::Kind::terminal, program_.terminal({Terminal::Kind::number, true, program_.number(n)})});
        }
        if (a.choices.size() > 4096) {
            throw Error(ErrorKind::limit,
                        fmt::format("The schema at {} has uniqueItems over more than 4096 values.", name),
                        "Leave uniqueItems out.");
        }
        if (a.least > a.choices.size()) return std::nullopt;
    } else {
        for (std::size_t i = 0; i < places; ++i) {
            std::uint32_t plain = kNone;
            std::uint32_t hit = kNone;
            item(key_at(i), plain, hit);
            if (plain == kNone && hit == kNone) {
                // The array ends before it.
                if (a.least > i) return std::nullopt;
                a.most = std::min(a.most, static_cast<std::uint32_t>(i));
                break;
            }
            a.first.push_back(plain);
            a.first_hit.push_back(hit);
        }
        if (a.most > a.first.size()) {
            item(key_at(std::max(places, a.first.size())), a.rest, a.rest_hit);
            if (a.rest == kNone && a.rest_hit == kNone && a.least > a.first.size()) return std::nullopt;
        }
    }
    program_.arrays.push_back(std::move(a));
    return static_cast<std::uint32_t>(program_.arrays.size() - 1);
}

// The strings that fulfil a schema (for propertyNames).
Rx SchemaCompiler::key_language(const Key& key) {
    std::vector<Rx> parts;
    if (key == Key{kNever}) return program_.regexes.nothing();
    if (key.empty()) return program_.regexes.anything();
    for (const Flat& f : expand(key)) {
        if ((f.types & Flat::string) != 0) parts.push_back(language(f));
    }
    return program_.regexes.alt(std::move(parts));
}

std::optional<std::uint32_t> SchemaCompiler::object_shape(const Flat& f, const std::string& name) {
    Regexes& rx = program_.regexes;
    ObjectShape o;
    o.least = f.least_properties;
    o.most = f.most_properties;
    o.pinned = options_.pin_order;
    Rx allowed = rx.anything();
    for (const Key& k : f.names) allowed = rx.both({allowed, key_language(k)});

    // All names that some schema treats for itself, in the order of the schema.
    std::vector<std::u32string> in_order;
    std::set<std::u32string> known;
    const auto note = [&](const std::u32string& n) {
        if (known.insert(n).second) in_order.push_back(n);
    };
    for (const auto& p : f.properties) {
        for (const auto& [n, key] : p.named) note(n);
    }
    for (const auto& n : f.required) note(n);
    for (const auto& n : f.forbidden) note(n);
    if (known.size() > 50'000) {
        throw Error(ErrorKind::limit, fmt::format("The schema at {} names more than 50000 properties.", name),
                    "Name fewer.");
    }
    const std::vector<std::u32string> words(known.begin(), known.end());
    o.values.assign(words.size(), kNone);
    o.order.assign(words.size(), 0);
    o.required.assign((words.size() + 63) / 64, 0);
    for (std::uint32_t i = 0; i < in_order.size(); ++i) {
        const auto at =
            static_cast<std::size_t>(std::lower_bound(words.begin(), words.end(), in_order[i]) - words.begin());
        o.order[at] = i;
    }
    const auto derived = [&](Rx r, const std::u32string& n) {
        for (const char32_t c : n) r = rx.derivative(r, static_cast<CodePoint>(c));
        return rx.nullable(r);
    };
    // Which of a schema's own keys a name is: for a property that must be another one than these.
    const auto is_another = [&](const std::u32string& n) {
        if (!f.another) return false;
        const auto& p = f.properties[*f.another];
        return std::none_of(p.named.begin(), p.named.end(), [&](const auto& x) { return x.first == n; }) &&
               std::none_of(p.patterns.begin(), p.patterns.end(), [&](const auto& x) { return derived(x.first, n); });
    };
    for (std::size_t i = 0; i < words.size(); ++i) {
        tick();
        const bool needed = f.required.contains(words[i]);
        const Key k = property_key(f, words[i]);
        if (derived(allowed, words[i]) && !never(k, 6)) o.values[i] = rule_of(k);
        if (o.values[i] == kNone && needed) return std::nullopt;
        if (needed) o.required[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    // Other keys: which patterns they match decides what their values must be.
    struct Pattern {
        Rx rx;
        std::size_t source;
        Key key;
    };
    std::vector<Pattern> patterns;
    for (std::size_t s = 0; s < f.properties.size(); ++s) {
        for (const auto& [r, key] : f.properties[s].patterns) patterns.push_back({r, s, key});
    }
    std::vector<Rx> distinct;
    for (const Pattern& p : patterns) {
        if (std::find(distinct.begin(), distinct.end(), p.rx) == distinct.end()) distinct.push_back(p.rx);
    }
    std::vector<std::pair<Rx, std::vector<bool>>> classes{{allowed, {}}};
    for (const Rx r : distinct) {
        std::vector<std::pair<Rx, std::vector<bool>>> finer;
        for (const auto& [language_rx, hits] : classes) {
            for (const bool hit : {true, false}) {
                tick();
                const Rx part = rx.both({language_rx, hit ? r : rx.non(r)});
                if (!rx.possible(part)) continue;
                finer.emplace_back(part, hits);
                finer.back().second.push_back(hit);
            }
        }
        classes = std::move(finer);
        if (classes.size() > 256) {
            throw Error(ErrorKind::limit, fmt::format("The patternProperties at {} overlap in too many ways.", name),
                        "Use fewer patterns that match the same keys.");
        }
    }
    for (const auto& [language_rx, hits] : classes) {
        Key k;
        bool another = false;
        for (std::size_t s = 0; s < f.properties.size(); ++s) {
            bool matched = false;
            for (const Pattern& p : patterns) {
                if (p.source != s) continue;
                const auto i =
                    static_cast<std::size_t>(std::find(distinct.begin(), distinct.end(), p.rx) - distinct.begin());
                if (!hits[i]) continue;
                matched = true;
                k = joined(k, p.key);
            }
            if (!matched) k = joined(k, f.properties[s].additional);
            if (f.another && *f.another == s) another = !matched;
        }
        if (never(k, 6)) continue;
        // Names of their own are no other keys; taken out where the language is small enough to run dry.
        Rx keys = language_rx;
        if (keys != rx.anything()) {
            std::vector<Rx> own;
            for (const auto& w : words) {
                if (derived(keys, w)) own.push_back(rx.literal(w));
            }
            if (!own.empty() && own.size() <= 200) keys = rx.both({keys, rx.non(rx.alt(std::move(own)))});
            if (!rx.possible(keys)) continue;
        }
        o.others.push_back({keys, rule_of(k), another});
    }
    if (f.another) {
        for (std::size_t i = 0; i < words.size(); ++i) {
            o.hits.resize(o.required.size());
            if (is_another(words[i])) o.hits[i / 64] |= std::uint64_t{1} << (i % 64);
        }
        o.needs_hit = true;
        const bool by_name = [&] {
            for (std::size_t i = 0; i < words.size(); ++i) {
                if (o.values[i] != kNone && (o.hits[i / 64] >> (i % 64) & 1U) != 0) return true;
            }
            return false;
        }();
        if (!by_name && std::none_of(o.others.begin(), o.others.end(), [](const auto& x) { return x.hit; }))
            return std::nullopt;
    }
    std::size_t usable = 0;
    for (const std::uint32_t v : o.values) usable += v != kNone ? 1U : 0U;
    if (o.others.empty() && usable < o.least) return std::nullopt;
    if (f.required.size() > o.most) return std::nullopt;
    program_.lists.push_back({words});
    o.words = static_cast<std::uint32_t>(program_.lists.size() - 1);
    const auto index = static_cast<std::uint32_t>(program_.objects.size());
    o.key_terminal = program_.terminal({Terminal::Kind::key, true, index});
    program_.objects.push_back(std::move(o));
    return index;
}

// Rules that have no end (a value that must hold itself) lead nowhere: their alternatives and properties go.
void SchemaCompiler::remove_endless() {
    auto& p = program_;
    std::vector<bool> ends(p.rules.size(), false);
    const auto object_ends = [&](const ObjectShape& o) {
        for (std::size_t i = 0; i < o.values.size(); ++i) {
            if ((o.required[i / 64] >> (i % 64) & 1U) != 0 && !ends[o.values[i]]) return false;
        }
        if (o.least == 0) return true;
        std::size_t usable = 0;
        for (const std::uint32_t v : o.values) usable += v != kNone && ends[v] ? 1U : 0U;
        return usable >= o.least ||
               std::any_of(o.others.begin(), o.others.end(), [&](const auto& x) { return ends[x.value]; });
    };
    const auto ok = [&](std::uint32_t r) { return r != kNone && ends[r]; };
    const auto array_ends = [&](const ArrayShape& a) {
        if (a.distinct) return true;
        for (std::uint32_t i = 0; i < a.least; ++i) {
            if (i < a.first.size()) {
                if (!ok(a.first[i]) && !(a.counted && ok(a.first_hit[i]))) return false;
            } else {
                return ok(a.rest) || ok(a.rest_hit);
            }
        }
        return true;
    };
    const auto way_ends = [&](std::uint32_t start) {
        for (std::uint32_t i = start; p.code[i].kind != Op::Kind::end; ++i) {
            const Op& op = p.code[i];
            if (op.kind == Op::Kind::call && !ends[op.arg]) return false;
            if (op.kind == Op::Kind::object && !object_ends(p.objects[op.arg])) return false;
            if (op.kind == Op::Kind::array && !array_ends(p.arrays[op.arg])) return false;
        }
        return true;
    };
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t r = p.rules.size(); r-- > 0;) {
            if (ends[r]) continue;
            tick();
            if (std::any_of(p.rules[r].starts.begin(), p.rules[r].starts.end(), way_ends)) {
                ends[r] = true;
                changed = true;
            }
        }
    }
    for (auto& rule : p.rules) std::erase_if(rule.starts, [&](std::uint32_t s) { return !way_ends(s); });
    for (auto& o : p.objects) {
        for (auto& v : o.values) {
            if (v != kNone && !ends[v]) v = kNone;
        }
        std::erase_if(o.others, [&](const auto& x) { return !ends[x.value]; });
    }
    for (auto& a : p.arrays) {
        for (auto* list : {&a.first, &a.first_hit}) {
            for (auto& v : *list) v = ok(v) ? v : kNone;
        }
        for (std::size_t i = 0; i < a.first.size(); ++i) {
            if (a.first[i] == kNone && a.first_hit[i] == kNone)
                a.most = std::min(a.most, static_cast<std::uint32_t>(i));
        }
        a.rest = ok(a.rest) ? a.rest : kNone;
        a.rest_hit = ok(a.rest_hit) ? a.rest_hit : kNone;
    }
}

}  // namespace freehold::grammar
