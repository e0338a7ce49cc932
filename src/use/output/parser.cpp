// The states of an answer, one byte at a time, so that nothing depends on how it was cut.
#include "freehold/output/parser.h"

#include <algorithm>
#include <utility>

#include "call_reader.h"
#include "freehold/base/random.h"

namespace freehold::output {

namespace {

constexpr std::size_t kLongestHeader = 512;  // between a mark and the arguments

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trimmed(std::string_view s) {
    while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
    while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
    return s;
}

// "functions.get_weather:0" is get_weather; some forms number their calls.
std::string_view plain_name(std::string_view name) {
    constexpr std::string_view kNamespace = "functions.";
    if (name.starts_with(kNamespace)) name.remove_prefix(kNamespace.size());
    const std::size_t colon = name.rfind(':');
    if (colon != std::string_view::npos && colon + 1 < name.size() &&
        name.find_first_not_of("0123456789", colon + 1) == std::string_view::npos) {
        name = name.substr(0, colon);
    }
    return name;
}

}  // namespace

struct OutputParser::Impl {
    enum class State : std::uint8_t {
        text,          // content or thinking
        payload,       // behind a mark: another mark, a list, an object, or a name
        header,        // a name on its way to its arguments
        call,          // in a call
        next_in_list,  // behind a call of a list
        after,         // behind the last call: marks of its end
        channel,       // the header of a message (harmony)
        body,          // its text (harmony)
    };
    enum class Scan : std::uint8_t { none, some, whole };

    OutputFormat format;
    ParserOptions options;
    std::vector<OutputDelta>* out = nullptr;

    State state = State::text;
    bool thinking = false, begun = false;  // in thinking; whether content or thinking has been told
    bool skip_space = false;
    std::string held;   // may be the beginning of a mark
    std::string space;  // not told yet: it may stand before a mark
    std::string raw;    // what becomes content if the call on its way is none
    CallReader reader;
    bool announced = false, argued = false, in_list = false;
    OutputDelta::Kind body_kind = OutputDelta::Kind::content;
    int n_calls = 0;
    bool answered = false;        // content has begun: no bare call can come any more
    std::size_t header_from = 0;  // of `raw`
    std::vector<std::string> think_begins, think_ends;

    Impl(OutputFormat f, ParserOptions o) : format(std::move(f)), options(std::move(o)) {
        if (format.shape != CallShape::harmony && (options.tools.empty() || format.shape == CallShape::none)) {
            format.begin.clear();
            format.bare = false;
        }
        for (const auto& [begin, end] : format.thinking) {
            think_begins.push_back(begin);
            think_ends.push_back(end);
        }
        thinking = options.thinking && options.begins_in_thinking && format.shape != CallShape::harmony;
        skip_space = thinking;
    }

    // --- telling

    void tell(OutputDelta::Kind kind, std::string_view text) {
        if (text.empty()) return;
        const bool arguments = kind == OutputDelta::Kind::tool_arguments;
        const int index = arguments ? n_calls - 1 : 0;
        if (arguments) argued = true;
        if (!out->empty() && out->back().kind == kind && out->back().index == index) {
            out->back().text += text;
            return;
        }
        OutputDelta delta;
        delta.kind = kind;
        delta.text = text;
        delta.index = index;
        out->push_back(std::move(delta));
    }
    void tell_text(char c) {
        if (is_space(c)) {
            if (!skip_space) space += c;
            return;
        }
        flush_space();
        skip_space = false;
        begun = true;
        tell(kind(), std::string_view(&c, 1));
    }
    void flush_space() { tell(kind(), std::exchange(space, {})); }
    [[nodiscard]] OutputDelta::Kind kind() const noexcept {
        return thinking ? OutputDelta::Kind::reasoning : OutputDelta::Kind::content;
    }
    // What was taken for a call is text.
    void give_up() {
        state = State::text;
        if (raw.empty()) return;
        begun = answered = true;
        skip_space = false;
        tell(OutputDelta::Kind::content, std::exchange(raw, {}));
    }

    [[nodiscard]] std::string make_id() {
        Random random(options.id_seed, RandomUse::init, static_cast<std::uint32_t>(n_calls));
        constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        std::string id = format.short_ids ? "" : "call_";
        for (int i = 0; i < (format.short_ids ? 9 : 24); ++i) id += kLetters[random.next() % kLetters.size()];
        return id;
    }
    // False: nobody offered such a function.
    bool announce(std::string_view name, const std::string& id = {}) {
        if (std::find(options.tools.begin(), options.tools.end(), name) == options.tools.end()) return false;
        space.clear();
        raw.clear();
        OutputDelta delta;
        delta.kind = OutputDelta::Kind::tool_call;
        delta.index = n_calls;
        // An id of the model's own may come twice in a conversation ("0", "1", ...); only nine letters look like one.
        delta.id = format.short_ids && id.size() == 9 ? id : make_id();
        delta.name = name;
        out->push_back(std::move(delta));
        ++n_calls;
        announced = true;
        argued = false;
        return true;
    }
    void end_call() {
        if (announced && !argued) tell(OutputDelta::Kind::tool_arguments, "{}");
        announced = false;
        raw.clear();
        skip_space = true;
    }

