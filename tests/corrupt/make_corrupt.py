#!/usr/bin/env python3
"""Writes tests/corrupt/files and EXPECTED.tsv: one named file (or folder) per fault, with the error that it must get.
Rerun: python3 tests/corrupt/make_corrupt.py   (standard library only; the result is committed)."""
import json
import pathlib
import shutil
import struct

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "files"
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
MAX64 = 2**64 - 1
expected = []


def expect(path: str, kind: str, phrase: str) -> None:
    expected.append((path, kind, phrase))


# ---- GGUF -----------------------------------------------------------------------------------------------------------
def text(s) -> bytes:
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def key(name, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + body


def tensor(name, dims, kind=0, offset=0) -> bytes:
    return text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)


def gguf(keys=(), tensors=(), data=b"", version=3, n_keys=None, n_tensors=None, magic=b"GGUF", align=32, pad=True) -> bytes:
    arch = [key("general.architecture", STRING, text("llama"))]
    keys = arch + list(keys)
    out = magic + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    out += b"".join(keys) + b"".join(tensors)
    if pad and (data or tensors):
        out += b"\0" * (-len(out) % align)
    return out + data


def put(path: str, data: bytes, kind=None, phrase=None) -> None:
    file = OUT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if kind:
        expect(path, kind, phrase)


def bad_gguf(name: str, data: bytes, phrase: str, kind="bad_file") -> None:
    put(f"gguf/{name}.gguf", data, kind, phrase)


