// Ranges, views, iterators, namespaces and the global functions of a template; laying arguments on parameters.
#include "objects.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>

#include "ops.h"
#include "runtime.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100000;  // the sandbox's own bound

std::int64_t integer_argument(const Val& value, std::string_view function) {
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (!value.is_int_like()) {
        fail(std::string(function) + "(): '" + std::string(type_name(value)) +
             "' object cannot be interpreted as an integer");
    }
    return value.as_int();
}

Val global_range(Runtime& rt, const Val&, Args& args) {
    if (!args.kw.empty()) fail("range() takes no keyword arguments");
    if (args.pos.empty() || args.pos.size() > 3)
        fail("range expected 1 to 3 arguments, got " + std::to_string(args.pos.size()));
    std::array<std::int64_t, 3> n{0, 0, 1};
    for (std::size_t i = 0; i < args.pos.size(); ++i) n.at(i) = integer_argument(args.pos[i], "range");
    if (args.pos.size() == 1) n = {0, n[0], 1};
    if (n[2] == 0) fail("range() arg 3 must not be zero");
    auto range = rt.heap().make<Range>(n[0], n[1], n[2]);
    if (range->count > kMaxRange) fail("the range has more than " + std::to_string(kMaxRange) + " elements");
    return Val::object(std::move(range));
}

// dict(mapping or pairs, **kw), shared by dict() and namespace().
Dict make_dict(Heap& heap, Args& args, std::string_view function) {
    if (args.pos.size() > 1)
        fail(std::string(function) + " expected at most 1 argument, got " + std::to_string(args.pos.size()));
    Dict dict;
    if (!args.pos.empty()) {
        const Val& source = args.pos[0];
        if (source.is(Val::Kind::dict)) {
            for (const auto& [key, value] : source.as_dict().entries) dict.set(heap, key, value);
        } else {
            const auto it = iterate(heap, source);
            for (Val item; it->next(heap, item);) {
                std::vector<Val> pair = collect(heap, item);
                if (pair.size() != 2)
                    fail("dictionary update sequence element has length " + std::to_string(pair.size()) +
                         "; 2 is required");
                dict.set(heap, std::move(pair[0]), std::move(pair[1]));
            }
        }
    }
    for (auto& [name, value] : args.kw) dict.set(heap, heap.str(name), value);
    return dict;
}

Val global_dict(Runtime& rt, const Val&, Args& args) {
    return rt.heap().dict(make_dict(rt.heap(), args, "dict"));
}

Val global_namespace(Runtime& rt, const Val&, Args& args) {
    Heap& heap = rt.heap();
    auto space = heap.make<Namespace>();
    for (auto& [key, value] : make_dict(heap, args, "namespace").entries) {
        if (!key.is_string()) continue;  // no name can reach it
        space->set(std::string(key.text()), value);
    }
    heap.keep(space);
    return Val::object(std::move(space));
}

Val global_cycler(Runtime& rt, const Val&, Args& args) {
    if (!args.kw.empty()) fail("cycler() takes no keyword arguments");
    if (args.pos.empty()) fail("at least one item has to be provided");
    return Val::object(rt.heap().make<Cycler>(std::move(args.pos)));
}

Val global_joiner(Runtime& rt, const Val&, Args& args) {
    const Bound bound("joiner", args, {"sep"}, 0);
    return Val::object(rt.heap().make<Joiner>(bound[0] != nullptr ? bound.at(0) : rt.heap().str(", ")));
}

Val global_raise(Runtime& rt, const Val&, Args& args) {
    const Bound bound("raise_exception", args, {"message"}, 1);
    fail("the template refused the conversation: " + to_str(rt.heap(), bound.at(0)));
}

Val global_strftime(Runtime& rt, const Val&, Args& args) {
    const Bound bound("strftime_now", args, {"format"}, 1);
    return rt.heap().str(format_time(rt.heap(), bound.text(0), rt.now()));
}

Val dict_fromkeys(Runtime& rt, const Val&, Args& args) {
    const Bound bound("fromkeys", args, {"iterable", "value"}, 1, true);
    Dict dict;
    const auto it = iterate(rt.heap(), bound.at(0));
    for (Val key; it->next(rt.heap(), key);) {
        dict.set(rt.heap(), std::move(key), bound[1] != nullptr ? bound.at(1) : Val::none());
    }
    return rt.heap().dict(std::move(dict));
}

