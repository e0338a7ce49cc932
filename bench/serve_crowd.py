#!/usr/bin/env python3
# A crowd around one normal client of a server that speaks OpenAI's /v1/completions: streams that were answered and stay
# open, readers that take a few bytes a second, and a mixed load whose clients go away in the middle.
#
#   bench/serve_crowd.py --url http://127.0.0.1:8080 crowd --idle 1000 --slow 200
#   bench/serve_crowd.py --url http://127.0.0.1:8080 mixed --minutes 10 --clients 24 --pid PID
#   bench/serve_crowd.py --url http://127.0.0.1:8080 turns --tokens 3000
#
# crowd: time to first token and rate of the normal client, alone and in the crowd; then every slow answer is read to its
# end. mixed: answers of many lengths, greedy and sampled, three in ten dropped at a random place; every whole answer is
# held against the same request answered alone, and the server's memory is watched. turns: the second turn of a long
# conversation against reading all of it. Ends with status 1 when an answer is wrong or missing. Only the standard library.
import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import time
import urllib.parse

WORDS = ("river stone light window garden paper engine winter market yellow travel simple music corner doctor letter "
         "bread ocean silver forest number metal summer village pencil mirror butter station picture island").split()


def request(path, body):
    data = json.dumps(body).encode()
    return (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (path.encode(), len(data)) + data)


async def connect(url, receive_buffer=None):
    parts = urllib.parse.urlsplit(url)
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.setblocking(False)
    await asyncio.get_running_loop().sock_connect(s, (parts.hostname, parts.port or 80))
    return await asyncio.open_connection(sock=s, limit=1 << 20)


