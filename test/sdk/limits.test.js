// The official openai package, with the retries it has by default, where limits, budgets, the cache and the ladder decide.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI, { InternalServerError, RateLimitError } from "openai";
import { provider, start } from "./server.js";

let upstream, server;
const client = (workflow, options = {}) => new OpenAI({ baseURL: server.url + "/v1", apiKey: server.run("keys", "create", "--role", "workflow", "--workflow", workflow).trim(), timeout: 20000, ...options });
const ask = (text, more = {}) => ({ model: "chat", max_tokens: 20, messages: [{ role: "user", content: text }], ...more });
const rows = (workflow) => JSON.parse(server.run("calls", "--json", "--limit", "1000")).filter((c) => c.workflow === workflow);

before(async () => {
  upstream = await provider();
  server = await start(`
environment: test
providers:
  mock: {kind: openai, base_url: "${upstream.url}"}
routing: {attempts: 2, backoff: 10ms, max_backoff: 20ms, breaker: {failures: 1000}}
models:
  chat: {deployments: [{provider: mock, model: chat, prices: {input: 1, output: 2}}]}
  slow: {deployments: [{provider: mock, model: slow, prices: {input: 1, output: 2}}]}
  shaky: {deployments: [{provider: mock, model: shaky-fails, prices: {input: 1, output: 2}}], fallback: [chat]}
  down: {deployments: [{provider: mock, model: down-fails, prices: {input: 1, output: 2}}]}
  small: {tier: economy, deployments: [{provider: mock, model: small, prices: {input: 1, output: 2}}]}
business_units: {product: {}}
workflows:
  poor: {business_unit: product, clearance: internal}
  narrow: {business_unit: product, clearance: internal, limits: {parallel: 1}}
  brief: {business_unit: product, clearance: internal, limits: {requests_per_minute: 60, tokens_per_minute: 100}}
  cached: {business_unit: product, clearance: internal, cache: {ttl: 10m}}
  sturdy: {business_unit: product, clearance: internal, degrade: [{tier: economy}]}
  frail: {business_unit: product, clearance: internal, degrade: [{queue: 100ms}]}
budgets:
  small: {scope: workflow, of: poor, tokens: 300, period: month, hard: true}
`);
});
after(async () => {
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
  await upstream.stop();
});

test("a budget that is used up is a RateLimitError at once: the package does not wait for the next month", async () => {
  const poor = client("poor");
  assert.equal((await poor.chat.completions.create(ask("hello"))).usage.total_tokens, 18);
  const sent = upstream.asked.length, began = Date.now();
  await assert.rejects(poor.chat.completions.create(ask("hello again", { max_tokens: 210 })), (error) => {
    assert.ok(error instanceof RateLimitError, String(error));
    assert.equal(error.status, 429);
    assert.equal(error.code, "budget_exceeded");
    assert.match(error.message, /budget small of workflow poor: 300 tokens a month, 18 tokens spent/);
    assert.match(error.message, /it frees on \d{4}-\d\d-01/);
    assert.equal(error.headers.get("x-should-retry"), "false");
    assert.ok(Number(error.headers.get("retry-after")) > 60, error.headers.get("retry-after"));
    return true;
  });
  assert.ok(Date.now() - began < 3000, "it took " + (Date.now() - began) + " ms");
  assert.equal(upstream.asked.length, sent, "nothing was sent");
  assert.equal(rows("poor").filter((c) => c.outcome === "error").length, 1, "the package tried once");
  await assert.rejects(poor.chat.completions.create(ask("as a stream", { max_tokens: 210, stream: true })), RateLimitError);
  assert.equal((await poor.chat.completions.create(ask("a smaller one"))).usage.total_tokens, 18);
});

test("calls that wait in the queue are answered one after the other", async () => {
  const narrow = client("narrow", { maxRetries: 0 });
  const answers = await Promise.all([1, 2, 3].map((n) => narrow.chat.completions.create(ask("number " + n, { model: "slow" }))));
  assert.equal(new Set(answers.map((a) => a.choices[0].message.content)).size, 3);
  const waited = rows("narrow").map((c) => c.waited_ms ?? 0).sort((a, b) => a - b);
  assert.ok(waited[0] < 200 && waited[1] > 200 && waited[2] > 600, waited.join());
});

test("a rate that is used up is waited for by the server, or a RateLimitError that says when to come again", async () => {
  const brief = client("brief", { maxRetries: 0 });
  const refused = async () => {
    for (let n = 0; n < 10; n++) await brief.chat.completions.create(ask("hello " + n), { headers: { "x-airfield-timeout": "1s" } });
  };
  await assert.rejects(refused(), (error) => {
    assert.ok(error instanceof RateLimitError, String(error));
    assert.match(error.message, /workflow brief/);
    assert.ok(Number(error.headers.get("retry-after")) >= 1);
    assert.equal(error.headers.get("x-should-retry"), null, "it is over soon");
    return true;
  });
});

test("an answer from the cache is the same answer, whole and as a stream", async () => {
  const cached = client("cached");
  for (const stream of [false, true]) {
    const seen = [];
    for (let n = 0; n < 2; n++) {
      const { data, response } = await cached.chat.completions.create(ask("the same", { stream, ...(stream && { stream_options: { include_usage: true } }) })).withResponse();
      let text = "", usage;
      if (stream) {
        for await (const chunk of data) {
          text += chunk.choices[0]?.delta?.content ?? "";
          usage = chunk.usage ?? usage;
        }
      } else {
        text = data.choices[0].message.content;
        usage = data.usage;
      }
      seen.push([text, usage.total_tokens, response.headers.get("x-airfield-cache")]);
    }
    assert.deepEqual([seen[0][2], seen[1][2]], ["miss", "hit"]);
    assert.deepEqual(seen[0].slice(0, 2), seen[1].slice(0, 2));
  }
});

test("a fallback answers where a model fails, and the package need not retry", async () => {
  const sturdy = client("sturdy");
  const { data, response } = await sturdy.chat.completions.create(ask("hello", { model: "shaky" })).withResponse();
  assert.match(data.choices[0].message.content, /answer/);
  assert.equal(response.headers.get("x-airfield-model"), "chat");
  assert.equal(response.headers.get("x-airfield-degraded"), null, "a fallback is no lower rung");
});

test("a stream of a lower rung says so, in the header and in its last chunk, and reads like any other", async () => {
  const { data, response } = await client("sturdy").chat.completions.create(ask("hello", { model: "down", stream: true, stream_options: { include_usage: true } })).withResponse();
  let text = "", marker, finish;
  for await (const chunk of data) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    marker = chunk.airfield ?? marker;
  }
  assert.match(text, /answer \d+/);
  assert.equal(finish, "stop");
  assert.equal(response.headers.get("x-airfield-degraded"), "economy");
  assert.equal(marker.degraded, "economy");
  assert.equal(marker.call_id, response.headers.get("x-airfield-call-id"));
  assert.equal(response.headers.get("x-airfield-model"), "small");
});

test("what nothing can serve is an InternalServerError with the provider's words, after the package's retries", async () => {
  const frail = client("frail", { maxRetries: 1 });
  await assert.rejects(frail.chat.completions.create(ask("hello", { model: "down" })), (error) => {
    assert.ok(error instanceof InternalServerError, String(error));
    assert.match(error.message, /out of order/);
    return true;
  });
  assert.equal(rows("frail").length, 2);
});
