// Two models that differ in one known place: exactly that place is found, and nothing else.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "freehold/diff/diff.h"
#include "freehold/formats/gguf_writer.h"
#include "keys.h"
#include "lines.h"
#include "support/scratch.h"
#include "tensors.h"

namespace freehold::diff {
namespace {

namespace fs = std::filesystem;
using freehold::testing::Scratch;
using freehold::testing::write_file;

// --- lines --------------------------------------------------------------------------------------------------------

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
}

// Edits of the shortest script by the table of longest common subsequences.
std::size_t edits_of(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    std::vector<std::vector<std::size_t>> common(a.size() + 1, std::vector<std::size_t>(b.size() + 1, 0));
    for (std::size_t i = 1; i <= a.size(); ++i)
        for (std::size_t j = 1; j <= b.size(); ++j)
            common[i][j] =
                a[i - 1] == b[j - 1] ? common[i - 1][j - 1] + 1 : std::max(common[i - 1][j], common[i][j - 1]);
    return a.size() + b.size() - 2 * common[a.size()][b.size()];
}

TEST(DiffLines, AreTheFewestThatTurnOneIntoTheOther) {
    std::mt19937 random(5);
    for (int round = 0; round < 500; ++round) {
        const auto make = [&] {
            std::vector<std::string> lines(random() % 12);
            for (std::string& line : lines) line = std::string(1, static_cast<char>('a' + random() % 4));
            return lines;
        };
        const auto a = make(), b = make();
        const TextChange change = compare_lines("x", joined(a), joined(b), 1000);
        EXPECT_EQ(change.added + change.removed, edits_of(a, b));
        std::vector<std::string> left, right;
        for (const Line& line : change.lines) {
            if (line.mark != '+') left.push_back(line.text);
            if (line.mark != '-') right.push_back(line.text);
            EXPECT_TRUE(line.mark == '+' || line.text == a.at(line.number_a - 1));
            EXPECT_TRUE(line.mark == '-' || line.text == b.at(line.number_b - 1));
        }
        if (a == b) {
            EXPECT_TRUE(change.lines.empty());
            continue;
        }
        EXPECT_EQ(left, a);
        EXPECT_EQ(right, b);
    }
}

TEST(DiffLines, StayBounded) {
    std::string a, b;
    for (int i = 0; i < 20000; ++i) {
        a += "a" + std::to_string(i) + "\n";
        b += "b" + std::to_string(i) + "\n";
    }
    const TextChange change = compare_lines("x", a, b);
    EXPECT_EQ(change.added, 20000U);
    EXPECT_EQ(change.removed, 20000U);
    EXPECT_EQ(change.lines.size(), 2000U);
    EXPECT_TRUE(change.cut);
    EXPECT_TRUE(compare_lines("x", "a\r\nb", "a\nb\n").lines.empty());
}

TEST(DiffKeys, TellAddedRemovedAndChanged) {
    ValueMap a{{"same", Value(1)}, {"gone", Value("x")}, {"deep", Value(ValueMap{{"v", Value(1)}})}};
    ValueMap b{{"same", Value(1)}, {"new", Value(true)}, {"deep", Value(ValueMap{{"v", Value(2)}})}};
    Flat left, right;
    flatten(a, {}, left);
    flatten(b, {}, right);
    const auto changes = compare_keys(left, right);
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[0].key, "deep.v");
    EXPECT_EQ(changes[0].b, "2");
    EXPECT_EQ(changes[1].change, Change::removed);
    EXPECT_EQ(changes[2].change, Change::added);
    // Long lists that differ late are not called alike.
    std::vector<std::string> many(1000, "x");
    const std::string before = leaf_text(Value(many));
    many.back() = "y";
    EXPECT_NE(before, leaf_text(Value(many)));
}

TEST(DiffTensors, AreOrderedAndGroupedAsPeopleCount) {
    EXPECT_TRUE(counts_before("blk.2.a", "blk.10.a"));
    EXPECT_FALSE(counts_before("blk.10.a", "blk.2.a"));
    EXPECT_TRUE(counts_before("a", "a.b"));
    EXPECT_NE(counts_before("blk.01", "blk.1"), counts_before("blk.1", "blk.01"));
    EXPECT_FALSE(counts_before("x1y", "x1y"));
    EXPECT_EQ(layer_of("blk.12.attn_q.weight"), "layer 12");
    EXPECT_EQ(layer_of("model.layers.3.mlp.up_proj.weight"), "layer 3");
    EXPECT_EQ(layer_of("encoder.layer.0.output.dense.bias"), "layer 0");
    EXPECT_EQ(layer_of("transformer.h.7.ln_1.weight"), "layer 7");
    EXPECT_EQ(layer_of("base_model.model.model.layers.4.self_attn.q_proj.lora_A.weight"), "layer 4");
    EXPECT_EQ(layer_of("token_embd.weight"), "embedding");
    EXPECT_EQ(layer_of("output_norm.weight"), "output");
    EXPECT_EQ(layer_of("model.norm.weight"), "output");
    EXPECT_EQ(layer_of("rope_freqs.weight"), "other");
}

