// A provider that speaks OpenAI's chat completions and Anthropic's messages, at the same address, and answers by simple rules:
// tools are called once and their results repeated, a schema is filled in, pictures are counted, text is echoed.
import http from "node:http";

const usage = { prompt_tokens: 31, completion_tokens: 9, total_tokens: 40 };

// decide reads a conversation, in the words of either API, and says what the answer is.
function decide(body) {
  const parts = body.messages.flatMap((m) => (typeof m.content === "string" ? [{ type: "text", text: m.content, role: m.role }] : (m.content ?? []).map((p) => ({ ...p, role: m.role }))));
  const results = parts.filter((p) => p.type === "tool_result").map((p) => (typeof p.content === "string" ? p.content : p.content.map((c) => c.text).join("")));
  results.push(...parts.filter((p) => p.role === "tool").map((p) => p.text));
  const tools = (body.tools ?? []).map((t) => t.function ?? t);
  const schema = body.response_format?.json_schema?.schema ?? body.output_config?.format?.schema ?? body.output_format?.schema;
  const pictures = parts.filter((p) => p.type === "image_url" || p.type === "image").length;
  const asked = parts.filter((p) => p.role === "user" && p.type === "text").at(-1)?.text ?? "";
  if (results.length > 0) return { text: "It is " + results.join(" and ") + "." };
  if (tools.length > 0) return { call: { name: tools[0].name, arguments: fill(tools[0].parameters ?? tools[0].input_schema, { city: /Rome/.test(asked) ? "Rome" : "Oslo" }) } };
  if (schema) return { text: JSON.stringify(fill(schema)) };
  if (pictures > 0) return { text: pictures + " picture(s)" };
  return { text: "You said: " + asked };
}

// fill makes a value of a schema; known are values of properties by their name.
function fill(schema, known = {}) {
  if (schema.enum) return schema.enum[0];
  if (schema.type === "object") return Object.fromEntries(Object.entries(schema.properties).map(([name, s]) => [name, known[name] ?? fill(s)]));
  if (schema.type === "array") return [fill(schema.items)];
  return { string: "blue", integer: 7, number: 7, boolean: true }[schema.type] ?? null;
}

const pieces = (text) => text.match(/.{1,5}/gs) ?? [];

function chat(body, send, whole) {
  const { text, call } = decide(body);
  const base = { id: "chatcmpl-1", created: 1, model: body.model };
  const called = call && { id: "call_1", type: "function", function: { name: call.name, arguments: JSON.stringify(call.arguments) } };
  const finish_reason = call ? "tool_calls" : "stop";
  if (!body.stream) {
    const message = { role: "assistant", content: text ?? null, refusal: null, ...(called && { tool_calls: [called] }) };
    return whole({ ...base, object: "chat.completion", choices: [{ index: 0, message, logprobs: null, finish_reason }], usage });
  }
  const chunk = (delta, finish = null) => send({ ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] });
  chunk({ role: "assistant", content: "" });
  for (const piece of pieces(text ?? "")) chunk({ content: piece });
  if (called) {
    chunk({ tool_calls: [{ index: 0, ...called, function: { name: call.name, arguments: "" } }] });
    for (const piece of pieces(called.function.arguments)) chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
  }
  chunk({}, finish_reason);
  if (body.stream_options?.include_usage) send({ ...base, object: "chat.completion.chunk", choices: [], usage });
  send("[DONE]");
}

function messages(body, send, whole) {
  const { text, call } = decide(body);
  const content = text === undefined ? [{ type: "tool_use", id: "toolu_1", name: call.name, input: call.arguments }] : [{ type: "text", text }];
  const stop_reason = call ? "tool_use" : "end_turn";
  const message = { id: "msg_1", type: "message", role: "assistant", model: body.model, stop_sequence: null };
  const used = { input_tokens: 31, output_tokens: 9, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  if (!body.stream) return whole({ ...message, content, stop_reason, usage: used });
  const event = (e) => send(e, e.type);
  event({ type: "message_start", message: { ...message, content: [], stop_reason: null, usage: { ...used, output_tokens: 1 } } });
  if (call) {
    event({ type: "content_block_start", index: 0, content_block: { ...content[0], input: {} } });
    for (const piece of pieces(JSON.stringify(call.arguments))) event({ type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: piece } });
  } else {
    event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
    for (const piece of pieces(text)) event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: piece } });
  }
  event({ type: "content_block_stop", index: 0 });
  event({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 9 } });
  event({ type: "message_stop" });
}

export async function talker() {
  const asked = [];
  const listener = http.createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text);
    asked.push({ path: request.url, body });
    const answer = request.url.endsWith("/messages") ? messages : chat;
    const whole = (value) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (body.stream) response.writeHead(200, { "content-type": "text/event-stream" });
    answer(body, (value, name) => response.write((name ? `event: ${name}\n` : "") + "data: " + (typeof value === "string" ? value : JSON.stringify(value)) + "\n\n"), whole);
    if (body.stream) response.end();
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${listener.address().port}/v1`,
    asked,
    stop: () => new Promise((resolve) => { listener.close(resolve); listener.closeAllConnections(); }),
  };
}
