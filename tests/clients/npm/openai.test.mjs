// The npm package openai against the live server: chat, stream, tools, forms, vectors, responses, errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.FREEHOLD_URL + "/v1", apiKey: "none", maxRetries: 0, timeout: 120_000 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const ask = { model: "smollm2", messages, temperature: 0, max_tokens: 24 };
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: { type: "object", additionalProperties: false, required: ["city"], properties: { city: { type: "string", maxLength: 30 } } },
  },
};

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("smollm2"));
});

test("chat and its stream", async () => {
  const plain = await client.chat.completions.create(ask);
  assert.ok(plain.choices[0].message.content);
  let text = "";
  let usage;
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, plain.choices[0].message.content);
  assert.equal(usage.completion_tokens, plain.usage.completion_tokens);
});

test("a stream that is left does no harm", async () => {
  const stream = await client.chat.completions.create({ ...ask, max_tokens: 500, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  assert.ok((await client.chat.completions.create(ask)).choices[0].message.content);
});

test("tools", async () => {
  const answer = await client.chat.completions.create({ ...ask, max_tokens: 120, tools: [weather], tool_choice: { type: "function", function: { name: "get_weather" } } });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city"]);
  const runner = client.chat.completions.stream({ ...ask, max_tokens: 120, tools: [weather], tool_choice: "required" });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.name, "get_weather");
});

test("a form", async () => {
  const schema = {
    type: "object", additionalProperties: false, required: ["name", "population"],
    properties: { name: { type: "string", maxLength: 20 }, population: { type: "integer", minimum: 0, maximum: 1e8 } },
  };
  const answer = await client.chat.completions.parse({ ...ask, max_tokens: 120, response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema } } });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content).population, "number");
});

test("vectors", { skip: process.env.FREEHOLD_ENCODER ? false : "no encoder" }, async () => {
  const answer = await client.embeddings.create({ model: process.env.FREEHOLD_ENCODER, input: ["one", "two"] });
  assert.deepEqual(answer.data.map((d) => d.embedding.length), [384, 384]);
  const length = Math.hypot(...answer.data[0].embedding);
  assert.ok(Math.abs(length - 1) < 1e-4, `length ${length}`);
});

test("responses", async () => {
  const plain = await client.responses.create({ model: "smollm2", input: "What is the capital of France?", temperature: 0, max_output_tokens: 20 });
  assert.ok(plain.output_text);
  let text = "";
  for await (const event of await client.responses.create({ model: "smollm2", input: "What is the capital of France?", temperature: 0, max_output_tokens: 20, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, plain.output_text);
});

test("errors", async () => {
  await assert.rejects(client.chat.completions.create({ ...ask, model: "nobody" }), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
  await assert.rejects(client.chat.completions.create({ ...ask, temperature: -1 }), (e) => e instanceof OpenAI.BadRequestError && e.param === "temperature");
});
