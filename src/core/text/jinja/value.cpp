// Values of one rendering: how they are made, counted, hashed and taken in from outside.
#include "value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "freehold/base/error.h"
#include "ops.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

constexpr std::size_t kIndexFrom = 9;   // dicts smaller than this are searched one by one
constexpr std::size_t kNodeBytes = 96;  // what a small value costs beside its contents
constexpr std::size_t kLiveFactor = 8;  // live values may take this many times the longest output
constexpr std::size_t kKeptBytes = 160;

}  // namespace

void fail(std::string message) {
    throw Error(ErrorKind::bad_file, std::move(message));
}

void fail_limit(std::string message) {
    throw Error(ErrorKind::limit, std::move(message),
                "The template asks for more than a chat template needs; use another template or raise its limits.");
}

Val Val::undefined(std::string name, std::string owner, std::string hint) {
    return Val(Data(std::make_shared<const Undefined>(Undefined{std::move(name), std::move(owner), std::move(hint)})));
}

Val Val::constant(std::string text) {
    const std::size_t points = count_points(text);
    return Val(Data(std::make_shared<const Str>(Str{std::move(text), points, false, Charge()})));
}

std::string_view Val::text() const {
    return as_str().text;
}
bool Val::is_list() const noexcept {
    return is(Kind::list) && !as_list().tuple;
}
bool Val::is_tuple() const noexcept {
    return is(Kind::list) && as_list().tuple;
}

std::uint16_t Val::depth() const noexcept {
    switch (kind()) {
        case Kind::list:
            return as_list().depth;
        case Kind::dict:
            return as_dict().depth;
        case Kind::object:
            return as_object()->depth;
        default:
            return 0;
    }
}

bool Val::same_object(const Val& other) const noexcept {
    if (kind() != other.kind()) return false;
    switch (kind()) {
        case Kind::undefined:
            return &as_undefined() == &other.as_undefined();
        case Kind::none:
            return true;
        case Kind::boolean:
        case Kind::integer:
            return as_int() == other.as_int();
        case Kind::real:
            return as_real() == other.as_real();
        case Kind::string:
            return &as_str() == &other.as_str() || text() == other.text();
        case Kind::list:
            return &as_list() == &other.as_list();
        case Kind::dict:
            return &as_dict() == &other.as_dict();
        case Kind::object:
            return as_object() == other.as_object();
        case Kind::missing:
            return true;
    }
    return false;
}

std::string_view type_name(const Val& value) noexcept {
    switch (value.kind()) {
        case Val::Kind::missing:
        case Val::Kind::undefined:
            return "Undefined";
        case Val::Kind::none:
            return "NoneType";
        case Val::Kind::boolean:
            return "bool";
        case Val::Kind::integer:
            return "int";
        case Val::Kind::real:
            return "float";
        case Val::Kind::string:
            return value.as_str().markup ? "Markup" : "str";
        case Val::Kind::list:
            return value.is_tuple() ? "tuple" : "list";
        case Val::Kind::dict:
            return "dict";
        case Val::Kind::object:
            return value.as_object()->type();
    }
    return "object";
}

Charge::Charge(Heap* heap, std::size_t bytes) : heap_(heap), bytes_(bytes) {
    if (heap_ != nullptr) heap_->grow(bytes_);
}

Charge::~Charge() {
    if (heap_ != nullptr) heap_->shrink(bytes_);
}

const Val* Dict::find(std::string_view key) const noexcept {
    if (entries.size() < kIndexFrom) {
        for (const auto& [k, v] : entries) {
            if (k.is_string() && k.text() == key) return &v;
        }
        return nullptr;
    }
    const auto [begin, end] = index.equal_range(std::hash<std::string_view>{}(key));
    for (auto it = begin; it != end; ++it) {
        const auto& [k, v] = entries[it->second];
        if (k.is_string() && k.text() == key) return &v;
    }
    return nullptr;
}

const Val* Dict::find(Heap& heap, const Val& key) const {
    if (key.is_string()) return find(key.text());
    const std::size_t hash = hash_value(heap, key);
    if (entries.size() < kIndexFrom) {
        for (const auto& [k, v] : entries) {
            if (equal(heap, k, key)) return &v;
        }
        return nullptr;
    }
    const auto [begin, end] = index.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
        const auto& [k, v] = entries[it->second];
        if (equal(heap, k, key)) return &v;
    }
    return nullptr;
}

void Dict::set(Heap& heap, Val key, Val value) {
    heap.step();
    const std::size_t hash = hash_value(heap, key);
    depth = std::max<std::uint16_t>(depth, static_cast<std::uint16_t>(1 + std::max(key.depth(), value.depth())));
    heap.check_depth(depth);
    if (const Val* there = find(heap, key)) {
        const auto at = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return &e.second == there; });
        at->second = std::move(value);
        return;
    }
    entries.emplace_back(std::move(key), std::move(value));
    if (entries.size() == kIndexFrom) {
        for (std::size_t i = 0; i + 1 < entries.size(); ++i) index.emplace(hash_value(heap, entries[i].first), i);
    }
    if (entries.size() >= kIndexFrom) index.emplace(hash, entries.size() - 1);
}

void Object::repr(Heap&, std::string& out) const {
    out += '<';
    out += type();
    out += '>';
}

std::optional<Val> Object::attribute(Heap&, std::string_view) {
    return std::nullopt;
}
std::optional<std::int64_t> Object::length(Heap&) {
    return std::nullopt;
}
std::shared_ptr<Iterator> Object::iterate(Heap&, const std::shared_ptr<Object>&) {
    return nullptr;
}
Val Object::call(Runtime&, Args&) {
    fail("'" + std::string(type()) + "' object is not callable");
}

