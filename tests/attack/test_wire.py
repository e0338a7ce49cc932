# Attacks below the dialects: paths that climb, floods of headers, clients that dribble, bodies of 1 GiB, deep JSON, two
# lengths in one request, pages of other hosts.
import contextlib
import json
import shutil
import socket
import threading
import time

import pytest
import requests

GIB = 1 << 30


@contextlib.contextmanager
def connected(server, timeout=40):
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        yield s


def read_reply(s):
    """Status and everything that comes until the other side closes or 2 s of silence."""
    data = b""
    s.settimeout(20)
    try:
        while piece := s.recv(65536):
            data += piece
            s.settimeout(2)
    except (TimeoutError, ConnectionResetError):
        pass
    first = data.split(b"\r\n", 1)[0].split(b" ")
    return (int(first[1]) if len(first) > 1 and first[0].startswith(b"HTTP/") else 0), data


def raw(server, text):
    with connected(server) as s:
        try:
            s.sendall(text if isinstance(text, bytes) else text.encode())
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_reply(s)


def head(server, line, more=""):
    key = "".join(f"{k}: {v}\r\n" for k, v in server.headers().items())
    return f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{key}{more}"


CLIMBS = ["/../../../../etc/passwd", "/assets/../../../../etc/passwd", "/assets/..%2f..%2f..%2fetc/passwd",
          "/assets/%2e%2e/%2e%2e/etc/passwd", "/assets/..\\..\\etc\\passwd", "/assets/%00", "/assets/app.js%00.html",
          "/assets//etc/passwd", "/%c0%ae%c0%ae/etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd",
          "/v1/models/../../etc/passwd", "/freehold/v1/models//etc/passwd", "/freehold/v1/models/%2fetc%2fpasswd",
          "/v1/responses/..%2f..%2fkeys", "/api/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd", "/api/blobs/..",
          "/freehold/v1/audit/entries/..%2f..%2fsigning.key.pem", "//etc/passwd", "/%zz", "/%", "/" + "a/" * 5000,
          "/./././health/..", "http://evil.example/etc/passwd", "*", "/;/etc/passwd", "/?" + "a=b&" * 3000]


@pytest.mark.parametrize("path", CLIMBS, ids=[c[:30] for c in CLIMBS])
def test_paths_that_climb(server, path):
    for method in ("GET", "POST", "HEAD", "DELETE", "PUT", "OPTIONS"):
        status, data = raw(server, head(server, f"{method} {path}", "Content-Length: 2\r\nConnection: close\r\n\r\n{}"))
        assert 0 < status < 500, f"{method} {path}: {data[:300]}"
        assert b"root:" not in data and b"PRIVATE KEY" not in data


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "stories260K/../../x", "\u0000", "a" * 100_000,
                                  "file:///etc/passwd", "./tests/data", "~", "http://127.0.0.1/", "sha256:" + "0" * 64,
                                  "%2e%2e", "\ud83d\ude00", "stories260K\n", "x:y:z", "hf:../..", "pypi:x;rm"],
                         ids=lambda name: repr(name)[:30])
def test_names_of_models_are_no_paths(server, name):
    for path, body in [("/v1/completions", {"model": name, "prompt": "x"}), ("/api/show", {"model": name}),
                       ("/api/generate", {"model": name, "prompt": "x"}), ("/api/pull", {"model": name}),
                       ("/api/create", {"model": "x", "from": name}), ("/api/create", {"model": name, "from": "stories260K"}),
                       ("/api/create", {"model": "x", "files": {"a.gguf": name}}), ("/v1/embeddings", {"model": name, "input": "x"}),
                       ("/api/copy", {"source": "stories260K", "destination": name}), ("/api/push", {"model": name}),
                       ("/tokenize", {"model": name, "content": "x"})]:
        reply = requests.post(server.url + path, json=body, headers=server.headers(), timeout=60)
        assert reply.status_code < 500 or (path == "/api/push" and reply.status_code == 501), f"{path} {reply.text[:300]}"
        assert "root:" not in reply.text
        if path == "/api/create" and "stories" not in str(body.get("from")):
            assert reply.status_code >= 400, f"{body}: {reply.text[:300]}"
    reply = requests.delete(server.url + "/api/delete", json={"model": name}, headers=server.headers(), timeout=60)
    assert 400 <= reply.status_code < 500, reply.text


