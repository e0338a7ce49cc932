# Programs that stand on others' clients: litellm (three dialects) and langchain-openai.
import asyncio
import json
import os

import pytest
from pydantic import BaseModel, ConfigDict, Field

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no price list from outside

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city"],
                   "properties": {"city": {"type": "string", "maxLength": 30}}}}}


class City(BaseModel):
    """A city."""
    model_config = ConfigDict(extra="forbid")  # else a call may fill itself with fields that nobody asked for
    name: str = Field(max_length=20)
    population: int = Field(ge=0, le=100_000_000)


def dialects(server):
    return [("openai/smollm2", server + "/v1"), ("ollama_chat/smollm2", server), ("anthropic/smollm2", server)]


@pytest.mark.parametrize("dialect", [0, 1, 2], ids=["openai", "ollama_chat", "anthropic"])
def test_litellm_chat_and_stream(server, dialect):
    import litellm
    model, base = dialects(server)[dialect]
    settings = {"model": model, "api_base": base, "api_key": "none", "messages": MESSAGES, "temperature": 0,
                "max_tokens": 20, "timeout": 120}
    r = litellm.completion(**settings)
    assert r.choices[0].message.content and r.usage.completion_tokens > 0
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    text = "".join(c.choices[0].delta.content or "" for c in litellm.completion(**settings, stream=True))
    assert text.strip() == r.choices[0].message.content.strip()


def test_litellm_dialects_agree(server):
    import litellm
    texts = {litellm.completion(model=model, api_base=base, api_key="none", messages=MESSAGES, temperature=0,
                                max_tokens=20, timeout=120).choices[0].message.content.strip()
             for model, base in dialects(server)}
    assert len(texts) == 1


def test_litellm_tools_and_forms(server):
    import litellm
    settings = {"model": "openai/smollm2", "api_base": server + "/v1", "api_key": "none", "messages": MESSAGES,
                "temperature": 0, "max_tokens": 120, "timeout": 120}
    r = litellm.completion(**settings, tools=[WEATHER], tool_choice="required")
    call = r.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    r = litellm.completion(**settings, response_format=City)
    assert City.model_validate_json(r.choices[0].message.content)


def test_litellm_async_text_and_vectors(server, encoder):
    import litellm

    async def both():
        return await asyncio.gather(
            litellm.atext_completion(model="text-completion-openai/smollm2", api_base=server + "/v1", api_key="none",
                                     prompt="The capital of France is", max_tokens=5, temperature=0),
            litellm.aembedding(model="openai/" + encoder, api_base=server + "/v1", api_key="none",
                               input=["A cat sat on the mat."]))
    text, vectors = asyncio.run(both())
    assert "Paris" in text.choices[0].text
    assert len(vectors.data[0]["embedding"]) == 384


def test_litellm_errors(server):
    import litellm
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="openai/nobody", api_base=server + "/v1", api_key="none", messages=MESSAGES)
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(model="openai/smollm2", api_base=server + "/v1", api_key="none", messages=MESSAGES,
                           temperature=-3)


def chain(server, **more):
    from langchain_openai import ChatOpenAI
    return ChatOpenAI(**{"model": "smollm2", "base_url": server + "/v1", "api_key": "none", "temperature": 0,
                         "max_tokens": 120, "max_retries": 0, "timeout": 120, **more})


def test_langchain_chat_and_stream(server):
    from langchain_core.messages import HumanMessage, SystemMessage
    messages = [SystemMessage("Answer briefly."), HumanMessage("What is the capital of France?")]
    model = chain(server, max_tokens=20)
    r = model.invoke(messages)
    assert r.content and r.usage_metadata["output_tokens"] > 0
    assert "".join(c.content for c in model.stream(messages)) == r.content
    answers = model.batch([messages, messages])
    assert [a.content for a in answers] == [r.content, r.content]


def test_langchain_tools_and_forms(server):
    from langchain_core.tools import tool

    @tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"Sunny in {city}"

    r = chain(server).bind_tools([get_weather], tool_choice="get_weather").invoke("How is the weather in Paris?")
    (call,) = r.tool_calls
    assert call["name"] == "get_weather" and set(call["args"]) == {"city"} and r.invalid_tool_calls == []
    for method in ("json_schema", "function_calling"):
        city = chain(server).with_structured_output(City, method=method).invoke("Describe the city of Paris.")
        assert isinstance(city, City), method


def test_langchain_responses_api(server):
    r = chain(server, use_responses_api=True, max_tokens=20).invoke("What is the capital of France?")
    assert r.text and r.usage_metadata["output_tokens"] > 0


def test_langchain_vectors(server, encoder):
    from langchain_openai import OpenAIEmbeddings
    # It sends lists of ids of OpenAI's own vocabulary unless it is told to leave that to the server.
    vectors = OpenAIEmbeddings(model=encoder, base_url=server + "/v1", api_key="none", check_embedding_ctx_length=False)
    assert [len(v) for v in vectors.embed_documents(["one", "two"])] == [384, 384]
    assert len(vectors.embed_query("one")) == 384
