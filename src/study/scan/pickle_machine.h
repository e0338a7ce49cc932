// The symbolic machine behind run_pickle: values that remember only what decides about imports and calls.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pickle.h"

namespace freehold::scan {

enum class PickleKind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,
    bytes,
    tuple,
    list,
    dict,
    set,
    global,
    call,
    mark,
    persistent,
    unknown,
};

// 16 bytes, as real pickles hold millions of them.
struct PickleValue {
    PickleKind kind = PickleKind::none;
    std::uint32_t size = 0;  // text, bytes: length; tuple, list, dict, call: index of its node; global: its index
    union {
        const char* data;  // text, bytes
        std::int64_t number = 0;
    };

    [[nodiscard]] std::string_view text() const noexcept { return {data, size}; }
};

// What is known of a container, or of the result of a call.
struct PickleNode {
    std::uint32_t first = 0, count = 0;  // tuple, small dict: its values in the pool; call: its arguments
    std::int64_t callee = -1;            // call: index of the global, -1: something computed
    double weight = 1;                   // values that it holds, those of shared ones counted each time
};

class PickleMachine {
 public:
    PickleMachine(Bytes bytes, std::uint64_t begin, const Limits& limits, bool torchscript, int depth);
    PickleRun run();

 private:
    struct Fault {
        std::string why;
    };
    struct Global {
        std::string_view module, name;
        NameClass kind;
    };
    using Value = PickleValue;
    using Kind = PickleKind;

    [[noreturn]] static void fault(std::string why);
    void step(unsigned char opcode);
    bool step_constant(unsigned char opcode);
    bool step_text(unsigned char opcode);
    bool step_container(unsigned char opcode);
    bool step_memo(unsigned char opcode);
    bool step_import(unsigned char opcode);

    // input
    [[nodiscard]] std::uint64_t number(int width);
    [[nodiscard]] std::string_view take(std::uint64_t length);
    [[nodiscard]] std::string_view line();
    [[nodiscard]] std::uint64_t decimal(std::string_view text) const;

    // stack
    void push(Value value);
    Value pop();
    [[nodiscard]] Value& top();
    [[nodiscard]] std::size_t mark();  // index behind the last mark, which is taken away with close()
    void close(std::size_t from);
    void push_kind(Kind kind);
    void push_text(Kind kind, std::string_view text);
    void push_decoded(Kind kind, std::string text);
    void push_number(Kind kind, std::int64_t number);
    void push_node(Kind kind, std::size_t from);
    void grow(Value& container, std::size_t from);
    [[nodiscard]] double weight(const Value& value) const;
    void check_weight(double weight);
    void remember(std::uint64_t key, const Value& value);
    void recall(std::uint64_t key);

    // what it does
    void event(const char* rule, std::string message);
    void import(const Value& module, const Value& name);
    void import_texts(std::string_view module, std::string_view name);
    void call(const Value& callee, const Value& arguments, const char* how);
    void build();
    void joblib_array(const PickleNode& state);
    [[nodiscard]] std::string name_of(const Value& value) const;
    [[nodiscard]] const Value* field(const PickleNode& dict, std::string_view key) const;

    std::string_view in_;
    std::uint64_t at_, opcode_at_ = 0;
    const Limits& limits_;
    bool torchscript_;
    int depth_;
    PickleRun run_;
    std::vector<Value> stack_;
    std::vector<Value> memo_;
    std::vector<bool> memo_set_;
    std::unordered_map<std::uint64_t, Value> far_memo_;
    std::uint64_t memo_count_ = 0;
    std::vector<PickleNode> nodes_;
    std::vector<Value> pool_;
    std::vector<Global> globals_;
    std::deque<std::string> decoded_;
    std::uint64_t decoded_bytes_ = 0;
    bool expansion_told_ = false;
};

}  // namespace freehold::scan
