// Python's protocols on template values: truth, printing, equality, order, membership, arithmetic.
#include "ops.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "numbers.h"
#include "objects.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

[[noreturn]] void fail_operands(std::string_view op, const Val& a, const Val& b) {
    fail("unsupported operand type(s) for " + std::string(op) + ": '" + std::string(type_name(a)) + "' and '" +
         std::string(type_name(b)) + "'");
}

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void fail_overflow() {
    fail("an integer of the template does not fit into 64 bits");
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    if (a == std::numeric_limits<std::int64_t>::min() && b == -1) fail_overflow();
    const std::int64_t q = a / b;
    return (a % b != 0 && ((a < 0) != (b < 0))) ? q - 1 : q;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
    if (b == -1) return 0;
    const std::int64_t r = a % b;
    return (r != 0 && ((r < 0) != (b < 0))) ? r + b : r;
}

double real_mod(double a, double b) {
    double r = std::fmod(a, b);
    if (r != 0) {
        if ((b < 0) != (r < 0)) r += b;
    } else {
        r = std::copysign(0.0, b);
    }
    return r;
}

double real_floor_div(double a, double b) {
    const double mod = std::fmod(a, b);
    double div = (a - mod) / b;
    if (mod != 0 && ((b < 0) != (mod < 0))) div -= 1.0;
    if (div == 0) return std::copysign(0.0, a / b);
    double floored = std::floor(div);
    if (div - floored > 0.5) floored += 1.0;
    return floored;
}

Val int_power(std::int64_t base, std::int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) fail("0.0 cannot be raised to a negative power");
        return Val::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    std::int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            if (result == 0) return Val::integer(0);
            fail_overflow();
        }
    }
    return Val::integer(result);
}

Val int_arith(Arith op, std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    switch (op) {
        case Arith::add:
            if (__builtin_add_overflow(a, b, &out)) fail_overflow();
            return Val::integer(out);
        case Arith::sub:
            if (__builtin_sub_overflow(a, b, &out)) fail_overflow();
            return Val::integer(out);
        case Arith::mul:
            if (__builtin_mul_overflow(a, b, &out)) fail_overflow();
            return Val::integer(out);
        case Arith::div:
            if (b == 0) fail("division by zero");
            return Val::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
        case Arith::floordiv:
            if (b == 0) fail("integer division or modulo by zero");
            return Val::integer(floor_div(a, b));
        case Arith::mod:
            if (b == 0) fail("integer modulo by zero");
            return Val::integer(floor_mod(a, b));
        case Arith::pow:
            return int_power(a, b);
    }
    return Val::none();
}

Val real_arith(Arith op, double a, double b) {
    switch (op) {
        case Arith::add:
            return Val::real(a + b);
        case Arith::sub:
            return Val::real(a - b);
        case Arith::mul:
            return Val::real(a * b);
        case Arith::div:
            if (b == 0) fail("float division by zero");
            return Val::real(a / b);
        case Arith::floordiv:
            if (b == 0) fail("float floor division by zero");
            return Val::real(real_floor_div(a, b));
        case Arith::mod:
            if (b == 0) fail("float modulo");
            return Val::real(real_mod(a, b));
        case Arith::pow: {
            if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
            if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::floor(b) != b) {
                fail("the power of a negative number is not real");
            }
            const double result = std::pow(a, b);
            if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) fail("the power is too large for a float");
            return Val::real(result);
        }
    }
    return Val::none();
}

Val repeat(Heap& heap, const Val& sequence, std::int64_t count) {
    const std::uint64_t n = count > 0 ? static_cast<std::uint64_t>(count) : 0;
    const auto room = [&](std::size_t size, std::size_t unit) {
        if (size != 0 && n > std::numeric_limits<std::uint64_t>::max() / (size * unit)) heap.check_size(UINT64_MAX);
        heap.check_size(n * size * unit);
    };
    if (sequence.is_string()) {
        const std::string_view text = sequence.text();
        room(text.size(), 1);
        std::string out;
        out.reserve(text.size() * n);
        for (std::uint64_t i = 0; i < n && !text.empty(); ++i) out += text;
        return heap.str(std::move(out), sequence.as_str().markup);
    }
    const List& list = sequence.as_list();
    room(list.items.size(), sizeof(Val));
    std::vector<Val> items;
    items.reserve(list.items.size() * n);
    for (std::uint64_t i = 0; i < n && !list.items.empty(); ++i)
        items.insert(items.end(), list.items.begin(), list.items.end());
    return list.tuple ? heap.tuple(std::move(items)) : heap.list(std::move(items));
}

