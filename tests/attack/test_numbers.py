# Every numeric field of every body in /openapi.json gets numbers that are none, or are beyond all bounds: refused with a
# status of 4xx and the shape of the dialect, or taken where they fit; never a failure of the server's.
import concurrent.futures
import json

import pytest
import requests

# As they stand in the text of a body: Python would not write some of them.
NUMBERS = ["NaN", "-NaN", "Infinity", "-Infinity", "-1", "-0.0", "0", "-1e308", "1e308", "1e400", "-1e400", "5e-324",
           "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
           "1" + "0" * 400, "0." + "0" * 400 + "1", "2147483648", "0.5", "1e2", "01", "+1", ".5", "1.", "0x10", '"1"',
           "true", "[1]", "{}", "null"]
NO_JSON = ("NaN", "-NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10")
MARK = "@number@"


def resolve(schema, document):
    while isinstance(schema, dict) and "$ref" in schema:
        target = document
        for part in schema["$ref"].lstrip("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def sample(schema, document, depth=0):
    """The smallest value that fits a schema."""
    schema = resolve(schema, document)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return sample(schema[key][0], document, depth + 1)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: sample(schema.get("properties", {}).get(name, {}), document, depth + 1)
                for name in schema.get("required", [])}
    if kind == "array":
        return [sample(schema.get("items", {}), document, depth + 1)]
    return {"string": "Hi", "integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": False}.get(kind)


def numeric_fields(schema, document, path=()):
    """Paths to every field that may be a number."""
    schema = resolve(schema, document)
    if len(path) > 6:
        return
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if {"integer", "number"} & set(kinds):
        yield path
    for key in ("oneOf", "anyOf"):
        for one in schema.get(key, []):
            yield from numeric_fields(one, document, path)
    for name, inner in schema.get("properties", {}).items():
        if resolve(schema, document) is not document["components"]["schemas"]["Schema"]:
            yield from numeric_fields(inner, document, path + (name,))
    if "items" in schema:
        yield from numeric_fields(schema["items"], document, path + (0,))
    if isinstance(schema.get("additionalProperties"), dict) and schema.get("propertyNames"):
        yield from numeric_fields(schema["additionalProperties"], document, path + ("1",))


def put(value, path, leaf):
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if key == 0:
        return [put(None, rest, leaf)]
    value = dict(value) if isinstance(value, dict) else {}
    value[key] = put(value.get(key), rest, leaf)
    return value


def bodies(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                yield method, path, content["schema"]


def requests_of(server, document):
    """(method, path, what it tries, body) for each field and number."""
    chats = "smollm2" in server.log.read_text()
    for method, path, schema in bodies(document):
        base = sample(schema, document)
        properties = resolve(schema, document).get("properties", {})
        if "model" in properties:
            talks = path.startswith(("/v1/chat", "/v1/messages", "/v1/responses", "/api/chat", "/apply-template"))
            base["model"] = "smollm2" if talks and chats else "stories260K"
        for short in ("max_tokens", "max_output_tokens"):
            if short in properties:
                base[short] = 2
        if "options" in properties:
            base["options"] = {"num_predict": 2}
        for field in sorted(set(numeric_fields(schema, document)), key=str):
            text = json.dumps(put(base, field, MARK))
            for number in NUMBERS:
                yield method, path, (field, number), text.replace(f'"{MARK}"', number)


def test_every_numeric_field(open_server):
    document = requests.get(open_server.url + "/openapi.json", timeout=10).json()
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=8))

    def judge(one):
        method, path, (field, number), body = one
        reply = session.request(method, open_server.url + path.replace("{id}", "nobody"), data=body.encode(),
                                headers={"Content-Type": "application/json"}, timeout=120)
        what = f"{method} {path} {field} = {number[:24]}: {reply.status_code} {reply.text[:300]}"
        if reply.status_code >= 500:
            return what
        if number in NO_JSON and reply.status_code not in (400, 403, 404):
            return what + " (this is no JSON, and was taken)"
        if reply.status_code >= 400 and "error" not in reply.json():
            return what + " (an error without its shape)"
        return None
    every = list(requests_of(open_server, document))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bad = [fault for fault in pool.map(judge, every) if fault]
    assert not bad, f"{len(bad)} of {len(every)}:\n" + "\n".join(bad[:40])
    assert len(every) > 1500, len(every)


@pytest.mark.parametrize("query", ["limit", "before", "from", "to", "replica", "order", "after"])
def test_numbers_in_queries(keyed_server, query):
    for path in ("/freehold/v1/audit", "/freehold/v1/usage", "/v1/responses/none/input_items"):
        for value in [*NUMBERS[:18], "", "\u0000", "%00", "a" * 5000, "../..", "2026-13-45", "9" * 30]:
            reply = requests.get(keyed_server.url + path, params={query: value}, headers=keyed_server.headers(), timeout=30)
            assert reply.status_code < 500, f"{path}?{query}={value[:30]}: {reply.text}"
