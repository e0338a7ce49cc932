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

#include "freehold/base/printable.h"
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
            if (tokens_[i].kind == Token::Kind::text && !stands_alone(i)) text(i);
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
        if (fetches_ && loads_at_ != 0)
            context_.find("code.exec", content_, at_line(loads_at_),
                          "It fetches files and loads one of them as a module.");
    }

 private:
    // Texts that are no docstrings: code inside text, templates that reach for Python, what the loader of programs
    // obeys.
    void text(std::size_t i) {
        const std::string_view said = tokens_[i].text;
        if (said.find("__import__") != std::string_view::npos) run_text(i);
        const bool marked = said.find("{{") != std::string_view::npos || said.find("{%") != std::string_view::npos;
        if (marked && said.find("__") != std::string_view::npos)
            scan_template(context_, content_, said, fmt::format("the text in line {}", tokens_[i].line));
        if (is_one_of(said, {"LD_PRELOAD", "DYLD_INSERT_LIBRARIES"}) && i > 0 && (is(i - 1, "[") || is(i - 1, "(")))
            context_.find("code.native", content_, at_line(tokens_[i].line),
                          fmt::format("It sets {}, which loads a library into other programs.", said));
        // What logging.config makes handlers of.
        if (said == "()" && is(i + 1, ":") && i + 2 < tokens_.size() && tokens_[i + 2].kind == Token::Kind::text) {
            const std::string_view named = tokens_[i + 2].text;
            if (python_call(named) != nullptr || is_dangerous_module(named.substr(0, named.find('.'))))
                context_.find("code.process", content_, at_line(tokens_[i].line),
                              fmt::format("A configuration in it calls {}.", printable(named, 80)));
        }
    }

    // Text that is run as code, or looks as if it were, is code.
    void run_text(std::size_t i) {
        if (inside_text_ || tokens_[i].text.size() > 10000) return;
        std::string code = unescaped(tokens_[i].text);
        for (std::size_t at = code.find('\\'); at != std::string::npos && at + 1 < code.size();
             at = code.find('\\', at + 1)) {
            const char c = code[at + 1];
            if (c == 'n' || c == '\'' || c == '"') code.replace(at, 2, 1, c == 'n' ? '\n' : c);
        }
        Rules inner(context_, content_, code, tokens_[i].line);
        inner.inside_text_ = true;
        inner.run();
    }

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
    // A text that is a line of its own says something about the code.
    bool stands_alone(std::size_t i) const {
        return i == 0 || tokens_[i - 1].kind == Token::Kind::end || is(i - 1, ";");
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
        if (is(begin, "safe_mode") && is(i, "=") && is(i + 1, "False"))
            context_.find("code.deserialise", content_, at_line(tokens_[begin].line),
                          "It loads a model of Keras with safe_mode=False, which runs the code in it.");
        fetches_ = fetches_ || is_one_of(last_part(whole), {"hf_hub_download", "snapshot_download", "urlretrieve",
                                                            "cached_download", "urlopen"});
        if (loads_at_ == 0 && is_one_of(last_part(whole), {"spec_from_file_location", "SourceFileLoader"}) &&
            is(i, "("))
            loads_at_ = tokens_[begin].line;
        if (climbs(begin, whole))
            context_.find("code.exec", content_, at_line(tokens_[begin].line),
                          "It walks from an object to all classes of the program.");
        if (attribute) {
            chained(begin, whole, i);
            return last;
        }
        const std::string first = whole.substr(0, whole.find('.'));
        const auto known = names_.find(first);
        if (known != names_.end()) whole = imported(known->second + whole.substr(first.size()));
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
        else if (begin > 0 && is(begin - 1, "@") && begins(begin - 1))
            decorates(whole, begin);
        else
            handed_on(whole, begin, i);
        return last;
    }

    // @exec above a function: called with what stands below.
    void decorates(const std::string& whole, std::size_t begin) {
        const Call* call = python_call(whole);
        if (call == nullptr || own_.contains(whole) || is_one_of(whole, {"compile", "__import__"})) return;
        if (is_one_of(call->rule, {"code.exec", "code.process"}))
            context_.find(call->rule, content_, at_line(tokens_[begin].line),
                          fmt::format("It decorates with {}, which {}.", printable(whole), call->what));
    }

    // __import__("os").system(...)
    void chained(std::size_t begin, const std::string& whole, std::size_t open) {
        if ((whole == "system" || whole == "popen") && is(open, "(") && begin > 1 && is(begin - 2, ")"))
            context_.find("code.process", content_, at_line(tokens_[begin].line),
                          fmt::format("It calls {}(), which runs a command.", whole));
    }

    static std::string_view last_part(std::string_view whole) { return whole.substr(whole.rfind('.') + 1); }

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
        if (runs_its_text(name)) run_arguments(name, open);
        if (name == "pkgutil.resolve_name" && !folded(open + 1))
            context_.find("code.exec", content_, at_line(line), "It reaches any function by a name that it computes.");
        if (is_one_of(name, {"operator.methodcaller", "operator.attrgetter"})) {
            const auto key = folded(open + 1);
            if (key && is_function_to_reach(key->text))
                context_.find(
                    "code.process", content_, at_line(line),
                    fmt::format("It reaches for {} by operator.{}().", printable(key->text, 60), last_part(name)));
        }
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

    // A text among the arguments is read as the code that it becomes; what is no text is not known.
    void run_arguments(const std::string& name, std::size_t open) {
        for (std::size_t i = open + 1; i < std::min(closing(open), tokens_.size()); ++i)
            if (tokens_[i].kind == Token::Kind::text) run_text(i);
        const bool computed =
            is_name(open + 1) && is_one_of(name, {"cProfile.run", "cProfile.runctx", "profile.run", "profile.runctx"});
        if (computed)
            context_.find("code.exec", content_, at_line(tokens_[open].line),
                          fmt::format("It calls {}(), which runs text as code.", name));
    }
    static bool is_function_to_reach(const std::string& name) {
        return is_one_of(name, {"eval", "exec", "__import__"}) || python_call("os." + name) != nullptr ||
               python_call(name) != nullptr || !inner_module("." + name).empty();
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
        } else if (out.name == "pkgutil.resolve_name" && is(open, "(")) {
            auto key = folded(open + 1);
            if (!key) return false;
            std::ranges::replace(key->text, ':', '.');
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
        return known == names_.end() ? whole : imported(known->second + whole.substr(first.size()));
    }
    // random._os.system is os.system.
    static std::string imported(std::string whole) {
        if (whole.starts_with('.')) return whole;  // of the repository itself
        const std::string_view inner = inner_module(whole);
        return !inner.empty() && python_call(whole) == nullptr &&
                       (python_call(inner) != nullptr || inner.starts_with("importlib.") || inner.starts_with("sys."))
                   ? std::string(inner)
                   : whole;
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
    bool fetches_ = false;            // files from elsewhere
    std::uint64_t loads_at_ = 0;      // the line where it makes a module of a file
    bool inside_text_ = false;        // this is the code in a text of other code
};

}  // namespace

void scan_python(Context& context, const Content& content, std::string_view source, std::uint64_t first_line) {
    check_encoding(context, content, source);
    Rules(context, content, source, first_line).run();
}

}  // namespace freehold::scan