// --- models -------------------------------------------------------------------------------------------------------

struct Maker {
    std::vector<float> values = std::vector<float>(64 * 600, 0.0F);
    bool q8 = false, extra = false, wide = false;
    std::string text = "{{ messages }}\nline two\n";
    std::vector<std::string> tokens{"<s>", "a", "b", "ab"};
    std::vector<std::string> merges{"a b"};
    std::int64_t bos = 0, context = 128;

    Maker() {
        std::mt19937 random(1);
        for (float& v : values) v = static_cast<float>(random() % 2000) * 0.001F - 1.0F;
    }
    void write(const fs::path& path) const {
        GgufWriter writer;
        writer.set("general.architecture", Value("llama"));
        writer.set("llama.context_length", Value(context));
        writer.set("tokenizer.ggml.model", Value("gpt2"));
        writer.set("tokenizer.ggml.tokens", Value(tokens));
        writer.set("tokenizer.ggml.merges", Value(merges));
        writer.set("tokenizer.ggml.bos_token_id", Value(bos));
        writer.set("tokenizer.chat_template", Value(text));
        Tensor big = Tensor::from_f32(wide ? Shape({64, 600}) : Shape({600, 64}), values);
        if (q8) {
            const DTypeTraits& t = traits(DType::Q8_0);
            Tensor small = Tensor::zeros(DType::Q8_0, big.shape());
            t.from_f32(values.data(), const_cast<std::byte*>(small.data()), values.size());
            big = small;
        }
        writer.add_tensor("blk.3.attn_q.weight", big);
        writer.add_tensor("token_embd.weight", Tensor::from_f32(Shape({1, 32}), std::vector<float>(32, 0.5F)));
        if (extra)
            writer.add_tensor("blk.10.ffn_up.weight", Tensor::from_f32(Shape({1, 32}), std::vector<float>(32, 1.0F)));
        writer.write(path);
    }
};

struct Pair {
    Scratch scratch;
    Store store = Store::open(scratch / "home");
    Maker a, b;
    Options options;

    Report run() {
        a.write(scratch / "a.gguf");
        b.write(scratch / "b.gguf");
        return compare(find_side(store, (scratch / "a.gguf").string()), find_side(store, (scratch / "b.gguf").string()),
                       options);
    }
};

TEST(Diff, FindsNothingWhereNothingIs) {
    Pair pair;
    const Report report = pair.run();
    EXPECT_TRUE(report.same()) << to_json(to_value(report), 1);
    EXPECT_EQ(report.tensors.same, 2U);
    EXPECT_TRUE(report.notes.empty());
}

TEST(Diff, MeasuresValues) {
    Pair pair;
    pair.b.values[5] += 0.5F;
    pair.b.values[38000] -= 0.25F;
    const Report report = pair.run();
    EXPECT_FALSE(report.same());
    ASSERT_EQ(report.tensors.changes.size(), 1U);
    const TensorChange& change = report.tensors.changes[0];
    EXPECT_EQ(change.name, "blk.3.attn_q.weight");
    EXPECT_FALSE(change.dtype || change.shape);
    ASSERT_TRUE(change.numbers);
    EXPECT_EQ(change.numbers->count, 38400U);
    EXPECT_EQ(change.numbers->changed, 2U);
    EXPECT_NEAR(change.numbers->largest, 0.5, 1e-6);
    EXPECT_NEAR(change.numbers->rms, std::sqrt((0.25 + 0.0625) / 38400), 1e-9);
    double squares = 0;
    for (const float v : pair.a.values) squares += static_cast<double>(v) * v;
    EXPECT_NEAR(change.numbers->relative, std::sqrt(0.3125 / squares), 1e-9);
    ASSERT_EQ(report.tensors.layers.size(), 2U);
    EXPECT_EQ(report.tensors.layers[0].layer, "embedding");
    EXPECT_EQ(report.tensors.layers[0].tensors_changed, 0U);
    EXPECT_EQ(report.tensors.layers[1].layer, "layer 3");
    EXPECT_EQ(report.tensors.layers[1].numbers.changed, 2U);
    pair.options.values = false;
    EXPECT_TRUE(pair.run().same());
}

