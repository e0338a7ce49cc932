// The report as a tree of values, for --json.
// Its keys are part of the interface: new ones are added, old ones stay.
#include "freehold/base/printable.h"
#include "freehold/diff/diff.h"

namespace freehold::diff {
namespace {

ValueMap numbers_value(const Numbers& n) {
    ValueMap out;
    out.set("count", n.count);
    out.set("changed", n.changed);
    out.set("not_finite", n.not_finite);
    out.set("largest", n.largest);
    out.set("rms", n.rms);
    out.set("relative", n.relative);
    return out;
}

Value shape_value(const std::vector<std::int64_t>& shape) {
    ValueList out;
    for (const std::int64_t d : shape) out.emplace_back(d);
    return Value(std::move(out));
}

Value tensor_value(const TensorChange& t) {
    ValueMap out;
    out.set("name", t.name);
    out.set("layer", t.layer);
    out.set("change", change_name(t.change));
    ValueList what;
    if (t.dtype) what.emplace_back("dtype");
    if (t.shape) what.emplace_back("shape");
    if (t.values) what.emplace_back("values");
    out.set("differs", std::move(what));
    if (!t.dtype_a.empty()) out.set("a", ValueMap{{"dtype", Value(t.dtype_a)}, {"shape", shape_value(t.shape_a)}});
    if (!t.dtype_b.empty()) out.set("b", ValueMap{{"dtype", Value(t.dtype_b)}, {"shape", shape_value(t.shape_b)}});
    if (t.numbers) out.set("values", numbers_value(*t.numbers));
    if (!t.why_not.empty()) out.set("values_not_compared", t.why_not);
    return Value(std::move(out));
}

ValueMap tensors_value(const Tensors& t) {
    ValueMap out;
    out.set("a", t.count_a);
    out.set("b", t.count_b);
    out.set("same", t.same);
    out.set("values_compared", t.values_compared);
    ValueList changes, layers;
    for (const TensorChange& change : t.changes) changes.push_back(tensor_value(change));
    for (const LayerChange& layer : t.layers) {
        ValueMap one;
        one.set("layer", layer.layer);
        one.set("tensors", layer.tensors);
        one.set("tensors_changed", layer.tensors_changed);
        one.set("values", numbers_value(layer.numbers));
        layers.emplace_back(std::move(one));
    }
    out.set("changes", std::move(changes));
    out.set("layers", std::move(layers));
    return out;
}

Value keys_value(const std::vector<KeyChange>& keys) {
    ValueList out;
    for (const KeyChange& key : keys) {
        ValueMap one;
        one.set("key", key.key);
        one.set("change", change_name(key.change));
        if (key.change != Change::added) one.set("a", key.a);
        if (key.change != Change::removed) one.set("b", key.b);
        out.emplace_back(std::move(one));
    }
    return Value(std::move(out));
}

Value texts_value(const std::vector<TextChange>& texts) {
    ValueList out;
    for (const TextChange& text : texts) {
        ValueMap one;
        one.set("name", text.name);
        one.set("in_a", text.in_a);
        one.set("in_b", text.in_b);
        one.set("lines_added", text.added);
        one.set("lines_removed", text.removed);
        one.set("cut", text.cut);
        ValueList lines;
        for (const Line& line : text.lines) {
            ValueMap l;
            l.set("mark", std::string(1, line.mark));
            if (line.number_a > 0) l.set("line_a", std::int64_t{line.number_a});
            if (line.number_b > 0) l.set("line_b", std::int64_t{line.number_b});
            l.set("text", line.text);
            lines.emplace_back(std::move(l));
        }
        one.set("lines", std::move(lines));
        out.emplace_back(std::move(one));
    }
    return Value(std::move(out));
}

ValueMap tokenizer_value(const Tokenizer& t) {
    ValueMap out;
    out.set("in_a", t.in_a);
    out.set("in_b", t.in_b);
    out.set("same", t.same());
    out.set("size_a", t.size_a);
    out.set("size_b", t.size_b);
    out.set("added", t.added);
    out.set("removed", t.removed);
    out.set("moved", t.moved);
    out.set("added_examples", t.added_examples);
    out.set("removed_examples", t.removed_examples);
    out.set("moved_examples", t.moved_examples);
    out.set("scores_changed", t.scores_changed);
    out.set("types_changed", t.types_changed);
    out.set("merges_a", t.merges_a);
    out.set("merges_b", t.merges_b);
    out.set("merges_added", t.merges_added);
    out.set("merges_removed", t.merges_removed);
    out.set("merges_reordered", t.merges_reordered);
    out.set("special", keys_value(t.special));
    out.set("parts", keys_value(t.parts));
    return out;
}

ValueMap licence_value(const Licences& l) {
    ValueMap out;
    out.set("differs", l.differs);
    out.set("a", l.a);
    out.set("b", l.b);
    out.set("altered", l.altered);
    ValueList clauses;
    for (const ClauseChange& clause : l.clauses) {
        ValueMap one;
        one.set("question", clause.question);
        one.set("a", clause.answer_a);
        one.set("b", clause.answer_b);
        if (!clause.quote_a.empty()) one.set("quote_a", clause.quote_a);
        if (!clause.quote_b.empty()) one.set("quote_b", clause.quote_b);
        clauses.emplace_back(std::move(one));
    }
    out.set("clauses", std::move(clauses));
    out.set("texts", texts_value(l.texts));
    return out;
}

Value side_value(const Side& side) {
    ValueMap out;
    out.set("name", side.name);
    if (!side.digest.empty()) out.set("digest", side.digest);
    return Value(std::move(out));
}

}  // namespace

Value to_value(const Report& report) {
    ValueMap out;
    out.set("a", side_value(report.a));
    out.set("b", side_value(report.b));
    out.set("same", report.same());
    out.set("same_files", report.same_files);
    out.set("tensors", tensors_value(report.tensors));
    out.set("tokenizer", tokenizer_value(report.tokenizer));
    out.set("templates", texts_value(report.templates));
    out.set("licence", licence_value(report.licence));
    out.set("card", keys_value(report.card));
    out.set("card_prose", texts_value(report.card_prose));
    out.set("config", keys_value(report.config));
    ValueList files;
    for (const FileChange& file : report.files) {
        ValueMap one;
        one.set("name", printable(file.name, 1000));
        one.set("change", change_name(file.change));
        one.set("size_a", file.size_a);
        one.set("size_b", file.size_b);
        files.emplace_back(std::move(one));
    }
    out.set("files", std::move(files));
    out.set("notes", report.notes);
    return Value(std::move(out));
}

}  // namespace freehold::diff
