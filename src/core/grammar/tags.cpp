// Free text with tagged stretches of JSON in it: what tool calls need, whatever marks a model puts around them.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/grammar/grammar.h"
#include "regex_parse.h"
#include "schema.h"

namespace freehold {

using grammar::Op;
using grammar::Program;
using grammar::Rx;
using grammar::Terminal;

namespace {

// Code points, with the mark of control tokens before each of their texts.
std::u32string marked(std::string_view text, const std::vector<std::string>& control, std::string_view what) {
    std::u32string out;
    std::size_t plain = 0;
    for (std::size_t i = 0; i < text.size();) {
        const auto hit = std::find_if(control.begin(), control.end(), [&](const std::string& c) {
            return !c.empty() && text.substr(i).starts_with(c);
        });
        if (hit == control.end()) {
            ++i;
            continue;
        }
        out += grammar::code_points(text.substr(plain, i - plain), what);
        out.push_back(static_cast<char32_t>(grammar::kSpecialMark));
        out += grammar::code_points(*hit, what);
        i += hit->size();
        plain = i;
    }
    return out + grammar::code_points(text.substr(plain), what);
}

// Free text may hold any token, also a control token that is no mark of ours.
Rx wild_one(grammar::Regexes& rx) {
    return rx.set({{0, grammar::kSpecialMark}});
}
Rx wild(grammar::Regexes& rx) {
    return rx.rep(wild_one(rx), 0);
}
// Free text up to and with the first `mark`, where every one of `marks` counts as the first.
Rx up_to(grammar::Regexes& rx, Rx mark, Rx marks) {
    const Rx early = rx.cat({wild(rx), marks, wild_one(rx), wild(rx)});
    return rx.both({rx.cat(wild(rx), mark), rx.non(early)});
}

}  // namespace

std::shared_ptr<const Grammar> Grammar::behind(const LeadFormat& lead) const {
    if (lead.end.empty()) {
        throw Error(ErrorKind::usage, "The text before an answer has no end.", "Give the mark that ends it.");
    }
    auto p = std::make_shared<Program>(*program_);
    auto& rx = p->regexes;
    const auto literal = [&](const std::string& text) {
        return rx.literal(marked(text, lead.control_tokens, "The text before an answer"));
    };
    const auto text_then_answer = [&](Rx text) -> std::vector<Op> {
        return {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, text})},
                {Op::Kind::call, program_->root}};
    };
    constexpr std::uint32_t kBlanks = 8;
    const Rx blanks = rx.rep(rx.set({{'\t', '\n'}, {'\r', '\r'}, {' ', ' '}}), 0, kBlanks);
    const Rx end = literal(lead.end);
    const Rx free_text = rx.cat(up_to(rx, end, end), blanks);
    p->root = p->rule("root");
    if (lead.begun) {
        p->alternative(p->root, text_then_answer(free_text));
    } else {
        p->alternative(p->root, text_then_answer(rx.cat(literal(lead.begin), free_text)));
        p->alternative(p->root, lead.otherwise.empty() ? std::vector<Op>{{Op::Kind::call, program_->root}}
                                                       : text_then_answer(literal(lead.otherwise)));
    }
    p->settle();
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p), notes_));
}

