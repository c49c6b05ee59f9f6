// A pilot on OpenAI's own package: what changes is the base URL and the key. It lists the models, asks the documents a question
// by Airfield's own route, and streams a chat.
//
//   export AIRFIELD_URL=http://127.0.0.1:8080 AIRFIELD_KEY=afk_…
//   npm ci && npm run build && npm start -- documents "How long are backups kept?"
import OpenAI from "openai";

const base = process.env.AIRFIELD_URL?.replace(/\/$/, "");
const key = process.env.AIRFIELD_KEY;
const [collection, question] = process.argv.slice(2);
if (!base || !key || !collection || !question) {
  console.error("usage: AIRFIELD_URL=… AIRFIELD_KEY=… npm start -- COLLECTION QUESTION");
  process.exit(2);
}

const client = new OpenAI({ baseURL: base + "/v1", apiKey: key, defaultHeaders: { "x-airfield-tags": "pilot=typescript" } });

interface Citation {
  n: number;
  document: string;
  version: number;
  page_from?: number;
  heading: string[];
  quote: string;
}

interface Answer {
  text: string;
  found: boolean;
  citations: Citation[];
  call_id?: string;
  cost_usd: string;
}

// The package has no word for answers, but sends any request: with its key, its retries and its errors.
const answer = await client.post<Answer>("/answers", { body: { question, collection } });
console.log(answer.text);
for (const c of answer.citations) {
  const place = [c.document, `version ${c.version}`, c.page_from && `page ${c.page_from}`, c.heading.at(-1)];
  console.log(`  [${c.n}] ${place.filter(Boolean).join(", ")}\n      “${c.quote}”`);
}
console.log(`  $${answer.cost_usd}, call ${answer.call_id ?? "none"}`);

const model = process.env.MODEL ?? "builtin-answer";
const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "What can you do?" }],
  stream: true,
  stream_options: { include_usage: true },
});
process.stdout.write(`\n${model}: `);
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
  if (chunk.usage) console.log(`\n  ${chunk.usage.prompt_tokens} tokens in, ${chunk.usage.completion_tokens} out`);
}
