// Text that is neither Python nor JSON: C and C++ (in the spirit of Flawfinder), shell, and secrets in any text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "freehold/base/printable.h"
#include "python_calls.h"
#include "readers.h"

namespace freehold::scan {
namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

struct CCall {
    std::string_view name;
    const char* rule;
    const char* what;
};
constexpr std::array kCCalls = {
    CCall{"gets", "code.unsafe-c", "reads without a bound (CWE-120)"},
    CCall{"strcpy", "code.unsafe-c", "copies without a bound (CWE-120)"},
    CCall{"strcat", "code.unsafe-c", "appends without a bound (CWE-120)"},
    CCall{"sprintf", "code.unsafe-c", "writes without a bound (CWE-120)"},
    CCall{"vsprintf", "code.unsafe-c", "writes without a bound (CWE-120)"},
    CCall{"system", "code.process", "runs a command (CWE-78)"},
    CCall{"popen", "code.process", "runs a command (CWE-78)"},
    CCall{"execl", "code.process", "starts a program (CWE-78)"},
    CCall{"execlp", "code.process", "starts a program (CWE-78)"},
    CCall{"execvp", "code.process", "starts a program (CWE-78)"},
    CCall{"dlopen", "code.native", "loads a native library"},
    CCall{"tmpnam", "code.weak", "makes a name that somebody else can take (CWE-377)"},
    CCall{"mktemp", "code.weak", "makes a name that somebody else can take (CWE-377)"},
};

// Text with comments and strings of C blanked out, so that offsets stay.
std::string without_comments(std::string_view text) {
    std::string out(text);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto blank = [&](std::size_t until) {
            for (; i < until && i < out.size(); ++i)
                if (out[i] != '\n') out[i] = ' ';
            --i;
        };
        if (out.compare(i, 2, "//") == 0)
            blank(std::min(text.find('\n', i), out.size()));
        else if (out.compare(i, 2, "/*") == 0)
            blank(std::min(text.find("*/", i + 2), out.size() - 2) + 2);
        else if (out[i] == '"') {
            std::size_t end = i + 1;
            while (end < out.size() && text[end] != '"' && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
            blank(std::min(end + 1, out.size()));
        }
    }
    return out;
}

struct Key {
    std::string_view prefix;
    std::size_t least, most;  // letters behind it
    const char* what;
    bool upper_only = false;
};
constexpr std::array kKeys = {
    Key{"AKIA", 16, 16, "a key of Amazon Web Services", true},
    Key{"ASIA", 16, 16, "a key of Amazon Web Services", true},
    Key{"ghp_", 36, 36, "a token of GitHub"},
    Key{"gho_", 36, 36, "a token of GitHub"},
    Key{"ghs_", 36, 36, "a token of GitHub"},
    Key{"github_pat_", 60, 100, "a token of GitHub"},
    Key{"glpat-", 20, 60, "a token of GitLab"},
    Key{"hf_", 34, 40, "a token of Hugging Face"},
    Key{"ghu_", 36, 36, "a token of GitHub"},
    Key{"ghr_", 36, 76, "a token of GitHub"},
    Key{"api_org_", 34, 40, "a token of Hugging Face"},
    Key{"sk-", 48, 48, "a key of OpenAI"},
    Key{"sk-proj-", 40, 250, "a key of OpenAI"},
    Key{"sk-svcacct-", 40, 250, "a key of OpenAI"},
    Key{"sk-admin-", 40, 250, "a key of OpenAI"},
    Key{"sk-or-v1-", 64, 64, "a key of OpenRouter"},
    Key{"sk-ant-", 40, 250, "a key of Anthropic"},
    Key{"gsk_", 48, 60, "a key of Groq"},
    Key{"r8_", 37, 40, "a token of Replicate"},
    Key{"nvapi-", 60, 80, "a key of NVIDIA"},
    Key{"wandb_v1_", 40, 120, "a key of Weights & Biases"},
    Key{"dckr_pat_", 27, 40, "a token of Docker"},
    Key{"sk_live_", 24, 120, "a key of Stripe"},
    Key{"xoxb-", 24, 120, "a token of Slack"},
    Key{"xoxp-", 24, 120, "a token of Slack"},
    Key{"xoxa-", 24, 120, "a token of Slack"},
    Key{"xoxs-", 24, 120, "a token of Slack"},
    Key{"xapp-", 24, 150, "a token of Slack"},
    Key{"AIza", 35, 35, "a key of Google"},
    Key{"npm_", 36, 36, "a token of npm"},
    Key{"pypi-AgEIcHlwaS5vcmc", 50, 300, "a token of PyPI"},
};

// Bits for each letter: placeholders ("xxxxxxxx", "your_token_here") have few.
double entropy(std::string_view text) {
    std::array<int, 256> count{};
    for (const char c : text) ++count[static_cast<unsigned char>(c)];
    double out = 0;
    for (const int n : count) {
        if (n == 0) continue;
        const double p = static_cast<double>(n) / static_cast<double>(text.size());
        out -= p * std::log2(p);
    }
    return out;
}

// Not words: some digits, or, of letters alone, about as many capital as small ones; CamelCase has far fewer.
bool looks_random(std::string_view text) {
    if (std::ranges::any_of(text, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; })) return true;
    if (text.find_first_of("_-") != std::string_view::npos) return false;
    const auto upper = static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }));
    const std::size_t lower = text.size() - upper;
    return upper * 10 >= text.size() * 3 && lower * 10 >= text.size() * 3 && entropy(text) >= 3.5;
}