def test_floods_of_headers(server):
    many = "".join(f"X-{i}: y\r\n" for i in range(100_000))
    for text in (head(server, "GET /health", many + "\r\n"), head(server, "GET /health", "X: " + "y" * 5_000_000 + "\r\n\r\n"),
                 head(server, "GET /health", "X" * 5_000_000), "G" * 5_000_000, head(server, "GET /" + "a" * 5_000_000, "\r\n")):
        status, data = raw(server, text)
        assert status in (0, 400, 414, 431), data[:200]
    before = server.resident()
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            s = stack.enter_context(connected(server))
            s.sendall(head(server, "GET /health", "X: " + "y" * 60_000).encode())
        assert server.health() < 1
        assert server.resident() - before < 200 << 20


def test_clients_that_dribble(server):
    """Two hundred hold a half request open; the server answers others meanwhile and cuts them off in time."""
    with contextlib.ExitStack() as stack:
        begin = time.monotonic()
        heads = [stack.enter_context(connected(server)) for _ in range(200)]
        for s in heads:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        # A byte now and then must not buy more time.
        while time.monotonic() - begin < 17:
            for i, s in enumerate(heads):
                with contextlib.suppress(OSError):
                    s.sendall(b"X" if i % 2 else b"X-%d: 1\r\n" % i)
            assert server.health() < 1
            time.sleep(1)
        status, data = read_reply(heads[0])
        assert status in (0, 408), data[:200]
        gone = 0
        for s in heads:
            s.settimeout(10)
            with contextlib.suppress(OSError):
                while s.recv(4096):
                    pass
            gone += 1
        assert gone == 200 and time.monotonic() - begin < 40


def test_bodies_of_a_gibibyte(server):
    """By their length they are refused unread; without one they are cut off at the bound."""
    key = server.headers()
    for path in ("/v1/chat/completions", "/api/chat", "/tokenize", "/v1/embeddings"):
        status, data = raw(server, head(server, f"POST {path}", f"Content-Type: application/json\r\nContent-Length: {GIB}\r\n\r\n{{"))
        assert status == 413, data[:200]
    for length in ("18446744073709551615", "18446744073709551616", "-1", "1e9", "0x10", "99999999999999999999999", "1 1"):
        status, data = raw(server, head(server, "POST /tokenize", f"Content-Length: {length}\r\n\r\n{{}}"))
        assert status in (400, 413), f"{length}: {data[:200]}"
    before = server.resident()

    def chunks():
        piece, sent = b"x" * (1 << 20), 0
        while sent < GIB:
            yield piece
            sent += len(piece)
    try:
        reply = requests.post(server.url + "/tokenize", data=chunks(), headers={"Content-Type": "application/json", **key}, timeout=120)
        assert reply.status_code == 413
    except requests.ConnectionError:
        pass  # cut off while it was still sending
    # Chunks that never get to their bytes, or to their end.
    for begin in ("5;" + "x" * 100, "5\r\n12345\r\n0\r\nX: " + "y" * 100):
        with connected(server) as s, contextlib.suppress(OSError):
            s.sendall(head(server, "POST /tokenize", "Transfer-Encoding: chunked\r\n\r\n" + begin).encode())
            for _ in range(256):
                s.sendall(b"x" * (1 << 20))
    assert server.resident() - before < 200 << 20
    # A blob goes to the disk as it comes: it has a bound of its own, and one that the disk does not hold is refused.
    for length, wanted in ((10**12 + 1, 413), (10**12, 507)):
        if wanted == 413 or shutil.disk_usage("/tmp").total < length:
            status, data = raw(server, head(server, "POST /api/blobs/sha256:" + "0" * 64, f"Content-Length: {length}\r\n\r\nx"))
            assert status == wanted, data[:200]
    assert server.resident() - before < 200 << 20


