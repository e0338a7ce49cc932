#!/usr/bin/env python3
"""The table of docs/performance.md: every file against every peer, in turns on the same file and threads.

    bench/peers/table.py --freehold build/release/apps/freehold/freehold \\
        --peer llama.cpp=~/llama.cpp/build/bin/llama-bench --peer ik_llama.cpp=~/ik_llama.cpp/build/bin/llama-bench \\
        --peer "OpenVINO=python3 bench/peers/openvino_bench.py" MODEL.gguf...

Prints Markdown: medians of Freehold over all rounds, its share of the machine's limits measured in the same runs, and for
each peer its median and the ratio. A peer that cannot read a file is said so. Needs Python only."""

import argparse
import json
import os
import shlex
import subprocess
import sys


def bench(args, model, peer):
    command = [args.freehold, "bench", model, "--json", "-r", str(args.rounds), "-p", args.prompt, "-n", args.gen,
               "--depth", args.depth]
    if args.threads:
        command += ["--threads", str(args.threads)]
    if args.profile:
        command += ["--profile", args.profile]
    if peer:
        command += ["--compare", peer]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        print(f"{os.path.basename(model)}: {said[-400:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def number(rate):
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--freehold", required=True)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("-p", "--prompt", default="512")
    parser.add_argument("-n", "--gen", default="128")
    parser.add_argument("--depth", default="0")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--profile", default="")
    args = parser.parse_args()
    peers = [peer.split("=", 1) for peer in args.peer]

    print("| file | test | Freehold, tokens/s | of peak | of bandwidth | " + " | ".join(n for n, _ in peers) + " |")
    print("|-" * (5 + len(peers)) + "|")
    for model in args.models:
        rows, order = {}, []
        for name, command in peers or [["", ""]]:
            command = " ".join(shlex.quote(os.path.expanduser(part)) for part in shlex.split(command))
            for test in bench(args, model, command) or []:
                key = test["test"] if test["depth"] == 0 else f"{test['test']} at {test['depth']}"
                if key not in rows:
                    order.append(key)
                    rows[key] = {"ours": [], "peak": [], "bandwidth": [], "peers": {}}
                row = rows[key]
                row["ours"].append(test["tokens_per_second"]["median"])
                row["peak"].append(test.get("share_of_peak"))
                row["bandwidth"].append(test.get("share_of_bandwidth"))
                if "ratio_to_peer" in test:
                    row["peers"][name] = (test["peer_tokens_per_second"]["median"], test["ratio_to_peer"])

        def middle(values):
            known = sorted(v for v in values if v is not None)
            return known[len(known) // 2] if known else None

        for key in order:
            row = rows[key]
            share = [f"{middle(row[k]):.0%}" if middle(row[k]) is not None else "-" for k in ("peak", "bandwidth")]
            cells = [f"{number(row['peers'][n][0])} ({row['peers'][n][1]:.2f}x)" if n in row["peers"] else "cannot read it"
                     for n, _ in peers]
            print(f"| {os.path.basename(model)} | {key} | {number(middle(row['ours']))} | {share[0]} | {share[1]} | "
                  + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
