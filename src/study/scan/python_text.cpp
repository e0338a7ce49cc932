// Python code by its tokens, with the names that imports give to things followed: rules in the spirit of Bandit, kept
// to what can do harm when a model's repository is trusted.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "python_calls.h"
#include "python_tokens.h"
#include "readers.h"

namespace freehold::scan {
namespace {

class Rules {
 public:
    Rules(Context& context, const Content& content, std::string_view source, std::uint64_t line)
        : context_(context), content_(content), tokens_(python_tokens(source, line)) {}

    void run() {
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            if (tokens_[i].kind == Token::Kind::text && !begins(i) && names_private_file(tokens_[i].text))
                context_.find("code.files", content_, at_line(tokens_[i].line),
                              fmt::format("It names {}, which is no file of a model.", printable(tokens_[i].text, 80)));
            const bool group = (is(i, "(") || is(i, "[")) && (i == 0 || !ends_value(i - 1));
            if (group) devious(i);
            if (tokens_[i].kind != Token::Kind::name) continue;
            if (begins(i) && is(i + 1, "=") && !is(i + 2, "=")) assigned(i);
            if (i == 0 || !is(i - 1, ".")) devious(i);
            if (is(i, "import") && begins(i))
                i = import(i);
            else if (is(i, "from") && begins(i))
                i = from(i);
            else if (is(i, "def") || is(i, "class")) {
                if (is_name(++i)) own_.insert(std::string(tokens_[i].text));
            } else
                i = name(i);
        }
    }

 private:
    bool is(std::size_t i, std::string_view text) const {
        return i < tokens_.size() && tokens_[i].kind != Token::Kind::text && tokens_[i].text == text;
    }
    bool is_name(std::size_t i) const { return i < tokens_.size() && tokens_[i].kind == Token::Kind::name; }
    // Is a bracket behind this token a call or a subscript?
    bool ends_value(std::size_t i) const {
        static constexpr std::array<std::string_view, 12> kWords = {
            "return", "in", "and", "or", "not", "if", "else", "yield", "lambda", "await", "print", "is"};
        if (is(i, ")") || is(i, "]")) return true;
        return is_name(i) && std::ranges::find(kWords, tokens_[i].text) == kWords.end();
    }
    bool begins(std::size_t i) const {
        return i == 0 || tokens_[i - 1].kind == Token::Kind::end || is(i - 1, ":") || is(i - 1, ";");
    }

    std::string dotted(std::size_t& i) const {
        std::string out;
        while (is_name(i)) {
            out += tokens_[i].text;
            if (!is(i + 1, ".") || !is_name(i + 2)) break;
            out += '.';
            i += 2;
        }
        ++i;
        return out;
    }

    std::size_t import(std::size_t i) {
        ++i;
        while (is_name(i)) {
            const std::string module = dotted(i);
            if (is(i, "as") && is_name(i + 1)) {
                names_[std::string(tokens_[i + 1].text)] = module;
                i += 2;
            } else {
                names_[module.substr(0, module.find('.'))] = module.substr(0, module.find('.'));
            }
            if (!is(i, ",")) break;
            ++i;
        }
        return i - 1;
    }

    std::size_t from(std::size_t i) {
        ++i;
        bool relative = false;
        while (is(i, ".")) {
            relative = true;
            ++i;
        }
        const std::string module = is_name(i) && !is(i, "import") ? dotted(i) : std::string();
        if (!is(i, "import")) return i - 1;
        ++i;
        if (is(i, "*") && !relative) stars_.push_back(module);
        if (is(i, "(")) ++i;
        while (is_name(i)) {
            const std::string name(tokens_[i].text);
            std::string alias = name;
            if (is(i + 1, "as") && is_name(i + 2)) {
                alias = std::string(tokens_[i + 2].text);
                i += 2;
            }
            // A function of the repository may be called eval.
            names_[alias] = relative ? "." + module + "." + name : module + "." + name;
            ++i;
            if (!is(i, ",")) break;
            ++i;
        }
        return i - 1;
    }