class Answer:
    """One streamed answer as it comes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.text, self.events, self.done, self.first = "", 0, False, None

    async def start(self, url, body, receive_buffer=None):
        if self.reader is None:
            self.reader, self.writer = await connect(url, receive_buffer)
        self.begin = time.perf_counter()
        self.writer.write(request("/v1/completions", body))
        await self.writer.drain()
        status = int((await self.reader.readline()).split()[1])
        while (await self.reader.readline()).strip():
            pass
        if status != 200:
            raise RuntimeError(f"status {status}: {(await self.reader.read(400)).decode(errors='replace')}")
        return self

    async def step(self):
        """The next event; False at the end."""
        while True:
            line = await self.reader.readline()
            if not line or line.startswith(b"data: [DONE]"):
                self.done = line != b""
                while self.done and (await self.reader.readline()).strip() != b"0":
                    pass  # to the last chunk, so that the connection can serve again
                if self.done:
                    await self.reader.readline()
                return False
            if line.startswith(b"data: "):
                break
        choices = json.loads(line[6:]).get("choices")
        piece = choices[0]["text"] if choices else ""
        if piece and self.first is None:
            self.first = time.perf_counter() - self.begin
        self.text += piece
        self.events += 1
        return True

    async def rest(self):
        while await self.step():
            pass
        self.seconds = time.perf_counter() - self.begin
        if not self.done:
            raise RuntimeError("the answer has no end")
        return self


def body_of(args, prompt, tokens, **more):
    body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True} | more
    if args.model:
        body["model"] = args.model
    return body


async def whole(args, body):
    answer = await (await Answer(None, None).start(args.url, body)).rest()
    answer.writer.close()
    return answer


async def normal(args, rounds):
    """Median time to first token, and seconds for the tokens behind it."""
    firsts, rests, texts = [], [], set()
    for _ in range(rounds):
        answer = await whole(args, body_of(args, "The old lighthouse keeper said", 64, cache_prompt=False))
        firsts.append(answer.first)
        rests.append(answer.seconds - answer.first)
        texts.add(answer.text)
    print(f"  first token {statistics.median(firsts) * 1e3:.0f} ms (worst {max(firsts) * 1e3:.0f}), then 63 tokens in "
          f"{statistics.median(rests) * 1e3:.0f} ms (worst {max(rests) * 1e3:.0f})", flush=True)
    return texts


async def crowd(args):
    print("alone:")
    texts = await normal(args, args.rounds)
    gate = asyncio.Semaphore(16)

    async def idle(i):
        async with gate:
            return await (await Answer(None, None).start(args.url, body_of(args, WORDS[i % len(WORDS)], 1))).rest()

    idlers = await asyncio.gather(*(idle(i) for i in range(args.idle)))
    print(f"{args.idle} streams answered and left open:")
    texts |= await normal(args, args.rounds)

    def slow_body(i):
        return body_of(args, f"{WORDS[i % len(WORDS)]} {i}", 64, logprobs=5)

    async def slow(i):
        answer = await Answer(None, None).start(args.url, slow_body(i), receive_buffer=4096)
        answer.reader._limit = 512  # asyncio stops reading from the socket beyond twice this
        return answer

    slows = [asyncio.create_task(slow(i)) for i in range(args.slow)]
    while any(not t.done() for t in slows):
        await asyncio.sleep(0.2)
    slows = [t.result() for t in slows]
    stop = False

    async def trickle(answer):
        while not stop:
            answer.early = getattr(answer, "early", b"") + await answer.reader.read(16)
            await asyncio.sleep(0.5)

    readers = [asyncio.create_task(trickle(a)) for a in slows]
    await asyncio.sleep(args.settle)
    print(f"and {args.slow} slow readers, whose answers are written:")
    texts |= await normal(args, args.rounds)
    stop = True
    await asyncio.gather(*readers)
    wrong = len(texts) - 1
    for i, answer in enumerate(slows):
        answer.reader._limit = 1 << 20
        rest = answer.early + await answer.reader.readuntil(b"data: [DONE]")
        text = "".join((json.loads(line[6:])["choices"] or [{"text": ""}])[0]["text"]
                       for line in rest.split(b"\n") if line.startswith(b"data: {"))
        if i % 20 == 0 and text != (await whole(args, slow_body(i))).text:
            wrong += 1
            print(f"slow answer {i} differs: {text!r}")
        answer.writer.close()
    for answer in idlers:
        again = await (await Answer(answer.reader, answer.writer).start(args.url, body_of(args, "on", 1))).rest()
        wrong += again.events == 0
        answer.writer.close()
    print(f"every slow answer came whole, every open stream answered again; {wrong} wrong")
    return wrong


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


async def mixed(args):
    rng = random.Random(args.seed)
    bodies = []
    for i in range(24):
        words = " ".join(rng.choices(WORDS, k=rng.choice([3, 10, 40, 120, 300])))
        sampled = {"temperature": 0.9, "top_p": 0.95, "seed": i} if i % 2 else {}
        bodies.append(body_of(args, words, rng.choice([1, 8, 32, 100]), **sampled))
    alone = [(await whole(args, body)).text for body in bodies]
    end = time.monotonic() + args.minutes * 60
    counts = {"whole": 0, "dropped": 0, "wrong": 0, "failed": 0}
    memory = []

    async def client():
        while time.monotonic() < end:
            i = rng.randrange(len(bodies))
            drop_at = rng.randrange(bodies[i]["max_tokens"] + 1) if rng.random() < 0.3 else None
            try:
                answer = await Answer(None, None).start(args.url, bodies[i])
                while (drop_at is None or answer.events < drop_at) and await answer.step():
                    pass
                answer.writer.close()
            except (RuntimeError, OSError, asyncio.IncompleteReadError) as fault:
                counts["failed"] += 1
                print(f"failed: {fault}")
                continue
            if answer.done:
                counts["whole"] += 1
                counts["wrong"] += answer.text != alone[i]
            else:
                counts["dropped" if drop_at is not None else "failed"] += 1

    async def watch():
        while time.monotonic() < end:
            if args.pid:
                memory.append(resident_mb(args.pid))
            await asyncio.sleep(5)

    await asyncio.gather(watch(), *(client() for _ in range(args.clients)))
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    if memory:
        half = len(memory) // 2
        print(f"resident MB: first half at most {max(memory[:half] or memory):.0f}, second half {max(memory[half:]):.0f}")
    again = [(await whole(args, body)).text for body in bodies]
    return counts["wrong"] + counts["failed"] + (again != alone)


async def turns(args):
    rng = random.Random(args.seed)
    text = " ".join(rng.choices(WORDS, k=args.tokens * 3 // 4))
    ratios = []
    for i in range(args.rounds):
        prompt = f"User: {i}. Remember these words: {text}\nModel:"
        first = await whole(args, body_of(args, prompt, 32))
        prompt += first.text + "\nUser: Which was the first?\nModel:"
        second = await whole(args, body_of(args, prompt, 32))
        fresh = await whole(args, body_of(args, prompt, 32, cache_prompt=False))
        ratios.append(second.first / fresh.first)
        print(f"first turn {first.first:.3f} s, second {second.first:.3f} s, the same read as a whole {fresh.first:.3f} s: "
              f"{ratios[-1]:.3f}", flush=True)
        if second.text != fresh.text:
            print(f"the answers differ: {second.text!r}, {fresh.text!r}")
            return 1
    print(f"median ratio {statistics.median(ratios):.3f}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="A crowd around one client of a server of OpenAI's completions")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("crowd")
    p.add_argument("--idle", type=int, default=1000)
    p.add_argument("--slow", type=int, default=200)
    p.add_argument("--settle", type=float, default=20, help="seconds in which the slow answers are written")
    p = verbs.add_parser("mixed")
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--clients", type=int, default=24)
    p.add_argument("--pid", type=int, default=0, help="the server's process, whose memory is watched")
    p = verbs.add_parser("turns")
    p.add_argument("--tokens", type=int, default=3000)
    args = parser.parse_args()
    sys.exit(1 if asyncio.run({"crowd": crowd, "mixed": mixed, "turns": turns}[args.verb](args)) else 0)


main()
