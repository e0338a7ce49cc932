#!/usr/bin/env python3
"""Tiny models of the decoder families, every parameter random, what transformers computes with them, and GGUF files of
them as llama.cpp's converter makes them.

Writes tests/golden/models/NAME/: config.json and model.safetensors; NAME.gguf where the converter knows the family;
expected.json (tokens; training rows) with expected.bin (float32 logits) and, for the models that are trained, grads/: a
folder of the same shape whose weights are the gradients of the loss, so that whoever can read the model can read them.
Before anything is written the oracle itself is tested: each of a model's switches, changed, must change the logits, and
decoding with transformers' cache must agree with prefill.

Rerun from the root of the repository:
  LLAMA_CPP=path/to/llama.cpp python3 tests/oracle/make_tiny_families.py [NAME ...]
Needs torch, transformers, safetensors, numpy, and a checkout of llama.cpp with its conversion package (made with torch
2.13, transformers 5.23 and the llama.cpp of llama-cpp-python 0.3.36). The converter's vocabulary is left out: tokenizers
have tests of their own.
"""
import copy
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as T
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "models"
VOCAB = 40
LENGTH = 40
torch.set_num_threads(1)


def randomise(model, seed):
    """Matrices so that activations stay near 1, norms around their neutral value, biases and single numbers too."""
    g = torch.Generator().manual_seed(seed)
    tables = ("embed", "wte", "lm_head", "wpe", "position")
    for name, p in model.named_parameters():
        with torch.no_grad():
            p.data = p.data.float()
            r = torch.randn(p.shape, generator=g)
            if "gate_up_proj" in name and "GptOss" in type(model).__name__:  # wide enough for its clamps to be reached
                p.copy_(r * (1.5 if p.dim() == 2 else 2.5 / p.shape[-2] ** 0.5))
            elif name.endswith("sinks"):
                p.copy_(0.5 + r)
            elif p.dim() == 2 and any(t in name for t in tables) and "layernorm" not in name:
                p.copy_(r * 0.4)
            elif p.dim() >= 2:
                p.copy_(r * 1.3 / p.shape[-1] ** 0.5)
            elif "norm" in name or "ln_" in name:
                neutral = 0.0 if "Gemma" in type(model).__name__ or name.endswith("bias") else 1.0
                p.copy_(neutral + r * 0.3)
            else:
                p.copy_(r * 0.3)
    for name, b in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            b.data = torch.randn(b.shape, generator=g) * 0.3
        if name.endswith("act_fn.beta"):
            b.data = torch.tensor(0.45)
        elif name.endswith("act_fn.eps"):
            b.data = torch.tensor(-1e-6)


def on_grid(model):
    """Weights that Q8_0 holds exactly, so that a file of that type is the same model: the keys' part of kv_b_proj in blocks
    along the other side, which is how the converter turns it."""
    def rounded(t):
        blocks = t.reshape(-1, 32)
        scale = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
        return (torch.round(blocks / scale).clamp(-127, 127) * scale).reshape(t.shape)

    for name, p in model.named_parameters():
        if p.dim() < 2 or name.endswith("mlp.gate.weight"):  # the router stays as it is
            continue
        if name.endswith("kv_b_proj.weight"):
            c = model.config
            both = p.data.view(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, c.kv_lora_rank)
            keys, values = both.split([c.qk_nope_head_dim, c.v_head_dim], dim=1)
            keys = rounded(keys.transpose(1, 2).contiguous()).transpose(1, 2)
            p.data = torch.cat([keys, rounded(values.contiguous())], dim=1).reshape(p.shape)
        else:
            p.data = rounded(p.data)


