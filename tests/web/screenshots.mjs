// Takes the pictures of docs/screenshots from the built page and the mock: node screenshots.mjs PAGE_FOLDER OUT_FOLDER.
// tests/web/run must have been called once, for the packages (FREEHOLD_WEB_TEST_PACKAGES=build/web-tests/tests).
import path from "node:path";
import { launch, open_page } from "./browser.mjs";
import { start } from "./mock.mjs";

const [dist, out] = process.argv.slice(2).map((each) => path.resolve(each));
const mock = await start({ dist });
const browser = await launch();
const kSizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

async function take(name, size, dark, hash, prepare) {
  const { page, close } = await open_page(browser, { url: mock.url, ...kSizes[size], dark, hash });
  await prepare(page);
  await page.screenshot({ path: path.join(out, `${name}-${size}-${dark ? "dark" : "light"}.jpg`), type: "jpeg", quality: 78 });
  await close();
}

async function chat(page) {
  await page.getByLabel("Your question").fill("What is a freehold? Show the kinds in a table.");
  await page.waitForSelector(".send:not(:disabled)");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.answer[aria-busy="false"] .hljs-keyword');
  await page.waitForTimeout(300);
}

async function why(page) {
  await chat(page);
  await page.getByRole("button", { name: "why?" }).click();
  await page.locator("[data-token='6']").hover();
  await page.waitForTimeout(200);
}

await take("chat", "desktop", false, "", chat);
await take("chat", "phone", true, "", chat);
await take("why", "phone", false, "", why);
await take("models", "desktop", false, "#/models", (page) => page.waitForSelector(".grid tbody tr"));
await take("server", "desktop", true, "#/server", (page) => page.waitForTimeout(25_000));
await take("keys", "phone", false, "#/keys", (page) => page.waitForSelector(".grid tbody tr"));
await browser.close();
await mock.close();
