// The Responses API with the official openai package: once where the provider speaks it itself, once where it is told in
// chat completions. What comes out must not differ.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI, { BadRequestError, NotFoundError, toFile } from "openai";
import { model } from "./model.js";
import { document, start } from "./server.js";

let upstream, server, client, store;
const client_of = (workflow) => new OpenAI({ baseURL: server.url + "/v1", apiKey: server.run("keys", "create", "--role", "workflow", "--workflow", workflow).trim(), maxRetries: 0, timeout: 30000 });

before(async () => {
  upstream = await model();
  server = await start(`
environment: test
providers:
  own: {kind: openai, base_url: "${upstream.url}", surfaces: [responses]}
  other: {kind: openai, base_url: "${upstream.url}"}
models:
  native: {deployments: [{provider: own, model: gpt, prices: {input: 1, output: 2}}]}
  translated: {deployments: [{provider: other, model: gpt, prices: {input: 1, output: 2}}]}
business_units: {product: {}}
workflows:
  bot: {business_unit: product, clearance: internal}
  stranger: {business_unit: product, clearance: restricted, collections: ["*"]}
  silent: {business_unit: product, clearance: internal, responses: none}
`);
  client = client_of("bot");
  store = await client.vectorStores.create({ name: "policies" });
  for (const name of ["policies/information-security.pdf", "policies/leave-policy.md"]) {
    const file = await client.files.create({ purpose: "assistants", file: await toFile(document(name), name.split("/")[1]) });
    const attached = await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id });
    assert.equal(attached.status, "completed", JSON.stringify(attached.last_error));
  }
});
after(async () => {
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
  await upstream.stop();
});

const weather = { type: "function", name: "get_weather", description: "The weather in a city.", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false }, strict: true };

