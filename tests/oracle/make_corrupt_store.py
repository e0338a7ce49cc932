# Makes tests/corrupt/store/: one named file for each fault of a store's texts and of wheels, with EXPECTED.tsv that says
# which error each must give; and seeds for the fuzz targets manifest and wheel from the same material.
# Rerun from the repository's root: python3 tests/oracle/make_corrupt_store.py   (standard library only)
import io
import json
import os
import shutil
import struct
import zipfile
import zlib

OUT = "tests/corrupt/store"
SEEDS = "fuzz/corpus"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
expected = []
for folder in (OUT, f"{SEEDS}/manifest", f"{SEEDS}/wheel"):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def write(name, data, kind, phrase):
    if isinstance(data, str):
        data = data.encode()
    with open(f"{OUT}/{name}", "wb") as f:
        f.write(data)
    expected.append((name, kind, phrase))
    if name.endswith(".whl"):
        seed("wheel", name[:-4], data)
    else:
        seed("manifest", name.replace(".json", ""), name[0].encode() + data)


def seed(target, name, data):
    if len(data) > 20000:
        return
    with open(f"{SEEDS}/{target}/{name}", "wb") as f:
        f.write(data)


# --- index.json -------------------------------------------------------------------------------------------------------
def index(*entries, **more):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)} | more)


def entry(name="m:latest", **more):
    return {"mediaType": MANIFEST, "digest": A, "size": 10,
            "annotations": {"org.opencontainers.image.ref.name": name}} | more


write("index_good.json", index(entry(), entry("org/m:v1"), entry(mediaType="application/x")), "ok", "")
write("index_empty.json", "", "bad_file", "")
write("index_cut.json", index(entry())[:80], "bad_file", "")
write("index_not_an_object.json", "[]", "bad_file", "must be an object")
write("index_no_manifests.json", '{"schemaVersion":2}', "bad_file", '"manifests" is missing')
write("index_manifests_a_number.json", '{"schemaVersion":2,"manifests":3}', "bad_file", "must be a list")
write("index_schema_1.json", index(entry(), schemaVersion=1), "bad_file", "schemaVersion")
write("index_other_type.json", index(mediaType="text/html"), "bad_file", "mediaType")
write("index_entry_a_text.json", index("m"), "bad_file", "manifests[0]")
write("index_digest_short.json", index(entry(digest="sha256:abc")), "bad_file", "is not a digest")
write("index_digest_path.json", index(entry(digest="sha256:../../../../etc/passwd")), "bad_file", "is not a digest")
write("index_digest_upper.json", index(entry(digest="sha256:" + "A" * 64)), "bad_file", "is not a digest")
write("index_digest_md5.json", index(entry(digest="md5:" + "a" * 32)), "bad_file", "is not a digest")
write("index_size_negative.json", index(entry(size=-1)), "bad_file", '"size"')
write("index_size_huge.json", index(entry(size=2**70)), "bad_file", "")
write("index_size_a_text.json", index(entry(size="10")), "bad_file", '"size"')
write("index_name_twice.json", index(entry(), entry(digest=B)), "bad_file", "stands there twice")
write("index_name_climbs.json", index(entry("../../x")), "ok", "")  # not ours: kept as it is, never used as a path
write("index_key_twice.json", '{"schemaVersion":2,"schemaVersion":2,"manifests":[]}', "bad_file", "")
write("index_deep.json", '{"schemaVersion":2,"manifests":' + "[" * 5000 + "]" * 5000 + "}", "bad_file", "")
write("index_trailing.json", index(entry()) + "{}", "bad_file", "")


# --- manifests --------------------------------------------------------------------------------------------------------
def layer(path="m.gguf", **more):
    return {"mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": B, "size": 5,
            "annotations": {"org.opencontainers.image.title": path}} | more


def manifest(*layers, record=None, **more):
    notes = {} if record is None else {"vnd.freehold.record": record if isinstance(record, str) else json.dumps(record)}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "x", "digest": A, "size": 2},
                       "layers": list(layers), "annotations": notes} | more)


RECORD = {"architecture": "llama", "container": "gguf", "parameters": 5, "licence": {"id": "mit", "category": "permissive"},
          "parents": [A], "extra": {"a": [1, 2.5, "x", None]}}


def linked(path, time):
    return layer(annotations={"org.opencontainers.image.title": "m.gguf", "vnd.freehold.linked.path": path,
                              "vnd.freehold.linked.mtime-ns": time})


