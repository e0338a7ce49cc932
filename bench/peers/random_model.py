#!/usr/bin/env python3
# A Llama of any width with random weights, as a GGUF file in F16, for timing: speed does not ask what a model knows.
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
    args = parser.parse_args()

    donor = gguf.GGUFReader(args.vocabulary)
    writer = gguf.GGUFWriter(args.out, "llama")
    writer.add_name("random")
    writer.add_context_length(args.context)
    writer.add_embedding_length(args.d_model)
    writer.add_block_count(args.layers)
    writer.add_feed_forward_length(args.d_ff)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.kv_heads)
    writer.add_rope_dimension_count(args.d_model // args.heads)
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

    def matrix(name, rows, columns):
        values = random.standard_normal((rows, columns), dtype=np.float32) * (columns ** -0.5)
        writer.add_tensor(name, values.astype(np.float16))

    def norm(name):
        writer.add_tensor(name, (1 + 0.1 * random.standard_normal(args.d_model)).astype(np.float32))

    kv = args.d_model // args.heads * args.kv_heads
    matrix("token_embd.weight", n_vocab, args.d_model)
    for i in range(args.layers):
        norm(f"blk.{i}.attn_norm.weight")
        matrix(f"blk.{i}.attn_q.weight", args.d_model, args.d_model)
        matrix(f"blk.{i}.attn_k.weight", kv, args.d_model)
        matrix(f"blk.{i}.attn_v.weight", kv, args.d_model)
        matrix(f"blk.{i}.attn_output.weight", args.d_model, args.d_model)
        norm(f"blk.{i}.ffn_norm.weight")
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
