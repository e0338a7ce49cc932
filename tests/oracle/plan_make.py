# Makes tests/golden/plan/counts.json: configurations and how many parameters transformers' models of them have, made
# without memory (device meta). Active parameters are counted by hand: experts by the share chosen, lookups by one row.
# Again: PYTHON tests/oracle/plan_make.py   (transformers 5, torch)
import json
import os

import torch
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = os.path.join(HERE, "../../src/use/plan/configs.json")
OUT = os.path.join(HERE, "../golden/plan/counts.json")

SMALL = dict(num_hidden_layers=3, hidden_size=96, num_attention_heads=6, num_key_value_heads=2, intermediate_size=160,
             vocab_size=301, max_position_embeddings=64)
MORE = [
    ("llama, biases", dict(SMALL, model_type="llama", attention_bias=True, mlp_bias=True)),
    ("llama, tied, own width of heads", dict(SMALL, model_type="llama", head_dim=24, tie_word_embeddings=True)),
    ("qwen2, tied", dict(SMALL, model_type="qwen2", tie_word_embeddings=True)),
    ("qwen2_moe", dict(SMALL, model_type="qwen2_moe", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=40,
                       shared_expert_intermediate_size=56, decoder_sparse_step=2, mlp_only_layers=[])),
    ("qwen3_moe", dict(SMALL, model_type="qwen3_moe", head_dim=16, num_experts=6, num_experts_per_tok=2,
                       moe_intermediate_size=40, mlp_only_layers=[1])),
    ("mixtral", dict(SMALL, model_type="mixtral", num_local_experts=4, num_experts_per_tok=2)),
    ("olmo", dict(SMALL, model_type="olmo")), ("olmo2", dict(SMALL, model_type="olmo2")),
    ("olmo3", dict(SMALL, model_type="olmo3")),
    ("olmoe", dict(SMALL, model_type="olmoe", num_experts=4, num_experts_per_tok=2)),
    ("apertus", dict(SMALL, model_type="apertus")),
    ("gemma2", dict(SMALL, model_type="gemma2", head_dim=32)),
    ("gemma3_text", dict(SMALL, model_type="gemma3_text", head_dim=32)),
    ("phi3", dict(SMALL, model_type="phi3", pad_token_id=0)),
    ("smollm3", dict(SMALL, model_type="smollm3", pad_token_id=0, bos_token_id=1, eos_token_id=2)),
    ("gpt_oss", dict(SMALL, model_type="gpt_oss", head_dim=16, num_local_experts=4, num_experts_per_tok=2)),
    ("deepseek_v2", dict(SMALL, model_type="deepseek_v2", num_key_value_heads=6, n_routed_experts=4, n_shared_experts=2,
                         num_experts_per_tok=2, moe_intermediate_size=40, first_k_dense_replace=1, q_lora_rank=None,
                         kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12, n_group=1, topk_group=1)),
    ("deepseek_v3", dict(SMALL, model_type="deepseek_v3", num_key_value_heads=6, n_routed_experts=4, n_shared_experts=1,
                         num_experts_per_tok=2, moe_intermediate_size=40, first_k_dense_replace=2, q_lora_rank=48,
                         kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12, n_group=2, topk_group=1)),
    ("gpt_neo", dict(model_type="gpt_neo", num_layers=2, hidden_size=64, num_heads=4, vocab_size=301,
                     max_position_embeddings=64, intermediate_size=None, attention_types=[[["global", "local"], 1]])),
    ("opt, narrow embedding", dict(model_type="opt", num_hidden_layers=2, hidden_size=64, num_attention_heads=4, ffn_dim=96,
                                   word_embed_proj_dim=32, vocab_size=301, max_position_embeddings=64)),
    ("falcon, old", dict(model_type="falcon", num_hidden_layers=2, hidden_size=64, num_attention_heads=4, vocab_size=301,
                         multi_query=True, new_decoder_architecture=False, parallel_attn=True, bias=False, alibi=False)),
    ("falcon, new", dict(model_type="falcon", num_hidden_layers=2, hidden_size=64, num_attention_heads=4, num_kv_heads=2,
                         vocab_size=301, new_decoder_architecture=True, parallel_attn=True, bias=False, alibi=False)),
    ("mpt", dict(model_type="mpt", n_layers=2, d_model=64, n_heads=4, vocab_size=301, max_seq_len=64)),
    ("bloom", dict(model_type="bloom", n_layer=2, hidden_size=64, n_head=4, vocab_size=301)),
]
NAMED = ["llama3.1:405b", "deepseek-v3:671b", "qwen3:235b-a22b", "mixtral:8x7b", "qwen2.5:7b", "olmo2:7b", "gpt2:124m",
         "opt:125m", "gpt-j:6b", "pythia:12b", "falcon:40b", "gemma3:270m", "gpt-oss:120b"]
# What transformers writes anew and the plan leaves out: shared tables of positions that no file carries.
NOT_IN_FILES = ("rotary_emb", "inv_freq")


def build(config):
    config = dict(config)
    kind = config.pop("model_type")
    made = AutoConfig.for_model(kind, **config)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(made)


def main():
    known = {m["name"]: m["config"] for m in json.load(open(CONFIGS))["models"]}
    out = []
    for name, config in [(n, known[n]) for n in NAMED] + MORE:
        model = build(config)
        tied = getattr(model.config, "tie_word_embeddings", True)
        total, active = 0, 0
        used = config.get("num_experts_per_tok", 0)
        n_experts = config.get("num_local_experts") or config.get("n_routed_experts") or config.get("num_experts") or 0
        for key, p in model.named_parameters(remove_duplicate=True):
            if any(part in key for part in NOT_IN_FILES):
                continue
            total += p.numel()
            lookup = ("embed_tokens" in key or "wte" in key or "embed_in" in key or "word_embeddings.weight" in key) and not tied
            lookup = lookup or "embed_positions" in key or "wpe" in key
            if lookup:
                active += p.shape[1]
            elif ".experts." in key and n_experts:
                active += p.numel() * used // n_experts
            else:
                active += p.numel()
        entry = {"name": name, "config": config, "parameters": total, "active": active}
        out.append(entry)
        print(f"{name:36} {total:>16,} {active:>16,}")
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(e) for e in out) + "\n]\n")


main()