struct GlobalEntry {
    std::string_view name;
    Builtin::Code code;
};
constexpr std::array<GlobalEntry, 7> kGlobals{{{"range", global_range},
                                               {"dict", global_dict},
                                               {"namespace", global_namespace},
                                               {"cycler", global_cycler},
                                               {"joiner", global_joiner},
                                               {"raise_exception", global_raise},
                                               {"strftime_now", global_strftime}}};

Val cycler_next(Runtime&, const Val& self, Args& args) {
    if (!args.pos.empty() || !args.kw.empty()) fail("next() takes no arguments");
    return self.as<Cycler>()->next();
}

Val cycler_reset(Runtime&, const Val& self, Args& args) {
    if (!args.pos.empty() || !args.kw.empty()) fail("reset() takes no arguments");
    self.as<Cycler>()->position = 0;
    return Val::none();
}

Val range_index(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("index", args, {"value"}, 1, true);
    const Range& range = *self.as<Range>();
    for (std::int64_t i = 0; i < range.count; ++i) {
        if (equal(rt.heap(), Val::integer(range.at(i)), bound.at(0))) return Val::integer(i);
    }
    fail("the value is not in the range");
}

Val range_count(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("count", args, {"value"}, 1, true);
    const Range& range = *self.as<Range>();
    std::int64_t n = 0;
    for (std::int64_t i = 0; i < range.count; ++i)
        n += equal(rt.heap(), Val::integer(range.at(i)), bound.at(0)) ? 1 : 0;
    return Val::integer(n);
}

std::string pad(std::int64_t value, int width, char fill = '0') {
    std::string text = std::to_string(value);
    if (text.size() < static_cast<std::size_t>(width))
        text.insert(0, static_cast<std::size_t>(width) - text.size(), fill);
    return text;
}

// Year and week of ISO 8601.
std::pair<int, int> iso_week(const std::tm& tm) {
    const int weekday = (tm.tm_wday + 6) % 7;  // Monday 0
    int year = tm.tm_year + 1900;
    int week = (tm.tm_yday - weekday + 10) / 7;
    const auto weeks_in = [](int y) {
        const auto p = [](int n) { return (n + n / 4 - n / 100 + n / 400) % 7; };
        return p(y) == 4 || p(y - 1) == 3 ? 53 : 52;
    };
    if (week < 1) {
        --year;
        week = weeks_in(year);
    } else if (week > weeks_in(year)) {
        ++year;
        week = 1;
    }
    return {year, week};
}

}  // namespace

Range::Range(std::int64_t start_, std::int64_t stop_, std::int64_t step_)
    : start(start_), stop(stop_), step(step_), count(0) {
    const auto distance = [](std::int64_t low, std::int64_t high) {
        return static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    };
    std::uint64_t n = 0;
    if (step > 0 && start < stop) n = (distance(start, stop) - 1) / static_cast<std::uint64_t>(step) + 1;
    if (step < 0 && start > stop) n = (distance(stop, start) - 1) / (~static_cast<std::uint64_t>(step) + 1) + 1;
    count = static_cast<std::int64_t>(std::min<std::uint64_t>(n, std::numeric_limits<std::int64_t>::max()));
}

std::int64_t Range::at(std::int64_t i) const noexcept {
    // Unsigned, so that the step past either end of the integers wraps instead of being undefined.
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(start) +
                                     static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(step));
}

void Range::repr(Heap&, std::string& out) const {
    out += "range(" + std::to_string(start) + ", " + std::to_string(stop);
    if (step != 1) out += ", " + std::to_string(step);
    out += ')';
}

std::optional<Val> Range::attribute(Heap&, std::string_view name) {
    if (name == "start") return Val::integer(start);
    if (name == "stop") return Val::integer(stop);
    if (name == "step") return Val::integer(step);
    return std::nullopt;
}

std::shared_ptr<Iterator> Range::iterate(Heap& heap, const std::shared_ptr<Object>& self) {
    return heap.make<SequenceIterator>(heap, Val::object(self), false);
}

bool Range::same(const Range& other) const noexcept {
    if (count != other.count) return false;
    return count == 0 || (start == other.start && (count == 1 || step == other.step));
}

