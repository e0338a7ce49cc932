// The page in a real browser against the mock: every view, at both widths, in both colours, by mouse and by keyboard.
// FREEHOLD_PAGE names the folder of the built page. Run by tests/web/run.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { axe_source, launch, open_page } from "./browser.mjs";
import { start } from "./mock.mjs";

const dist = process.env.FREEHOLD_PAGE;
let browser;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());

/** Runs `body` with a mock and a page; then nothing may have gone outside and nothing may have been logged as an error. */
async function with_page({ mock: mock_options = {}, ...page_options }, body) {
  const mock = await start({ dist, ...mock_options });
  const opened = await open_page(browser, { url: mock.url, ...page_options });
  try {
    await body({ ...opened, mock });
    assert.deepEqual(opened.seen.outside, [], "the page asked for something outside");
    assert.deepEqual(opened.seen.errors, [], "the page logged an error");
  } finally {
    await opened.close();
    await mock.close();
  }
}

async function ask(page, text) {
  const input = page.getByLabel("Your question");
  await input.fill(text);
  await page.waitForSelector(".send:not(:disabled)");
  await input.press("Enter");
}

async function answered(page, count = 1) {
  await page.waitForFunction((wanted) => document.querySelectorAll(".answer").length >= wanted && !document.querySelector('.answer[aria-busy="true"]'), count, { timeout: 60_000 });
}

async function violations(page) {
  // axe is handed to the browser by its own protocol, past the page's policy.
  await page.evaluate(axe_source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, any }) => `${target} (${any.map(({ message }) => message).join("; ")})`).join(", ")}`);
}

const kViews = {
  chat: async (page) => {
    await ask(page, "rich please");
    await answered(page);
    await page.waitForSelector(".hljs-keyword");
  },
  why: async (page) => {
    await ask(page, "rich please");
    await answered(page);
    await page.getByRole("button", { name: "why?" }).click();
    await page.locator("[data-token='5']").focus();
    await page.waitForSelector(".token-detail");
  },
  settings: async (page) => {
    await page.getByRole("button", { name: "Settings", exact: true }).click();
    await page.getByLabel("Temperature").waitFor();
  },
  welcome: async (page) => page.waitForSelector(".try"),
  models: async (page) => page.waitForSelector(".grid tbody tr"),
  "models/smollm2%3A135m": async (page) => page.waitForSelector(".facts-list"),
  server: async (page) => page.waitForSelector(".plot canvas"),
  keys: async (page) => page.waitForSelector(".grid tbody tr"),
  audit: async (page) => page.waitForSelector(".grid tbody tr"),
};

describe("views", () => {
  for (const [name, ready] of Object.entries(kViews)) {
    for (const width of [390, 1440]) {
      for (const dark of [false, true]) {
        test(`${name}, ${width} px, ${dark ? "dark" : "light"}`, async () => {
          const hash = ["why", "settings", "welcome"].includes(name) ? "#/chat" : `#/${name}`;
          await with_page({ width, height: width === 390 ? 844 : 900, dark, hash }, async ({ page }) => {
            await ready(page);
            assert.deepEqual(await violations(page), []);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(wide <= 0, `the page is ${wide} px wider than the window`);
          });
        });
      }
    }
  }
  test("sign-in, dialogs and a server without models", async () => {
    await with_page({ mock: { keys: true } }, async ({ page }) => {
      await page.getByLabel("Key").waitFor();
      assert.deepEqual(await violations(page), []);
    });
    await with_page({ hash: "#/keys", width: 390, height: 844 }, async ({ page }) => {
      await page.getByRole("button", { name: "Make a key" }).click();
      await page.getByText("Tenant, models, limits").click();
      assert.deepEqual(await violations(page), []);
    });
    await with_page({ mock: { models: [] } }, async ({ page }) => {
      await page.getByRole("button", { name: "Fetch smollm2:135m" }).waitFor();
      assert.deepEqual(await violations(page), []);
    });
  });
});

