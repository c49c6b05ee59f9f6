// Starts the real binary on an embedded installation of its own, on a free port, and ends it by its process id.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";

const binary = path.resolve(import.meta.dirname, "../../bin/airfield");

// With a configuration it takes the place of the one that init writes, and there is no workflow key.
export async function start(config) {
  const dir = mkdtempSync(path.join(tmpdir(), "airfield-sdk-"));
  const environment = { PATH: process.env.PATH, HOME: dir };
  const made = JSON.parse(execFileSync(binary, ["init", dir, "--listen", "127.0.0.1:0", "--json"], { env: environment }));
  if (config) writeFileSync(path.join(dir, "airfield.yaml"), 'server: {listen: "127.0.0.1:0"}\n' + config);
  const server = spawn(binary, ["serve", "--config", path.join(dir, "airfield.yaml")], { env: environment, stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  const url = await new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error("not ready in 20 s:\n" + log)), 20000);
    server.stderr.on("data", (chunk) => {
      log += chunk;
      const ready = /"url":"([^"]+)"/.exec(log);
      if (ready) {
        clearTimeout(timeout);
        resolve(ready[1]);
      }
    });
    server.on("exit", (code) => reject(new Error("ended with " + code + ":\n" + log)));
  });
  return {
    url,
    dir,
    key: made.workflow_key,
    adminKey: made.admin_key,
    log: () => log,
    run: (...args) => execFileSync(binary, args, { cwd: dir, env: environment }).toString(),
    async stop() {
      const ended = new Promise((resolve) => server.removeAllListeners("exit").on("exit", resolve));
      server.kill("SIGTERM");
      const code = await ended;
      rmSync(dir, { recursive: true, force: true });
      return code;
    },
  };
}

// A provider that answers as the model's name asks: it fails, is slow, or says which request this is.
export async function provider() {
  const asked = [];
  const listener = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { model, stream, stream_options, max_tokens } = JSON.parse(body);
    asked.push(model);
    if (model.endsWith("fails")) {
      response.writeHead(500, { "content-type": "application/json" });
      return response.end('{"error":{"message":"out of order","type":"server_error"}}');
    }
    if (model.endsWith("slow")) await new Promise((resolve) => setTimeout(resolve, 400));
    const usage = { prompt_tokens: 11, completion_tokens: Math.min(7, max_tokens ?? 7), total_tokens: 11 + Math.min(7, max_tokens ?? 7) };
    const base = { id: "chatcmpl-" + asked.length, created: 1, model };
    if (!stream) {
      response.writeHead(200, { "content-type": "application/json" });
      return response.end(JSON.stringify({ ...base, object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: "answer " + asked.length }, finish_reason: "stop" }], usage }));
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (more) => response.write("data: " + JSON.stringify({ ...base, object: "chat.completion.chunk", ...more }) + "\n\n");
    send({ choices: [{ index: 0, delta: { role: "assistant", content: "answer " }, finish_reason: null }] });
    send({ choices: [{ index: 0, delta: { content: String(asked.length) }, finish_reason: null }] });
    send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
    if (stream_options?.include_usage) send({ choices: [], usage });
    response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${listener.address().port}/v1`, asked, stop: () => new Promise((resolve) => { listener.close(resolve); listener.closeAllConnections(); }) };
}

export const document = (name) => readFileSync(path.resolve(import.meta.dirname, "../../examples/documents", name));
