#!/usr/bin/env python3
"""OpenVINO GenAI measured as llama-bench measures: the same options, the same JSON, so that
`freehold bench MODEL --compare "python3 bench/peers/openvino_bench.py"` runs it in turns with ours.

Needs the PyPI package openvino-genai in the Python that runs it. Loading is not counted; each repetition is preceded by
one run that is not counted either. Reads GGUF files of the Llama and Qwen kinds (Q4_0, Q4_1, Q8_0, F16)."""

import argparse
import json
import random
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", required=True, help="model file")
    parser.add_argument("-p", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("-n", type=int, default=128, help="tokens to write")
    parser.add_argument("-t", type=int, default=2, help="threads")
    parser.add_argument("-d", type=int, default=0, help="not supported")
    parser.add_argument("-r", type=int, default=1, help="repetitions")
    parser.add_argument("--sequences", type=int, default=1, help="prompts at once; rates are of all together, and -n "
                        "then counts behind a prompt of -p tokens")
    parser.add_argument("-o", default="json", help="output format, json")
    args = parser.parse_args()
    if args.d:
        print("a depth cannot be set here", file=sys.stderr)
        return 2
    pipe = genai.LLMPipeline(args.m, "CPU", INFERENCE_NUM_THREADS=args.t)

    def prompts(n_prompt: int, seed: int):
        rng = random.Random(seed)
        return np.array([[rng.randrange(100, 40000) for _ in range(n_prompt)] for _ in range(args.sequences)],
                        dtype=np.int64)

    def together(n_new: int, seed: int) -> float:
        """Seconds until every sequence has n_new tokens. The pipeline keeps the keys and values of prompts that it has
        read, so every call needs prompts of its own."""
        ids = prompts(args.p, seed)
        inputs = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        config = genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = n_new
        config.ignore_eos = True
        config.do_sample = False
        begin = time.perf_counter()
        found = pipe.generate(inputs, config)
        seconds = time.perf_counter() - begin
        if any(len(tokens) != n_new for tokens in found.tokens) or len(found.tokens) != args.sequences:
            raise RuntimeError("not all sequences were written to their end")
        return seconds

    def run(n_prompt: int, n_new: int, seed: int):
        ids = prompts(n_prompt, seed)
        inputs = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        config = genai.GenerationConfig()
        config.max_new_tokens = n_new
        config.min_new_tokens = n_new
        config.ignore_eos = True
        config.do_sample = False
        stamps = []

        def note(*_):
            stamps.append(time.perf_counter())
            return genai.StreamingStatus.RUNNING

        class Watch(genai.StreamerBase):
            def write(self, token):
                return note()

            def end(self):
                pass

        begin = time.perf_counter()
        pipe.generate(inputs, config, Watch())
        return begin, stamps

    rates = []
    for i in range(args.r + 1):
        if args.sequences > 1:
            first = together(1, 2 * i)
            rate = args.sequences * args.p / first
            if args.n > 0:
                rate = args.sequences * args.n / (together(args.n + 1, 2 * i + 1) - first)
        elif args.n > 0:
            begin, stamps = run(8, args.n + 1, i)
            rate = (len(stamps) - 1) / (stamps[-1] - stamps[0])
        else:
            begin, stamps = run(args.p, 1, i)
            rate = args.p / (stamps[0] - begin)
        if i > 0:
            rates.append(rate)
    print(json.dumps([{"n_prompt": args.p, "n_gen": args.n, "n_threads": args.t, "avg_ts": sum(rates) / len(rates),
                       "samples_ts": rates}], indent=2).replace("[{", "[\n{", 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
