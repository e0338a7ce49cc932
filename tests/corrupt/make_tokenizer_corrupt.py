# Makes tests/corrupt/tokenizer: one file per fault of a tokenizer, and EXPECTED.tsv with the kind of error and a phrase of
# its message. A file NAME.json is a tokenizer.json, NAME.gguf.json the keys of a GGUF file, NAME.model a SentencePiece model.
#
#   python tests/corrupt/make_tokenizer_corrupt.py
import copy
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "tokenizer"
HERE.mkdir(exist_ok=True)
rows = []

BASE = {"version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": 5, "content": "<s>", "special": True, "normalized": False}],
        "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "post_processor": None,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": [["a", "b"], "ab c"]}}
GGUF = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": ["a", "b", "ab", "<s>"],
        "tokenizer.ggml.token_type": [1, 1, 1, 3], "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.scores": [-1.0, -2.0, -3.0, 0.0]}


def write(name, data, kind, phrase):
    (HERE / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    rows.append(f"{name}\t{kind}\t{phrase}")


def hf(name, change, kind, phrase):
    j = copy.deepcopy(BASE)
    change(j)
    write(name + ".json", json.dumps(j, separators=(",", ":")), kind, phrase)


def gguf(name, change, kind, phrase):
    j = copy.deepcopy(GGUF)
    change(j)
    write(name + ".gguf.json", json.dumps(j, separators=(",", ":")), kind, phrase)


def at(path, value):
    def change(j):
        *way, last = path.split("/")
        for step in way:
            j = j[int(step) if isinstance(j, list) else step]
        if value is KeyError:
            del j[last]
        else:
            j[int(last) if isinstance(j, list) else last] = value
    return change


whole = json.dumps(BASE)
write("truncated.json", whole[:len(whole) // 2], "bad_file", "not valid JSON")
write("empty.json", "", "bad_file", "not valid JSON")
write("no_object.json", "[1,2]", "bad_file", "no object \"model\"")
write("deep.json", "{\"model\":" + "[" * 3000 + "]" * 3000 + "}", "bad_file", "not valid JSON")
write("not_utf8.json", b'{"model":{"vocab":{"\xff":0}}}', "bad_file", "not valid JSON")
hf("model_missing", at("model", KeyError), "bad_file", "no object \"model\"")
hf("model_unknown", at("model/type", "Magic"), "unsupported", "Magic")
hf("vocab_missing", at("model/vocab", KeyError), "bad_file", "model.vocab")
hf("vocab_list", at("model/vocab", ["a"]), "bad_file", "model.vocab")
hf("id_negative", at("model/vocab/c", -1), "bad_file", "negative id")
hf("id_duplicate", at("model/vocab/c", 1), "bad_file", "the id 1 is given")
hf("id_huge", at("model/vocab/c", 2 ** 40), "bad_file", "far beyond")
hf("id_beyond_64_bits", at("model/vocab/c", 2 ** 63), "bad_file", "not a whole number")
hf("id_real", at("model/vocab/c", 1.5), "bad_file", "not a whole number")
write("token_twice.json", whole.replace('"c": 2', '"c": 2, "c": 6'), "bad_file", "stands there twice")
hf("merges_missing", at("model/merges", KeyError), "bad_file", "model.merges")
hf("merge_names_none", at("model/merges/0", ["a", "z"]), "bad_file", "names a token that the vocabulary does not have")
hf("merge_makes_none", at("model/merges/0", ["b", "c"]), "bad_file", "makes a token that the vocabulary does not have")
hf("merge_empty", at("model/merges/0", ["a", ""]), "bad_file", "has an empty side")
hf("merge_of_itself", at("model/merges/0", ["ab", ""]), "bad_file", "has an empty side")
hf("merge_three", at("model/merges/0", ["a", "b", "c"]), "bad_file", "not a pair")
hf("merge_without_space", at("model/merges/1", "abc"), "bad_file", "one space")
hf("merge_two_spaces", at("model/merges/1", "a b c"), "bad_file", "one space")
hf("dropout", at("model/dropout", 0.1), "unsupported", "dropout")
hf("added_id_taken", at("added_tokens/0/id", 2), "bad_file", "the id 2 is given")
hf("added_id_negative", at("added_tokens/0/id", -7), "bad_file", "negative id")
hf("added_without_id", at("added_tokens/0/id", KeyError), "bad_file", "negative id")
hf("added_too_long", at("added_tokens/0/content", "x" * 2000), "bad_file", "2000 bytes long")
hf("regex_broken", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}), "bad_file", "does not compile")
hf("regex_class_open", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "[a"}, "behavior": "Isolated"}), "bad_file", "without its ]")
hf("regex_explodes", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(?:a|aa|a|aa)+\\z.(?=\\p{Zs}!)"}, "behavior": "Isolated"}), "limit", "too many steps")
hf("regex_recursion", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "((?1)+)"}, "behavior": "Isolated"}), "bad_file", "pattern")
hf("regex_callout", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(?C1)a"}, "behavior": "Isolated"}), "unsupported", "callout")
hf("regex_verb", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(*NO_JIT)a"}, "behavior": "Isolated"}), "unsupported", "(*")
hf("regex_one_byte", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "\\C"}, "behavior": "Isolated"}), "bad_file", "does not compile")
hf("regex_too_long", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "a" * 70000}, "behavior": "Isolated"}), "limit", "70000 bytes")
hf("regex_intersection", at("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "[a-z&&[^b]]"}, "behavior": "Isolated"}), "unsupported", "intersection")
hf("behavior_unknown", at("pre_tokenizer", {"type": "Split", "pattern": {"String": "a"}, "behavior": "Eaten"}), "bad_file", "Eaten")
hf("pre_tokenizer_unknown", at("pre_tokenizer/type", "Oracle"), "unsupported", "Oracle")
hf("normalizer_unknown", at("normalizer", {"type": "Oracle"}), "unsupported", "Oracle")
hf("decoder_unknown", at("decoder", {"type": "Oracle"}), "unsupported", "Oracle")
hf("post_processor_unknown", at("post_processor", {"type": "Oracle"}), "unsupported", "Oracle")
hf("sequence_endless", at("normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 100}), "bad_file", "more parts")
hf("sequence_without_list", at("normalizer", {"type": "Sequence"}), "bad_file", "normalizers")
hf("part_without_type", at("normalizer", {}), "bad_file", "type")
hf("template_unknown_token", at("post_processor", {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>"}}], "special_tokens": {}}), "bad_file", "<x>")
hf("template_id_beyond", at("post_processor", {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"ids": [99]}}}), "bad_file", "vocabulary has not")
hf("charsmap_broken", at("normalizer", {"type": "Precompiled", "precompiled_charsmap": "/////w=="}), "bad_file", "trie")
hf("charsmap_no_base64", at("normalizer", {"type": "Precompiled", "precompiled_charsmap": "a!b"}), "bad_file", "base64")
hf("unigram_score_missing", at("model", {"type": "Unigram", "unk_id": 0, "vocab": [["a"]]}), "bad_file", "piece with its score")
hf("unigram_unk_beyond", at("model", {"type": "Unigram", "unk_id": 9, "vocab": [["a", -1.0]]}), "bad_file", "unk_id")

P = "tokenizer.ggml."
gguf("model_missing", at(P + "model", KeyError), "bad_file", P + "model is missing")
gguf("model_unknown", at(P + "model", "magic"), "unsupported", "magic")
gguf("model_none", at(P + "model", "none"), "unsupported", "no tokenizer")
gguf("pre_unknown", at(P + "pre", "oracle"), "unsupported", "oracle")
gguf("tokens_missing", at(P + "tokens", KeyError), "bad_file", P + "tokens is missing")
gguf("tokens_numbers", at(P + "tokens", [1, 2]), "bad_file", P + "tokens")
gguf("token_twice", at(P + "tokens", ["a", "b", "ab", "a"]), "bad_file", "stands there twice")
gguf("types_short", at(P + "token_type", [1, 1]), "bad_file", "2 entries for 4 tokens")
gguf("merges_missing", at(P + "merges", KeyError), "bad_file", P + "merges is missing")
gguf("merge_names_none", at(P + "merges", ["a z"]), "bad_file", "names a token")
gguf("merge_without_space", at(P + "merges", ["ab"]), "bad_file", "merges[0]")
gguf("merge_empty", at(P + "merges", ["a "]), "bad_file", "empty side")
gguf("bos_text", at(P + "bos_token_id", "one"), "bad_file", "bos_token_id")


def spm(name, change, kind, phrase):
    j = copy.deepcopy(GGUF)
    j[P + "model"] = "llama"
    change(j)
    write(name + ".gguf.json", json.dumps(j, separators=(",", ":")), kind, phrase)


spm("scores_missing", at(P + "scores", KeyError), "bad_file", "scores is missing")
spm("scores_short", at(P + "scores", [1.0]), "bad_file", "1 entries for 4 tokens")
spm("scores_text", at(P + "scores", ["a", "b", "c", "d"]), "bad_file", "scores[0]")


def field(number, wire, data):
    return bytes([number << 3 | wire]) + data


def blob(number, data):
    return field(number, 2, bytes([len(data)]) + data)


piece = lambda text, score, kind: blob(1, blob(1, text) + field(2, 5, struct.pack("<f", score)) + field(3, 0, bytes([kind])))
good = piece(b"<unk>", 0, 2) + piece(b"a", -1, 1)
write("length_beyond.model", good + b"\x0a\x7f" + b"xx", "bad_file", "ends beyond the file")
write("varint_endless.model", good + b"\x0a" + b"\xff" * 11, "bad_file", "longer than ten bytes")
write("varint_cut.model", good + b"\x0a\xff", "bad_file", "ends in the middle")
write("wire_type.model", good + b"\x0f", "bad_file", "wire type")
write("no_pieces.model", blob(2, field(3, 0, b"\x02")), "bad_file", "no pieces")
write("piece_twice.model", good + piece(b"a", -2, 1), "bad_file", "stands there twice")
write("piece_type.model", good + piece(b"b", -2, 77), "bad_file", "unknown type")
write("score_short.model", good + blob(1, blob(1, b"b") + field(2, 2, b"\x02ab")), "bad_file", "four bytes")
write("score_nan.model", good + piece(b"b", float("nan"), 1), "bad_file", "not a number")
write("kind_words.model", good + blob(2, field(3, 0, b"\x03")), "unsupported", "words or characters")
write("charsmap_beyond.model", good + blob(3, blob(2, struct.pack("<I", 4096) + b"ab")), "bad_file", "trie")
(HERE / "EXPECTED.tsv").write_text("".join(r + "\n" for r in rows))
