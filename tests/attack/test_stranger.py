# What a stranger tries who knows HTTP better than its clients do: requests that two readers may understand in two ways,
# methods and ranges on every route, codings and charsets, handshakes that never end, thousands of requests in one write,
# names with control characters.
import contextlib
import gzip
import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest
import requests
from conftest import STORIES
from test_wire import connected, head, raw, read_reply

# What follows the first request must never be read as a second one.
HIDDEN = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Hidden: 1\r\n\r\n"
TWO_READINGS = {
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "a length and chunks": "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "two equal lengths of other spelling": "Content-Length: 2\r\nContent-Length: 02\r\n\r\n{}",
    "a list of lengths": "Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": "Content-Length: +2\r\n\r\n{}",
    "a length in hexadecimal": "Content-Length: 0x2\r\n\r\n{}",
    "a length with a tail": "Content-Length: 2;\r\n\r\n{}",
    "no length": "Content-Length:\r\n\r\n{}",
    "chunks twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and identity": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in a list": "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks and a comma": "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "chunks with a vertical tab": "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in quotes": 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a blank before the colon": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk size in 0x": "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk size too large": "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "a chunk longer than it says": "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "a null in a name": "X\x00: y\r\nContent-Length: 0\r\n\r\n", "a null in a value": "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", TWO_READINGS)
def test_no_request_hides_behind_another(server, kind):
    status, data = raw(server, head(server, "POST /tokenize", TWO_READINGS[kind]) + HIDDEN)
    assert 400 <= status < 500 or status == 501, data[:300]
    assert data.count(b"HTTP/1.1 ") == 1, data[:800]


def test_chunks_in_http_1_0_are_not_believed(server):
    key = "".join(f"{k}: {v}\r\n" for k, v in server.headers().items())
    text = f"POST /tokenize HTTP/1.0\r\nHost: localhost\r\n{key}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN
    status, data = raw(server, text)
    assert 400 <= status < 500 or status == 501, data[:300]
    assert data.count(b"HTTP/1.1 ") == 1, data[:800]


@pytest.mark.parametrize("folded", ["Transfer-Encoding:\r\n chunked\r\n", "X: a\r\n\tb\r\n", "X: a\r\n Host: evil.com\r\n"])
def test_a_folded_line_is_refused(server, folded):
    status, data = raw(server, head(server, "POST /tokenize", folded + "Content-Length: 2\r\n\r\n{}") + HIDDEN)
    assert status == 400 and data.count(b"HTTP/1.1 ") == 1, data[:500]


@pytest.mark.parametrize("host", ["localhost:1@evil.com", "evil.com@localhost", "localhost/evil.com", "localhost:80:90",
                                  "localhost:port", "[::1", "localhost,evil.com@x", "local host"])
