// The opcodes (Python's pickletools describes them), followed as the C unpickler does: lenient where it is lenient,
// ended where it raises, since what stands behind that is never run.
#include "pickle_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "freehold/base/checked.h"
#include "freehold/base/printable.h"

namespace freehold::scan {
namespace {

// An integer as Python's int() reads it: spaces around, a sign, underscores between digits.
std::string digits_of(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '_' || c == ' ' || c == '\t' || c == '\r' || c == '+' || c == '\f' || c == '\v') continue;
        out += c;
    }
    return out;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// `width` hex digits at `at`; -1: there are not as many.
std::int64_t hex_number(std::string_view text, std::size_t at, int width) {
    std::int64_t out = 0;
    for (int i = 0; i < width; ++i) {
        const int digit =
            at + static_cast<std::size_t>(i) < text.size() ? hex_value(text[at + static_cast<std::size_t>(i)]) : -1;
        if (digit < 0) return -1;
        out = out * 16 + digit;
    }
    return out;
}

void append_utf8(std::string& out, std::int64_t code) {
    const auto byte = [&](std::int64_t value) { out += static_cast<char>(value); };
    if (code < 0x80) {
        byte(code);
    } else if (code < 0x800) {
        byte(0xc0 | code >> 6);
        byte(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        byte(0xe0 | code >> 12);
        byte(0x80 | (code >> 6 & 0x3f));
        byte(0x80 | (code & 0x3f));
    } else {
        byte(0xf0 | (code >> 18 & 7));
        byte(0x80 | (code >> 12 & 0x3f));
        byte(0x80 | (code >> 6 & 0x3f));
        byte(0x80 | (code & 0x3f));
    }
}

// The escapes of a Python byte literal, as STRING has them.
std::string unescape_string(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 >= text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        constexpr std::string_view kFrom = "abfnrtv\\'\"", kTo = "\a\b\f\n\r\t\v\\'\"";
        if (const auto known = kFrom.find(c); known != std::string_view::npos) {
            out += kTo[known];
        } else if (c == 'x' && hex_number(text, i + 1, 2) >= 0) {
            out += static_cast<char>(hex_number(text, i + 1, 2));
            i += 2;
        } else if (c >= '0' && c <= '7') {
            int value = 0;
            std::size_t n = 0;
            while (n < 3 && i + n < text.size() && text[i + n] >= '0' && text[i + n] <= '7')
                value = value * 8 + (text[i + n++] - '0');
            out += static_cast<char>(value);
            i += n - 1;
        } else if (c != '\n') {
            out += '\\';
            out += c;
        }
    }
    return out;
}

// The two escapes of UNICODE (raw-unicode-escape).
std::string unescape_unicode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int width = i + 1 < text.size() && text[i] == '\\' ? (text[i + 1] == 'u'   ? 4
                                                                    : text[i + 1] == 'U' ? 8
                                                                                         : 0)
                                                                 : 0;
        const std::int64_t code = width != 0 ? hex_number(text, i + 2, width) : -1;
        if (code >= 0 && code < 0x110000) {
            append_utf8(out, code);
            i += static_cast<std::size_t>(width) + 1;
        } else if (static_cast<unsigned char>(text[i]) >= 0x80) {
            append_utf8(out, static_cast<unsigned char>(text[i]));  // Latin-1
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace

PickleMachine::PickleMachine(Bytes bytes, std::uint64_t begin, const Limits& limits, bool torchscript, int depth)
    : in_(text_of(bytes)), at_(begin), limits_(limits), torchscript_(torchscript), depth_(depth) {}

PickleRun PickleMachine::run() {
    run_.end = at_;
    try {
        while (!run_.stopped) {
            if (at_ >= in_.size()) fault("its data end");
            const std::uint64_t memory = 16 * (stack_.capacity() + memo_.capacity() + pool_.capacity()) +
                                         32 * nodes_.capacity() + 64 * far_memo_.size() + decoded_bytes_;
            if (++run_.opcodes > limits_.opcodes || memory > limits_.pickle_memory) {
                run_.over_limit = true;
                fault("it is larger than the bounds for one pickle");
            }
            opcode_at_ = at_;
            step(static_cast<unsigned char>(in_[at_++]));
            run_.end = at_;
        }
    } catch (const Fault& f) {
        run_.fault = f.why;
    }
    return std::move(run_);
}

void PickleMachine::fault(std::string why) {
    throw Fault{std::move(why)};
}

// --- input ----------------------------------------------------------------------------------------------------------

std::uint64_t PickleMachine::number(int width) {
    const std::string_view bytes = take(static_cast<std::uint64_t>(width));
    std::uint64_t out = 0;
    for (int i = width - 1; i >= 0; --i)
        out = out << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    return out;
}

std::string_view PickleMachine::take(std::uint64_t length) {
    if (!fits(at_, length, in_.size())) fault(fmt::format("a value of {} bytes goes past the end", length));
    const std::string_view out = in_.substr(at_, length);
    at_ += length;
    return out;
}

std::string_view PickleMachine::line() {
    const std::size_t end = in_.find('\n', at_);
    if (end == std::string_view::npos) fault("a line has no end");
    const std::string_view out = in_.substr(at_, end - at_);
    at_ = end + 1;
    run_.opcodes += out.size() / 64;  // long lines are work too
    return out;
}

std::uint64_t PickleMachine::decimal(std::string_view text) const {
    const std::string digits = digits_of(text);
    std::uint64_t out = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9' || out > (1ULL << 40)) fault("a key of the memo is no number");
        out = out * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (digits.empty()) fault("a key of the memo is no number");
    return out;
}

// --- stack and memo --------------------------------------------------------------------------------------------------

void PickleMachine::push(Value value) {
    stack_.push_back(value);
}

PickleValue PickleMachine::pop() {
    if (stack_.empty()) fault("it takes more from the stack than there is");
    const Value out = stack_.back();
    if (out.kind == Kind::mark) fault("it takes a mark for a value");
    stack_.pop_back();
    return out;
}

PickleValue& PickleMachine::top() {
    if (stack_.empty() || stack_.back().kind == Kind::mark) fault("it takes more from the stack than there is");
    return stack_.back();
}

std::size_t PickleMachine::mark() {
    for (std::size_t i = stack_.size(); i-- > 0;) {
        if (stack_[i].kind == Kind::mark) return i + 1;
    }
    fault("a mark is missing");
}

void PickleMachine::close(std::size_t from) {
    stack_.resize(from - 1);
}

void PickleMachine::push_kind(Kind kind) {
    Value value;
    value.kind = kind;
    push(value);
}

void PickleMachine::push_text(Kind kind, std::string_view text) {
    Value value;
    value.kind = kind;
    value.size = static_cast<std::uint32_t>(std::min<std::size_t>(text.size(), 0xffffffff));
    value.data = text.data();
    push(value);
}

void PickleMachine::push_decoded(Kind kind, std::string text) {
    decoded_bytes_ += text.size() + sizeof(std::string);
    decoded_.push_back(std::move(text));
    push_text(kind, decoded_.back());
}

void PickleMachine::push_number(Kind kind, std::int64_t value) {
    Value out;
    out.kind = kind;
    out.number = value;
    push(out);
}

double PickleMachine::weight(const Value& value) const {
    const bool node = value.kind == Kind::tuple || value.kind == Kind::list || value.kind == Kind::dict ||
                      value.kind == Kind::set || value.kind == Kind::call;
    return node ? nodes_[value.size].weight : 1;
}

// Takes what stands from `from` on into a new container; the caller has closed the mark or will cut the stack.
void PickleMachine::push_node(Kind kind, std::size_t from) {
    PickleNode node;
    for (std::size_t i = from; i < stack_.size(); ++i) node.weight += weight(stack_[i]);
    // Long lists are looked at while they grow; only what may be arguments is kept.
    if ((kind == Kind::tuple || kind == Kind::dict) && stack_.size() - from <= 64) {
        node.first = static_cast<std::uint32_t>(pool_.size());
        node.count = static_cast<std::uint32_t>(stack_.size() - from);
        pool_.insert(pool_.end(), stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    }
    stack_.resize(from);
    check_weight(node.weight);
    Value value;
    value.kind = kind;
    value.size = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back(node);
    push(value);
}

void PickleMachine::check_weight(double weight) {
    if (weight > 1e15 && !std::exchange(expansion_told_, true))
        event("pickle.expansion", "Its containers hold each other so often that they stand for more than 1e15 values.");
}

// What stands from `from` on goes into `container` (which stands further down).
void PickleMachine::grow(Value& container, std::size_t from) {
    if (container.kind == Kind::global)
        event("pickle.changes-code", fmt::format("It puts items into {}.", name_of(container)));
    const bool node = container.kind == Kind::list || container.kind == Kind::dict || container.kind == Kind::set ||
                      container.kind == Kind::call;
    if (!node) return;
    PickleNode& grown = nodes_[container.size];
    for (std::size_t i = from; i < stack_.size(); ++i) grown.weight += weight(stack_[i]);
    if (container.kind == Kind::dict && grown.count == 0 && stack_.size() - from <= 64) {
        grown.first = static_cast<std::uint32_t>(pool_.size());
        grown.count = static_cast<std::uint32_t>(stack_.size() - from);
        pool_.insert(pool_.end(), stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    }
    check_weight(grown.weight);
}

void PickleMachine::remember(std::uint64_t key, const Value& value) {
    if (key > memo_.size() * 2 + 65536) {
        if (key > 100'000'000 && !std::exchange(expansion_told_, true))
            event("pickle.expansion", fmt::format("It asks for a memo of {} places.", key));
        memo_count_ += far_memo_.insert_or_assign(key, value).second ? 1 : 0;
        return;
    }
    if (key >= memo_.size()) {
        memo_.resize(key + 1);
        memo_set_.resize(key + 1);
    }
    memo_count_ += memo_set_[key] ? 0 : 1;
    memo_[key] = value;
    memo_set_[key] = true;
}

void PickleMachine::recall(std::uint64_t key) {
    if (key < memo_.size() && memo_set_[key]) return push(memo_[key]);
    const auto it = far_memo_.find(key);
    if (it == far_memo_.end()) fault(fmt::format("the memo has nothing under {}", key));
    push(it->second);
}

// --- opcodes ---------------------------------------------------------------------------------------------------------

void PickleMachine::step(unsigned char opcode) {
    if (step_constant(opcode) || step_text(opcode) || step_memo(opcode) || step_container(opcode) ||
        step_import(opcode))
        return;
    fault(fmt::format("the byte 0x{:02x} is no opcode", opcode));
}

bool PickleMachine::step_constant(unsigned char opcode) {
    switch (opcode) {
        case 0x80:  // PROTO
            if (const auto version = number(1); version > 5) fault(fmt::format("protocol {} does not exist", version));
            if (run_.opcodes == 1) run_.header = true;
            return true;
        case 0x95:
            static_cast<void>(number(8));
            return true;  // FRAME: only a hint how much to read ahead
        case '.':
            static_cast<void>(pop());
            run_.stopped = true;
            return true;
        case 'N':
            push_kind(Kind::none);
            return true;
        case 0x88:
        case 0x89:
            push_number(Kind::boolean, opcode == 0x88);
            return true;
        case 'I': {
            const std::string digits = digits_of(line());
            if (digits.empty()) fault("an integer is empty");
            for (const char c : digits)
                if (hex_value(c) < 0 && std::string_view("xXoO-").find(c) == std::string_view::npos)
                    fault("an integer is no number");
            push_number(Kind::integer, std::atoll(digits.c_str()));
            return true;
        }
        case 'L': {
            std::string digits = digits_of(line());
            if (digits.ends_with('L') || digits.ends_with('l')) digits.pop_back();
            if (digits.empty() || digits.find_first_not_of("0123456789-xXabcdefABCDEF") != std::string::npos)
                fault("an integer is no number");
            push_number(Kind::integer, std::atoll(digits.c_str()));
            return true;
        }
        case 'J':
            push_number(Kind::integer, static_cast<std::int32_t>(number(4)));
            return true;
        case 'K':
            push_number(Kind::integer, static_cast<std::int64_t>(number(1)));
            return true;
        case 'M':
            push_number(Kind::integer, static_cast<std::int64_t>(number(2)));
            return true;
        case 0x8a:
        case 0x8b: {
            const std::string_view bytes = take(number(opcode == 0x8a ? 1 : 4));
            std::uint64_t value = 0;
            for (std::size_t i = std::min<std::size_t>(bytes.size(), 8); i-- > 0;)
                value = value << 8 | static_cast<unsigned char>(bytes[i]);
            push_number(bytes.size() <= 8 ? Kind::integer : Kind::unknown, static_cast<std::int64_t>(value));
            return true;
        }
        case 'F': {
            const std::string_view text = line();
            if (text.empty() || text.size() > 400 ||
                text.find_first_not_of("0123456789+-.eEinfatyINFATY_ \t\r") != std::string_view::npos)
                fault("a real number is none");
            push_kind(Kind::real);
            return true;
        }
        case 'G':
            static_cast<void>(take(8));
            push_kind(Kind::real);
            return true;
        default:
            return false;
    }
}

bool PickleMachine::step_text(unsigned char opcode) {
    switch (opcode) {
        case 'S': {
            std::string_view text = line();
            while (!text.empty() && (text.back() == ' ' || text.back() == '\r' || text.back() == '\t'))
                text.remove_suffix(1);
            if (text.size() < 2 || text.front() != text.back() || (text.front() != '\'' && text.front() != '"'))
                fault("a string has no quotes");
            text = text.substr(1, text.size() - 2);
            if (text.find('\\') == std::string_view::npos)
                push_text(Kind::text, text);
            else
                push_decoded(Kind::text, unescape_string(text));
            return true;
        }
        case 'V': {
            const std::string_view text = line();
            if (text.find('\\') == std::string_view::npos)
                push_text(Kind::text, text);
            else
                push_decoded(Kind::text, unescape_unicode(text));
            return true;
        }
        case 'T':
            push_text(Kind::text, take(number(4)));
            return true;
        case 'U':
            push_text(Kind::text, take(number(1)));
            return true;
        case 'X':
            push_text(Kind::text, take(number(4)));
            return true;
        case 0x8c:
            push_text(Kind::text, take(number(1)));
            return true;
        case 0x8d:
            push_text(Kind::text, take(number(8)));
            return true;
        case 'B':
            push_text(Kind::bytes, take(number(4)));
            return true;
        case 'C':
            push_text(Kind::bytes, take(number(1)));
            return true;
        case 0x8e:
        case 0x96:
            push_text(Kind::bytes, take(number(8)));
            return true;
        case 0x97:
            push_kind(Kind::bytes);
            return true;  // NEXT_BUFFER
        case 0x98:
            static_cast<void>(top());
            return true;
        default:
            return false;
    }
}

bool PickleMachine::step_memo(unsigned char opcode) {
    switch (opcode) {
        case 'p':
            remember(decimal(line()), top());
            return true;
        case 'q':
            remember(number(1), top());
            return true;
        case 'r':
            remember(number(4), top());
            return true;
        case 0x94:
            remember(memo_count_, top());
            return true;
        case 'g':
            recall(decimal(line()));
            return true;
        case 'h':
            recall(number(1));
            return true;
        case 'j':
            recall(number(4));
            return true;
        case '(':
            push_kind(Kind::mark);
            return true;
        case '0':
            if (stack_.empty()) fault("it takes more from the stack than there is");
            stack_.pop_back();
            return true;
        case '1':
            close(mark());
            return true;
        case '2':
            push(top());
            return true;
        default:
            return false;
    }
}

bool PickleMachine::step_container(unsigned char opcode) {
    const auto need = [&](std::size_t count) {
        if (stack_.size() < count) fault("it takes more from the stack than there is");
        return stack_.size() - count;
    };
    const auto marked = [&](Kind kind) {
        const std::size_t from = mark();
        push_node(kind, from);
        const Value value = stack_.back();
        stack_.resize(from - 1);
        push(value);
    };
    const auto into = [&](std::size_t from, bool has_mark) {
        const std::size_t bottom = has_mark ? from - 1 : from;
        if (bottom == 0 || stack_[bottom - 1].kind == Kind::mark) fault("there is nothing to put items into");
        grow(stack_[bottom - 1], from);
        stack_.resize(bottom);
    };
    switch (opcode) {
        case ')':
            push_node(Kind::tuple, stack_.size());
            return true;
        case 't':
            marked(Kind::tuple);
            return true;
        case 0x85:
            push_node(Kind::tuple, need(1));
            return true;
        case 0x86:
            push_node(Kind::tuple, need(2));
            return true;
        case 0x87:
            push_node(Kind::tuple, need(3));
            return true;
        case ']':
            push_node(Kind::list, stack_.size());
            return true;
        case 'l':
            marked(Kind::list);
            return true;
        case '}':
            push_node(Kind::dict, stack_.size());
            return true;
        case 'd':
            marked(Kind::dict);
            return true;
        case 0x8f:
            push_node(Kind::set, stack_.size());
            return true;
        case 0x91:
            marked(Kind::set);
            return true;
        case 'a':
            into(need(1), false);
            return true;
        case 's':
            into(need(2), false);
            return true;
        case 'e':
        case 'u':
        case 0x90:
            into(mark(), true);
            return true;
        default:
            return false;
    }
}

bool PickleMachine::step_import(unsigned char opcode) {
    switch (opcode) {
        case 'c': {
            const std::string_view module = line();
            import_texts(module, line());
            return true;
        }
        case 0x93: {
            const Value name = pop();
            import(pop(), name);
            return true;
        }
        case 'i': {
            const std::string_view module = line(), name = line();
            const std::size_t from = mark();
            import_texts(module, name);
            const Value callee = pop();
            push_node(Kind::tuple, from);
            const Value arguments = pop();
            close(from);
            call(callee, arguments, "INST");
            return true;
        }
        case 'o': {
            const std::size_t from = mark();
            if (from == stack_.size()) fault("OBJ has no class");
            const Value callee = stack_[from];
            push_node(Kind::tuple, from + 1);
            const Value arguments = pop();
            close(from);
            call(callee, arguments, "OBJ");
            return true;
        }
        case 'R': {
            const Value arguments = pop();
            call(pop(), arguments, "REDUCE");
            return true;
        }
        case 0x81: {
            const Value arguments = pop();
            call(pop(), arguments, "NEWOBJ");
            return true;
        }
        case 0x92: {
            static_cast<void>(pop());
            const Value arguments = pop();
            call(pop(), arguments, "NEWOBJ_EX");
            return true;
        }
        case 'b':
            build();
            return true;
        case 'P':
            static_cast<void>(line());
            push_kind(Kind::persistent);
            return true;
        case 'Q':
            static_cast<void>(pop());
            push_kind(Kind::persistent);
            return true;
        case 0x82:
        case 0x83:
        case 0x84: {
            const auto code = number(opcode == 0x82 ? 1 : opcode == 0x83 ? 2 : 4);
            event("pickle.extension", fmt::format("It imports number {} of the extension registry.", code));
            push_kind(Kind::unknown);
            return true;
        }
        default:
            return false;
    }
}

// --- what it does ----------------------------------------------------------------------------------------------------

void PickleMachine::event(const char* rule, std::string message) {
    if (run_.events.size() < 1000) run_.events.push_back({rule, opcode_at_, std::move(message)});
}

std::string PickleMachine::name_of(const Value& value) const {
    if (value.kind == Kind::global)
        return fmt::format("{}.{}", printable(globals_[value.size].module), printable(globals_[value.size].name));
    if (value.kind == Kind::call && nodes_[value.size].callee >= 0) {
        const Global& global = globals_[static_cast<std::size_t>(nodes_[value.size].callee)];
        return fmt::format("what {}.{} returned", printable(global.module), printable(global.name));
    }
    return "something computed";
}

void PickleMachine::import(const Value& module, const Value& name) {
    if (module.kind == Kind::text && name.kind == Kind::text) return import_texts(module.text(), name.text());
    // Anything else than two strings ends the unpickler; what only looks so may be a string by then.
    const auto computed = [](Kind kind) {
        return kind == Kind::call || kind == Kind::persistent || kind == Kind::unknown || kind == Kind::text ||
               kind == Kind::global;
    };
    if (!computed(module.kind) || !computed(name.kind)) fault("it imports a name that is no text");
    ++run_.imports;
    event("pickle.computed-import",
          fmt::format("It imports {} from {}.",
                      name.kind == Kind::text ? printable(name.text()) : "a name that it computes",
                      module.kind == Kind::text ? printable(module.text()) : "a module whose name it computes"));
    push_kind(Kind::unknown);
}

void PickleMachine::import_texts(std::string_view module, std::string_view name) {
    const auto plain = [](std::string_view text) {
        return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    };
    if ((!plain(module) && valid_utf8(module.substr(0, 1000)) != module) ||
        (!plain(name) && valid_utf8(name.substr(0, 1000)) != name))
        fault("it imports a name that is no UTF-8");
    ++run_.imports;
    if (!is_dotted_name(module) || !is_dotted_name(name)) run_.plausible = false;
    const NameVerdict verdict = judge_name(module, name, torchscript_);
    Value value;
    value.kind = Kind::global;
    value.size = static_cast<std::uint32_t>(globals_.size());
    globals_.push_back({module, name, verdict.kind});
    const std::string shown = name_of(value);
    if (verdict.kind == NameClass::dangerous) {
        run_.dangerous = true;
        event("pickle.dangerous-import", fmt::format("It imports {}, which {}.", shown, verdict.why));
    } else if (verdict.kind == NameClass::nested_load) {
        event("pickle.nested-load", fmt::format("It imports {}, which {}.", shown, verdict.why));
    } else if (verdict.kind == NameClass::library || verdict.kind == NameClass::maker) {
        event("pickle.library-class", fmt::format("It makes objects of {}.", shown));
    } else if (verdict.kind == NameClass::unknown) {
        event("pickle.unknown-import", fmt::format("It imports {}, which is not known to be harmless.", shown));
    }
    push(value);
}

void PickleMachine::call(const Value& callee, const Value& arguments, const char* how) {
    PickleNode node;
    if (callee.kind == Kind::global) {
        node.callee = callee.size;
        // How such objects are pickled; a call of the class itself, with arguments of the pickle's choice, is not.
        const std::string_view by(how);
        if (globals_[callee.size].kind == NameClass::library && by != "NEWOBJ" && by != "NEWOBJ_EX")
            event("pickle.unknown-import",
                  fmt::format("It calls {} ({}), which is not known to be harmless.", name_of(callee), how));
    } else if (callee.kind == Kind::call || callee.kind == Kind::unknown || callee.kind == Kind::persistent) {
        event("pickle.computed-call", fmt::format("It calls {} ({}).", name_of(callee), how));
    } else {
        fault(fmt::format("{} calls something that cannot be called", how));
    }
    ++run_.calls;
    node.weight += weight(arguments);
    if (arguments.kind == Kind::tuple) {
        node.first = nodes_[arguments.size].first;
        node.count = nodes_[arguments.size].count;
    }
    Value value;
    value.kind = Kind::call;
    value.size = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back(node);
    push(value);
}

void PickleMachine::build() {
    const Value state = pop();
    const Value& object = top();
    if (object.kind == Kind::global)
        return event("pickle.changes-code", fmt::format("It changes attributes of {}.", name_of(object)));
    if (object.kind != Kind::call || state.kind != Kind::dict) return;
    const PickleNode& made = nodes_[object.size];
    if (made.callee < 0) return;
    const Global& global = globals_[static_cast<std::size_t>(made.callee)];
    // Also by way of copyreg._reconstructor(class, object, None), as protocols 0 and 1 write it.
    bool wrapper = global.name == "NumpyArrayWrapper" && global.module == "joblib.numpy_pickle";
    if (global.name == "_reconstructor" && made.count > 0 && pool_[made.first].kind == Kind::global) {
        const Global& reconstructed = globals_[pool_[made.first].size];
        wrapper = reconstructed.name == "NumpyArrayWrapper" && reconstructed.module == "joblib.numpy_pickle";
    }
    if (wrapper) joblib_array(nodes_[state.size]);
}

const PickleValue* PickleMachine::field(const PickleNode& dict, std::string_view key) const {
    for (std::uint32_t i = 0; i + 1 < dict.count; i += 2) {
        const Value& name = pool_[dict.first + i];
        if (name.kind == Kind::text && name.text() == key) return &pool_[dict.first + i + 1];
    }
    return nullptr;
}

// joblib writes the bytes of an array right behind the opcodes that describe it: they are stepped over here.
void PickleMachine::joblib_array(const PickleNode& state) {
    run_.arrays = true;
    const Value* shape = field(state, "shape");
    const Value* dtype = field(state, "dtype");
    if (shape == nullptr || dtype == nullptr || shape->kind != Kind::tuple || dtype->kind != Kind::call ||
        nodes_[dtype->size].count == 0)
        fault("an array of joblib does not say how long it is");
    const Value& type = pool_[nodes_[dtype->size].first];
    const std::string_view code = type.kind == Kind::text ? type.text() : std::string_view();
    if (code.size() < 2) fault("an array of joblib does not say how long its numbers are");
    if (code[0] == 'O') {  // a pickle of its own
        if (depth_ >= limits_.depth) fault("its arrays hold arrays too deeply");
        PickleRun inner =
            PickleMachine(std::as_bytes(std::span(in_.data(), in_.size())), at_, limits_, torchscript_, depth_ + 1)
                .run();
        run_.events.insert(run_.events.end(), inner.events.begin(), inner.events.end());
        run_.dangerous = run_.dangerous || inner.dangerous;
        run_.imports += inner.imports;
        run_.calls += inner.calls;
        if (!inner.stopped) fault("the objects of an array: " + inner.fault);
        at_ = inner.end;
        return;
    }
    std::uint64_t size = decimal(code.substr(1)) * (code[0] == 'U' ? 4 : 1);
    for (std::uint32_t i = 0; i < nodes_[shape->size].count; ++i) {
        const Value& length = pool_[nodes_[shape->size].first + i];
        const auto product = length.kind == Kind::integer && length.number >= 0
                                 ? checked_mul(size, static_cast<std::uint64_t>(length.number))
                                 : std::nullopt;
        if (!product) fault("an array of joblib has no shape");
        size = *product;
    }
    // Since joblib 1.3: one byte says how many bytes of 0xff align the array.
    if (const Value* align = field(state, "numpy_array_alignment_bytes");
        align != nullptr && align->kind == Kind::integer)
        static_cast<void>(take(number(1)));
    static_cast<void>(take(size));
}

bool PickleRun::is_credible() const noexcept {
    if (imports == 0 && events.empty()) return false;
    if (header && imports > 0 && (plausible || stopped)) return opcodes >= 3;
    return plausible && (dangerous || (stopped && imports > 0) || (calls > 0 && imports > 0));
}

PickleRun run_pickle(Bytes bytes, std::uint64_t begin, const Limits& limits, bool torchscript) {
    return PickleMachine(bytes, begin, limits, torchscript, 0).run();
}

}  // namespace freehold::scan
