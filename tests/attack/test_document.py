# Requests made from /openapi.json, fitting and not: no route answers 5xx, errors have their shape, and with keys on no
# route but the public ones opens without one. FREEHOLD_ATTACK_EXAMPLES: requests a route; FREEHOLD_ATTACK_FULL=1: every
# bound of every field too.
import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings

FULL = bool(os.environ.get("FREEHOLD_ATTACK_FULL"))
EXAMPLES = int(os.environ.get("FREEHOLD_ATTACK_EXAMPLES", "12"))
# The words of the model that chats; the others go to the story model, or to whatever name was made up.
CHAT = ("/v1/chat", "/v1/messages", "/v1/responses", "/api/chat", "/apply-template")
STEADY = settings(max_examples=EXAMPLES, deadline=None, derandomize=not os.environ.get("FREEHOLD_ATTACK_RANDOM"),
                  suppress_health_check=list(HealthCheck), database=None)


def load(server):
    document = requests.get(server.url + "/openapi.json", timeout=10).json()
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=server.url)
    # Every bound of every field, thousands of requests a route: minutes.
    loaded.config.phases.coverage.enabled = FULL
    return loaded


def known_model(case, chat_there):
    """Most requests name a model that is there, and ask for few answers."""
    body = case.body
    if isinstance(body, dict):
        if isinstance(body.get("model"), str) or "model" not in body:
            if len(str(body.get("model", ""))) != 3:
                body["model"] = "smollm2" if chat_there and case.path.startswith(CHAT) else "stories260K"
        if isinstance(body.get("n"), int) and 2 < body["n"] <= 128:
            body["n"] = 2
    return case


@pytest.fixture(scope="session")
def open_document(open_server):
    return load(open_server)


@pytest.fixture(scope="session")
def keyed_document(keyed_server):
    return load(keyed_server)


without_keys = schemathesis.pytest.from_fixture("open_document")
with_keys = schemathesis.pytest.from_fixture("keyed_document")


def send(case, server, headers):
    known_model(case, "smollm2" in server.log.read_text())
    reply = case.call(headers=headers, timeout=120)
    if reply.status_code == 501 and case.path == "/api/push":  # it says that this is not offered
        return reply
    assert reply.status_code < 500 or reply.status_code == 503, f"{reply.status_code} {reply.text}\n{case.as_curl_command()}"
    if reply.status_code >= 400 and case.method != "HEAD" and "json" in reply.headers.get("content-type", [""])[0]:
        assert "error" in reply.json() or reply.json().get("type") == "error"
    return reply


@without_keys.parametrize()
@STEADY
def test_without_keys(case, open_server):
    send(case, open_server, {})


@with_keys.parametrize()
@STEADY
def test_with_the_key_of_an_operator(case, keyed_server):
    send(case, keyed_server, keyed_server.headers())


@with_keys.parametrize()
@settings(STEADY, max_examples=3)
def test_without_the_key_that_it_takes(case, keyed_server):
    public = case.operation.definition.raw.get("x-role") == "public"
    for headers in ({}, {"Authorization": "Bearer fh_" + "A" * 48}, {"x-api-key": "fh_\u00e9"}):
        reply = case.call(headers=headers, timeout=30)
        assert reply.status_code < 500
        if not public:
            assert reply.status_code in (400, 401, 404, 405, 429), f"{reply.status_code} {reply.text}"
