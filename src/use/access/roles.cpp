// The table of roles and rights, and the small types around a principal.
// An auditor sees and changes nothing; an operator does not read the audit log of his own deeds.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <ctime>

#include "freehold/access/principal.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

struct RightRow {
    Right right;
    const char* name;
    bool user, operator_, auditor;
};

// clang-format off
constexpr std::array<RightRow, kRights> kTable = {{
    //                                       user   operator auditor
    {Right::use_models,    "use_models",     true,  true,    false},
    {Right::own_objects,   "own_objects",    true,  true,    false},
    {Right::see_models,    "see_models",     true,  true,    true},
    {Right::manage_models, "manage_models",  false, true,    false},
    {Right::manage_keys,   "manage_keys",    false, true,    false},
    {Right::see_server,    "see_server",     false, true,    true},
    {Right::see_use,       "see_use",        false, true,    true},
    {Right::see_audit,     "see_audit",      false, false,   true},
}};
// clang-format on

constexpr bool table_in_order() {
    for (std::size_t i = 0; i < kTable.size(); ++i) {
        if (static_cast<std::size_t>(kTable[i].right) != i) return false;
    }
    return true;
}
static_assert(table_in_order());

const RightRow& row(Right right) noexcept {
    return kTable[static_cast<std::size_t>(right)];
}

// Glob with * only; linear in the text, since a pattern backtracks to its last star at most.
bool glob(std::string_view pattern, std::string_view text) noexcept {
    std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace

const char* role_name(Role role) noexcept {
    switch (role) {
        case Role::user:
            return "user";
        case Role::operator_:
            return "operator";
        case Role::auditor:
            return "auditor";
    }
    return "";
}

const char* right_name(Right right) noexcept {
    return row(right).name;
}

bool role_may(Role role, Right right) noexcept {
    const RightRow& r = row(right);
    return role == Role::user ? r.user : role == Role::operator_ ? r.operator_ : r.auditor;
}

RoleSet RoleSet::parse(std::string_view text) {
    RoleSet set;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view word = text.substr(0, comma);
        bool known = false;
        for (const Role role : {Role::user, Role::operator_, Role::auditor}) {
            if (word == role_name(role)) {
                set.add(role);
                known = true;
            }
        }
        if (!known) {
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no role.", printable(word)),
                        "The roles are user, operator and auditor; several are joined by commas.");
        }
        if (comma == std::string_view::npos) return set;
        text.remove_prefix(comma + 1);
    }
}

bool RoleSet::may(Right right) const noexcept {
    for (const Role role : {Role::user, Role::operator_, Role::auditor}) {
        if (has(role) && role_may(role, right)) return true;
    }
    return false;
}

std::string RoleSet::str() const {
    std::string text;
    for (const Role role : {Role::user, Role::operator_, Role::auditor}) {
        if (has(role)) text += (text.empty() ? "" : ",") + std::string(role_name(role));
    }
    return text;
}

const char* how_name(Principal::How how) noexcept {
    switch (how) {
        case Principal::How::open:
            return "open";
        case Principal::How::key:
            return "key";
        case Principal::How::proxy:
            return "proxy";
    }
    return "";
}

bool model_matches(std::string_view pattern, std::string_view model) {
    if (glob(pattern, model)) return true;
    // A bare name stands for every tag of it, never for an adapter on top.
    if (pattern.find(':') != std::string_view::npos || pattern.find('+') != std::string_view::npos) return false;
    if (model.find('+') != std::string_view::npos) return false;
    return glob(pattern, model.substr(0, model.find(':')));
}

bool Principal::may_use(std::string_view model) const {
    if (!roles.may(Right::use_models)) return false;
    if (models.empty()) return true;
    for (const std::string& pattern : models) {
        if (model_matches(pattern, model)) return true;
    }
    return false;
}

void require(const Principal& principal, Right right) {
    if (principal.roles.may(right)) return;
    std::string who;
    for (const Role role : {Role::user, Role::operator_, Role::auditor}) {
        if (role_may(role, right)) who += (who.empty() ? "" : " or ") + std::string(role_name(role));
    }
    throw Refusal(Why::may_not,
                  fmt::format("This needs the role {}; \"{}\" has {}.", who, printable(principal.name),
                              principal.roles.empty() ? "none" : principal.roles.str()),
                  "Ask whoever runs this server for a key with that role (`freehold key create --role`).");
}

std::string checked_tenant(std::string_view text) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    bool good = !text.empty() && text.size() <= 64 && plain(text.front());
    for (const char c : text) good = good && (plain(c) || c == '.' || c == '_' || c == '-');
    if (good) return std::string(text);
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is no name of a tenant.", printable(text)),
                "Letters, digits and . _ - are allowed, 64 at most, the first a letter or a digit.");
}

}  // namespace freehold::access