def make_gguf() -> None:
    f8 = struct.pack("<8f", *range(8))
    whole = gguf(tensors=[tensor("a", [8])], data=f8)
    bad_gguf("empty", b"", "is empty")
    bad_gguf("magic_wrong", b"GGUG" + whole[4:], 'does not begin with "GGUF"')
    bad_gguf("magic_only", b"GGUF", "ends inside the version")
    bad_gguf("version_0", gguf(version=0), "GGUF version 0", "unsupported")
    bad_gguf("version_1", gguf(version=1), "GGUF version 1", "unsupported")
    bad_gguf("version_99", gguf(version=99), "GGUF version 99", "unsupported")
    bad_gguf("big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian", "unsupported")
    bad_gguf("cut_in_counts", whole[:12], "ends inside the number of tensors")
    bad_gguf("key_count_2_63", gguf(n_keys=2**63), "keys cannot fit")
    bad_gguf("key_count_max", gguf(n_keys=MAX64), "keys cannot fit")
    bad_gguf("key_count_too_many", gguf(n_keys=2), "ends inside a key name")
    bad_gguf("tensor_count_2_63", gguf(n_tensors=2**63), "tensors cannot fit")
    bad_gguf("tensor_count_too_many", gguf(n_tensors=2, tensors=[tensor("a", [8])], data=f8), "the name has 0 bytes")
    bad_gguf("key_length_past_end", gguf([struct.pack("<Q", 1000) + b"abc" + b"\0" * 20]), "a key name of 1000 bytes goes past the end")
    bad_gguf("key_length_max", gguf([struct.pack("<Q", MAX64) + b"abc" + b"\0" * 20]), "goes past the end")
    bad_gguf("key_empty", gguf([key("", U8, b"\1")]), "the key name has 0 bytes")
    bad_gguf("key_long", gguf([key("k" * 65536, U8, b"\1")]), "the key name has 65536 bytes")
    bad_gguf("key_twice", gguf([key("k", U8, b"\1"), key("k", U8, b"\2")]), 'key "k", offset')
    bad_gguf("architecture_twice", gguf([key("general.architecture", STRING, text("gpt2"))]), "the key comes twice")
    bad_gguf("architecture_number", gguf()[:24] + key("general.architecture", U8, b"\1"), '"general.architecture" is not a text')
    bad_gguf("value_type_unknown", gguf([key("k", 13, b"\0" * 8)]), "the value type 13 does not exist")
    bad_gguf("value_type_max", gguf([key("k", 2**32 - 1, b"\0" * 8)]), "the value type 4294967295 does not exist")
    bad_gguf("value_cut", gguf([key("k" * 20, U64, b"\0" * 7)]), "ends inside a number")
    bad_gguf("string_past_end", gguf([key("k", STRING, struct.pack("<Q", 50) + b"short")]), "a string of 50 bytes goes past the end")
    bad_gguf("string_2_63", gguf([key("k", STRING, struct.pack("<Q", 2**63) + b"short")]), "goes past the end")
    bad_gguf("string_max", gguf([key("k", STRING, struct.pack("<Q", MAX64) + b"short")]), "goes past the end")
    bad_gguf("flag_2", gguf([key("k", BOOL, b"\2")]), "a flag is 2")
    bad_gguf("array_count_2_63", gguf([key("k", ARRAY, array(U8, 2**63))]), "array elements cannot fit")
    bad_gguf("array_count_max_f64", gguf([key("k", ARRAY, array(F64, MAX64))]), "array elements cannot fit")
    bad_gguf("array_count_product_wraps", gguf([key("k", ARRAY, array(F64, 2**61 + 1, b"\0" * 8))]), "array elements cannot fit")
    bad_gguf("array_strings_too_many", gguf([key("k", ARRAY, array(STRING, 1000, text("a")))]), "array elements cannot fit")
    bad_gguf("array_string_past_end", gguf([key("k", ARRAY, array(STRING, 2, text("a") + struct.pack("<Q", 99) + b"x"))]), "a string of 99 bytes")
    bad_gguf("array_type_unknown", gguf([key("k", ARRAY, array(77, 1, b"\0" * 16))]), "the value type 77 does not exist")
    nested = array(U8, 1, b"\1")
    for _ in range(6):
        nested = array(ARRAY, 1, nested)
    bad_gguf("array_nested_deep", gguf([key("k", ARRAY, nested)]), "nested more than 4 deep")
    bad_gguf("array_cut", gguf([key("k", ARRAY, array(U16, 1))]), "array elements cannot fit")
    for n in (0, 3, 48, 2**31):
        bad_gguf(f"alignment_{n}", gguf([key("general.alignment", U32, struct.pack("<I", n))], [tensor("a", [8])], f8), f"the alignment {n} is not a power of two")
    bad_gguf("alignment_negative", gguf([key("general.alignment", I32, struct.pack("<i", -32))]), "not a power of two")
    bad_gguf("alignment_text", gguf([key("general.alignment", STRING, text("32"))]), "not a power of two")
    bad_gguf("tensor_name_past_end", gguf(tensors=[struct.pack("<Q", 2**40) + b"\0" * 40]), "a tensor name of 1099511627776 bytes")
    bad_gguf("tensor_name_empty", gguf(tensors=[tensor("", [8])], data=f8), "the name has 0 bytes")
    bad_gguf("tensor_twice", gguf(tensors=[tensor("a", [8]), tensor("a", [8], offset=32)], data=f8 + f8), 'tensor "a"')
    bad_gguf("dims_5", gguf(tensors=[tensor("a", [1, 1, 1, 1, 8])], data=f8), "it has 5 dimensions")
    bad_gguf("dims_2_32", gguf(tensors=[text("a") + struct.pack("<I", 2**32 - 1) + b"\0" * 64]), "dimensions; at most 4")
    bad_gguf("dims_product_overflows", gguf(tensors=[tensor("a", [2**32, 2**32])], data=f8), "larger than 2^63")
    bad_gguf("dims_product_wraps_to_8", gguf(tensors=[tensor("a", [2**33, 2**31 + 1])], data=f8), "larger than 2^63")
    bad_gguf("dims_overflow_behind_zero", gguf(tensors=[tensor("a", [0, 2**40, 2**40])], data=f8), "larger than 2^63")
    bad_gguf("dim_negative", gguf(tensors=[tensor("a", [MAX64])], data=f8), "larger than 2^63")
    bad_gguf("bytes_overflow", gguf(tensors=[tensor("a", [2**62], 28)], data=f8), "larger than 2^64")
    bad_gguf("bytes_past_end_wide", gguf(tensors=[tensor("a", [2**60])], data=f8), "go past the end of the file")
    for n in (4, 31, 36, 41, 97, 200, 2**32 - 1):
        bad_gguf(f"type_{n}", gguf(tensors=[tensor("a", [8], n)], data=f8), f"GGUF type {n}, which is not known", "unsupported")
    bad_gguf("row_cuts_a_block", gguf(tensors=[tensor("a", [33], 8)], data=f8 * 4), "no multiple of the 32")
    bad_gguf("row_cuts_a_block_2d", gguf(tensors=[tensor("a", [16, 2], 8)], data=f8 * 4), "no multiple of the 32")
    bad_gguf("offset_unaligned", gguf(tensors=[tensor("a", [4], offset=4)], data=f8), "not a multiple of the alignment")
    bad_gguf("offset_past_end", gguf(tensors=[tensor("a", [8], offset=32)], data=f8), "go past the end of the file")
    bad_gguf("offset_wraps", gguf(tensors=[tensor("a", [8], offset=2**64 - 32)], data=f8), "go past the end of the file")
    bad_gguf("offset_2_63", gguf(tensors=[tensor("a", [8], offset=2**63)], data=f8), "go past the end of the file")
    bad_gguf("data_cut", whole[:-1], "go past the end of the file")
    bad_gguf("data_missing", gguf(tensors=[tensor("a", [8])], pad=False), "go past the end of the file")
    bad_gguf("tensors_overlap", gguf(tensors=[tensor("a", [16]), tensor("b", [8], offset=32)], data=f8 * 2), 'overlap those of tensor "a"')
    bad_gguf("tensors_same_place", gguf(tensors=[tensor("a", [8]), tensor("b", [8])], data=f8), 'overlap those of tensor "a"')