for (const name of ["native", "translated"]) {
  test(name + ": responses.create", async () => {
    const { data, response } = await client.responses.create({ model: name, input: "Hi", metadata: { team: "yard" } }).withResponse();
    assert.equal(data.output_text, "You said: Hi");
    assert.deepEqual([data.object, data.status, data.store, data.metadata.team, data.output[0].content[0].annotations], ["response", "completed", true, "yard", []]);
    assert.equal(data.usage.total_tokens, 15);
    assert.match(response.headers.get("x-airfield-call-id"), /^call_/);
    assert.match(upstream.asked.at(-1).path, name === "native" ? /\/responses$/ : /\/chat\/completions$/);
    if (name === "native") assert.equal(upstream.asked.at(-1).body.store, false, "the provider keeps nothing");
  });

  test(name + ": responses.stream says the same, and is kept when it ends", async () => {
    const stream = client.responses.stream({ model: name, input: "Hello there, model" });
    let text = "", last = -1;
    for await (const event of stream) {
      assert.equal(event.sequence_number, ++last, event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    const final = await stream.finalResponse();
    assert.equal(text, "You said: Hello there, model");
    assert.equal(final.output_text, text);
    assert.equal((await client.responses.retrieve(final.id)).output_text, text);
  });

  test(name + ": a conversation by previous_response_id, retrieve, inputItems, delete", async () => {
    const one = await client.responses.create({ model: name, input: "first" });
    const two = await client.responses.create({ model: name, input: "second", previous_response_id: one.id });
    assert.equal(two.output_text, "You said: first | second");
    const other = name === "native" ? "translated" : "native";
    const three = await client.responses.create({ model: other, input: "third", previous_response_id: two.id });
    assert.equal(three.output_text, "You said: first | second | third", "another provider goes on with it");
    assert.equal((await client.responses.retrieve(three.id)).previous_response_id, two.id);
    const items = [];
    for await (const item of client.responses.inputItems.list(two.id)) items.push(item);
    assert.deepEqual(items.map((i) => [i.type, i.role, i.content[0].text]), [["message", "user", "second"]]);
    await assert.rejects(client_of("stranger").responses.retrieve(one.id), NotFoundError);
    await client.responses.delete(one.id);
    await assert.rejects(client.responses.retrieve(one.id), NotFoundError);
    await assert.rejects(client.responses.create({ model: name, input: "x", previous_response_id: two.id }), NotFoundError);
    await assert.rejects(client.responses.cancel(two.id), BadRequestError);
  });

  test(name + ": a tool loop in two steps, whole and as a stream", async () => {
    for (const stream of [false, true]) {
      const ask = async (body) => (stream ? client.responses.stream(body).finalResponse() : client.responses.create(body));
      const one = await ask({ model: name, input: "What is the weather in Oslo and in Rome?", tools: [weather] });
      const called = one.output.filter((i) => i.type === "function_call");
      assert.deepEqual(called.map((c) => JSON.parse(c.arguments).city), ["Oslo", "Rome"]);
      const results = called.map((c) => ({ type: "function_call_output", call_id: c.call_id, output: "4 degrees" }));
      const two = await ask({ model: name, previous_response_id: one.id, input: results, tools: [weather] });
      assert.equal(two.output_text, "It is 4 degrees.");
      const again = await ask({ model: name, store: false, input: [{ role: "user", content: "What is the weather in Oslo and in Rome?" }, ...one.output, ...results], tools: [weather] });
      assert.equal(again.output_text, "It is 4 degrees.", "sent as a whole");
      await assert.rejects(client.responses.retrieve(again.id), NotFoundError);
    }
  });

  test(name + ": responses.parse with a schema, and a picture", async () => {
    const format = { type: "json_schema", name: "colour", strict: true, schema: { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false } };
    assert.deepEqual((await client.responses.parse({ model: name, input: "Name a colour.", text: { format } })).output_parsed, { name: "blue" });
    const picture = { role: "user", content: [{ type: "input_text", text: "What is this?" }, { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgo=", detail: "auto" }] };
    assert.equal((await client.responses.create({ model: name, input: [picture] })).output_text, "A dot.");
  });

  test(name + ": file_search over a collection, with citations, whole and as a stream", async () => {
    for (const stream of [false, true]) {
      const sent = upstream.asked.length, seen = [];
      const body = { model: name, input: "How long are backups kept?", tools: [{ type: "file_search", vector_store_ids: [store.id], max_num_results: 4 }], include: ["file_search_call.results"] };
      let answer;
      if (stream) {
        const events = client.responses.stream(body);
        for await (const event of events) seen.push(event.type);
        answer = await events.finalResponse();
        assert.deepEqual(seen.filter((t) => t.includes("file_search")), ["response.file_search_call.in_progress", "response.file_search_call.searching", "response.file_search_call.completed"]);
        assert.equal(seen.filter((t) => t === "response.output_text.annotation.added").length, 1);
      } else answer = await client.responses.create(body);
      assert.equal(answer.output_text, "Backups are kept for 35 days. Nobody else says so.");
      const [call, message] = answer.output;
      assert.deepEqual([call.type, call.status, call.queries], ["file_search_call", "completed", ["How long are backups kept?"]]);
      assert.ok(call.results.length > 0 && call.results.length <= 4 && call.results.some((r) => /35 days/.test(r.text)), JSON.stringify(call.results));
      const cited = message.content[0].annotations;
      assert.deepEqual(cited.map((a) => [a.type, a.filename, a.index]), [["file_citation", "information-security.pdf", "Backups are kept for 35 days".length]]);
      assert.ok(call.results.some((r) => r.file_id === cited[0].file_id));
      assert.equal(answer.usage.total_tokens, 30, "both calls");
      assert.equal(upstream.asked.length, sent + 2);
      for (const { body } of upstream.asked.slice(sent)) assert.ok(!JSON.stringify(body).includes(store.id) && !JSON.stringify(body).includes(cited[0].file_id), "no id of ours goes to a provider");
      assert.equal((await client.responses.retrieve(answer.id)).output[0].results, null, "passages are not kept");
    }
    await assert.rejects(client_of("silent").responses.create({ model: name, input: "x", tools: [{ type: "file_search", vector_store_ids: [store.id] }] }), NotFoundError, "a collection of another workflow");
  });

  test(name + ": errors come in the package's own classes", async () => {
    await assert.rejects(client.responses.create({ model: name, input: "refuse me" }), (e) => e instanceof BadRequestError && /not like this/.test(e.message));
    await assert.rejects(client.responses.create({ model: name, input: "x", background: true }), (e) => e instanceof BadRequestError && e.code === "background_unsupported");
    await assert.rejects(client.responses.create({ model: name, input: "x", previous_response_id: "resp_none" }), (e) => e instanceof NotFoundError && e.code === "previous_response_not_found");
    const silent = client_of("silent");
    const unkept = await silent.responses.create({ model: name, input: "Hi" });
    assert.equal(unkept.store, false);
    await assert.rejects(silent.responses.retrieve(unkept.id), NotFoundError);
  });
}

test("what only OpenAI knows is refused where it is not asked, with the reason", async () => {
  const sent = upstream.asked.length;
  await assert.rejects(client.responses.create({ model: "translated", input: "x", tools: [{ type: "web_search" }] }), (e) => e instanceof BadRequestError && /web_search/.test(e.message));
  assert.equal(upstream.asked.length, sent);
});

test("each time that a model is asked is a call of its own, of one trace", async () => {
  const { response } = await client.responses.create({ model: "native", input: "How long are backups kept?", tools: [{ type: "file_search", vector_store_ids: [store.id] }] }).withResponse();
  const rows = JSON.parse(server.run("calls", "--json", "--limit", "1000")).filter((c) => c.surface === "responses");
  const trace = rows.find((c) => c.id === response.headers.get("x-airfield-call-id")).trace_id;
  assert.equal(rows.filter((c) => c.trace_id === trace).length, 2, "both calls of the model");
  assert.ok(rows.length > 30 && rows.every((c) => c.workflow !== ""), String(rows.length));
  assert.ok(rows.filter((c) => c.outcome === "ok").every((c) => c.usage_source === "reported"), JSON.stringify(rows.find((c) => c.outcome === "ok" && c.usage_source !== "reported")));
});
