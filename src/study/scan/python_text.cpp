// Python code by its tokens, with the names that imports give to things followed: rules in the spirit of Bandit, kept
// to what can do harm when a model's repository is trusted.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "readers.h"

namespace freehold::scan {
namespace {

struct Token {
    enum class Kind : std::uint8_t { name, text, number, sign, end } kind;
    std::string_view text;
    std::uint64_t line;
};

class Lexer {
 public:
    Lexer(std::string_view source, std::uint64_t line) : s_(source), line_(line) {}

    std::vector<Token> run() {
        while (at_ < s_.size() && tokens_.size() < 2'000'000) step();
        return std::move(tokens_);
    }

 private:
    void add(Token::Kind kind, std::string_view text) { tokens_.push_back({kind, text, line_}); }
    static bool is_word(char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    }

    void step() {
        const char c = s_[at_];
        if (c == '\n') {
            if (depth_ == 0) add(Token::Kind::end, "\n");
            ++line_;
            ++at_;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
            ++at_;
        } else if (c == '\\' && at_ + 1 < s_.size() && s_[at_ + 1] == '\n') {
            ++line_;
            at_ += 2;
        } else if (c == '#') {
            at_ = std::min(s_.find('\n', at_), s_.size());
        } else if (c == '\'' || c == '"') {
            string(at_);
        } else if (is_word(c)) {
            const std::size_t begin = at_;
            while (at_ < s_.size() && is_word(s_[at_])) ++at_;
            const bool prefix = at_ < s_.size() && (s_[at_] == '\'' || s_[at_] == '"') && at_ - begin <= 2;
            if (prefix) return string(at_);
            add(std::isdigit(static_cast<unsigned char>(c)) != 0 ? Token::Kind::number : Token::Kind::name,
                s_.substr(begin, at_ - begin));
        } else {
            if (c == '(' || c == '[' || c == '{') ++depth_;
            if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
            add(Token::Kind::sign, s_.substr(at_++, 1));
        }
    }

    void string(std::size_t quote_at) {
        const char quote = s_[quote_at];
        const bool triple = s_.substr(quote_at, 3) == std::string(3, quote);
        const std::string closing(triple ? 3 : 1, quote);
        std::size_t at = quote_at + closing.size();
        const std::size_t begin = at;
        const std::uint64_t first = line_;
        while (at < s_.size() && !s_.substr(at).starts_with(closing)) {
            if (s_[at] == '\\') ++at;
            if (at < s_.size() && s_[at] == '\n') {
                if (!triple && (at == 0 || s_[at - 1] != '\\')) break;
                ++line_;
            }
            ++at;
        }
        at = std::min(at, s_.size());
        tokens_.push_back({Token::Kind::text, s_.substr(begin, at - begin), first});
        at_ = std::min(at + closing.size(), s_.size());
    }