    // --- marks

    // How `held` stands to a list of marks; `found` is the whole one.
    template <class Marks>
    Scan scan(const Marks& marks, Scan so_far, const std::string*& found) const {
        Scan result = so_far;
        for (const std::string& mark : marks) {
            if (mark == held) {
                found = &mark;
                return Scan::whole;
            }
            if (mark.size() > held.size() && mark.compare(0, held.size(), held) == 0) result = Scan::some;
        }
        return result;
    }

    void text_byte(char c) {
        held += c;
        while (!held.empty()) {
            const std::string* mark = nullptr;
            Scan scanned = Scan::none;
            enum class Meaning : std::uint8_t { none, call, think, end, dropped } meaning = Meaning::none;
            const auto look = [&](const auto& marks, Meaning as) {
                if (scanned == Scan::whole) return;
                scanned = scan(marks, scanned, mark);
                if (scanned == Scan::whole) meaning = as;
            };
            if (options.thinking && !begun) look(think_begins, Meaning::think);
            if (thinking) {
                look(think_ends, Meaning::end);
            } else {
                look(format.begin, Meaning::call);
                look(format.dropped, Meaning::dropped);
            }
            if (scanned == Scan::some) return;
            if (scanned == Scan::whole) {
                std::string text = std::exchange(held, {});
                if (meaning == Meaning::think) {
                    thinking = skip_space = true;
                    space.clear();
                } else if (meaning == Meaning::end) {
                    thinking = false;
                    skip_space = true;
                    space.clear();  // before the end of thinking: no part of it
                    begun = true;
                    answered = false;
                } else if (meaning == Meaning::call) {
                    raw = std::exchange(space, {}) + text;
                    in_list = false;
                    state = format.shape == CallShape::harmony ? State::channel : State::payload;
                } else {
                    skip_space = true;
                    space.clear();
                }
                return;
            }
            const char first = held.front();
            held.erase(0, 1);
            if (!thinking && format.bare && first == '{' && !answered) {
                raw = std::exchange(space, {});
                begin_object(first);
                const std::string rest = std::exchange(held, {});
                for (const char next : rest) byte(next);
                return;
            }
            if (!thinking && !is_space(first)) answered = true;
            tell_text(first);
        }
    }
    // --- calls

    void begin_object(char c) {
        state = State::call;
        reader = CallReader();
        announced = false;
        call_byte(c);
    }

    void call_byte(char c) {
        const CallReader::Step step = reader.feed(c);
        if (step == CallReader::Step::wrong) {
            const bool was = announced;
            if (was) end_call();
            give_up();
            if (was) skip_space = false;
            text_byte(c);
            return;
        }
        if (!announced) {
            raw += c;
            if (!reader.name().empty() && !announce(plain_name(reader.name()), reader.id())) return give_up();
        }
        if (announced) tell(OutputDelta::Kind::tool_arguments, reader.take_arguments());
        if (step == CallReader::Step::done) {
            end_call();
            state = in_list ? State::next_in_list : State::after;
        }
    }

    void payload_byte(char c) {
        if (held.empty() && is_space(c)) {
            raw += c;
            return;
        }
        if (held.empty() && c == '[' && !in_list) {
            in_list = true;
            raw += c;
            return;
        }
        if (held.empty() && c == '{') return begin_object(c);
        held += c;
        const std::string* mark = nullptr;
        const Scan scanned = in_list ? Scan::none : scan(format.begin, Scan::none, mark);
        if (scanned == Scan::some) return;
        const std::string text = std::exchange(held, {});
        if (scanned == Scan::whole) {
            raw += text;
            return;
        }
        if (format.shape == CallShape::named && !in_list) {
            state = State::header;
            header_from = raw.size();
            for (const char next : text) byte(next);
            return;
        }
        give_up();
        for (const char next : text) byte(next);
    }
    void header_byte(char c) {
        if (c != '{') {
            raw += c;
            if (raw.size() - header_from > kLongestHeader) give_up();
            return;
        }
        const std::string header = raw.substr(header_from);
        std::string_view name = header;
        std::string_view rest;
        if (const std::size_t at = header.find(format.separator); at != std::string::npos) {
            name = std::string_view(header).substr(0, at);
            rest = trimmed(std::string_view(header).substr(at + format.separator.size()));
        }
        std::string id;
        constexpr std::string_view kId = "[CALL_ID]";
        if (const std::size_t at = name.find(kId); at != std::string_view::npos) {
            id = trimmed(name.substr(at + kId.size()));
            name = name.substr(0, at);
        }
        // "function<sep>NAME\n```json\n{": the name stands behind the separator.
        if (const std::size_t fence = rest.rfind("```"); fence != std::string_view::npos) rest = rest.substr(0, fence);
        if (!trimmed(rest).empty()) name = rest;
        if (!announce(plain_name(trimmed(name)), id)) {
            give_up();
            text_byte(c);
            return;
        }
        state = State::call;
        reader = CallReader(true);
        call_byte(c);
    }

