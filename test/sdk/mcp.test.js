// The official TypeScript client of the Model Context Protocol, unchanged, as assistants use it: only the address and the key are Airfield's.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import OpenAI, { toFile } from "openai";
import { start } from "./server.js";

let server, store, open, closed;
const connected = [];

async function connect(key) {
  const client = new Client({ name: "airfield-test", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(server.url + "/mcp"), { requestInit: { headers: { Authorization: "Bearer " + key } } });
  await client.connect(transport);
  connected.push(client);
  return client;
}

// A tool's structured content, which the client has checked against the tool's output schema.
async function use(client, name, args = {}) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, JSON.stringify(result.content));
  assert.ok(result.content[0].text.length > 0);
  return result.structuredContent;
}

before(async () => {
  server = await start();
  const pilot = new OpenAI({ baseURL: server.url + "/v1", apiKey: server.key, maxRetries: 0 });
  store = await pilot.vectorStores.create({ name: "Handbook", description: "How we work" });
  const attach = async (name, text, tier) => {
    const file = await pilot.files.create({ purpose: "assistants", file: await toFile(Buffer.from(text), name) });
    const attached = await pilot.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { tier, title: name } });
    assert.equal(attached.status, "completed", JSON.stringify(attached.last_error));
    return (await pilot.vectorStores.search(store.id, { query: text })).data.find((hit) => hit.title === name).document_id;
  };
  open = await attach("leave", "# Leave\n\n## Notice\n\nThe notice period is thirty days.\n", "public");
  closed = await attach("salaries", "# Salaries\n\nThe salary of the chair is nine zlotys.\n", "internal");
});
after(async () => {
  for (const client of connected) await client.close();
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
});

test("the tools are listed, with what they take and give, and none of them changes anything", async () => {
  const client = await connect(server.key);
  assert.equal(client.getServerVersion().name, "airfield");
  assert.match(client.getInstructions(), /list_collections/);
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((t) => t.name).sort(), ["answer", "get_document", "list_collections", "list_documents", "search"]);
  for (const t of tools) assert.ok(t.annotations.readOnlyHint && t.inputSchema.type === "object" && t.outputSchema.type === "object" && t.description, t.name);
});

test("each tool is used: what is there, a search, an answer with its citation, a document", async () => {
  const client = await connect(server.key);
  await client.listTools(); // so that the client checks what comes
  const { collections } = await use(client, "list_collections");
  const handbook = collections.find((c) => c.title === "Handbook");
  assert.equal(handbook.description, "How we work");

  const { passages } = await use(client, "search", { query: "how long is the notice period?", collections: [handbook.name], limit: 3 });
  assert.equal(passages[0].document_id, open);
  assert.ok(passages[0].heading.length > 0 && passages[0].source_key, JSON.stringify(passages[0]));
  assert.ok(passages[0].score > 0 && passages[0].score <= 1);
  const none = await use(client, "search", { query: "notice", filters: { type: "eq", key: "type", value: "contract" } });
  assert.equal(none.passages.length, 0);

  const answer = await use(client, "answer", { question: "What is the notice period?", collections: [handbook.name] });
  assert.match(answer.text, /thirty days/);
  assert.equal(answer.citations[0].document_id, open);
  assert.equal(answer.cost_usd, "0");
  let call;
  for (let tries = 0; !call && tries < 50; tries++) call = JSON.parse(server.run("calls", "--json", "--limit", "20")).find((c) => c.id === answer.call_id);
  assert.ok(call && call.workflow === "pilot" && call.trace_id === answer.trace_id, "the call is in the log");

  const { documents } = await use(client, "list_documents", { collection: handbook.name });
  assert.deepEqual(documents.map((d) => d.document_id).sort(), [open, closed].sort());
  const document = await use(client, "get_document", { document_id: open });
  assert.match(document.passages.map((p) => p.text).join("\n"), /thirty days/);
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.equal(resourceTemplates[0].uriTemplate, "airfield://documents/{id}");
  const { contents } = await client.readResource({ uri: "airfield://documents/" + open });
  assert.match(contents[0].text, /thirty days/);
});

test("a key of a lower clearance is never shown what is above it", async () => {
  const client = await connect(server.run("keys", "create", "--workflow", "pilot", "--clearance", "public").trim());
  const seen = [];
  for (const [name, args] of [
    ["list_collections", {}], ["search", { query: "salary of the chair" }], ["search", { query: "chair", filters: { type: "eq", key: "tier", value: "internal" } }],
    ["answer", { question: "What is the salary of the chair?" }], ["list_documents", { collection: store.id }], ["get_document", { document_id: open }],
  ]) seen.push(JSON.stringify(await client.callTool({ name, arguments: args })));
  assert.ok(seen.some((s) => s.includes("thirty days")), "what it may see it sees");
  const refused = await client.callTool({ name: "get_document", arguments: { document_id: closed } });
  assert.ok(refused.isError && /document_not_found/.test(refused.content[0].text), JSON.stringify(refused));
  await assert.rejects(client.readResource({ uri: "airfield://documents/" + closed }), (error) => seen.push(error.message) > 0);
  assert.ok(!/zlotys|salaries/i.test(seen.join().replaceAll("salary of the chair", "")), seen.find((s) => /zlotys|salaries/i.test(s)));
});

test("mistakes are the tool's, and say what to do", async () => {
  const client = await connect(server.key);
  for (const [name, args, says] of [
    ["search", { query: "x", collections: ["no-such"] }, /collection_not_found/], ["search", {}, /query/], ["search", { query: "x", limit: 9999 }, /limit must be between/],
    ["answer", { question: "What is the notice period?", model: "gpt-99" }, /gpt-99/],
  ]) {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(result.isError, name);
    assert.match(result.content[0].text, says);
  }
});

test("a wrong key is not let in", async () => {
  await assert.rejects(connect("afk_wrong"), (error) => error.code === 401 || /401|Unauthorized/.test(String(error)));
  await assert.rejects(connect(server.run("keys", "create", "--role", "auditor").trim()), (error) => error.code === 403 || /403|role_denied/.test(String(error)));
});