    std::string_view s_;
    std::size_t at_ = 0;
    std::uint64_t line_;
    int depth_ = 0;
    std::vector<Token> tokens_;
};

struct Call {
    std::string_view name;  // the whole name, or "module.*" for all of it
    const char* rule;
    const char* what;
};

constexpr std::array kCalls = {
    Call{"eval", "code.exec", "runs text as code"},
    Call{"exec", "code.exec", "runs text as code"},
    Call{"execfile", "code.exec", "runs a file as code"},
    Call{"compile", "code.exec", "makes code of text"},
    Call{"__import__", "code.exec", "imports by a computed name"},
    Call{"builtins.eval", "code.exec", "runs text as code"},
    Call{"builtins.exec", "code.exec", "runs text as code"},
    Call{"builtins.__import__", "code.exec", "imports by a computed name"},
    Call{"runpy.*", "code.exec", "runs a module"},
    Call{"code.InteractiveInterpreter", "code.exec", "runs text as code"},
    Call{"types.CodeType", "code.exec", "makes code"},
    Call{"types.FunctionType", "code.exec", "makes code"},
    Call{"pip.main", "code.process", "installs packages"},
    Call{"os.system", "code.process", "runs a command"},
    Call{"os.popen", "code.process", "runs a command"},
    Call{"os.execv", "code.process", "starts a program"},
    Call{"os.execve", "code.process", "starts a program"},
    Call{"os.execvp", "code.process", "starts a program"},
    Call{"os.execl", "code.process", "starts a program"},
    Call{"os.execlp", "code.process", "starts a program"},
    Call{"os.spawnl", "code.process", "starts a program"},
    Call{"os.spawnv", "code.process", "starts a program"},
    Call{"os.posix_spawn", "code.process", "starts a program"},
    Call{"os.startfile", "code.process", "opens a file by its program"},
    Call{"posix.system", "code.process", "runs a command"},
    Call{"subprocess.*", "code.process", "starts a program"},
    Call{"asyncio.create_subprocess_shell", "code.process", "runs a command"},
    Call{"asyncio.create_subprocess_exec", "code.process", "starts a program"},
    Call{"pty.spawn", "code.process", "starts a program"},
    Call{"commands.*", "code.process", "runs a command"},
    Call{"socket.socket", "code.network", "opens a connection"},
    Call{"socket.create_connection", "code.network", "opens a connection"},
    Call{"socket.gethostbyname", "code.network", "asks for an address"},
    Call{"socket.getaddrinfo", "code.network", "asks for an address"},
    Call{"urllib.request.*", "code.network", "fetches an address"},
    Call{"urllib2.urlopen", "code.network", "fetches an address"},
    Call{"requests.*", "code.network", "fetches an address"},
    Call{"httpx.*", "code.network", "fetches an address"},
    Call{"aiohttp.ClientSession", "code.network", "fetches addresses"},
    Call{"http.client.HTTPConnection", "code.network", "opens a connection"},
    Call{"http.client.HTTPSConnection", "code.network", "opens a connection"},
    Call{"ftplib.*", "code.network", "opens a connection"},
    Call{"smtplib.*", "code.network", "sends mail"},
    Call{"telnetlib.*", "code.network", "opens a connection"},
    Call{"paramiko.*", "code.network", "opens a connection"},
    Call{"webbrowser.open", "code.network", "opens an address"},
    Call{"torch.hub.load", "code.network", "fetches code and runs it"},
    Call{"pickle.load", "code.deserialise", "loads a pickle"},
    Call{"pickle.loads", "code.deserialise", "loads a pickle"},
    Call{"pickle.Unpickler", "code.deserialise", "loads a pickle"},
    Call{"cPickle.load", "code.deserialise", "loads a pickle"},
    Call{"cPickle.loads", "code.deserialise", "loads a pickle"},
    Call{"_pickle.loads", "code.deserialise", "loads a pickle"},
    Call{"dill.load", "code.deserialise", "loads a pickle"},
    Call{"dill.loads", "code.deserialise", "loads a pickle"},
    Call{"cloudpickle.load", "code.deserialise", "loads a pickle"},
    Call{"cloudpickle.loads", "code.deserialise", "loads a pickle"},
    Call{"joblib.load", "code.deserialise", "loads a pickle"},
    Call{"marshal.load", "code.deserialise", "loads compiled code"},
    Call{"marshal.loads", "code.deserialise", "loads compiled code"},
    Call{"shelve.open", "code.deserialise", "loads pickles"},
    Call{"pandas.read_pickle", "code.deserialise", "loads a pickle"},
    Call{"yaml.unsafe_load", "code.deserialise", "makes objects of any class"},
    Call{"jsonpickle.decode", "code.deserialise", "makes objects of any class"},
    Call{"ctypes.CDLL", "code.native", "loads a native library"},
    Call{"ctypes.cdll.LoadLibrary", "code.native", "loads a native library"},
    Call{"ctypes.WinDLL", "code.native", "loads a native library"},
    Call{"cffi.FFI", "code.native", "reaches native memory"},
    Call{"torch.utils.cpp_extension.load", "code.native", "builds and loads native code"},
    Call{"torch.utils.cpp_extension.load_inline", "code.native", "builds and loads native code"},
    Call{"torch.ops.load_library", "code.native", "loads a native library"},
    Call{"torch.classes.load_library", "code.native", "loads a native library"},
    Call{"tempfile.mktemp", "code.weak", "makes a name that somebody else can take"},
};

// What unpacks hidden text on its way to exec.
constexpr std::array<std::string_view, 14> kUnpackers = {
    "b64decode", "b85decode",   "a85decode", "b32decode", "b16decode", "decompress", "fromhex",
    "unhexlify", "decodebytes", "decode",    "loads",     "chr",       "rot13",      "urlopen"};

class Rules {
 public:
    Rules(Context& context, const Content& content, std::string_view source, std::uint64_t line)
        : context_(context), content_(content), tokens_(Lexer(source, line).run()) {}

