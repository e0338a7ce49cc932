# The live server that all client tests share: one process over one small chat model, on a port of its own.
import os
import re
import signal
import subprocess
import time
import urllib.request

import pytest


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    models = os.environ.get("FREEHOLD_TEST_MODELS", "")
    model = os.path.join(models, "smollm2.gguf")
    if not models or not os.path.exists(model):
        pytest.skip("FREEHOLD_TEST_MODELS does not name a folder with smollm2.gguf")
    home = tmp_path_factory.mktemp("home")
    log = open(home / "log", "w+")
    process = subprocess.Popen(
        [os.environ["FREEHOLD_PROGRAM"], "serve", "--models", model, "--listen", "127.0.0.1:0", "--context", "2048"],
        stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "FREEHOLD_HOME": str(home)})
    url = None
    for _ in range(600):
        log.flush()
        text = open(home / "log").read()
        found = re.search(r"serves at (http://\S+)", text)
        if found and "loaded in" in text:
            url = found.group(1)
            break
        assert process.poll() is None, text
        time.sleep(0.1)
    assert url, open(home / "log").read()
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, open(home / "log").read()


@pytest.fixture(scope="session")
def base_url(server):
    return server + "/v1"


def get(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.read().decode()
