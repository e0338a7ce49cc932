// Chat templates (Jinja) as other programs render them, some of them without a sandbox: what reaches for the insides of
// Python, what nobody sees, what speaks in the user's or the publisher's name.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "freehold/base/printable.h"
#include "readers.h"
#include "template_orders.h"

namespace freehold::scan {
namespace {

constexpr std::array<std::string_view, 20> kRoots = {
    "cycler",     "joiner",        "lipsum",  "url_for", "get_flashed_messages",
    "request",    "config",        "self",    "os",      "sys",
    "subprocess", "popen",         "system",  "eval",    "exec",
    "open",       "import_module", "getattr", "globals", "environ"};
constexpr std::array<std::string_view, 14> kInsides = {"mro",     "func_globals", "gi_frame",  "gi_code",    "cr_frame",
                                                       "cr_code", "ag_frame",     "f_globals", "f_builtins", "f_locals",
                                                       "f_back",  "tb_frame",     "im_func",   "co_code"};
constexpr std::array<std::string_view, 21> kOrders = {
    "ignore all previous", "ignore previous instruction", "ignore the previous",
    "ignore all prior",    "ignore any previous",         "disregard previous",
    "disregard all",       "disregard the above",         "do not tell the user",
    "don't tell the user", "never tell the user",         "without telling the user",
    "do not reveal this",  "override the system prompt",  "ignore the instructions of",
    "ignore the user",     "reveal the system prompt",    "reveal your system prompt",
    "do not mention it",   "do not mention this",         "without mentioning it"};

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
    return out;
}

class Template {
 public:
    Template(Context& context, const Content& content, std::string_view source, std::string_view what)
        : context_(context), content_(content), source_(source), what_(what) {}

    void run() {
        hidden();
        orders();
        for (const PlantedOrder& order : planted_orders(source_))
            find("template.instructions", order.at,
                 fmt::format("where \"{}\" is in what was said, it adds \"{}\".", printable(order.word, 40),
                             printable(order.sentence, 120)));
        for (std::size_t at = 0; at + 1 < source_.size();) {
            const bool statement = source_[at] == '{' && source_[at + 1] == '%',
                       expression = source_[at] == '{' && source_[at + 1] == '{';
            if (source_[at] == '{' && source_[at + 1] == '#') {
                at = std::min(source_.find("#}", at), source_.size() - 2) + 2;
            } else if (statement || expression) {
                const std::size_t end = block_end(at + 2, statement ? "%}" : "}}");
                block(at + 2, end);
                if (statement) nested_loops(at + 2, end);
                at = end;
            } else {
                ++at;
            }
        }
    }

 private:
    void find(std::string_view rule, std::size_t at, const std::string& message) {
        // The line in the template itself, since a JSON file has it on one.
        context_.find(rule, content_, {}, fmt::format("{}, line {}: {}", sentence(), line_of(source_, at), message));
    }
    std::string sentence() const {
        std::string out(what_);
        if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
        return out;
    }

    // The end of a block, strings in it passed over.
    std::size_t block_end(std::size_t at, std::string_view closing) const {
        char quote = '\0';
        for (; at < source_.size(); ++at) {
            const char c = source_[at];
            if (quote != '\0') {
                if (c == '\\')
                    ++at;
                else if (c == quote)
                    quote = '\0';
            } else if (c == '\'' || c == '"') {
                quote = c;
            } else if (source_.substr(at).starts_with(closing)) {
                return at;
            }
        }
        return source_.size();
    }

    void block(std::size_t at, std::size_t end) {
        underscores_ = 0;
        char before = '\0';  // the last character that is no space
        if (at < end && (source_[at] == '-' || source_[at] == '+')) ++at;
        std::string previous;
        while (at < end) {
            const char c = source_[at];
            if (c == '\'' || c == '"') {
                std::size_t close = at + 1;
                while (close < end && source_[close] != c) close += source_[close] == '\\' ? 2U : 1U;
                close = std::min(close, end);
                string(source_.substr(at + 1, close - at - 1), at, before, next_char(close + 1, end));
                at = close + 1;
                before = c;
            } else if (is_word(c)) {
                std::size_t stop = at;
                while (stop < end && is_word(source_[stop])) ++stop;
                word(source_.substr(at, stop - at), at, stop, end, before);
                at = stop;
                before = 'a';
            } else {
                if (std::isspace(static_cast<unsigned char>(c)) == 0) before = c;
                ++at;
            }
        }
    }

    char next_char(std::size_t at, std::size_t end) const {
        while (at < end && std::isspace(static_cast<unsigned char>(source_[at])) != 0) ++at;
        return at < end ? source_[at] : '\0';
    }

