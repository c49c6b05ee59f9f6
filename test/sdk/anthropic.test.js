// The official @anthropic-ai/sdk, unchanged: only the base URL and the key are Airfield's. Everything is asked of a provider
// that speaks Anthropic's API and of one that speaks OpenAI's; what comes out is the same.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic, { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { speakers } from "./speakers.js";
import { start } from "./server.js";

let upstream, server, client, key;
before(async () => {
  upstream = await speakers();
  server = await start(`
environment: test
providers:
  claude: {kind: anthropic, base_url: "${upstream.url}"}
  gpt: {kind: openai, base_url: "${upstream.url}"}
models:
  claude: {deployments: [{provider: claude, model: claude, prices: {input: 1, cache_read: 0.1, output: 2}}]}
  gpt: {deployments: [{provider: gpt, model: gpt, prices: {input: 1, cache_read: 0.1, output: 2}}]}
  claude-limited: {deployments: [{provider: claude, model: claude-limited}]}
  gpt-limited: {deployments: [{provider: gpt, model: gpt-limited}]}
routing: {attempts: 1, backoff: 10ms, max_backoff: 20ms, queue: {wait: 10ms}}
business_units: {product: {}}
workflows: {pilot: {business_unit: product, clearance: internal}}
`);
  key = server.run("keys", "create", "--role", "workflow", "--workflow", "pilot").trim();
  client = new Anthropic({ baseURL: server.url, apiKey: key, maxRetries: 0, timeout: 30000 });
});
after(async () => {
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
  await upstream.stop();
});

const user = (content) => [{ role: "user", content }];
const tools = [{ name: "get_weather", description: "The weather in a city.", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

for (const model of ["claude", "gpt"]) {
  const path = model === "claude" ? "/v1/messages" : "/v1/chat/completions";

  test(model + ": messages.create", async () => {
    const { data, response } = await client.messages.create({ model, max_tokens: 50, system: "You are brief.", messages: user("Say hello."), metadata: { user_id: "ann" } }).withResponse();
    assert.equal(data.type, "message");
    assert.deepEqual(data.content.map((b) => b.text), ["Hello from the model."]);
    assert.equal(data.stop_reason, "end_turn");
    assert.equal(data.usage.input_tokens, 12);
    assert.equal(data.usage.cache_read_input_tokens, 8);
    assert.equal(data.usage.output_tokens, 5);
    assert.match(response.headers.get("x-airfield-call-id"), /^call_/);
    assert.equal(data._request_id, response.headers.get("x-airfield-call-id"));
    assert.equal(response.headers.get("x-airfield-cost-usd"), "0.0000228");
    const heard = upstream.heard.at(-1);
    assert.equal(heard.path, path);
    if (model === "claude") assert.ok(heard.headers["anthropic-version"]);
  });

  test(model + ": messages.stream", async () => {
    const stream = client.messages.stream({ model, max_tokens: 50, messages: user("Say hello.") });
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const message = await stream.finalMessage();
    assert.equal(text, "Hello from the model.");
    assert.equal(message.stop_reason, "end_turn");
    assert.equal(message.usage.output_tokens, 5);
    assert.equal(message.usage.input_tokens, 12);
  });

  for (const streamed of [false, true]) {
    test(model + ": a two-step tool loop" + (streamed ? ", as streams" : ""), async () => {
      const ask = (messages) => {
        const q = { model, max_tokens: 50, tools, messages };
        return streamed ? client.messages.stream(q).finalMessage() : client.messages.create(q);
      };
      const messages = user("What is the weather in Oslo?");
      const first = await ask(messages);
      assert.equal(first.stop_reason, "tool_use");
      assert.deepEqual(first.content.map((b) => b.type), ["text", "tool_use"]);
      const call = first.content[1];
      assert.equal(call.name, "get_weather");
      assert.deepEqual(call.input, { city: "Oslo" });
      const second = await ask([...messages, { role: "assistant", content: first.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "4 degrees" }] }]);
      assert.equal(second.content[0].text, "The tool says: 4 degrees");
      assert.equal(second.stop_reason, "end_turn");
    });
  }

  test(model + ": structured output", async () => {
    const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };
    const message = await client.messages.create({ model, max_tokens: 50, messages: user("Name a colour."), output_config: { format: { type: "json_schema", schema } } });
    assert.deepEqual(JSON.parse(message.content[0].text), { name: "blue" });
  });

  test(model + ": a picture", async () => {
    const message = await client.messages.create({ model, max_tokens: 50, messages: user([{ type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } }, { type: "text", text: "What is this?" }]) });
    assert.equal(message.content[0].text, "I see a picture.");
  });

  test(model + ": messages.countTokens", async () => {
    const counted = await client.messages.countTokens({ model, messages: user("Where is the parcel that I sent on Monday?") });
    if (model === "claude") assert.equal(counted.input_tokens, 14);
    else assert.ok(counted.input_tokens > 8 && counted.input_tokens < 40, String(counted.input_tokens));
  });

  test(model + ": a provider's limit is a RateLimitError", async () => {
    await assert.rejects(client.messages.create({ model: model + "-limited", max_tokens: 5, messages: user("hi") }), (error) => {
      assert.ok(error instanceof RateLimitError, String(error));
      assert.equal(error.error.error.type, "rate_limit_error");
      assert.match(error.message, /Slow down/);
      return true;
    });
  });
}

