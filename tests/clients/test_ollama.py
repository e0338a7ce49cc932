# The ollama package: answers, streams, thinking, tools, forms, vectors, and what it does with models.
import hashlib
import json
import shutil

import ollama
import pytest
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "num_predict": 24}


class Capital(BaseModel):
    country: str
    founded: int
    large: bool


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Name of the city
    """
    return f"Sunny in {city}"


@pytest.fixture(scope="module")
def client(server):
    return ollama.Client(host=server, timeout=120)


def test_generate_and_its_stream(client):
    r = client.generate("smollm2", "The capital of France is", options=GREEDY)
    assert r.response and r.done and r.done_reason in ("stop", "length") and r.model == "smollm2"
    assert r.eval_count > 0 and r.prompt_eval_count > 0 and r.total_duration >= r.eval_duration > 0
    parts = list(client.generate("smollm2", "The capital of France is", options=GREEDY, stream=True))
    assert "".join(p.response for p in parts) == r.response
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    on = client.generate("smollm2", " And of Italy?", options=GREEDY, context=r.context)
    assert len(on.context) > len(r.context)
    raw = client.generate("smollm2", "The capital of France is", raw=True, options=GREEDY)
    assert "Paris" in raw.response


def test_chat_and_its_stream(client):
    r = client.chat("smollm2", MESSAGES, options=GREEDY)
    assert r.message.role == "assistant" and r.message.content
    parts = list(client.chat("smollm2", MESSAGES, options=GREEDY, stream=True))
    assert len(parts) > 3 and "".join(p.message.content or "" for p in parts) == r.message.content
    assert parts[-1].done and parts[-1].eval_count == r.eval_count
    stop = r.message.content[8:12]
    cut = client.chat("smollm2", MESSAGES, options={**GREEDY, "stop": [stop]})
    assert cut.message.content == r.message.content[: r.message.content.index(stop)]


def test_form(client):
    r = client.chat("smollm2", [{"role": "user", "content": "Tell me of Paris, as JSON."}],
                    format=Capital.model_json_schema(), options={"temperature": 0, "num_predict": 300, "stop": ["\n\n"]})
    if r.done_reason == "stop":
        Capital.model_validate_json(r.message.content)
    assert r.message.content.startswith("{")
    with pytest.raises(ollama.ResponseError) as e:
        client.chat("smollm2", MESSAGES, format={"type": "nothing of the kind"})
    assert e.value.status_code == 400 and e.value.error


def test_tools(client):
    r = client.chat("smollm2", [{"role": "user", "content": "How is the weather in Paris? Use the tool."}],
                    tools=[get_weather], options={"temperature": 0, "num_predict": 80})
    # Whatever it calls is the tool, with arguments that fit.
    for call in r.message.tool_calls or []:
        assert call.function.name == "get_weather" and set(call.function.arguments) == {"city"}
        assert get_weather(**call.function.arguments)
    assert r.message.content or r.message.tool_calls
    history = [{"role": "user", "content": "How is the weather in Paris?"},
               {"role": "assistant", "content": "", "tool_calls": [
                   {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
               {"role": "tool", "tool_name": "get_weather", "content": "Sunny in Paris"}]
    assert client.chat("smollm2", history, tools=[get_weather], options=GREEDY)


def test_vectors(client, encoder):
    r = client.embed(encoder, ["A cat sat on the mat.", "Stock prices fell."])
    assert [len(v) for v in r.embeddings] == [384, 384] and r.prompt_eval_count > 5
    one = client.embeddings(encoder, "A cat sat on the mat.")
    assert len(one.embedding) == 384


def test_lists(client):
    assert "smollm2" in [m.model for m in client.list().models]
    assert "smollm2" in [m.model for m in client.ps().models]
    shown = client.show("smollm2")
    assert shown.template and "completion" in shown.capabilities and shown.modelinfo["general.architecture"] == "llama"
    with pytest.raises(ollama.ResponseError) as e:
        client.show("nobody")
    assert e.value.status_code == 404


def test_load_and_keep(client):
    r = client.generate("smollm2", "", keep_alive="10m")
    assert r.done and r.done_reason == "load"


def test_errors(client):
    with pytest.raises(ollama.ResponseError) as e:
        client.chat("nobody", MESSAGES)
    assert e.value.status_code == 404 and "nobody" in e.value.error
    for options in ({"temperature": -1}, {"top_p": 7}, {"num_predict": 0.5}, {"stop": 4}):
        with pytest.raises(ollama.ResponseError) as e:
            client.generate("smollm2", "x", options=options)
        assert e.value.status_code == 400 and next(iter(options)) in e.value.error, options
    with pytest.raises(ollama.ResponseError) as e:
        client.pull("nobody/nothing")
    assert e.value.status_code == 403


def test_make_copy_and_remove(client, models, tmp_path):
    with open(models[0], "rb") as f:
        digest = "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()
    here = tmp_path / "model.gguf"
    shutil.copy(models[0], here)
    assert client.create_blob(here) == digest
    states = [p.status for p in client.create("made:new", files={"model.gguf": digest}, stream=True)]
    assert states[-1] == "success"
    assert client.create("made:small", from_="made:new", quantize="q8_0").status == "success"
    client.copy("made:new", "made:copy")
    names = [m.model for m in client.list().models]
    assert {"made:new", "made:small", "made:copy"} <= set(names)
    assert client.show("made:small").details.quantization_level.upper() == "Q8_0"
    assert client.chat("made:copy", MESSAGES, options=GREEDY).message.content \
        == client.chat("smollm2", MESSAGES, options=GREEDY).message.content
    assert client.pull("made:new").status == "success"
    for name in ("made:new", "made:small", "made:copy"):
        client.delete(name)
    assert not [m.model for m in client.list().models if m.model.startswith("made:")]
    with pytest.raises(ollama.ResponseError):
        client.delete("made:new")


def test_show_says_how_to_make_it_again(client):
    """What show gives of a created model is enough to make the same model of it."""
    said = [{"role": "user", "content": "Who\nare you?"}, {"role": "assistant", "content": "A teller of \"stories\"."}]
    wish = {"from_": "smollm2", "system": "You tell stories.", "parameters": {"temperature": 0.5, "stop": ["END", "FIN"]},
            "messages": said}
    # The model is a file of this machine: its copy in the store is what the next one is made of.
    assert client.create("teller", **wish).status == "success"
    assert client.create("second", from_="teller").status == "success"
    try:
        shown = client.show("second")
        lines = shown.modelfile.splitlines()
        assert [line for line in lines if line.startswith("FROM ")] == ["FROM teller:latest"], shown.modelfile
        assert shown.details.parent_model == "teller:latest"
        assert "SYSTEM You tell stories." in lines and "PARAMETER temperature 0.5" in lines
        assert [line for line in lines if line.startswith("PARAMETER stop")] == ["PARAMETER stop END", "PARAMETER stop FIN"]
        assert 'MESSAGE user """Who\nare you?"""\nMESSAGE assistant """A teller of "stories"."""' in shown.modelfile
        rows = dict(line.split(maxsplit=1) for line in shown.parameters.splitlines())
        assert rows["temperature"] == "0.5" and rows["stop"] == '"FIN"'
        again = client.create("third", from_=lines[[i for i, x in enumerate(lines) if x.startswith("FROM ")][0]].split()[1])
        assert again.status == "success"
        reply = [client.chat(name, MESSAGES, options=GREEDY).message.content for name in ("second", "third")]
        assert reply[0] == reply[1]
    finally:
        for name in ("third", "second", "teller"):
            try:
                client.delete(name)
            except ollama.ResponseError:
                pass


def test_lines_are_json(server):
    import urllib.request
    body = json.dumps({"model": "smollm2", "messages": MESSAGES, "options": GREEDY}).encode()
    request = urllib.request.Request(server + "/api/chat", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.headers["Content-Type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in reply.read().splitlines()]
    assert lines[-1]["done"] and not lines[0]["done"]
