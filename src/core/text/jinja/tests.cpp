// The tests behind `is`.
#include <algorithm>
#include <array>

#include "library.h"
#include "objects.h"
#include "ops.h"
#include "runtime.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

using Kind = Val::Kind;

template <bool (*kHolds)(Runtime&, const Val&)>
bool plain(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("the test", args, {}, 0);
    return kHolds(rt, value);
}

template <std::int64_t kRest>
bool rest_of_two(Runtime& rt, const Val& value) {
    return equal(rt.heap(), arith(rt.heap(), Arith::mod, value, Val::integer(2)), Val::integer(kRest));
}

bool is_defined(Runtime&, const Val& v) {
    return !v.is_undefined();
}
bool is_not_defined(Runtime&, const Val& v) {
    return v.is_undefined();
}
bool is_none_value(Runtime&, const Val& v) {
    return v.is_none();
}
bool is_boolean(Runtime&, const Val& v) {
    return v.is(Kind::boolean);
}
bool is_true(Runtime&, const Val& v) {
    return v.is(Kind::boolean) && v.as_bool();
}
bool is_false(Runtime&, const Val& v) {
    return v.is(Kind::boolean) && !v.as_bool();
}
bool is_integer(Runtime&, const Val& v) {
    return v.is(Kind::integer);
}
bool is_float(Runtime&, const Val& v) {
    return v.is(Kind::real);
}
bool is_number_value(Runtime&, const Val& v) {
    return v.is_number();
}
bool is_string_value(Runtime&, const Val& v) {
    return v.is_string();
}
bool is_mapping(Runtime&, const Val& v) {
    return v.is(Kind::dict);
}
bool is_escaped(Runtime&, const Val& v) {
    return v.is_string() && v.as_str().markup;
}
bool is_lower_case(Runtime& rt, const Val& v) {
    return is_lower_text(to_str(rt.heap(), v));
}
bool is_upper_case(Runtime& rt, const Val& v) {
    return is_upper_text(to_str(rt.heap(), v));
}
bool is_callable(Runtime&, const Val& v) {
    return v.is_undefined() || (v.is(Kind::object) && v.as_object()->callable());
}
bool is_iterable(Runtime& rt, const Val& v) {
    return try_iterate(rt.heap(), v) != nullptr;
}
bool is_sequence(Runtime&, const Val& v) {
    return v.is_undefined() || v.is_string() || v.is(Kind::list) || v.is(Kind::dict) || v.as<Range>() != nullptr;
}

template <bool kFilter>
bool is_known(Runtime& rt, const Val& value) {
    if (!value.is_string()) {
        (void)hash_value(rt.heap(), value);
        return false;
    }
    return kFilter ? find_filter(value.text()) != nullptr : find_test(value.text()) != nullptr;
}

bool test_divisible(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("divisibleby", args, {"num"}, 1);
    return equal(rt.heap(), arith(rt.heap(), Arith::mod, value, bound.at(0)), Val::integer(0));
}

bool test_same(Runtime&, const Val& value, Args& args) {
    const Bound bound("sameas", args, {"other"}, 1);
    return value.same_object(bound.at(0));
}

bool test_in(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("in", args, {"seq"}, 1);
    return contains(rt.heap(), value, bound.at(0));
}

template <bool kEqual>
bool test_equal(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("eq", args, {"other"}, 1, true);
    return equal(rt.heap(), value, bound.at(0)) == kEqual;
}

template <Order kOrder>
bool test_order(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("the comparison", args, {"other"}, 1, true);
    return ordered(rt.heap(), kOrder, value, bound.at(0));
}

constexpr std::array<TestEntry, 39> kTests{{
    {"!=", test_equal<false>},
    {"<", test_order<Order::less>},
    {"<=", test_order<Order::less_equal>},
    {"==", test_equal<true>},
    {">", test_order<Order::greater>},
    {">=", test_order<Order::greater_equal>},
    {"boolean", plain<is_boolean>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", test_divisible},
    {"eq", test_equal<true>},
    {"equalto", test_equal<true>},
    {"escaped", plain<is_escaped>},
    {"even", plain<rest_of_two<0>>},
    {"false", plain<is_false>},
    {"filter", plain<is_known<true>>},
    {"float", plain<is_float>},
    {"ge", test_order<Order::greater_equal>},
    {"greaterthan", test_order<Order::greater>},
    {"gt", test_order<Order::greater>},
    {"in", test_in},
    {"integer", plain<is_integer>},
    {"iterable", plain<is_iterable>},
    {"le", test_order<Order::less_equal>},
    {"lessthan", test_order<Order::less>},
    {"lower", plain<is_lower_case>},
    {"lt", test_order<Order::less>},
    {"mapping", plain<is_mapping>},
    {"ne", test_equal<false>},
    {"none", plain<is_none_value>},
    {"number", plain<is_number_value>},
    {"odd", plain<rest_of_two<1>>},
    {"sameas", test_same},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_string_value>},
    {"test", plain<is_known<false>>},
    {"true", plain<is_true>},
    {"undefined", plain<is_not_defined>},
    {"upper", plain<is_upper_case>},
}};

}  // namespace

const TestEntry* find_test(std::string_view name) noexcept {
    const auto it = std::lower_bound(kTests.begin(), kTests.end(), name,
                                     [](const TestEntry& e, std::string_view n) { return e.name < n; });
    return it != kTests.end() && it->name == name ? &*it : nullptr;
}

}  // namespace freehold::jinja
