#!/usr/bin/env python3
# Resident memory of a server under work that never repeats: each request has a prompt, a schema or tool, and often a key
# that no other had. What is kept by content (prefixes, compiled grammars, names, counts by key) must come to a bound.
#
#   bench/serve_memory.py PROGRAM MODEL --minutes 5 [--requests 20000 --clients 8 --keys 64 --plateau 0.05]
#
# Starts the server in a home of its own and prints a line every ten seconds: requests, distinct schemas, resident MB. At
# the end: the slope over the second half, in bytes a request. Status 1 when an answer is missing, or when the second half
# grew by more than the share `--plateau` of what the first half ended with. Only the standard library.
import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

WORDS = ("river stone light window garden paper engine winter market yellow travel simple music corner doctor letter "
         "bread ocean silver forest number metal summer village pencil mirror butter station picture island").split()


def start(program, model, home, keys):
    environment = {**os.environ, "FREEHOLD_HOME": str(home)}
    made = []
    for i in range(keys):
        out = subprocess.run([program, "key", "create", f"key{i}", "--tenant", f"tenant{i % 8}", "--json"], env=environment,
                             check=True, capture_output=True, text=True).stdout
        made.append(json.loads(out)["key"])
    log = home / "log"
    process = subprocess.Popen([program, "serve", "--models", model, "--listen", "127.0.0.1:0", "--context", "2048"],
                               stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    while process.poll() is None:
        text = log.read_text()
        found = re.search(r"serves at http://127\.0\.0\.1:(\d+)", text)
        if found and "loaded in" in text:
            return process, int(found.group(1)), made
        time.sleep(0.1)
    sys.exit(log.read_text())


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024


def word(draw):
    return draw.choice(WORDS) + format(draw.getrandbits(40), "x")


def schema(draw):
    """No two are alike: names, choices and bounds are drawn."""
    return {"type": "object", "additionalProperties": False, "properties": {
        word(draw): {"enum": [word(draw) for _ in range(draw.randint(2, 40))]},
        word(draw): {"type": "array", "maxItems": draw.randint(1, 3), "items": {"type": "integer", "minimum": draw.randint(0, 9),
                                                                            "maximum": draw.randint(10, 10**6)}},
        word(draw): {"type": "string", "pattern": f"^{draw.choice('abcdef')}[a-z]{{1,{draw.randint(1, 12)}}}$"}}}


def request(draw):
    """Path and body."""
    text = " ".join(word(draw) for _ in range(draw.randint(2, 16)))
    messages = [{"role": "user", "content": text}]
    kind = draw.randrange(8)
    if kind < 3:
        return "/v1/chat/completions", {"messages": messages, "max_tokens": 12, "response_format": {
            "type": "json_schema", "json_schema": {"name": word(draw), "schema": schema(draw)}}}
    if kind == 3:
        return "/v1/chat/completions", {"messages": messages, "max_tokens": 12, "tool_choice": "required", "tools": [
            {"type": "function", "function": {"name": word(draw), "parameters": schema(draw)}}]}
    if kind == 4:
        return "/v1/responses", {"input": text, "max_output_tokens": 8, "store": False}
    if kind == 5:
        return "/tokenize", {"content": text}
    if kind == 6:
        return "/v1/messages", {"messages": messages, "max_tokens": 8, "system": word(draw)}
    return "/v1/completions", {"prompt": text, "max_tokens": 8, "seed": draw.getrandbits(31), "temperature": 1}


class Load:
    def __init__(self, options, port, keys):
        self.options, self.port, self.keys = options, port, keys
        self.lock, self.counts, self.wrong = threading.Lock(), collections.Counter(), []
        self.begun, self.until = 0, time.monotonic() + options.minutes * 60

    def more(self):
        with self.lock:
            self.begun += 1
            return self.begun <= self.options.requests and time.monotonic() < self.until

    def client(self, seed):
        draw = random.Random(seed)
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        while self.more():
            path, body = request(draw)
            stranger = draw.random() < 0.05  # a key that nobody has
            key = "fh-" + format(draw.getrandbits(128), "x") if stranger else draw.choice(self.keys)
            try:
                wire.request("POST", path, json.dumps(body), {
                    "Content-Type": "application/json", "Authorization": "Bearer " + key, "X-Api-Key": key})
                reply = wire.getresponse()
                text = reply.read()
                good = reply.status == (401 if stranger else 200)
            except (OSError, http.client.HTTPException) as fault:
                good, text = False, repr(fault).encode()
                wire.close()
            with self.lock:
                self.counts[path] += 1
                if not good:
                    self.wrong.append((path, text[:300]))


def slope(points):
    """Bytes a request, by least squares."""
    n = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def main():
    parser = argparse.ArgumentParser(description="Resident memory of a server under work that never repeats.")
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--keys", type=int, default=64)
    parser.add_argument("--plateau", type=float, default=0.05)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        process, port, keys = start(options.program, options.model, pathlib.Path(home), options.keys)
        try:
            load = Load(options, port, keys)
            begin, points = time.monotonic(), [(0, resident(process.pid))]
            print(f"loaded: {points[0][1] / 1e6:.1f} MB", flush=True)
            threads = [threading.Thread(target=load.client, args=(i,)) for i in range(options.clients)]
            for t in threads:
                t.start()
            while any(t.is_alive() for t in threads):
                time.sleep(10)
                points.append((sum(load.counts.values()), resident(process.pid)))
                print(f"{time.monotonic() - begin:6.0f} s  {points[-1][0]:7d} requests  {points[-1][1] / 1e6:8.1f} MB", flush=True)
            half = [p for p in points if p[0] >= points[-1][0] / 2] or points[-1:]
            grown = half[-1][1] - half[0][1]
            print(f"{points[-1][0]} requests, none like another ({dict(load.counts)}); {len(load.wrong)} wrong; "
                  f"resident {points[0][1] / 1e6:.1f} MB loaded, {half[0][1] / 1e6:.1f} at half, {half[-1][1] / 1e6:.1f} at the end, "
                  f"highest {max(p[1] for p in points) / 1e6:.1f}; {slope(half):.0f} bytes a request over the second half")
            for path, text in load.wrong[:5]:
                print("wrong:", path, text)
            sys.exit(bool(load.wrong) or grown > options.plateau * half[0][1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


if __name__ == "__main__":
    main()