    // A name with its attributes; is it called, and what is it really?
    std::size_t name(std::size_t i) {
        const std::size_t begin = i;
        const bool attribute = begin > 0 && is(begin - 1, ".");
        std::string whole = dotted(i);
        const std::size_t last = i - 1;
        if (is(begin, "trust_remote_code") && is(i, "=") && is(i + 1, "True"))
            context_.find("code.remote", content_, at_line(tokens_[begin].line), "It trusts remote code.");
        if (climbs(begin, whole))
            context_.find("code.exec", content_, at_line(tokens_[begin].line),
                          "It walks from an object to all classes of the program.");
        if (attribute) {
            chained(begin, whole, i);
            return last;
        }
        const std::string first = whole.substr(0, whole.find('.'));
        const auto known = names_.find(first);
        if (known != names_.end()) whole = known->second + whole.substr(first.size());
        // A module that another one imports: transformers.utils.os.system.
        for (const std::string_view inner : {".os.", ".subprocess.", ".builtins.", ".posix.", ".pty."}) {
            const std::size_t at = whole.find(inner);
            if (at != std::string::npos && python_call(whole.substr(at + 1)) != nullptr) whole = whole.substr(at + 1);
        }
        if (whole.starts_with(first + ".") && known == names_.end() && first != whole)
            return last;  // an attribute of something local
        if (whole.find('.') == std::string::npos && !own_.contains(whole)) {
            for (const std::string& module : stars_)
                if (is(i, "(") && python_star_call(module, whole) != nullptr) whole = module + "." + whole;
        }
        if (whole == "__builtins__" || whole.starts_with("builtins.__dict__"))
            context_.find("code.exec", content_, at_line(tokens_[begin].line),
                          "It reaches for Python's built-in functions by way of their table.");
        if (is(i, "("))
            called(whole, begin, i);
        else
            handed_on(whole, begin, i);
        return last;
    }

    // __import__("os").system(...)
    void chained(std::size_t begin, const std::string& whole, std::size_t open) {
        if ((whole == "system" || whole == "popen") && is(open, "(") && begin > 1 && is(begin - 2, ")"))
            context_.find("code.process", content_, at_line(tokens_[begin].line),
                          fmt::format("It calls {}(), which runs a command.", whole));
    }

    void told_call(const Call& call, const std::string& name, std::size_t begin, std::size_t open) {
        const std::uint64_t line = tokens_[begin].line;
        if ((name == "compile" || name == "builtins.compile") && !has_text_mode(open)) return;
        if (name == "__import__" && open + 1 < tokens_.size() && tokens_[open + 1].kind == Token::Kind::text &&
            !is_dangerous_module(tokens_[open + 1].text))
            return;
        if (std::string_view(call.rule) == "code.exec" && hides(open))
            context_.find("code.hidden", content_, at_line(line),
                          fmt::format("It unpacks hidden text and hands it to {}().", name));
        context_.find(call.rule, content_, at_line(line),
                      fmt::format("It calls {}(), which {}.", printable(name), call.what));
    }

