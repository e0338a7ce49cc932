# Two live servers that all attacks share: one without keys on loopback, one with keys; each with a home of its own. Both
# serve the story model (answers in no time) and, where it is there, SmolLM2, with a short context.
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORIES = ROOT / "tests" / "data" / "stories260K" / "stories260K.bin"


@dataclasses.dataclass
class Server:
    url: str
    port: int
    process: subprocess.Popen
    log: pathlib.Path
    keys: dict

    def headers(self, who="operator"):
        return {"Authorization": "Bearer " + self.keys[who]} if self.keys else {}

    def health(self):
        """Seconds that an answer of /health takes."""
        begin = time.monotonic()
        with urllib.request.urlopen(self.url + "/health", timeout=5) as reply:
            assert reply.status == 200
        return time.monotonic() - begin

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def launch(home, keyed):
    program = os.environ["FREEHOLD_PROGRAM"]
    environment = {**os.environ, "FREEHOLD_HOME": str(home)}
    keys = {}
    if keyed:
        for name, more in (("operator", ["--role", "operator,auditor"]), ("user", []), ("other", ["--tenant", "other"])):
            out = subprocess.run([program, "key", "create", name, "--json", *more], env=environment, check=True,
                                 capture_output=True, text=True).stdout
            keys[name] = json.loads(out)["key"]
    models = [str(STORIES)]
    chat = pathlib.Path(os.environ.get("FREEHOLD_TEST_MODELS", "")) / "smollm2.gguf"
    if os.environ.get("FREEHOLD_TEST_MODELS") and chat.exists():
        models.append(str(chat))
    (home / "safeguards.yaml").write_text(
        "guards:\n- {name: house, rules: [{name: a, category: hate, words: [xyzzyfool]}], fires_on: [xyzzyfool]}\n")
    log = home / "log"
    process = subprocess.Popen(
        [program, "serve", "--models", *models, "--listen", "127.0.0.1:0", "--context", "128", "--drain", "5",
         "--safeguards", str(home / "safeguards.yaml")],
        stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    for _ in range(600):
        text = log.read_text()
        found = re.search(r"serves at http://127\.0\.0\.1:(\d+)", text)
        if found and text.count("loaded in") == len(models):
            return Server(f"http://127.0.0.1:{found.group(1)}", int(found.group(1)), process, log, keys)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    pytest.fail(log.read_text())


def server_fixture(keyed):
    @pytest.fixture(scope="session")
    def fixture(tmp_path_factory):
        server = launch(tmp_path_factory.mktemp("keyed" if keyed else "open"), keyed)
        try:
            yield server
            # After everything that was done to it: it answers, and it ends as it should.
            assert server.health() < 1
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0, server.log.read_text()[-4000:]
        finally:
            if server.process.poll() is None:
                server.process.kill()
    return fixture


open_server = server_fixture(False)
keyed_server = server_fixture(True)


@pytest.fixture(params=["open", "keyed"])
def server(request):
    return request.getfixturevalue(request.param + "_server")


@pytest.fixture(autouse=True)
def alive(request):
    """Each attack leaves its server alive and quick."""
    yield
    for name in ("open_server", "keyed_server"):
        if name in request.fixturenames or ("server" in request.fixturenames and
                                            name.startswith(request.node.callspec.params.get("server", "-"))):
            server = request.getfixturevalue(name)
            assert server.process.poll() is None, server.log.read_text()[-4000:]
            server.health()
