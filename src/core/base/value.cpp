// Values and ordered maps: conversions that never lose a bit, lookup that stays fast for large maps.
#include "freehold/base/value.h"

#include <cmath>
#include <functional>
#include <limits>

namespace freehold {

namespace {

constexpr std::size_t kLinearEntries = 16;  // below this a scan beats a table
constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

}  // namespace

struct ValueMap::Impl {
    std::vector<ValueEntry> entries;
    std::vector<std::uint32_t> table;  // open addressing: indices of entries; empty while the map is small

    [[nodiscard]] std::size_t slot_of(std::string_view key) const noexcept {
        const std::size_t mask = table.size() - 1;
        std::size_t slot = std::hash<std::string_view>{}(key)&mask;
        while (table[slot] != kFree && entries[table[slot]].key != key) slot = (slot + 1) & mask;
        return slot;
    }

    [[nodiscard]] std::size_t index_of(std::string_view key) const noexcept {
        if (!table.empty()) {
            const std::uint32_t index = table[slot_of(key)];
            return index == kFree ? entries.size() : index;
        }
        std::size_t i = 0;
        while (i < entries.size() && entries[i].key != key) ++i;
        return i;
    }

    void rebuild() {
        table.clear();
        if (entries.size() <= kLinearEntries) return;
        std::size_t slots = 64;
        while (slots < entries.size() * 3) slots *= 2;
        table.assign(slots, kFree);
        for (std::size_t i = 0; i < entries.size(); ++i) table[slot_of(entries[i].key)] = static_cast<std::uint32_t>(i);
    }

    void append(std::string key, Value value) {
        entries.push_back({std::move(key), std::move(value)});
        if (entries.size() <= kLinearEntries) return;
        if (table.size() < entries.size() * 2) {
            rebuild();
        } else {
            table[slot_of(entries.back().key)] = static_cast<std::uint32_t>(entries.size() - 1);
        }
    }
};

ValueMap::ValueMap() = default;
ValueMap::~ValueMap() = default;
ValueMap::ValueMap(ValueMap&&) noexcept = default;
ValueMap& ValueMap::operator=(ValueMap&&) noexcept = default;
ValueMap::ValueMap(const ValueMap& other) : impl_(other.impl_ ? std::make_unique<Impl>(*other.impl_) : nullptr) {}
ValueMap& ValueMap::operator=(const ValueMap& other) {
    if (this != &other) impl_ = other.impl_ ? std::make_unique<Impl>(*other.impl_) : nullptr;
    return *this;
}
ValueMap::ValueMap(std::initializer_list<std::pair<std::string, Value>> entries) {
    for (const auto& [key, value] : entries) set(key, value);
}

const Value* ValueMap::find(std::string_view key) const noexcept {
    if (impl_ == nullptr) return nullptr;
    const std::size_t i = impl_->index_of(key);
    return i < impl_->entries.size() ? &impl_->entries[i].value : nullptr;
}

bool ValueMap::set(std::string key, Value value) {
    if (impl_ == nullptr) impl_ = std::make_unique<Impl>();
    const std::size_t i = impl_->index_of(key);
    if (i < impl_->entries.size()) {
        impl_->entries[i].value = std::move(value);
        return false;
    }
    impl_->append(std::move(key), std::move(value));
    return true;
}

bool ValueMap::erase(std::string_view key) {
    if (impl_ == nullptr) return false;
    const std::size_t i = impl_->index_of(key);
    if (i >= impl_->entries.size()) return false;
    impl_->entries.erase(impl_->entries.begin() + static_cast<std::ptrdiff_t>(i));
    impl_->rebuild();
    return true;
}

std::size_t ValueMap::size() const noexcept {
    return impl_ == nullptr ? 0 : impl_->entries.size();
}
const ValueEntry* ValueMap::begin() const noexcept {
    return impl_ == nullptr ? nullptr : impl_->entries.data();
}
const ValueEntry* ValueMap::end() const noexcept {
    return impl_ == nullptr ? nullptr : impl_->entries.data() + impl_->entries.size();
}

std::optional<std::int64_t> Value::as_int() const noexcept {
    if (const auto* i = get<std::int64_t>()) return *i;
    if (const auto* u = get<std::uint64_t>()) {
        if (*u > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
        return static_cast<std::int64_t>(*u);
    }
    if (const auto* d = get<double>()) {
        // The bounds are exact doubles; NaN fails both.
        if (!(*d >= -0x1p63 && *d < 0x1p63) || *d != std::trunc(*d)) return std::nullopt;
        return static_cast<std::int64_t>(*d);
    }
    return std::nullopt;
}

std::optional<double> Value::as_double() const noexcept {
    if (const auto* d = get<double>()) return *d;
    if (const auto* i = get<std::int64_t>()) {
        const auto d = static_cast<double>(*i);
        if (d >= 0x1p63 || static_cast<std::int64_t>(d) != *i) return std::nullopt;
        return d;
    }
    if (const auto* u = get<std::uint64_t>()) {
        const auto d = static_cast<double>(*u);
        if (d >= 0x1p64 || static_cast<std::uint64_t>(d) != *u) return std::nullopt;
        return d;
    }
    return std::nullopt;
}

std::optional<bool> Value::as_bool() const noexcept {
    if (const auto* b = get<bool>()) return *b;
    return std::nullopt;
}

std::optional<std::string_view> Value::as_string() const noexcept {
    if (const auto* s = get<std::string>()) return std::string_view(*s);
    return std::nullopt;
}

std::size_t Value::size() const noexcept {
    if (const auto* v = get<ValueList>()) return v->size();
    if (const auto* v = get<std::vector<std::string>>()) return v->size();
    if (const auto* v = get<std::vector<float>>()) return v->size();
    if (const auto* v = get<std::vector<std::int32_t>>()) return v->size();
    return 0;
}

Value Value::at(std::size_t i) const {
    if (i >= size()) return {};
    if (const auto* v = get<ValueList>()) return (*v)[i];
    if (const auto* v = get<std::vector<std::string>>()) return (*v)[i];
    if (const auto* v = get<std::vector<float>>()) return static_cast<double>((*v)[i]);
    if (const auto* v = get<std::vector<std::int32_t>>()) return std::int64_t{(*v)[i]};
    return {};
}

const Value* find(const ValueMap& map, std::string_view path) noexcept {
    if (const Value* whole = map.find(path)) return whole;
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos) return nullptr;
    const Value* head = map.find(path.substr(0, dot));
    const ValueMap* inner = head == nullptr ? nullptr : head->get<ValueMap>();
    return inner == nullptr ? nullptr : find(*inner, path.substr(dot + 1));
}

}  // namespace freehold
