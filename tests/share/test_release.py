# Signatures beside any folder, and a release of the program, checked as those who get one check it.
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import ROOT, signs


def test_any_folder_is_signed(freehold, key, public, model, tmp_path):
    at = tmp_path / "release"
    shutil.copytree(model, at)
    report = json.loads(freehold("sign", at, "--key", key, "--json").out)
    assert report["files"] == sum(p.is_file() for p in at.rglob("*")) - 1 and report["signature"] == str(at / "model.sig")
    assert freehold.verify(at, public)["outcome"] == "good"
    assert signs("verify", "key", "--signature", at / "model.sig", "--public_key", public, at).returncode == 0
    # Signed once; again only when it is said.
    assert "signed already" in freehold("sign", at, "--key", key, code=None).err
    (at / "notes.txt").write_text("other notes")
    freehold.verify(at, public, code=1)
    freehold("sign", at, "--key", key, "--force")
    freehold.verify(at, public)


@pytest.mark.parametrize("kind", ["link", "git", "empty", "file", "nothing", "public"])
def test_what_is_not_signed(kind, freehold, key, public, tmp_path):
    at = tmp_path / "d"
    at.mkdir()
    if kind != "empty":
        (at / "a").write_text("a")
    if kind == "link":
        (at / "b").symlink_to("a")
    if kind == "git":
        (at / ".git").mkdir()
        (at / ".git" / "HEAD").write_text("x")
    what = {"file": at / "a", "nothing": at / "no"}.get(kind, at)
    done = freehold("sign", what, "--key", public if kind == "public" else key, code=None)
    assert done.code not in (0, 139) and done.err, done
    assert not (at / "model.sig").exists()


@pytest.fixture(scope="module")
def release(freehold, key, tmp_path_factory):
    """Of this program, from a clone: a release is made of what is committed."""
    program = pathlib.Path(os.environ["FREEHOLD_PROGRAM"])
    build = program.parents[2] if len(program.parents) > 2 else program.parent
    for tool in ("dpkg-deb", "dpkg-shlibdeps", "strip", "git", "ninja"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not here")
    if not (build / "build.ninja").exists() or not (ROOT / ".git").exists():
        pytest.skip("the program does not lie where it was built, or this is no clone")
    work = tmp_path_factory.mktemp("release")
    source = work / "source"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, source], check=True)
    for name in ("release", "sbom.py", "deb/build"):  # as they are here, committed or not
        shutil.copy2(ROOT / "packaging" / name, source / "packaging" / name)
    identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "add", "packaging"], cwd=source, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-a", "-m", "As they are"], cwd=source, check=True)

    def make(*more):
        return subprocess.run([source / "packaging" / "release", "--key", key, "--program", program, "--output", work / "out",
                               *more], capture_output=True, text=True,
                              env={**os.environ, "FREEHOLD_HOME": str(freehold.home)})

    done = make()
    assert done.returncode == 0, done.stdout + done.stderr
    made = list((work / "out").iterdir())
    assert len(made) == 1
    return made[0], make, source


def test_a_release_verifies(release, freehold, public):
    folder, make, _ = release
    names = {p.name for p in folder.iterdir()}
    assert {"SHA256SUMS", "model.sig", "LICENSE", "NOTICE"} < names and len(names) == 7, names
    report = freehold.verify(folder, public)
    assert report["outcome"] == "good" and report["files"] == len(names), report
    assert signs("verify", "key", "--signature", folder / "model.sig", "--public_key", public, folder).returncode == 0
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == len(names) - 2
    bom = json.loads(next(folder.glob("*.cdx.json")).read_text())
    assert bom["specVersion"] == "1.6" and len(bom["components"]) > 5
    package = next(folder.glob("*.deb"))
    fields = subprocess.run(["dpkg-deb", "-f", package, "Package", "Version"], check=True, capture_output=True, text=True).stdout
    assert "Package: freehold" in fields
    listed = subprocess.run(["tar", "tzf", next(folder.glob("*.tar.gz"))], check=True, capture_output=True, text=True).stdout
    assert "/packaging/release\n" in listed and "/LICENSE\n" in listed
    again = make()
    assert again.returncode != 0 and "there already" in again.stderr, "a release is never changed"


@pytest.mark.parametrize("fault", ["package", "sums", "added", "other key"])
def test_a_release_that_was_changed_does_not(fault, release, freehold, public, tmp_path):
    folder = tmp_path / "r"
    shutil.copytree(release[0], folder)
    if fault == "package":
        deb = next(folder.glob("*.deb"))
        data = bytearray(deb.read_bytes())
        data[len(data) // 2] ^= 1
        deb.write_bytes(data)
    elif fault == "sums":
        (folder / "SHA256SUMS").write_text("")
    elif fault == "added":
        (folder / "freehold-hotfix.deb").write_text("")
    else:
        freehold("signing-key", tmp_path / "k")
        public = tmp_path / "k.pub"
    freehold.verify(folder, public, code=1)


def test_what_is_not_committed_is_not_released(release):
    _, make, source = release
    (source / "NOTICE").write_text("changed")
    try:
        done = make("--revision", "2")
        assert done.returncode != 0 and "not committed" in done.stderr, done.stderr
    finally:
        subprocess.run(["git", "checkout", "-q", "NOTICE"], cwd=source, check=True)
