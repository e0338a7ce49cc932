// The opcodes: what state dictionaries need, and a refusal for everything else.
#include "torch_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold {
namespace {

constexpr std::uint64_t kMaxMemory = 1ULL << 30;  // of values that a pickle builds

}  // namespace

void TorchMachine::fail(const std::string& why) const {
    throw Error(ErrorKind::bad_file, fmt::format("{}, offset {}: {}.", what_, shift_ + opcode_at_, why), kDamagedHint);
}

void TorchMachine::refuse(const std::string& why, const char* hint) const {
    throw Error(ErrorKind::unsupported, fmt::format("{}, offset {}: {}.", what_, shift_ + opcode_at_, why), hint);
}

void TorchMachine::spend(std::uint64_t memory) {
    spent_ += memory;
    if (spent_ > kMaxMemory)
        throw Error(ErrorKind::limit, fmt::format("{} would take more than {} bytes to read.", what_, kMaxMemory),
                    "A file of weights needs a small part of that: do not use it unless you know who made it.");
}

std::uint64_t TorchMachine::number(unsigned width) {
    if (bytes_.size() - at_ < width) fail("the pickle ends inside a number");
    std::uint64_t n = 0;
    for (unsigned i = 0; i < width; ++i) n |= std::uint64_t{std::to_integer<std::uint8_t>(bytes_[at_ + i])} << (8 * i);
    at_ += width;
    return n;
}

std::string TorchMachine::take(std::uint64_t length) {
    if (length > bytes_.size() - at_) fail(fmt::format("a text of {} bytes goes past the end", length));
    spend(length);
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return text;
}

std::string TorchMachine::line() {
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    const auto* end = static_cast<const char*>(std::memchr(begin, '\n', bytes_.size() - at_));
    if (end == nullptr) fail("a line does not end");
    std::string text = take(static_cast<std::uint64_t>(end - begin));
    ++at_;
    return text;
}

std::int64_t TorchMachine::decimal(const std::string& text) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size())
        fail(fmt::format("\"{}\" is no whole number", printable(text, 40)));
    return n;
}

void TorchMachine::push(TorchValue v) {
    spend(sizeof v);
    stack_.push_back(v);
}

TorchValue& TorchMachine::top() {
    if (stack_.empty() || stack_.back().kind == TorchKind::mark) fail("a value is asked for, and there is none");
    return stack_.back();
}

TorchValue TorchMachine::pop() {
    const TorchValue v = top();
    stack_.pop_back();
    return v;
}

std::vector<TorchValue> TorchMachine::pop_to_mark() {
    const auto mark =
        std::find_if(stack_.rbegin(), stack_.rend(), [](const TorchValue& v) { return v.kind == TorchKind::mark; });
    if (mark == stack_.rend()) fail("a mark is asked for, and there is none");
    std::vector<TorchValue> items(mark.base(), stack_.end());
    stack_.erase(mark.base() - 1, stack_.end());
    return items;
}

TorchValue TorchMachine::make(TorchKind kind, std::vector<TorchValue> items) {
    spend(sizeof(TorchNode) + items.size() * sizeof(TorchValue));
    nodes_.push_back({{}, std::move(items)});
    return {kind, static_cast<std::uint32_t>(nodes_.size() - 1), 0, nullptr};
}

TorchValue TorchMachine::make_text(std::string text) {
    spend(sizeof(TorchNode));
    nodes_.push_back({std::move(text), {}});
    return {TorchKind::text, static_cast<std::uint32_t>(nodes_.size() - 1), 0, nullptr};
}

void TorchMachine::remember(std::uint64_t key) {
    spend(sizeof(TorchValue) + 32);
    memo_[key] = top();
}

void TorchMachine::recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail(fmt::format("value {} is recalled, and was never kept", key));
    push(found->second);
}

TorchValue TorchMachine::run() {
    while (true) {
        opcode_at_ = at_;
        if (at_ >= bytes_.size()) fail("the pickle ends without its last opcode");
        const auto opcode = std::to_integer<std::uint8_t>(bytes_[at_++]);
        if (opcode == '.') {
            const TorchValue result = pop();
            if (!stack_.empty()) fail("values are left over at the end");
            return result;
        }
        step(opcode);
    }
}

void TorchMachine::step(std::uint8_t opcode) {
    if (step_value(opcode) || step_container(opcode) || step_memo(opcode) || step_tensor(opcode)) return;
    const std::string name = opcode >= 0x20 && opcode < 0x7F ? fmt::format("'{}'", static_cast<char>(opcode))
                                                             : fmt::format("0x{:02x}", opcode);
    refuse(fmt::format("opcode {} is none that a file of tensors needs", name),
           "Get the safetensors files of this model, or have it saved anew as a plain dictionary of tensors.");
}

