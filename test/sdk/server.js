// Starts the real binary on an embedded installation of its own, on a free port, and ends it by its process id.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const binary = path.resolve(import.meta.dirname, "../../bin/airfield");

export async function start() {
  const dir = mkdtempSync(path.join(tmpdir(), "airfield-sdk-"));
  const environment = { PATH: process.env.PATH, HOME: dir };
  const made = JSON.parse(execFileSync(binary, ["init", dir, "--listen", "127.0.0.1:0", "--json"], { env: environment }));
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

export const document = (name) => readFileSync(path.resolve(import.meta.dirname, "../../examples/documents", name));