    void next_in_list_byte(char c) {
        if (is_space(c)) return;
        if (c == ']') {
            state = State::after;
        } else if (c == ',') {
            raw = c;
            state = State::payload;
        } else {
            state = State::text;
            text_byte(c);
        }
    }

    void after_byte(char c) {
        if (held.empty() && is_space(c)) return;
        if (held.empty() && c == '{' && format.shape == CallShape::object) {
            raw.clear();
            in_list = false;
            return begin_object(c);
        }
        if (held.empty() && format.bare && (c == ';' || c == ',')) {
            raw = c;
            in_list = false;
            state = State::payload;
            return;
        }
        held += c;
        const std::string* mark = nullptr;
        const Scan scanned = scan(format.end, Scan::none, mark);
        if (scanned == Scan::some) return;
        const std::string text = std::exchange(held, {});
        if (scanned == Scan::whole) return;
        state = State::text;
        for (const char next : text) byte(next);
    }

    // --- harmony

    void channel_byte(char c) {
        raw += c;
        if (!raw.ends_with(format.separator)) {
            if (raw.size() > kLongestHeader) give_up();
            return;
        }
        const auto word_behind = [&](std::string_view mark) {
            const std::size_t at = raw.find(mark);
            if (at == std::string::npos) return std::string_view{};
            const std::size_t from = at + mark.size();
            return std::string_view(raw).substr(from, raw.find_first_of(" <\n\t", from) - from);
        };
        const std::string channel(word_behind("<|channel|>"));
        const std::string recipient(word_behind(" to="));
        state = State::body;
        body_kind = channel == "analysis" ? OutputDelta::Kind::reasoning : OutputDelta::Kind::content;
        if (!options.thinking) body_kind = OutputDelta::Kind::content;
        if (!recipient.empty() && announce(plain_name(recipient))) {
            body_kind = OutputDelta::Kind::tool_arguments;
        } else if (!recipient.empty()) {
            tell(body_kind, raw);  // a call of what nobody offered
        }
        raw.clear();
    }

    void body_byte(char c) {
        held += c;
        while (!held.empty()) {
            const std::string* mark = nullptr;
            Scan scanned = scan(format.end, Scan::none, mark);
            const bool ended = scanned == Scan::whole;
            if (!ended) scanned = scan(format.begin, scanned, mark);
            if (scanned == Scan::some) return;
            if (scanned == Scan::whole) {
                raw = ended ? std::string() : held;
                held.clear();
                std::string header = std::exchange(raw, {});
                end_call();
                raw = std::move(header);
                state = ended ? State::text : State::channel;
                begun = true;
                skip_space = false;
                return;
            }
            tell(body_kind, std::string_view(held).substr(0, 1));
            held.erase(0, 1);
        }
    }

    void byte(char c) {
        switch (state) {
            case State::text:
                return text_byte(c);
            case State::payload:
                return payload_byte(c);
            case State::header:
                return header_byte(c);
            case State::call:
                return call_byte(c);
            case State::next_in_list:
                return next_in_list_byte(c);
            case State::after:
                return after_byte(c);
            case State::channel:
                return channel_byte(c);
            case State::body:
                return body_byte(c);
        }
    }

    // Does the answer end inside the mark of a call, or in a call whose name is not certain?
    [[nodiscard]] bool cut_off() const {
        const auto begins = [this](const auto& marks) {
            return std::any_of(marks.begin(), marks.end(),
                               [this](const std::string& mark) { return mark.starts_with(held); });
        };
        switch (state) {
            case State::text:
                return !held.empty() && !thinking && begins(format.begin);
            case State::after:
                return !held.empty() && begins(format.end);
            case State::payload:
            case State::header:
            case State::call:
                return true;
            default:
                return false;
        }
    }

    void finish() {
        if (state == State::body) {
            tell(body_kind, std::exchange(held, {}));
            return end_call();
        }
        if (state == State::call && announced) {
            // Cut off inside its arguments: what there is of them has been told.
            tell(OutputDelta::Kind::tool_arguments, reader.take_arguments());
            return;
        }
        // Behind a call, a mark or a call that was cut off (max_tokens) is no text of the answer.
        if (n_calls > 0 && cut_off()) return;
        if (state == State::after || state == State::next_in_list) state = State::text;
        if (state != State::text) give_up();
        for (const char c : std::exchange(held, {})) tell_text(c);
        flush_space();
    }
};

OutputParser::OutputParser(OutputFormat format, ParserOptions options)
    : impl_(std::make_unique<Impl>(std::move(format), std::move(options))) {}
OutputParser::~OutputParser() = default;
OutputParser::OutputParser(OutputParser&&) noexcept = default;
OutputParser& OutputParser::operator=(OutputParser&&) noexcept = default;

void OutputParser::push(std::string_view piece, std::vector<OutputDelta>& out) {
    impl_->out = &out;
    for (const char c : piece) impl_->byte(c);
}

void OutputParser::finish(std::vector<OutputDelta>& out) {
    impl_->out = &out;
    impl_->finish();
}

int OutputParser::calls() const noexcept {
    return impl_->n_calls;
}

}  // namespace freehold::output