def test_many_large_bodies_at_once(server):
    """Eight of 31 MiB: not one that parses them in peace, and memory that comes back."""
    body = b'{"content": "' + b"a " * (31 << 19) + b'"}'
    statuses = []

    def send():
        with contextlib.suppress(requests.ConnectionError):
            statuses.append(requests.post(server.url + "/apply-template", data=body, timeout=120,
                                          headers={"Content-Type": "application/json", **server.headers()}).status_code)
    threads = [threading.Thread(target=send) for _ in range(8)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        assert server.health() < 1
        time.sleep(0.05)
    assert set(statuses) <= {400, 413, 503}, statuses


DEEP = {"lists": "[" * 1_000_000, "closed lists": "[" * 100_000 + "]" * 100_000, "objects": '{"a":' * 300_000,
        "as a field": '{"messages":' + "[" * 200_000 + "]" * 200_000 + "}",
        "as a schema": '{"prompt":"x","guided_json":' + '{"not":' * 20_000 + "{}" + "}" * 20_000 + "}",
        "as all of": '{"prompt":"x","guided_json":' + '{"allOf":[' * 5_000 + "{}" + "]}" * 5_000 + "}",
        "as a grammar": json.dumps({"prompt": "x", "grammar": "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000}),
        "as a regex": json.dumps({"prompt": "x", "guided_regex": "(" * 50_000 + "a" + ")" * 50_000}),
        "repeated": json.dumps({"prompt": "x", "guided_regex": "((((a{1,1000}){1,1000}){1,1000}){1,1000})"}),
        "a large repeat": json.dumps({"prompt": "x", "guided_regex": "a{1000000000}"}),
        "a loop of references": json.dumps({"prompt": "x", "guided_json": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}}),
        "a tree of references": json.dumps({"prompt": "x", "guided_json": {"$ref": "#/$defs/d0", "$defs": {
            f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 8} for i in range(40)} | {"d40": {}}}}),
        "a wide enum": json.dumps({"prompt": "x", "guided_choice": ["a" * i for i in range(4096)]}),
        "many keys": "{" + ",".join(f'"k{i}":1' for i in range(300_000)) + "}",
        "equal keys": "{" + ",".join('"model":"x"' for _ in range(300_000)) + "}",
        "a long number": '{"temperature":' + "9" * 5_000_000 + "}", "a long text": '{"model":"' + "x" * 20_000_000 + '"}',
        "half a surrogate": '{"prompt":"\\ud800","max_tokens":2}', "no UTF-8": b'{"prompt":"\xff\xfe","max_tokens":2}'}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_and_broad_json(server, kind):
    body = DEEP[kind] if isinstance(DEEP[kind], bytes) else DEEP[kind].encode()
    for path in ("/v1/completions", "/v1/chat/completions", "/api/chat", "/v1/messages", "/v1/responses", "/tokenize"):
        begin = time.monotonic()
        reply = requests.post(server.url + path, data=body, timeout=60,
                              headers={"Content-Type": "application/json", **server.headers()})
        assert reply.status_code < 500, f"{path}: {reply.text[:300]}"
        assert time.monotonic() - begin < 30, path
    assert server.health() < 1


NONSENSE = {
    "two lengths": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length and chunks": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bad chunk": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "huge chunk": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx\r\n",
    "two hosts": "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no host": "GET /v1/models HTTP/1.1\r\n\r\n",
    "bare line feeds": "GET /v1/models HTTP/1.1\nHost: localhost\n\n",
    "a blank before the colon": "GET /v1/models HTTP/1.1\r\nHost : evil.example\r\n\r\n",
    "a folded line": "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "a null": "GET /v1/mod\x00els HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "version 9": "GET /v1/models HTTP/9.9\r\nHost: localhost\r\n\r\n", "version 2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), "zeros": bytes(100_000),
    "a proxy line": "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "upgrade": "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense(server, kind):
    text = NONSENSE[kind]
    if isinstance(text, str) and server.keys:
        text = text.replace("\r\n", "\r\nAuthorization: Bearer " + server.keys["operator"] + "\r\n", 1)
    status, data = raw(server, text)
    assert status < 500 or status in (501, 505), data[:300]
    assert data.count(b"HTTP/1.1 200") <= 1, data[:600]
    if kind in ("two lengths", "length and chunks", "unknown coding", "bad chunk", "huge chunk", "two hosts",
                "a blank before the colon", "a null"):
        assert status in (400, 413, 501), f"{status} {data[:300]}"


REBINDING = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "127.evil.example", "localhost.evil.example",
             "evil-localhost", "127.0.0.1@evil.example", "[::1].evil.example", "[::1", "[::1]evil", "0x7f.1", "2130706433",
             "127.0.0.1 evil", "localhost\u3002evil", "", "127.0.0.1#.evil", "127.1.evil"]


@pytest.mark.parametrize("host", REBINDING)
def test_pages_of_other_hosts(open_server, host):
    """A page whose name was bound to 127.0.0.1 speaks to a server without keys: its Host gives it away."""
    text = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    status, data = raw(open_server, text)
    assert status in (400, 403), f"{host}: {data[:300]}"
    assert b"stories260K" not in data


def test_own_names_are_taken(open_server):
    for host in ("localhost", "localhost:1", "127.0.0.1", f"127.0.0.1:{open_server.port}", "127.8.9.1", "[::1]:80",
                 "LOCALHOST", "a.localhost"):
        status, data = raw(open_server, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert status == 200, f"{host}: {data[:200]}"


@pytest.mark.parametrize("header", ["X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "Via: 1.1 x"])
def test_through_a_proxy_a_key_is_needed(open_server, header):
    status, data = raw(open_server, f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n")
    assert status in (401, 403), data[:300]


def test_pages_of_other_origins_change_nothing(server):
    for more in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1.evil.example"},
                 {"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}):
        reply = requests.post(server.url + "/api/generate", data='{"model":"stories260K","prompt":"x"}', timeout=30,
                              headers={"Content-Type": "application/json", **more})
        assert reply.status_code in (401, 403, 415), f"{more}: {reply.status_code}"
        assert "access-control-allow-origin" not in reply.headers
    reply = requests.options(server.url + "/v1/chat/completions", timeout=30, headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    assert "access-control-allow-origin" not in reply.headers


def test_tenants(keyed_server):
    """What one tenant keeps, another neither reads, goes on from, stops nor removes."""
    url, mine, other = keyed_server.url, keyed_server.headers("user"), keyed_server.headers("other")
    if "smollm2" not in keyed_server.log.read_text():
        pytest.skip("no model that chats")
    made = requests.post(url + "/v1/responses", headers=mine, timeout=60,
                         json={"model": "smollm2", "input": "My secret is 42.", "max_output_tokens": 4}).json()["id"]
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]:
        reply = requests.request(method, f"{url}/v1/responses/{made}{path}", headers=other, timeout=30)
        assert reply.status_code == 404 and "secret" not in reply.text
    reply = requests.post(url + "/v1/responses", headers=other, timeout=60,
                          json={"model": "smollm2", "input": "What is it?", "previous_response_id": made})
    assert reply.status_code in (400, 404)
    assert requests.get(f"{url}/v1/responses/{made}", headers=mine, timeout=30).status_code == 200
    for path in ("/freehold/v1/keys", "/freehold/v1/audit"):
        assert requests.get(url + path, headers=mine, timeout=30).status_code == 403