Val add_sequences(Heap& heap, const Val& a, const Val& b) {
    if (a.is_string() && b.is_string()) {
        const bool markup = a.as_str().markup || b.as_str().markup;
        std::string out = markup ? escaped(heap, a) : std::string(a.text());
        heap.check_size(out.size() + b.text().size());
        out += markup ? escaped(heap, b) : std::string(b.text());
        return heap.str(std::move(out), markup);
    }
    if (a.is(Val::Kind::list) && b.is(Val::Kind::list) && a.as_list().tuple == b.as_list().tuple) {
        std::vector<Val> items;
        heap.check_size((a.as_list().items.size() + b.as_list().items.size()) * sizeof(Val));
        items.reserve(a.as_list().items.size() + b.as_list().items.size());
        items = a.as_list().items;
        items.insert(items.end(), b.as_list().items.begin(), b.as_list().items.end());
        return a.is_tuple() ? heap.tuple(std::move(items)) : heap.list(std::move(items));
    }
    if (a.is_string()) fail("can only concatenate str (not \"" + std::string(type_name(b)) + "\") to str");
    fail_operands("+", a, b);
}

bool equal_numbers(const Val& a, const Val& b) {
    if (a.is_int_like() && b.is_int_like()) return a.as_int() == b.as_int();
    if (a.is(Val::Kind::real) && b.is(Val::Kind::real)) return a.as_real() == b.as_real();
    const double d = a.is(Val::Kind::real) ? a.as_real() : b.as_real();
    const std::int64_t i = a.is(Val::Kind::real) ? b.as_int() : a.as_int();
    return std::floor(d) == d && d >= -9223372036854775808.0 && d < 9223372036854775808.0 &&
           static_cast<std::int64_t>(d) == i;
}

template <class T>
bool holds(Order op, const T& a, const T& b) {
    switch (op) {
        case Order::less:
            return a < b;
        case Order::less_equal:
            return a <= b;
        case Order::greater:
            return a > b;
        case Order::greater_equal:
            return a >= b;
    }
    return false;
}

bool ordered_numbers(Order op, const Val& a, const Val& b) {
    if (a.is_int_like() && b.is_int_like()) return holds(op, a.as_int(), b.as_int());
    return holds(op,
                 static_cast<long double>(a.is(Val::Kind::real) ? static_cast<long double>(a.as_real())
                                                                : static_cast<long double>(a.as_int())),
                 static_cast<long double>(b.is(Val::Kind::real) ? static_cast<long double>(b.as_real())
                                                                : static_cast<long double>(b.as_int())));
}

// \xe9, \u20ac, \U0001f600.
void append_escape(std::string& out, char32_t code) {
    static constexpr char kHex[] = "0123456789abcdef";
    const int digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int i = digits - 1; i >= 0; --i) out += kHex[(code >> static_cast<unsigned>(4 * i)) & 0xFU];
}

}  // namespace

bool truth(Heap& heap, const Val& value) {
    switch (value.kind()) {
        case Val::Kind::missing:
        case Val::Kind::undefined:
        case Val::Kind::none:
            return false;
        case Val::Kind::boolean:
            return value.as_bool();
        case Val::Kind::integer:
            return value.as_int() != 0;
        case Val::Kind::real:
            return value.as_real() != 0;
        case Val::Kind::string:
            return !value.text().empty();
        case Val::Kind::list:
            return !value.as_list().items.empty();
        case Val::Kind::dict:
            return !value.as_dict().entries.empty();
        case Val::Kind::object:
            return value.as_object()->length(heap).value_or(1) != 0;
    }
    return false;
}

void append_quoted(std::string& out, std::string_view text) {
    const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = doubled ? '"' : '\'';
    out += quote;
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t start = pos;
        const char32_t code = decode_at(text, pos);
        if (code == static_cast<char32_t>(quote) || code == '\\') {
            out += '\\';
            out += static_cast<char>(code);
        } else if (code == '\n') {
            out += "\\n";
        } else if (code == '\r') {
            out += "\\r";
        } else if (code == '\t') {
            out += "\\t";
        } else if (is_printable(code) || (code == 0xFFFD && pos - start == 1)) {
            out += text.substr(start, pos - start);
        } else {
            append_escape(out, code);
        }
    }
    out += quote;
}

