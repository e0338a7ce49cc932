// Text that is neither Python nor JSON: C and C++ (in the spirit of Flawfinder), shell, and secrets in any text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "freehold/base/printable.h"
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
    Key{"sk-proj-", 40, 250, "a key of OpenAI"},
    Key{"sk-ant-", 40, 250, "a key of Anthropic"},
    Key{"sk_live_", 24, 120, "a key of Stripe"},
    Key{"xoxb-", 24, 120, "a token of Slack"},
    Key{"xoxp-", 24, 120, "a token of Slack"},
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
        // Words joined by underscores are a name, not a token.
        if (std::ranges::none_of(rest, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }))
            continue;
        // The secret itself is not repeated.
        context.find("secret.key", content, at_line(line_of(text, at)),
                     fmt::format("It holds {} (line {}, {}...).", key.what, line_of(text, at),
                                 text.substr(at, key.prefix.size() + 2)));
    }
}

}  // namespace

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
    const std::string_view text = text_of(content.bytes);
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        ++number;
        at = end + 1;
        while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
        if (line.starts_with('#')) continue;
        const bool fetches =
            line.find("curl ") != std::string_view::npos || line.find("wget ") != std::string_view::npos;
        const bool unpacks =
            line.find("base64 -d") != std::string_view::npos || line.find("base64 --decode") != std::string_view::npos;
        const bool runs = line.find("| sh") != std::string_view::npos || line.find("|sh") != std::string_view::npos ||
                          line.find("| bash") != std::string_view::npos ||
                          line.find("|bash") != std::string_view::npos ||
                          line.find("| python") != std::string_view::npos;
        if (runs && unpacks)
            context.find("code.hidden", content, at_line(number), "It unpacks hidden text and runs it.");
        else if (runs && fetches)
            context.find("code.process", content, at_line(number), "It fetches a script and runs it at once.");
        if (line.find("/dev/tcp/") != std::string_view::npos)
            context.find("code.network", Severity::high, content, at_line(number),
                         "It opens a connection by /dev/tcp.");
    }
}

void scan_secrets(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    for (const Key& key : kKeys) find_key(context, content, text, key);
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
