#!/usr/bin/env python3
# Load on a server that speaks OpenAI's /v1/completions: streams at once, distinct prompts, fixed length of answers.
# Prints tokens per second of all streams together and the time to the first token (p50, p99).
#
#   bench/serve_load.py --url http://127.0.0.1:8080 --streams 1,4,16,64 --prompt-words 120 --tokens 64
#
# Works with `freehold serve` and llama-server alike (both take ignore_eos). Only the standard library is used.
import argparse
import asyncio
import json
import random
import statistics
import time
import urllib.parse

WORDS = ("river stone light window garden paper engine winter market yellow travel simple music corner doctor letter "
         "bread ocean silver forest number metal summer village pencil mirror butter station picture island").split()


async def one(url, prompt, tokens, model):
    """One streamed answer: (seconds to first token, seconds to the end, tokens that came)."""
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True,
            "cache_prompt": False, "stream_options": {"include_usage": True}}
    if model:
        body["model"] = model
    data = json.dumps(body).encode()
    begin = time.perf_counter()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    await writer.drain()
    first = None
    count = 0
    status = int((await reader.readline()).split()[1])
    async for line in reader:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        event = json.loads(line[6:])
        if event.get("usage"):
            count = event["usage"]["completion_tokens"]
        if event.get("choices") and event["choices"][0].get("text") and first is None:
            first = time.perf_counter() - begin
    writer.close()
    if status != 200 or first is None:
        raise RuntimeError(f"status {status}, {count} tokens")
    return first, time.perf_counter() - begin, count


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, round(q * (len(values) - 1)))]


async def measure(args, streams, rng):
    prompts = [" ".join(rng.choices(WORDS, k=args.prompt_words)) for _ in range(streams)]
    begin = time.perf_counter()
    results = await asyncio.gather(*(one(args.url, p, args.tokens, args.model) for p in prompts))
    wall = time.perf_counter() - begin
    return wall, results


async def main():
    parser = argparse.ArgumentParser(description="Load on a server of OpenAI's completions")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="")
    parser.add_argument("--streams", default="1,4,16,64")
    parser.add_argument("--prompt-words", type=int, default=120)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(1)
    await one(args.url, "warm up", 4, args.model)
    print(f"{'streams':>7} {'tokens/s':>9} {'first p50':>10} {'first p99':>10} {'wall':>8}")
    for streams in (int(s) for s in args.streams.split(",")):
        rates, firsts, walls = [], [], []
        for _ in range(args.repeat):
            wall, results = await measure(args, streams, rng)
            rates.append(sum(r[2] for r in results) / wall)
            firsts += [r[0] for r in results]
            walls.append(wall)
        print(f"{streams:7d} {statistics.median(rates):9.1f} {percentile(firsts, 0.5):9.2f}s {percentile(firsts, 0.99):9.2f}s "
              f"{statistics.median(walls):7.1f}s", flush=True)


asyncio.run(main())