    void called(const std::string& name, std::size_t begin, std::size_t open) {
        const std::uint64_t line = tokens_[begin].line;
        if (const Call* call = python_call(name)) told_call(*call, name, begin, open);
        if (name == "torch.load" && !argument(open, "weights_only", "True"))
            context_.find("code.deserialise", content_, at_line(line),
                          "It calls torch.load() without weights_only=True.");
        if (name == "numpy.load" && argument(open, "allow_pickle", "True"))
            context_.find("code.deserialise", content_, at_line(line), "It calls numpy.load() with allow_pickle=True.");
        if (name == "yaml.load" && !mentions(open, {"SafeLoader", "CSafeLoader", "BaseLoader"}))
            context_.find("code.deserialise", content_, at_line(line), "It calls yaml.load() without a safe loader.");
        if (name == "getattr" && mentions(open, {"__builtins__", "__import__"}))
            context_.find("code.exec", content_, at_line(line), "It reaches for Python's built-in functions by name.");
        if (is_one_of(name, {"shutil.rmtree", "os.remove", "os.unlink", "os.removedirs"}) && reaches_home(open))
            context_.find("code.files", content_, at_line(line),
                          fmt::format("It calls {}() on files that are not the model's.", name));
        // map(eval, texts), Thread(target=exec)
        if (is_one_of(name, {"map", "filter", "reduce", "functools.reduce", "itertools.starmap", "functools.partial",
                             "threading.Thread", "multiprocessing.Process"})) {
            const auto runs = [&](std::size_t i) {
                if (!is_name(i) || is(i - 1, ".") || is(i + 1, "(") || is(i + 1, ".")) return false;
                const auto known = names_.find(tokens_[i].text);
                const std::string_view whole = known == names_.end() ? tokens_[i].text : known->second;
                return is_one_of(whole, {"eval", "exec", "__import__", "builtins.eval", "builtins.exec"});
            };
            if (any_argument(open, runs))
                context_.find("code.exec", content_, at_line(line),
                              fmt::format("It has {}() run texts as code.", name));
        }
        if (is_one_of(name, {"importlib.import_module", "__import__"})) {
            const auto module = folded(open + 1);
            if (module && module->pieces > 1 && is_dangerous_module(module->text.substr(0, module->text.find('.'))))
                context_.find("code.hidden", content_, at_line(line),
                              fmt::format("It puts together the name of the module {}.", printable(module->text)));
        }
    }

    static bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
        return std::ranges::find(all, text) != all.end();
    }

    // Files of the person or of the machine: "~/...", the root, expanduser(), Path.home().
    bool reaches_home(std::size_t open) const {
        return any_argument(open, [&](std::size_t i) {
            if (i >= tokens_.size()) return false;
            const std::string_view text = tokens_[i].text;
            if (tokens_[i].kind != Token::Kind::text) return is_one_of(text, {"expanduser", "home"}) && is(i + 1, "(");
            return text.starts_with('~') || is_one_of(text, {"/", "/home", "/etc", "/usr", "/root", "/var", "C:\\"}) ||
                   names_private_file(text);
        });
    }

