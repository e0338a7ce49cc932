#!/usr/bin/env python3
"""Tiny encoder-decoders (T5, Marian) with every parameter random, and what transformers computes with them.

Writes tests/golden/translators/NAME/: a Hugging Face folder with small SentencePiece tokenizers as published folders have
them, NAME.gguf by llama.cpp's converter where it knows the family, grads/ (a folder of the same shape whose weights are the
gradients of a loss), expected.json (texts with their ids, sources and targets, generations in greedy and beam search with
their scores) and expected.bin (float32 logits of every target after its source).
Before anything is written the oracle itself is tested: each switch of a config, changed, must change the logits.

Rerun from the root of the repository:
  LLAMA_CPP=path/to/llama.cpp python3 tests/oracle/make_tiny_translators.py [NAME ...]
Needs torch, transformers, sentencepiece, tokenizers, safetensors, numpy, and a checkout of llama.cpp with its conversion
package (made with torch 2.13, transformers 5.23, sentencepiece 0.2.3 and the llama.cpp of llama-cpp-python 0.3.36).
"""
import io
import itertools
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import sentencepiece as spm
import torch
import transformers as T
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "translators"
torch.set_num_threads(1)

ENGLISH = ["the sea is calm and the wind is cold", "a house of stone stands by the sea", "the light of the house is warm",
           "is the stone cold? no, the stone is warm!", "cold wind and warm light", "we stand in the light of the sea",
           "a calm wind, a cold house, a warm stone.", "the wind stands still and the sea is light"]
GERMAN = ["das meer ist ruhig und der wind ist kalt", "ein haus aus stein steht am meer", "das licht des hauses ist warm",
          "ist der stein kalt? nein, der stein ist warm!", "kalter wind und warmes licht", "wir stehen im licht des meeres",
          "ein ruhiger wind, ein kaltes haus, ein warmer stein.", "der wind steht still und das meer ist hell"]
TEXTS = ["the sea is calm", "", "The wind, cold!  and   the light", "stone \u00fc house \u4e2d\u4e2d sea", "warm",
         "a house of stone stands by the sea and the light of the house is warm", " das meer"]
# A space as SentencePiece writes it, in the text: its own programs and transformers' T5Tokenizer part ways there.
MARIAN_TEXTS = TEXTS + ["\u2581the sea"]


def sentence_pieces(lines, size, **more):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=size,
                                   normalization_rule_name="identity", hard_vocab_limit=False, num_threads=1,
                                   minloglevel=2, **more)
    return model.getvalue()


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in itertools.chain(model.named_parameters(), model.named_buffers()):
        if "embed_positions" in name:
            continue
        with torch.no_grad():
            r = torch.randn(p.shape, generator=g)
            if "shared" in name or "embed_tokens" in name or "lm_head" in name:
                p.copy_(r * 0.7)
            elif "relative_attention_bias" in name:
                p.copy_(r)
            elif p.dim() == 2 and "final_logits" not in name:
                p.copy_(r * 1.3 / p.shape[1] ** 0.5)
            elif name.endswith("norm.weight"):
                p.copy_(1.0 + r * 0.3)
            else:
                p.copy_(r * 0.3)


def logits_of(model, source, target):
    with torch.no_grad():
        return model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target])).logits[0]


def check_switches(name, cls, model, case, switches):
    want = logits_of(model, *case)
    for key, value in switches.items():
        config = cls.config_class(**{**model.config.to_dict(), key: value})
        other = cls(config).eval()
        other.load_state_dict(model.state_dict(), strict=False)
        if (logits_of(other, *case) - want).abs().max() < 1e-3 * want.abs().max():
            sys.exit(f"{name}: the oracle does not see {key}")


def generations(model, sources):
    c = model.config
    out = []
    ways = [dict(num_beams=1), dict(num_beams=2), dict(num_beams=4), dict(num_beams=3, length_penalty=0.0),
            dict(num_beams=3, length_penalty=2.0), dict(num_beams=4, early_stopping=True),
            dict(num_beams=4, early_stopping=True, length_penalty=0.3), dict(num_beams=2, early_stopping="never"),
            dict(num_beams=3, length_penalty=-1.0, early_stopping="never"), dict(num_beams=5, max_length=6),
            dict(num_beams=1, max_length=7), dict(num_beams=3, bad_words_ids=[[c.pad_token_id], [5]]),
            dict(num_beams=1, bad_words_ids=[[c.pad_token_id], [7]]),
            dict(num_beams=3, forced_eos_token_id=c.eos_token_id, max_length=8),
            dict(num_beams=1, forced_eos_token_id=c.eos_token_id, max_length=5)]
    for index, way in itertools.product(range(len(sources)), ways):
        full = {"max_length": 24, "length_penalty": 1.0, "early_stopping": False, **way}
        g = T.GenerationConfig(do_sample=False, decoder_start_token_id=c.decoder_start_token_id, pad_token_id=c.pad_token_id,
                               eos_token_id=c.eos_token_id, return_dict_in_generate=True, output_scores=True, **full)
        model.generation_config = g
        r = model.generate(torch.tensor([sources[index]]), generation_config=g)
        entry = {"source": index, **full, "tokens": r.sequences[0].tolist()}
        if full["num_beams"] > 1:
            entry["score"] = r.sequences_scores[0].item()
        out.append(entry)
    return out


