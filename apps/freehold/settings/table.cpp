// The rows, and the page of the docs that is made from them.
#include "table.h"

#include <fmt/format.h>

#include <array>
#include <cctype>

namespace freehold::cli {
namespace {

using Kind = Setting::Kind;

constexpr double kMany = 1e15;

constexpr std::array kTable = {
    Setting{"Listening", "listen", Kind::address, "--listen", "ADDR:PORT", "127.0.0.1:8080", "Address and port"},
    Setting{"Listening", "tls.certificate", Kind::path, nullptr, "FILE", "",
            "Certificate chain, PEM (flag: --tls CERT KEY)"},
    Setting{"Listening", "tls.key", Kind::path, nullptr, "FILE", "", "Its private key, PEM"},
    Setting{"Listening", "leave", Kind::whole, "--leave", "S", "0",
            "Seconds in which /ready says no while requests are still taken, at the end", 0, 3600},
    Setting{"Listening", "drain", Kind::whole, "--drain", "S", "30", "Seconds that running answers get at the end", 0,
            86400},
    Setting{"Listening", "log_requests", Kind::yes_no, "--log-requests", "", "false",
            "One line of JSON for each request, on standard error"},
    Setting{"Models", "models", Kind::texts, "--models", "MODEL", "",
            "Models to load at once and keep; without it, models load when asked for"},
    Setting{"Models", "keep_alive", Kind::keep, "--keep-alive", "TIME", "5m",
            "How long an unused model stays: 30s, 5m, -1 for ever"},
    Setting{"Models", "longest_keep_alive", Kind::keep, "--longest-keep-alive", "TIME", "24h",
            "The most that clients without the role operator get with keep_alive; they ask for -1 and get this"},
    Setting{"Models", "parallel", Kind::whole, "--parallel", "N", "32",
            "Answers that are written at once, of one model", 1, 1024},
    Setting{"Models", "memory", Kind::number, "--memory", "GB", "three quarters of all",
            "Gigabytes for models and caches", 0, 1e6},
    Setting{"Models", "pull_hosts", Kind::texts, "--pull-hosts", "HOST", "",
            "Let operators have models fetched, from these hosts only (\"pypi\": what this machine's pip is set to)"},
    Setting{"Models", "advisories", Kind::text, "--advisories", "POLICY", "recall",
            "What advisories do to a model they hit: off, warn, recall (recalled and critical ones are refused) or all",
            0, 0, "off,warn,recall,all"},
    Setting{"Models", "blob_size", Kind::number, "--blob-size", "GB", "1000",
            "Largest file in gigabytes that operators may send for /api/create; free disk space bounds it too", 0, 1e6},
    Setting{"Computing", "profile", Kind::text, "--profile", "P", "what suits the file",
            "Numeric profile: f32, bf16 or q8", 0, 0, "f32,bf16,q8"},
    Setting{"Computing", "kv", Kind::text, "--kv", "T", "what the profile asks for",
            "Type of cached keys and values: f32, f16 or q8_0", 0, 0, "f32,f16,q8_0"},
    Setting{"Computing", "context", Kind::whole, "--context", "N", "the model's own",
            "Longest sequence, prompt and answer", 1, 1 << 30},
    Setting{"Computing", "threads", Kind::whole, "--threads", "N", "all this process may use",
            "Threads to compute with", 1, 1024},
    Setting{"Computing", "repack", Kind::yes_no, "--no-repack", "", "true",
            "Compute from the files as they are: less memory, slower", 0, 0, nullptr, true},
    Setting{"Computing", "speculation", Kind::yes_no, "--no-speculation", "", "true", "Compute every token by itself",
            0, 0, nullptr, true},
    Setting{"State", "database", Kind::text, "--database", "ADDRESS", "state.db under FREEHOLD_HOME",
            "PostgreSQL that replicas share: postgres://USER@HOST/NAME", 0, 0, nullptr, false, true},
    Setting{"State", "database_password_file", Kind::path, "--database-password-file", "FILE", "",
            "File with its password in the first line"},
    Setting{"State", "database_password", Kind::text, nullptr, "WORDS", "", "The password itself", 0, 0, nullptr, false,
            true},
    Setting{"Who comes in", "insecure_no_keys", Kind::yes_no, "--insecure-no-keys", "", "false",
            "Listen beyond this machine and ask nobody for a key"},
    Setting{"Who comes in", "seal", Kind::yes_no, "--no-seal", "", "true",
            "Do without the filter that keeps this process from opening connections", 0, 0, nullptr, true},
    Setting{"Who comes in", "hosts", Kind::texts, nullptr, "NAME", "",
            "Names by which the server is called, beside localhost and addresses"},
    Setting{"Who comes in", "origins", Kind::texts, nullptr, "URL", "",
            "Origins of pages that may call it from elsewhere"},
    Setting{"Sign-in by a proxy", "proxy.addresses", Kind::texts, nullptr, "NETWORK", "",
            "Addresses of the proxy whose headers count"},
    Setting{"Sign-in by a proxy", "proxy.user_header", Kind::text, nullptr, "NAME", "X-Remote-User",
            "Header with the person's name"},
    Setting{"Sign-in by a proxy", "proxy.groups_header", Kind::text, nullptr, "NAME", "X-Remote-Groups",
            "Header with the groups"},
    Setting{"Sign-in by a proxy", "proxy.tenant_header", Kind::text, nullptr, "NAME", "", "Header with the tenant"},
    Setting{"Sign-in by a proxy", "proxy.separator", Kind::text, nullptr, "C", ",", "What stands between groups"},
    Setting{"Sign-in by a proxy", "proxy.groups", Kind::text_map, nullptr, "GROUP: ROLES", "",
            "Roles of each group; who is in none is refused"},
    Setting{"Sign-in by a proxy", "proxy.tenant", Kind::text, nullptr, "TENANT", "default", "Tenant of everybody"},
    Setting{"Sign-in by a proxy", "proxy.models", Kind::texts, nullptr, "PATTERN", "", "Models that they may use"},
    Setting{"Sign-in by a proxy", "proxy.limits.requests_per_minute", Kind::whole, nullptr, "N", "", "Of each person",
            0, kMany},
    Setting{"Sign-in by a proxy", "proxy.limits.tokens_per_minute", Kind::whole, nullptr, "N", "", "Of each person", 0,
            kMany},
    Setting{"Sign-in by a proxy", "proxy.limits.tokens_per_day", Kind::whole, nullptr, "N", "", "Of each person", 0,
            kMany},
    Setting{"Sign-in by a proxy", "proxy.limits.tokens_per_month", Kind::whole, nullptr, "N", "", "Of each person", 0,
            kMany},
    Setting{"Safeguards", "safeguards", Kind::path, "--safeguards", "FILE", "",
            "Guards that look at what is asked and answered (docs/safeguards.md)"},
    Setting{"Audit", "audit.replica", Kind::text, "--replica", "NAME", "main",
            "Name of this server and its chain; servers that share a home or a database need one each"},
    Setting{"Audit", "audit.export_to", Kind::path, nullptr, "FOLDER", "", "Signed heads are copied there as well"},
    Setting{"Audit", "audit.texts", Kind::yes_no, nullptr, "", "false",
            "Keep the texts of requests and answers, sealed beside the log"},
    Setting{"Retention", "retention.audit", Kind::span, nullptr, "TIME", "for ever", "Entries of the audit log"},
    Setting{"Retention", "retention.texts", Kind::span, nullptr, "TIME", "for ever", "Kept texts"},
    Setting{"Retention", "retention.responses", Kind::span, nullptr, "TIME", "30d", "Stored responses"},
    Setting{"Retention", "retention.use", Kind::span, nullptr, "TIME", "for ever", "Counts of use"},
    Setting{"Retention", "retention.keys", Kind::span, nullptr, "TIME", "for ever", "Keys that were revoked or ended"},
};

}  // namespace

std::span<const Setting> settings_table() {
    return kTable;
}

const Setting* find_setting(std::span<const Setting> table, std::string_view key) {
    for (const Setting& setting : table) {
        if (setting.key == key) return &setting;
    }
    return nullptr;
}

std::string environment_name(const Setting& setting) {
    std::string name = "FREEHOLD_";
    for (const char c : std::string_view(setting.key))
        name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

const char* kind_words(Setting::Kind kind) noexcept {
    switch (kind) {
        case Kind::text:
            return "a text";
        case Kind::address:
            return "an address and port";
        case Kind::texts:
            return "a list of texts";
        case Kind::path:
            return "a path";
        case Kind::whole:
            return "a whole number";
        case Kind::number:
            return "a number";
        case Kind::yes_no:
            return "true or false";
        case Kind::keep:
            return "a time";
        case Kind::span:
            return "a length of time";
        case Kind::text_map:
            return "names and their words";
    }
    return "";
}

std::string settings_markdown(std::span<const Setting> table) {
    std::string page;
    std::string_view section;
    for (const Setting& s : table) {
        if (section != s.section) {
            section = s.section;
            page += fmt::format("{}### {}\n\n| key | environment | flag | takes | otherwise | what |\n|-|-|-|-|-|-|\n",
                                page.empty() ? "" : "\n", section);
        }
        std::string help = s.help;
        if (s.no_flag) help = fmt::format("`false`: {}{}", static_cast<char>(std::tolower(help[0])), help.substr(1));
        page += fmt::format("| `{}` | `{}` | {} | {} | {} | {}{} |\n", s.key, environment_name(s),
                            s.flag == nullptr ? "" : fmt::format("`{}`", s.flag), kind_words(s.kind), s.standard, help,
                            s.secret ? " (secret)" : "");
    }
    return page;
}

}  // namespace freehold::cli