    // Texts that stand next to each other or are joined by '+', from token `i` on.
    struct Folded {
        std::string text;
        int pieces = 0;
        std::size_t end = 0;  // the token behind them
    };
    std::optional<Folded> folded(std::size_t i) const {
        Folded out;
        while (i < tokens_.size() && tokens_[i].kind == Token::Kind::text && out.text.size() < 1000) {
            out.text += unescaped(tokens_[i].text);
            ++out.pieces;
            out.end = ++i;
            if (is(i, "+")) ++i;
        }
        if (out.pieces == 0) return std::nullopt;
        return out;
    }
    static std::string unescaped(std::string_view text) {
        std::string out;
        const auto digit = [](char c) {
            return c >= '0' && c <= '9'   ? c - '0'
                   : c >= 'a' && c <= 'f' ? c - 'a' + 10
                   : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                          : -1;
        };
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x' && digit(text[i + 2]) >= 0 &&
                digit(text[i + 3]) >= 0) {
                out += static_cast<char>(digit(text[i + 2]) * 16 + digit(text[i + 3]));
                i += 3;
            } else {
                out += text[i];
            }
        }
        return out;
    }

    // What an expression at token `i` stands for, as a dotted name: names and attributes, (x), [x, y][0],
    // sys.modules["x"], __import__("x"), getattr(x, "y"), vars(x)["y"], globals()["x"]["y"].
    struct Resolved {
        std::string name;
        std::size_t end = 0;   // the token behind it
        bool devious = false;  // by another way than its name
    };
    std::optional<Resolved> resolve(std::size_t i, int depth = 0) const {
        if (depth > 8 || i >= tokens_.size()) return std::nullopt;
        Resolved out;
        if (is(i, "(")) {
            const auto inner = resolve(i + 1, depth + 1);
            if (!inner || !is(inner->end, ")")) return std::nullopt;
            out = {inner->name, inner->end + 1, true};
        } else if (is(i, "[")) {
            const std::size_t close = closing(i);
            if (!is(close + 1, "[") || !is(close + 3, "]")) return std::nullopt;
            for (std::size_t k = i + 1; k < close && out.name.empty(); ++k)
                if (const auto one = resolve(k, depth + 1); one && python_call(one->name) != nullptr)
                    out.name = one->name;
            if (out.name.empty()) return std::nullopt;
            out.end = close + 4;
            out.devious = true;
        } else if (is_name(i)) {
            std::size_t end = i;
            out.name = full_name(dotted(end));
            out.end = end;
            if (!special(out, depth)) return std::nullopt;
        } else {
            return std::nullopt;
        }
        for (int steps = 0; steps < 20; ++steps) {
            if (is(out.end, ".") && is_name(out.end + 1)) {
                out.name += "." + std::string(tokens_[out.end + 1].text);
                out.end += 2;
            } else if (is(out.end, "[") && is_table(out.name)) {
                const auto key = folded(out.end + 1);
                if (!key || !is(key->end, "]")) break;
                out.name = out.name == "globals()" ? full_name(key->text == "__builtins__" ? "builtins" : key->text)
                                                   : table_owner(out.name) + "." + key->text;
                out.end = key->end + 1;
                out.devious = true;
            } else {
                break;
            }
        }
        return out;
    }
    static bool is_table(std::string_view name) {
        return name == "globals()" || name == "builtins" || name.ends_with(".__dict__");
    }
    static std::string table_owner(const std::string& name) {
        return name.ends_with(".__dict__") ? name.substr(0, name.size() - 9) : name;
    }
    // The ways by which a module or an attribute is had without its name being written; false: nothing known.
    bool special(Resolved& out, int depth) const {
        const std::size_t open = out.end;
        if (out.name == "__builtins__") out.name = "builtins";
        if (out.name == "sys.modules" && is(open, "[")) {
            const auto key = folded(open + 1);
            if (!key || !is(key->end, "]")) return false;
            out = {key->text, key->end + 1, true};
        } else if (is_one_of(out.name, {"__import__", "builtins.__import__", "importlib.import_module"}) &&
                   is(open, "(")) {
            const auto key = folded(open + 1);
            if (!key) return false;
            out = {key->text, closing(open) + 1, true};
        } else if (is_one_of(out.name, {"globals", "locals"}) && is(open, "(") && is(open + 1, ")")) {
            out = {"globals()", open + 2, true};
        } else if (out.name == "vars" && is(open, "(")) {
            const auto inner = resolve(open + 1, depth + 1);
            if (!inner || !is(inner->end, ")")) return false;
            out = {inner->name + ".__dict__", inner->end + 1, true};
        } else if (is_one_of(out.name, {"getattr", "builtins.getattr"}) && is(open, "(")) {
            const auto inner = resolve(open + 1, depth + 1);
            const auto key = inner && is(inner->end, ",") ? folded(inner->end + 1) : std::nullopt;
            if (!key) return false;
            out = {inner->name + "." + key->text, closing(open) + 1, true};
        }
        return true;
    }
    // The bracket that ends the one at `open`; the last token where none does.
    std::size_t closing(std::size_t open) const {
        int depth = 0;
        for (std::size_t i = open; i < tokens_.size() && i < open + 4000; ++i) {
            if (is(i, "(") || is(i, "[") || is(i, "{")) ++depth;
            if ((is(i, ")") || is(i, "]") || is(i, "}")) && --depth == 0) return i;
        }
        return tokens_.size();
    }
    std::string full_name(const std::string& whole) const {
        const std::string first = whole.substr(0, whole.find('.'));
        const auto known = names_.find(first);
        return known == names_.end() ? whole : known->second + whole.substr(first.size());
    }

    // An expression that reaches something by another way than its name, and calls it or hands it on.
    void devious(std::size_t i) {
        const auto value = resolve(i);
        if (!value || !value->devious) return;
        std::string name = value->name;
        if (name.starts_with("builtins.") && python_call(name) == nullptr) name = name.substr(9);
        if (python_call(name) == nullptr) return;
        if (is(value->end, "(")) return called(name, i, value->end);
        handed_on(name, i, value->end);
    }

    // A function that runs commands, not called here but given to somebody: f = os.system, [os.popen].
    void handed_on(const std::string& name, std::size_t begin, std::size_t end) {
        const Call* call = python_call(name);
        const bool exact = call != nullptr && (!call->name.ends_with(".*") ||
                                               is_one_of(name, {"subprocess.run", "subprocess.call",
                                                                "subprocess.check_call", "subprocess.check_output"}));
        if (!exact || name.find('.') == std::string::npos || is(end, "=") || is(end, ".")) return;
        if (!is_one_of(call->rule, {"code.process", "code.exec"}) || name.starts_with("types.")) return;
        context_.find(call->rule, content_, at_line(tokens_[begin].line),
                      fmt::format("It hands on {}, which {}.", printable(name), call->what));
    }

    // f = os.system: what f is from here on.
    void assigned(std::size_t i) {
        const auto value = resolve(i + 2);
        if (!value) return;
        const bool whole = value->end >= tokens_.size() || tokens_[value->end].kind == Token::Kind::end ||
                           is(value->end, ";") || is(value->end, ",") || is(value->end, ")");
        const std::string root = value->name.substr(0, value->name.find('.'));
        if (whole && (python_call(value->name) != nullptr || names_.contains(root) || is_dangerous_module(root) ||
                      is_one_of(value->name, {"getattr", "globals", "builtins"})))
            names_[std::string(tokens_[i].text)] = value->name;
    }

    // ().__class__.__base__.__subclasses__(): every class there is, without its name.
    bool climbs(std::size_t begin, const std::string& whole) const {
        if (whole.find("__subclasses__") == std::string::npos) return false;
        if (whole.starts_with("object.")) return true;
        for (const char* way : {"__class__", "__base__", "__mro__", "__bases__"}) {
            if (whole.find(way) != std::string::npos) return true;
            for (std::size_t back = 1; back <= 6 && back <= begin; ++back)
                if (is(begin - back, way)) return true;
        }
        return false;
    }

    // The tokens between the parentheses that open at `open`.
    template <class F>
    bool any_argument(std::size_t open, F&& test) const {
        int depth = 0;
        for (std::size_t i = open; i < tokens_.size() && i < open + 4000; ++i) {
            if (is(i, "(") || is(i, "[") || is(i, "{")) ++depth;
            if ((is(i, ")") || is(i, "]") || is(i, "}")) && --depth == 0) return false;
            if (test(i)) return true;
        }
        return false;
    }
    bool argument(std::size_t open, std::string_view name, std::string_view value) const {
        return any_argument(open, [&](std::size_t i) { return is(i, name) && is(i + 1, "=") && is(i + 2, value); });
    }
    bool mentions(std::size_t open, std::initializer_list<std::string_view> names) const {
        return any_argument(open, [&](std::size_t i) {
            return std::ranges::any_of(
                names, [&](std::string_view name) { return i < tokens_.size() && tokens_[i].text == name; });
        });
    }
    bool hides(std::size_t open) const {
        return any_argument(
            open, [&](std::size_t i) { return is_name(i) && is(i + 1, "(") && unpacks_text(tokens_[i].text); });
    }
    // compile(text, file, "exec"); re.compile and model.compile are others.
    bool has_text_mode(std::size_t open) const {
        return any_argument(open, [&](std::size_t i) {
            return tokens_[i].kind == Token::Kind::text &&
                   (tokens_[i].text == "exec" || tokens_[i].text == "eval" || tokens_[i].text == "single");
        });
    }

    Context& context_;
    const Content& content_;
    std::vector<Token> tokens_;
    std::map<std::string, std::string, std::less<>> names_ = {{"os", "os"}};
    std::vector<std::string> stars_;  // modules of which everything was imported
    std::set<std::string> own_;       // functions and classes that the code itself has
};

