// The names that a pickle of tensors may use, and what they build.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "torch_machine.h"

namespace freehold {
namespace {

constexpr std::array kTypes = {
    TorchType{"float32", "F32", DType::F32, 4},
    TorchType{"float16", "F16", DType::F16, 2},
    TorchType{"bfloat16", "BF16", DType::BF16, 2},
    TorchType{"float64", "F64", DType::F64, 8},
    TorchType{"int64", "I64", DType::I64, 8},
    TorchType{"int32", "I32", DType::I32, 4},
    TorchType{"int16", "I16", DType::I16, 2},
    TorchType{"int8", "I8", DType::I8, 1},
    TorchType{"uint8", "U8", DType::None, 1},
    TorchType{"bool", "BOOL", DType::None, 1},
    TorchType{"uint16", "U16", DType::None, 2},
    TorchType{"uint32", "U32", DType::None, 4},
    TorchType{"uint64", "U64", DType::None, 8},
    TorchType{"complex64", "C64", DType::None, 8},
    TorchType{"complex128", "C128", DType::None, 16},
    TorchType{"float8_e4m3fn", "F8_E4M3", DType::F8_E4M3, 1},
    TorchType{"float8_e5m2", "F8_E5M2", DType::None, 1},
};

const TorchType* type_named(std::string_view name) {
    const auto at = std::find_if(kTypes.begin(), kTypes.end(), [&](const TorchType& t) { return t.torch == name; });
    return at == kTypes.end() ? nullptr : &*at;
}

constexpr std::pair<std::string_view, std::string_view> kStorages[] = {
    {"FloatStorage", "float32"},
    {"HalfStorage", "float16"},
    {"BFloat16Storage", "bfloat16"},
    {"DoubleStorage", "float64"},
    {"LongStorage", "int64"},
    {"IntStorage", "int32"},
    {"ShortStorage", "int16"},
    {"CharStorage", "int8"},
    {"ByteStorage", "uint8"},
    {"BoolStorage", "bool"},
    {"ComplexFloatStorage", "complex64"},
    {"ComplexDoubleStorage", "complex128"},
};

struct Known {
    std::string_view module, name;
    TorchName what;
};
constexpr Known kKnown[] = {
    {"collections", "OrderedDict", TorchName::ordered_dict},
    {"torch", "Size", TorchName::size},
    {"torch._utils", "_rebuild_tensor", TorchName::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", TorchName::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", TorchName::rebuild_tensor_v3},
    {"torch._utils", "_rebuild_parameter", TorchName::rebuild_parameter},
};

}  // namespace

void TorchMachine::find_global(const std::string& module, const std::string& name) {
    for (const Known& k : kKnown) {
        if (module == k.module && name == k.name)
            return push({TorchKind::global, 0, static_cast<std::int64_t>(k.what), nullptr});
    }
    if (module == "torch") {
        for (const auto& [storage, type] : kStorages) {
            if (name == storage)
                return push(
                    {TorchKind::global, 0, static_cast<std::int64_t>(TorchName::storage_type), type_named(type)});
        }
        if (const TorchType* type = type_named(name))
            return push({TorchKind::global, 0, static_cast<std::int64_t>(TorchName::dtype), type});
    }
    if ((module == "torch" || module == "torch.storage") && name == "UntypedStorage")
        return push({TorchKind::global, 0, static_cast<std::int64_t>(TorchName::storage_type), nullptr});
    refuse(fmt::format("the pickle asks for {}.{}, which is none of the names that build tensors; nothing was run",
                       printable(module, 100), printable(name, 100)),
           "Get the safetensors files of this model; `freehold scan` says what else this file would do.");
}

void TorchMachine::reduce() {
    const TorchValue args = pop(), callee = pop();
    if (args.kind != TorchKind::tuple) fail("something is called with what is no tuple");
    if (callee.kind != TorchKind::global) fail("a value is called that is no name");
    const auto how = static_cast<TorchName>(callee.number);
    const std::vector<TorchValue> given = nodes_[args.node].items;
    switch (how) {
        case TorchName::ordered_dict: {
            if (given.empty()) return push(make(TorchKind::dict, {}));
            if (given.size() != 1 || given[0].kind != TorchKind::list)
                fail("an OrderedDict is made of what is no list");
            std::vector<TorchValue> items;
            for (const TorchValue& pair : nodes_[given[0].node].items) {
                const bool is_pair = (pair.kind == TorchKind::tuple || pair.kind == TorchKind::list) &&
                                     nodes_[pair.node].items.size() == 2;
                if (!is_pair) fail("an OrderedDict is made of what are no pairs");
                items.push_back(nodes_[pair.node].items[0]);
                items.push_back(nodes_[pair.node].items[1]);
            }
            return push(make(TorchKind::dict, std::move(items)));
        }
        case TorchName::size:
            if (given.size() != 1) fail("a Size is made of what is no tuple");
            return push(given[0]);
        case TorchName::rebuild_tensor:
        case TorchName::rebuild_tensor_v2:
        case TorchName::rebuild_tensor_v3:
            return push(rebuild(how, given));
        case TorchName::rebuild_parameter:
            if (given.size() != 3 || given[0].kind != TorchKind::tensor)
                fail("a parameter is rebuilt from what is no tensor");
            return push(given[0]);
        case TorchName::storage_type:
        case TorchName::dtype:
            break;
    }
    fail("a type of numbers is called like a function");
}

// What BUILD adds to a dictionary are attributes (_metadata of state dictionaries): of no use to weights.
void TorchMachine::build() {
    static_cast<void>(pop());
    const TorchKind kind = top().kind;
    if (kind != TorchKind::dict)
        refuse("attributes are set on a value that is no dictionary",
               "Have the model saved anew as a plain dictionary of tensors.");
}

std::uint64_t TorchMachine::count(const TorchValue& v, const char* what) {
    if (v.kind != TorchKind::integer || v.number < 0) fail(fmt::format("{} is no count", what));
    return static_cast<std::uint64_t>(v.number);
}

void TorchMachine::persistent() {
    const TorchValue id = pop();
    const char* const wrong = "what lies outside the pickle is not a storage";
    if (id.kind != TorchKind::tuple) fail(wrong);
    const std::vector<TorchValue> parts = nodes_[id.node].items;
    if (parts.empty() || parts[0].kind != TorchKind::text) fail(wrong);
    if (nodes_[parts[0].node].text == "module")
        refuse("a module with its source code is asked for, which would have to be run; nothing was run",
               "Get the safetensors files of this model.");
    if (nodes_[parts[0].node].text != "storage" || parts.size() < 5 || parts.size() > 6) fail(wrong);
    if (parts[1].kind != TorchKind::global || static_cast<TorchName>(parts[1].number) != TorchName::storage_type)
        fail("a storage has no type");
    if (parts[2].kind != TorchKind::text) fail("a storage has no name");
    TorchStorage storage;
    storage.key = nodes_[parts[2].node].text;
    storage.type = parts[1].type;
    storage.count = count(parts[4], "the size of a storage");
    if (parts.size() == 6 && parts[5].kind != TorchKind::none) {
        const bool view = parts[5].kind == TorchKind::tuple && nodes_[parts[5].node].items.size() == 3;
        if (!view) fail("a part of a storage is told by no triple");
        const std::vector<TorchValue> triple = nodes_[parts[5].node].items;
        storage.view_begin = count(triple[1], "the begin of a part of a storage");
    }
    const auto same = std::find_if(storages.begin(), storages.end(), [&](const TorchStorage& s) {
        return s.key == storage.key && s.view_begin == storage.view_begin && s.type == storage.type;
    });
    if (same != storages.end()) {
        if (same->count != storage.count)
            fail(fmt::format("storage \"{}\" is said to have {} and {} elements", printable(storage.key, 40),
                             same->count, storage.count));
        return push({TorchKind::storage, static_cast<std::uint32_t>(same - storages.begin()), 0, nullptr});
    }
    spend(sizeof(TorchStorage) + storage.key.size());
    storages.push_back(std::move(storage));
    push({TorchKind::storage, static_cast<std::uint32_t>(storages.size() - 1), 0, nullptr});
}

std::vector<std::int64_t> TorchMachine::whole_numbers(const TorchValue& v, const char* what) {
    if (v.kind != TorchKind::tuple && v.kind != TorchKind::list) fail(fmt::format("{} is no tuple", what));
    std::vector<std::int64_t> out;
    for (const TorchValue& item : nodes_[v.node].items) {
        if (item.kind != TorchKind::integer || item.number < 0) fail(fmt::format("{} holds what is no count", what));
        out.push_back(item.number);
    }
    if (out.size() > 16) fail(fmt::format("{} has {} entries", what, out.size()));
    return out;
}

TorchValue TorchMachine::rebuild(TorchName how, const std::vector<TorchValue>& args) {
    const std::size_t least = how == TorchName::rebuild_tensor ? 4 : how == TorchName::rebuild_tensor_v2 ? 6 : 7;
    if (args.size() < least) fail(fmt::format("a tensor is rebuilt from {} values, not {}", args.size(), least));
    if (args[0].kind != TorchKind::storage) fail("a tensor is rebuilt from what is no storage");
    TorchView view;
    view.storage = args[0].node;
    view.type = storages[view.storage].type;
    if (how == TorchName::rebuild_tensor_v3) {
        if (args[6].kind != TorchKind::global || static_cast<TorchName>(args[6].number) != TorchName::dtype)
            fail("a tensor has no type");
        view.type = args[6].type;
    }
    if (view.type == nullptr) fail("a tensor lies in a storage without a type");
    view.offset = count(args[1], "the offset of a tensor");
    view.shape = whole_numbers(args[2], "the shape of a tensor");
    view.stride = whole_numbers(args[3], "the strides of a tensor");
    if (view.shape.size() != view.stride.size())
        fail(fmt::format("a tensor has {} dimensions and {} strides", view.shape.size(), view.stride.size()));
    spend(sizeof(TorchView) + 16 * view.shape.size());
    views.push_back(std::move(view));
    return {TorchKind::tensor, static_cast<std::uint32_t>(views.size() - 1), 0, nullptr};
}

}  // namespace freehold
