#!/usr/bin/env python3
"""Many sequences at once beside the peers: every one reads a prompt and writes, in turns on the same file and threads.

    bench/peers/sequences.py --freehold build/release/apps/freehold/freehold --threads 2 \\
        --batched llama-batched-bench --openvino "python3 bench/peers/openvino_bench.py" MODEL.gguf...

Prints Markdown: tokens a second of all sequences together while they read and while they write (medians of the rounds), and
how many times faster the whole work is done than by the peer (by the medians of the times). Needs Python only."""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{shlex.join(command)}: {(done.stdout + done.stderr).strip()[-400:]}", file=sys.stderr)
        return None
    return done.stdout


def freehold(args, model):
    rates = []
    # Written behind the prompt, as the peers do; what lies before is not part of the time.
    for options in (["-p", str(args.prompt), "-n", "0"], ["-p", "0", "-n", str(args.gen), "--depth", str(args.prompt)]):
        text = output([args.freehold, "bench", model, "--json", "--no-peaks", "-r", "1", "--sequences",
                       str(args.sequences), "--threads", str(args.threads)] + options)
        if not text:
            return None
        rates.append(json.loads(text)[0]["tokens_per_second"]["median"])
    return tuple(rates)


def batched(args, model):
    text = output(shlex.split(args.batched) + ["-m", model, "-npp", str(args.prompt), "-ntg", str(args.gen), "-npl",
                  str(args.sequences), "-t", str(args.threads), "-c", str(args.sequences * (args.prompt + args.gen)),
                  "--output-format", "jsonl"])
    for line in (text or "").splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            return found["speed_pp"], found["speed_tg"]
    return None


def openvino(args, model):
    rates = []
    for options in (["-p", str(args.prompt), "-n", "0"], ["-p", str(args.prompt), "-n", str(args.gen)]):
        text = output(shlex.split(args.openvino) + ["-m", model, "-t", str(args.threads), "-r", "1", "--sequences",
                      str(args.sequences)] + options)
        if not text:
            return None
        rates.append(json.loads(text)[0]["avg_ts"])
    return tuple(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--freehold", required=True)
    parser.add_argument("--batched", default="")
    parser.add_argument("--openvino", default="")
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("-p", "--prompt", type=int, default=128)
    parser.add_argument("-n", "--gen", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    runners = {"Freehold": freehold}
    if args.batched:
        runners["llama-batched-bench"] = batched
    if args.openvino:
        runners["OpenVINO"] = openvino

    def seconds(rates):
        return args.sequences * (args.prompt / rates[0] + args.gen / rates[1])

    print("| file | " + " | ".join(f"{name}, reading / writing" for name in runners) + " |")
    print("|-" * (1 + len(runners)) + "|")
    for model in args.models:
        results = {name: [] for name in runners}
        for _ in range(args.rounds):
            for name, run in runners.items():
                found = run(args, model)
                if found:
                    results[name].append(found)
        ours = results["Freehold"]
        if not ours:
            continue
        cells = []
        for name, found in results.items():
            if not found:
                cells.append("cannot read it")
                continue
            cell = " / ".join(f"{statistics.median(rates[i] for rates in found):.0f}" for i in (0, 1))
            if name != "Freehold":
                ratio = statistics.median(map(seconds, found)) / statistics.median(map(seconds, ours))
                cell += f" ({ratio:.2f}x)"
            cells.append(cell)
        print(f"| {os.path.basename(model)} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
