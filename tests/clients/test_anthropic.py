# The anthropic package: messages, streams and the order of their events, tools in the history, counting, errors.
import anthropic
import pytest

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {"name": "get_weather", "description": "Weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


@pytest.fixture(scope="module")
def client(server):
    return anthropic.Anthropic(base_url=server, api_key="none", max_retries=0, timeout=120)


def ask(client, **more):
    # The package knows no temperature any more; the wire does.
    body = {"temperature": more.pop("temperature", 0)}
    return client.messages.create(**{"model": "smollm2", "max_tokens": 24, "messages": MESSAGES, **more},
                                  extra_body=body)


def test_message(client):
    m = ask(client)
    assert m.type == "message" and m.role == "assistant" and m.id.startswith("msg_")
    assert m.model == "smollm2"
    assert [b.type for b in m.content] == ["text"] and m.content[0].text
    assert m.stop_reason in ("end_turn", "max_tokens")
    assert m.usage.input_tokens + m.usage.cache_read_input_tokens > 10 and m.usage.output_tokens > 0


def test_system_as_text_and_blocks_and_content_blocks(client):
    one = ask(client, system="Answer in one word.")
    two = ask(client, system=[{"type": "text", "text": "Answer in one word."}],
              messages=[{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}])
    assert one.content[0].text == two.content[0].text
    assert one.content[0].text != ask(client).content[0].text


def test_stream_has_the_order_of_events(client):
    plain = ask(client)
    with client.messages.stream(model="smollm2", max_tokens=24, messages=MESSAGES,
                                extra_body={"temperature": 0}) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == plain.content[0].text == final.content[0].text
    assert final.stop_reason == plain.stop_reason
    assert final.usage.output_tokens == plain.usage.output_tokens
    kinds = [e.type for e in client.messages.create(model="smollm2", max_tokens=8, messages=MESSAGES, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


def test_stop_sequence_and_length(client):
    text = ask(client).content[0].text
    stop = text[9:14]
    m = ask(client, stop_sequences=[stop])
    assert m.stop_reason == "stop_sequence" and m.stop_sequence == stop
    assert m.content[0].text == text[: text.index(stop)]
    assert ask(client, max_tokens=2).stop_reason == "max_tokens"


def test_the_assistants_beginning_is_gone_on_from(client):
    m = ask(client, messages=MESSAGES + [{"role": "assistant", "content": "The capital of France is"}])
    assert m.content[0].text and "The capital of France is" not in m.content[0].text


def test_tools_in_the_history(client):
    history = MESSAGES + [
        {"role": "assistant", "content": [
            {"type": "text", "text": "I will look."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "Sunny, 21 degrees"}]},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no such city", "is_error": True},
            {"type": "text", "text": "So, how is it?"}]}]
    m = ask(client, messages=history, tools=[TOOL], tool_choice={"type": "auto"})
    assert m.content
    more = client.messages.count_tokens(model="smollm2", messages=history, tools=[TOOL]).input_tokens
    fewer = client.messages.count_tokens(model="smollm2", messages=history).input_tokens
    assert more > fewer > client.messages.count_tokens(model="smollm2", messages=MESSAGES).input_tokens


def test_counting_agrees_with_use(client):
    counted = client.messages.count_tokens(model="smollm2", messages=MESSAGES, system="Be kind.").input_tokens
    usage = ask(client, system="Be kind.").usage
    assert counted == usage.input_tokens + usage.cache_read_input_tokens


def test_errors_have_the_shape_of_the_dialect(client):
    with pytest.raises(anthropic.NotFoundError) as e:
        ask(client, model="nobody")
    assert e.value.body["type"] == "error" and e.value.body["error"]["type"] == "not_found_error"
    for wrong in ({"messages": []}, {"max_tokens": 0}, {"messages": [{"role": "system", "content": "x"}]},
                  {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
                  {"tool_choice": {"type": "any"}}, {"temperature": "hot"}):
        with pytest.raises(anthropic.BadRequestError) as e:
            ask(client, **wrong)
        assert e.value.body["error"]["type"] == "invalid_request_error", wrong
        assert e.value.body["error"]["message"]