DictView::DictView(Val dict_, What what_) : dict(std::move(dict_)), what(what_) {
    depth = dict.depth();
}

std::string_view DictView::type() const noexcept {
    return what == What::keys ? "dict_keys" : what == What::values ? "dict_values" : "dict_items";
}

void DictView::repr(Heap& heap, std::string& out) const {
    out += type();
    out += "([";
    for (std::size_t i = 0; i < dict.as_dict().entries.size(); ++i) {
        if (i != 0) out += ", ";
        append_repr(heap, out, element(heap, i));
    }
    out += "])";
}

std::optional<std::int64_t> DictView::length(Heap&) {
    return static_cast<std::int64_t>(dict.as_dict().entries.size());
}

std::shared_ptr<Iterator> DictView::iterate(Heap& heap, const std::shared_ptr<Object>& self) {
    return heap.make<SequenceIterator>(heap, Val::object(self), false);
}

Val DictView::element(Heap& heap, std::size_t i) const {
    const auto& [key, value] = dict.as_dict().entries[i];
    if (what == What::keys) return key;
    if (what == What::values) return value;
    return heap.tuple({key, value});
}

bool DictView::equals(Heap& heap, const DictView& other) const {
    if (what != other.what || what == What::values) return false;
    const Dict &x = dict.as_dict(), &y = other.dict.as_dict();
    if (x.entries.size() != y.entries.size()) return false;
    for (const auto& [key, value] : x.entries) {
        const Val* there = y.find(heap, key);
        if (there == nullptr || (what == What::items && !equal(heap, value, *there))) return false;
    }
    return true;
}

SequenceIterator::SequenceIterator(Heap& heap, Val source_, bool backwards_)
    : source(std::move(source_)), backwards(backwards_) {
    depth = source.depth();
    if (source.is_string()) {
        count = source.text().size();
    } else {
        count = static_cast<std::size_t>(length_of(heap));
    }
    if (backwards) position = count;
}

std::int64_t SequenceIterator::length_of(Heap& heap) const {
    return try_length(heap, source).value_or(0);
}

bool SequenceIterator::next(Heap& heap, Val& out) {
    heap.step();
    if (backwards ? position == 0 : position >= count) return false;
    if (source.is_string()) {
        const Str& s = source.as_str();
        const std::size_t begin = backwards ? previous_point(s.text, position) : position;
        std::size_t end = begin;
        (void)decode_at(s.text, end);
        position = backwards ? begin : end;
        out = heap.str(s.text.substr(begin, end - begin));
        return true;
    }
    const std::size_t i = backwards ? --position : position++;
    if (source.is(Val::Kind::list)) {
        out = source.as_list().items[i];
    } else if (source.is(Val::Kind::dict)) {
        out = source.as_dict().entries[i].first;
    } else if (const auto* range = source.as<Range>()) {
        out = Val::integer(range->at(static_cast<std::int64_t>(i)));
    } else {
        out = source.as<DictView>()->element(heap, i);
    }
    return true;
}

bool LazyIterator::next(Heap& heap, Val& out) {
    if (done) return false;
    heap.step();
    if (pull(heap, out)) return true;
    done = true;
    return false;
}

void Namespace::repr(Heap& heap, std::string& out) const {
    heap.check_depth(static_cast<std::size_t>(heap.enter_repr()));
    out += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : attributes) {
        if (!first) out += ", ";
        first = false;
        append_quoted(out, name);
        out += ": ";
        append_repr(heap, out, value);
    }
    out += "}>";
    heap.leave_repr();
}

std::optional<Val> Namespace::attribute(Heap&, std::string_view name) {
    for (const auto& [key, value] : attributes) {
        if (key == name) return value;
    }
    return std::nullopt;
}

void Namespace::set(std::string name, Val value) {
    if (name.starts_with('_')) {
        fail("a chat template cannot store an attribute that starts with an underscore on a namespace: '" + name + "'");
    }
    for (auto& [key, old] : attributes) {
        if (key == name) {
            old = std::move(value);
            return;
        }
    }
    attributes.emplace_back(std::move(name), std::move(value));
}

Builtin::Builtin(std::string_view name_, Code code_, Val self_) : name(name_), code(code_), self(std::move(self_)) {
    depth = self.depth();
}

