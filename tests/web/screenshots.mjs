// Takes the pictures of docs/screenshots from the real program: node screenshots.mjs PROGRAM OUT_FOLDER [names of views].
// tests/web/run must have been called once, for the packages (FREEHOLD_WEB_TEST_PACKAGES=build/web-tests/tests);
// FREEHOLD_TEST_MODELS names a folder with smollm2.gguf.
import path from "node:path";
import { launch, open_page } from "./browser.mjs";
import { model, serve } from "./live.mjs";
import { answered, ask } from "./steps.mjs";

const [program, out] = process.argv.slice(2, 4).map((each) => path.resolve(each));
const only = process.argv.slice(4);
const server = await serve(program, { keys: { "Dr Osei": "user,operator,auditor", "ward 7": "user", reports: "user,auditor" }, panels: true });
const browser = await launch();
const kSizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const key = server.secrets["Dr Osei"];

function api(route, body, secret = key) {
  return fetch(server.url + route, { method: body ? "POST" : "GET", headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" }, body: body ? JSON.stringify(body) : undefined });
}

async function take(name, hash, prepare, { signed_in = true, dark = {}, of = server } = {}) {
  if (only.length > 0 && !only.includes(name)) return;
  for (const size of ["desktop", "phone"]) {
    const { page, close } = await open_page(browser, { url: of.url, ...kSizes[size], dark: dark[size] ?? false, hash, storage: signed_in ? { "freehold-key": key } : {} });
    await prepare(page, size);
    await page.waitForTimeout(300);
    await page.screenshot({ path: path.join(out, `${name}-${size}.jpg`), type: "jpeg", quality: 62 });
    await close();
  }
}

/** The same settings each time, so that the pictures change only when the page does. */
async function set(page, fields) {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(String(value));
  await page.getByRole("button", { name: "Close the settings" }).click();
}

async function chat(page, question = "What is a freehold? Answer in two sentences.") {
  await set(page, { Temperature: 0, "Longest answer": 90 });
  await ask(page, question);
  await answered(page);
}

// Something to see in use, audit and memory.
for (const secret of [key, server.secrets["ward 7"], server.secrets["ward 7"], server.secrets.reports]) {
  for (const prompt of ["What is a deed?", "Name three trees."]) await api("/v1/chat/completions", { model: model.name, max_tokens: 24, messages: [{ role: "user", content: prompt }] }, secret);
}
await api("/v1/chat/completions", { model: `${model.name}+letters`, max_tokens: 8, messages: [{ role: "user", content: "Write." }] });

await take("sign-in", "", (page) => page.getByLabel("Key").waitFor(), { signed_in: false });
await take("welcome", "", (page) => page.waitForSelector(".try"), { dark: { phone: true } });
await take(
  "chat",
  "",
  async (page) => {
    await chat(page, "Write a Python function that says whether a year is a leap year.");
    await page.locator(".talk-scroll").evaluate((box) => box.scrollTo(0, 0));
  },
  { dark: { phone: true } },
);
await take("why", "", async (page) => {
  await chat(page);
  await page.getByRole("button", { name: "why?" }).click();
  await page.locator("[data-token='6']").hover();
  await page.waitForSelector(".token-detail");
});
await take("settings", "", async (page) => {
  await chat(page);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByLabel("Adapter").waitFor();
});
await take("retry", "", async (page) => {
  await chat(page);
  await page.getByRole("button", { name: "Answer again with other settings" }).click();
});
await take("conversations", "", async (page, size) => {
  for (const question of ["What is a deed?", "Name three trees.", "Explain interest in one line."]) {
    await page.goto(`${page.url().split("#")[0]}#/chat`);
    await page.waitForSelector(".try");
    await set(page, { "Longest answer": 12 });
    await ask(page, question);
    await answered(page);
  }
  if (size === "phone") await page.getByRole("button", { name: "Conversations" }).click();
});
await take("models", "#/models", (page) => page.waitForSelector(".grid tbody tr"));
await take("model", `#/models/${encodeURIComponent(model.name)}`, (page) => page.getByRole("heading", { name: "Files" }).waitFor());
await take("keys", "#/keys", (page) => page.waitForSelector(".grid tbody tr"));
await take("key-made", "#/keys", async (page) => {
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByLabel("Name").fill("night shift");
});
await take("use", "#/use", (page) => page.waitForSelector(".days rect"));
await take("audit", "#/audit", async (page) => {
  await page.getByText("The chain is whole").waitFor();
  await page.waitForSelector(".grid tbody tr");
});
await take(
  "server",
  "#/server",
  async (page) => {
    await page.waitForSelector(".plot canvas");
    for (let wave = 0; wave < 4; wave++) {
      const asked = Array.from({ length: 2 + 3 * wave }, (_each, place) => api("/v1/completions", { model: model.name, prompt: `Once ${wave} ${place}`, max_tokens: 120, ignore_eos: true }));
      await Promise.all(asked);
      await page.waitForTimeout(2500);
    }
  },
  { dark: { desktop: true } },
);
const bare = await serve(program, { bare: true });
await take("first", "", (page) => page.getByRole("button", { name: /^Fetch/ }).waitFor(), { of: bare, signed_in: false });
await browser.close();
await Promise.all([server.close(), bare.close()]);
