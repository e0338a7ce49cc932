# Makes tests/golden/tokenizers: small tokenizers of every kind that we read, trained here on a public-domain text, with
# the ids and texts that their makers' libraries give for odd lines.
#
#   python tests/oracle/make_tokenizer_vectors.py --text tinyshakespeare.txt [--only NAME,NAME]
#
# Needs: pip install tokenizers sentencepiece. The text is Project Gutenberg's Shakespeare (public domain).
import argparse
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tokenizers_live as live

HERE = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tokenizers"
L3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = L3.replace(r"\p{N}{1,3}", r"\p{N}")
V3 = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pre, normalizer=None, **options):
    t = Tokenizer(models.BPE(**options))
    t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    return t, trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)


def split_then_bytes(*patterns, behavior="isolated", invert=False):
    parts = [pre_tokenizers.Split(Regex(p), behavior, invert) for p in patterns]
    return pre_tokenizers.Sequence(parts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pieces(pre, normalizer, decoder, **options):
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if options.get("byte_fallback") else []
    t = Tokenizer(models.BPE(unk_token="<unk>", **options))
    t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoder
    extra = {k: v for k, v in options.items() if k in ("continuing_subword_prefix", "end_of_word_suffix")}
    return t, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, show_progress=False,
                                  limit_alphabet=120, **extra)


def fallback_decoder(strip):
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(parts + ([decoders.Strip(" ", 1, 0)] if strip else []))


def bos(t, token):
    t.post_processor = processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B",
                                                     special_tokens=[(token, t.token_to_id(token))])


def build(text):
    made = {}

    def add(name, pair, tokens=(), after=None):
        t, trainer = pair
        t.train_from_iterator(text, trainer)
        t.add_tokens([x for x in tokens if not x.special])
        t.add_special_tokens([x for x in tokens if x.special])
        if after:
            after(t)
        made[name] = t

    special = lambda s, **k: AddedToken(s, special=True, normalized=False, **k)
    plain = lambda s, **k: AddedToken(s, special=False, **k)
    add("gpt2", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)), [special("<|endoftext|>")])
    add("prefix_space", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)), [special("<s>", lstrip=True), special("</s>", rstrip=True)])
    add("llama3", byte_level(split_then_bytes(L3), ignore_merges=True), [special("<|begin_of_text|>"), special("<|eot_id|>")],
        lambda t: bos(t, "<|begin_of_text|>"))
    add("qwen", byte_level(split_then_bytes(QWEN), normalizers.NFC()), [special("<|im_start|>"), special("<|im_end|>"), plain("<tool_call>", normalized=False)])
    add("deepseek", byte_level(split_then_bytes(*V3)), [special("<\uff5cbegin\u2581of\u2581sentence\uff5c>"), plain("<think>", normalized=True)])
    add("o200k", byte_level(split_then_bytes(O200K)), [special("<|endoftext|>")])
    add("tekken", byte_level(split_then_bytes(TEKKEN), ignore_merges=True), [special("<s>"), special("</s>")], lambda t: bos(t, "<s>"))
    add("bloom", byte_level(split_then_bytes(BLOOM)), [special("<s>"), special("</s>")])
    add("inverted", byte_level(split_then_bytes(L3, behavior="removed", invert=True)), [plain("    ", normalized=True), plain("  ", normalized=True)])
    add("starcoder", byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])))
    add("falcon", byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])))
    add("neox", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC()),
        [special("<|endoftext|>"), plain("  ", normalized=True), plain("   ", normalized=True), plain("caf\u00e9", normalized=True)])
    add("spm_prepend", pieces(None, normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]),
                              fallback_decoder(True), byte_fallback=True, fuse_unk=True), [], lambda t: bos(t, "<s>"))
    add("spm_gemma", pieces(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "\u2581"),
                            fallback_decoder(False), byte_fallback=True, fuse_unk=True), [special("<bos>"), plain("\n\n", normalized=False)])
    for scheme, split in (("first", False), ("always", True), ("never", True)):
        add(f"metaspace_{scheme}", pieces(pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split), None,
                                          decoders.Metaspace(prepend_scheme=scheme, split=split), fuse_unk=scheme == "first"))
    add("word_ends", pieces(pre_tokenizers.WhitespaceSplit(), normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents()]),
                            decoders.BPEDecoder(), end_of_word_suffix="</w>"), [plain("don't", single_word=True, normalized=True)])
    add("word_parts", pieces(pre_tokenizers.Whitespace(), normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()]), decoders.WordPiece(),
                             continuing_subword_prefix="##"), [plain("the", single_word=True, lstrip=True, rstrip=True, normalized=False)])
    for behavior in ("removed", "merged_with_previous", "merged_with_next", "contiguous"):
        add(f"split_{behavior}", pieces(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\s|[aeiou]{2}"), behavior), pre_tokenizers.Punctuation(behavior)]),
                                        normalizers.NFD(), None))
    wp = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    wp.normalizer, wp.pre_tokenizer, wp.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    add("bert", (wp, trainers.WordPieceTrainer(vocab_size=800, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], limit_alphabet=150, show_progress=False)), [],
        lambda t: setattr(t, "post_processor", processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))))
    uni = Tokenizer(models.Unigram())
    uni.normalizer, uni.pre_tokenizer, uni.decoder = normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
    add("unigram", (uni, trainers.UnigramTrainer(vocab_size=600, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False)))
    return made


def sentence_pieces(text):
    for name, options in {
        "sp_bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                       user_defined_symbols=["<sep>", "\u2581\u2581", "\n"]),
        "sp_bpe_plain": dict(model_type="bpe", normalization_rule_name="nmt_nfkc", add_dummy_prefix=False),
        "sp_unigram": dict(model_type="unigram", normalization_rule_name="nmt_nfkc"),
        "sp_unigram_bytes": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nmt_nfkc_cf"),
    }.items():
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=out, vocab_size=620, character_coverage=0.98,
                                                 hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
        yield name, out.getvalue()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--text", required=True)
    p.add_argument("--only", default="")
    a = p.parse_args()
    only = set(filter(None, a.only.split(",")))
    words = [live.character(random.Random(i)) for i in range(300)]
    text = open(a.text, encoding="utf-8").read()[:120000].split("\n") + (live.WORDS + live.CODE + live.EMOJI + words) * 8
    full = "\n".join(text)
    for name, t in build(text).items():
        if only and name not in only:
            continue
        r = random.Random(name)
        specials = sorted(x.content for x in t.get_added_tokens_decoder().values()) * 2
        rows = []
        for _ in range(100):
            s = live.line(r, [full], specials)[:160]
            t.encode_special_tokens = True
            plain = t.encode(s, add_special_tokens=False).ids
            t.encode_special_tokens = False
            parsed = t.encode(s, add_special_tokens=True).ids
            rows.append([s, plain, parsed, t.decode(parsed, skip_special_tokens=False), t.decode(parsed, skip_special_tokens=True)])
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=True, separators=(",", ":")) + "\n")
        (folder / "lines.json").write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
    for name, model in () if only else sentence_pieces([line for line in text if "\x00" not in line]):
        sp = sentencepiece.SentencePieceProcessor(model_proto=model)
        r = random.Random(name)
        rows = []
        while len(rows) < 100:
            s = live.line(r, [full], ["<sep>"])[:160].replace("\x00", "")
            ids = sp.encode(s)
            rows.append([s, ids, ids, sp.decode(ids), sp.decode(ids)])
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.model").write_bytes(model)
        (folder / "lines.json").write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