bool TorchMachine::step_value(std::uint8_t opcode) {
    switch (opcode) {
        case 0x80: {  // PROTO
            const std::uint64_t version = number(1);
            if (version > 5) fail(fmt::format("protocol {} of pickle is not known", version));
            return true;
        }
        case 0x95:  // FRAME: a promise about lengths that a reader of memory does not need
            static_cast<void>(number(8));
            return true;
        case 'N':
            push({});
            return true;
        case 0x88:  // NEWTRUE, NEWFALSE
        case 0x89:
            push({TorchKind::boolean, 0, opcode == 0x88, nullptr});
            return true;
        case 'J':
            push({TorchKind::integer, 0, static_cast<std::int32_t>(number(4)), nullptr});
            return true;
        case 'K':
            push({TorchKind::integer, 0, static_cast<std::int64_t>(number(1)), nullptr});
            return true;
        case 'M':
            push({TorchKind::integer, 0, static_cast<std::int64_t>(number(2)), nullptr});
            return true;
        case 0x8A: {  // LONG1: little-endian, two's complement
            const std::uint64_t width = number(1);
            if (width > 8) {
                // Longer ones are no sizes; the magic number of legacy files is one and is compared by itself.
                static_cast<void>(take(width));
                push({TorchKind::real, 0, 0, nullptr});
                return true;
            }
            std::uint64_t n = number(static_cast<unsigned>(width));
            if (width > 0 && width < 8 && (n >> (8 * width - 1)) != 0) n |= ~std::uint64_t{0} << (8 * width);
            push({TorchKind::integer, 0, static_cast<std::int64_t>(n), nullptr});
            return true;
        }
        case 'I': {
            const std::string text = line();
            if (text == "00" || text == "01") {
                push({TorchKind::boolean, 0, text == "01", nullptr});
            } else {
                push({TorchKind::integer, 0, decimal(text), nullptr});
            }
            return true;
        }
        case 'L': {
            std::string text = line();
            if (text.ends_with('L')) text.pop_back();
            push({TorchKind::integer, 0, decimal(text), nullptr});
            return true;
        }
        case 'G':
            static_cast<void>(number(8));
            push({TorchKind::real, 0, 0, nullptr});
            return true;
        case 'F':
            static_cast<void>(line());
            push({TorchKind::real, 0, 0, nullptr});
            return true;
        case 'X':
        case 'T':
        case 'B':
            push(make_text(take(number(4))));
            return true;
        case 0x8C:
        case 'U':
        case 'C':
            push(make_text(take(number(1))));
            return true;
        case 0x8D:
        case 0x8E:
            push(make_text(take(number(8))));
            return true;
        case 'V':
            push(make_text(line()));
            return true;
        default:
            return false;
    }
}

bool TorchMachine::step_container(std::uint8_t opcode) {
    switch (opcode) {
        case '(':
            push({TorchKind::mark, 0, 0, nullptr});
            return true;
        case ')':
            push(make(TorchKind::tuple, {}));
            return true;
        case ']':
            push(make(TorchKind::list, {}));
            return true;
        case '}':
            push(make(TorchKind::dict, {}));
            return true;
        case 't':
        case 'l':
            push(make(opcode == 't' ? TorchKind::tuple : TorchKind::list, pop_to_mark()));
            return true;
        case 'd': {
            std::vector<TorchValue> items = pop_to_mark();
            if (items.size() % 2 != 0) fail("a dictionary has a key without a value");
            push(make(TorchKind::dict, std::move(items)));
            return true;
        }
        case 0x85:
        case 0x86:
        case 0x87: {
            std::vector<TorchValue> items(opcode - 0x84U);
            for (auto at = items.rbegin(); at != items.rend(); ++at) *at = pop();
            push(make(TorchKind::tuple, std::move(items)));
            return true;
        }
        case 'a':
        case 'e':
        case 's':
        case 'u': {
            std::vector<TorchValue> items;
            if (opcode == 'e' || opcode == 'u') {
                items = pop_to_mark();
            } else {
                items.resize(opcode == 's' ? 2 : 1);
                for (auto at = items.rbegin(); at != items.rend(); ++at) *at = pop();
            }
            const TorchValue& to = top();
            const bool list = opcode == 'a' || opcode == 'e';
            if (to.kind != (list ? TorchKind::list : TorchKind::dict))
                fail(list ? "something is appended to what is no list" : "a key is set in what is no dictionary");
            if (!list && items.size() % 2 != 0) fail("a dictionary has a key without a value");
            spend(items.size() * sizeof(TorchValue));
            auto& all = nodes_[to.node].items;
            all.insert(all.end(), items.begin(), items.end());
            return true;
        }
        case '0':
            static_cast<void>(pop());
            return true;
        default:
            return false;
    }
}

bool TorchMachine::step_memo(std::uint8_t opcode) {
    switch (opcode) {
        case 'q':
            remember(number(1));
            return true;
        case 'r':
            remember(number(4));
            return true;
        case 'p':
            remember(static_cast<std::uint64_t>(decimal(line())));
            return true;
        case 0x94:
            remember(memo_.size());
            return true;
        case 'h':
            recall(number(1));
            return true;
        case 'j':
            recall(number(4));
            return true;
        case 'g':
            recall(static_cast<std::uint64_t>(decimal(line())));
            return true;
        default:
            return false;
    }
}

bool TorchMachine::step_tensor(std::uint8_t opcode) {
    switch (opcode) {
        case 'c': {
            const std::string module = line();
            find_global(module, line());
            return true;
        }
        case 0x93: {  // STACK_GLOBAL
            const TorchValue name = pop(), module = pop();
            if (name.kind != TorchKind::text || module.kind != TorchKind::text) fail("a name is asked for by no text");
            const std::string of = nodes_[module.node].text;
            find_global(of, std::string(nodes_[name.node].text));
            return true;
        }
        case 'R':
            reduce();
            return true;
        case 'b':
            build();
            return true;
        case 'Q':
            persistent();
            return true;
        default:
            return false;
    }
}

}  // namespace freehold