describe("chat", () => {
  test("an answer comes with its facts, stays after a reload, and is found by search", async () => {
    await with_page({}, async ({ page, mock }) => {
      await ask(page, "What is a freehold?");
      await answered(page);
      assert.match(await page.locator(".answer .prose").innerText(), /yours for good/);
      assert.match(await page.locator(".facts").innerText(), /smollm2:135m Q4_1 · \d+ tokens · [\d.,]+ tok\/s .*12 of 30 read from the cache/);
      const { body } = mock.state.bodies.find(({ route }) => route === "POST /v1/chat/completions");
      assert.equal(body.model, "smollm2:135m");
      assert.equal(body.stream, true);
      assert.equal(body.stream_options.include_usage, true);
      assert.equal(body.logprobs, true);
      await page.reload();
      await page.waitForSelector(".answer .prose");
      assert.match(await page.locator(".answer .prose").innerText(), /yours for good/);
      await page.getByRole("searchbox").fill("term run out");
      await page.waitForTimeout(400);
      assert.equal(await page.locator(".entry").count(), 1);
      await page.getByRole("searchbox").fill("nobody wrote this");
      await page.getByText("No conversation has these words.").waitFor();
    });
  });

  test("the model is told the system prompt, the settings and the turns so far", async () => {
    await with_page({}, async ({ page, mock }) => {
      await page.getByRole("button", { name: "Settings", exact: true }).click();
      await page.getByLabel("System prompt").fill("Answer as a notary.");
      await page.getByLabel("Temperature").fill("0.3");
      await page.getByLabel("Longest answer").fill("99");
      await page.getByLabel("Top p").fill("7");
      await page.getByText("A number from 0 to 1, or nothing.").waitFor();
      await page.getByLabel("Record probabilities").uncheck();
      await ask(page, "echo one");
      await answered(page);
      await ask(page, "echo two");
      await answered(page, 2);
      const { body } = mock.state.bodies.at(-1);
      assert.deepEqual(body.messages, [
        { role: "system", content: "Answer as a notary." },
        { role: "user", content: "echo one" },
        { role: "assistant", content: "echo one" },
        { role: "user", content: "echo two" },
      ]);
      assert.equal(body.temperature, 0.3);
      assert.equal(body.max_tokens, 99);
      assert.equal(body.top_p, undefined);
      assert.equal(body.logprobs, undefined);
    });
  });

  test("stop ends the answer and keeps what was written; the server is told", async () => {
    await with_page({}, async ({ page, mock }) => {
      await ask(page, "slow please");
      await page.waitForSelector(".answer .prose");
      await page.getByRole("button", { name: "Stop the answer" }).click();
      await answered(page);
      assert.match(await page.locator(".facts").innerText(), /stopped/);
      assert.match(await page.locator(".answer .prose").innerText(), /A long/);
      await page.waitForTimeout(200);
      assert.equal(mock.state.aborted, 1);
      await ask(page, "slow again");
      await page.waitForSelector('.answer[aria-busy="true"]');
      await page.keyboard.press("Escape");
      await answered(page, 2);
    });
  });

  test("edit, answer again and the arrows between siblings", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "echo first");
      await answered(page);
      await page.getByRole("button", { name: "Edit the question" }).click();
      await page.getByLabel("Edit the question").fill("echo second");
      await page.getByRole("button", { name: "Ask again" }).click();
      await page.waitForFunction(() => document.querySelector(".answer .prose")?.textContent.includes("second"));
      await answered(page);
      assert.match(await page.locator(".question .siblings-place").innerText(), /2\/2/);
      await page.getByRole("button", { name: "Earlier question" }).click();
      assert.match(await page.locator(".answer .prose").innerText(), /first/);
      assert.equal(await page.locator(".turn").count(), 2);
      await page.getByRole("button", { name: "Answer again" }).click();
      await page.waitForSelector(".answer .siblings");
      await answered(page);
      assert.match(await page.locator(".answer .siblings-place").innerText(), /2\/2/);
      await page.reload();
      await page.waitForSelector(".answer .siblings");
      assert.match(await page.locator(".bubble").innerText(), /first/);
    });
  });

  test("errors stand where they happened, with the server's sentence and a way out", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "fail early");
      await page.locator(".answer .error-note").waitFor();
      assert.match(await page.locator(".error-note").innerText(), /The queue is full: 64 requests wait[^]*Try again in 3 s/);
      await page.getByRole("button", { name: "Ask again" }).click();
      await page.waitForSelector(".answer .siblings");
      await ask(page, "fail late");
      await page.getByText("The model was unloaded in the middle of the answer.").waitFor();
      assert.match(await page.locator(".answer .prose").last().innerText(), /This begins well and/);
    });
  });

  test("a server that is gone says so in place", async () => {
    await with_page({}, async ({ page, mock }) => {
      await page.waitForSelector(".try");
      await mock.close();
      await ask(page, "anyone?");
      await page.getByText("The server does not answer.").waitFor();
    });
  });

  test("thinking is folded and told apart from the answer", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "think hard");
      await answered(page);
      assert.equal(await page.locator(".thinking").getAttribute("open"), null);
      assert.equal((await page.locator(".answer .prose").innerText()).trim(), "It is four.");
      await page.locator(".thinking summary").click();
      await page.getByText("Two and two is four.").waitFor();
    });
  });

  test("a text file goes along; one that is not text is refused with a sentence", async () => {
    await with_page({}, async ({ page, mock }) => {
      const picker = page.locator('input[type="file"]');
      await picker.setInputFiles({ name: "notes.md", mimeType: "text/markdown", buffer: Buffer.from("A fence: ```\nand more") });
      await page.getByText("notes.md").waitFor();
      await picker.setInputFiles({ name: "picture.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0, 1]) });
      await page.getByText("picture.png is not text.").waitFor();
      await ask(page, "echo this");
      await answered(page);
      assert.equal(mock.state.bodies.at(-1).body.messages[0].content, "File notes.md:\n````\nA fence: ```\nand more\n````\n\necho this");
      assert.equal(await page.locator(".question .attached").count(), 1);
    });
  });

  test("why: each word has its probability and alternatives, by mouse and by keyboard", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "What is a freehold?");
      await answered(page);
      await page.getByRole("button", { name: "why?" }).click();
      await page.locator("[data-token='0']").focus();
      assert.match(await page.locator(".token-detail").innerText(), /97 %[^]*all others/);
      await page.keyboard.press("ArrowRight");
      assert.match(await page.locator(".token-detail").innerText(), /62 %/);
      await page.locator("[data-token='5']").hover();
      assert.match(await page.locator(".token-detail").innerText(), /4\.0 %/);
      await page.keyboard.press("Escape");
      assert.equal(await page.locator(".token-detail").count(), 0);
    });
  });

  test("rename, export and delete", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "echo keep me");
      await answered(page);
      await page.getByRole("button", { name: "Rename echo keep me" }).click();
      await page.getByLabel("Name of the conversation").fill("The deeds");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "The deeds" }).waitFor();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export The deeds" }).click()]);
      const exported = JSON.parse(await readFile(await download.path(), "utf8"));
      assert.equal(exported.format, "freehold-conversations");
      assert.equal(exported.conversations[0].title, "The deeds");
      assert.deepEqual(exported.conversations[0].turns.map(({ role }) => role).sort(), ["assistant", "user"]);
      await page.getByRole("button", { name: "Delete The deeds" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("Conversations will stand here.").waitFor();
      await page.reload();
      await page.getByText("Conversations will stand here.").waitFor();
    });
  });

  test("by keyboard alone: from the top to a question, its answer, and on", async () => {
    await with_page({}, async ({ page }) => {
      await page.waitForSelector(".try");
      await page.locator(".skip").focus();
      const path = ["Skip to the content"];
      for (let step = 0; step < 20; step++) {
        await page.keyboard.press("Tab");
        path.push(await page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent || document.activeElement?.id));
        if (path.at(-1) === "Your question") break;
      }
      for (const wanted of ["Chat", "Models", "Server", "Keys & audit", "New conversation", "Model", "Settings", "Attach a text file"]) assert.ok(path.includes(wanted) || path.some((each) => each?.startsWith(wanted)), `${wanted} is not on the way: ${path.join(" | ")}`);
      assert.equal(path.at(-1), "Your question");
      await page.keyboard.type("echo by hand");
      await page.keyboard.press("Shift+Enter");
      await page.keyboard.type("two lines");
      await page.keyboard.press("Enter");
      await answered(page);
      await page.getByRole("status").filter({ hasText: "The answer is complete" }).waitFor({ state: "attached" });
    });
  });

  test("a reader who scrolled up stays there while the answer grows", async () => {
    await with_page({ height: 600 }, async ({ page }) => {
      await ask(page, "long 1200");
      await page.waitForFunction(() => document.querySelector(".talk-scroll").scrollHeight > 1500);
      await page.locator(".talk-scroll").hover();
      await page.mouse.wheel(0, -5000);
      await page.waitForTimeout(300);
      const at = await page.locator(".talk-scroll").evaluate((box) => box.scrollTop);
      await page.waitForTimeout(600);
      assert.equal(await page.locator(".talk-scroll").evaluate((box) => box.scrollTop), at);
      await page.getByRole("button", { name: "To the end" }).click();
      await answered(page);
      await page.waitForTimeout(100);
      assert.ok(await page.locator(".talk-scroll").evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 10));
    });
  });

  test("2,000 tokens stream without a long pause", async (t) => {
    await with_page({}, async ({ page }) => {
      await page.waitForSelector(".try");
      await page.evaluate(() => {
        window.long_tasks = [];
        new PerformanceObserver((list) => window.long_tasks.push(...list.getEntries().map(({ duration }) => Math.round(duration)))).observe({ type: "longtask", buffered: false });
      });
      const began = Date.now();
      await ask(page, "long 2000");
      await answered(page);
      const tasks = await page.evaluate(() => window.long_tasks);
      t.diagnostic(`2,000 tokens in ${Date.now() - began} ms; tasks over 50 ms: ${tasks.length === 0 ? "none" : tasks.join(", ")}`);
      // 50 ms is the aim; the bound leaves room for a machine that does other things at the same time.
      assert.ok(Math.max(0, ...tasks) < 1000, `a task took ${Math.max(...tasks)} ms`);
      assert.ok((await page.locator(".answer .prose > div").count()) > 50);
    });
  });
});