// A cell of a notebook: its Python goes to `code`; lines that begin with '!', and cells of a shell, are looked at here.
void add_cell(Context& context, const Content& content, std::string_view cell, std::string& code) {
    const std::size_t first = cell.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return;
    const std::string_view head = cell.substr(first, cell.find('\n', first) - first);
    if (head.starts_with("%%")) {
        if (std::ranges::any_of(std::array<std::string_view, 4>{"%%bash", "%%sh", "%%script", "%%!"},
                                [&](std::string_view magic) { return head.starts_with(magic); }))
            return scan_shell_text(context, content, cell);
        cell.remove_prefix(std::min(cell.size(), first + head.size()));  // %%time and the like: Python below
    }
    while (!cell.empty()) {
        const std::string_view line = cell.substr(0, cell.find('\n'));
        cell.remove_prefix(std::min(cell.size(), line.size() + 1));
        const std::size_t begin = line.find_first_not_of(" \t");
        if (begin != std::string_view::npos && line[begin] == '!')
            scan_shell_text(context, content, line.substr(begin + 1));
        else if (begin == std::string_view::npos || line[begin] != '%')
            code += line;
        code += '\n';
    }
}

// The encoding that one of the first two lines asks for (PEP 263); some turn harmless comments into code.
void check_encoding(Context& context, const Content& content, std::string_view source) {
    for (std::uint64_t line = 1; line <= 2 && !source.empty(); ++line) {
        const std::string_view text = source.substr(0, source.find('\n'));
        source.remove_prefix(std::min(source.size(), text.size() + 1));
        const std::size_t at = text.find("coding");
        if (at == std::string_view::npos || text.find('#') > at || at + 6 >= text.size() ||
            (text[at + 6] != ':' && text[at + 6] != '='))
            continue;
        std::string name;
        for (const char c : text.substr(at + 7)) {
            if (c == ' ' && name.empty()) continue;
            if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') break;
            name += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        }
        static constexpr std::array<std::string_view, 9> kPlain = {
            "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859", "iso8859"};
        const bool plain = std::ranges::any_of(kPlain, [&](std::string_view p) { return name.starts_with(p); }) ||
                           name.starts_with("cp125") || name.starts_with("windows-125") || name.starts_with("gb") ||
                           name.starts_with("shift") || name.starts_with("euc") || name.starts_with("big5") ||
                           name.starts_with("koi8");
        if (!plain)
            context.find(
                "code.hidden", content, at_line(line),
                fmt::format("It asks to be read as \"{}\", which can turn comments into code.", printable(name, 40)));
    }
}

}  // namespace