write("manifest_good.json", manifest(layer(), layer("d/config.json"), record=RECORD), "ok", "")
write("manifest_linked.json", manifest(linked("/data/m.gguf", "12345")), "ok", "")
write("manifest_no_config.json", manifest(layer(), config=None), "bad_file", '"config" is missing')
write("manifest_no_layers.json", manifest(), "bad_file", "lists no files")
write("manifest_layer_no_name.json", manifest(layer(annotations=None)), "bad_file", "no annotations")
write("manifest_file_climbs.json", manifest(layer("../../.bashrc")), "bad_file", "climbs")
write("manifest_file_climbs_inside.json", manifest(layer("a/../../b")), "bad_file", "climbs")
write("manifest_file_absolute.json", manifest(layer("/etc/passwd")), "bad_file", "absolute")
write("manifest_file_backslash.json", manifest(layer("a\\b")), "bad_file", "backslash")
write("manifest_file_control.json", manifest(layer("a\nb")), "bad_file", "control byte")
write("manifest_file_zero_byte.json", manifest(layer("a\0b")), "bad_file", "control byte")
write("manifest_file_drive.json", manifest(layer("C:x")), "bad_file", "drive letter")
write("manifest_file_empty.json", manifest(layer("")), "bad_file", "empty")
write("manifest_file_dot.json", manifest(layer("a/./b")), "bad_file", "climbs")
write("manifest_file_not_utf8.json", manifest(layer("QQQQ")).encode().replace(b"QQQQ", b"a\xff\xfeb"), "bad_file", "")
write("manifest_file_long.json", manifest(layer("a" * 300)), "bad_file", "255")
write("manifest_file_twice.json", manifest(layer(), layer()), "bad_file", "stands there twice")
write("manifest_file_and_folder.json", manifest(layer("a"), layer("a/b")), "bad_file", "as a file and as a folder")
write("manifest_sizes_overflow.json", manifest(*[layer(str(i), size=2**63 - 1) for i in range(3)]), "bad_file", "2^64")
write("manifest_size_real.json", manifest(layer(size=1.5)), "bad_file", '"size"')
write("manifest_digest_wrong.json", manifest(layer(digest="sha512:" + "a" * 64)), "bad_file", "is not a digest")
write("manifest_link_relative.json", manifest(linked("../m.gguf", "1")), "bad_file", "absolute path")
write("manifest_link_no_time.json", manifest(layer(annotations={"org.opencontainers.image.title": "m", "vnd.freehold.linked.path": "/x"})),
      "bad_file", "mtime-ns")
write("manifest_link_time_words.json", manifest(linked("/m.gguf", "12x")), "bad_file", "not a whole number")
write("manifest_record_no_json.json", manifest(layer(), record="{"), "bad_file", "record")
write("manifest_record_a_list.json", manifest(layer(), record="[]"), "bad_file", "must be an object")
write("manifest_record_parent_wrong.json", manifest(layer(), record=RECORD | {"parents": ["x"]}), "bad_file", "is not a digest")
write("manifest_record_number_wrong.json", manifest(layer(), record=RECORD | {"parameters": -5}), "bad_file", '"parameters"')
write("manifest_many_files.json", manifest(*[{"d": 1}] * 10001), "bad_file", "10000 is the most")

# --- oci-layout -------------------------------------------------------------------------------------------------------
write("layout_good.json", '{"imageLayoutVersion":"1.0.0"}', "ok", "")
write("layout_2.json", '{"imageLayoutVersion":"2.0.0"}', "unsupported", "is not known here")
write("layout_empty.json", "{}", "bad_file", "imageLayoutVersion")
write("layout_number.json", '{"imageLayoutVersion":1}', "bad_file", "must be a text")
write("layout_cut.json", '{"imageLayout', "bad_file", "")


# --- catalogue --------------------------------------------------------------------------------------------------------
def catalogue(*models, version=1):
    return json.dumps({"version": version, "models": list(models)})


def model(**more):
    return {"name": "m:1b", "sources": ["hf:org/repo"], "licence": {"id": "mit"},
            "files": [{"path": "m.gguf", "size": 5, "sha256": "a" * 64}]} | more