void Builtin::repr(Heap&, std::string& out) const {
    out += "<function ";
    out += name;
    out += '>';
}

std::optional<Val> Builtin::attribute(Heap& heap, std::string_view attribute_name) {
    if (code == global_dict && attribute_name == "fromkeys")
        return Val::object(heap.make<Builtin>("fromkeys", dict_fromkeys));
    return std::nullopt;
}

Cycler::Cycler(std::vector<Val> items_) : items(std::move(items_)) {
    for (const Val& item : items) depth = std::max<std::uint16_t>(depth, static_cast<std::uint16_t>(item.depth() + 1));
}

std::optional<Val> Cycler::attribute(Heap& heap, std::string_view name) {
    if (name == "current") return items[position];
    if (name == "pos") return Val::integer(static_cast<std::int64_t>(position));
    if (name == "items") return heap.tuple(items);
    if (name == "next" || name == "reset") {
        return Val::object(heap.make<Builtin>(name == "next" ? "next" : "reset",
                                              name == "next" ? cycler_next : cycler_reset,
                                              Val::object(shared_from_this())));
    }
    return std::nullopt;
}

Val Cycler::next() {
    Val value = items[position];
    position = (position + 1) % items.size();
    return value;
}

std::optional<Val> Joiner::attribute(Heap&, std::string_view name) {
    if (name == "sep") return separator;
    if (name == "used") return Val::boolean(used);
    return std::nullopt;
}

Val Joiner::call(Runtime& rt, Args& args) {
    if (!args.pos.empty() || !args.kw.empty()) fail("joiner takes no arguments");
    if (!used) {
        used = true;
        return rt.heap().str({});
    }
    return separator;
}

std::optional<Val> find_global(Heap& heap, std::string_view name) {
    for (const GlobalEntry& entry : kGlobals) {
        if (entry.name == name) return Val::object(heap.make<Builtin>(entry.name, entry.code));
    }
    return std::nullopt;
}

MethodLookup find_range_method(std::string_view name) noexcept {
    if (name == "index") return {"index", range_index, false};
    if (name == "count") return {"count", range_count, false};
    return {};
}

Bound::Bound(std::string_view function, Args& args, std::initializer_list<std::string_view> names, std::size_t required,
             bool positional_only)
    : function_(function), values_(names.size()) {
    const std::string what(function);
    if (args.pos.size() > names.size()) {
        fail(what + "() takes at most " + std::to_string(names.size()) + " arguments (" +
             std::to_string(args.pos.size()) + " given)");
    }
    for (std::size_t i = 0; i < args.pos.size(); ++i) values_[i] = args.pos[i];
    for (const auto& [name, value] : args.kw) {
        const auto it = std::find(names.begin(), names.end(), name);
        if (it == names.end() || positional_only) fail(what + "() got an unexpected keyword argument '" + name + "'");
        Val& place = values_[static_cast<std::size_t>(it - names.begin())];
        if (!place.is_missing()) fail(what + "() got multiple values for argument '" + name + "'");
        place = value;
    }
    for (std::size_t i = 0; i < required; ++i) {
        if (values_[i].is_missing())
            fail(what + "() is missing its argument '" + std::string(*(names.begin() + i)) + "'");
    }
}

std::int64_t Bound::integer(std::size_t i, std::int64_t otherwise) const {
    return values_[i].is_missing() ? otherwise : integer_argument(values_[i], function_);
}

bool Bound::flag(Heap& heap, std::size_t i, bool otherwise) const {
    return values_[i].is_missing() ? otherwise : truth(heap, values_[i]);
}

std::string_view Bound::text(std::size_t i) const {
    if (values_[i].is_undefined()) fail_undefined(values_[i].as_undefined());
    if (!values_[i].is_string()) {
        fail(std::string(function_) + "() needs a string, not " + std::string(type_name(values_[i])));
    }
    return values_[i].text();
}