void append_repr(Heap& heap, std::string& out, const Val& value) {
    heap.step();
    heap.check_size(out.size());
    switch (value.kind()) {
        case Val::Kind::missing:
        case Val::Kind::undefined:
            out += "Undefined";
            return;
        case Val::Kind::none:
            out += "None";
            return;
        case Val::Kind::boolean:
            out += value.as_bool() ? "True" : "False";
            return;
        case Val::Kind::integer:
            out += std::to_string(value.as_int());
            return;
        case Val::Kind::real:
            out += float_repr(value.as_real());
            return;
        case Val::Kind::string:
            heap.work(value.text().size());
            if (value.as_str().markup) out += "Markup(";
            append_quoted(out, value.text());
            if (value.as_str().markup) out += ')';
            return;
        case Val::Kind::list: {
            const List& list = value.as_list();
            out += list.tuple ? '(' : '[';
            for (std::size_t i = 0; i < list.items.size(); ++i) {
                if (i != 0) out += ", ";
                append_repr(heap, out, list.items[i]);
            }
            if (list.tuple && list.items.size() == 1) out += ',';
            out += list.tuple ? ')' : ']';
            return;
        }
        case Val::Kind::dict: {
            out += '{';
            bool first = true;
            for (const auto& [key, item] : value.as_dict().entries) {
                if (!first) out += ", ";
                first = false;
                append_repr(heap, out, key);
                out += ": ";
                append_repr(heap, out, item);
            }
            out += '}';
            return;
        }
        case Val::Kind::object:
            value.as_object()->repr(heap, out);
            return;
    }
}

void append_str(Heap& heap, std::string& out, const Val& value) {
    if (value.is_string()) {
        heap.work(value.text().size());
        heap.check_size(out.size() + value.text().size());
        out += value.text();
    } else if (!value.is_undefined() && !value.is_missing()) {
        append_repr(heap, out, value);
    }
}

std::string to_str(Heap& heap, const Val& value) {
    std::string out;
    append_str(heap, out, value);
    return out;
}

std::string to_repr(Heap& heap, const Val& value) {
    std::string out;
    append_repr(heap, out, value);
    return out;
}

std::string to_ascii(Heap& heap, const Val& value) {
    const std::string text = to_repr(heap, value);
    heap.work(text.size());
    std::string out;
    for (std::size_t pos = 0; pos < text.size();) {
        const char32_t code = decode_at(text, pos);
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else {
            append_escape(out, code);
            heap.check_size(out.size());
        }
    }
    return out;
}

bool equal(Heap& heap, const Val& a, const Val& b) {
    heap.step();
    if (a.is_number() && b.is_number()) return equal_numbers(a, b);
    if (a.kind() != b.kind()) return false;
    switch (a.kind()) {
        case Val::Kind::missing:
        case Val::Kind::undefined:
        case Val::Kind::none:
            return true;
        case Val::Kind::string:
            heap.work(a.text().size());
            return a.text() == b.text();
        case Val::Kind::list: {
            const List &x = a.as_list(), &y = b.as_list();
            if (x.tuple != y.tuple || x.items.size() != y.items.size()) return false;
            if (&x == &y) return true;
            for (std::size_t i = 0; i < x.items.size(); ++i) {
                if (!equal(heap, x.items[i], y.items[i])) return false;
            }
            return true;
        }
        case Val::Kind::dict: {
            const Dict &x = a.as_dict(), &y = b.as_dict();
            if (&x == &y) return true;
            if (x.entries.size() != y.entries.size()) return false;
            for (const auto& [key, item] : x.entries) {
                const Val* other = y.find(heap, key);
                if (other == nullptr || !equal(heap, item, *other)) return false;
            }
            return true;
        }
        case Val::Kind::object: {
            if (a.as_object() == b.as_object()) return true;
            const Range *x = a.as<Range>(), *y = b.as<Range>();
            if (x != nullptr && y != nullptr) return x->same(*y);
            const DictView *v = a.as<DictView>(), *w = b.as<DictView>();
            return v != nullptr && w != nullptr && v->equals(heap, *w);
        }
        default:
            return false;
    }
}