// TorchScript has no imports; what it can do to files are a few operators.
void scan_torchscript(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    static constexpr std::array<std::string_view, 6> kFileOps = {"torch.from_file(", "torch.save(", "torch.load(",
                                                                 "aten.save(",       "aten::save(", "aten.from_file("};
    for (const std::string_view op : kFileOps)
        if (const std::size_t at = text.find(op); at != std::string_view::npos)
            context.find("torchscript.file", content, at_line(line_of(text, at)),
                         fmt::format("It calls {}), which reaches files.", op));
}

void scan_python(Context& context, const Content& content, std::string_view source, std::uint64_t first_line) {
    check_encoding(context, content, source);
    Rules(context, content, source, first_line).run();
}

void scan_notebook(Context& context, const Content& content) {
    try {
        const Value notebook = parse_json(text_of(content.bytes), content.name);
        const auto* map = notebook.get<ValueMap>();
        const Value* cells = map == nullptr ? nullptr : map->find("cells");
        std::string code;
        for (std::size_t i = 0; cells != nullptr && i < cells->size(); ++i) {
            const Value cell = cells->at(i);
            const auto* fields = cell.get<ValueMap>();
            const Value* type = fields == nullptr ? nullptr : fields->find("cell_type");
            const Value* source = fields == nullptr ? nullptr : fields->find("source");
            if (type == nullptr || source == nullptr || type->as_string().value_or("") != "code") continue;
            std::string text;
            if (const auto whole = source->as_string()) text += *whole;
            for (std::size_t k = 0; !source->as_string() && k < source->size(); ++k)
                text += source->at(k).as_string().value_or("");
            add_cell(context, content, text, code);
        }
        scan_python(context, content, code, 1);
    } catch (const Error& error) {
        context.gap(content, "it is no notebook: " + error.message());
    }
}

}  // namespace freehold::scan