    void word(std::string_view name, std::size_t at, std::size_t stop, std::size_t end, char before) {
        const bool attribute = before == '.', filter = before == '|';
        repeats(name, at, stop, end, before);
        if (name.size() > 4 && name.starts_with("__") && name.ends_with("__"))
            find("template.escape", at, fmt::format("it reaches for {}.", printable(name)));
        else if (attribute && name.find("__") != std::string_view::npos)
            find("template.escape", at, fmt::format("it reaches for {}.", printable(name)));
        else if (attribute && std::ranges::find(kInsides, name) != kInsides.end())
            find("template.escape", at, fmt::format("it reaches for {}.", printable(name)));
        else if (filter && name == "attr")
            find("template.escape", at, "it uses the filter attr, which reaches attributes by computed names.");
        else if (!attribute && !filter && std::ranges::find(kRoots, name) != kRoots.end() &&
                 (next_char(stop, end) == '.' || next_char(stop, end) == '(' || next_char(stop, end) == '['))
            find("template.escape", at, fmt::format("it reaches for {}.", printable(name)));
        else if ((name == "include" || name == "import" || name == "extends" || name == "from") && before == '\0')
            find("template.escape", at, fmt::format("it takes in another file by {}.", name));
        else if (attribute && (name == "format" || name == "format_map") && next_char(stop, end) == '(')
            format_call(at);
        else if (name == "range" && next_char(stop, end) == '(')
            range(at, stop, end);
    }

    // "{0.__class__}".format(x) reaches attributes by way of a string.
    void format_call(std::size_t at) {
        const std::string_view before = source_.substr(at > 200 ? at - 200 : 0, std::min<std::size_t>(at, 200));
        const std::size_t brace = before.rfind('{');
        if (brace != std::string_view::npos && before.find_first_of(".[", brace) != std::string_view::npos &&
            before.substr(brace).find("%") == std::string_view::npos &&
            before.substr(brace).find("{{") == std::string_view::npos)
            if (before.substr(brace).find("__") != std::string_view::npos)
                find("template.escape", at, "it formats a text that reaches for attributes.");
    }

    void range(std::size_t at, std::size_t stop, std::size_t end) {
        std::size_t digits = 0;
        for (std::size_t i = stop; i < end && source_[i] != ')'; ++i) {
            digits = std::isdigit(static_cast<unsigned char>(source_[i])) != 0 || source_[i] == '_' ? digits + 1 : 0;
            if (digits > 6 || source_.substr(i).starts_with("**"))
                return find("template.loop", at, "it counts to a very large number.");
        }
    }

    // Loops in loops: what the ranges of all that are open count to, multiplied.
    void nested_loops(std::size_t at, std::size_t end) {
        constexpr double kFar = 1e7;
        std::string_view words = source_.substr(at, end - at);
        words.remove_prefix(std::min(words.find_first_not_of(" \t\r\n-+"), words.size()));
        if (words.starts_with("endfor") && !counts_.empty()) counts_.pop_back();
        if (!words.starts_with("for ")) return;
        double times = 1;
        if (const std::size_t range = words.find("range("); range != std::string_view::npos) {
            for (std::size_t i = range; i < words.size() && words[i] != ')';) {
                double number = 0;
                for (; i < words.size() && std::isdigit(static_cast<unsigned char>(words[i])) != 0; ++i)
                    number = number * 10 + (words[i] - '0');
                times = std::max(times, number);
                i += i < words.size() && std::isdigit(static_cast<unsigned char>(words[i])) == 0 && words[i] != ')' ? 1
                                                                                                                    : 0;
            }
        }
        counts_.push_back(times);
        double all = 1;
        for (const double count : counts_) all *= count;
        if (counts_.size() > 1 && times > 1 && all > kFar)
            find("template.loop", at, "its loops in loops count to a very large number.");
    }

    // 'x' * 99999999999 fills the memory.
    void repeats(std::string_view name, std::size_t at, std::size_t stop, std::size_t end, char before) {
        if (std::isdigit(static_cast<unsigned char>(name.front())) == 0) return;
        const auto digits = std::ranges::count_if(name, [](char c) { return c >= '0' && c <= '9'; });
        if (digits > 6 && (before == '*' || next_char(stop, end) == '*'))
            find("template.loop", at, "it repeats something a very large number of times.");
    }