describe("security", () => {
  test("what a model writes can do nothing", async () => {
    await with_page({}, async ({ page, mock }) => {
      await ask(page, "evil things");
      await answered(page);
      await page.waitForTimeout(300);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      const prose = page.locator(".answer .prose");
      for (const forbidden of ["script", "img", "svg", "iframe", "style", "form", "math", "[onerror]", "[onclick]", "[style]", '[href^="javascript" i]', '[href^="data" i]']) {
        assert.equal(await prose.locator(forbidden).count(), 0, `${forbidden} came through`);
      }
      // What was taken out is still told: as text.
      assert.match(await prose.innerText(), /<script>window\.pwned = 1<\/script>/);
      for (const link of await prose.locator("a[href]").all()) {
        assert.match(await link.getAttribute("href"), /^https?:/);
        assert.equal(await link.getAttribute("rel"), "noopener noreferrer nofollow");
      }
      await page.getByRole("button", { name: "why?" }).click();
      await page.waitForTimeout(100);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      assert.equal(mock.state.requests.some((each) => each.includes("steal")), false);
    });
  });

  test("evil text is as harmless in a question, a title, a file name and an error", async () => {
    await with_page({}, async ({ page }) => {
      await page.locator('input[type="file"]').setInputFiles({ name: "<img src=x onerror=window.pwned=1>.txt", mimeType: "text/plain", buffer: Buffer.from("<script>window.pwned=2</script>") });
      await ask(page, "echo <img src=x onerror=window.pwned=3>");
      await answered(page);
      await page.goto(`${page.url().split("#")[0]}#/models/${encodeURIComponent("<img src=x onerror=window.pwned=4>")}`);
      await page.locator(".error-note").waitFor();
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      assert.equal(await page.locator("img").count(), 0);
    });
  });

  test("sign-in: a wrong key is refused with its reason, a right one is kept in this tab only", async () => {
    await with_page({ mock: { keys: true } }, async ({ page }) => {
      await page.getByLabel("Key").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("The server does not know this key.").waitFor();
      await page.getByLabel("Key").fill("operator-key");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForSelector(".composer");
      assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), "{}");
      assert.equal(await page.evaluate(() => sessionStorage.getItem("freehold-key")), "operator-key");
      await page.reload();
      await page.waitForSelector(".composer");
      await page.getByRole("button", { name: /Signed in as/ }).click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("Key").waitFor();
      assert.equal(await page.evaluate(() => sessionStorage.getItem("freehold-key")), null);
      await page.getByLabel("Key").fill("user-key");
      await page.getByLabel(/Remember/).check();
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForSelector(".composer");
      assert.equal(await page.evaluate(() => localStorage.getItem("freehold-key")), "user-key");
    });
  });

  test("a key that ends while the page is open leads back to the door", async () => {
    await with_page({ mock: { keys: true } }, async ({ page, mock }) => {
      await page.getByLabel("Key").fill("user-key");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForSelector(".composer");
      delete mock.state.secrets["user-key"];
      await ask(page, "still there?");
      await page.getByText("The server no longer accepts your key.").waitFor();
    });
  });

  test("each role sees what it may do, and nothing else", async () => {
    const expected = { "user-key": ["Chat", "Models"], "operator-key": ["Chat", "Models", "Server", "Keys & audit"], "auditor-key": ["Models", "Server", "Keys & audit"], "both-key": ["Chat", "Models", "Server", "Keys & audit"] };
    for (const [key, places] of Object.entries(expected)) {
      await with_page({ mock: { keys: true }, hash: "#/models" }, async ({ page }) => {
        await page.getByLabel("Key").fill(key);
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.waitForSelector(".grid tbody tr");
        assert.deepEqual(await page.locator(".places a").allInnerTexts(), places);
        assert.equal((await page.getByRole("button", { name: /^Remove/ }).count()) > 0, key !== "user-key" && key !== "auditor-key");
        if (key === "operator-key") {
          await page.goto(`${page.url().split("#")[0]}#/audit`);
          await page.getByRole("heading", { name: "Keys", exact: true }).waitFor();
        }
      });
    }
  });

  test("the policy holds: no inline code or style is in the page, none runs", async () => {
    await with_page({}, async ({ page }) => {
      await page.waitForSelector(".composer");
      const html = await (await page.request.get(page.url().split("#")[0])).text();
      assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/i);
      const ran = await page.evaluate(() => {
        const script = document.createElement("script");
        try {
          script.textContent = "window.ran = true";
        } catch {
          return "refused";
        }
        document.head.append(script);
        return window.ran ?? "refused";
      });
      assert.equal(ran, "refused");
    }).catch((error) => {
      // The refusal itself is logged by the browser, which is what this test wants.
      if (!/logged an error/.test(error.message)) throw error;
    });
  });
});