test("OpenAI's package reaches Anthropic's API: a two-step tool loop, as a stream", async () => {
  const openai = new OpenAI({ baseURL: server.url + "/v1", apiKey: key, maxRetries: 0, timeout: 30000 });
  const q = { model: "claude", messages: user("What is the weather in Oslo?"), tools: [{ type: "function", function: { name: "get_weather", parameters: tools[0].input_schema } }] };
  const first = (await openai.chat.completions.stream(q).finalChatCompletion()).choices[0];
  assert.equal(first.finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(first.message.tool_calls[0].function.arguments), { city: "Oslo" });
  const second = await openai.chat.completions.create({ ...q, messages: [...q.messages, first.message, { role: "tool", tool_call_id: first.message.tool_calls[0].id, content: "4 degrees" }] });
  assert.equal(second.choices[0].message.content, "The tool says: 4 degrees");
  assert.equal(second.usage.prompt_tokens, 20);
  assert.equal(second.usage.prompt_tokens_details.cached_tokens, 8);
  assert.equal(upstream.heard.at(-1).body.max_tokens, 4096);
});

test("the builtin answerer speaks messages, too", async () => {
  const q = { model: "builtin-answer", max_tokens: 50, messages: user("What can you do?") };
  const whole = await client.messages.create(q);
  assert.ok(whole.content[0].text.length > 0);
  assert.ok(whole.usage.input_tokens > 0);
  const streamed = await client.messages.stream(q).finalMessage();
  assert.equal(streamed.content[0].text, whole.content[0].text);
  assert.deepEqual(streamed.usage.output_tokens, whole.usage.output_tokens);
});

test("models.list and models.retrieve", async () => {
  const ids = [];
  for await (const model of client.models.list({ limit: 2 })) ids.push(model.id);
  assert.ok(ids.includes("claude") && ids.includes("builtin-answer") && new Set(ids).size === ids.length, ids.join());
  assert.equal((await client.models.retrieve("claude")).type, "model");
  await assert.rejects(client.models.retrieve("no-such-model"), NotFoundError);
});

test("errors are the package's own, and name the call", async () => {
  const wrong = new Anthropic({ baseURL: server.url, apiKey: "af_wrong", maxRetries: 0 });
  await assert.rejects(wrong.messages.create({ model: "gpt", max_tokens: 5, messages: user("hi") }), AuthenticationError);
  await assert.rejects(client.messages.create({ model: "nobody", max_tokens: 5, messages: user("hi") }), (error) => {
    assert.ok(error instanceof NotFoundError, String(error));
    assert.equal(error.error.error.code, "model_not_found");
    assert.match(error.error.request_id, /^call_/);
    assert.equal(error.requestID, error.error.request_id);
    return true;
  });
  const sent = upstream.heard.length;
  await assert.rejects(client.messages.create({ model: "gpt", max_tokens: 5, messages: user("hi"), tools: [{ type: "web_search_20250305", name: "web_search" }] }), (error) => {
    assert.ok(error instanceof BadRequestError, String(error));
    assert.equal(error.error.error.code, "no_deployment_fits");
    assert.match(error.message, /web_search_20250305/);
    return true;
  });
  assert.equal(upstream.heard.length, sent, "nothing was sent");
  const bearer = new Anthropic({ baseURL: server.url, authToken: key, apiKey: null, maxRetries: 0 });
  assert.equal((await bearer.messages.create({ model: "gpt", max_tokens: 50, messages: user("hi") })).type, "message");
});

test("every call is in the log, with its surface, its user and its cost", async () => {
  const calls = JSON.parse(server.run("calls", "--json", "--limit", "1000")).filter((c) => c.workflow === "pilot");
  assert.ok(calls.some((c) => c.surface === "messages" && c.user === "ann" && c.provider === "claude"), JSON.stringify(calls[0]));
  assert.ok(calls.some((c) => c.surface === "messages" && c.user === "ann" && c.provider === "gpt"));
  assert.ok(calls.some((c) => c.surface === "messages.count_tokens"));
});