    void run() {
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            if (tokens_[i].kind != Token::Kind::name) continue;
            if (is(i, "import") && begins(i))
                i = import(i);
            else if (is(i, "from") && begins(i))
                i = from(i);
            else if (is(i, "def") || is(i, "class"))
                ++i;
            else
                i = name(i);
        }
    }

 private:
    bool is(std::size_t i, std::string_view text) const {
        return i < tokens_.size() && tokens_[i].kind != Token::Kind::text && tokens_[i].text == text;
    }
    bool is_name(std::size_t i) const { return i < tokens_.size() && tokens_[i].kind == Token::Kind::name; }
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
        if (attribute) {
            chained(begin, whole, i);
            return last;
        }
        const std::string first = whole.substr(0, whole.find('.'));
        const auto known = names_.find(first);
        if (known != names_.end())
            whole = known->second + whole.substr(first.size());
        else if (first != whole && whole.find('.') != std::string::npos)
            return last;  // an attribute of something local
        if (whole == "__builtins__" || whole.starts_with("builtins.__dict__"))
            context_.find("code.exec", content_, at_line(tokens_[begin].line),
                          "It reaches for Python's built-in functions by way of their table.");
        if (is(i, "(")) called(whole, begin, i);
        return last;
    }

    // __import__("os").system(...)
    void chained(std::size_t begin, const std::string& whole, std::size_t open) {
        if ((whole == "system" || whole == "popen") && is(open, "(") && begin > 1 && is(begin - 2, ")"))
            context_.find("code.process", content_, at_line(tokens_[begin].line),
                          fmt::format("It calls {}(), which runs a command.", whole));
    }

    void called(const std::string& name, std::size_t begin, std::size_t open) {
        const std::uint64_t line = tokens_[begin].line;
        for (const Call& call : kCalls) {
            const bool all = call.name.ends_with(".*");
            const std::string_view stem = all ? call.name.substr(0, call.name.size() - 1) : call.name;
            if (all ? !is_below(name, stem) : name != stem) continue;
            if (name == "compile" && !has_text_mode(open)) continue;
            if (name == "__import__" && open + 1 < tokens_.size() && tokens_[open + 1].kind == Token::Kind::text &&
                !dangerous_module(tokens_[open + 1].text))
                continue;
            if (std::string_view(call.rule) == "code.exec" && hides(open))
                context_.find("code.hidden", content_, at_line(line),
                              fmt::format("It unpacks hidden text and hands it to {}().", name));
            context_.find(call.rule, content_, at_line(line),
                          fmt::format("It calls {}(), which {}.", printable(name), call.what));
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
    }

    // Functions of a module; its classes (capital letters) are mostly types and errors.
    static bool is_below(std::string_view name, std::string_view stem) {
        if (!name.starts_with(stem) || name.size() == stem.size()) return false;
        return std::isupper(static_cast<unsigned char>(name[stem.size()])) == 0 || name == "subprocess.Popen" ||
               stem == "ftplib." || stem == "smtplib." || stem == "telnetlib." || stem == "paramiko.";
    }

    static bool dangerous_module(std::string_view name) {
        static constexpr std::array<std::string_view, 12> kModules = {"os",     "subprocess", "sys",      "socket",
                                                                      "pty",    "ctypes",     "builtins", "posix",
                                                                      "shutil", "pickle",     "marshal",  "importlib"};
        return std::ranges::find(kModules, name) != kModules.end();
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
        return any_argument(open, [&](std::size_t i) {
            return is_name(i) && is(i + 1, "(") && std::ranges::find(kUnpackers, tokens_[i].text) != kUnpackers.end();
        });
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
};

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
            if (const auto text = source->as_string()) code += *text;
            for (std::size_t k = 0; !source->as_string() && k < source->size(); ++k)
                code += source->at(k).as_string().value_or("");
            code += '\n';
        }
        scan_python(context, content, code, 1);
    } catch (const Error& error) {
        context.gap(content, "it is no notebook: " + error.message());
    }
}

}  // namespace freehold::scan
