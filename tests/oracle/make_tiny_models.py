#!/usr/bin/env python3
"""Tiny models of every family with every parameter random, and what transformers computes with them.

Writes tests/golden/models/NAME/: a Hugging Face folder and, where the family has one, NAME.gguf as llama.cpp's converter
lays it out; expected.json (tokens, training rows, losses of ten AdamW steps) with expected.bin (float32: logits) and
grads.bin (float32: gradients by our parameter names, in the order of expected.json).

Rerun from the root of the repository:  python3 tests/oracle/make_tiny_models.py
Needs torch, transformers, safetensors, gguf, numpy (made with torch 2.13, transformers 5.23).
"""
import json
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM)

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "models"
VOCAB = 96
LENGTH = 40  # longer than any window, and two and a half pages of keys
torch.set_num_threads(1)


def randomise(model, seed):
    """Every parameter random: matrices so that activations stay near 1, norms around their neutral value, biases too."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        with torch.no_grad():
            r = torch.randn(p.shape, generator=g)
            if p.dim() == 2 and ("embed_tokens" in name or "wte" in name or "lm_head" in name or "wpe" in name):
                p.copy_(r * 0.4)
            elif p.dim() == 2:
                fan_in = p.shape[0] if "c_" in name else p.shape[1]
                p.copy_(r * 1.3 / fan_in ** 0.5)
            elif "norm" in name or "ln_" in name:
                neutral = 0.0 if "gemma" in type(model).__name__.lower() or name.endswith("bias") else 1.0
                p.copy_(neutral + r * 0.3)
            else:
                p.copy_(r * 0.3)


def llama_names(layers):
    names = {"model.embed_tokens": "embed", "lm_head": "head", "model.norm": "final_norm"}
    for i in range(layers):
        a, b = f"model.layers.{i}.", f"layers.{i}."
        names |= {a + "input_layernorm": b + "attn_norm", a + "post_attention_layernorm": b + "mlp_norm",
                  a + "self_attn.q_proj": b + "attn.q", a + "self_attn.k_proj": b + "attn.k", a + "self_attn.v_proj": b + "attn.v",
                  a + "self_attn.o_proj": b + "attn.out", a + "mlp.gate_proj": b + "mlp.gate", a + "mlp.up_proj": b + "mlp.up",
                  a + "mlp.down_proj": b + "mlp.down"}
    return names


def gemma_names(layers):
    names = llama_names(layers)
    for i in range(layers):
        a, b = f"model.layers.{i}.", f"layers.{i}."
        names |= {a + "self_attn.q_norm": b + "attn.q_norm", a + "self_attn.k_norm": b + "attn.k_norm",
                  a + "post_attention_layernorm": b + "attn_post_norm", a + "pre_feedforward_layernorm": b + "mlp_norm",
                  a + "post_feedforward_layernorm": b + "mlp_post_norm"}
    return names


def gpt2_names(layers):
    names = {"transformer.wte": "embed", "transformer.wpe": "positions", "transformer.ln_f": "final_norm", "lm_head": "head"}
    for i in range(layers):
        a, b = f"transformer.h.{i}.", f"layers.{i}."
        names |= {a + "ln_1": b + "attn_norm", a + "ln_2": b + "mlp_norm", a + "attn.c_attn": b + "attn.qkv",
                  a + "attn.c_proj": b + "attn.out", a + "mlp.c_fc": b + "mlp.up", a + "mlp.c_proj": b + "mlp.down"}
    return names


def ours(name, tensor, table):
    """Our names and layouts of a parameter (or its gradient)."""
    stem, kind = name.rsplit(".", 1)
    our = table[stem]
    if ".c_" in name and tensor.dim() == 2:
        tensor = tensor.T.contiguous()
    if our.endswith("attn.qkv"):
        for part, t in zip("qkv", tensor.chunk(3, dim=0)):
            yield our[:-3] + part + "." + kind, t.contiguous()
    else:
        yield our + "." + kind, tensor


# Two packed rows of a step: each a list of documents, with a target and a weight for every token (-1: not trained).
def training_rows(rng):
    rows = []
    for lengths in ([19, 13], [32]):
        tokens, docs, targets, weights = [], [], [], []
        for n in lengths:
            ids = rng.integers(0, VOCAB, n + 1).tolist()
            docs.append(n)
            tokens += ids[:-1]
            w = rng.choice([0.0, 1.0, 0.5], n, p=[0.3, 0.5, 0.2])
            targets += [t if x > 0 else -1 for t, x in zip(ids[1:], w)]
            weights += w.tolist()
        rows.append({"tokens": tokens, "documents": docs, "targets": targets, "weights": weights})
    return rows


def loss_of(model, rows):
    total, norm = 0.0, sum(sum(r["weights"]) for r in rows)
    for r in rows:
        at = 0
        for n in r["documents"]:
            ids = torch.tensor([r["tokens"][at:at + n]])
            logp = torch.log_softmax(model(ids).logits[0], dim=-1)
            for t in range(n):
                if r["targets"][at + t] >= 0:
                    total = total - r["weights"][at + t] * logp[t, r["targets"][at + t]]
            at += n
    return total / norm


def make(name, model, seed, table=None, strip=None):
    randomise(model, seed)
    model.eval()
    rng = np.random.default_rng(seed)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if strip:
        state = {k.removeprefix(strip): v for k, v in load_file(folder / "model.safetensors").items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokens = rng.integers(0, VOCAB, LENGTH).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
    logits.astype("<f4").tofile(folder / "expected.bin")
    expected = {"tokens": tokens}
    if table:
        rows = training_rows(rng)
        model.zero_grad()
        loss_of(model, rows).backward()
        order, blob = [], b""
        for pname, p in model.named_parameters():
            for our, g in ours(pname, p.grad, table):
                order.append({"name": our, "size": g.numel()})
                blob += g.float().numpy().astype("<f4").tobytes()
        (folder / "grads.bin").write_bytes(blob)
        hyper = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
        opt = torch.optim.AdamW(model.parameters(), lr=hyper["lr"], betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["eps"],
                                weight_decay=hyper["weight_decay"])
        losses = []
        start = {k: v.clone() for k, v in model.state_dict().items()}
        for _ in range(10):
            opt.zero_grad()
            loss = loss_of(model, rows)
            loss.backward()
            opt.step()
            losses.append(loss.item())
        losses.append(loss_of(model, rows).item())
        model.load_state_dict(start)
        expected |= {"rows": rows, "grads": order, "adamw": hyper, "losses": losses}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for f in folder.iterdir():
        f.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {sum(p.numel() for p in model.parameters())} numbers, {size} bytes", file=sys.stderr)
    return model


def permuted(w, heads):
    """Rows of q and k from half-split pairs to interleaved ones, as llama.cpp's converter does for arch llama."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def gguf_writer(name, arch, c):
    w = gguf.GGUFWriter(str(OUT / name / (name + ".gguf")), arch)
    w.add_name(name)
    w.add_file_type(0)
    w.add_vocab_size(VOCAB)
    return w


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def add_common(w, c):
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_rope_dimension_count(c.head_dim)