write("catalogue_good.json", catalogue(model(), model(name="n", aliases=["o"])), "ok", "")
write("catalogue_version_9.json", catalogue(version=9), "unsupported", "version 9")
write("catalogue_no_models.json", '{"version":1}', "bad_file", '"models" is missing')
write("catalogue_name_climbs.json", catalogue(model(name="../x")), "bad_file", "is not a model name")
write("catalogue_name_twice.json", catalogue(model(), model(name="n", aliases=["m:1b"])), "bad_file", "given twice")
write("catalogue_no_source.json", catalogue(model(sources=[])), "bad_file", "names no source")
write("catalogue_source_http.json", catalogue(model(sources=["http://example.org/m.gguf"])), "bad_file", "plain http")
write("catalogue_source_option.json", catalogue(model(sources=["pypi:--target=x"])), "bad_file", "is not a source")
write("catalogue_source_number.json", catalogue(model(sources=[7])), "bad_file", "")
write("catalogue_sha_short.json", catalogue(model(files=[{"path": "m", "sha256": "abc"}])), "bad_file", "64 lower-case hex")
write("catalogue_file_climbs.json", catalogue(model(files=[{"path": "../m"}])), "bad_file", "climbs")
write("catalogue_file_twice.json", catalogue(model(files=[{"path": "m"}, {"path": "m"}])), "bad_file", "comes twice")
write("catalogue_licence_odd.json", catalogue(model(licence={"id": "mit", "category": "friendly"})), "bad_file", "category")


# --- wheels -----------------------------------------------------------------------------------------------------------
def raw_zip(items):
    """items: dicts with name, data and, to lie, method, flags, size, packed, crc, mode, local, offset."""
    out, directory = b"", b""
    for it in items:
        name, data = it["name"].encode(), it.get("data", b"")
        packed = data if it.get("stored") else zlib.compress(data, 9)[2:-4]
        method = it.get("method", 0 if it.get("stored") else 8)
        size, crc = it.get("size", len(data)), it.get("crc", zlib.crc32(data))
        local = it.get("local", it["name"]).encode()
        offset = it.get("offset", len(out))
        n_packed = it.get("packed", len(packed))
        out += struct.pack("<IHHHIIIIHH", 0x04034B50, 20, it.get("flags", 0), method, 0, crc, n_packed & 0xFFFFFFFF,
                           size & 0xFFFFFFFF, len(local), 0) + local + packed
        directory += struct.pack("<IHHHHIIIIHHHHHII", 0x02014B50, 3 << 8 | 20, 20, it.get("flags", 0), method, 0, crc,
                                 n_packed, size, len(name), 0, 0, 0, 0, it.get("mode", 0o100644) << 16, offset) + name
    return out + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(items), len(items), len(directory), len(out), 0)


META = {"name": "w-1.0.dist-info/METADATA", "data": b"Metadata-Version: 2.1\nName: w\nVersion: 1.0\nLicense: MIT\nRequires-Dist: w-part1==1.0\n\nx\n"}
GGUF = {"name": "w/m.gguf", "data": b"GGUF\3\0\0\0" + b"\0" * 16, "stored": True}


def wheel(*items):
    return raw_zip([META, *items])


plain = io.BytesIO()
with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("w/config.json", '{"model_type":"llama"}')
    z.writestr("w/model.safetensors", b"\0" * 40)
    with z.open("w/tokenizer.json", "w", force_zip64=True) as f:
        f.write(b"{}")


class NoSeek(io.RawIOBase):
    """Makes zipfile write data descriptors instead of sizes in the local headers."""
    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, b):
        self.data += bytes(b)
        return len(b)


stream = NoSeek()
with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("w/m.gguf.part00", b"GGUF\3\0\0\0")
    z.writestr("w/m.gguf.part01", b"\0" * 16)

