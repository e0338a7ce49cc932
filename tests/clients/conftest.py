# The live server that all client tests share: one process over a small chat model and an encoder, on a port of its own,
# with a home of its own.
import os
import re
import signal
import subprocess
import time

import pytest


@pytest.fixture(scope="session")
def models():
    """Path of smollm2.gguf, and of the encoder's folder where there is one."""
    folder = os.environ.get("FREEHOLD_TEST_MODELS", "")
    chat, encoder = (os.path.join(folder, name) for name in ("smollm2.gguf", "minilm"))
    if not folder or not os.path.exists(chat):
        pytest.skip("FREEHOLD_TEST_MODELS does not name a folder with smollm2.gguf")
    return chat, encoder if os.path.exists(encoder) else None


# A word that no other test says. Answers are not held back for it: no guard that refuses looks at them.
SAFEGUARDS = """guards:
  - name: house
    rules:
      - {name: project, category: trade-secret, words: [xyzzymoon]}
      - {name: insults, category: harassment, words: [blockheadery]}
    fires_on: [xyzzymoon]
"""


@pytest.fixture(scope="session")
def server(models, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "safeguards.yaml").write_text(SAFEGUARDS)
    log = open(home / "log", "w+")
    process = subprocess.Popen(
        [os.environ["FREEHOLD_PROGRAM"], "serve", "--models", *(m for m in models if m), "--listen", "127.0.0.1:0",
         "--context", "2048", "--safeguards", str(home / "safeguards.yaml")],
        stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "FREEHOLD_HOME": str(home)})
    try:
        url = None
        for _ in range(600):
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
    finally:
        if process.poll() is None:
            process.kill()


@pytest.fixture(scope="session")
def base_url(server):
    return server + "/v1"


@pytest.fixture(scope="session")
def encoder(models):
    if models[1] is None:
        pytest.skip("FREEHOLD_TEST_MODELS has no folder minilm")
    return "minilm"