LLAMA_GGUF = {"attn_norm": "attn_norm", "mlp_norm": "ffn_norm", "attn.q": "attn_q", "attn.k": "attn_k", "attn.v": "attn_v",
              "attn.out": "attn_output", "mlp.gate": "ffn_gate", "mlp.up": "ffn_up", "mlp.down": "ffn_down", "attn.q_norm": "attn_q_norm",
              "attn.k_norm": "attn_k_norm", "attn_post_norm": "post_attention_norm", "mlp_post_norm": "post_ffw_norm"}
ENDS_GGUF = {"embed": "token_embd", "head": "output", "final_norm": "output_norm", "positions": "position_embd"}


def gguf_name(our):
    stem, kind = our.rsplit(".", 1)
    if stem in ENDS_GGUF:
        return ENDS_GGUF[stem] + "." + kind
    _, layer, role = stem.split(".", 2)
    return f"blk.{layer}.{LLAMA_GGUF[role]}.{kind}"


def write_llama_gguf(name, model, table, freqs=None):
    c = model.config
    w = gguf_writer(name, "llama", c)
    add_common(w, c)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    if freqs is not None:
        w.add_tensor("rope_freqs.weight", freqs.astype(np.float32))
    for pname, p in model.named_parameters():
        for our, t in ours(pname, p.detach(), table):
            t = t.numpy()
            if ".attn.q." in our:
                t = permuted(t, c.num_attention_heads)
            if ".attn.k." in our:
                t = permuted(t, c.num_key_value_heads)
            w.add_tensor(gguf_name(our), np.ascontiguousarray(t))
    close(w)


def write_gemma_gguf(name, model, table):
    c = model.config
    w = gguf_writer(name, "gemma3", c)
    add_common(w, c)
    w.add_rope_freq_base(c.rope_parameters["full_attention"]["rope_theta"])
    w.add_sliding_window(c.sliding_window)
    for pname, p in model.named_parameters():
        for our, t in ours(pname, p.detach(), table):
            t = t.numpy() + (1.0 if "norm" in our else 0.0)
            w.add_tensor(gguf_name(our), np.ascontiguousarray(t.astype(np.float32)))
    close(w)


