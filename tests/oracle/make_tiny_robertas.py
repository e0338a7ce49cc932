#!/usr/bin/env python3
"""Tiny RoBERTa and XLM-RoBERTa encoders with every parameter random, what transformers and tokenizers compute with them,
and GGUF files of them, tokenizer included, as llama.cpp's converter makes them.

Writes tests/golden/encoders/NAME/ in the form that make_tiny_encoders.py tells: NAME and NAME-rank (a classifier with one
label) of roberta (byte-level BPE) and xlm-roberta (a unigram vocabulary that SentencePiece trains, with a small table of
normalisation of its own).

Rerun from the root of the repository:  LLAMA_CPP=path/to/llama.cpp python3 tests/oracle/make_tiny_robertas.py
Needs torch, transformers, tokenizers, sentencepiece, safetensors, numpy, and a checkout of llama.cpp (made with torch 2.13,
transformers 5.23, tokenizers 0.23, sentencepiece 0.2.3 and the llama.cpp of llama-cpp-python 0.3.36).
"""
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile

import sentencepiece
import torch
import transformers as T
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "encoders"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
TEXTS = ["", "a", "The house is light.", "Stones of the sea, and the wind!", "  two  spaces   inside ", "\uff21\uff22c \u2003 wide",
         "na\u00efve \u4e2d \u00fcber & \U0001f600", "in-the-house 2026", "seas " * 7, "light wind house " * 4]
PAIRS = [("is the sea light?", "The sea is wind and light."), ("stone", ""), ("", "house"),
         ("what is in the house", "the wind " * 14), ("the wind " * 14, "and the stone"), ("seas " * 20, "winds " * 21)]
LIMITS = [8, 9, 20, 37]
CORPUS = (TEXTS + [t for p in PAIRS for t in p]) * 3
LONGEST = 42
torch.set_num_threads(1)


def byte_pairs():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL + ["<mask>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return t, None


def unigram():
    # Wide letters become narrow ones, every kind of space one kind: enough to show that the table is read.
    rules = [(0xff21 + i, 0x41 + i) for i in range(26)] + [(s, 0x20) for s in (0x9, 0xa, 0xd, 0xa0, 0x2003, 0x3000)]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as table:
        table.write("".join(f"{a:X}\t{b:X}\n" for a, b in rules))
        table.flush()
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=60, model_type="unigram", hard_vocab_limit=False, num_threads=1,
            minloglevel=2, character_coverage=0.98, normalization_rule_tsv=table.name)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    pieces = [(p.piece, p.score) for p in proto.pieces]
    # As Hugging Face numbers them: its own four in front of SentencePiece's pieces 3 and on, and a mask behind.
    vocab = [(s, 0.0) for s in SPECIAL] + pieces[3:] + [("<mask>", 0.0)]
    t = Tokenizer(models.Unigram(vocab, unk_id=3))
    t.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    t.decoder = decoders.Metaspace()
    t.add_special_tokens(SPECIAL + [AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                     special_tokens=[("<s>", 0), ("</s>", 2)])
    return t, out.getvalue()


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        with torch.no_grad():
            r = torch.randn(p.shape, generator=g)
            if "embeddings" in name and p.dim() == 2:
                p.copy_(r * 0.5)
            elif p.dim() == 2:
                p.copy_(r * 1.3 / p.shape[1] ** 0.5)
            elif "LayerNorm.weight" in name:
                p.copy_(1.0 + r * 0.3)
            else:
                p.copy_(r * 0.3)


def convert(name, folder, cls, byte_level):
    root = pathlib.Path(os.environ["LLAMA_CPP"])
    for path in (root / "gguf-py", root):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    import gguf
    from conversion import get_model_class
    base = get_model_class(cls)

    class Named(base):
        model_arch = base.model_arch

        def get_vocab_base_pre(self, tokenizer):  # it goes by checksums of published vocabularies
            return "roberta-bpe" if byte_level else super().get_vocab_base_pre(tokenizer)

    with torch.inference_mode():
        Named(folder, gguf.LlamaFileType.ALL_F32, folder / f"{name}.gguf", model_name=name).write()


def make(name, model, seed, made, pooling):
    t, pieces = made
    randomise(model, seed)
    model.eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    t.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>",
        "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>", "model_max_length": LONGEST}) + "\n")
    (folder / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]) + "\n")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": model.config.hidden_size, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean"}) + "\n")
    if pieces:
        (folder / "sentencepiece.bpe.model").write_bytes(pieces)
    convert(name, folder, model.config.architectures[0], pieces is None)
    (folder / "sentencepiece.bpe.model").unlink(missing_ok=True)
    body = getattr(model, "roberta", None) or model
    numbers, texts, pairs, cuts = [], [], [], []
    with torch.no_grad():
        for text in TEXTS:
            ids = t.encode(text).ids
            assert len(ids) <= LONGEST, (name, text, len(ids))
            h = body(torch.tensor([ids])).last_hidden_state[0]
            numbers += [h.mean(0), h[0], h[-1]]
            texts.append({"text": text, "ids": ids})
        for a, b in PAIRS:
            t.enable_truncation(LONGEST)
            e = t.encode(a, b)
            t.no_truncation()
            pairs.append({"first": a, "second": b, "ids": e.ids, "types": e.type_ids})
            if body is not model:
                numbers.append(model(torch.tensor([e.ids])).logits[0])
            for limit in LIMITS:
                t.enable_truncation(limit)
                e = t.encode(a, b)
                t.no_truncation()
                cuts.append({"first": a, "second": b, "limit": limit, "ids": e.ids, "types": e.type_ids})
    torch.cat(numbers).float().numpy().astype("<f4").tofile(folder / "expected.bin")
    (folder / "expected.json").write_text(
        json.dumps({"texts": texts, "pairs": pairs, "cuts": cuts}, ensure_ascii=False, separators=(",", ":")) + "\n")
    for f in folder.rglob("*"):
        if f.is_file():
            f.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {t.get_vocab_size()} tokens, {size} bytes", file=sys.stderr)


def main():
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=LONGEST + 2,
                 type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
    bpe, uni = byte_pairs(), unigram()
    n = {k: m[0].get_vocab_size() for k, m in (("bpe", bpe), ("uni", uni))}
    make("roberta", T.RobertaModel(T.RobertaConfig(vocab_size=n["bpe"], **sizes)), 11, bpe, "mean")
    make("roberta-rank", T.RobertaForSequenceClassification(T.RobertaConfig(vocab_size=n["bpe"], num_labels=1, **sizes)), 12, bpe, "cls")
    make("xlm-roberta", T.XLMRobertaModel(T.XLMRobertaConfig(vocab_size=n["uni"], **sizes)), 13, uni, "mean")
    make("xlm-roberta-rank", T.XLMRobertaForSequenceClassification(
        T.XLMRobertaConfig(vocab_size=n["uni"], num_labels=1, **sizes)), 14, uni, "cls")


main()