// Keys without a mark of their own, by the word that stands before them on the line: "WANDB_API_KEY=<40 hex digits>",
// "aws_secret_access_key = <40 letters>".
struct NamedKey {
    std::string_view word;  // in small letters
    std::size_t length;
    bool hex;
    const char* what;
};
constexpr std::array kNamedKeys = {
    NamedKey{"wandb", 40, true, "a key of Weights & Biases"},
    NamedKey{"secret_access_key", 40, false, "a secret key of Amazon Web Services"},
    NamedKey{"secretaccesskey", 40, false, "a secret key of Amazon Web Services"},
    NamedKey{"mistral_api_key", 32, false, "a key of Mistral"},
    NamedKey{"cohere_api_key", 40, false, "a key of Cohere"},
    NamedKey{"azure_openai_api_key", 32, true, "a key of Azure"},
};

void find_named_keys(Context& context, const Content& content, std::string_view text) {
    const auto lower = [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); };
    for (std::size_t at = 0, number = 1; at < text.size(); ++number) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, std::min<std::size_t>(end - at, 1000));
        at = end + 1;
        const std::size_t sign = line.find_first_of("=:(");
        if (sign == std::string_view::npos) continue;
        std::string small(line);
        std::ranges::transform(small, small.begin(), lower);
        for (const NamedKey& key : kNamedKeys) {
            const std::size_t word = small.find(key.word);
            if (word == std::string::npos) continue;
            const auto letter = [&](char c) {
                return key.hex ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : is_word(c) || c == '/' || c == '+';
            };
            for (std::size_t i = word + key.word.size(); i < line.size();) {
                std::size_t stop = i;
                while (stop < line.size() && letter(line[stop])) ++stop;
                const std::string_view found = line.substr(i, stop - i);
                const bool whole = stop == line.size() || !is_word(line[stop]);
                const bool apart = i > 0 && !is_word(line[i - 1]);
                if (whole && apart && found.size() == key.length && looks_random(found) && entropy(found) >= 3.0 &&
                    !found.ends_with("EXAMPLEKEY"))
                    context.find("secret.key", content, at_line(number),
                                 fmt::format("It holds {} (line {}, {}...).", key.what, number, found.substr(0, 2)));
                i = std::max(stop, i + 1);
            }
        }
    }
}

void find_key(Context& context, const Content& content, std::string_view text, const Key& key) {
    for (std::size_t at = text.find(key.prefix); at != std::string_view::npos; at = text.find(key.prefix, at + 1)) {
        if (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '-')) continue;
        std::size_t end = at + key.prefix.size();
        while (end < text.size() && (is_word(text[end]) || text[end] == '-')) ++end;
        const std::string_view rest = text.substr(at + key.prefix.size(), end - at - key.prefix.size());
        if (rest.size() < key.least || rest.size() > key.most || entropy(rest) < 3.0) continue;
        if (key.upper_only && std::ranges::any_of(rest, [](char c) {
                return std::islower(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
            }))
            continue;
        // Words are a name, not a token; so is the example of a manual.
        if (!looks_random(rest) || rest.ends_with("EXAMPLE") || rest.ends_with("EXAMPLEKEY")) continue;
        // The secret itself is not repeated.
        context.find("secret.key", content, at_line(line_of(text, at)),
                     fmt::format("It holds {} (line {}, {}...).", key.what, line_of(text, at),
                                 text.substr(at, key.prefix.size() + 2)));
    }
}

}  // namespace

// Is what a command prints run: "| sudo bash", "sh -c "$(...)"", "bash <(...)", "eval $(...)"?
static bool runs_what_comes(std::string_view line) {
    static constexpr std::array<std::string_view, 12> kShells = {"sh",   "bash",    "zsh",     "dash", "ksh",  "ash",
                                                                 "fish", "python3", "python2", "perl", "ruby", "node"};
    const auto begins_shell = [&](std::string_view rest) {
        for (bool again = true; again;) {
            again = false;
            while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
            for (const std::string_view before :
                 {"sudo ", "-E ", "-H ", "env ", "exec ", "/bin/", "/usr/bin/", "nohup "})
                if (rest.starts_with(before)) {
                    rest.remove_prefix(before.size());
                    again = true;
                }
        }
        std::size_t end = 0;
        while (end < rest.size() && is_word(rest[end])) ++end;
        const std::string_view word = rest.substr(0, end);
        return word == "python" || std::ranges::find(kShells, word) != kShells.end();
    };
    for (std::size_t at = line.find('|'); at != std::string_view::npos; at = line.find('|', at + 1))
        if (begins_shell(line.substr(at + 1))) return true;
    const std::size_t inner = std::min(line.find("$("), std::min(line.find('`'), line.find("<(")));
    if (inner == std::string_view::npos) return false;
    const std::string_view before = line.substr(0, inner);
    return before.find("eval ") != std::string_view::npos || before.find(" -c ") != std::string_view::npos ||
           before.starts_with("source ") || before.starts_with(". ") ||
           (line.substr(inner).starts_with("<(") && begins_shell(before));
}

