#!/usr/bin/env python3
# A Llama of any width with random weights, or with --experts a DeepSeek (latent attention, a dense layer, then experts
# beside a shared one), as a GGUF file in F16, for timing: speed does not ask what a model knows.
# The vocabulary is copied from a real file, so that every program opens it. Needs PyPI gguf and numpy.
import argparse

import gguf
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vocabulary", help="a GGUF file whose tokenizer is copied")
    parser.add_argument("out")
    parser.add_argument("--d-model", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--d-ff", type=int, default=8192)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--experts", type=int, default=0, help="0: a Llama; else so many experts a layer, --d-expert wide")
    parser.add_argument("--experts-used", type=int, default=6)
    parser.add_argument("--d-expert", type=int, default=512)
    parser.add_argument("--latent", type=int, default=512, help="of a DeepSeek; heads are 128 + 64 wide, values 128")
    args = parser.parse_args()

    donor = gguf.GGUFReader(args.vocabulary)
    writer = gguf.GGUFWriter(args.out, "deepseek2" if args.experts else "llama")
    writer.add_name("random")
    writer.add_context_length(args.context)
    writer.add_embedding_length(args.d_model)
    writer.add_block_count(args.layers)
    writer.add_feed_forward_length(args.d_ff)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(1 if args.experts else args.kv_heads)
    writer.add_rope_dimension_count(64 if args.experts else args.d_model // args.heads)
    if args.experts:
        writer.add_kv_lora_rank(args.latent)
        writer.add_key_length(args.latent + 64)
        writer.add_value_length(args.latent)
        writer.add_key_length_mla(128 + 64)
        writer.add_value_length_mla(128)
        writer.add_leading_dense_block_count(1)
        writer.add_expert_count(args.experts)
        writer.add_expert_used_count(args.experts_used)
        writer.add_expert_feed_forward_length(args.d_expert)
        writer.add_expert_shared_count(2)
        writer.add_expert_weights_scale(1.0)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    n_vocab = 0
    for name, field in donor.fields.items():
        if not name.startswith("tokenizer."):
            continue
        value = field.contents()
        if name == "tokenizer.ggml.tokens":
            n_vocab = len(value)
        if isinstance(value, list):
            if value:
                writer.add_array(name, value)
        else:
            writer.add_key_value(name, value, field.types[0])
    writer.add_vocab_size(n_vocab)

    random = np.random.default_rng(1)

    def matrix(name, *shape):
        values = random.standard_normal(shape, dtype=np.float32) * (shape[-1] ** -0.5)
        writer.add_tensor(name, values.astype(np.float16))

    def norm(name, width=args.d_model):
        writer.add_tensor(name, (1 + 0.1 * random.standard_normal(width)).astype(np.float32))

    def latent_attention(i):
        matrix(f"blk.{i}.attn_q.weight", args.heads * (128 + 64), args.d_model)
        matrix(f"blk.{i}.attn_kv_a_mqa.weight", args.latent + 64, args.d_model)
        norm(f"blk.{i}.attn_kv_a_norm.weight", args.latent)
        matrix(f"blk.{i}.attn_k_b.weight", args.heads, args.latent, 128)
        matrix(f"blk.{i}.attn_v_b.weight", args.heads, 128, args.latent)
        matrix(f"blk.{i}.attn_output.weight", args.d_model, args.heads * 128)

    def experts(i):
        writer.add_tensor(f"blk.{i}.ffn_gate_inp.weight",
                          random.standard_normal((args.experts, args.d_model), dtype=np.float32) * args.d_model ** -0.5)
        for kind, count, width in (("exps", [args.experts], args.d_expert), ("shexp", [], 2 * args.d_expert)):
            matrix(f"blk.{i}.ffn_gate_{kind}.weight", *count, width, args.d_model)
            matrix(f"blk.{i}.ffn_up_{kind}.weight", *count, width, args.d_model)
            matrix(f"blk.{i}.ffn_down_{kind}.weight", *count, args.d_model, width)

    kv = args.d_model // args.heads * args.kv_heads
    matrix("token_embd.weight", n_vocab, args.d_model)
    for i in range(args.layers):
        norm(f"blk.{i}.attn_norm.weight")
        if args.experts:
            latent_attention(i)
        else:
            matrix(f"blk.{i}.attn_q.weight", args.d_model, args.d_model)
            matrix(f"blk.{i}.attn_k.weight", kv, args.d_model)
            matrix(f"blk.{i}.attn_v.weight", kv, args.d_model)
            matrix(f"blk.{i}.attn_output.weight", args.d_model, args.d_model)
        norm(f"blk.{i}.ffn_norm.weight")
        if args.experts and i > 0:
            experts(i)
            continue
        matrix(f"blk.{i}.ffn_gate.weight", args.d_ff, args.d_model)
        matrix(f"blk.{i}.ffn_up.weight", args.d_ff, args.d_model)
        matrix(f"blk.{i}.ffn_down.weight", args.d_model, args.d_ff)
    norm("output_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
