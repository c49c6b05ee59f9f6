// The official openai package against a provider of moderations, pictures and sound, and batches of calls to it.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import OpenAI, { BadRequestError, toFile } from "openai";
import { start } from "./server.js";

let upstream, server, client;
const asked = [];

// A provider of everything that is not chat; a chat answers with the text it got, and flex has no room every third time.
async function media() {
  const listener = http.createServer(async (request, response) => {
    const parts = [];
    for await (const chunk of request) parts.push(chunk);
    const body = Buffer.concat(parts);
    const form = (request.headers["content-type"] ?? "").startsWith("multipart/form-data");
    const field = (name) => new RegExp(`name="${name}"\\r\\n\\r\\n([^\\r]*)`).exec(body.toString("latin1"))?.[1];
    const q = form ? { model: field("model"), stream: field("stream") === "true" } : JSON.parse(body);
    asked.push({ path: request.url, model: q.model, tier: q.service_tier });
    const json = (value, status = 200) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const events = (...list) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const e of list) response.write(`event: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`);
      response.end();
    };
    switch (request.url) {
      case "/v1/moderations":
        return json({ id: "modr-1", model: q.model, results: [{ flagged: true, categories: { violence: true }, category_scores: { violence: 0.9 } }] });
      case "/v1/images/generations":
        if (q.stream) return events({ type: "image_generation.partial_image", b64_json: "QQ==", partial_image_index: 0 }, { type: "image_generation.completed", b64_json: "QUI=", usage: { input_tokens: 5, output_tokens: 200, total_tokens: 205, input_tokens_details: { text_tokens: 5, image_tokens: 0 } } });
        return json({ created: 1, data: [{ b64_json: "QUI=" }], usage: { input_tokens: 5, output_tokens: 100, total_tokens: 105, input_tokens_details: { text_tokens: 5, image_tokens: 0 } } });
      case "/v1/images/edits":
        return json({ created: 1, data: [{ b64_json: "QUI=" }], usage: { input_tokens: 50, output_tokens: 10, total_tokens: 60, input_tokens_details: { text_tokens: 10, image_tokens: 40 } } });
      case "/v1/audio/speech":
        response.writeHead(200, { "content-type": "audio/mpeg" });
        return response.end(Buffer.alloc(100_000, 7));
      case "/v1/audio/transcriptions":
        if (q.stream) return events({ type: "transcript.text.delta", delta: "Good " }, { type: "transcript.text.delta", delta: "day" }, { type: "transcript.text.done", text: "Good day", usage: { type: "tokens", input_tokens: 20, input_token_details: { text_tokens: 0, audio_tokens: 20 }, output_tokens: 3, total_tokens: 23 } });
        return json({ text: "Good day", usage: { type: "duration", seconds: 3 } });
      case "/v1/audio/translations":
        return json({ text: "Good day" });
    }
    if (q.service_tier === "flex" && asked.length % 3 === 0) return json({ error: { message: "Resource unavailable", code: "resource_unavailable" } }, 429);
    const text = q.messages[0].content;
    if (text === "wrong") return json({ error: { message: "no such thing", type: "invalid_request_error" } }, 400);
    json({ id: "c", object: "chat.completion", created: 1, model: q.model, service_tier: q.service_tier ?? "default", choices: [{ index: 0, message: { role: "assistant", content: "You said " + text }, finish_reason: "stop" }], usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 } });
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${listener.address().port}/v1`, stop: () => new Promise((resolve) => { listener.close(resolve); listener.closeAllConnections(); }) };
}

before(async () => {
  upstream = await media();
  server = await start(`
environment: test
providers:
  mock: {kind: openai, base_url: "${upstream.url}", price_list: openai}
models:
  omni-moderation-latest: {deployments: [{provider: mock}]}
  gpt-image-1: {deployments: [{provider: mock}]}
  tts-1: {deployments: [{provider: mock}]}
  whisper-1: {deployments: [{provider: mock}]}
  gpt-4o-mini-transcribe: {deployments: [{provider: mock}]}
  gpt-5-nano: {deployments: [{provider: mock}]}
business_units: {product: {}}
workflows:
  team: {business_unit: product, clearance: internal}
  other: {business_unit: product, clearance: internal}
