"use strict";
const $ = (id) => document.getElementById(id);
const store = "airfield-key";
let timer;

async function read(path) {
  const abort = AbortSignal.timeout(10000);
  const answer = await fetch(path, { headers: { Authorization: "Bearer " + sessionStorage.getItem(store) }, signal: abort });
  const body = await answer.json();
  if (!answer.ok) {
    const error = new Error(body.detail + (body.hint ? " — " + body.hint : ""));
    error.status = answer.status;
    throw error;
  }
  return body;
}

// table fills an element with rows. Everything goes in as text: names come from files and callers.
function table(element, columns, rows, empty) {
  element.replaceChildren();
  if (rows.length === 0) {
    element.insertRow().insertCell().textContent = empty;
    return;
  }
  const head = element.createTHead().insertRow();
  for (const column of columns) {
    const th = document.createElement("th");
    th.textContent = column.title;
    if (column.number) th.className = "number";
    head.append(th);
  }
  const body = element.createTBody();
  for (const row of rows) {
    const tr = body.insertRow();
    for (const column of columns) {
      const td = tr.insertCell();
      td.textContent = column.value(row);
      td.className = [column.number && "number", column.wide && "wide", column.tone && column.tone(row)].filter(Boolean).join(" ");
    }
  }
}

const dollars = (text) => "$" + (Number(text) === 0 ? "0" : Number(text) >= 1 ? Number(text).toFixed(2) : Number(text).toPrecision(3));
const bytes = (n) => n >= 1048576 ? (n / 1048576).toFixed(1) + " MiB" : (n / 1024).toFixed(1) + " KiB";
const count = (n) => n.toLocaleString("en");

async function refresh() {
  clearTimeout(timer);
  try {
    const midnight = new Date(new Date().setHours(0, 0, 0, 0)).toISOString();
    const [status, collections, calls, costs] = await Promise.all([
      read("/api/status"), read("/api/collections"), read("/api/calls?limit=20"), read("/api/costs?by=workflow&from=" + encodeURIComponent(midnight)),
    ]);
    $("enter").hidden = true;
    $("board").hidden = $("leave").hidden = false;
    $("error").hidden = true;
    $("where").textContent = status.environment + " · " + status.role + " · " + status.version;
    table($("parts"), [
      { title: "part", value: (p) => p.name },
      { title: "", value: (p) => (p.ok ? "ok" : "not ok"), tone: (p) => (p.ok ? "good" : "bad") },
      { title: "", value: (p) => p.detail || "", wide: true },
    ], status.parts, "");
    table($("spend"), [
      { title: "workflow", value: (c) => c.group || "—" },
      { title: "calls", value: (c) => count(c.calls), number: true },
      { title: "errors", value: (c) => count(c.errors), number: true },
      { title: "tokens in", value: (c) => count(c.input_tokens), number: true },
      { title: "tokens out", value: (c) => count(c.output_tokens), number: true },
      { title: "cost", value: (c) => dollars(c.cost_usd) + (c.unpriced ? " + " + c.unpriced + " unpriced" : ""), number: true },
    ], costs.rows, "no calls today");
    table($("collections"), [
      { title: "collection", value: (c) => c.name },
      { title: "documents", value: (c) => count(c.status.documents), number: true },
      { title: "live", value: (c) => count(c.status.versions.live || 0), number: true },
      { title: "on the way", value: (c) => count((c.status.versions.pending || 0) + (c.status.versions.running || 0)), number: true },
      { title: "dead", value: (c) => count(c.status.versions.dead || 0), number: true, tone: (c) => (c.status.versions.dead ? "bad" : "") },
      { title: "chunks", value: (c) => count(c.status.chunks), number: true },
      { title: "size", value: (c) => bytes(c.status.bytes), number: true },
      { title: "sources", value: (c) => (c.status.sources || []).map((s) => s.name + (s.state === "ok" ? "" : " is " + s.state + ": " + s.message)).join("; "), wide: true },
    ], collections, "no collections yet: add one under collections in airfield.yaml");
    table($("calls"), [
      { title: "at", value: (c) => new Date(c.started_at).toLocaleTimeString() },
      { title: "call", value: (c) => c.id },
      { title: "workflow", value: (c) => c.workflow },
      { title: "model", value: (c) => c.model },
      { title: "outcome", value: (c) => (c.outcome === "ok" ? "ok" : c.outcome + " " + c.status), tone: (c) => (c.outcome === "ok" ? "" : "bad") },
      { title: "in", value: (c) => count(c.input_tokens), number: true },
      { title: "out", value: (c) => count(c.output_tokens), number: true },
      { title: "cost", value: (c) => (c.priced ? dollars(c.cost_usd) : "unpriced"), number: true },
      { title: "took", value: (c) => c.duration_ms.toFixed(1) + " ms", number: true },
    ], calls.calls, "no calls yet");
    timer = setTimeout(refresh, 5000);
  } catch (error) {
    $("error").textContent = error.name === "TimeoutError" ? "the server did not answer within ten seconds" : error.message;
    $("error").hidden = false;
    if (error.status === 401 || error.status === 403) leave();
    else timer = setTimeout(refresh, 5000);
  }
}

function leave() {
  clearTimeout(timer);
  sessionStorage.removeItem(store);
  $("board").hidden = $("leave").hidden = true;
  $("enter").hidden = false;
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(store, $("key").value.trim());
  $("key").value = "";
  refresh();
});
$("leave").addEventListener("click", leave);
if (sessionStorage.getItem(store)) refresh();
