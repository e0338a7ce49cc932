# The openai package's responses: alone, going on from each other, streamed, in the background, kept and forgotten.
import time

import openai
import pytest

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)


def ask(client, **more):
    return client.responses.create(**{"model": "smollm2", "input": QUESTION, "temperature": 0,
                                      "max_output_tokens": 24, **more})


def test_response(client):
    r = ask(client)
    assert r.id.startswith("resp_") and r.object == "response" and r.model == "smollm2"
    assert r.status in ("completed", "incomplete") and r.error is None
    assert [i.type for i in r.output] == ["message"] and r.output_text
    assert r.usage.total_tokens == r.usage.input_tokens + r.usage.output_tokens


def test_items_and_instructions(client):
    items = [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}]
    assert ask(client, input=items).output_text == ask(client).output_text
    assert ask(client, instructions="Answer in one word.").output_text != ask(client).output_text
    short = ask(client, max_output_tokens=2)
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens"


def test_stream_has_the_order_of_events(client):
    events = list(ask(client, stream=True))
    kinds = [e.type for e in events]
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]
    end = kinds[-1]
    assert end in ("response.completed", "response.incomplete")
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == ask(client).output_text == events[-1].response.output_text
    assert len({e.response.id for e in events if hasattr(e, "response")}) == 1


def test_one_goes_on_from_another(client):
    first = ask(client)
    second = ask(client, input="And of Italy?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    by_hand = ask(client, input=[{"role": "user", "content": QUESTION},
                                 {"role": "assistant", "content": first.output_text},
                                 {"role": "user", "content": "And of Italy?"}])
    assert second.output_text == by_hand.output_text
    items = client.responses.input_items.list(second.id)
    assert [i.content[0].text for i in items.data] == ["And of Italy?"]


def test_kept_and_forgotten(client):
    r = ask(client)
    assert client.responses.retrieve(r.id).output_text == r.output_text
    client.responses.delete(r.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(r.id)
    loose = ask(client, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(loose.id)
    with pytest.raises(openai.NotFoundError):
        ask(client, previous_response_id="resp_nobody")


def test_background(client):
    r = ask(client, background=True)
    assert r.status == "queued"
    for _ in range(600):
        if r.status not in ("queued", "in_progress"):
            break
        time.sleep(0.1)
        r = client.responses.retrieve(r.id)
    assert r.status in ("completed", "incomplete") and r.output_text == ask(client).output_text
    long = ask(client, background=True, max_output_tokens=1500, input="Count to one thousand.")
    assert client.responses.cancel(long.id).id == long.id
    for _ in range(600):
        long = client.responses.retrieve(long.id)
        if long.status not in ("queued", "in_progress"):
            break
        time.sleep(0.1)
    assert long.status in ("cancelled", "completed", "incomplete")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(ask(client).id)


def test_function_calls_in_the_history(client):
    tool = {"type": "function", "name": "get_weather", "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
    r = ask(client, tools=[tool], input=[
        {"role": "user", "content": "How is the weather in Paris?"},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{\"city\": \"Paris\"}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Sunny, 21 degrees"}])
    assert r.output and r.tools[0].name == "get_weather"
    assert len(client.responses.input_items.list(r.id).data) == 3


def test_logprobs_on_request(client):
    r = ask(client, include=["message.output_text.logprobs"], top_logprobs=2)
    items = r.output[0].content[0].logprobs
    assert items and all(len(i.top_logprobs) == 2 for i in items)


def test_errors(client):
    for wrong in ({"input": []}, {"input": [{"role": "robot", "content": "x"}]}, {"truncation": "auto"},
                  {"max_output_tokens": 0}, {"tools": [{"type": "web_search"}]}, {"conversation": "conv_1"}):
        with pytest.raises(openai.BadRequestError) as e:
            ask(client, **wrong)
        assert e.value.body["message"], wrong
