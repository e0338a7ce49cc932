// The stack machine behind torch_pickle.h: values in one pool, so that no depth of nesting costs stack.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "torch_pickle.h"

namespace freehold {

enum class TorchKind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,
    tuple,
    list,
    dict,
    global,
    storage,
    tensor,
    mark,
};

// The few names that may stand in a pickle.
enum class TorchName : std::uint8_t {
    ordered_dict,
    size,
    rebuild_tensor,
    rebuild_tensor_v2,
    rebuild_tensor_v3,
    rebuild_parameter,
    storage_type,
    dtype,
};

struct TorchValue {
    TorchKind kind = TorchKind::none;
    std::uint32_t node = 0;   // containers and texts: index of the node; storage, tensor: of theirs
    std::int64_t number = 0;  // also the TorchName of a global
    const TorchType* type = nullptr;
};

struct TorchNode {
    std::string text;
    std::vector<TorchValue> items;  // of a dictionary: key, value, key, value
};

class TorchMachine {
 public:
    TorchMachine(std::span<const std::byte> bytes, std::size_t at, const std::string& what, std::uint64_t shift)
        : bytes_(bytes), what_(what), shift_(shift), at_(at) {}

    TorchValue run();
    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] const TorchNode& node(const TorchValue& v) const { return nodes_[v.node]; }
    [[noreturn]] void fail(const std::string& why) const;
    [[noreturn]] void refuse(const std::string& why, const char* hint) const;
    std::vector<TorchStorage> storages;
    std::vector<TorchView> views;

 private:
    void step(std::uint8_t opcode);
    bool step_value(std::uint8_t opcode);
    bool step_container(std::uint8_t opcode);
    bool step_memo(std::uint8_t opcode);
    bool step_tensor(std::uint8_t opcode);

    [[nodiscard]] std::uint64_t number(unsigned width);
    [[nodiscard]] std::string take(std::uint64_t length);
    [[nodiscard]] std::string line();
    [[nodiscard]] std::int64_t decimal(const std::string& text);
    void push(TorchValue v);
    TorchValue pop();
    TorchValue& top();
    std::vector<TorchValue> pop_to_mark();
    TorchValue make(TorchKind kind, std::vector<TorchValue> items);
    TorchValue make_text(std::string text);
    void spend(std::uint64_t memory);
    void remember(std::uint64_t key);
    void recall(std::uint64_t key);

    void find_global(const std::string& module, const std::string& name);
    void reduce();
    void build();
    void persistent();
    [[nodiscard]] TorchValue rebuild(TorchName how, const std::vector<TorchValue>& args);
    [[nodiscard]] std::vector<std::int64_t> whole_numbers(const TorchValue& v, const char* what);
    [[nodiscard]] std::uint64_t count(const TorchValue& v, const char* what);

    std::span<const std::byte> bytes_;
    const std::string& what_;
    std::uint64_t shift_;
    std::size_t at_;
    std::size_t opcode_at_ = 0;
    std::uint64_t spent_ = 0;
    std::vector<TorchValue> stack_;
    std::vector<TorchNode> nodes_;
    std::unordered_map<std::uint64_t, TorchValue> memo_;
};

}  // namespace freehold