`);
  client = make("team");
});
after(async () => {
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
  await upstream.stop();
});

const make = (workflow) => new OpenAI({ baseURL: server.url + "/v1", apiKey: server.run("keys", "create", "--role", "workflow", "--workflow", workflow).trim(), maxRetries: 0, timeout: 20000 });
const row = (id) => JSON.parse(server.run("calls", "show", id, "--json"));
const last = () => JSON.parse(server.run("calls", "--json", "--limit", "1"))[0];

test("moderations.create, without naming a model, is priced: it costs nothing", async () => {
  const { data, response } = await client.moderations.create({ input: "I will hit you" }).withResponse();
  assert.equal(data.results[0].flagged, true);
  assert.equal(response.headers.get("x-airfield-cost-usd"), "0");
  assert.equal(row(response.headers.get("x-airfield-call-id")).priced, true);
});

test("images.generate, whole and as a stream, and images.edit", async () => {
  const whole = await client.images.generate({ model: "gpt-image-1", prompt: "a cat" }).withResponse();
  assert.equal(whole.data.data[0].b64_json, "QUI=");
  assert.equal(whole.response.headers.get("x-airfield-cost-usd"), "0.004025");
  const types = [];
  for await (const e of await client.images.generate({ model: "gpt-image-1", prompt: "a cat", stream: true, partial_images: 1 })) types.push(e.type);
  assert.deepEqual(types, ["image_generation.partial_image", "image_generation.completed"]);
  const edited = await client.images.edit({ model: "gpt-image-1", prompt: "a hat", image: await toFile(Buffer.from("PNG"), "cat.png", { type: "image/png" }) }).withResponse();
  assert.equal(edited.data.data.length, 1);
  assert.equal(edited.response.headers.get("x-airfield-cost-usd"), "0.00085", "pictures that go in have a rate of their own");
});

test("audio.speech.create", async () => {
  const sound = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Good day" });
  assert.equal((await sound.arrayBuffer()).byteLength, 100_000);
  const c = row(sound.headers.get("x-airfield-call-id"));
  assert.equal(c.characters, 8);
  assert.equal(c.cost_usd, "0.00012");
});

test("audio.transcriptions.create, whole and as a stream, and audio.translations.create", async () => {
  const file = () => toFile(Buffer.alloc(2000), "day.mp3", { type: "audio/mpeg" });
  const { data, response } = await client.audio.transcriptions.create({ model: "whisper-1", file: await file() }).withResponse();
  assert.equal(data.text, "Good day");
  assert.equal(response.headers.get("x-airfield-cost-usd"), "0.0003");
  let text = "";
  for await (const e of await client.audio.transcriptions.create({ model: "gpt-4o-mini-transcribe", file: await file(), stream: true })) if (e.type === "transcript.text.delta") text += e.delta;
  assert.equal(text, "Good day");
  assert.equal(last().audio_input_tokens, 20);
  assert.equal((await client.audio.translations.create({ model: "whisper-1", file: await file() })).text, "Good day");
});

const lines = (...texts) => texts.map((text, i) => JSON.stringify({ custom_id: `line-${i}`, method: "POST", url: "/v1/chat/completions", body: { model: "gpt-5-nano", messages: [{ role: "user", content: text }] } })).join("\n");
const upload = async (text) => client.files.create({ purpose: "batch", file: await toFile(Buffer.from(text), "calls.jsonl") });
async function ended(id) {
  for (const end = Date.now() + 30000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const b = await client.batches.retrieve(id);
    if (["completed", "failed", "cancelled", "expired"].includes(b.status)) return b;
  }
  throw new Error("the batch did not end");
}

test("files.create, batches.create, batches.retrieve, files.content", async () => {
  const input = await upload(lines("one", "two", "wrong", "three", "four", "five"));
  const made = await client.batches.create({ input_file_id: input.id, endpoint: "/v1/chat/completions", completion_window: "24h", metadata: { night: "1" } });
  assert.equal(made.object, "batch");
  assert.equal(made.status, "validating");
  const b = await ended(made.id);
  assert.equal(b.status, "completed");
  assert.deepEqual(b.request_counts, { total: 6, completed: 5, failed: 1 });
  assert.deepEqual(b.metadata, { night: "1" });
  assert.ok(b.completed_at >= b.created_at && b.in_progress_at && b.finalizing_at);
  const answers = (await (await client.files.content(b.output_file_id)).text()).trim().split("\n").map((l) => JSON.parse(l));
  assert.deepEqual(answers.map((a) => a.custom_id), ["line-0", "line-1", "line-3", "line-4", "line-5"]);
  assert.equal(answers[1].response.body.choices[0].message.content, "You said two");
  assert.equal(answers[1].response.status_code, 200);
  const errors = (await (await client.files.content(b.error_file_id)).text()).trim().split("\n").map((l) => JSON.parse(l));
  assert.equal(errors.length, 1);
  assert.equal(errors[0].response.body.error.message, "no such thing");
  const tiers = b.airfield.service_tiers;
  assert.ok(tiers.flex >= 1 && tiers.default >= 1, "some lines at the batch price, some where it had no room: " + JSON.stringify(tiers));
  const flex = answers.find((a) => a.airfield.service_tier === "flex"), usual = answers.find((a) => a.airfield.service_tier === "default");
  assert.equal(Number(usual.airfield.cost_usd), 2 * Number(flex.airfield.cost_usd));
  const call = row(answers[0].response.request_id);
  assert.equal(call.tags.batch, b.id);
  assert.equal(call.workflow, "team");
  assert.equal((await client.files.retrieve(b.output_file_id)).purpose, "batch_output");
  const other = make("other");
  await assert.rejects(other.files.content(b.output_file_id), { status: 404 });
  await assert.rejects(other.batches.retrieve(b.id), { status: 404 });
  assert.equal((await other.batches.list()).data.length, 0);
  assert.equal((await client.batches.list({ limit: 1 })).data[0].id, b.id);
  assert.match(server.run("batches", "list"), /completed\s+\[#{20}\] 6\/6/);
  assert.match(server.run("batches", "show", b.id), /tier flex\s+\d lines/);
});

test("a batch whose input is wrong fails with the lines that are", async () => {
  const input = await upload(lines("one") + "\nnonsense\n" + lines("two"));
  const b = await ended((await client.batches.create({ input_file_id: input.id, endpoint: "/v1/chat/completions", completion_window: "24h" })).id);
  assert.equal(b.status, "failed");
  assert.deepEqual(b.errors.data.map((e) => [e.line, e.code]), [[2, "invalid_json_line"], [3, "duplicate_custom_id"]]);
  await assert.rejects(client.batches.create({ input_file_id: input.id, endpoint: "/v1/audio/speech", completion_window: "24h" }), BadRequestError);
});

test("batches.cancel", async () => {
  const input = await upload(lines(...Array.from({ length: 200 }, (_, i) => "number " + i)));
  const made = await client.batches.create({ input_file_id: input.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  const cancelling = await client.batches.cancel(made.id);
  assert.ok(["cancelling", "cancelled"].includes(cancelling.status), cancelling.status);
  const b = await ended(made.id);
  assert.equal(b.status, "cancelled");
  assert.ok(b.cancelled_at && b.cancelling_at);
});