std::string format_time(Heap& heap, std::string_view format, std::int64_t now) {
    static constexpr std::array<std::string_view, 7> kDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                           "Thursday", "Friday", "Saturday"};
    static constexpr std::array<std::string_view, 12> kMonths{"January",   "February", "March",    "April",
                                                              "May",       "June",     "July",     "August",
                                                              "September", "October",  "November", "December"};
    const std::time_t seconds = now;
    std::tm tm{};
    if (gmtime_r(&seconds, &tm) == nullptr) fail("the time given to the template is out of range");
    const std::string_view day = kDays.at(static_cast<std::size_t>(tm.tm_wday));
    const std::string_view month = kMonths.at(static_cast<std::size_t>(tm.tm_mon));
    const int hour12 = tm.tm_hour % 12 == 0 ? 12 : tm.tm_hour % 12;
    const int year = tm.tm_year + 1900;
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        heap.step();
        heap.check_size(out.size());
        if (format[i] != '%' || i + 1 == format.size()) {
            out += format[i];
            continue;
        }
        char code = format[++i];
        // glibc's flags: no padding, spaces, zeros, upper case.
        char flag = 0;
        if ((code == '-' || code == '_' || code == '0' || code == '^') && i + 1 < format.size()) {
            flag = code;
            code = format[++i];
        }
        const auto number = [&](std::int64_t value, int width, char fill = '0') {
            if (flag == '-') width = 0;
            if (flag == '_') fill = ' ';
            if (flag == '0') fill = '0';
            out += pad(value, width, fill);
        };
        const auto word = [&](std::string_view text) { out += flag == '^' ? to_upper(text) : std::string(text); };
        switch (code) {
            case 'a':
                word(day.substr(0, 3));
                break;
            case 'A':
                word(day);
                break;
            case 'b':
            case 'h':
                word(month.substr(0, 3));
                break;
            case 'B':
                word(month);
                break;
            case 'c':
                out += format_time(heap, "%a %b %e %H:%M:%S %Y", now);
                break;
            case 'C':
                number(year / 100, 2);
                break;
            case 'd':
                number(tm.tm_mday, 2);
                break;
            case 'D':
            case 'x':
                out += format_time(heap, "%m/%d/%y", now);
                break;
            case 'e':
                number(tm.tm_mday, 2, ' ');
                break;
            case 'f':
                out += "000000";
                break;
            case 'F':
                out += format_time(heap, "%Y-%m-%d", now);
                break;
            case 'g':
                number(iso_week(tm).first % 100, 2);
                break;
            case 'G':
                number(iso_week(tm).first, 4);
                break;
            case 'H':
                number(tm.tm_hour, 2);
                break;
            case 'I':
                number(hour12, 2);
                break;
            case 'j':
                number(tm.tm_yday + 1, 3);
                break;
            case 'k':
                number(tm.tm_hour, 2, ' ');
                break;
            case 'l':
                number(hour12, 2, ' ');
                break;
            case 'm':
                number(tm.tm_mon + 1, 2);
                break;
            case 'M':
                number(tm.tm_min, 2);
                break;
            case 'n':
                out += '\n';
                break;
            case 'p':
                word(tm.tm_hour < 12 ? "AM" : "PM");
                break;
            case 'P':
                word(tm.tm_hour < 12 ? "am" : "pm");
                break;
            case 'r':
                out += format_time(heap, "%I:%M:%S %p", now);
                break;
            case 'R':
                out += format_time(heap, "%H:%M", now);
                break;
            case 's':
                out += std::to_string(now);
                break;
            case 'S':
                number(tm.tm_sec, 2);
                break;
            case 't':
                out += '\t';
                break;
            case 'T':
            case 'X':
                out += format_time(heap, "%H:%M:%S", now);
                break;
            case 'u':
                number(tm.tm_wday == 0 ? 7 : tm.tm_wday, 1);
                break;
            case 'U':
                number((tm.tm_yday + 7 - tm.tm_wday) / 7, 2);
                break;
            case 'V':
                number(iso_week(tm).second, 2);
                break;
            case 'w':
                number(tm.tm_wday, 1);
                break;
            case 'W':
                number((tm.tm_yday + 7 - (tm.tm_wday + 6) % 7) / 7, 2);
                break;
            case 'y':
                number(year % 100, 2);
                break;
            case 'Y':
                number(year, 4);
                break;
            case 'z':
            case 'Z':
                break;  // datetime.now() knows no zone
            case '%':
                out += '%';
                break;
            default:
                out += '%';
                if (flag != 0) out += flag;
                out += code;
        }
    }
    return out;
}

}  // namespace freehold::jinja