    // A text of Jinja is read like one of Python: \x5f, \137, \u005f and \N{LOW LINE} all spell an underscore.
    static std::string unescaped(std::string_view text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '\\' || i + 1 >= text.size()) {
                out += text[i];
                continue;
            }
            const char c = text[++i];
            std::size_t width = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0, from = i + 1, base = 16;
            if (c >= '0' && c <= '7') {
                width = 3;
                from = i;
                base = 8;
            }
            if (c == 'N' && from < text.size() && text[from] == '{') {
                out += text.substr(from).starts_with("{LOW LINE}") ? '_' : '?';
                i = std::min(text.find('}', from), text.size());
                continue;
            }
            unsigned long code = 0;
            std::size_t used = 0;
            for (; used < width && from + used < text.size(); ++used) {
                const std::size_t digit =
                    std::string_view("0123456789abcdef")
                        .find(static_cast<char>(std::tolower(static_cast<unsigned char>(text[from + used]))));
                if (digit >= base) break;
                code = code * base + digit;
            }
            if (used == 0) {
                out += '\\';
                out += c;
                continue;
            }
            out += code > 0 && code < 127 ? static_cast<char>(code) : '?';
            i = from + used - 1;
        }
        return out;
    }

    void string(std::string_view text, std::size_t at, char before, char after) {
        const std::string plain = unescaped(text);
        // "__class__" has no business in a template, wherever it stands; nor has a text that is put together to be it.
        const bool inside =
            plain.size() > 4 && plain.starts_with("__") && plain.ends_with("__") && std::ranges::all_of(plain, is_word);
        const bool walks =
            plain.find(".__") != std::string::npos && plain.find("__", plain.find(".__") + 3) != std::string::npos;
        const bool spelt =
            plain != text && plain.find('_') != std::string::npos && text.find('_') == std::string_view::npos;
        const bool joined = before == '~' || before == '+' || after == '~' || after == '+' || after == '*';
        const bool listed = before == '[' || (before == ',' && (after == ',' || after == ']'));
        const bool bare = !plain.empty() && plain.find_first_not_of('_') == std::string::npos;
        // One "_" between two words is common; two of them in one place are a name of Python's insides.
        if (bare && (joined || listed)) underscores_ += plain.size() * (after == '*' ? 2 : 1);
        const bool piece = (joined && plain.size() > 2 && (plain.starts_with("__") || plain.ends_with("__"))) ||
                           (bare && (joined || listed) && underscores_ > 1);
        const bool reached = (before == '[' || before == '(') && plain.starts_with("__");
        const bool by_code = plain.find("%c") != std::string::npos;
        if (inside || walks || spelt || piece || reached || by_code)
            find("template.escape", at, fmt::format("it names \"{}\" as a text.", printable(plain, 60)));
    }

    // Characters without a shape: writing that turns around, and the tags in which text can be hidden.
    void hidden() {
        for (std::size_t i = 0; i + 2 < source_.size(); ++i) {
            const auto a = static_cast<unsigned char>(source_[i]), b = static_cast<unsigned char>(source_[i + 1]),
                       c = static_cast<unsigned char>(source_[i + 2]);
            const bool turns =
                a == 0xe2 && ((b == 0x80 && c >= 0xaa && c <= 0xae) || (b == 0x81 && c >= 0xa6 && c <= 0xa9));
            const bool width =
                a == 0xe2 && b == 0x80 && (c == 0x8b || c == 0x8c || c == 0x8d || c == 0x8e || c == 0x8f);
            const bool tags = a == 0xf3 && b == 0xa0 && (c == 0x80 || c == 0x81);
            if (turns || width || tags)
                return find("template.hidden-text", i,
                            tags    ? "it holds invisible tag characters."
                            : turns ? "it holds characters that turn the direction of writing."
                                    : "it holds characters without width.");
        }
    }

    void orders() {
        const std::string small = lower(source_);
        for (const std::string_view order : kOrders)
            if (const auto at = small.find(order); at != std::string::npos)
                find("template.instructions", at, fmt::format("it says \"{}\".", order));
        if (const std::size_t at = numbered_address(small); at != std::string::npos)
            find("template.instructions", at,
                 fmt::format("it names the address {}.",
                             small.substr(at, small.find_first_not_of("0123456789.", at) - at)));
        for (const std::string_view address : {"http://", "https://"})
            for (std::size_t at = small.find(address); at != std::string::npos; at = small.find(address, at + 1)) {
                // An address that is put together with what was said carries it away.
                const std::string_view rest =
                    std::string_view(small).substr(at, small.find_first_of(" \n'\"", at) - at);
                const std::size_t line_end = std::min(small.find('\n', at), small.size());
                const std::string_view line = std::string_view(small).substr(at, line_end - at);
                const bool image = at >= 2 && small.substr(at - 2, 2) == "](";
                if (rest.find("{{") != std::string_view::npos ||
                    (image && line.find("content") != std::string_view::npos))
                    find("template.instructions", at, "it writes an address that is made of what was said.");
            }
    }

    // 10.0.0.1 in a sentence; 0.0.0.0, 127.0.0.1 and numbers of versions are none.
    static std::size_t numbered_address(std::string_view text) {
        for (std::size_t at = text.find_first_of("0123456789"); at < text.size();) {
            const std::size_t end = std::min(text.find_first_not_of("0123456789.", at), text.size());
            std::string_view word = text.substr(at, end - at);
            while (word.ends_with('.')) word.remove_suffix(1);
            const bool dots = std::ranges::count(word, '.') == 3 && word.find("..") == std::string_view::npos &&
                              word.size() >= 8 && word.size() <= 15;
            const bool free = at == 0 || (!is_word(text[at - 1]) && text[at - 1] != '-');
            if (dots && free && !word.starts_with("127.") && !word.starts_with("0.")) return at;
            at = text.find_first_of("0123456789", end);
        }
        return std::string_view::npos;
    }

    Context& context_;
    const Content& content_;
    std::string_view source_, what_;
    std::size_t underscores_ = 0;  // in this block, alone in texts that are put together
    std::vector<double> counts_;   // of the loops that are open
};

}  // namespace

void scan_template(Context& context, const Content& content, std::string_view source, std::string_view what) {
    Template(context, content, source, what).run();
}

}  // namespace freehold::scan
