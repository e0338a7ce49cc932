// Markdown of a model, which is hostile input, to HTML that can do nothing: raw HTML stays text, pictures become links,
// and what marked makes passes DOMPurify with a short list of what is allowed. Code is coloured once highlight.js is here.
import { signal } from "@preact/signals";
import DOMPurify, { type Config } from "dompurify";
import type { HLJSApi } from "highlight.js";
import { Marked, type Token, type TokensList } from "marked";
import { escape } from "../lib/html";
import { formulas } from "./math_marks";

const highlighter = signal<HLJSApi | null>(null);
let asked = false;

/** Fetches the colours of code from the server, the first time that there is code. */
function want_highlighter(): void {
  if (asked) return;
  asked = true;
  void import("highlight.js/lib/common").then((loaded) => {
    highlighter.value = loaded.default;
  });
}

/** Marks that carry no attributes and that models write inside Markdown. */
const kHarmless = /^<\/?(?:br|sub|sup|kbd|mark|u|s|b|i|em|strong|small)\s*\/?>$/i;
/** Longer code is left plain: colours are not worth a pause. */
const kLongestColoured = 20000;

let settled = true;

const marked = new Marked({
  gfm: true,
  breaks: false,
  renderer: {
    html(token) {
      const { text } = token;
      if (kHarmless.test(text.trim())) return text;
      return "block" in token && token.block ? `<p class="raw">${escape(text.trimEnd())}</p>` : escape(text);
    },
    image({ href, text }) {
      return `<a href="${escape(href)}">${escape(text || href)}</a>`;
    },
    code({ text, lang }) {
      const language = /^[\w+#.-]+/.exec(lang ?? "")?.[0] ?? "";
      want_highlighter();
      const colours = highlighter.value;
      const known = language !== "" && colours?.getLanguage(language);
      const body = settled && known && text.length <= kLongestColoured ? colours!.highlight(text, { language, ignoreIllegals: true }).value : escape(text);
      return (
        `<div class="code"><div class="code-bar"><span>${escape(language || "text")}</span><button type="button" data-copy="code">Copy</button></div>` +
        `<pre tabindex="0"><code>${body}\n</code></pre></div>`
      );
    },
    table(token) {
      const row = (cells: typeof token.header, tag: string) => `<tr>${cells.map((cell) => `<${tag}${cell.align ? ` align="${cell.align}"` : ""}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
      return `<div class="table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${token.rows.map((cells) => row(cells, "td")).join("")}</tbody></table></div>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
});

marked.use(formulas);

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

const kAllowed: Config = {
  ALLOWED_TAGS: [
    "a", "b", "blockquote", "br", "button", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "kbd", "li", "mark", "ol", "p",
    "pre", "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
  ],
  ALLOWED_ATTR: ["href", "class", "align", "start", "title", "type", "tabindex", "data-copy"],
  // What DOMPurify would otherwise hold against the addresses that are allowed.
  ADD_URI_SAFE_ATTR: ["align", "start", "type", "tabindex", "data-copy"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  RETURN_TRUSTED_TYPE: true,
};

type Links = TokensList["links"];

/**
 * The reader calls itself for every quote in a quote and list in a list, and a model that repeats itself writes thousands:
 * what is nested too deep for it is shown as it was written.
 */
function read_or_else<T>(read: () => T, otherwise: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return otherwise();
    throw error;
  }
}

/** One block of Markdown as safe HTML. Code in a block that still grows is left plain. */
export function block_html(raw: string, links: Links, growing: boolean): string {
  settled = !growing;
  const lexer = new marked.Lexer({ ...marked.defaults, tokenizer: null });
  Object.assign(lexer.tokens.links, links);
  const plain = () => `<p class="raw">${escape(raw)}</p>`;
  const html = read_or_else(() => marked.parser(lexer.lex(raw)), plain);
  // Preact hands the value on to innerHTML as it is, so that it may be the TrustedHTML that the page's policy asks for.
  const safe = (of: string) => DOMPurify.sanitize(of, kAllowed) as unknown as string;
  return read_or_else(
    () => safe(html),
    () => safe(plain()),
  );
}

export interface Blocks {
  text: string;
  blocks: string[];
  links: Links;
  /** Whether the blocks, one behind the other, are the text: then their lengths tell where each begins. */
  exact: boolean;
}

export const kNoBlocks: Blocks = { text: "", blocks: [], links: {}, exact: false };

/** The blocks at the end that more text can still change: a list goes on behind a blank line. */
const kUnsettled = 2;

/**
 * Cuts Markdown into its outermost blocks. While it grows, only the text of the last blocks is read again, so that a
 * long answer costs no more at its end than at its beginning; when it is complete it is read once as a whole.
 */
export function split(before: Blocks, source: string, growing: boolean): Blocks {
  const text = source.replace(/\r\n?/g, "\n");
  if (growing && before.exact && text.startsWith(before.text)) {
    const kept = before.blocks.slice(0, -kUnsettled);
    const length = kept.reduce((sum, block) => sum + block.length, 0);
    const tail = lex(text.slice(length));
    return { ...tail, text, blocks: [...kept, ...tail.blocks], links: { ...before.links, ...tail.links } };
  }
  return lex(text);
}

function lex(text: string): Blocks {
  const tokens = read_or_else<TokensList | null>(
    () => marked.lexer(text),
    () => null,
  );
  if (tokens === null) return { text, blocks: [text], links: {}, exact: true };
  const blocks: string[] = [];
  for (const token of tokens as Token[]) {
    // Blank lines belong to the block before them.
    if (token.type === "space" && blocks.length > 0) blocks[blocks.length - 1] += token.raw;
    else blocks.push(token.raw);
  }
  return { text, blocks, links: tokens.links, exact: blocks.join("") === text };
}

/** Read by a view, so that it draws again when the colours have come. */
export function highlighter_ready(): boolean {
  return highlighter.value !== null;
}
