# The openai package: chat, streams, completions, errors, several at once.
import asyncio

import openai
import pytest

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)


def test_models(client):
    names = [m.id for m in client.models.list()]
    assert "smollm2" in names
    assert client.models.retrieve("smollm2").id == "smollm2"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_chat(client):
    r = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=30)
    assert r.choices[0].message.content
    assert r.choices[0].message.refusal is None
    assert r.choices[0].finish_reason in ("stop", "length")
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    assert r.object == "chat.completion" and r.id.startswith("chatcmpl-")


def test_stream_is_the_same_text(client):
    plain = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=30)
    text, usage = "", None
    for chunk in client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=30,
                                                stream=True, stream_options={"include_usage": True}):
        if chunk.usage:
            assert chunk.choices == []
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == plain.choices[0].message.content
    assert usage.completion_tokens == plain.usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens > 0


def test_seed_n_and_logprobs(client):
    def ask():
        return client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=1, seed=5, n=3,
                                              max_tokens=12, logprobs=True, top_logprobs=3)
    a, b = ask(), ask()
    assert [c.message.content for c in a.choices] == [c.message.content for c in b.choices]
    assert len({c.message.content for c in a.choices}) > 1
    for choice in a.choices:
        assert "".join(t.token for t in choice.logprobs.content) == choice.message.content
        assert all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in choice.logprobs.content)


def test_stop_and_length(client):
    whole = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=30)
    text = whole.choices[0].message.content
    cut = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=30,
                                         stop=[text[9:14]])
    assert cut.choices[0].message.content == text[: text.index(text[9:14])]
    assert cut.choices[0].finish_reason == "stop"
    short = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_completion_tokens=2)
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 2


def test_logit_bias_bans(client):
    first = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=1,
                                           logprobs=True)
    word = first.choices[0].logprobs.content[0].token
    import json
    import urllib.request
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    request = urllib.request.Request(root + "/tokenize", json.dumps({"content": word}).encode(),
                                     {"Content-Type": "application/json"})
    ids = json.load(urllib.request.urlopen(request))["tokens"]
    banned = client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=1,
                                            logprobs=True, logit_bias={str(ids[0]): -100})
    assert banned.choices[0].logprobs.content[0].token != word


def test_completions(client):
    r = client.completions.create(model="smollm2", prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in r.choices[0].text
    streamed = "".join(c.choices[0].text for c in client.completions.create(
        model="smollm2", prompt="The capital of France is", max_tokens=5, temperature=0, stream=True))
    assert streamed == r.choices[0].text
    many = client.completions.create(model="smollm2", prompt=["One two", "Red green"], max_tokens=3, temperature=0, n=2)
    assert [c.index for c in many.choices] == [0, 1, 2, 3]
    echo = client.completions.create(model="smollm2", prompt="The capital of France is Paris", max_tokens=1,
                                     temperature=0, echo=True, logprobs=1)
    lp = echo.choices[0].logprobs
    assert lp.token_logprobs[0] is None and all(x <= 0 for x in lp.token_logprobs[1:])
    assert echo.choices[0].text.startswith("The capital of France is Paris")
    assert len(lp.tokens) == len(lp.token_logprobs) == len(lp.top_logprobs) == len(lp.text_offset)


def test_errors(client):
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=-1)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "word " * 5000}])
    assert long.value.code == "context_length_exceeded"


def test_many_at_once(base_url):
    async def ask(client, i, tokens):
        r = await client.chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": f"Count from {i}."}], temperature=0, max_tokens=tokens)
        return r.choices[0].message.content

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=300) as client:
            together = await asyncio.gather(*(ask(client, i, 10) for i in range(8)))
            alone = [await ask(client, i, 10) for i in range(8)]
            assert together == alone
    asyncio.run(all_of_them())
