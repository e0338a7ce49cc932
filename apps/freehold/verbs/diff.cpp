// freehold diff: what changed between two versions of a model. Exit code 0: nothing; 1: something.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "../console.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/printable.h"
#include "freehold/diff/diff.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

constexpr int kDiffers = 1;
constexpr std::size_t kMostTensors = 20;
constexpr std::size_t kMostLines = 60;
constexpr std::size_t kMostKeys = 40;

struct Options {
    std::string a, b;
    bool json = false, no_values = false, all = false, quiet = false;
};

std::string shape_text(const std::vector<std::int64_t>& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string figures(const diff::Numbers& n) {
    std::string text = fmt::format("{} of {} values, largest {:.3g}, rms {:.3g} ({:.2g} of the values' own)",
                                   with_thousands(n.changed), with_thousands(n.count), n.largest, n.rms, n.relative);
    if (n.not_finite > 0) text += fmt::format(", {} with NaN or infinity", with_thousands(n.not_finite));
    return text;
}

std::string tensor_text(const diff::TensorChange& t) {
    if (t.change == diff::Change::added) return fmt::format("added: {} {}", t.dtype_b, shape_text(t.shape_b));
    if (t.change == diff::Change::removed) return fmt::format("removed: {} {}", t.dtype_a, shape_text(t.shape_a));
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
    if (t.dtype) add(fmt::format("{} to {}", t.dtype_a, t.dtype_b));
    if (t.shape) add(fmt::format("{} to {}", shape_text(t.shape_a), shape_text(t.shape_b)));
    if (t.values && t.numbers) add(figures(*t.numbers));
    if (!t.values && t.numbers) add("the values are the same");
    if (!t.why_not.empty()) add(t.why_not);
    return text;
}

void add_tensors(Facts& facts, const diff::Report& r, bool all) {
    const diff::Tensors& t = r.tensors;
    if (t.changes.empty()) {
        facts.add("tensors",
                  fmt::format("all {} are the same{}", t.count_a,
                              t.values_compared ? "" : " by name, type and shape; values were not compared"));
        return;
    }
    facts.heading("Tensors");
    facts.add("differ", fmt::format("{}; the first has {}, the second {}{}", t.changes.size(), t.count_a, t.count_b,
                                    t.values_compared ? "" : " (values were not compared)"));
    std::vector<const diff::TensorChange*> order;
    for (const diff::TensorChange& change : t.changes) order.push_back(&change);
    if (!all && order.size() > kMostTensors) {
        const auto weight = [](const diff::TensorChange* c) {
            return c->change != diff::Change::changed || c->shape ? 1e300 : c->numbers ? c->numbers->relative : 0;
        };
        std::ranges::stable_sort(order, [&](const auto* x, const auto* y) { return weight(x) > weight(y); });
        order.resize(kMostTensors);
    }
    for (const diff::TensorChange* change : order) facts.add(change->name, tensor_text(*change));
    if (order.size() < t.changes.size())
        facts.add("", fmt::format("and {} more; these changed most (--all shows every one)",
                                  t.changes.size() - order.size()));
    if (!t.values_compared) return;
    facts.heading("By layer");
    for (const diff::LayerChange& layer : t.layers) {
        if (layer.tensors_changed == 0) continue;
        facts.add(layer.layer, fmt::format("{} of {} tensors; {}", layer.tensors_changed, layer.tensors,
                                           layer.numbers.count == 0 ? "no values to compare" : figures(layer.numbers)));
    }
}

void add_keys(Facts& facts, const std::vector<diff::KeyChange>& keys, bool all) {
    std::size_t shown = 0;
    for (const diff::KeyChange& key : keys) {
        if (!all && shown++ == kMostKeys) {
            facts.add("", fmt::format("and {} more (--all)", keys.size() - kMostKeys));
            return;
        }
        facts.add(key.key, key.change == diff::Change::added     ? "added: " + key.b
                           : key.change == diff::Change::removed ? "removed: " + key.a
                                                                 : key.a + " to " + key.b);
    }
}

void add_text(Facts& facts, const diff::TextChange& text, bool all) {
    std::string lines = text.in_a && text.in_b ? fmt::format("{} lines added, {} removed", text.added, text.removed)
                        : text.in_a            ? std::string("only in the first")
                                               : std::string("only in the second");
    std::size_t shown = 0;
    for (const diff::Line& line : text.lines) {
        if (!all && shown++ == kMostLines) break;
        lines += fmt::format("\n{} {}", line.mark, line.text);
    }
    if (text.cut || (!all && text.lines.size() > kMostLines)) lines += "\n... (--all, --json)";
    facts.add(text.name, lines);
}

void add_examples(Facts& facts, const char* name, std::uint64_t count, const std::vector<std::string>& examples) {
    if (count == 0) return;
    facts.add(name, fmt::format("{}: {}{}", with_thousands(count), fmt::join(examples, ", "),
                                count > examples.size() ? ", ..." : ""));
}

void add_tokenizer(Facts& facts, const diff::Tokenizer& t, bool all) {
    if (t.same()) {
        if (t.in_a) facts.add("tokenizer", "the same");
        return;
    }
    facts.heading("Tokenizer");
    if (t.in_a != t.in_b) {
        facts.add("there", t.in_a ? "only in the first" : "only in the second");
        return;
    }
    facts.add("vocabulary", t.size_a == t.size_b
                                ? fmt::format("{} entries in both", with_thousands(t.size_a))
                                : fmt::format("{} entries to {}", with_thousands(t.size_a), with_thousands(t.size_b)));
    add_examples(facts, "added", t.added, t.added_examples);
    add_examples(facts, "removed", t.removed, t.removed_examples);
    add_examples(facts, "other id", t.moved, t.moved_examples);
    if (t.scores_changed > 0) facts.add("scores", fmt::format("{} differ", with_thousands(t.scores_changed)));
    if (t.types_changed > 0) facts.add("kinds", fmt::format("{} differ", with_thousands(t.types_changed)));
    if (t.merges_added + t.merges_removed > 0)
        facts.add("merges", fmt::format("{} added, {} removed", with_thousands(t.merges_added),
                                        with_thousands(t.merges_removed)));
    if (t.merges_reordered) facts.add("merges", "in another order");
    add_keys(facts, t.special, all);
    add_keys(facts, t.parts, all);
}

void add_licence(Facts& facts, const diff::Licences& l, bool all) {
    if (!l.differs) {
        facts.add("licence", l.a.empty() ? "none in either" : "the same");
        return;
    }
    facts.heading("Licence");
    facts.add("first", l.a.empty() ? "none" : fmt::format("{}", fmt::join(l.a, "\n")));
    facts.add("second", l.b.empty() ? "none" : fmt::format("{}", fmt::join(l.b, "\n")));
    for (const std::string& altered : l.altered) facts.add("altered", altered);
    for (const diff::ClauseChange& clause : l.clauses) {
        std::string text = fmt::format("- {}", clause.answer_a.empty() ? "nothing" : clause.answer_a);
        if (!clause.quote_a.empty()) text += fmt::format("\n  {}", clause.quote_a);
        text += fmt::format("\n+ {}", clause.answer_b.empty() ? "nothing" : clause.answer_b);
        if (!clause.quote_b.empty()) text += fmt::format("\n  {}", clause.quote_b);
        facts.add(clause.question, text);
    }
    if (l.clauses.empty() || all) {
        for (const diff::TextChange& text : l.texts) add_text(facts, text, all);
    }
}

std::string report_text(const diff::Report& r, const Options& o, int width) {
    Facts facts;
    facts.heading(fmt::format("{} to {}", r.a.name, r.b.name));
    if (r.same_files) {
        facts.add("all files", "the same, byte for byte");
        return facts.str(width);
    }
    add_tensors(facts, r, o.all);
    add_tokenizer(facts, r.tokenizer, o.all);
    if (r.templates.empty()) {
        facts.heading("Texts");
        facts.add("chat template", "the same");
    } else {
        facts.heading("Chat template");
        for (const diff::TextChange& text : r.templates) add_text(facts, text, o.all);
    }
    add_licence(facts, r.licence, o.all);
    if (!r.card.empty() || !r.card_prose.empty()) {
        facts.heading("Model card");
        add_keys(facts, r.card, o.all);
        for (const diff::TextChange& text : r.card_prose) add_text(facts, text, o.all);
    }
    if (!r.config.empty()) {
        facts.heading("Configuration");
        add_keys(facts, r.config, o.all);
    }
    if (!r.files.empty()) facts.heading("Other files");
    for (const diff::FileChange& file : r.files)
        facts.add(printable(file.name, 200),
                  file.change == diff::Change::added ? "added: " + human_bytes(file.size_b)
                  : file.change == diff::Change::removed
                      ? "removed: " + human_bytes(file.size_a)
                      : fmt::format("changed: {} to {}", human_bytes(file.size_a), human_bytes(file.size_b)));
    if (!r.notes.empty()) facts.heading("Not compared");
    for (const std::string& note : r.notes) facts.add("", note);
    return facts.str(width);
}

int diff_verb(const Options& o) {
    const Store store = Store::open();
    const InterruptGuard guard;
    ProgressBar bar(o.quiet || o.json);
    diff::Options options;
    options.values = !o.no_values;
    options.progress = bar.callback();
    const diff::Report report = diff::compare(diff::find_side(store, o.a), diff::find_side(store, o.b), options);
    bar.clear();
    if (o.json)
        out(to_json(diff::to_value(report), 2) + "\n");
    else if (!o.quiet)
        out(report_text(report, o, stdout_is_terminal() ? terminal_width() : 0));
    return report.same() ? 0 : kDiffers;
}

}  // namespace

Action setup_diff(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("A", o->a, "A stored name, a GGUF file or a folder")->required()->type_name("A");
    app.add_option("B", o->b, "What it is held against")->required()->type_name("B");
    app.add_flag("--no-values", o->no_values, "Compare names, types and shapes of tensors only, which takes no time");
    app.add_flag("--all", o->all, "Show every tensor, key and line that differs");
    app.add_flag("-q,--quiet", o->quiet, "Say nothing; the exit code tells");
    add_json_flag(app, o->json);
    app.footer(
        "Tensors are compared by name: added, removed, type, shape, and how far the values moved (through F32, so that "
        "a\n"
        "quantised model can be held against the one it was made of). Tokenizer, chat template, licence (clause by\n"
        "clause), card, configuration and every other file follow. Exit code 0: the same; 1: they differ.\n\n"
        "Examples\n"
        "  freehold diff notes:v1 notes:v2\n"
        "  freehold diff ./model-q8.gguf ./model-q4.gguf --json");
    return [o] { return diff_verb(*o); };
}

}  // namespace freehold::cli
