// Debian's Chromium for the tests: found, started without anything of its own on the network, and watched.
// What a page logs as an error and every address that it asks for is kept, for the tests to look at.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

// The packages may lie elsewhere (./test puts them under build/).
const require = createRequire(path.join(process.env.FREEHOLD_WEB_TEST_PACKAGES ?? import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "package.json"));
const { chromium } = require("playwright-core");
export const axe_source = require("axe-core").source;

export function browser_path() {
  return [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((each) => each && existsSync(each));
}

export async function launch() {
  return chromium.launch({
    executablePath: browser_path(),
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-features=OptimizationHints,MediaRouter,Translate"],
  });
}

/** A page in a browser profile of its own. */
export async function open_page(browser, { url, width = 1440, height = 900, dark = false, hash = "", reduced = false, storage = {} } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion: reduced ? "reduce" : "no-preference", serviceWorkers: "block" });
  const page = await context.newPage();
  // What this tab remembers from before, such as a key.
  await page.addInitScript((entries) => {
    for (const [name, value] of Object.entries(entries)) sessionStorage.setItem(name, value);
  }, storage);
  const seen = { errors: [], outside: [] };
  page.on("console", (message) => {
    // A status of 4xx or 5xx that a test provokes is logged by the browser itself.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) seen.outside.push(request.url());
  });
  await page.goto(`${url}/${hash}`);
  return { page, seen, close: () => context.close() };
}