std::shared_ptr<Iterator> Iterator::iterate(Heap&, const std::shared_ptr<Object>& self) {
    return std::static_pointer_cast<Iterator>(self);
}

Heap::Heap(const TemplateLimits& limits) : limits_(limits), steps_(limits.steps) {}

Heap::~Heap() {
    // Every kept object is still held by kept_, so clearing one never takes down a chain of them.
    for (const auto& object : kept_) object->clear();
}

void Heap::out_of_steps() const {
    fail_limit("the template did not come to an end within " + std::to_string(limits_.steps) + " steps");
}

void Heap::grow(std::size_t bytes) {
    live_ += bytes;
    if (live_ / kLiveFactor > limits_.output_bytes) {
        live_ -= bytes;
        fail_limit("the values of the template take more than " + std::to_string(limits_.output_bytes * kLiveFactor) +
                   " bytes");
    }
}

void Heap::check_size(std::uint64_t bytes) const {
    if (bytes > limits_.output_bytes) {
        fail_limit("the template makes a text or list of more than " + std::to_string(limits_.output_bytes) + " bytes");
    }
}

void Heap::check_depth(std::size_t depth) const {
    if (depth > static_cast<std::size_t>(std::max(limits_.depth, 1))) {
        fail_limit("the template nests values more than " + std::to_string(limits_.depth) + " deep");
    }
}

Val Heap::str(std::string text, bool markup) {
    check_size(text.size());
    work(text.size());
    const std::size_t points = count_points(text);
    Charge charge(this, text.size() + kNodeBytes);
    return Val(Val::Data(std::make_shared<const Str>(Str{std::move(text), points, markup, std::move(charge)})));
}

Val Heap::sequence(std::vector<Val> items, bool tuple, bool group) {
    check_size(items.size() * sizeof(Val));
    step(1 + items.size() / 8);
    std::uint16_t depth = 0;
    for (const Val& item : items) depth = std::max(depth, item.depth());
    ++depth;
    check_depth(depth);
    Charge charge(this, items.size() * sizeof(Val) + kNodeBytes);
    return Val(Val::Data(std::make_shared<const List>(List{std::move(items), tuple, group, depth, std::move(charge)})));
}

Val Heap::list(std::vector<Val> items) {
    return sequence(std::move(items), false, false);
}
Val Heap::tuple(std::vector<Val> items, bool group) {
    return sequence(std::move(items), true, group);
}

Val Heap::dict(Dict dict) {
    check_size(dict.entries.size() * 2 * sizeof(Val));
    Charge charge(this, dict.entries.size() * 2 * sizeof(Val) + kNodeBytes);
    return Val(Val::Data(std::make_shared<const Dict>(
        Dict{std::move(dict.entries), dict.depth, std::move(dict.index), std::move(charge)})));
}

void Heap::keep(std::shared_ptr<Object> object) {
    grow(kKeptBytes);
    kept_.push_back(std::move(object));
}

std::size_t hash_value(Heap& heap, const Val& value) {
    heap.step();
    switch (value.kind()) {
        case Val::Kind::missing:
        case Val::Kind::undefined:
            return 0x7531;
        case Val::Kind::none:
            return 0x9e37;
        case Val::Kind::boolean:
        case Val::Kind::integer:
            return std::hash<std::int64_t>{}(value.as_int());
        case Val::Kind::real: {
            const double d = value.as_real();
            if (std::floor(d) == d && std::abs(d) < 9.2e18)
                return std::hash<std::int64_t>{}(static_cast<std::int64_t>(d));
            return std::hash<double>{}(d);
        }
        case Val::Kind::string:
            return std::hash<std::string_view>{}(value.text());
        case Val::Kind::list: {
            if (!value.is_tuple()) break;
            std::size_t hash = 0x345678;
            for (const Val& item : value.as_list().items) hash = hash * 1000003U + hash_value(heap, item);
            return hash;
        }
        case Val::Kind::dict:
            break;
        case Val::Kind::object:
            return std::hash<const void*>{}(value.as_object().get());
    }
    fail("unhashable type: '" + std::string(type_name(value)) + "'");
}

Val import_value(Heap& heap, const Value& value, int depth) {
    heap.step();
    heap.check_depth(static_cast<std::size_t>(depth));
    const Value::Data& data = value.data();
    if (std::holds_alternative<std::monostate>(data)) return Val::none();
    if (const bool* b = value.get<bool>()) return Val::boolean(*b);
    if (const auto* i = value.get<std::int64_t>()) return Val::integer(*i);
    if (const auto* u = value.get<std::uint64_t>()) {
        if (*u <= static_cast<std::uint64_t>(INT64_MAX)) return Val::integer(static_cast<std::int64_t>(*u));
        fail("the integer " + std::to_string(*u) + " does not fit into 64 bits with a sign");
    }
    if (const auto* d = value.get<double>()) return Val::real(*d);
    if (const auto* s = value.get<std::string>()) return heap.str(*s);
    if (const auto* map = value.get<ValueMap>()) {
        Dict dict;
        dict.entries.reserve(map->size());
        for (const ValueEntry& entry : *map)
            dict.set(heap, heap.str(entry.key), import_value(heap, entry.value, depth + 1));
        return heap.dict(std::move(dict));
    }
    std::vector<Val> items;
    if (const auto* list = value.get<ValueList>()) {
        items.reserve(list->size());
        for (const Value& item : *list) items.push_back(import_value(heap, item, depth + 1));
    } else {
        for (std::size_t i = 0; i < value.size(); ++i) items.push_back(import_value(heap, value.at(i), depth + 1));
    }
    return heap.list(std::move(items));
}

}  // namespace freehold::jinja