void scan_c(Context& context, const Content& content) {
    const std::string text = without_comments(text_of(content.bytes));
    for (const CCall& call : kCCalls) {
        for (std::size_t at = text.find(call.name); at != std::string::npos; at = text.find(call.name, at + 1)) {
            std::size_t next = at + call.name.size();
            if ((at > 0 && (is_word(text[at - 1]) || text[at - 1] == '.' || text[at - 1] == '>')) ||
                next >= text.size() || is_word(text[next]))
                continue;
            while (next < text.size() && text[next] == ' ') ++next;
            if (next >= text.size() || text[next] != '(') continue;
            context.find(call.rule, content, at_line(line_of(text, at)),
                         fmt::format("It calls {}(), which {}.", call.name, call.what));
            break;
        }
    }
}

void scan_shell(Context& context, const Content& content) {
    scan_shell_text(context, content, text_of(content.bytes));
}

void scan_shell_text(Context& context, const Content& content, std::string_view text) {
    const bool part = text.data() != text_of(content.bytes).data();  // of a notebook: its lines are not the file's
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
        std::string line;
        const std::uint64_t first = number + 1;
        for (bool more = true; more && at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            line += text.substr(at, end - at);
            ++number;
            at = end + 1;
            more = line.ends_with('\\');
            if (more) line.back() = ' ';
        }
        line.erase(0, std::min(line.find_first_not_of(" \t@-"), line.size()));
        if (line.starts_with('#')) continue;
        const Where where = part ? Where{} : at_line(first);
        const auto holds = [&](std::string_view what) { return line.find(what) != std::string::npos; };
        const bool fetches = holds("curl ") || holds("wget ") || holds("fetch http");
        const bool unpacks = holds("base64 -d") || holds("base64 --decode") || holds("base64 -D") || holds("xxd -r");
        if (runs_what_comes(line) && unpacks)
            context.find("code.hidden", content, where, "It unpacks hidden text and runs it.");
        else if (runs_what_comes(line) && fetches)
            context.find("code.process", content, where, "It fetches a script and runs it at once.");
        if (holds("/dev/tcp/"))
            context.find("code.network", Severity::high, content, where, "It opens a connection by /dev/tcp.");
        if (names_private_file(line) && (holds(">") || holds("rm ") || holds("tee ")))
            context.find("code.files", content, where, "It writes to files that are not the model's.");
    }
}

void scan_secrets(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    for (const Key& key : kKeys) find_key(context, content, text, key);
    find_named_keys(context, content, text);
    for (const std::string_view kind : {"RSA ", "EC ", "DSA ", "OPENSSH ", "", "ENCRYPTED "}) {
        const std::string head = fmt::format("-----BEGIN {}PRIVATE KEY-----", kind);
        const std::size_t at = text.find(head);
        if (at == std::string_view::npos) continue;
        // Behind the line stands the key, unless somebody only writes about it.
        const std::size_t tail = text.find("-----END ", at);
        if (tail == std::string_view::npos || tail - at < 150) continue;
        context.find("secret.key", content, at_line(line_of(text, at)),
                     fmt::format("It holds a private key (line {}).", line_of(text, at)));
    }
}

bool is_text(Bytes bytes) noexcept {
    const std::string_view text = text_of(bytes).substr(0, 65536);
    std::size_t strange = 0;
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u == 0) return false;
        strange += u < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\x1b' ? 1U : 0U;
    }
    return strange * 100 <= text.size() && valid_utf8(text.substr(0, 4096)).find("\xef\xbf\xbd") == std::string::npos;
}

std::uint64_t line_of(std::string_view text, std::size_t at) noexcept {
    return 1 + static_cast<std::uint64_t>(std::count(
                   text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(at, text.size())), '\n'));
}

std::string leaf_of(std::string_view name) {
    const std::size_t slash = name.find_last_of("/\\");
    return std::string(slash == std::string_view::npos ? name : name.substr(slash + 1));
}

std::string ending_of(std::string_view name) {
    std::string leaf = leaf_of(name);
    const std::size_t dot = leaf.rfind('.');
    if (dot == std::string::npos) return {};
    std::string out = leaf.substr(dot);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
    return out;
}

}  // namespace freehold::scan
