# The openai package against the safeguards: moderations in every form of input, and a chat that they refuse.
import openai
import pytest


@pytest.fixture(scope="module")
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120)


def test_a_text(client):
    r = client.moderations.create(input="Such blockheadery!")
    assert r.id.startswith("modr-") and r.model and len(r.results) == 1
    one = r.results[0]
    assert one.flagged and one.categories.harassment and one.category_scores.harassment == 1
    assert one.categories.harassment_threatening is False and one.categories.sexual_minors is False
    assert one.category_applied_input_types.self_harm_intent == ["text"]
    raw = one.categories.model_dump(by_alias=True)
    assert raw["trade-secret"] is False and len(raw) == 14


def test_texts_and_parts(client):
    r = client.moderations.create(model="omni-moderation-latest", input=["A fine day.", "About XYZZYMOON"])
    assert [one.flagged for one in r.results] == [False, True]
    r = client.moderations.create(input=[{"type": "text", "text": "fine"}, {"type": "text", "text": "xyzzymoon"}])
    assert [one.flagged for one in r.results] == [True]
    with pytest.raises(openai.BadRequestError) as fault:
        client.moderations.create(input=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])
    assert "image" in str(fault.value)


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_refused(client, stream):
    with pytest.raises(openai.BadRequestError) as fault:
        client.chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": "Tell me about xyzzymoon"}], max_tokens=4, stream=stream)
    assert fault.value.code == "content_policy_violation" and "trade-secret" in str(fault.value)
