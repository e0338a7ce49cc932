// Where formulas stand in Markdown: $...$, $$...$$, \(...\) and \[...\]. They are marked here with their source as text;
// tex.ts draws them once they are on the page. A sum of money is no formula.
import type { MarkedExtension, Tokens } from "marked";
import { escape } from "../lib/html";

interface Formula extends Tokens.Generic {
  display: boolean;
}

const kBlock = /^ {0,3}(?:\$\$(?!\$)[^]+?\$\$|\\\[[^]+?\\\])[ \t]*(?:\n+|$)/;
const kInline = /^(?:\$\$(?!\$)[^$]+?\$\$|\\\([^]+?\\\)|\\\[[^]+?\\\]|\$(?![\s$])(?:\\[^]|[^\\$\n])+?(?<!\s)\$(?![\d$]))/;

/** What stands between single dollars must look like mathematics: a sign of it, or one letter. */
function likely(raw: string): boolean {
  if (!/^\$[^$]/.test(raw)) return true;
  const inner = raw.slice(1, -1);
  return /[\\^_=<>+*/|{}-]/.test(inner) || /^[A-Za-z]'?(?:\([A-Za-z0-9, ]+\))?$/.test(inner) || /^\([A-Za-z0-9, ]+\)$/.test(inner);
}

export const formulas: MarkedExtension = {
  extensions: [
    {
      name: "formula_block",
      level: "block",
      start(source) {
        const at = source.search(/\n {0,3}(?:\$\$|\\\[)/);
        return at < 0 ? undefined : at + 1;
      },
      tokenizer(source): Formula | undefined {
        const raw = kBlock.exec(source)?.[0];
        return raw === undefined ? undefined : { type: "formula_block", raw, text: raw.trim(), display: true };
      },
      renderer: ({ text }) => `<div class="math math-display" tabindex="0">${escape(String(text))}</div>`,
    },
    {
      name: "formula",
      level: "inline",
      start(source) {
        const at = source.search(/\$|\\[([]/);
        return at < 0 ? undefined : at;
      },
      tokenizer(source): Formula | undefined {
        const raw = kInline.exec(source)?.[0];
        return raw === undefined || !likely(raw) ? undefined : { type: "formula", raw, text: raw, display: /^(?:\$\$|\\\[)/.test(raw) };
      },
      renderer: ({ text, ["display"]: display }) => `<span class="${display ? "math math-display" : "math"}"${display ? ' tabindex="0"' : ""}>${escape(String(text))}</span>`,
    },
  ],
};
