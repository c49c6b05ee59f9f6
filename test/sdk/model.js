// A provider that speaks chat completions and the Responses API, with one model behind both: it looks at what it is given
// and calls a tool, cites a source, writes JSON, or repeats what the user said.
import http from "node:http";

// What a request says, in either API.
function understand(path, body) {
  const native = path.endsWith("/responses");
  const turns = native ? (typeof body.input === "string" ? [{ role: "user", content: body.input }] : body.input) : body.messages;
  const texts = [], results = [];
  let image = false;
  for (const turn of turns) {
    const parts = typeof turn.content === "string" ? [{ text: turn.content }] : turn.content ?? [];
    if (turn.type === "function_call_output" || turn.role === "tool") results.push(typeof (turn.output ?? turn.content) === "string" ? (turn.output ?? turn.content) : (turn.output ?? turn.content).map((p) => p.text).join(""));
    else if (turn.role === "user") texts.push(parts.map((p) => p.text ?? "").join(""));
    image ||= parts.some?.((p) => p.type === "input_image" || p.type === "image_url") ?? false;
  }
  const tools = body.tool_choice === "none" ? [] : (body.tools ?? []).map((t) => t.name ?? t.function.name);
  return { native, texts, results, image, tools, schema: native ? body.text?.format?.type === "json_schema" : body.response_format?.type === "json_schema" };
}

function decide({ texts, results, image, tools, schema }) {
  const last = texts.at(-1) ?? "";
  if (image) return { text: "A dot." };
  if (schema) return { text: '{"name":"blue"}' };
  const search = tools.find((t) => t.startsWith("airfield_file_search"));
  if (search && results.length === 0) return { calls: [[search, { queries: [last] }]] };
  if (results.length > 0) {
    const source = /<source n="(\d+)"[^>]*>[^<]*35 days/.exec(results.join(""));
    return { text: source ? `Backups are kept for 35 days 【${source[1]}】. Nobody else says so 【99】.` : "It is " + results.at(-1) + "." };
  }
  if (tools.includes("get_weather") && /weather/.test(last)) return { calls: [["get_weather", { city: "Oslo" }], ["get_weather", { city: "Rome" }]] };
  return { text: "You said: " + texts.join(" | ") };
}

const pieces = (text) => text.match(/.{1,7}/gs) ?? [];

export async function model() {
  const asked = [];
  const listener = http.createServer(async (request, response) => {
    let raw = "";
    for await (const chunk of request) raw += chunk;
    const body = JSON.parse(raw);
    asked.push({ path: request.url, body });
    const json = (status, o) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(o));
    };
    const q = understand(request.url, body);
    if (/refuse me/.test(q.texts.at(-1))) return json(400, { error: { message: "not like this", type: "invalid_request_error", param: "input", code: null } });
    if (body.include?.includes("reasoning.encrypted_content")) return json(400, { error: { message: "Encrypted content is not supported with this model.", type: "invalid_request_error", param: "include", code: null } });
    const said = decide(q);
    const n = asked.length;
    if (!body.stream) return json(200, q.native ? nativeAnswer(n, body, said) : chatAnswer(n, body, said));
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of q.native ? nativeEvents(n, body, said) : chatEvents(n, body, said)) response.write(event);
    response.end();
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${listener.address().port}/v1`, asked, stop: () => new Promise((resolve) => { listener.close(resolve); listener.closeAllConnections(); }) };
}

const calls = (n, said) => (said.calls ?? []).map(([name, args], i) => ({ id: `call_${n}_${i}`, name, arguments: JSON.stringify(args) }));

function chatAnswer(n, body, said) {
  const message = { role: "assistant", content: said.text ?? null };
  if (said.calls) message.tool_calls = calls(n, said).map((c) => ({ id: c.id, type: "function", function: { name: c.name, arguments: c.arguments } }));
  return { id: "chatcmpl-" + n, object: "chat.completion", created: 1741476542, model: body.model, choices: [{ index: 0, message, finish_reason: said.calls ? "tool_calls" : "stop" }], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } };
}

function chatEvents(n, body, said) {
  const chunk = (choices, more = {}) => "data: " + JSON.stringify({ id: "chatcmpl-" + n, object: "chat.completion.chunk", created: 1741476542, model: body.model, choices, ...more }) + "\n\n";
  const delta = (d, finish = null) => chunk([{ index: 0, delta: d, finish_reason: finish }]);
  const out = [delta({ role: "assistant", content: "" })];
  for (const p of pieces(said.text ?? "")) out.push(delta({ content: p }));
  calls(n, said).forEach((c, index) => {
    out.push(delta({ tool_calls: [{ index, id: c.id, type: "function", function: { name: c.name, arguments: "" } }] }));
    for (const p of pieces(c.arguments)) out.push(delta({ tool_calls: [{ index, function: { arguments: p } }] }));
  });
  out.push(delta({}, said.calls ? "tool_calls" : "stop"));
  if (body.stream_options?.include_usage) out.push(chunk([], { usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }));
  return [...out, "data: [DONE]\n\n"];
}

const textPart = (text) => ({ type: "output_text", annotations: [], logprobs: [], text });
const messageItem = (n, text) => ({ id: `msg_${n}`, type: "message", status: "completed", role: "assistant", content: [textPart(text)] });
const callItem = (c) => ({ id: "fc_" + c.id, type: "function_call", status: "completed", call_id: c.id, name: c.name, arguments: c.arguments });
const output = (n, said) => [...(said.text ? [messageItem(n, said.text)] : []), ...calls(n, said).map(callItem)];

function nativeAnswer(n, body, said, status = "completed") {
  const usage = status === "completed" ? { input_tokens: 10, input_tokens_details: { cached_tokens: 4 }, output_tokens: 5, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 15 } : null;
  return { id: "resp_theirs", object: "response", created_at: 1741476542, status, error: null, incomplete_details: null, instructions: body.instructions ?? null, metadata: body.metadata ?? {}, model: body.model, output: status === "completed" ? output(n, said) : [], parallel_tool_calls: true, previous_response_id: null, store: body.store ?? true, temperature: 1, text: body.text ?? { format: { type: "text" } }, tool_choice: body.tool_choice ?? "auto", tools: body.tools ?? [], top_p: 1, usage };
}

function nativeEvents(n, body, said) {
  let sequence = 0;
  const event = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...more })}\n\n`;
  const out = [event("response.created", { response: nativeAnswer(n, body, said, "in_progress") })];
  output(n, said).forEach((item, output_index) => {
    const at = { item_id: item.id, output_index };
    if (item.type === "message") {
      const text = item.content[0].text, part = { ...at, content_index: 0 };
      out.push(event("response.output_item.added", { output_index, item: { ...item, status: "in_progress", content: [] } }), event("response.content_part.added", { ...part, part: textPart("") }));
      for (const p of pieces(text)) out.push(event("response.output_text.delta", { ...part, delta: p, logprobs: [] }));
      out.push(event("response.output_text.done", { ...part, text, logprobs: [] }), event("response.content_part.done", { ...part, part: textPart(text) }));
    } else {
      out.push(event("response.output_item.added", { output_index, item: { ...item, status: "in_progress", arguments: "" } }));
      for (const p of pieces(item.arguments)) out.push(event("response.function_call_arguments.delta", { ...at, delta: p }));
      out.push(event("response.function_call_arguments.done", { ...at, name: item.name, arguments: item.arguments }));
    }
    out.push(event("response.output_item.done", { output_index, item }));
  });
  return [...out, event("response.completed", { response: nativeAnswer(n, body, said) })];
}
