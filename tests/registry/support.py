"""A registry of Debian's in a folder of its own, a proxy that stalls, breaks off and spoils, and small models."""

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def gguf(path, megabytes, seed):
    """A GGUF file with one F32 tensor of random numbers: a model as far as a store can tell."""

    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    values = megabytes * (1 << 20) // 4
    keys = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    keys += text("general.license") + struct.pack("<I", 8) + text("mit")
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + keys
    head += text("token_embd.weight") + struct.pack("<I", 1) + struct.pack("<Q", values) + struct.pack("<IQ", 0, 0)
    head += b"\0" * (-len(head) % 32)
    # Small exponents: numbers, not NaN.
    body = bytearray(random.Random(seed).randbytes(values * 4))
    body[3::4] = b"\x3d" * values
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + bytes(body))
    return path


class Registry:
    """docker-registry on a port of its own; `auth` is YAML for its section of that name."""

    def __init__(self, program, folder, auth=""):
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\n"
            f"  delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{self.port}\n  secret: test\n{auth}"
        )
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([program, "serve", str(config)], stdout=self.log, stderr=self.log)
        self.host = f"127.0.0.1:{self.port}"
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.1)
        raise RuntimeError(f"the registry does not start, see {folder}/log")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def blob(self, digest):
        hexes = digest.split(":")[1]
        return self.folder / "data/docker/registry/v2/blobs/sha256" / hexes[:2] / hexes / "data"


class Proxy:
    """Stands between client and registry. `hook(method, path, sent)` is asked before each piece of a body is passed on,
    and may sleep, or say "cut" to drop the connection; `spoil(path, body)` may change small answers."""

    def __init__(self, registry):
        outer = self
        self.hook = lambda method, path, sent: None
        self.spoil = None
        self.up = self.down = 0  # bytes of bodies that were passed on
        self.log = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self):
                outer.log.append((self.command, self.path))
                back = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
                back.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "expect"):
                        back.putheader(name, value)
                back.endheaders()
                left = int(self.headers.get("Content-Length") or 0)
                sent = 0
                while left > 0:
                    if outer.hook(self.command, self.path, sent) == "cut":
                        back.close()
                        raise ConnectionError
                    piece = self.rfile.read(min(left, 1 << 18))
                    if not piece:
                        back.close()
                        raise ConnectionError
                    back.send(piece)
                    left -= len(piece)
                    sent += len(piece)
                    outer.up += len(piece)
                answer = back.getresponse()
                length = answer.headers.get("Content-Length")
                body = None
                if outer.spoil and self.command == "GET":
                    body = outer.spoil(self.path, answer.read())
                    length = str(len(body))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if body is not None:
                    self.wfile.write(body)
                sent = 0
                while body is None and self.command != "HEAD":
                    if self.command == "GET" and outer.hook(self.command, self.path, sent) == "cut":
                        raise ConnectionError
                    piece = answer.read(1 << 18)
                    if not piece:
                        break
                    self.wfile.write(piece)
                    sent += len(piece)
                    outer.down += len(piece)
                back.close()

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, OSError, http.client.HTTPException):
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Freehold:
    """The program with a store of its own."""

    def __init__(self, program, home, **environment):
        self.program, self.home = program, pathlib.Path(home)
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG")},
            "FREEHOLD_HOME": str(home),
            "HOME": str(self.home.parent / "nobody"),
            "FREEHOLD_PANELS": "off",
            **environment,
        }

    def start(self, *arguments):
        return subprocess.Popen(
            [self.program, *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments, code=0):
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=120)
        text = errors.decode(errors="replace")
        assert process.returncode == code, f"{arguments}: exit {process.returncode} (not {code}): {text[-1500:]}"
        return output.decode(), text

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json")[0])

    def model(self, name):
        """What the store says of one of its models."""
        name = name if ":" in name else name + ":latest"
        return next(m for m in json.loads(self.run("list", "--json")[0]) if m["name"] == name)

    def files(self, name):
        """path: digest, as the store has them, each read again."""
        out = {}
        for entry in self.model(name)["files"]:
            blob = self.home / "blobs/sha256" / entry["digest"].split(":")[1]
            assert sha256(blob.read_bytes()) == entry["digest"], f"{entry['path']} is spoiled in the store"
            out[entry["path"]] = entry["digest"]
        return out

    def empty(self):
        shutil.rmtree(self.home, ignore_errors=True)
        return self

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.communicate()


def call(host, method, path, body=None, headers=None):
    """One plain request: what curl would see."""
    connection = http.client.HTTPConnection(*host.split(":"), timeout=30)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.headers.items()}, data


def put_blob(host, name, data):
    status, headers, _ = call(host, "POST", f"/v2/{name}/blobs/uploads/")
    assert status == 202
    path = "/" + headers["location"].split("/", 3)[3]
    status, _, text = call(host, "PUT", f"{path}&digest={sha256(data)}", data, {"Content-Type": "application/octet-stream"})
    assert status == 201, text
    return {"digest": sha256(data), "size": len(data)}


def put_manifest(host, name, tag, manifest):
    data = json.dumps(manifest).encode()
    status, headers, text = call(host, "PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": manifest["mediaType"]})
    assert status == 201, text
    return sha256(data)


class TokenServer:
    """Gives tokens as registries ask for them (RS256, made by openssl), to one user with a password."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate]
            + ["-days", "2", "-subj", "/CN=tokens"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        chain = "".join(self.certificate.read_text().splitlines()[1:-1])
        outer = self
        self.asked = []
        self.life = 300

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                from urllib.parse import parse_qs, urlsplit

                query = parse_qs(urlsplit(self.path).query)
                outer.asked.append(query)
                if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"ann:secret").decode():
                    self.send_response(401)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                access = []
                for scope in query.get("scope", []):
                    kind, name, actions = scope.split(":")
                    access.append({"type": kind, "name": name, "actions": actions.split(",")})
                now = int(time.time())
                claims = {"iss": "tokens", "sub": "ann", "aud": query["service"][0], "exp": now + outer.life}
                claims |= {"nbf": now - 5, "iat": now - 5, "jti": str(len(outer.asked)), "access": access}
                header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}

                def part(value):
                    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

                signed = part(header) + b"." + part(claims)
                signature = subprocess.run(
                    ["openssl", "dgst", "-sha256", "-sign", outer.key], input=signed, capture_output=True, check=True
                ).stdout
                body = json.dumps({"token": (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()})
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def auth(self):
        return (
            f"auth:\n  token:\n    realm: http://127.0.0.1:{self.port}/token\n    service: registry\n"
            f"    issuer: tokens\n    rootcertbundle: {self.certificate}\n"
        )

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
