# The npm packages: each file of npm/ is run by node's own test runner against the same server.
import os
import pathlib
import subprocess

import pytest

FILES = sorted((pathlib.Path(__file__).parent / "npm").glob("*.test.mjs"))


@pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])
def test_package(server, models, file):
    packages = os.environ.get("FREEHOLD_CLIENTS_NPM", "")
    if not packages:
        pytest.skip("there are no npm packages (no node, or npm ci failed)")
    # Packages are looked for beside the file.
    here = pathlib.Path(packages) / file.name
    here.write_bytes(file.read_bytes())
    done = subprocess.run(["node", "--test", str(here)], capture_output=True, text=True, timeout=300, cwd=packages,
                          env={**os.environ, "FREEHOLD_URL": server, "FREEHOLD_ENCODER": "minilm" if models[1] else ""})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
