// Findings, gaps and budgets of one file.
#include "context.h"

#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/printable.h"

namespace freehold::scan {

void Context::find(std::string_view rule, const Content& in, Where where, std::string message) {
    find(rule, rule_of(rule).severity, in, where, std::move(message));
}

void Context::find(std::string_view rule, Severity severity, const Content& in, Where where, std::string message) {
    const Rule& known = rule_of(rule);
    for (const Finding& other : result_.findings) {
        if (other.rule == &known && other.member == in.member && other.message == message) return;
    }
    if (result_.findings.size() >= limits_.findings) {
        if (!cut_) gap(in, fmt::format("more than {} findings; the rest is not listed", limits_.findings));
        cut_ = true;
        return;
    }
    result_.findings.push_back({&known, severity, in.member, where.offset, where.line, std::move(message)});
}

void Context::gap(const Content& in, std::string reason) {
    for (const Gap& other : result_.gaps) {
        if (other.member == in.member && other.reason == reason) return;
    }
    if (result_.gaps.size() < limits_.findings) result_.gaps.push_back({in.member, std::move(reason)});
}

void Context::kind(std::string_view name) {
    if (result_.kind.empty()) result_.kind = name;
}

bool Context::take_unpacked(const Content& in, std::uint64_t bytes) {
    if (bytes > unpacked_left()) {
        gap(in, fmt::format("the file unpacks to more than {} bytes", limits_.unpacked));
        return false;
    }
    unpacked_ += bytes;
    return true;
}

std::uint64_t Context::unpacked_left() const noexcept {
    return limits_.unpacked - std::min(unpacked_, limits_.unpacked);
}

bool Context::take_member(const Content& in) {
    if (++members_ > limits_.members) {
        gap(in, fmt::format("it holds more than {} members", limits_.members));
        return false;
    }
    return true;
}

void Context::descend(const Content& outer, Bytes bytes, std::string_view label, std::string_view name) {
    Content inner;
    inner.bytes = bytes;
    inner.name = std::string(name);
    inner.member = outer.member + (outer.member.empty() ? "" : "!") + printable(label);
    inner.depth = outer.depth + 1;
    inner.torchscript = outer.torchscript;
    if (inner.depth > limits_.depth) {
        gap(inner, fmt::format("it lies more than {} levels deep", limits_.depth));
        return;
    }
    scan_content(*this, inner);
}

}  // namespace freehold::scan