std::shared_ptr<const Grammar> Grammar::from_tags(std::span<const TagFormat> tags, const TagOptions& options) {
    if (tags.empty()) throw Error(ErrorKind::usage, "There are no tags to choose from.", "Give at least one tool.");
    auto p = std::make_shared<Program>();
    auto& rx = p->regexes;
    std::vector<std::string> notes;
    const auto text_of = [&](Rx r) -> std::vector<Op> {
        if (r == rx.empty()) return {};
        return {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, r})}};
    };
    p->plain_escapes = tags.front().json.plain_escapes;
    if (tags.front().json.blanks) p->blanks = static_cast<std::uint32_t>(std::clamp(*tags.front().json.blanks, 0, 200));

    std::vector<std::uint32_t> contents;
    for (std::size_t i = 0; i < tags.size(); ++i) {
        const std::string name =
            tags[i].name.empty() ? fmt::format("Tag {}", i) : fmt::format("Tool \"{}\"", tags[i].name);
        try {
            const Value schema = tags[i].schema ? *tags[i].schema : Value(ValueMap{{"type", "object"}});
            contents.push_back(
                grammar::SchemaCompiler(*p, tags[i].json, notes).compile(parse_json(to_json(schema), name)));
        } catch (const Error& e) {
            throw Error(e.kind(), name + ": " + e.message(), e.hint());
        }
    }
    // A tag from `cut` characters of its beginning on.
    const auto tag_ops = [&](std::size_t i, std::size_t cut) {
        std::vector<Op> ops = text_of(rx.literal(marked(tags[i].begin, options.control_tokens, "A tag").substr(cut)));
        ops.push_back({Op::Kind::call, contents[i]});
        for (const Op& op : text_of(rx.literal(marked(tags[i].end, options.control_tokens, "A tag"))))
            ops.push_back(op);
        return ops;
    };
    p->root = p->rule("root");
    const std::uint32_t one = p->rule("tag");
    if (options.triggers.empty()) {
        for (std::size_t i = 0; i < tags.size(); ++i) p->alternative(one, tag_ops(i, 0));
        std::vector<Op> ops{{Op::Kind::call, one}};
        if (!options.at_most_one) {
            const std::uint32_t more = p->rule("more");
            std::vector<Op> next =
                text_of(rx.literal(marked(options.separator, options.control_tokens, "The separator")));
            next.push_back({Op::Kind::call, one});
            next.push_back({Op::Kind::call, more});
            p->alternative(more, std::move(next));
            p->alternative(more, {});
            ops.push_back({Op::Kind::call, more});
        }
        p->alternative(p->root, std::move(ops));
        if (!options.at_least_one) p->alternative(p->root, {});
    } else {
        std::vector<std::u32string> triggers;
        std::vector<Rx> marks;
        for (const std::string& t : options.triggers) {
            if (t.empty())
                throw Error(ErrorKind::usage, "A trigger is empty.", "Give the text with which a tag begins.");
            triggers.push_back(marked(t, options.control_tokens, "A trigger"));
            marks.push_back(rx.literal(triggers.back()));
        }
        const Rx mark = rx.alt(marks);
        std::vector<bool> reached(tags.size(), false);
        for (std::size_t t = 0; t < triggers.size(); ++t) {
            const std::uint32_t begun = p->rule("tag after " + options.triggers[t]);
            for (std::size_t i = 0; i < tags.size(); ++i) {
                const std::u32string begin = marked(tags[i].begin, options.control_tokens, "A tag");
                if (!begin.starts_with(triggers[t]) || reached[i]) continue;
                reached[i] = true;
                p->alternative(begun, tag_ops(i, triggers[t].size()));
            }
            if (p->rules[begun].starts.empty()) continue;
            // Text up to the first trigger, which is this one.
            const Rx before = up_to(rx, marks[t], mark);
            p->alternative(one, {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, before})},
                                 {Op::Kind::call, begun}});
        }
        for (std::size_t i = 0; i < tags.size(); ++i) {
            if (reached[i]) continue;
            throw Error(ErrorKind::usage,
                        fmt::format("The tag \"{}\" begins with none of the triggers.", tags[i].begin),
                        "Each tag must begin with a trigger.");
        }
        const Rx free_text = rx.non(rx.cat({wild(rx), mark, wild(rx)}));
        if (options.at_most_one) {
            p->alternative(p->root, {{Op::Kind::call, one}});
            if (!options.at_least_one) p->alternative(p->root, text_of(free_text));
        } else {
            const std::uint32_t more = p->rule("more");
            p->alternative(more, {{Op::Kind::call, one}, {Op::Kind::call, more}});
            p->alternative(more, text_of(free_text));
            if (options.at_least_one) {
                p->alternative(p->root, {{Op::Kind::call, one}, {Op::Kind::call, more}});
            } else {
                p->alternative(p->root, {{Op::Kind::call, more}});
            }
        }
    }
    p->settle();
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p), std::move(notes)));
}

}  // namespace freehold
