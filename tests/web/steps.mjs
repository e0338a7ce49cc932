// What tests of the page do again and again: ask and wait for the answer, and look for violations with axe.
import { axe_source } from "./browser.mjs";

export async function ask(page, text) {
  const input = page.getByLabel("Your question");
  await input.fill(text);
  await page.waitForSelector(".send:not(:disabled)");
  await input.press("Enter");
}

export async function answered(page, count = 1) {
  await page.waitForFunction((wanted) => document.querySelectorAll(".answer").length >= wanted && !document.querySelector('.answer[aria-busy="true"]'), count, { timeout: 120_000 });
}

export async function violations(page) {
  // axe is handed to the browser by its own protocol, past the page's policy.
  await page.evaluate(axe_source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, any }) => `${target} (${any.map(({ message }) => message).join("; ")})`).join(", ")}`);
}

/** How many pixels the page is wider than its window; more than none is a fault. */
export function too_wide(page) {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
}

/** Begins to note how long the browser was busy at a stretch, where that was over 50 ms. */
export async function watch_tasks(page) {
  await page.evaluate(() => {
    window.long_tasks = [];
    new PerformanceObserver((list) => window.long_tasks.push(...list.getEntries().map(({ duration }) => Math.round(duration)))).observe({ type: "longtask", buffered: false });
  });
}

export function long_tasks(page) {
  return page.evaluate(() => window.long_tasks);
}
