#!/usr/bin/env python3
# Does a server's memory stay flat however many different things it is asked? Rounds of requests of which no two are alike:
# schemas, regular expressions, grammars, prompts, system messages, tools, names of models, fields, headers, paths and
# methods, stored responses, clients that go away. After each round it prints the resident memory.
#
#   bench/serve_memory.py --url http://127.0.0.1:8080 --pid PID --rounds 12 --requests 500 [--model NAME] [--chat NAME] [--key KEY]
#
# The first third of the rounds fills what is bounded (caches, pages, the allocator's own); after it memory may grow by
# --slack MB (default 8) and no more. Status 1 when it does, or when an answer is a fault of the server (500). Only the standard library.
import argparse
import http.client
import json
import pathlib
import random
import re
import threading
import urllib.parse

WORDS = "river stone light window garden paper engine winter market yellow travel simple music corner doctor letter".split()


class Asker:
    """Asks one kind of thing after another over one connection."""

    def __init__(self, args, seed):
        self.args, self.random = args, random.Random(seed)
        self.url = urllib.parse.urlsplit(args.url)
        self.connection, self.statuses = None, {}

    def word(self):
        return self.random.choice(WORDS) + str(self.random.getrandbits(48))

    def text(self, n):
        return " ".join(self.random.choice(WORDS) for _ in range(n)) + " " + self.word()

    def ask(self, method, path, body=None, headers=None, drop=False):
        for again in (False, True):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=120)
                data = None if body is None else json.dumps(body).encode()
                more = {"Content-Type": "application/json", **(headers or {})}
                if self.args.key:
                    more["Authorization"] = "Bearer " + self.args.key
                self.connection.request(method, path, data, more)
                reply = self.connection.getresponse()
                if drop:
                    reply.read(20)
                    self.close()
                else:
                    text = reply.read()
                    if reply.status == 500:
                        print("a fault of the server:", method, path, text[:300])
                self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
                return
            except (ConnectionError, http.client.HTTPException):
                self.close()
                if again:
                    raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def schema(self):
        names = [self.word() for _ in range(self.random.randint(1, 6))]
        kinds = [{"type": "string", "maxLength": self.random.randint(1, 40)}, {"type": "integer"}, {"enum": [self.word(), self.word()]},
                 {"type": "array", "items": {"type": "number"}, "maxItems": 3}, {"type": "string", "pattern": "^[a-z]{1,%d}$" % self.random.randint(1, 30)}]
        return {"type": "object", "properties": {n: self.random.choice(kinds) for n in names}, "required": names[:2],
                "additionalProperties": False, "title": self.word()}

    def one(self):
        a, r = self.args, self.random
        completion = {"model": a.model, "prompt": self.text(r.randint(1, 60)), "max_tokens": r.randint(1, 8), "temperature": 1}
        chat = {"model": a.chat, "max_tokens": 4, "messages": [{"role": "system", "content": self.text(5)}, {"role": "user", "content": self.text(5)}]}
        kind = r.randrange(16)
        if kind == 0:
            self.ask("POST", "/v1/completions", {**completion, "guided_json": self.schema()})
        elif kind == 1:
            self.ask("POST", "/v1/completions", {**completion, "guided_regex": "(%s|%s)[a-z]{%d}" % (self.word(), self.word(), r.randint(1, 50))})
        elif kind == 2:
            self.ask("POST", "/v1/completions", {**completion, "grammar": 'root ::= "%s" x*\nx ::= [a-z] | "%s"' % (self.word(), self.word())})
        elif kind == 3:
            self.ask("POST", "/v1/completions", {**completion, "guided_choice": [self.word() for _ in range(r.randint(1, 100))]})
        elif kind == 4:
            self.ask("POST", "/v1/completions", {**completion, "logprobs": 3, "stop": [self.word()], "logit_bias": {str(r.randrange(400)): 1}, self.word(): self.word()})
        elif kind == 5:
            self.ask("POST", "/v1/completions", {**completion, "model": self.word()})
        elif kind == 6:
            self.ask("POST", "/v1/completions", {**completion, "n": r.randint(2, 6), "stream": True}, drop=r.random() < 0.5)
        elif kind == 7:
            self.ask(r.choice(["GET", "POST", "DELETE"]), "/" + self.word() + "?" + self.word() + "=1", {self.word(): 1})
        elif kind == 8:
            self.ask(self.word().upper(), "/health")
        elif kind == 9:
            self.ask("GET", r.choice(["/v1/models/", "/freehold/v1/models/", "/v1/responses/"]) + self.word(), headers={"X-" + self.word(): self.word()})
        elif kind == 10:
            self.ask("POST", "/tokenize", {"model": a.model, "content": self.text(200)})
        elif kind == 11 and a.chat:
            self.ask("POST", "/v1/responses", {"model": a.chat, "input": self.text(10), "instructions": self.text(5), "max_output_tokens": 4, "metadata": {self.word(): self.word()}})
        elif kind == 12 and a.chat:
            tools = [{"type": "function", "function": {"name": "f" + self.word()[:40], "parameters": self.schema()}} for _ in range(r.randint(1, 4))]
            self.ask("POST", "/v1/chat/completions", {**chat, "tools": tools, "tool_choice": r.choice(["auto", "required"])})
        elif kind == 13 and a.chat:
            self.ask("POST", "/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": self.schema()}}})
        elif kind == 14 and a.chat:
            self.ask("POST", "/v1/messages", chat)
        elif kind == 15:
            self.ask("POST", "/api/generate", {"model": a.model, "prompt": self.text(5), "stream": r.random() < 0.5, "options": {"num_predict": 3, self.word(): 1}})
        else:
            self.ask("POST", "/v1/completions", {**completion, "echo": True, "logprobs": 1})


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--url", required=True)
    p.add_argument("--pid", type=int, required=True)
    p.add_argument("--model", default="")
    p.add_argument("--chat", default="", help="a model that answers conversations; without one those are left out")
    p.add_argument("--key", default="")
    p.add_argument("--rounds", type=int, default=12)
    p.add_argument("--requests", type=int, default=500, help="of each of four clients in a round")
    p.add_argument("--slack", type=float, default=8)
    args = p.parse_args()
    sizes, statuses, seed = [], {}, 1
    print(f"before: {resident(args.pid):.1f} MB")
    for i in range(args.rounds):
        askers = [Asker(args, seed + k) for k in range(4)]
        seed += 4
        threads = [threading.Thread(target=lambda a=a: [a.one() for _ in range(args.requests)]) for a in askers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for a in askers:
            a.close()
            for status, n in a.statuses.items():
                statuses[status] = statuses.get(status, 0) + n
        sizes.append(resident(args.pid))
        print(f"round {i + 1}: {4 * args.requests * (i + 1)} requests, {sizes[-1]:.1f} MB", flush=True)
    settled = sizes[max(0, args.rounds // 3 - 1)]
    grown = sizes[-1] - settled
    print(f"statuses: {dict(sorted(statuses.items()))}; after the first third {grown:+.1f} MB")
    raise SystemExit(1 if grown > args.slack or statuses.get(500) else 0)


main()
