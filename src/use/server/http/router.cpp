// Matching is a walk over the rows: there are some dozens of them, and fixed parts win over parameters.
#include "router.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace freehold::server {
namespace {

int hex(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::size_t end = std::min(path.find('/'), path.size());
        parts.push_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return parts;
}

bool is_param(std::string_view part) noexcept {
    return part.size() > 2 && part.front() == '{' && part.back() == '}';
}

}  // namespace

bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
    out.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') return false;
        out += c;
    }
    return true;
}

bool read_target(std::string_view target, HttpRequest& request) {
    request.target = target;
    if (target.empty() || target.front() != '/') return false;
    std::string_view path = target.substr(0, target.find('#'));
    std::string_view query;
    if (const auto mark = path.find('?'); mark != std::string_view::npos) {
        query = path.substr(mark + 1);
        path = path.substr(0, mark);
    }
    if (!percent_decode(path, false, request.path)) return false;
    if (request.path.find('\\') != std::string::npos || request.path.find("//") != std::string::npos) return false;
    for (const auto part : split(request.path)) {
        if (part == ".." || part == ".") return false;
    }
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        std::string name, value;
        if (!percent_decode(pair.substr(0, equals), true, name) ||
            !percent_decode(pair.substr(std::min(equals + 1, pair.size())), true, value)) {
            return false;
        }
        if (!name.empty()) request.queries.emplace(std::move(name), std::move(value));
    }
    return true;
}

Router::Router(const std::vector<Route>& routes) {
    std::set<std::string> seen;
    for (const Route& route : routes) {
        if (route.pattern.empty() || route.pattern.front() != '/' || route.method.empty() ||
            static_cast<bool>(route.handler) == static_cast<bool>(route.sink)) {
            throw Error(ErrorKind::usage,
                        fmt::format("The route \"{} {}\" is not complete.", route.method, route.pattern));
        }
        if (!seen.insert(route.method + " " + route.pattern).second) {
            throw Error(ErrorKind::usage, fmt::format("The route {} {} is there twice.", route.method, route.pattern));
        }
        Row row{&route, {}, false};
        for (const auto part : split(route.pattern)) {
            row.rest = is_param(part) && part.ends_with("...}");
            row.parts.emplace_back(part);
        }
        rows_.push_back(std::move(row));
    }
    // Rows with a fixed part where another has a parameter come first.
    const auto key = [](const Row& row) {
        std::string k;
        for (const auto& part : row.parts) k += !is_param(part) ? 'a' : part.ends_with("...}") ? 'c' : 'b';
        return k;
    };
    std::ranges::stable_sort(rows_, {}, key);
}

bool Router::fits(const Row& row, const std::vector<std::string_view>& parts, Match& match) {
    if (row.rest ? parts.size() < row.parts.size() : parts.size() != row.parts.size()) return false;
    match.params.clear();
    for (std::size_t i = 0; i < row.parts.size(); ++i) {
        const std::string& want = row.parts[i];
        if (!is_param(want)) {
            if (want != parts[i]) return false;
            continue;
        }
        if (row.rest && i + 1 == row.parts.size()) {
            const char* begin = parts[i].data();
            const std::string_view last = parts.back();
            match.params.emplace(want.substr(1, want.size() - 5), std::string(begin, last.data() + last.size()));
            return parts.back().data() != begin || !last.empty();
        }
        if (parts[i].empty()) return false;
        match.params.emplace(want.substr(1, want.size() - 2), std::string(parts[i]));
    }
    return true;
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
    const auto parts = split(path);
    Match match, best;
    std::set<std::string> methods;
    for (const Row& row : rows_) {
        if (!fits(row, parts, match)) continue;
        const std::string& has = row.route->method;
        if (has == method || (best.route == nullptr && has == "GET" && method == "HEAD")) {
            if (best.route == nullptr || best.route->method != method) {
                best.route = row.route;
                best.params = match.params;
            }
        }
        methods.insert(has);
        if (has == "GET") methods.insert("HEAD");
    }
    for (const auto& m : methods) best.allow += (best.allow.empty() ? "" : ", ") + m;
    return best;
}

}  // namespace freehold::server