TEST(Diff, TakesNaNForItselfAndZeroForMinusZero) {
    Pair pair;
    pair.a.values[0] = pair.b.values[0] = std::nanf("");
    pair.a.values[1] = 0.0F;
    pair.b.values[1] = -0.0F;
    pair.a.values[2] = pair.b.values[2] = INFINITY;
    pair.b.values[3] = std::nanf("");
    const Report report = pair.run();
    ASSERT_EQ(report.tensors.changes.size(), 1U);
    EXPECT_EQ(report.tensors.changes[0].numbers->changed, 1U);
    EXPECT_EQ(report.tensors.changes[0].numbers->not_finite, 1U);
    EXPECT_EQ(report.tensors.changes[0].numbers->largest, 0);
}

TEST(Diff, HoldsAQuantisedModelAgainstItsOwn) {
    Pair pair;
    pair.b.q8 = true;
    const Report report = pair.run();
    ASSERT_EQ(report.tensors.changes.size(), 1U);
    const TensorChange& change = report.tensors.changes[0];
    EXPECT_TRUE(change.dtype);
    EXPECT_EQ(change.dtype_a, "F32");
    EXPECT_EQ(change.dtype_b, "Q8_0");
    EXPECT_GT(change.numbers->changed, 30000U);
    EXPECT_LT(change.numbers->largest, 1.0 / 127);
    EXPECT_LT(change.numbers->relative, 0.01);
}

TEST(Diff, NamesTensorsThatComeGoAndTurn) {
    Pair pair;
    pair.b.extra = true;
    pair.b.wide = true;
    const Report report = pair.run();
    ASSERT_EQ(report.tensors.changes.size(), 2U);
    EXPECT_EQ(report.tensors.changes[0].name, "blk.3.attn_q.weight");
    EXPECT_TRUE(report.tensors.changes[0].shape);
    EXPECT_FALSE(report.tensors.changes[0].why_not.empty());
    EXPECT_EQ(report.tensors.changes[1].change, Change::added);
    EXPECT_EQ(report.tensors.changes[1].layer, "layer 10");
}

TEST(Diff, ComparesTokenizersTemplatesAndKeys) {
    Pair pair;
    pair.b.tokens = {"<s>", "b", "a", "ab", "new"};
    pair.b.merges = {"a b", "ab a"};
    pair.b.bos = 1;
    pair.b.text = "{{ messages }}\nline 2\n";
    pair.b.context = 256;
    const Report report = pair.run();
    EXPECT_TRUE(report.tensors.changes.empty());
    const Tokenizer& t = report.tokenizer;
    EXPECT_EQ(t.added, 1U);
    EXPECT_EQ(t.removed, 0U);
    EXPECT_EQ(t.moved, 2U);
    EXPECT_EQ(t.added_examples.at(0), "\"new\" (4)");
    EXPECT_EQ(t.merges_added, 1U);
    EXPECT_FALSE(t.merges_reordered);
    ASSERT_EQ(t.special.size(), 1U);
    EXPECT_EQ(t.special[0].key, "bos_token");
    ASSERT_EQ(report.templates.size(), 1U);
    EXPECT_EQ(report.templates[0].added, 1U);
    EXPECT_EQ(report.templates[0].removed, 1U);
    ASSERT_EQ(report.config.size(), 1U);
    EXPECT_EQ(report.config[0].key, "llama.context_length");
    pair.b.merges = {"ab a", "a b"};
    pair.a.merges = {"a b", "ab a"};
    EXPECT_TRUE(pair.run().tokenizer.merges_reordered);
}

// --- folders ------------------------------------------------------------------------------------------------------

void write_folder(const fs::path& dir, const std::string& licence, const std::string& normaliser = "null") {
    write_file(dir / "config.json", R"({"model_type":"llama","hidden_size":2})");
    write_file(dir / "model.safetensors", testing::tiny_safetensors(1));
    write_file(
        dir / "tokenizer.json",
        R"({"version":"1.0","normalizer":)" + normaliser +
            R"(,"added_tokens":[{"id":2,"content":"<s>","special":true}],"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a","b"]]}})");
    write_file(dir / "tokenizer_config.json", R"({"bos_token":"<s>","chat_template":"{{ x }}"})");
    write_file(dir / "README.md", "---\nlicense: mit\ntags:\n- a\n- b\n---\n# Model\nText.\n");
    write_file(dir / "LICENSE", licence);
}

std::string licence_text(const char* name) {
    return testing::read_file(std::string(FREEHOLD_SOURCE_DIR) + "/src/share/licence/texts/" + name);
}