describe("models, server, keys", () => {
  test("the first model is fetched with progress, and then there is a chat", async () => {
    await with_page({ mock: { models: [] } }, async ({ page }) => {
      await page.getByRole("button", { name: "Fetch smollm2:135m" }).click();
      await page.getByText(/MB of 98\.4 MB/).waitFor();
      await page.waitForSelector(".try");
      await ask(page, "echo ready");
      await answered(page);
    });
  });

  test("a model is removed after asking; a name that is not known is told", async () => {
    await with_page({ hash: "#/models" }, async ({ page, mock }) => {
      await page.getByRole("button", { name: "Remove gemma3:270m" }).click();
      await page.getByRole("button", { name: "Keep" }).click();
      assert.equal(mock.state.models.length, 3);
      await page.getByRole("button", { name: "Remove gemma3:270m" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
      await page.getByRole("heading", { name: "gemma3:270m" }).waitFor();
      assert.equal(mock.state.models.length, 2);
      await page.getByLabel("Fetch by name").fill("nonsense");
      await page.getByLabel("Fetch by name").press("Enter");
      await page.getByText('There is no model "nonsense" in the catalogue.').waitFor();
    });
  });

  test("the server's curves grow", async () => {
    await with_page({ hash: "#/server" }, async ({ page, mock }) => {
      await page.waitForSelector(".plot canvas");
      await page.waitForTimeout(2500);
      assert.equal(await page.locator(".plot canvas").count(), 6);
      assert.ok(mock.state.requests.filter((each) => each === "GET /freehold/v1/status").length >= 3);
      await page.getByRole("button", { name: "10 minutes" }).click();
      assert.match(page.url(), /span=600/);
      await page.goto(`${page.url().split("#")[0]}#/models`);
      await page.waitForTimeout(300);
      const asked = mock.state.requests.length;
      await page.waitForTimeout(1500);
      assert.equal(mock.state.requests.length, asked, "the page goes on asking when nobody looks");
    });
  });

  test("a key is made, shown once, and taken back", async () => {
    await with_page({ hash: "#/keys" }, async ({ page, mock }) => {
      await page.getByRole("button", { name: "Make a key" }).click();
      await page.getByLabel("Name").fill("ward 9");
      await page.getByLabel("auditor").check();
      await page.getByText("Tenant, models, limits").click();
      await page.getByLabel("Tokens a day").fill("5000");
      await page.getByRole("dialog").getByRole("button", { name: "Make the key" }).click();
      await page.getByText("fh-abcDEF0123456789").waitFor();
      assert.deepEqual(mock.state.bodies.at(-1).body, { name: "ward 9", role: "auditor", limits: { tokens_per_day: 5000 } });
      await page.getByRole("button", { name: "Close" }).click();
      assert.equal(await page.getByText("fh-abcDEF0123456789").count(), 0);
      await page.getByRole("button", { name: "Revoke ward 9" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
      await page.waitForFunction(() => document.querySelectorAll(".chip-bad").length === 2);
    });
  });

  test("the audit log: the chain's state, older entries, search, export", async () => {
    await with_page({ hash: "#/audit" }, async ({ page }) => {
      await page.getByText("The chain is whole: 250 entries.").waitFor();
      assert.equal(await page.locator(".grid tbody tr").count(), 100);
      await page.getByRole("button", { name: "Older entries" }).click();
      await page.waitForFunction(() => document.querySelectorAll(".grid tbody tr").length === 200);
      await page.getByLabel("Search what is shown").fill("cancelled");
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /Export \d+ entries/ }).click()]);
      const lines = (await readFile(await download.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
      assert.ok(lines.length > 5 && lines.every(({ outcome }) => outcome === "cancelled"));
    });
  });

  test("colours: chosen, kept, and followed when the system decides", async () => {
    await with_page({ dark: true }, async ({ page }) => {
      await page.waitForSelector(".composer");
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const dark = await ground();
      await page.getByRole("button", { name: /Colours as the system says/ }).click();
      assert.notEqual(await ground(), dark);
      await page.reload();
      await page.waitForSelector(".composer");
      assert.notEqual(await ground(), dark);
      await page.getByRole("button", { name: /Light colours/ }).click();
      assert.equal(await ground(), dark);
    });
  });
});
