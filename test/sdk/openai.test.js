// The official openai package, unchanged: only the base URL and the key are Airfield's.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI, { APIError, AuthenticationError, NotFoundError, toFile } from "openai";
import { start } from "./server.js";

let server, client;
before(async () => {
  server = await start();
  client = new OpenAI({ baseURL: server.url + "/v1", apiKey: server.key, maxRetries: 0, timeout: 30000 });
});
after(async () => {
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
});

test("models.list and models.retrieve", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("builtin-embed") && ids.includes("builtin-answer"), ids.join());
  assert.equal((await client.models.retrieve("builtin-embed")).object, "model");
  await assert.rejects(client.models.retrieve("no-such-model"), NotFoundError);
});

test("embeddings.create, as numbers and as base64, which the package asks for by itself", async () => {
  const one = await client.embeddings.create({ model: "builtin-embed", input: "notice period" });
  assert.equal(one.data[0].embedding.length, 384);
  const many = await client.embeddings.create({ model: "builtin-embed", input: ["notice period", "period of notice", "sea freight"], encoding_format: "float" });
  assert.equal(many.data.length, 3);
  assert.ok(many.usage.prompt_tokens > 0);
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const [a, b, c] = many.data.map((d) => d.embedding);
  assert.ok(dot(a, b) > dot(a, c), "what shares words is nearer");
  assert.ok(Math.abs(dot(one.data[0].embedding, a) - 1) < 1e-4, "both encodings hold the same vector");
});

const passages = [
  { role: "system", content: "Answer only from the passages." },
  { role: "user", content: "What can you do?" },
];

test("chat.completions.create", async () => {
  const { data, response } = await client.chat.completions.create({ model: "builtin-answer", messages: passages }).withResponse();
  assert.equal(data.object, "chat.completion");
  assert.ok(data.choices[0].message.content.length > 0);
  assert.ok(data.usage.total_tokens > 0);
  assert.match(response.headers.get("x-airfield-call-id"), /^call_/);
  assert.match(response.headers.get("traceparent"), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.equal(response.headers.get("x-airfield-cost-usd"), "0");
});

test("chat.completions.create as a stream says the same", async () => {
  const whole = await client.chat.completions.create({ model: "builtin-answer", messages: passages });
  const stream = await client.chat.completions.create({ model: "builtin-answer", messages: passages, stream: true, stream_options: { include_usage: true } });
  let text = "", usage, finish;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, "stop");
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
});

test("files and vector stores: create, upload, poll, search, delete", async () => {
  const file = await client.files.create({ purpose: "assistants", file: await toFile(Buffer.from("# Storage\n\nPallets may be stored in hall 7 for 21 days free of charge.\n"), "storage.md") });
  assert.equal(file.filename, "storage.md");
  assert.equal((await client.files.retrieve(file.id)).bytes, file.bytes);
  assert.equal(await (await client.files.content(file.id)).text(), "# Storage\n\nPallets may be stored in hall 7 for 21 days free of charge.\n");

  const store = await client.vectorStores.create({ name: "Terminal FAQ", metadata: { team: "yard" } });
  const attached = await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { type: "policy", floor: 7 } });
  assert.equal(attached.status, "completed", JSON.stringify(attached.last_error));

  const search = async (query, more = {}) => (await client.vectorStores.search(store.id, { query, ...more })).data;
  const hits = await search("how long may pallets be stored?");
  assert.equal(hits[0].file_id, file.id);
  assert.match(hits[0].content[0].text, /21 days/);
  assert.equal(hits[0].attributes.type, "policy");
  assert.equal((await search("pallets", { filters: { type: "eq", key: "type", value: "contract" } })).length, 0);
  assert.equal((await search("pallets", { filters: { type: "gte", key: "floor", value: 7 } })).length, 1);

  const counted = await client.vectorStores.retrieve(store.id);
  assert.deepEqual([counted.file_counts.completed, counted.file_counts.total, counted.metadata.team], [1, 1, "yard"]);

  assert.equal((await client.files.delete(file.id)).deleted, true);
  assert.equal((await search("how long may pallets be stored?")).length, 0, "the very next search does not find it");
  await assert.rejects(client.files.retrieve(file.id), NotFoundError);
  assert.equal((await client.vectorStores.delete(store.id)).deleted, true);
  await assert.rejects(client.vectorStores.retrieve(store.id), NotFoundError);
});

test("fileBatches.uploadAndPoll, and a file that cannot be read fails alone", async () => {
  const store = await client.vectorStores.create({ name: "batch" });
  const files = [await toFile(Buffer.from("Hall 1 is for reefers."), "one.txt"), await toFile(Buffer.from("Hall 2 is for dangerous goods."), "two.txt"), await toFile(Buffer.from("%PDF-1.7 garbage"), "broken.pdf")];
  const batch = await client.vectorStores.fileBatches.uploadAndPoll(store.id, { files });
  assert.deepEqual([batch.file_counts.completed, batch.file_counts.failed, batch.file_counts.total], [2, 1, 3]);
  const listed = [];
  for await (const f of client.vectorStores.files.list(store.id)) listed.push(f);
  const failed = listed.find((f) => f.status === "failed");
  assert.ok(failed.last_error.message.length > 10, JSON.stringify(failed));
  assert.equal(listed.length, 3);
});

test("errors come in the package's own classes and say what to do", async () => {
  const stranger = new OpenAI({ baseURL: server.url + "/v1", apiKey: "afk_wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), AuthenticationError);
  await assert.rejects(client.chat.completions.create({ model: "gpt-99", messages: passages }), (error) => {
    assert.ok(error instanceof APIError);
    assert.match(error.message, /gpt-99/);
    return error.status === 404;
  });
  await assert.rejects(client.vectorStores.search("no-such-store", { query: "x" }), NotFoundError);
  await assert.rejects(client.vectorStores.files.create("no-such-store", { file_id: "file_x" }), NotFoundError);
});

test("a key of another workflow neither sees nor touches files and stores", async () => {
  const file = await client.files.create({ purpose: "assistants", file: await toFile(Buffer.from("secret"), "s.txt") });
  const store = await client.vectorStores.create({ name: "mine" });
  const reader = new OpenAI({ baseURL: server.url + "/v1", apiKey: server.run("keys", "create", "--role", "viewer").trim(), maxRetries: 0 });
  await assert.rejects(reader.files.retrieve(file.id), (e) => e.status === 403 || e.status === 404);
  await assert.rejects(reader.vectorStores.delete(store.id), (e) => e.status === 403 || e.status === 404);
});

test("what happened is in the log", async () => {
  const calls = JSON.parse(server.run("calls", "--json", "--limit", "100"));
  assert.ok(calls.length >= 5);
  assert.ok(calls.every((c) => c.workflow !== "" && c.trace_id.length === 32 && c.usage_source !== "estimated"), JSON.stringify(calls.find((c) => c.workflow === "")));
});