good = wheel(GGUF)
write("wheel_good.whl", good, "ok", "")
write("wheel_good_folder.whl", plain.getvalue(), "ok", "")
write("wheel_good_streamed_parts.whl", stream.data, "ok", "")
write("wheel_empty.whl", b"", "bad_file", "cannot be a ZIP")
write("wheel_text.whl", b"this is no archive at all, but it is long enough", "bad_file", "no ZIP end record")
write("wheel_cut.whl", good[:-30], "bad_file", "")
write("wheel_cut_front.whl", good[40:], "bad_file", "")
write("wheel_traversal.whl", wheel({"name": "../../evil.gguf", "data": b"x"}), "bad_file", "climbs")
write("wheel_traversal_inside.whl", wheel({"name": "w/../../evil.gguf", "data": b"x"}), "bad_file", "climbs")
write("wheel_absolute.whl", wheel({"name": "/etc/cron.d/evil", "data": b"x"}), "bad_file", "absolute")
write("wheel_backslash.whl", wheel({"name": "..\\evil.gguf", "data": b"x"}), "bad_file", "backslash")
write("wheel_not_utf8.whl", wheel({"name": "w/QQQQ", "data": b"x"}).replace(b"QQQQ", b"a\xff\xc0b"), "bad_file", "not UTF-8")
write("wheel_zero_byte.whl", wheel({"name": "w/m.gguf\0.txt", "data": b"x"}), "bad_file", "control byte")
write("wheel_symlink.whl", wheel({"name": "w/m.gguf", "data": b"/etc/passwd", "stored": True, "mode": 0o120777}), "bad_file", "symbolic link")
write("wheel_device.whl", wheel({"name": "w/m.gguf", "mode": 0o020666, "stored": True}), "bad_file", "no regular file")
write("wheel_duplicate.whl", wheel(GGUF, GGUF), "bad_file", "twice")
write("wheel_duplicate_part.whl", wheel({"name": "a/m.gguf.part0", "data": b"x"}, {"name": "b/m.gguf.part00", "data": b"y"}), "bad_file", "comes twice")
write("wheel_part_missing.whl", wheel({"name": "a/m.gguf.part0", "data": b"x"}, {"name": "a/m.gguf.part2", "data": b"y"}), "not_found", "part 1 of m.gguf is missing")
write("wheel_encrypted.whl", wheel({"name": "w/m.gguf", "data": b"x", "flags": 1}), "bad_file", "encrypted")
write("wheel_lzma.whl", wheel({"name": "w/m.gguf", "data": b"x", "method": 14}), "unsupported", "method 14")
write("wheel_bomb_ratio.whl", wheel({"name": "w/m.gguf", "data": b"\0" * 1000, "size": 2**32 - 2}), "bad_file", "bomb")
write("wheel_bomb_real.whl", wheel({"name": "w/m.gguf", "data": b"\0" * 1000000, "size": 1000}), "bad_file", "bomb")
write("wheel_bomb_overlap.whl", wheel({"name": "a.gguf", "data": b"\0" * 9000, "offset": 0}, {"name": "b.gguf", "data": b"\0" * 9000, "offset": 0}), "bad_file", "overlap")
write("wheel_size_too_large.whl", wheel({"name": "w/m.gguf", "data": b"abcdefgh", "size": 9}), "bad_file", "not to 9")
write("wheel_stored_two_sizes.whl", wheel({"name": "w/m.gguf", "data": b"abc", "stored": True, "size": 4}), "bad_file", "two sizes")
write("wheel_crc.whl", wheel({"name": "w/m.gguf", "data": b"abc", "crc": 7}), "bad_file", "checksum")
write("wheel_two_names.whl", wheel({"name": "w/m.gguf", "data": b"abc", "local": "w/x.gguf"}), "bad_file", "another name")
write("wheel_offset_outside.whl", wheel({"name": "w/m.gguf", "data": b"abc", "offset": 2**31}), "bad_file", "outside the file")
write("wheel_packed_outside.whl", wheel({"name": "w/m.gguf", "data": b"abc" * 9, "packed": 2**31}), "bad_file", "outside the file")
write("wheel_count_lies.whl", good[:-14] + struct.pack("<HH", 999, 999) + good[-10:], "bad_file", "claims 999 entries")
write("wheel_two_models.whl", wheel({"name": "a.gguf", "data": b"x"}, {"name": "b.gguf", "data": b"y"}), "usage", "holds 2 models")
write("wheel_pickle.whl", wheel({"name": "w/pytorch_model.bin", "data": b"\x80\2."}), "unsupported", "pickle")
write("wheel_zip64_cut.whl", good[:-22] + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0), "bad_file", "ZIP64")

with open(f"{OUT}/EXPECTED.tsv", "w") as f:
    f.write("# file\tkind of error, or ok\tphrase in its message\n")
    for row in expected:
        f.write("\t".join(row) + "\n")
for i, text in enumerate(["hf:org/repo:a.gguf@main", "pypi:a-b==1.0+c:x.gguf", "https://h:1/p?q#sha256=" + "a" * 64, "file:///x", "m:tag"]):
    seed("manifest", f"source_{i}", b"s" + text.encode())