def part(no: int, count: int, total: int, name: str) -> bytes:
    keys = [key("split.no", U16, struct.pack("<H", no)), key("split.count", U16, struct.pack("<H", count)),
            key("split.tensors.count", I32, struct.pack("<i", total))]
    return gguf(keys, [tensor(name, [8])], struct.pack("<8f", *range(8)))


def make_split() -> None:
    def pair(folder: str, first: bytes, second, kind: str, phrase: str, named=1) -> None:
        put(f"split/{folder}/m-00001-of-00002.gguf", first)
        if second:
            put(f"split/{folder}/m-00002-of-00002.gguf", second)
        expect(f"split/{folder}/m-0000{named}-of-00002.gguf", kind, phrase)

    pair("part_missing", part(0, 2, 2, "a"), None, "not_found", "Part 2 of 2 is missing")
    pair("numbers_swapped", part(1, 2, 2, "a"), part(0, 2, 2, "b"), "bad_file", "should be part 1 of 2")
    pair("second_of_three", part(0, 2, 2, "a"), part(1, 3, 2, "b"), "bad_file", "should be part 2 of 2")
    pair("named_second_of_three", part(0, 2, 2, "a"), part(1, 3, 2, "b"), "bad_file", "one of 3 parts, but its name", named=2)
    pair("second_is_whole", part(0, 2, 2, "a"), gguf(), "bad_file", "split.no and split.count say -1 and -1")
    pair("tensors_count_wrong", part(0, 2, 7, "a"), part(1, 2, 7, "b"), "bad_file", "declares 7 tensors")
    pair("tensor_in_both", part(0, 2, 2, "a"), part(1, 2, 2, "a"), "bad_file", 'tensor "a" is in an earlier file too')
    pair("second_damaged", part(0, 2, 2, "a"), part(1, 2, 2, "b")[:-4], "bad_file", "m-00002-of-00002.gguf is not a valid GGUF file")
    put("split/name_without_number.gguf", part(0, 2, 2, "a"), "bad_file", "one of 2 parts, but its name")
    put("split/count_huge-00001-of-65535.gguf", part(0, 65535, 2, "a"), "not_found", "Part 2 of 65535 is missing")
    put("split/count_is_text.gguf", gguf([key("split.count", STRING, text("two"))]), "bad_file", "which is no count")


