# The openai package: calls of tools, answers that keep to a form, vectors.
import base64
import json
import re
import struct
from typing import Literal

import openai
import pytest
from pydantic import BaseModel, Field

MESSAGES = [{"role": "user", "content": "How is the weather in Paris, in celsius?"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"],
                   "properties": {"city": {"type": "string", "maxLength": 30},
                                  "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}}
CLOCK = {"type": "function", "function": {
    "name": "get_time", "description": "The time of day in a city.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city"],
                   "properties": {"city": {"type": "string", "maxLength": 30}}}}}


class City(BaseModel):
    name: str = Field(max_length=20)
    country: str = Field(max_length=20)
    population: int = Field(ge=0, le=100_000_000)
    continent: Literal["Europe", "Asia", "Africa", "America", "Australia"]
    languages: list[Literal["French", "English", "German"]] = Field(max_length=3)


@pytest.fixture(scope="module")
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)


def ask(client, **more):
    return client.chat.completions.create(**{"model": "smollm2", "messages": MESSAGES, "temperature": 0,
                                             "max_tokens": 120, **more})


def check_weather(call):
    arguments = json.loads(call.function.arguments)
    assert call.type == "function" and call.id and call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "fahrenheit")


def test_a_named_tool_is_called(client):
    r = ask(client, tools=[CLOCK, WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}})
    assert r.choices[0].finish_reason == "tool_calls"
    assert len(r.choices[0].message.tool_calls) == 1
    check_weather(r.choices[0].message.tool_calls[0])


def test_required_calls_one_that_exists(client):
    r = ask(client, tools=[CLOCK, WEATHER], tool_choice="required", parallel_tool_calls=False)
    (call,) = r.choices[0].message.tool_calls
    assert call.function.name in ("get_weather", "get_time") and json.loads(call.function.arguments)["city"]


def test_none_and_auto(client):
    assert not ask(client, tools=[WEATHER], tool_choice="none", max_tokens=20).choices[0].message.tool_calls
    choice = ask(client, tools=[WEATHER], tool_choice="auto").choices[0]
    for call in choice.message.tool_calls or []:
        check_weather(call)


def test_streamed_calls_are_the_same(client):
    named = {"type": "function", "function": {"name": "get_weather"}}
    plain = ask(client, tools=[WEATHER], tool_choice=named).choices[0].message.tool_calls[0]
    pieces, name, finish = [], None, None
    for chunk in ask(client, tools=[WEATHER], tool_choice=named, stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                name = call.function.name or name
                pieces.append(call.function.arguments or "")
    assert finish == "tool_calls" and name == "get_weather"
    assert len(pieces) > 2 and "".join(pieces) == plain.function.arguments


def test_the_streaming_helper_gathers_calls(client):
    with client.chat.completions.stream(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=120,
                                        tools=[WEATHER], tool_choice="required",
                                        parallel_tool_calls=False) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    check_weather(final.choices[0].message.tool_calls[0])


def test_the_answer_of_a_tool_is_read(client):
    call = ask(client, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False).choices[0].message.tool_calls[0]
    history = MESSAGES + [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"}]
    r = ask(client, messages=history, tools=[WEATHER], tool_choice="none", max_tokens=24)
    assert r.choices[0].message.content


def test_parse_gives_a_pydantic_model(client):
    r = client.chat.completions.parse(model="smollm2", temperature=0, max_tokens=200, response_format=City,
                                      messages=[{"role": "user", "content": "Describe the city of Paris as JSON."}])
    city = r.choices[0].message.parsed
    assert isinstance(city, City) and r.choices[0].finish_reason == "stop"
    assert City.model_validate_json(r.choices[0].message.content) == city


def test_parse_of_a_tool_and_of_a_response(client):
    r = client.chat.completions.parse(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=200,
                                      tools=[openai.pydantic_function_tool(City)], tool_choice="required",
                                      parallel_tool_calls=False)
    assert isinstance(r.choices[0].message.tool_calls[0].function.parsed_arguments, City)
    r = client.responses.parse(model="smollm2", input="Describe the city of Paris as JSON.", temperature=0,
                               max_output_tokens=200, text_format=City)
    assert isinstance(r.output_parsed, City)


def test_json_object_and_refusals(client):
    r = ask(client, messages=[{"role": "user", "content": "Write a JSON object with one key."}], max_tokens=200,
            response_format={"type": "json_object"}, stop=None)
    if r.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(r.choices[0].message.content), dict)
    assert r.choices[0].message.content.lstrip().startswith("{")
    with pytest.raises(openai.BadRequestError) as e:
        ask(client, response_format={"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"type": "object", "properties": {"a": {"type": "no such type"}}}}})
    assert "a" in e.value.body["message"]


def test_a_regex_and_a_choice_hold(client):
    r = ask(client, extra_body={"guided_regex": "[A-Z]{3}-[0-9]{4}"})
    assert re.fullmatch("[A-Z]{3}-[0-9]{4}", r.choices[0].message.content)
    r = ask(client, extra_body={"guided_choice": ["sunny", "rainy"]})
    assert r.choices[0].message.content in ("sunny", "rainy")


def test_embeddings(client, encoder):
    texts = ["A cat sat on the mat.", "A kitten lay on the rug.", "Stock prices fell sharply."]
    # Without encoding_format the package asks for base64 and decodes it itself.
    r = client.embeddings.create(model=encoder, input=texts)
    assert [d.index for d in r.data] == [0, 1, 2] and {len(d.embedding) for d in r.data} == {384}
    plain = client.embeddings.create(model=encoder, input=texts, encoding_format="float")
    raw = client.embeddings.with_raw_response.create(model=encoder, input=texts[0], encoding_format="base64")
    packed = base64.b64decode(json.loads(raw.text)["data"][0]["embedding"])
    assert list(struct.unpack("<384f", packed)) == pytest.approx(plain.data[0].embedding, abs=1e-7)
    for a, b in zip(r.data, plain.data):
        assert a.embedding == pytest.approx(b.embedding, abs=1e-7)

    def cosine(i, j):
        return sum(x * y for x, y in zip(r.data[i].embedding, r.data[j].embedding))
    assert cosine(0, 0) == pytest.approx(1, abs=1e-5)
    assert cosine(0, 1) > 0.5 > 0.3 > cosine(0, 2)
    assert r.usage.prompt_tokens > 15
    short = client.embeddings.create(model=encoder, input=texts[0], dimensions=64)
    assert len(short.data[0].embedding) == 64
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=encoder, input=[])


def test_an_encoder_does_not_chat(client, encoder):
    with pytest.raises(openai.BadRequestError) as e:
        ask(client, model=encoder)
    assert encoder in e.value.body["message"]