def write_gpt2_gguf(name, model, table):
    c = model.config
    w = gguf_writer(name, "gpt2", c)
    w.add_block_count(c.n_layer)
    w.add_context_length(c.n_positions)
    w.add_embedding_length(c.n_embd)
    w.add_feed_forward_length(c.n_inner)
    w.add_head_count(c.n_head)
    w.add_layer_norm_eps(c.layer_norm_epsilon)
    for pname, p in model.named_parameters():
        stem, kind = pname.rsplit(".", 1)
        t = p.detach()
        if ".c_" in pname and t.dim() == 2:
            t = t.T
        our = table[stem] + "." + kind
        out = f"blk.{our.split('.')[1]}.attn_qkv.{kind}" if "attn.qkv" in our else gguf_name(our)
        w.add_tensor(out, np.ascontiguousarray(t.numpy()))
        if out == "token_embd.weight":
            w.add_tensor("output.weight", np.ascontiguousarray(t.numpy()))
    close(w)


def llama_config(**extra):
    base = dict(vocab_size=VOCAB, hidden_size=42, intermediate_size=56, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
                head_dim=16, max_position_embeddings=64, rms_norm_eps=0.05, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
                rope_parameters={"rope_type": "default", "rope_theta": 300.0})
    return LlamaConfig(**(base | extra))


def gemma_config(**extra):
    layers = extra.get("num_hidden_layers", 7)
    base = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=40, num_hidden_layers=layers, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=8, max_position_embeddings=64,
                rms_norm_eps=0.05, bos_token_id=2, eos_token_id=1, pad_token_id=0,
                layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(layers)],
                rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 300.0},
                                 "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})
    return Gemma3TextConfig(**(base | extra))


def write_nested(model):
    """The same numbers as the text part of a model that also sees, as the published 4B and larger checkpoints name them."""
    source, folder = OUT / "gemma3-hf", OUT / "gemma3-nested"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("expected.json", "expected.bin"):
        shutil.copy(source / name, folder / name)
    state = {"language_model." + k: v for k, v in load_file(source / "model.safetensors").items()}
    state["vision_tower.vision_model.post_layernorm.weight"] = torch.ones(4)
    state["multi_modal_projector.mm_input_projection_weight"] = torch.ones(4, 4)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
              "text_config": json.loads((source / "config.json").read_text()), "vision_config": {"model_type": "siglip_vision_model"}}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def gpt2_config(**extra):
    base = dict(vocab_size=VOCAB, n_embd=36, n_head=3, n_layer=3, n_inner=76, n_positions=48, layer_norm_epsilon=0.05,
                activation_function="gelu_new", bos_token_id=1, eos_token_id=1)
    return GPT2Config(**(base | extra))


def main():
    """All models. The seeds are fixed, so that a rerun changes nothing but what was changed here."""
    scaled = dict(num_hidden_layers=2, hidden_size=36, intermediate_size=40)
    m = make("llama", LlamaForCausalLM(llama_config(attention_bias=True, mlp_bias=True)), 1, llama_names(3))
    write_llama_gguf("llama", m, llama_names(3))

    llama3 = {"rope_type": "llama3", "rope_theta": 300.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 48}
    m = make("llama3-rope", LlamaForCausalLM(llama_config(tie_word_embeddings=True, rope_parameters=llama3, **scaled)), 2)
    f = 1.0 / 300.0 ** (np.arange(0, 16, 2) / 16)
    wave = 2 * np.pi / f
    s = (48 / wave - 1.0) / 3.0
    div = np.where(wave < 48 / 4, 1.0, np.where(wave > 48, 8.0, 1 / ((1 - s) / 8 + s)))
    write_llama_gguf("llama3-rope", m, llama_names(2), div)

    make("llama-linear", LlamaForCausalLM(llama_config(rope_parameters={"rope_type": "linear", "rope_theta": 300.0, "factor": 3.0}, **scaled)), 3)
    yarn = {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 16}
    make("llama-yarn", LlamaForCausalLM(llama_config(rope_parameters=yarn, **scaled)), 4)

    # What HF says and GGUF cannot (scale of scores, a linear factor on the global layers, caps): a folder alone.
    ropes = {"full_attention": {"rope_type": "linear", "rope_theta": 300.0, "factor": 2.0},
             "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}
    m = make("gemma3-hf", Gemma3ForCausalLM(gemma_config(
        num_hidden_layers=3, query_pre_attn_scalar=9, rope_parameters=ropes, final_logit_softcapping=4.0, attn_logit_softcapping=2.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], attn_implementation="eager")), 5, gemma_names(3))
    write_nested(m)
    m = make("gemma3", Gemma3ForCausalLM(gemma_config()), 6)
    write_gemma_gguf("gemma3", m, gemma_names(7))

    m = make("gpt2", GPT2LMHeadModel(gpt2_config()), 7, gpt2_names(3))
    write_gpt2_gguf("gpt2", m, gpt2_names(3))
    make("gpt2-bare", GPT2LMHeadModel(gpt2_config(n_layer=2, scale_attn_by_inverse_layer_idx=True, n_inner=None, activation_function="relu")), 8,
         strip="transformer.")


main()
