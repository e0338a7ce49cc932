#!/usr/bin/env python3
"""Tiny encoders with every parameter random, and what transformers and tokenizers compute with them.

Writes tests/golden/encoders/NAME/: a Hugging Face folder with a small WordPiece tokenizer and the files of
sentence-transformers, NAME.gguf where llama.cpp's converter would write one, expected.json (texts, pairs, ids, token types)
and expected.bin (float32; for every text: mean, first and last row; then, where there is a classifier, its scores for every
pair).

Rerun from the root of the repository:  python3 tests/oracle/make_tiny_encoders.py
Needs torch, transformers, tokenizers, safetensors, gguf, numpy (made with torch 2.13, transformers 5.23, tokenizers 0.23).
"""
import json
import pathlib
import shutil
import string
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertForSequenceClassification, BertModel, RobertaConfig,
                          RobertaForSequenceClassification)

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "encoders"
torch.set_num_threads(1)

VOCAB = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(string.ascii_lowercase) +
         ["##" + c for c in string.ascii_lowercase] + list("0123456789.,!?-'") +
         ["the", "and", "sea", "stone", "##ing", "##er", "house", "light", "##ed", "in", "of", "is", "中", "é", "wind"])
TEXTS = ["", "a", "The house is light.", "Stones of the sea, and the wind!", "中 house 中中", "Éclairs?  naïve\tstones",
         "unbelievably long: " + "light wind house " * 7, "\u00fcber & \U0001f600", "in-the-house",
         "seas " * 11]
PAIRS = [("is the sea light?", "The sea is wind and light."), ("stone", ""), ("", "house"),
         ("what is in the house", "the wind " * 14), ("the wind " * 14, "and the stone"), ("seas " * 20, "winds " * 21)]
LIMITS = [8, 9, 20, 37]


def tokenizer(cls, sep, roberta):
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(VOCAB)}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    c, s = ("[CLS]", VOCAB.index("[CLS]")), ("[SEP]", VOCAB.index("[SEP]"))
    if roberta:
        t.post_processor = processors.RobertaProcessing(s, c, trim_offsets=True, add_prefix_space=False)
    else:
        t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                         special_tokens=[c, s])
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return t


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


def make(name, model, seed, roberta=False, pooling="mean", normalize=True, max_length=None, old_names=False):
    randomise(model, seed)
    model.eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    if old_names:
        state = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
                 for k, v in load_file(folder / "model.safetensors").items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    t = tokenizer("[CLS]", "[SEP]", roberta)
    t.save(str(folder / "tokenizer.json"), pretty=False)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": model.config.hidden_size, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False,
        "pooling_mode_lasttoken": pooling == "last"}) + "\n")
    if max_length:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_length}) + "\n")
    body = getattr(model, "bert", None) or getattr(model, "roberta", None) or model
    longest = model.config.max_position_embeddings - (model.config.pad_token_id + 1 if roberta else 0)
    numbers, texts, pairs, cuts = [], [], [], []
    with torch.no_grad():
        for text in TEXTS:
            e = t.encode(text)
            ids = e.ids[:longest]
            h = body(torch.tensor([ids])).last_hidden_state[0]
            numbers += [h.mean(0), h[0], h[-1]]
            texts.append({"text": text, "ids": ids})
        for a, b in PAIRS:
            t.enable_truncation(longest)
            e = t.encode(a, b)
            t.no_truncation()
            pairs.append({"first": a, "second": b, "ids": e.ids, "types": e.type_ids})
            if model.config.num_labels == 1 and body is not model:
                kw = {} if roberta else {"token_type_ids": torch.tensor([e.type_ids])}
                numbers.append(model(torch.tensor([e.ids]), **kw).logits[0])
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
    print(f"{name}: {sum(p.numel() for p in model.parameters())} numbers, {sum(f.stat().st_size for f in folder.rglob('*'))} bytes",
          file=sys.stderr)
    return model


GGUF_NAMES = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
              "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
GGUF_LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
              "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
              "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem in GGUF_NAMES:
        return GGUF_NAMES[stem] + "." + kind
    _, _, layer, role = stem.split(".", 3)
    return f"blk.{layer}.{GGUF_LAYER[role]}.{kind}"


def write_gguf(name, model, file=None, quantised=False):
    c = model.config
    w = gguf.GGUFWriter(str(OUT / name / ((file or name) + ".gguf")), "bert")
    w.add_name(name)
    w.add_vocab_size(len(VOCAB))
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_eps(c.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    # As the converter writes WordPiece: words with a phantom space in front, continuations bare, special tokens as they are.
    tokens = [v if i < 5 else v[2:] if v.startswith("##") and len(v) > 2 else "\u2581" + v for i, v in enumerate(VOCAB)]
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if i < 5 else gguf.TokenType.NORMAL for i in range(len(VOCAB))])
    w.add_unk_token_id(1)
    w.add_sep_token_id(3)
    w.add_uint32("tokenizer.ggml.cls_token_id", 2)
    w.add_pad_token_id(0)
    w.add_mask_token_id(4)
    w.add_token_type_count(c.type_vocab_size)
    for pname, p in model.named_parameters():
        if pname.startswith("pooler."):
            continue
        data = p.detach().numpy().astype(np.float32)
        if quantised and p.dim() == 2 and "encoder" in pname:
            q = gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0)
            w.add_tensor(gguf_name(pname), q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            w.add_tensor(gguf_name(pname), data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    base = dict(vocab_size=len(VOCAB), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                max_position_embeddings=44, hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0)
    bert = make("bert", BertModel(BertConfig(type_vocab_size=2, **base)), 1, max_length=40)
    write_gguf("bert", bert)
    write_gguf("bert", bert, "bert-q8", quantised=True)
    make("bert-cls", BertModel(BertConfig(type_vocab_size=2, **base | {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3})), 2,
         pooling="cls", normalize=False, old_names=True)
    make("bert-cross", BertForSequenceClassification(BertConfig(type_vocab_size=2, num_labels=1, **base)), 3)
    make("roberta-cross", RobertaForSequenceClassification(
        RobertaConfig(type_vocab_size=1, num_labels=1, **base | {"max_position_embeddings": 45})), 4,
         roberta=True, pooling="last")


main()