def gguf(name, folder):
    root = pathlib.Path(os.environ["LLAMA_CPP"])
    for path in (root / "gguf-py", root):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    import gguf as g
    from conversion import get_model_class
    with torch.inference_mode():
        get_model_class("T5ForConditionalGeneration")(folder, g.LlamaFileType.ALL_F32, folder / f"{name}.gguf",
                                                      model_name=name).write()


def make(name, model, seed, switches, tokenizer_files, tokenizer_of, bin=False, untied=False, converted=False,
         longest=30):
    if sys.argv[1:] and name not in sys.argv[1:]:
        return
    if untied:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    randomise(model, seed)
    model.eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in tokenizer_files.items():
        (folder / file).write_bytes(content)
    tokenizer = tokenizer_of(folder)
    rng = np.random.default_rng(seed)
    c = model.config
    vocab = getattr(c, "decoder_vocab_size", None) or c.vocab_size
    sources = [rng.integers(3, c.vocab_size, n).tolist() + [c.eos_token_id] for n in (1, 7, 23, longest)]
    targets = [[c.decoder_start_token_id] + rng.integers(3, vocab, n).tolist() for n in (0, 4, 33, 17)]
    check_switches(name, type(model), model, (sources[2], targets[2]), switches)
    logits = torch.cat([logits_of(model, s, t) for s, t in zip(sources, targets)])
    logits.numpy().astype("<f4").tofile(folder / "expected.bin")
    texts = []
    for text in MARIAN_TEXTS if name.startswith("marian") else TEXTS:
        ids = tokenizer(text)["input_ids"]
        texts.append({"text": text, "ids": ids, "back": tokenizer.decode(ids, skip_special_tokens=True)})  # as a target
    expected = {"texts": texts, "sources": sources, "targets": targets}
    kept = model.generation_config
    expected["generations"] = generations(model, sources[:3])
    model.generation_config = kept
    # Gradients of a weighted loss over two rows, the first of two documents.
    rows, weight = [], 0.0
    model.zero_grad()
    for module in model.modules():  # whose row PyTorch gives no gradient: the start token of Marian is the one for padding
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    total = 0.0
    for members in ((1, 2), (3,)):
        row = {"tokens": [], "documents": [], "targets": [], "weights": [], "source": [], "sources": []}
        for i in members:
            tokens = targets[i]
            labels = tokens[1:] + [c.eos_token_id]
            weights = [0.5 + (k % 3) for k in range(len(tokens))]
            if len(tokens) > 4:
                labels[2] = -1
            row["tokens"] += tokens
            row["documents"].append(len(tokens))
            row["targets"] += labels
            row["weights"] += weights
            row["source"] += sources[i]
            row["sources"].append(len(sources[i]))
            lp = torch.log_softmax(model(input_ids=torch.tensor([sources[i]]),
                                         decoder_input_ids=torch.tensor([tokens])).logits[0], -1)
            for k, (label, w) in enumerate(zip(labels, weights)):
                if label >= 0:
                    total = total - w * lp[k, label]
                    weight += w
        rows.append(row)
    (total / weight).backward()
    expected["rows"] = rows
    expected["loss"] = (total / weight).item()
    model.save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    named = dict(model.named_parameters(remove_duplicate=False))
    grads = {k: named[k].grad.float().contiguous() if k in named and named[k].grad is not None else v
             for k, v in state.items()}
    (folder / "grads").mkdir()
    save_file(grads, folder / "grads" / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(folder / "config.json", folder / "grads" / "config.json")
    if converted:
        gguf(name, folder)
    if bin:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
    for f in folder.rglob("*"):
        if f.is_file():
            f.chmod(0o644)
    print(name, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), "bytes", sorted(state)[:3], file=sys.stderr)


