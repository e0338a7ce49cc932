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

}  // namespace

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
            const Rx early = rx.cat({rx.anything(), mark, rx.any(), rx.anything()});
            const Rx up_to = rx.both({rx.cat(rx.anything(), marks[t]), rx.non(early)});
            p->alternative(one, {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, up_to})},
                                 {Op::Kind::call, begun}});
        }
        for (std::size_t i = 0; i < tags.size(); ++i) {
            if (reached[i]) continue;
            throw Error(ErrorKind::usage,
                        fmt::format("The tag \"{}\" begins with none of the triggers.", tags[i].begin),
                        "Each tag must begin with a trigger.");
        }
        const Rx free_text = rx.both({rx.anything(), rx.non(rx.cat({rx.anything(), mark, rx.anything()}))});
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
