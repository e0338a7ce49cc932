// The states of a call of a tool.
#include "call_reader.h"

#include <utility>

#include "freehold/base/error.h"
#include "freehold/base/value.h"

namespace freehold::output {

namespace {

constexpr std::size_t kDeepest = 256;       // of brackets in arguments
constexpr std::size_t kLongestText = 4096;  // of keys, names and ids; arguments have no bound here

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The text between quotation marks without its escapes; as it is where it is no JSON.
std::string unescaped(const std::string& raw) {
    if (raw.find('\\') == std::string::npos) return raw;
    try {
        const Value value = parse_json("\"" + raw + "\"", "call");
        return std::string(value.as_string().value_or(raw));
    } catch (const Error&) {
        return raw;
    }
}

}  // namespace

CallReader::CallReader(bool arguments_only)
    : state_(arguments_only ? State::value : State::object), alone_(arguments_only) {
    if (arguments_only) use_ = Use::arguments;
}

std::string CallReader::take_arguments() {
    return std::exchange(arguments_, {});
}

CallReader::Step CallReader::feed(char c) {
    switch (state_) {
        case State::object:
            if (is_space(c)) return Step::more;
            if (c != '{') return Step::wrong;
            state_ = State::key_or_end;
            return Step::more;
        case State::key_or_end:
            if (c == '}') return end_of_value();
            [[fallthrough]];
        case State::key:
            if (is_space(c)) return Step::more;
            if (c != '"') return Step::wrong;
            text_.clear();
            state_ = State::in_key;
            return Step::more;
        case State::in_key:
        case State::in_text:
            if (!escaped_ && c == '"') return end_of_text();
            escaped_ = !escaped_ && c == '\\';
            text_ += c;
            if (use_ == Use::arguments_text && state_ == State::in_text) return Step::more;
            return text_.size() > kLongestText ? Step::wrong : Step::more;
        case State::colon:
            if (is_space(c)) return Step::more;
            if (c != ':') return Step::wrong;
            state_ = State::value;
            return Step::more;
        case State::value:
            return is_space(c) ? Step::more : begin_value(c);
        case State::in_value:
            return value_byte(c);
        case State::after_value:
            if (is_space(c)) return Step::more;
            if (c == ',') {
                state_ = State::key;
                return Step::more;
            }
            return c == '}' ? end_of_value() : Step::wrong;
    }
    return Step::wrong;
}

// A key or a text is complete.
CallReader::Step CallReader::end_of_text() {
    if (state_ == State::in_key) {
        state_ = State::colon;
        use_ = Use::skip;
        if ((text_ == "name" || text_ == "tool_name" || text_ == "function") && name_.empty()) use_ = Use::name;
        if ((text_ == "id" || text_ == "tool_call_id") && id_.empty()) use_ = Use::id;
        if ((text_ == "arguments" || text_ == "parameters") && !had_arguments_) use_ = Use::arguments;
        return Step::more;
    }
    state_ = State::after_value;
    if (use_ == Use::name) {
        name_ = unescaped(text_);
        if (name_.empty()) return Step::wrong;
    } else if (use_ == Use::id) {
        id_ = unescaped(text_);
    } else if (use_ == Use::arguments_text) {
        // Arguments as JSON in a text: what is in it is what the model means.
        arguments_ += unescaped(text_);
    }
    return Step::more;
}

CallReader::Step CallReader::begin_value(char c) {
    quoted_ = escaped_ = scalar_ = false;
    stack_.clear();
    if (use_ == Use::arguments) {
        had_arguments_ = true;
        if (c == '"' && !alone_) {
            use_ = Use::arguments_text;
            text_.clear();
            state_ = State::in_text;
            return Step::more;
        }
        if (c != '{') return Step::wrong;
    }
    if (use_ == Use::name || use_ == Use::id) {
        if (c == '"') {
            text_.clear();
            state_ = State::in_text;
            return Step::more;
        }
        if (use_ == Use::name && c == '{' && wrapped_ < 4) {
            ++wrapped_;
            state_ = State::key_or_end;
            return Step::more;
        }
        use_ = Use::skip;
    }
    state_ = State::in_value;
    return value_byte(c);
}

CallReader::Step CallReader::value_byte(char c) {
    const bool keep = use_ == Use::arguments;
    if (quoted_) {
        if (keep) arguments_ += c;
        if (!escaped_ && c == '"') {
            quoted_ = false;
            if (stack_.empty()) state_ = State::after_value;
        }
        escaped_ = !escaped_ && c == '\\';
        return Step::more;
    }
    if (scalar_ && stack_.empty() && (c == ',' || c == '}' || is_space(c))) {
        state_ = State::after_value;
        return feed(c);
    }
    if (keep) arguments_ += c;
    if (c == '"') {
        quoted_ = true;
        escaped_ = false;
    } else if (c == '{' || c == '[') {
        if (stack_.size() == kDeepest) return Step::wrong;
        stack_ += c == '{' ? '}' : ']';
    } else if (c == '}' || c == ']') {
        if (stack_.empty() || stack_.back() != c) {
            if (keep) arguments_.pop_back();
            return Step::wrong;
        }
        stack_.pop_back();
        if (stack_.empty()) {
            if (alone_) return Step::done;
            state_ = State::after_value;
        }
    } else if (stack_.empty()) {
        scalar_ = true;
    }
    return Step::more;
}

CallReader::Step CallReader::end_of_value() {
    if (wrapped_ > 0) {
        --wrapped_;
        state_ = State::after_value;
        return Step::more;
    }
    return name_.empty() ? Step::wrong : Step::done;
}

}  // namespace freehold::output
