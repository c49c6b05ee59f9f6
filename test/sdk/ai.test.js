// The AI SDK with its OpenAI and Anthropic providers, and LangChain's OpenAI package, unchanged: each against a model at a
// provider of either kind, so that every way through the gateway is gone, natively and translated.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { start } from "./server.js";
import { talker } from "./talker.js";

let server, upstream, ways;
const picture = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const kinds = ["openai", "anthropic"];

before(async () => {
  upstream = await talker();
  server = await start(`providers:
  openai: {kind: openai, base_url: "${upstream.url}", surfaces: [chat.completions]}
  anthropic: {kind: anthropic, base_url: "${upstream.url}"}
models:
  openai: {deployments: [{provider: openai, model: big}]}
  anthropic: {deployments: [{provider: anthropic, model: large}]}
business_units: {product: {}}
workflows: {app: {business_unit: product, clearance: internal}}
`);
  server.app = server.run("keys", "create", "--role", "workflow", "--workflow", "app").trim();
  const settings = { baseURL: server.url + "/v1", apiKey: server.app };
  const openai = createOpenAI(settings), anthropic = createAnthropic(settings);
  ways = { chat: (model) => openai.chat(model), responses: (model) => openai.responses(model), messages: (model) => anthropic(model) };
});
after(async () => {
  await upstream.stop();
  assert.equal(await server.stop(), 0, "SIGTERM ends the server cleanly");
});

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => "4 degrees in " + city,
});

for (const way of ["chat", "responses", "messages"]) {
  for (const kind of kinds) {
    const options = () => ({ model: ways[way](kind), maxRetries: 0, abortSignal: AbortSignal.timeout(30000) });

    test(`ai: ${way} to ${kind}: text`, async () => {
      const { text, usage, finishReason } = await generateText({ ...options(), system: "Be brief.", prompt: "good morning" });
      assert.equal(text, "You said: good morning");
      assert.equal(finishReason, "stop");
      assert.deepEqual([usage.inputTokens, usage.outputTokens], [31, 9]);
    });

    test(`ai: ${way} to ${kind}: a stream`, async () => {
      const stream = streamText({ ...options(), prompt: "a rather long greeting" });
      let text = "", pieces = 0;
      for await (const piece of stream.textStream) {
        text += piece;
        pieces++;
      }
      assert.equal(text, "You said: a rather long greeting");
      assert.ok(pieces > 2, `${pieces} pieces`);
      assert.equal((await stream.usage).outputTokens, 9);
    });

    for (const streamed of [false, true]) {
      test(`ai: ${way} to ${kind}: two steps with a tool${streamed ? ", streamed" : ""}`, async () => {
        const ask = { ...options(), prompt: "What is the weather in Rome?", tools: { get_weather: weather }, stopWhen: stepCountIs(3) };
        const answer = streamed ? streamText(ask) : await generateText(ask);
        if (streamed) await answer.consumeStream();
        assert.equal(await answer.text, "It is 4 degrees in Rome.");
        const steps = await answer.steps;
        assert.equal(steps.length, 2);
        assert.deepEqual(steps[0].toolCalls.map((c) => [c.toolName, c.input]), [["get_weather", { city: "Rome" }]]);
      });
    }

    test(`ai: ${way} to ${kind}: an object of a schema`, async () => {
      const { object } = await generateObject({ ...options(), schema: z.object({ name: z.string(), size: z.number() }), prompt: "Name a colour." });
      assert.deepEqual(Object.keys(object), ["name", "size"]);
    });

    test(`ai: ${way} to ${kind}: a picture`, async () => {
      const { text } = await generateText({ ...options(), messages: [{ role: "user", content: [{ type: "text", text: "What is this?" }, { type: "image", image: picture, mediaType: "image/png" }] }] });
      assert.equal(text, "1 picture(s)");
    });
  }
}

test("ai: embeddings", async () => {
  const { embeddings, usage } = await embedMany({ model: createOpenAI({ baseURL: server.url + "/v1", apiKey: server.app }).textEmbeddingModel("builtin-embed"), values: ["one", "two"] });
  assert.deepEqual(embeddings.map((e) => e.length), [384, 384]);
  assert.ok(usage.tokens > 0);
});

for (const kind of kinds) {
  const model = (more = {}) => new ChatOpenAI({ model: kind, apiKey: server.app, maxRetries: 0, timeout: 30000, configuration: { baseURL: server.url + "/v1" }, ...more });

  test(`langchain to ${kind}: invoke and stream`, async () => {
    const answer = await model().invoke([new SystemMessage("Be brief."), new HumanMessage("good morning")]);
    assert.equal(answer.text, "You said: good morning");
    assert.equal(answer.usage_metadata.output_tokens, 9);
    let text = "";
    for await (const chunk of await model().stream("good evening")) text += chunk.text;
    assert.equal(text, "You said: good evening");
  });

  test(`langchain to ${kind}: two steps with a tool`, async () => {
    const get = langchainTool(async ({ city }) => "4 degrees in " + city, { name: "get_weather", description: "The weather in a city.", schema: z.object({ city: z.string() }) });
    const bound = model().bindTools([get]);
    const conversation = [new HumanMessage("What is the weather in Oslo?")];
    const first = await bound.invoke(conversation);
    assert.deepEqual(first.tool_calls.map((c) => [c.name, c.args]), [["get_weather", { city: "Oslo" }]]);
    conversation.push(first, await get.invoke(first.tool_calls[0]));
    assert.equal((await bound.invoke(conversation)).text, "It is 4 degrees in Oslo.");
  });

  test(`langchain to ${kind}: structured output, and the Responses API`, async () => {
    const answer = await model().withStructuredOutput(z.object({ name: z.string() }), { method: "jsonSchema" }).invoke("Name a colour.");
    assert.deepEqual(answer, { name: "blue" });
    assert.equal((await model({ useResponsesApi: true }).invoke("good night")).text, "You said: good night");
  });
}

test("langchain: embeddings", async () => {
  const embeddings = new OpenAIEmbeddings({ model: "builtin-embed", apiKey: server.app, configuration: { baseURL: server.url + "/v1" } });
  assert.equal((await embeddings.embedQuery("one")).length, 384);
});