T5 = dict(vocab_size=96, d_model=20, d_kv=6, d_ff=26, num_layers=3, num_decoder_layers=2, num_heads=3, dropout_rate=0.0,
          relative_attention_num_buckets=8, layer_norm_epsilon=0.01, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
T5_SWITCHES = {"dense_act_fn": "gelu", "layer_norm_epsilon": 1e-6,
               "relative_attention_max_distance": 12}
MARIAN = dict(d_model=20, encoder_layers=3, decoder_layers=2, encoder_attention_heads=5, decoder_attention_heads=4,
              encoder_ffn_dim=26, decoder_ffn_dim=22, max_position_embeddings=64, activation_function="swish",
              scale_embedding=True, dropout=0.0)
MARIAN_SWITCHES = {"activation_function": "relu", "scale_embedding": False}


def t5_tokenizer(keep_json):
    def of(folder):
        t = T.T5Tokenizer.from_pretrained(str(folder))
        if keep_json:
            t.save_pretrained(folder)
            (folder / "tokenizer_config.json").unlink(missing_ok=True)
            (folder / "special_tokens_map.json").unlink(missing_ok=True)
        return t
    return of


def marian_tokenizer(folder):
    apart = {"separate_vocabs": True, "target_vocab_file": str(folder / "target_vocab.json")}
    return T.MarianTokenizer(**(apart if (folder / "target_vocab.json").exists() else {}), source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"),
                             vocab=str(folder / "vocab.json"))


def main():
    t5_pieces = {"spiece.model": sentence_pieces(ENGLISH + GERMAN, 90, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)}
    switches = dict(T5_SWITCHES)
    prefixes = {"translation_en_to_de": {"early_stopping": True, "max_length": 30, "num_beams": 4,
                                         "prefix": "translate English to German: "},
                "summarization": {"length_penalty": 2.0, "max_length": 20, "num_beams": 2, "prefix": "summarize: "}}
    make("t5", T.T5ForConditionalGeneration(T.T5Config(task_specific_params=prefixes, **T5)), 11,
         {k: v for k, v in switches.items() if "distance" not in k}, t5_pieces, t5_tokenizer(False), converted=True,
         longest=150)
    make("t5-v11", T.T5ForConditionalGeneration(T.T5Config(feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5)),
         12, {k: v for k, v in switches.items() if "distance" not in k}, t5_pieces,
         t5_tokenizer(True), untied=True, converted=True)
    make("mt5", T.MT5ForConditionalGeneration(T.MT5Config(**T5 | {"relative_attention_num_buckets": 10,
                                                                  "relative_attention_max_distance": 18,
                                                                  "feed_forward_proj": "gated-silu"})),
         13, {"relative_attention_max_distance": 60}, t5_pieces, t5_tokenizer(False), untied=True)
    source, target = sentence_pieces(ENGLISH, 60), sentence_pieces(GERMAN, 70)
    pieces = ["</s>", "<unk>", ">>deu<<"]
    for model in (source, target):
        p = spm.SentencePieceProcessor(model_proto=model)
        # A joint vocabulary that lacks a piece here and there, as published ones do.
        pieces += [x for i in range(3, p.get_piece_size()) if (x := p.id_to_piece(i)) not in pieces and i % 17 != 5]
    pieces.append("<pad>")
    files = {"source.spm": source, "target.spm": target,
             "vocab.json": json.dumps({p: i for i, p in enumerate(pieces)}, ensure_ascii=False).encode()}
    n = len(pieces)
    ids = dict(vocab_size=n, pad_token_id=n - 1, decoder_start_token_id=n - 1, eos_token_id=0, forced_eos_token_id=None)
    make("marian", T.MarianMTModel(T.MarianConfig(**MARIAN, **ids)), 21, MARIAN_SWITCHES, files, marian_tokenizer, bin=True)
    make("marian-st", T.MarianMTModel(T.MarianConfig(**MARIAN | {"scale_embedding": False, "activation_function": "gelu"},
                                                     **ids)), 22, {}, files, marian_tokenizer)
    # Each language its own vocabulary and table.
    ours, theirs = (["</s>", "<unk>"] + [p.id_to_piece(i) for i in range(3, p.get_piece_size())] + ["<pad>"]
                    for p in (spm.SentencePieceProcessor(model_proto=m) for m in (source, target)))
    assert len(ours) < len(theirs)
    theirs.remove("<pad>")
    theirs.insert(len(ours) - 1, "<pad>")  # the id that both begin and fill with
    files = {"source.spm": source, "target.spm": target,
             "vocab.json": json.dumps({p: i for i, p in enumerate(ours)}, ensure_ascii=False).encode(),
             "target_vocab.json": json.dumps({p: i for i, p in enumerate(theirs)}, ensure_ascii=False).encode()}
    ids = dict(vocab_size=len(ours), decoder_vocab_size=len(theirs), pad_token_id=len(ours) - 1,
               decoder_start_token_id=len(ours) - 1, eos_token_id=0, forced_eos_token_id=None)
    make("marian-apart", T.MarianMTModel(T.MarianConfig(**MARIAN, **ids, share_encoder_decoder_embeddings=False)), 23, {},
         files, marian_tokenizer)


main()