# ---- safetensors ----------------------------------------------------------------------------------------------------
def safe(header, data=b"", length=None) -> bytes:
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(body) if length is None else length) + body + data


def st(dtype="F32", shape=(2,), begin=0, end=8) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def bad_safe(name: str, data: bytes, phrase: str, kind="bad_file") -> None:
    put(f"safetensors/{name}.safetensors", data, kind, phrase)


def make_safetensors() -> None:
    d8 = b"\0" * 8
    bad_safe("empty", b"", "ends before the length of its header")
    bad_safe("seven_bytes", b"\0" * 7, "ends before the length of its header")
    bad_safe("header_past_end", safe({"a": st()}, length=1000), "goes past the end of the file")
    bad_safe("header_2_63", safe({"a": st()}, length=2**63), "at most 100000000 are allowed")
    bad_safe("header_max", safe({"a": st()}, length=MAX64), "at most 100000000 are allowed")
    bad_safe("header_100_mb", safe({"a": st()}, length=100_000_001), "at most 100000000 are allowed")
    bad_safe("header_empty", safe(b"", d8), "does not begin with {")
    bad_safe("header_list", safe([]), "does not begin with {")
    bad_safe("header_cut", safe(b'{"a":'), "ends where a value should come")
    bad_safe("header_not_json", safe(b"{hello}"), "a key in quotation marks")
    bad_safe("header_utf8", safe(b'{"\xff\xfe": 1}'), "not valid UTF-8")
    bad_safe("header_deep", safe(b'{"a":' + b"[" * 5000), "nested more than 200 deep")
    bad_safe("tensor_twice", safe(b'{"a":%s,"a":%s}' % (json.dumps(st()).encode(), json.dumps(st()).encode()), d8), 'the key "a" comes twice')
    bad_safe("hole", safe({"a": st(), "b": st(begin=12, end=20)}, b"\0" * 20), "a hole of 4 bytes")
    bad_safe("hole_at_start", safe({"a": st(begin=4, end=12)}, b"\0" * 12), "a hole of 4 bytes")
    bad_safe("overlap", safe({"a": st(), "b": st(begin=4, end=12)}, b"\0" * 12), "overlaps the tensor before")
    bad_safe("same_place", safe({"a": st(), "b": st()}, d8), "overlaps the tensor before")
    bad_safe("ends_before_it_begins", safe({"a": st(begin=8, end=0)}, d8), "begins at 8 and ends before that")
    bad_safe("past_end", safe({"a": st(shape=[4], end=16)}, d8), "past the end of the file")
    bad_safe("past_end_2_63", safe({"a": st(begin=0, end=2**63 - 8)}, d8), "past the end of the file")
    bad_safe("offset_2_64", safe({"a": st(begin=0, end=2**64)}, d8), "which is no count")
    bad_safe("offset_negative", safe({"a": st(begin=-8, end=0)}, d8), "which is no count")
    bad_safe("offset_real", safe(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0.0,8.0]}}', d8), "which is no count")
    bad_safe("size_too_small", safe({"a": st(shape=[3])}, d8), "its shape needs 12 bytes, its data_offsets hold 8")
    bad_safe("size_too_large", safe({"a": st(shape=[1])}, d8), "its shape needs 4 bytes, its data_offsets hold 8")
    bad_safe("left_over", safe({"a": st()}, b"\0" * 9), "1 bytes after its last tensor")
    bad_safe("left_over_without_tensors", safe({}, d8), "8 bytes after its last tensor")
    bad_safe("dtype_unknown", safe({"a": st("F33")}, d8), '"F33" is not known')
    bad_safe("dtype_missing", safe({"a": {"shape": [2], "data_offsets": [0, 8]}}, d8), 'no "dtype"')
    bad_safe("dtype_number", safe({"a": st(7)}, d8), 'no "dtype"')
    bad_safe("half_a_byte", safe({"a": st("F4", [3], 0, 1)}, b"\0"), "whole number of bytes")
    bad_safe("shape_missing", safe({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, d8), 'no list "shape"')
    bad_safe("shape_negative", safe({"a": st(shape=[-2])}, d8), "which is no count")
    bad_safe("shape_real", safe({"a": st(shape=[2.5])}, d8), "which is no count")
    bad_safe("shape_text", safe({"a": st(shape=["2"])}, d8), "which is no count")
    bad_safe("shape_overflows", safe({"a": st(shape=[2**32, 2**32])}, d8), "larger than 2^63")
    bad_safe("shape_overflow_behind_zero", safe({"a": st(shape=[0, 2**40, 2**40], end=0)}), "larger than 2^63")
    bad_safe("bits_overflow", safe({"a": st(shape=[2**61])}, d8), "whole number of bytes")
    bad_safe("offsets_missing", safe({"a": {"dtype": "F32", "shape": [2]}}, d8), 'no list "data_offsets"')
    bad_safe("offsets_one", safe({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, d8), "has 1 numbers, not 2")
    bad_safe("tensor_is_number", safe({"a": 1}), "its description is not an object")
    bad_safe("metadata_list", safe({"__metadata__": []}), "__metadata__ is not an object")
    bad_safe("metadata_number", safe({"__metadata__": {"a": 1}}), 'a "a" that is not a text')


def hf(name: str, kind: str, phrase: str, **files) -> None:
    files.setdefault("config.json", {"model_type": "llama"})
    for file, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        put(f"hf/{name}/{file}", data)
    expect(f"hf/{name}", kind, phrase)


def make_hf() -> None:
    index = "model.safetensors.index.json"
    shard = safe({"a": st()}, b"\0" * 8)
    hf("config_cut", "bad_file", "config.json is not valid JSON at line 1", **{"config.json": b'{"model_type": "lla'})
    hf("config_list", "bad_file", "config.json holds no JSON object", **{"config.json": []})
    hf("config_key_twice", "bad_file", 'the key "a" comes twice', **{"config.json": b'{"a": 1, "a": 2}'})
    hf("config_deep", "bad_file", "nested more than 200 deep", **{"config.json": b'{"a":' * 300})
    hf("generation_config_broken", "bad_file", "generation_config.json is not valid JSON", **{"generation_config.json": b"{"})
    for name, climbs in {"parent": "../a.safetensors", "absolute": "/etc/a.safetensors", "backslash": "..\\a.safetensors", "inside": "sub/a.safetensors",
                         "hidden": ".a.safetensors", "nul": "a\0.safetensors", "other_kind": "passwd", "empty": "", "number": 7}.items():
        hf(f"index_climbs_{name}", "bad_file", "not the name of a safetensors file in this folder", **{index: {"weight_map": {"a": climbs}}})
    hf("index_without_map", "bad_file", 'no object "weight_map"', **{index: {}})
    hf("index_map_is_list", "bad_file", 'no object "weight_map"', **{index: {"weight_map": []}})
    hf("index_cut", "bad_file", "index.json is not valid JSON", **{index: b'{"weight_map": {"a": '})
    hf("index_shard_missing", "not_found", "which is not in the folder", **{index: {"weight_map": {"a": "m.safetensors"}}})
    hf("index_tensor_missing", "bad_file", 'puts tensor "b" into m.safetensors, but it is not there',
       **{index: {"weight_map": {"a": "m.safetensors", "b": "m.safetensors"}}, "m.safetensors": shard})
    hf("shard_damaged", "bad_file", "m.safetensors is not a valid safetensors file", **{index: {"weight_map": {"a": "m.safetensors"}}, "m.safetensors": shard[:-1]})
    hf("two_files_without_index", "bad_file", "it is not known which belong together", **{"x.safetensors": shard, "y.safetensors": shard})
    hf("pickle_only", "bad_file", "not a valid archive", **{"pytorch_model.bin": b"PK\x03\x04"})
    hf("index_names_tensor_twice", "bad_file", 'the key "a" comes twice',
       **{index: b'{"weight_map": {"a": "m.safetensors", "a": "n.safetensors"}}', "m.safetensors": shard, "n.safetensors": shard})
    torch_index = "pytorch_model.bin.index.json"
    hf("torch_index_climbs", "bad_file", "not the name of a torch file in this folder", **{torch_index: {"weight_map": {"a": "../m.bin"}}})
    hf("torch_index_shard_missing", "not_found", "which is not in the folder", **{torch_index: {"weight_map": {"a": "m.bin"}}})
    hf("torch_shard_is_no_torch", "bad_file", "m.bin is no file that torch.save wrote", **{torch_index: {"weight_map": {"a": "m.bin"}}, "m.bin": b"nothing of torch"})
    put("hf/nothing/readme.txt", b"no model here\n")
    expect("hf/nothing", "not_found", "holds no model")
    put("hf/two_models/a.gguf", gguf())
    put("hf/two_models/b.gguf", gguf())
    expect("hf/two_models", "usage", "holds 2 GGUF models")


# ---- llama2.c -------------------------------------------------------------------------------------------------------
def make_llama2c() -> None:
    def model(dim=4, hidden=4, layers=1, heads=1, kv=1, vocab=4, context=2, cut=0, more=0) -> bytes:
        floats = vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * dim * (dim // max(heads, 1)) * kv + 3 * dim * hidden) + dim + context * (dim // max(heads, 1))
        return (struct.pack("<7i", dim, hidden, layers, heads, kv, vocab, context) + b"\0" * (4 * floats))[: -cut or None] + b"\0" * more

    def tokens(texts) -> bytes:
        return struct.pack("<i", 8) + b"".join(struct.pack("<fi", 0, len(t)) + t for t in texts)

    good = [b"<unk>", b"<s>", b"</s>", b"a"]
    put("llama2c/cut.bin", model(cut=4), "bad_file", "its header asks for")
    put("llama2c/too_long.bin", model(more=4), "bad_file", "its header asks for")
    put("llama2c/header_only.bin", model()[:28] + b"\0", "bad_file", "its header asks for")
    put("llama2c/heads_0.bin", struct.pack("<7i", 4, 4, 1, 0, 1, 4, 2) + b"\0" * 100, "bad_file", "no model file that is known here")
    put("llama2c/negative_size.bin", struct.pack("<7i", -4, 4, 1, 1, 1, 4, 2) + b"\0" * 100, "bad_file", "no model file that is known here")
    put("llama2c/huge_sizes.bin", struct.pack("<7i", 2**24, 2**24, 4096, 1, 1, 2**24, 2**24) + b"\0" * 100, "bad_file", "its header asks for")
    for name, data, phrase in [
        ("tokenizer_cut", tokens(good)[:-1], "a text of 1 bytes goes past the end"),
        ("tokenizer_short", tokens(good[:2]), "tokens cannot fit"),
        ("tokenizer_long", tokens(good + [b"b"]), "bytes follow the last of them"),
        ("tokenizer_length_negative", tokens(good[:3]) + struct.pack("<fi", 0, -1), "a text of -1 bytes"),
        ("tokenizer_length_huge", tokens(good[:3]) + struct.pack("<fi", 0, 2**31 - 1), "a text of 2147483647 bytes"),
        ("tokenizer_empty", b"", "ends inside the length of the longest token"),
    ]:
        put(f"llama2c/{name}/model.bin", model())
        put(f"llama2c/{name}/tok4.bin", data)
        expect(f"llama2c/{name}/model.bin", "bad_file", phrase)


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    make_gguf()
    make_split()
    make_safetensors()
    make_hf()
    make_llama2c()
    (HERE / "EXPECTED.tsv").write_text("# path under files/\tkind of error\tphrase in its message\n" + "".join("\t".join(e) + "\n" for e in expected))
    print(f"{len(expected)} faults")