def test_a_host_that_two_read_in_two_ways_is_refused(server, host):
    key = "".join(f"{k}: {v}\r\n" for k, v in server.headers().items())
    status, data = raw(server, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n{key}Connection: close\r\n\r\n")
    assert status == 400 and data.count(b"HTTP/1.1 ") == 1, data[:500]


@pytest.mark.parametrize("stream", [False, True])
def test_who_sends_no_more_still_reads(server, stream):
    """A client that closes its sending side behind the request (nc -N) gets the whole answer, after an interim one or a
    filler between events that every client passes over."""
    body = json.dumps({"model": "stories260K", "prompt": "Once upon a time", "max_tokens": 60, "temperature": 0,
                       "stream": stream})
    reply = requests.post(server.url + "/v1/completions", data=body, timeout=60,
                          headers={"Content-Type": "application/json", **server.headers()})
    assert reply.status_code == 200, reply.text
    with connected(server) as s:
        s.sendall((head(server, "POST /v1/completions", f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
                   + body).encode())
        s.shutdown(socket.SHUT_WR)
        s.settimeout(60)
        data = b""
        while piece := s.recv(65536):
            data += piece
    data = data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 200 "), data[:500]
    if stream:
        assert b"data: [DONE]" in data and data.endswith(b"0\r\n\r\n"), data[-500:]
    else:
        assert json.loads(data.partition(b"\r\n\r\n")[2])["choices"] == reply.json()["choices"]


def test_thousands_of_requests_in_one_write(server):
    """They are answered one after the other, in order, while others are served."""
    n = 3000
    one = head(server, "GET /health", "\r\n")
    before = server.resident()
    with connected(server) as s:
        s.sendall((one * (n - 1) + head(server, "GET /health", "Connection: close\r\n\r\n")).encode())
        assert server.health() < 1
        status, data = read_reply(s)
    assert status == 200 and data.count(b"HTTP/1.1 200") == n
    assert server.resident() - before < 100 << 20


def routes(server):
    document = requests.get(server.url + "/openapi.json", timeout=30).json()
    for path, operations in document["paths"].items():
        yield re.sub(r"\{[^}]*\}", "x", path), {m.upper() for m in operations}


def test_every_method_on_every_route(server):
    """A method that a route has not is 405 with those that it has; HEAD has no body; none is a fault of ours."""
    with requests.Session() as s:
        s.headers.update(server.headers("user"))
        for path, methods in routes(server):
            reply = s.options(server.url + path, timeout=30)
            assert reply.status_code == 204 and methods <= set(reply.headers["Allow"].split(", ")), path
            for method in ("HEAD", "PUT", "PATCH", "TRACE", "PROPFIND", "BREW"):
                reply = s.request(method, server.url + path, timeout=60)
                if method in methods or method == "HEAD" and "GET" in methods:
                    assert reply.status_code < 500, f"{method} {path}: {reply.text[:200]}"
                else:
                    # HEAD of a path that is also an object's ("/v1/responses/{id}") finds no such object.
                    assert reply.status_code == 405 or (method == "HEAD" and reply.status_code == 404), f"{method} {path}: {reply.status_code}"
                    assert reply.status_code == 404 or reply.headers["Allow"], path
                if method == "HEAD":
                    assert reply.content == b""


def test_ranges_of_the_page(server):
    """Not offered, so the whole file comes; nothing beyond it."""
    whole = requests.get(server.url + "/", timeout=30)
    for wanted in ("bytes=0-10", "bytes=-5", "bytes=999999999-", "bytes=0-0,5-9," + "1-2," * 5000, "lines=1-2", "bytes=5-2"):
        reply = requests.get(server.url + "/", headers={"Range": wanted}, timeout=30)
        assert reply.status_code in (200, 416, 431), wanted[:40]
        if reply.status_code == 200:
            assert reply.content == whole.content
    for value in ('W/"x"', '"' + "x" * 60_000, "*", '"", ""'):
        assert requests.get(server.url + "/", headers={"If-None-Match": value}, timeout=30).status_code in (200, 304, 431)


def test_codings_of_bodies(server):
    body = json.dumps({"content": "a", "model": "stories260K"}).encode()
    for coding, sent in (("gzip", gzip.compress(body)), ("gzip", body), ("deflate", body), ("br", body), ("gzip, gzip", body),
                         ("x" * 3000, body)):
        reply = requests.post(server.url + "/tokenize", data=sent, timeout=30, headers={
            "Content-Type": "application/json", "Content-Encoding": coding, **server.headers()})
        assert reply.status_code == 415, f"{coding[:20]}: {reply.status_code} {reply.text[:200]}"
        assert coding[:20] in reply.json()["error"]["message"]
    reply = requests.post(server.url + "/tokenize", data=body, timeout=30, headers={
        "Content-Type": "application/json", "Content-Encoding": "identity", **server.headers()})
    assert reply.status_code == 200, reply.text


def test_charsets(server):
    text = '{"content": "ä€😀", "model": "stories260K"}'
    for sent, wanted in ((text.encode(), 200), (text.encode("utf-16"), 400), (text.encode("utf-16-le"), 400),
                         (text.encode("utf-32"), 400), (text.encode("latin-1", "replace"), None), (b"\xef\xbb\xbf" + text.encode(), None),
                         (b"\xef\xbb\xbf", 400), (b"\x00" * 100, 400), (text.encode() + b"\x00", 400),
                         (b'{"content": "\xed\xa0\x80", "model": "stories260K"}', None),
                         (b'{"content": "\\ud800", "model": "stories260K"}', None), (b'{"content": "\\ude00\\ud83d"}', None),
                         (b'{"content": "\\u0000", "model": "stories260K"}', None), (b'{"\xff": 1, "content": "a"}', None)):
        for kind in ("application/json", "application/json; charset=utf-16", "application/json;charset=\"x", ";;;", "text/plain"):
            reply = requests.post(server.url + "/tokenize", data=sent, timeout=30, headers={"Content-Type": kind, **server.headers()})
            assert reply.status_code == wanted or (wanted is None and reply.status_code in (200, 400)), f"{sent[:40]} {kind}: {reply.text[:200]}"
            reply.content.decode("utf-8")  # whatever came in, what goes out is UTF-8
            json.loads(reply.content)


CONTROL = ["a\u0000b", "a\nb", "a\rb", "a\u001b[31m", "a\u0085", "a\u202eb", "\u0000", "a\u007f", "\ufeffa"]


@pytest.mark.parametrize("name", CONTROL, ids=[repr(c) for c in CONTROL])
def test_control_characters_in_names(server, name):
    """Of models, files, stop strings, tools, keys and metadata: no file of such a name, no line of a log broken."""
    headers = server.headers()
    lines = len(server.log.read_text().splitlines())
    for path, body in [
            ("/api/create", {"model": "x", "files": {name: "sha256:" + "0" * 64}}),
            ("/api/create", {"model": name, "from": "stories260K"}),
            ("/api/create", {"model": "x", "from": "stories260K", "parameters": {name: 1}}),
            ("/v1/completions", {"model": "stories260K", "prompt": name, "max_tokens": 2, "stop": [name], "user": name}),
            ("/v1/completions", {"model": name, "prompt": "x", "max_tokens": 2}),
            ("/v1/completions", {"model": "stories260K", "prompt": "x", "max_tokens": 2, "guided_choice": [name]}),
            ("/v1/completions", {"model": "stories260K", "prompt": "x", "max_tokens": 2,
                                 "guided_json": {"type": "object", "properties": {name: {"type": "string"}}}}),
            ("/freehold/v1/keys", {"name": name}), ("/freehold/v1/keys", {"name": "x", "tenant": name}),
            ("/v1/responses", {"model": "stories260K", "input": name, "metadata": {name: name}})]:
        reply = requests.post(server.url + path, json=body, headers=headers, timeout=60)
        if path == "/freehold/v1/keys" and reply.status_code == 201:
            pytest.fail(f"a key called {name!r} was made")
        assert reply.status_code < 500, f"{path} {reply.text[:300]}"
    with contextlib.suppress(requests.exceptions.InvalidHeader, UnicodeEncodeError):
        requests.get(server.url + "/health", headers={"X-Name": name}, timeout=30)
    # Nothing that was sent stands in the log as a line of its own.
    for line in server.log.read_text().splitlines()[lines:]:
        assert "\x1b[31m" not in line and "\x00" not in line, line


def certificate(folder):
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def test_handshakes_that_never_end(tmp_path):
    """Over TLS: two hundred half handshakes, silence, plain HTTP and dribbles; a whole client is served meanwhile, and they are cut off."""
    cert, key = certificate(tmp_path)
    log = tmp_path / "log"
    process = subprocess.Popen([os.environ["FREEHOLD_PROGRAM"], "serve", "--models", str(STORIES), "--listen", "127.0.0.1:0",
                                "--context", "128", "--tls", str(cert), str(key), "--drain", "2"],
                               stdout=log.open("w"), stderr=subprocess.STDOUT, env={**os.environ, "FREEHOLD_HOME": str(tmp_path)})
    try:
        port = None
        for _ in range(300):
            found = re.search(r"serves at https://127\.0\.0\.1:(\d+)", log.read_text())
            if found and "loaded in" in log.read_text():
                port = int(found.group(1))
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        assert port, log.read_text()
        hello = ssl.MemoryBIO()
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ssl.SSLWantReadError):
            client.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
        hello = hello.read()

        def served():
            begin = time.monotonic()
            reply = requests.get(f"https://127.0.0.1:{port}/health", verify=False, timeout=20)
            assert reply.status_code == 200
            return time.monotonic() - begin
        with contextlib.ExitStack() as stack:
            begin = time.monotonic()
            half = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(200)]
            for i, s in enumerate(half):
                s.sendall([b"", hello[:20], hello, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"][i % 4])
            sent = 20
            while time.monotonic() - begin < 17:
                for s in half[1::4]:
                    with contextlib.suppress(OSError):
                        s.sendall(hello[sent:sent + 1])
                sent += 1
                assert served() < 2
                time.sleep(1)
            for s in half:
                s.settimeout(15)
                with contextlib.suppress(OSError):
                    while s.recv(4096):
                        pass
            assert time.monotonic() - begin < 45
        # A client that ends in the middle of what it wanted, and one that asks for new keys again and again.
        for _ in range(50):
            with contextlib.suppress(OSError), client.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10)) as s:
                s.sendall(b"GET /heal")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ValueError, ssl.SSLError):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                old.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
        assert served() < 2
    finally:
        process.terminate()
        try:
            assert process.wait(30) == 0, log.read_text()[-2000:]
        finally:
            if process.poll() is None:
                process.kill()
