// The page in a real browser against the mock: every view, at both widths, in both colours, by mouse and by keyboard.
// FREEHOLD_PAGE names the folder of the built page. Run by tests/web/run.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launch, open_page } from "./browser.mjs";
import { start } from "./mock.mjs";
import { answered, ask, long_tasks, too_wide, violations, watch_tasks } from "./steps.mjs";

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

async function import_text(page, text) {
  await page.locator('.side input[type="file"]').setInputFiles({ name: "conversations.json", mimeType: "application/json", buffer: Buffer.from(text) });
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
  formulas: async (page) => {
    await ask(page, "formulas please");
    await answered(page);
    await page.waitForSelector("math mtable");
  },
  retry: async (page) => {
    await ask(page, "echo a");
    await answered(page);
    await page.getByRole("button", { name: "Answer again with other settings" }).click();
    await page.getByRole("dialog").getByLabel("Temperature").waitFor();
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
  use: async (page) => page.waitForSelector(".days rect"),
  audit: async (page) => page.waitForSelector(".grid tbody tr"),
};

describe("views", () => {
  for (const [name, ready] of Object.entries(kViews)) {
    for (const width of [390, 1440]) {
      for (const dark of [false, true]) {
        test(`${name}, ${width} px, ${dark ? "dark" : "light"}`, async () => {
          const hash = ["why", "formulas", "retry", "settings", "welcome"].includes(name) ? "#/chat" : `#/${name}`;
          await with_page({ width, height: width === 390 ? 844 : 900, dark, hash }, async ({ page }) => {
            await ready(page);
            assert.deepEqual(await violations(page), []);
            assert.equal(await too_wide(page), 0, "the page is wider than the window");
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
      assert.match(await page.locator(".facts").innerText(), /smollm2:135m Q4_1 · adapter none · \d+ tokens · [\d.,]+ tok\/s .*12 of 30 read from the cache/);
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
      await page.getByRole("button", { name: "Answer again", exact: true }).click();
      await page.waitForSelector(".answer .siblings");
      await answered(page);
      assert.match(await page.locator(".answer .siblings-place").innerText(), /2\/2/);
      await page.reload();
      await page.waitForSelector(".answer .siblings");
      assert.match(await page.locator(".bubble").innerText(), /first/);
    });
  });

  test("a new conversation begins beside the one that is open", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "echo one");
      await answered(page);
      await page.getByRole("link", { name: "New conversation" }).click();
      await page.waitForSelector(".try");
      await page.waitForTimeout(200);
      assert.match(page.url(), /#\/chat$/);
      await ask(page, "echo two");
      await answered(page);
      assert.deepEqual(await page.locator(".entry a").allInnerTexts(), ["echo two", "echo one"]);
      await page.goBack();
      await page.getByRole("heading", { name: "echo one" }).waitFor();
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
      const picker = page.locator('.composer input[type="file"]');
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
      // A mouse that goes away leaves what the keyboard is at.
      await page.mouse.move(2, 2);
      await page.waitForTimeout(100);
      assert.match(await page.locator(".token-detail").innerText(), /62 %/);
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

  test("import: an export comes back under another browser; what is here is not doubled", async () => {
    let exported = "";
    await with_page({}, async ({ page }) => {
      await ask(page, "echo first");
      await answered(page);
      await page.getByRole("button", { name: "Edit the question" }).click();
      await page.getByLabel("Edit the question").fill("echo second");
      await page.getByRole("button", { name: "Ask again" }).click();
      await page.waitForFunction(() => document.querySelector(".answer .prose")?.textContent.includes("second"));
      await answered(page);
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export all as JSON" }).click()]);
      exported = await readFile(await download.path(), "utf8");
      await import_text(page, exported);
      await page.getByText("0 conversations imported. 1 was here already.").waitFor();
      assert.equal(await page.locator(".entry").count(), 1);
    });
    await with_page({}, async ({ page }) => {
      await import_text(page, exported);
      await page.getByText("1 conversation imported.").waitFor();
      await page.getByRole("link", { name: "echo first" }).click();
      await page.waitForSelector(".answer .prose");
      assert.match(await page.locator(".answer .prose").innerText(), /second/);
      assert.match(await page.locator(".question .siblings-place").innerText(), /2\/2/);
      await page.reload();
      await page.getByRole("button", { name: "Earlier question" }).click();
      assert.match(await page.locator(".answer .prose").innerText(), /first/);
      await ask(page, "echo on");
      await answered(page, 2);
    });
  });

  test("import: a hostile file does no harm", async () => {
    await with_page({}, async ({ page, mock }) => {
      await ask(page, "echo mine");
      await answered(page);
      const mine = await page.evaluate(() => location.hash.split("/").at(-1));
      const own = await page.evaluate(
        (id) =>
          new Promise((done) => {
            const request = indexedDB.open("freehold");
            request.onsuccess = () => {
              const all = request.result.transaction("nodes").objectStore("nodes").getAll();
              all.onsuccess = () => done(all.result.filter(({ conversation }) => conversation === id));
            };
          }),
        mine,
      );
      const turn = (id, parent, more = {}) => ({ id, parent, role: "user", content: `text of ${id}`, ...more });
      const evil = {
        id: "../../x", title: "<img src=x onerror=window.pwned=31>\n\n".repeat(99), updated: 9e99, created: "yesterday", model: { name: "x" }, system: "<script>window.pwned=32</script>",
        parameters: { ...{ temperature: 1e308, top_p: "0.5", seed: -1, stop: [1, "", "a".repeat(9999)], url: "https://outside.example/" }, ["__proto__"]: { polluted: 1 } },
        selected: JSON.parse('{"__proto__": "b", "": "a", "constructor": "a"}'),
        turns: [
          turn("a", "", { content: "evil <script>window.pwned=33</script>", attachments: [{ name: "<b>", text: 7 }, null, "x"], created: 9e99 }),
          turn("b", "a", { role: "assistant", content: "[x](javascript:window.pwned=34) <img src=https://outside.example/x onerror=window.pwned=35>", error: { message: "<i>bad</i>", hint: 3 }, completion_tokens: "many", finish: "" }),
          // Circles, strangers, doubles, another role, and the id of a turn that is here.
          turn("c", "d"), turn("d", "c"), turn("e", "nowhere"), turn("a", "", { content: "double" }), turn("f", "b", { role: "system" }), null, 7, "x", [],
          ...own.map(({ id }) => turn(id, "b", { content: "overwritten" })),
        ],
      };
      const file = { format: "freehold-conversations", version: 1, conversations: [evil, { id: mine, title: "Mine no more", turns: [turn("z", "")] }, null, 3, { turns: "x" }, { turns: [] }] };
      await import_text(page, JSON.stringify(file));
      await page.getByText("1 conversation imported. 1 was here already. 4 could not be read.").waitFor();
      assert.match(await page.locator(".bubble").innerText(), /echo mine/);
      await page.reload();
      await page.waitForSelector(".answer .prose");
      assert.match(await page.locator(".bubble").innerText(), /echo mine/, "a turn that was here was overwritten");
      await page.locator(".entry a").first().click();
      await page.getByText("evil").first().waitFor();
      await page.waitForTimeout(300);
      assert.equal(await page.locator(".turn").count(), 3);
      await page.locator(".thinking summary").first().click();
      await page.waitForTimeout(200);
      assert.equal(await page.evaluate(() => window.pwned ?? {}.polluted), undefined);
      assert.equal(await page.locator("img").count(), 0);
      await ask(page, "echo after");
      await answered(page, 2);
      const { body } = mock.state.bodies.at(-1);
      assert.equal(body.temperature, undefined);
      assert.equal(body.url, undefined);
      assert.deepEqual(body.stop, ["a".repeat(1000)]);
      for (const [text, words] of [["{", /not JSON/], ["[]", /no conversations of Freehold/], ['{"format":"freehold-conversations","version":9,"conversations":[]}', /newer Freehold/], ["[".repeat(200_000), /not JSON/]]) {
        await import_text(page, text);
        await page.locator(".side-foot .error-note").filter({ hasText: words }).waitFor();
      }
    });
  });

  test("an adapter is chosen, asked for by its whole name, and told under the answer", async () => {
    await with_page({}, async ({ page, mock }) => {
      await page.getByRole("button", { name: "Settings", exact: true }).click();
      assert.deepEqual(await page.getByLabel("Model").locator("option").allInnerTexts(), ["smollm2:135m", "gemma3:270m"]);
      await page.getByLabel("Adapter").selectOption("letters:latest");
      await ask(page, "echo one");
      await answered(page);
      assert.equal(mock.state.bodies.at(-1).body.model, "smollm2:135m+letters:latest");
      assert.match(await page.locator(".facts").innerText(), /smollm2:135m Q4_1 · adapter letters:latest · /);
      await page.getByLabel("Adapter").selectOption("");
      await page.getByRole("button", { name: "Answer again", exact: true }).click();
      await page.waitForSelector(".answer .siblings");
      await answered(page);
      assert.equal(mock.state.bodies.at(-1).body.model, "smollm2:135m");
      await page.getByLabel("Model").selectOption("gemma3:270m");
      assert.equal(await page.getByLabel("Adapter").count(), 0);
    });
  });

  test("answer again with other settings: for this answer only, and both can be compared", async () => {
    await with_page({}, async ({ page, mock }) => {
      await ask(page, "echo one");
      await answered(page);
      await page.getByRole("button", { name: "Answer again with other settings" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Model").selectOption("gemma3:270m");
      await dialog.getByLabel("Temperature").fill("1.3");
      await dialog.getByLabel("Seed").fill("7");
      await dialog.getByRole("button", { name: "Answer again" }).click();
      await page.waitForSelector(".answer .siblings");
      await answered(page);
      const { body } = mock.state.bodies.at(-1);
      assert.deepEqual([body.model, body.temperature, body.seed], ["gemma3:270m", 1.3, 7]);
      assert.match(await page.locator(".facts").innerText(), /gemma3:270m Q4_K_M · .*temperature 1\.3 · seed 7/);
      await page.getByRole("button", { name: "Earlier answer" }).click();
      assert.doesNotMatch(await page.locator(".facts").innerText(), /temperature/);
      await ask(page, "echo two");
      await answered(page, 2);
      assert.equal(mock.state.bodies.at(-1).body.temperature, undefined);
      assert.equal(mock.state.bodies.at(-1).body.model, "smollm2:135m");
    });
  });

  test("a base model continues the text so far, and its words have probabilities too", async () => {
    await with_page({}, async ({ page, mock }) => {
      await page.getByLabel("Model").selectOption("gemma3:270m");
      await page.getByText("This is a base model").waitFor();
      await ask(page, "echo Once upon");
      await answered(page);
      await ask(page, "echo a time");
      await answered(page, 2);
      const { route, body } = mock.state.bodies.at(-1);
      assert.equal(route, "POST /v1/completions");
      assert.equal(body.prompt, "echo Once upon echo Once upon echo a time");
      assert.equal(body.max_tokens, 256);
      await page.getByRole("button", { name: "why?" }).first().click();
      await page.locator("[data-token='0']").focus();
      assert.match(await page.locator(".token-detail").innerText(), /97 %[^]*all others/);
    });
  });

  test("formulas are drawn; money, broken and hostile ones stay text", async () => {
    await with_page({}, async ({ page }) => {
      await ask(page, "formulas please");
      await answered(page);
      const prose = page.locator(".answer .prose");
      assert.equal(await prose.locator("math").count(), 8);
      assert.equal(await prose.locator('math[display="block"]').count(), 4);
      assert.equal(await prose.locator("mfrac").count(), 5);
      assert.equal(await prose.locator("mtable").count(), 3);
      assert.match(await prose.innerText(), /A tea costs \$5 and a coffee \$6\./);
      assert.match(await prose.innerText(), /Unreadable: \$\\undefined\{x\}\^2\$ and \$\\frac\{1\}\$/);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      assert.equal(await prose.locator("img, script, [href]").count(), 0);
      assert.ok(await prose.locator("math mfrac").first().evaluate((element) => element.getBoundingClientRect().height > 20), "a fraction is not drawn as one");
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
      await watch_tasks(page);
      const began = Date.now();
      await ask(page, "long 2000");
      await answered(page);
      const tasks = await long_tasks(page);
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

  for (const [name, text] of [["quotes", "> ".repeat(20000)], ["lists", "- ".repeat(10000)], ["lists and quotes", "- > ".repeat(8000) + "end"], ["emphasis", "*a _b ".repeat(4000)], ["brackets", "![".repeat(8000)]]) {
    test(`thousands of ${name} in each other leave the page as it is, also after a reload`, async () => {
      let exported = "";
      await with_page({}, async ({ page }) => {
        await ask(page, "echo first");
        await answered(page);
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export all as JSON" }).click()]);
        exported = await readFile(await download.path(), "utf8");
      });
      await with_page({}, async ({ page }) => {
        // The answer alone: the last of the places where the words stand.
        const words = JSON.stringify("echo first");
        const at = exported.lastIndexOf(words);
        await import_text(page, exported.slice(0, at) + JSON.stringify(text) + exported.slice(at + words.length));
        await page.getByText("1 conversation imported.").waitFor();
        await page.getByRole("link", { name: "echo first" }).click();
        await page.waitForSelector(".answer .prose");
        await page.reload();
        await page.waitForSelector(".answer .prose");
        await ask(page, "echo on");
        await answered(page, 2);
      });
    });
  }

  test("evil text is as harmless in a question, a title, a file name and an error", async () => {
    await with_page({}, async ({ page }) => {
      await page.locator('.composer input[type="file"]').setInputFiles({ name: "<img src=x onerror=window.pwned=1>.txt", mimeType: "text/plain", buffer: Buffer.from("<script>window.pwned=2</script>") });
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
          await page.getByRole("button", { name: "Make a key" }).waitFor();
          assert.deepEqual(await page.locator(".tabs a").allInnerTexts(), ["Keys", "Use"]);
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
      assert.equal(mock.state.models.length, 4);
      await page.getByRole("button", { name: "Remove gemma3:270m" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
      await page.getByRole("heading", { name: "gemma3:270m" }).waitFor();
      assert.equal(mock.state.models.length, 3);
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
      await page.getByRole("checkbox", { name: "auditor" }).check();
      await page.getByText("Tenant, models, limits").click();
      await page.getByLabel("Tokens a day").fill("5000");
      await page.getByRole("dialog").getByRole("button", { name: "Make the key" }).click();
      await page.getByText("fh-abcDEF0123456789").waitFor();
      assert.deepEqual(mock.state.bodies.at(-1).body, { name: "ward 9", role: "user,auditor", limits: { tokens_per_day: 5000 } });
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
      await page.getByText("second 50 entries, signed up to 48").waitFor();
      await page.getByLabel("Find one entry").fill("chatcmpl-7");
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByRole("dialog").getByText("chatcmpl-7").waitFor();
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByLabel("Search what is shown").fill("cancelled");
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /Export \d+ entries/ }).click()]);
      const lines = (await readFile(await download.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
      assert.ok(lines.length > 5 && lines.every(({ outcome }) => outcome === "cancelled"));
    });
  });

  test("the log of another server is read when it is chosen", async () => {
    await with_page({ hash: "#/audit" }, async ({ page, mock }) => {
      await page.waitForSelector(".grid tbody tr");
      assert.equal(await page.getByLabel("Chain").inputValue(), "main");
      await page.getByLabel("Chain").selectOption("second");
      await page.waitForFunction(() => location.hash.includes("replica=second"));
      await page.waitForSelector(".grid tbody tr");
      assert.ok(mock.state.urls.some((each) => each.includes("replica=second")));
    });
  });

  test("a key gets a new secret; use is told by key, model and day", async () => {
    await with_page({ hash: "#/keys" }, async ({ page, mock }) => {
      await page.getByRole("button", { name: "New secret for ward 7" }).click();
      await page.getByLabel("The old one").selectOption("1d");
      await page.getByRole("button", { name: "Make a new secret" }).click();
      await page.getByText("fh-NEWabcDEF0123456789").waitFor();
      assert.deepEqual(mock.state.bodies.at(-1).body, { grace: "1d" });
      await page.getByRole("button", { name: "Close" }).click();
      assert.equal(await page.getByText("fh-NEWabcDEF0123456789").count(), 0);
      await page.getByRole("link", { name: "Use", exact: true }).click();
      await page.waitForSelector(".days rect");
      assert.deepEqual(await page.locator(".grid tbody th").allInnerTexts(), ["ward 7 k1", "operator k2"]);
      await page.getByLabel("Month").fill("2020-01");
      await page.getByText("Nothing was used in this month.").waitFor();
    });
  });

  test("one model's page: files, panels, lineage; an adapter goes without its model", async () => {
    await with_page({ hash: "#/models/smollm2%3A135m" }, async ({ page, mock }) => {
      await page.getByText("101 MB").waitFor();
      assert.match(await page.locator("main").innerText(), /a version that is not here[^]*Made from it[^]*letters:latest/);
      await page.getByRole("heading", { name: "Openness" }).waitFor();
      assert.match(await page.locator("main").innerText(), /Open weights, permissive[^]*Data information[^]*not met[^]*No licence text comes with it/);
      const saved = page.waitForEvent("download");
      await page.getByRole("button", { name: "Save the report" }).click();
      assert.equal((await saved).suggestedFilename(), "openness-smollm2-135m.html");
      await page.getByRole("link", { name: "letters:latest" }).click();
      await page.getByRole("heading", { name: "smollm2:135m+letters:latest" }).waitFor();
      await page.getByRole("button", { name: "Remove smollm2:135m+letters:latest" }).click();
      await page.getByText("smollm2:135m stays.").waitFor();
      await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
      await page.waitForFunction(() => location.hash === "#/models");
      assert.deepEqual(mock.state.bodies.at(-1), { route: "DELETE /api/delete", body: { model: "smollm2:135m+letters:latest" } });
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