TEST(Diff, ComparesFoldersWithTheirTexts) {
    const Scratch scratch;
    const Store store = Store::open(scratch / "home");
    const std::string mit = licence_text("MIT.txt"), apache = licence_text("Apache-2.0.txt");
    write_folder(scratch / "a", mit);
    write_folder(scratch / "b", mit);
    const auto run = [&] {
        return compare(find_side(store, (scratch / "a").string()), find_side(store, (scratch / "b").string()), {});
    };
    EXPECT_TRUE(run().same()) << to_json(to_value(run()), 1);
    write_folder(scratch / "b", apache, R"({"type":"NFC"})");
    write_file(scratch / "b" / "README.md", "---\nlicense: apache-2.0\ntags:\n- a\n- c\n---\n# Model\nOther text.\n");
    const Report report = run();
    EXPECT_TRUE(report.tensors.changes.empty());
    ASSERT_EQ(report.tokenizer.parts.size(), 1U);
    EXPECT_EQ(report.tokenizer.parts[0].key, "normalizer");
    EXPECT_TRUE(report.templates.empty());
    EXPECT_TRUE(report.config.empty());
    ASSERT_EQ(report.card.size(), 2U);
    EXPECT_EQ(report.card[0].b, "apache-2.0");
    EXPECT_EQ(report.card[1].b, "- a / - c");
    ASSERT_EQ(report.card_prose.size(), 1U);
    EXPECT_EQ(report.card_prose[0].added, 1U);
    EXPECT_TRUE(report.licence.differs);
    bool patents = false;
    for (const ClauseChange& clause : report.licence.clauses)
        patents = patents || clause.question.find("atent") != std::string::npos;
    EXPECT_TRUE(patents) << "Apache licenses patents and MIT does not";
    // The same licence with one clause turned round.
    std::string turned = apache;
    const auto at = turned.find("You may reproduce and distribute");
    ASSERT_NE(at, std::string::npos);
    turned.replace(at, 7, "You may not");
    write_folder(scratch / "a", apache, R"({"type":"NFC"})");
    write_folder(scratch / "b", turned, R"({"type":"NFC"})");
    const Report altered = run();
    EXPECT_TRUE(altered.licence.differs);
    ASSERT_FALSE(altered.licence.altered.empty());
    EXPECT_TRUE(altered.licence.altered[0].starts_with("b: LICENSE:"));
    ASSERT_EQ(altered.licence.texts.size(), 1U);
    EXPECT_EQ(altered.licence.texts[0].added, 1U);
}

// Code or a pickle beside the same weights is another model for whoever loads it.
TEST(Diff, TellsFilesThatAreNoPartItKnows) {
    const Scratch scratch;
    const Store store = Store::open(scratch / "home");
    const std::string mit = licence_text("MIT.txt");
    write_folder(scratch / "a", mit);
    write_folder(scratch / "b", mit);
    const auto run = [&] {
        return compare(find_side(store, (scratch / "a").string()), find_side(store, (scratch / "b").string()), {});
    };
    write_file(scratch / "a" / "gone.txt", "x");
    write_file(scratch / "a" / "a" / "b" / "c" / "d" / "e" / "same.txt", "y");
    write_file(scratch / "b" / "a" / "b" / "c" / "d" / "e" / "same.txt", "y");
    write_file(scratch / "a" / "vocab.json", "1");
    write_file(scratch / "b" / "vocab.json", "2");
    write_file(scratch / "b" / "modeling_x.py", "import os\nos.system('id')\n");
    write_file(scratch / "b" / "a" / "b" / "c" / "d" / "e" / "extra.npy", "z");
    const Report report = run();
    EXPECT_FALSE(report.same());
    ASSERT_EQ(report.files.size(), 4U) << to_json(to_value(report), 1);
    EXPECT_EQ(report.files[0].name, "a/b/c/d/e/extra.npy");
    EXPECT_EQ(report.files[0].change, Change::added);
    EXPECT_EQ(report.files[1].change, Change::removed);
    EXPECT_EQ(report.files[2].name, "modeling_x.py");
    EXPECT_EQ(report.files[3].change, Change::changed);
}

TEST(Diff, KnowsEqualFilesByTheirDigests) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    Maker().write(scratch / "a.gguf");
    NewFile file;
    file.path = "a.gguf";
    file.at = scratch / "a.gguf";
    store.add(ModelName::parse("x:1"), {file}, {});
    ModelRecord other;
    other.description = "another version";
    store.add(ModelName::parse("x:2"), {file}, other);
    const Report report = compare(find_side(store, "x:1"), find_side(store, "x:2"), {});
    EXPECT_TRUE(report.same_files);
    EXPECT_TRUE(report.same());
}

}  // namespace
}  // namespace freehold::diff
