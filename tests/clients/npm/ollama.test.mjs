// The npm package ollama against the live server: answers, streams, tools, forms, vectors, models, errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.FREEHOLD_URL });
const options = { temperature: 0, num_predict: 24 };
const ask = { model: "smollm2", messages: [{ role: "user", content: "What is the capital of France?" }], options };

test("chat and its stream", async () => {
  const plain = await client.chat(ask);
  assert.ok(plain.message.content && plain.done);
  let text = "";
  for await (const part of await client.chat({ ...ask, stream: true })) text += part.message.content;
  assert.equal(text, plain.message.content);
});

test("generate and its stream", async () => {
  const plain = await client.generate({ model: "smollm2", prompt: "The capital of France is", raw: true, options });
  assert.match(plain.response, /Paris/);
  let text = "";
  for await (const part of await client.generate({ model: "smollm2", prompt: "The capital of France is", raw: true, options, stream: true })) text += part.response;
  assert.equal(text, plain.response);
});

test("tools and a form", async () => {
  const tool = { type: "function", function: { name: "get_weather", description: "The weather of a city.", parameters: { type: "object", required: ["city"], properties: { city: { type: "string" } } } } };
  const called = await client.chat({ ...ask, tools: [tool] });
  for (const call of called.message.tool_calls ?? []) assert.equal(call.function.name, "get_weather");
  const format = { type: "object", additionalProperties: false, required: ["large"], properties: { large: { type: "boolean" } } };
  const formed = await client.chat({ ...ask, format, options: { temperature: 0, num_predict: 60 } });
  assert.equal(typeof JSON.parse(formed.message.content).large, "boolean");
});

test("vectors", { skip: process.env.FREEHOLD_ENCODER ? false : "no encoder" }, async () => {
  const answer = await client.embed({ model: process.env.FREEHOLD_ENCODER, input: ["one", "two"] });
  assert.deepEqual(answer.embeddings.map((v) => v.length), [384, 384]);
});

test("models", async () => {
  assert.ok((await client.list()).models.some((m) => m.model === "smollm2"));
  assert.ok((await client.ps()).models.some((m) => m.model === "smollm2"));
  assert.ok((await client.show({ model: "smollm2" })).template);
  assert.ok((await client.version()).version);
});

test("a stream that is aborted does no harm", async () => {
  const own = new Ollama({ host: process.env.FREEHOLD_URL });
  const stream = await own.chat({ ...ask, options: { num_predict: 500 }, stream: true });
  await assert.rejects(async () => {
    for await (const part of stream) {
      if (part.message.content) own.abort();
    }
  });
  assert.ok((await client.chat(ask)).message.content);
});

test("errors", async () => {
  await assert.rejects(client.chat({ ...ask, model: "nobody" }), (e) => e.status_code === 404);
  await assert.rejects(client.chat({ ...ask, options: { temperature: -1 } }), /temperature/);
});