def training_rows(rng):
    rows = []
    for lengths in ([19, 13], [32]):
        tokens, docs, targets, weights = [], [], [], []
        for n in lengths:
            ids = rng.integers(2, VOCAB, n + 1).tolist()
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


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def far(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def set_path(config, path, value):
    for key in path[:-1]:
        config = config[key] if isinstance(config, dict) else getattr(config, key)
    if isinstance(config, dict):
        config[path[-1]] = value
    else:
        setattr(config, path[-1], value)


def check_oracle(name, cls, model, tokens, want, switches):
    """A switch that changes nothing would test nothing; and what is compared with must agree with itself."""
    state = model.state_dict()
    for path, value in switches.items():
        config = copy.deepcopy(model.config)
        set_path(config, path.split("."), value)
        other = cls(config)
        own = other.state_dict()
        other.load_state_dict({k: v for k, v in state.items() if k in own and own[k].shape == v.shape}, strict=False)
        for (_, b), (_, from_b) in zip(other.named_buffers(), model.named_buffers()):
            if b.dim() == 0:
                b.data = from_b.data.clone()
        other.eval()
        moved = far(logits_of(other, tokens), want)
        if moved < 1e-3:
            raise SystemExit(f"{name}: switch {path} = {value} moves the logits by {moved:.1e} only")
    if "of_foundry" in cls.__qualname__:
        return  # its attention here has no cache
    # Decoding one by one with transformers' own cache, 32 steps behind a prompt of 8.
    with torch.no_grad():
        out = model(torch.tensor([tokens[:8]]), use_cache=True)
        rows, cache = [out.logits[0].float().numpy()], out.past_key_values
        for t in tokens[8:]:
            out = model(torch.tensor([[t]]), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits[0].float().numpy())
    apart = far(np.concatenate(rows), want)
    if apart > 1e-5:
        print(f"{name}: transformers' decoding differs from its prefill by {apart:.1e}", file=sys.stderr)


def convert(name, folder, arch, hparams=None, quantised=False):
    """The converter's tensors and keys, with the vocabulary's size in the place of a vocabulary."""
    root = pathlib.Path(os.environ["LLAMA_CPP"])
    for path in (root / "gguf-py", root):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    import gguf
    from conversion import get_model_class
    base = get_model_class(arch)

    class WithoutVocabulary(base):
        model_arch = base.model_arch

        def set_vocab(self):
            pass

        def set_gguf_parameters(self):
            super().set_gguf_parameters()
            key = f"{self.gguf_writer.arch}.vocab_size"
            if not any(key in kv for kv in self.gguf_writer.kv_data):
                self.gguf_writer.add_vocab_size(VOCAB)

    # Its lists are kept in the class: another model must not find them filled.
    for key, value in vars(base).items():
        if key.startswith("_alpha") or key in ("_beta", "_eps"):
            value.clear()
    target = folder / f"{name}.gguf"
    kind = gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32
    with torch.inference_mode():
        WithoutVocabulary(folder, kind, target, model_name=name, hparams=hparams).write()


def joined_heads(folder, name):
    """The GGUF file as converters wrote it before k_b and v_b came apart: attn_kv_b, and lengths of whole heads."""
    import gguf
    reader = gguf.GGUFReader(folder / f"{name}.gguf")
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(folder / "joined.gguf", arch)
    mla = {f"{arch}.attention.{part}_length": reader.fields[f"{arch}.attention.{part}_length_mla"].contents() for part in ("key", "value")}
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key.endswith("_mla"):
            continue
        writer.add_key_value(key, mla.get(key, field.contents()), field.types[0])
    keys = {}
    for t in reader.tensors:
        if "attn_k_b" in t.name:  # [heads, latent, keys]
            keys[t.name] = t.data.transpose(0, 2, 1)
        elif "attn_v_b" in t.name:
            both = np.concatenate([keys[t.name.replace("attn_v_b", "attn_k_b")], t.data], axis=1)
            writer.add_tensor(t.name.replace("attn_v_b", "attn_kv_b"), np.ascontiguousarray(both.reshape(-1, both.shape[-1])))
        else:
            writer.add_tensor(t.name, np.array(t.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def pack_experts(model, seed):
    """Random MXFP4 codes in the place of the experts' matrices, as gpt-oss is published: what the folder keeps, and in
    the model what transformers makes of them."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    g = torch.Generator().manual_seed(seed)
    parts = {}
    for name, p in model.named_parameters():
        if p.dim() != 3:
            continue
        n, cols, rows = p.shape
        blocks = torch.randint(0, 256, (n, rows, cols // 32, 16), generator=g, dtype=torch.uint8)
        scales = torch.randint(124, 127, (n, rows, cols // 32), generator=g, dtype=torch.uint8)
        with torch.no_grad():
            p.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
        parts[name] = {name + "_blocks": blocks, name + "_scales": scales}
    return parts


def keep_packed(folder, parts):
    state = load_file(folder / "model.safetensors")
    for name, stored in parts.items():
        del state[name]
        state |= stored
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head", "model.embed_tokens"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def make(name, cls, config, seed, switches, grads=False, gguf=None, old=None, quantised=False, packed=False, also=None):
    if "num_experts_per_tok" in config.to_dict():
        config._experts_implementation = "eager"  # the others ask for sizes that are multiples of four
    model = cls(config).float()
    randomise(model, seed)
    if quantised:
        on_grid(model)
    parts = pack_experts(model, seed) if packed else {}
    model.eval()
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, VOCAB, LENGTH).tolist()
    want = logits_of(model, tokens)
    check_oracle(name, cls, model, tokens, want, switches)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if packed:
        keep_packed(folder, parts)
    if also:  # what transformers' config has no place for
        written = json.loads((folder / "config.json").read_text())
        also(written)
        (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    want.astype("<f4").tofile(folder / "expected.bin")
    expected = {"tokens": tokens}
    if gguf:
        spelled = None
        if old:  # what the converter still reads under an older key
            spelled = json.loads((folder / "config.json").read_text())
            old(spelled)
        convert(name, folder, gguf, spelled, quantised)
        if name == "deepseek-v2":
            joined_heads(folder, name)
    if grads:
        rows = training_rows(rng)
        model.zero_grad()
        loss_of(model, rows).backward()
        expected["rows"] = rows
        by_name = dict(model.named_parameters())
        state = load_file(folder / "model.safetensors")
        order = {}
        for key, value in state.items():
            p = by_name.get(key)
            if p is None:  # saved under another name, or no parameter
                same = [n for n, q in by_name.items() if q.shape == value.shape and torch.equal(q.data, value)]
                p = by_name[same[0]] if same else None
            order[key] = value if p is None else p.grad.float().contiguous()
        (folder / "grads").mkdir()
        if any(p.dim() == 3 for p in model.parameters()):  # experts, which transformers takes apart as it saves
            slopes = copy.deepcopy(model)
            for p, q in zip(slopes.parameters(), model.parameters()):
                p.data = torch.zeros_like(q) if q.grad is None else q.grad.clone()
            slopes.save_pretrained(folder / "grads")
            (folder / "grads" / "generation_config.json").unlink(missing_ok=True)
            order = load_file(folder / "grads" / "model.safetensors")
        save_file(order, folder / "grads" / "model.safetensors", metadata={"format": "pt"})
        shutil.copy(folder / "config.json", folder / "grads" / "config.json")
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    for f in folder.rglob("*"):
        if f.is_file():
            f.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {sum(p.numel() for p in model.parameters())} numbers, {size} bytes", file=sys.stderr)


# Sizes that divide nothing evenly: no multiple of 16 outputs, heads that are wider or narrower than width / heads.
LLAMA = dict(vocab_size=VOCAB, hidden_size=18, intermediate_size=22, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, rms_norm_eps=0.05, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
             pad_token_id=0, rope_parameters={"rope_type": "default", "rope_theta": 300.0})
LLAMA_SWITCHES = {"rms_norm_eps": 1e-5, "hidden_act": "gelu", "rope_parameters.rope_theta": 10000.0}
SLIDING = {"sliding_window": 9}


def c(cls, **extra):
    return cls(**(LLAMA | extra))


def mpt_of_foundry(q_heads, kv_heads, qk_ln, rope_theta):
    """transformers' MPT with an attention that has what its makers' training code (llm-foundry, GroupedQueryAttention) adds
    and transformers leaves out: LayerNorms over the whole of q and k, shared heads, and rotation instead of ALiBi."""
    class Attention(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            d = config.d_model // q_heads
            self.d, self.clip = d, config.attn_config.clip_qkv
            self.Wqkv = torch.nn.Linear(config.d_model, config.d_model + 2 * kv_heads * d, bias=False)
            self.out_proj = torch.nn.Linear(config.d_model, config.d_model, bias=False)
            if qk_ln:
                self.q_ln, self.k_ln = (torch.nn.LayerNorm(n * d, eps=config.layer_norm_epsilon) for n in (q_heads, kv_heads))
                self.q_ln.bias = self.k_ln.bias = None

        def forward(self, hidden_states, position_bias, past_key_values=None, attention_mask=None, **_):
            qkv = self.Wqkv(hidden_states)
            if self.clip:
                qkv = qkv.clamp(-self.clip, self.clip)
            q, k, v = qkv.split([q_heads * self.d, kv_heads * self.d, kv_heads * self.d], dim=2)
            if qk_ln:
                q, k = self.q_ln(q), self.k_ln(k)
            q, k, v = (x.unflatten(2, (-1, self.d)).transpose(1, 2) for x in (q, k, v))
            if rope_theta:
                at = torch.arange(q.shape[2], dtype=torch.float32)[:, None] * rope_theta ** (-torch.arange(0, self.d, 2) / self.d)
                cos, sin = (torch.cat([f(at)] * 2, dim=-1) for f in (torch.cos, torch.sin))
                turn = lambda x: x * cos + torch.cat([-x[..., self.d // 2:], x[..., :self.d // 2]], dim=-1) * sin
                q, k = turn(q), turn(k)
            k, v = (x.repeat_interleave(q_heads // kv_heads, dim=1) for x in (k, v))
            scores = q @ k.transpose(2, 3) / self.d ** 0.5
            if not rope_theta:
                scores = scores + position_bias[:, :, -k.shape[2]:]
            scores = scores.masked_fill(attention_mask, torch.finfo(scores.dtype).min)
            out = scores.softmax(dim=-1) @ v
            return self.out_proj(out.transpose(1, 2).flatten(2)), None

    class MptForCausalLM(T.MptForCausalLM):
        def __init__(self, config):
            super().__init__(config)
            for block in self.transformer.blocks:
                block.attn = Attention(config)

    return MptForCausalLM


def models():
    sdpa = {"attn_implementation": "eager"}
    yield "qwen2", T.Qwen2ForCausalLM, c(T.Qwen2Config, hidden_size=24), 21, LLAMA_SWITCHES, True, "Qwen2ForCausalLM"
    yield "qwen2-window", T.Qwen2ForCausalLM, c(
        T.Qwen2Config, hidden_size=24, use_sliding_window=True, sliding_window=7, max_window_layers=1,
        tie_word_embeddings=True), 22, {"sliding_window": 9}
    yield "qwen2-yarn", T.Qwen2ForCausalLM, c(T.Qwen2Config, hidden_size=24, rope_parameters={
        "rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 16}), 23, {
            "rope_parameters.factor": 2.0}, False, "Qwen2ForCausalLM"
    yield "qwen3", T.Qwen3ForCausalLM, c(T.Qwen3Config, head_dim=10, attention_bias=False), 24, LLAMA_SWITCHES, True, "Qwen3ForCausalLM"
    yield "mistral", T.MistralForCausalLM, c(T.MistralConfig, head_dim=10, sliding_window=7), 25, LLAMA_SWITCHES | {
        "sliding_window": None}, True
    yield "mistral-nemo", T.MistralForCausalLM, c(T.MistralConfig, head_dim=10, sliding_window=None), 26, LLAMA_SWITCHES, False, "MistralForCausalLM"
    yield "smollm3", T.SmolLM3ForCausalLM, c(T.SmolLM3Config, hidden_size=16, num_hidden_layers=5, intermediate_size=14), 27, LLAMA_SWITCHES | {
        "no_rope_layers": [1, 1, 1, 1, 1]}, True, "SmolLM3ForCausalLM"
    yield "olmo", T.OlmoForCausalLM, c(T.OlmoConfig, hidden_size=24, clip_qkv=0.7), 28, {
        "hidden_act": "gelu", "rope_parameters.rope_theta": 10000.0, "clip_qkv": None}, True, "OlmoForCausalLM"
    yield "olmo2", T.Olmo2ForCausalLM, c(T.Olmo2Config, hidden_size=24), 29, LLAMA_SWITCHES, True, "Olmo2ForCausalLM"
    both = {"full_attention": {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 16,
                               "attention_factor": 1.2},
            "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}}
    yield "olmo3", T.Olmo3ForCausalLM, c(T.Olmo3Config, hidden_size=24, num_hidden_layers=4, intermediate_size=14, sliding_window=7,
                                         rope_parameters=both), 30, {
        "rms_norm_eps": 1e-5, "sliding_window": 9, "rope_parameters.full_attention.factor": 2.0}, True, "Olmo3ForCausalLM"
    yield "phi3", T.Phi3ForCausalLM, c(T.Phi3Config, hidden_size=24, sliding_window=7), 31, LLAMA_SWITCHES | SLIDING, True, "Phi3ForCausalLM"
    short, long = [1.1, 1.3, 1.9], [1.5, 2.5, 4.0]
    rope = {"rope_type": "longrope", "rope_theta": 300.0, "short_factor": short, "long_factor": long, "original_max_position_embeddings": 48}
    yield "phi3-short", T.Phi3ForCausalLM, c(T.Phi3Config, hidden_size=24, original_max_position_embeddings=48, max_position_embeddings=192,
                                             rope_parameters=rope), 32, {"rope_parameters.short_factor": long}, False, "Phi3ForCausalLM"
    rope = rope | {"original_max_position_embeddings": 20, "partial_rotary_factor": 0.67, "short_factor": short[:2], "long_factor": long[:2]}
    yield "phi3-long", T.Phi3ForCausalLM, c(T.Phi3Config, hidden_size=24, original_max_position_embeddings=20, max_position_embeddings=80,
                                            rope_parameters=rope), 33, {"rope_parameters.long_factor": short[:2]}
    yield "llama-dynamic", T.LlamaForCausalLM, c(T.LlamaConfig, hidden_size=24, max_position_embeddings=20, rope_parameters={
        "rope_type": "dynamic", "rope_theta": 300.0, "factor": 3.0}), 34, {"rope_parameters.factor": 1.5}
    yield "gemma2", T.Gemma2ForCausalLM, c(T.Gemma2Config, hidden_size=20, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, num_hidden_layers=3, intermediate_size=14, head_dim=10, query_pre_attn_scalar=10,
                                           sliding_window=7, attn_logit_softcapping=2.0, final_logit_softcapping=4.0,
                                           tie_word_embeddings=True, **sdpa), 35, {
        "rms_norm_eps": 1e-5, "sliding_window": 9, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "query_pre_attn_scalar": 30, "hidden_activation": "silu"}, True, "Gemma2ForCausalLM"
    yield "apertus", T.ApertusForCausalLM, c(T.ApertusConfig, hidden_size=24, rope_parameters={
        "rope_type": "llama3", "rope_theta": 300.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 48}, hidden_act="xielu"), 36, {
            "rms_norm_eps": 1e-5, "rope_parameters.factor": 2.0, "hidden_act": "silu"}, True, "ApertusForCausalLM"

    mixture = dict(hidden_size=18, intermediate_size=14, num_experts_per_tok=2)
    yield "mixtral", T.MixtralForCausalLM, c(T.MixtralConfig, **mixture | {"hidden_size": 24}, num_local_experts=5), 71, LLAMA_SWITCHES | {
        "num_experts_per_tok": 3}, True, "MixtralForCausalLM"
    yield "mixtral-window", T.MixtralForCausalLM, c(T.MixtralConfig, **mixture | {"hidden_size": 24}, num_local_experts=3, sliding_window=7), 68, {"sliding_window": None}
    yield "qwen3moe", T.Qwen3MoeForCausalLM, c(T.Qwen3MoeConfig, **mixture | {"num_hidden_layers": 3}, head_dim=10, moe_intermediate_size=10, num_experts=6,
                                               norm_topk_prob=True, mlp_only_layers=[1]), 61, LLAMA_SWITCHES | {
        "num_experts_per_tok": 3, "norm_topk_prob": False}, True
    yield "qwen3moe-all", T.Qwen3MoeForCausalLM, c(T.Qwen3MoeConfig, **mixture, head_dim=10, moe_intermediate_size=10, num_experts=6,
                                                   norm_topk_prob=True), 62, {"num_experts_per_tok": 3}, False, "Qwen3MoeForCausalLM"
    yield "olmoe", T.OlmoeForCausalLM, c(T.OlmoeConfig, **mixture | {"hidden_size": 24}, num_experts=6, rms_norm_eps=1e-5), 63, LLAMA_SWITCHES | {
        "rms_norm_eps": 0.05, "num_experts_per_tok": 3, "norm_topk_prob": True}, True, "OlmoeForCausalLM"

    # Latent attention. The configs that its makers publish say more than transformers writes, and the converter reads it.
    def published(config):
        third = config["model_type"] == "deepseek_v3"
        config.update(scoring_func="sigmoid" if third else "softmax", topk_method="noaux_tc" if third else config["topk_method"])
    latent = LLAMA | dict(num_hidden_layers=3, first_k_dense_replace=1, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=14,
                          kv_lora_rank=12, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=8, n_routed_experts=8,
                          num_experts_per_tok=3, n_shared_experts=2, moe_intermediate_size=10, routed_scaling_factor=1.7)
    def stretched(mscale):
        return {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 16,
                "beta_fast": 4.0, "beta_slow": 1.0, "mscale": mscale, "mscale_all_dim": mscale}
    routed = {"num_experts_per_tok": 2, "routed_scaling_factor": 1.0, "first_k_dense_replace": 2, "rms_norm_eps": 1e-5, "hidden_act": "gelu"}
    grouped = {"n_group": 2, "topk_group": 3, "rope_parameters.factor": 2.0, "rope_parameters.mscale_all_dim": 0.0}
    yield "deepseek-v3", T.DeepseekV3ForCausalLM, T.DeepseekV3Config(
        **latent | {"rope_parameters": stretched(1.0)}, n_group=4, topk_group=2, norm_topk_prob=True, num_mtp_layers=0), 461, routed | grouped | {
            "norm_topk_prob": False, "rope_interleave": False}, True, "DeepseekV3ForCausalLM", published
    yield "deepseek-v3-halves", T.DeepseekV3ForCausalLM, T.DeepseekV3Config(
        **latent | {"q_lora_rank": None}, n_group=1, topk_group=1, norm_topk_prob=False, rope_interleave=False, num_mtp_layers=0), 438, {
            "rope_interleave": True, "norm_topk_prob": True, "rope_parameters.rope_theta": 10000.0}
    yield "deepseek-v2", T.DeepseekV2ForCausalLM, T.DeepseekV2Config(
        **latent | {"rope_parameters": stretched(0.707)}, n_group=4, topk_group=2, topk_method="group_limited_greedy"), 322, routed | grouped | {
            "topk_method": "greedy"}, True, "DeepseekV2ForCausalLM", published
    yield "deepseek-v2-lite", T.DeepseekV2ForCausalLM, T.DeepseekV2Config(
        **latent | {"q_lora_rank": None}, topk_method="greedy"), 406, routed | {"rope_parameters.rope_theta": 10000.0}, False, \
            "DeepseekV2ForCausalLM", published
    wide = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=32,
                qk_rope_head_dim=4, v_head_dim=32, moe_intermediate_size=32, n_routed_experts=4, num_experts_per_tok=4,
                n_shared_experts=1)
    yield "deepseek-q8", T.DeepseekV3ForCausalLM, T.DeepseekV3Config(
        **latent | wide | {"rope_parameters": stretched(1.0)}, n_group=1, topk_group=1, norm_topk_prob=True, num_mtp_layers=0), 85, {
            "rope_interleave": False}, False, "DeepseekV3ForCausalLM", published, True
    yarn = {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 48, "truncate": False}
    oss = dict(num_hidden_layers=2, head_dim=10, sliding_window=7, num_local_experts=5, num_experts_per_tok=2, rope_parameters=yarn)
    yield "gpt-oss", T.GptOssForCausalLM, c(T.GptOssConfig, hidden_size=24, intermediate_size=14, **oss, **sdpa), 82, {
        "rms_norm_eps": 1e-5, "rope_parameters.rope_theta": 10000.0, "rope_parameters.factor": 2.0, "rope_parameters.truncate": True,
        "sliding_window": 9, "num_experts_per_tok": 3, "swiglu_alpha": 1.0, "swiglu_limit": 5.0}, True, "GptOssForCausalLM"
    yield "gpt-oss-limit", T.GptOssForCausalLM, c(T.GptOssConfig, hidden_size=24, intermediate_size=14, **oss, attention_bias=False, swiglu_limit=1.5, swiglu_alpha=1.2, **sdpa), 84, {"swiglu_limit": 7.0, "swiglu_alpha": 1.702}
    yield "gpt-oss-mxfp4", T.GptOssForCausalLM, c(T.GptOssConfig, hidden_size=32, intermediate_size=32, **oss | {
        "num_local_experts": 3}, **sdpa), 83, {"num_experts_per_tok": 3}, False, "GptOssForCausalLM", None, False, True

    neox = dict(vocab_size=VOCAB, hidden_size=20, intermediate_size=26, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64,
                layer_norm_eps=0.05, tie_word_embeddings=False)
    def old_neox(config):
        config["rotary_pct"] = config["rope_parameters"]["partial_rotary_factor"]
    parts = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}
    yield "gptneox", T.GPTNeoXForCausalLM, T.GPTNeoXConfig(**neox, rope_parameters=dict(parts)), 37, {
        "layer_norm_eps": 1e-5, "use_parallel_residual": False, "rope_parameters.partial_rotary_factor": 0.8,
        "rope_parameters.rope_theta": 300.0, "hidden_act": "relu"}, True, "GPTNeoXForCausalLM", old_neox
    yield "gptneox-serial", T.GPTNeoXForCausalLM, T.GPTNeoXConfig(**neox, rope_parameters=parts | {"rope_theta": 300.0},
                                                                  use_parallel_residual=False, hidden_act="relu",
                                                                  attention_bias=False), 38, {"use_parallel_residual": True}
    yield "gptneo", T.GPTNeoForCausalLM, T.GPTNeoConfig(
        vocab_size=VOCAB, hidden_size=18, num_layers=3, attention_types=[[["global", "local"], 1], [["local"], 1]], num_heads=3, window_size=7,
        max_position_embeddings=64, intermediate_size=26, layer_norm_epsilon=0.05), 39, {
            "layer_norm_epsilon": 1e-5, "window_size": 9, "activation_function": "relu", "attention_layers": ["global"] * 3}, True
    yield "gptj", T.GPTJForCausalLM, T.GPTJConfig(
        vocab_size=VOCAB, n_embd=20, n_layer=2, n_head=2, rotary_dim=4, n_inner=26, n_positions=64, layer_norm_epsilon=0.05), 40, {
            "layer_norm_epsilon": 1e-5, "rotary_dim": 8, "activation_function": "relu"}, True
    opt = dict(vocab_size=VOCAB, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, hidden_size=18, ffn_dim=26, pad_token_id=1)
    yield "opt", T.OPTForCausalLM, T.OPTConfig(**opt), 41, {
        "do_layer_norm_before": False, "activation_function": "gelu", "_remove_final_layer_norm": True}, True
    yield "opt-350m", T.OPTForCausalLM, T.OPTConfig(**opt, do_layer_norm_before=False, word_embed_proj_dim=14), 42, {
        "do_layer_norm_before": True, "activation_function": "gelu"}, True
    yield "opt-bare", T.OPTForCausalLM, T.OPTConfig(**opt, enable_bias=False, layer_norm_elementwise_affine=False,
                                                    tie_word_embeddings=False, activation_function="gelu"), 43, {
        "activation_function": "relu"}
    mpt = dict(vocab_size=VOCAB, d_model=18, n_layers=2, max_seq_len=64)
    attn = dict(attn_impl="torch", alibi=True)
    def old_mpt(config):
        config["architectures"] = ["MPTForCausalLM"]
        config["attn_config"] = {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None} | config["attn_config"]
    yield "mpt", T.MptForCausalLM, T.MptConfig(**mpt, n_heads=6, layer_norm_epsilon=1e-5, attn_config=attn | {"clip_qkv": 0.7}), 44, {
        "attn_config.clip_qkv": None, "layer_norm_epsilon": 0.05, "attn_config.softmax_scale": 0.2}, True, "MPTForCausalLM", old_mpt
    yield "mpt-scaled", T.MptForCausalLM, T.MptConfig(**mpt, n_heads=2, layer_norm_epsilon=0.05,
                                                      attn_config=attn | {"softmax_scale": 0.2}), 45, {"attn_config.softmax_scale": None}
    def qk_ln(config):
        config["attn_config"] |= {"attn_type": "grouped_query_attention", "kv_n_heads": 2, "qk_ln": True}
    yield "mpt-qk", mpt_of_foundry(6, 2, True, 0), T.MptConfig(**mpt | {"d_model": 24}, n_heads=6, layer_norm_epsilon=1e-5, attn_config=attn | {
        "clip_qkv": 0.9}), 91, {"attn_config.clip_qkv": None}, True, "MPTForCausalLM", old_mpt, False, qk_ln
    def rotated(config):
        config["attn_config"] |= {"attn_type": "multiquery_attention", "kv_n_heads": 1, "alibi": False, "rope": True, "rope_theta": 300,
                                  "rope_impl": "dail"}
    yield "mpt-rope", mpt_of_foundry(3, 1, False, 300.0), T.MptConfig(**mpt, n_heads=3, layer_norm_epsilon=0.05, attn_config=dict(attn)), 92, {
        "layer_norm_epsilon": 1e-5}, False, None, None, False, rotated
    yield "bloom", T.BloomForCausalLM, T.BloomConfig(vocab_size=VOCAB, hidden_size=18, n_layer=2, n_head=6, layer_norm_epsilon=0.05), 46, {
        "layer_norm_epsilon": 1e-5, "apply_residual_connection_post_layernorm": True}, True, "BloomForCausalLM"
    falcon = dict(vocab_size=VOCAB, num_hidden_layers=2, max_position_embeddings=64, layer_norm_epsilon=0.05, bos_token_id=1, eos_token_id=2)
    theta = {"rope_type": "default", "rope_theta": 10000.0}
    yield "falcon-7b", T.FalconForCausalLM, T.FalconConfig(**falcon, hidden_size=20, num_attention_heads=5, rope_parameters=theta), 47, {
        "layer_norm_epsilon": 1e-5, "parallel_attn": False, "rope_parameters.rope_theta": 300.0, "activation": "relu",
        "alibi": True}, True, "FalconForCausalLM", lambda config: config.update(num_kv_heads=1)
    yield "falcon-40b", T.FalconForCausalLM, T.FalconConfig(**falcon, hidden_size=24, num_attention_heads=4, num_kv_heads=2, rope_parameters=theta,
                                                            new_decoder_architecture=True, ffn_hidden_size=96), 48, {
        "layer_norm_epsilon": 1e-5, "rope_parameters.rope_theta": 300.0}, True, "FalconForCausalLM"
    yield "falcon-11b", T.FalconForCausalLM, T.FalconConfig(**falcon, hidden_size=24, num_attention_heads=4, num_kv_heads=2, rope_parameters=theta,
                                                            new_decoder_architecture=True, num_ln_in_parallel_attn=1,
                                                            ffn_hidden_size=26), 49, {"rope_parameters.rope_theta": 300.0}
    # Not "eager": transformers then adds the distances twice, in the mask and beside it.
    yield "falcon-rw", T.FalconForCausalLM, T.FalconConfig(**falcon, hidden_size=24, num_attention_heads=6, multi_query=False, alibi=True,
                                                           parallel_attn=False, bias=True), 50, {
        "parallel_attn": True, "alibi": False}


def main():
    wanted = set(sys.argv[1:])
    for row in models():
        if not wanted or row[0] in wanted:
            make(*row)


main()