bool ordered(Heap& heap, Order op, const Val& a, const Val& b) {
    heap.step();
    if (a.is_undefined()) fail_undefined(a.as_undefined());
    if (b.is_undefined()) fail_undefined(b.as_undefined());
    if (a.is_number() && b.is_number()) return ordered_numbers(op, a, b);
    if (a.is_string() && b.is_string()) {
        heap.work(std::min(a.text().size(), b.text().size()));
        return holds(op, a.text(), b.text());  // UTF-8 sorts as the code points do
    }
    if (a.is(Val::Kind::list) && b.is(Val::Kind::list) && a.as_list().tuple == b.as_list().tuple) {
        const auto &x = a.as_list().items, &y = b.as_list().items;
        for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
            if (!x[i].same_object(y[i]) && !equal(heap, x[i], y[i])) return ordered(heap, op, x[i], y[i]);
        }
        return holds(op, x.size(), y.size());
    }
    static constexpr std::string_view kOps[] = {"<", "<=", ">", ">="};
    fail("'" + std::string(kOps[static_cast<std::size_t>(op)]) + "' not supported between instances of '" +
         std::string(type_name(a)) + "' and '" + std::string(type_name(b)) + "'");
}

bool contains(Heap& heap, const Val& item, const Val& container) {
    switch (container.kind()) {
        case Val::Kind::string:
            if (!item.is_string()) {
                fail("'in <string>' requires string as left operand, not " + std::string(type_name(item)));
            }
            heap.work(container.text().size());
            return find_text(container.text(), item.text(), 0, container.text().size()) != std::string_view::npos;
        case Val::Kind::dict:
            return container.as_dict().find(heap, item) != nullptr;
        default:
            break;
    }
    if (const auto* view = container.as<DictView>(); view != nullptr && view->what == DictView::What::keys) {
        return view->dict.as_dict().find(heap, item) != nullptr;
    }
    const auto it = try_iterate(heap, container);
    if (it == nullptr) fail("argument of type '" + std::string(type_name(container)) + "' is not iterable");
    for (Val value; it->next(heap, value);) {
        if (value.same_object(item) || equal(heap, value, item)) return true;
    }
    return false;
}

Val arith(Heap& heap, Arith op, const Val& a, const Val& b) {
    if (a.is_number() && b.is_number()) {
        if (a.is_int_like() && b.is_int_like()) return int_arith(op, a.as_int(), b.as_int());
        return real_arith(op, a.as_real(), b.as_real());
    }
    if (a.is_undefined()) fail_undefined(a.as_undefined());
    if (op == Arith::mod && a.is_string()) {
        return heap.str(percent_format(heap, a.text(), b), a.as_str().markup);
    }
    if (b.is_undefined()) fail_undefined(b.as_undefined());
    const auto is_sequence = [](const Val& v) { return v.is_string() || v.is(Val::Kind::list); };
    if (op == Arith::add && is_sequence(a)) return add_sequences(heap, a, b);
    if (op == Arith::mul && is_sequence(a) && b.is_int_like()) return repeat(heap, a, b.as_int());
    if (op == Arith::mul && is_sequence(b) && a.is_int_like()) return repeat(heap, b, a.as_int());
    fail_operands(kSymbols[static_cast<std::size_t>(op)], a, b);
}

Val negate(const Val& value) {
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (value.is(Val::Kind::real)) return Val::real(-value.as_real());
    if (!value.is_int_like()) fail("bad operand type for unary -: '" + std::string(type_name(value)) + "'");
    std::int64_t out = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, value.as_int(), &out)) fail_overflow();
    return Val::integer(out);
}

Val positive(const Val& value) {
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (value.is(Val::Kind::real)) return value;
    if (!value.is_int_like()) fail("bad operand type for unary +: '" + std::string(type_name(value)) + "'");
    return Val::integer(value.as_int());
}

std::string undefined_message(const Undefined& undefined) {
    if (!undefined.hint.empty()) return undefined.hint;
    if (undefined.owner.empty()) return "'" + undefined.name + "' is undefined";
    return "'" + undefined.owner + " object' has no attribute '" + undefined.name + "'";
}

void fail_undefined(const Undefined& undefined) {
    fail(undefined_message(undefined));
}

}  // namespace freehold::jinja
