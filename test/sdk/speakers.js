// A provider that speaks OpenAI's chat completions and Anthropic's messages. It answers the same in both: it calls a tool
// that it is given, tells what the tool said, answers by a schema, says whether it sees a picture, else greets.
import http from "node:http";

const plan = ({ tools, schema, result, picture }) => {
  if (result !== undefined) return { text: "The tool says: " + result };
  if (tools) return { text: "I will look.", call: { city: "Oslo" } };
  if (schema) return { text: '{"name":"blue"}' };
  return { text: picture ? "I see a picture." : "Hello from the model." };
};

const flat = (content) => (typeof content === "string" ? content : (content ?? []).map((c) => c.text ?? "").join(""));

const chat = (q) => {
  const last = q.messages.at(-1);
  const parts = q.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  return plan({ tools: q.tools, schema: q.response_format?.json_schema?.schema, result: last.role === "tool" ? last.content : undefined, picture: parts.some((p) => p.image_url?.url.startsWith("data:image/png;base64,")) });
};

const messages = (q) => {
  const last = q.messages.at(-1);
  const blocks = q.messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  const result = Array.isArray(last.content) ? last.content.find((b) => b.type === "tool_result") : undefined;
  return plan({ tools: q.tools, schema: q.output_config?.format?.schema, result: result && flat(result.content), picture: blocks.some((b) => b.type === "image" && b.source.media_type === "image/png") });
};

const pieces = (text) => [text.slice(0, 7), text.slice(7)].filter(Boolean);

export async function speakers() {
  const heard = [];
  const listener = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const q = JSON.parse(body);
    heard.push({ path: request.url, headers: request.headers, body: q });
    const whole = (value, status = 200) => {
      response.writeHead(status, { "content-type": "application/json", "request-id": "req_upstream" });
      response.end(JSON.stringify(value));
    };
    const anthropic = request.url.startsWith("/v1/messages");
    if (q.model.endsWith("limited")) {
      return whole(anthropic ? { type: "error", error: { type: "rate_limit_error", message: "Slow down." } } : { error: { message: "Slow down.", type: "requests" } }, 429);
    }
    if (request.url === "/v1/messages/count_tokens") return whole({ input_tokens: 14 });
    const said = anthropic ? messages(q) : chat(q);
    const send = (name, data) => response.write((name ? "event: " + name + "\n" : "") + "data: " + (typeof data === "string" ? data : JSON.stringify(data)) + "\n\n");
    if (q.stream) response.writeHead(200, { "content-type": "text/event-stream" });
    if (!anthropic) {
      const usage = { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25, prompt_tokens_details: { cached_tokens: 8 } };
      const finish = said.call ? "tool_calls" : "stop";
      const call = said.call && [{ id: "call_1", type: "function", function: { name: q.tools[0].function.name, arguments: JSON.stringify(said.call) } }];
      if (!q.stream) return whole({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: q.model, choices: [{ index: 0, message: { role: "assistant", content: said.text, tool_calls: call }, finish_reason: finish }], usage });
      const chunk = (delta, finish_reason = null) => send("", { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: q.model, choices: [{ index: 0, delta, finish_reason }] });
      chunk({ role: "assistant", content: "" });
      for (const piece of pieces(said.text)) chunk({ content: piece });
      if (call) {
        chunk({ tool_calls: [{ index: 0, ...call[0], function: { name: call[0].function.name, arguments: "" } }] });
        for (const piece of pieces(call[0].function.arguments)) chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
      }
      chunk({}, finish);
      if (q.stream_options?.include_usage) send("", { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: q.model, choices: [], usage });
      send("", "[DONE]");
      return response.end();
    }
    const usage = { input_tokens: 12, cache_read_input_tokens: 8, cache_creation_input_tokens: 0, output_tokens: 5 };
    const stop = said.call ? "tool_use" : "end_turn";
    const message = { id: "msg_1", type: "message", role: "assistant", model: q.model, content: [{ type: "text", text: said.text }], stop_reason: stop, stop_sequence: null, usage };
    const use = said.call && { type: "tool_use", id: "toolu_1", name: q.tools[0].name, input: said.call };
    if (use) message.content.push(use);
    if (!q.stream) return whole(message);
    send("message_start", { type: "message_start", message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } });
    message.content.forEach((block, index) => {
      send("content_block_start", { type: "content_block_start", index, content_block: block.type === "text" ? { type: "text", text: "" } : { ...block, input: {} } });
      for (const piece of pieces(block.text ?? JSON.stringify(block.input))) {
        send("content_block_delta", { type: "content_block_delta", index, delta: block.type === "text" ? { type: "text_delta", text: piece } : { type: "input_json_delta", partial_json: piece } });
      }
      send("content_block_stop", { type: "content_block_stop", index });
    });
    send("message_delta", { type: "message_delta", delta: { stop_reason: stop, stop_sequence: null }, usage: { output_tokens: 5 } });
    send("message_stop", { type: "message_stop" });
    response.end();
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${listener.address().port}/v1`, heard, stop: () => new Promise((resolve) => { listener.close(resolve); listener.closeAllConnections(); }) };
}
