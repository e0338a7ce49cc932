#!/usr/bin/env python3
# What the program is made of, as a CycloneDX 1.6 bill of materials: the Debian packages of the shared libraries that it
# loads, those whose headers were compiled into it, and the npm packages of its page. The same build gives the same bytes.
#   packaging/sbom.py BUILD_FOLDER PROGRAM OUT       e.g. build/release build/release/apps/freehold/freehold freehold.cdx.json
import base64
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check, env={**os.environ, "LC_ALL": "C"}).stdout


def libraries(program):
    """Shared libraries as the loader finds them."""
    found = re.findall(r"(?:=> )?(/\S+) \(0x", run("ldd", program))
    return sorted({os.path.realpath(path) for path in found})


def headers(build):
    """Headers outside the source and the build, of every file that was compiled for the program."""
    kept, own = set(), False
    for line in run("ninja", "-C", build, "-t", "deps", check=False).splitlines():
        if not line.startswith(" "):
            # "src/core/base/CMakeFiles/freehold_base.dir/error.cpp.o: #deps 90, ..."; tests are no part of the program.
            own = re.match(r"(src|apps|web)/", line) is not None and "/test_" not in line
        elif own:
            kept.add(line.strip())
    whole = {os.path.realpath(os.path.join(build, path)) for path in kept}  # CMake writes them relative to the build
    return sorted(path for path in whole if path.startswith("/usr/"))


def packages_of(paths):
    """Debian packages that own these files, with their versions: {name: (version, architecture, source)}."""
    if not paths:
        return {}
    # A merged /usr: dpkg may know a file under /lib.
    asked = sorted({*paths, *(p[4:] for p in paths if p.startswith("/usr/lib"))})
    names = set()
    for line in run("dpkg-query", "-S", *asked, check=False).splitlines():
        for name in line.split(": ")[0].split(", "):
            names.add(name)
    out = {}
    for line in run("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\t${source:Package}\n", *sorted(names)).splitlines():
        name, version, architecture, source = line.split("\t")
        out[name] = (version, architecture, source)
    return out


def deb_component(name, version, architecture, source, scope):
    quoted = urllib.parse.quote(version, safe="~.-")
    return {"type": "library", "bom-ref": f"deb:{name}", "name": name, "version": version, "scope": "required",
            "purl": f"pkg:deb/debian/{urllib.parse.quote(name, safe='.-')}@{quoted}?arch={architecture}",
            "properties": [{"name": "freehold:part", "value": scope}, {"name": "freehold:source", "value": source}]}


def npm_components():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    out = []
    for path, entry in sorted(lock["packages"].items()):
        # The bundler makes the page and is no part of it; so are types.
        if not path or "esbuild" in path or path.startswith("node_modules/@types/"):
            continue
        name = path.removeprefix("node_modules/")
        licence = entry.get("license", "")
        part = {"type": "library", "bom-ref": f"npm:{name}", "name": name, "version": entry["version"], "scope": "required"}
        if licence:
            part["licenses"] = [{"expression": licence.strip("()")}]
        part["purl"] = "pkg:npm/" + urllib.parse.quote(name, safe="/") + "@" + entry["version"]
        if entry.get("integrity", "").startswith("sha512-"):
            part["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(entry["integrity"][7:]).hex()}]
        part["properties"] = [{"name": "freehold:part", "value": "bundled into the page"}]
        out.append(part)
    return out


def main():
    build, program, target = sys.argv[1:4]
    version = re.search(r"^project\(freehold VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
    linked, compiled = packages_of(libraries(program)), packages_of(headers(build))
    parts = [deb_component(name, *facts, "shared library") for name, facts in sorted(linked.items())]
    parts += [deb_component(name, *facts, "compiled in (headers)") for name, facts in sorted(compiled.items()) if name not in linked]
    parts += npm_components()
    digest = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()
    serial = hashlib.sha256(json.dumps([digest, parts]).encode()).hexdigest()
    serial = f"{serial[:8]}-{serial[8:12]}-8{serial[13:16]}-a{serial[17:20]}-{serial[20:32]}"
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}", "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "freehold", "name": "freehold", "version": version,
                                   "hashes": [{"alg": "SHA-256", "content": digest}],
                                   "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": parts,
        "dependencies": [{"ref": "freehold", "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    beside = pathlib.Path(target + ".tmp")
    beside.write_text(json.dumps(bom, indent=2, ensure_ascii=False) + "\n")
    beside.replace(target)
    print(f"{target}: {len(linked)} packages linked, {len(compiled)} compiled in, {len(npm_components())} in the page")


if __name__ == "__main__":
    main()
