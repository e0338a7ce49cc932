// Formulas as models write them (the part of TeX's mathematics that they use) to MathML, which browsers draw by themselves.
// Elements are made one by one and text is only ever text, so that nothing in a formula can become anything else.
import { kAccents, kAlphabets, kEscaped, kFunctions, kLimitFunctions, kOperators, kPlain, kSpaces, kWide } from "./tex_signs";

const kNamespace = "http://www.w3.org/1998/Math/MathML";
const kLongest = 4000;
const kDeepest = 40;

/** What cannot be read; the formula then stays as it was written. */
class Unreadable extends Error {}

function make(tag: string, children: (Element | string)[] = [], attributes: Record<string, string> = {}): Element {
  const element = document.createElementNS(kNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function row(parts: Element[]): Element {
  return parts.length === 1 && parts[0] ? parts[0] : make("mrow", parts);
}

function operator(sign: string, attributes: Record<string, string> = {}): Element {
  return make("mo", [sign], attributes);
}

const kFences: Record<string, [string, string]> = { matrix: ["", ""], smallmatrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], Bmatrix: ["{", "}"], vmatrix: ["|", "|"], Vmatrix: ["‖", "‖"], cases: ["{", ""] };
const kTables = new Set([...Object.keys(kFences), "array", "aligned", "align", "align*", "alignedat", "split", "gather", "gather*", "gathered", "equation", "equation*", "eqnarray", "eqnarray*"]);
const kTurned = new Set(["aligned", "align", "align*", "alignedat", "split", "eqnarray", "eqnarray*"]);

class Reader {
  private readonly words: string[];
  private at = 0;
  private depth = 0;

  constructor(source: string) {
    // A command, a break of lines, a number, or one sign; a remark goes to the end of its line.
    this.words = source.replace(/(?<!\\)%.*$/gm, "").match(/\\(?:operatorname\*|[a-zA-Z]+|[^])|\d+(?:[.,]\d+)*|[^]/gu) ?? [];
  }

  whole(): Element {
    const parts = this.row(() => false);
    if (this.at < this.words.length) throw new Unreadable();
    return row(parts);
  }

  private peek(): string {
    while (/^\s$/.test(this.words[this.at] ?? "")) this.at++;
    return this.words[this.at] ?? "";
  }

  private next(): string {
    const word = this.peek();
    this.at++;
    return word;
  }

  private want(word: string): void {
    if (this.next() !== word) throw new Unreadable();
  }

  private row(ends: (word: string) => boolean): Element[] {
    if (++this.depth > kDeepest) throw new Unreadable();
    const parts: Element[] = [];
    for (let word = this.peek(); word !== "" && word !== "}" && !ends(word); word = this.peek()) {
      const part = this.scripted();
      if (part) parts.push(part);
    }
    this.depth--;
    return parts;
  }

  /** `{...}`, or one sign. */
  private argument(): Element {
    if (this.peek() === "") throw new Unreadable();
    return this.atom() ?? make("mrow");
  }

  /** The text between braces as it stands. */
  private raw(): string {
    this.want("{");
    let text = "";
    for (let open = 1; ; ) {
      const word = this.words[this.at++];
      if (word === undefined) throw new Unreadable();
      if (word === "{") open++;
      if (word === "}" && --open === 0) return text;
      text += kEscaped[word] ?? (word === "~" ? "\u00a0" : word);
    }
  }

  private scripted(): Element | null {
    const limits = kWide.has(this.peek()) || kLimitFunctions.has(this.peek()) || /^\\(?:over|under)brace$/.test(this.peek());
    const base = /^[_^]$/.test(this.peek()) ? make("mrow") : this.atom();
    let below: Element | null = null;
    const above: Element[] = [];
    for (;;) {
      const word = this.peek();
      if (word === "_" && !below) {
        this.at++;
        below = this.argument();
      } else if (word === "^") {
        this.at++;
        above.push(this.argument());
      } else if (word === "'") {
        this.at++;
        above.push(operator("′"));
      } else if (word === "\\limits" || word === "\\nolimits") {
        this.at++;
      } else break;
    }
    if (!below && above.length === 0) return base;
    const parts = [base ?? make("mrow")];
    if (below) parts.push(below);
    if (above.length > 0) parts.push(row(above));
    const tags = limits ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
    return make(tags[below && above.length > 0 ? 2 : below ? 0 : 1] as string, parts);
  }

  private atom(): Element | null {
    const word = this.next();
    if (word === "{") {
      const inner = this.row(() => false);
      this.want("}");
      return make("mrow", inner);
    }
    if (word === "" || word === "}" || word === "&" || word === "\\\\") throw new Unreadable();
    if (word.startsWith("\\")) return this.command(word);
    if (/^\d/.test(word)) return make("mn", [word]);
    if (/^\p{L}$/u.test(word)) return make("mi", [word]);
    if (word === "~") return make("mspace", [], { width: "0.33em" });
    return operator(word === "-" ? "−" : word === "*" ? "∗" : word, /^[()[\]|/]$/.test(word) ? { stretchy: "false" } : {});
  }

  private delimiter(): string {
    const word = this.next();
    if (word === "" || word === "}") throw new Unreadable();
    if (word === ".") return "";
    return { "\\|": "‖", "\\lVert": "‖", "\\rVert": "‖", "\\lvert": "|", "\\rvert": "|", "<": "⟨", ">": "⟩" }[word] ?? kEscaped[word] ?? kOperators[word] ?? word;
  }

  private command(word: string): Element | null {
    const sign = kPlain[word];
    if (sign !== undefined) return make("mi", [sign]);
    const known = kOperators[word] ?? kEscaped[word];
    if (known !== undefined) return operator(known, kWide.has(word) ? { movablelimits: "true" } : { stretchy: "false" });
    if (kFunctions.has(word)) return kLimitFunctions.has(word) ? operator(word.slice(1), { movablelimits: "true", lspace: "0", rspace: "0.17em" }) : make("mrow", [make("mi", [word.slice(1)]), make("mspace", [], { width: "0.17em" })]);
    const space = kSpaces[word];
    if (space !== undefined) return make("mspace", [], { width: space });
    const accent = kAccents[word];
    if (accent !== undefined) {
      const [mark, wide, under] = accent;
      return make(under ? "munder" : "mover", [this.argument(), operator(mark, { stretchy: String(wide) })], under ? {} : { accent: "true" });
    }
    const alphabet = kAlphabets[word];
    if (alphabet) return this.lettered(alphabet);
    switch (word) {
      case "\\frac":
      case "\\dfrac":
      case "\\tfrac":
      case "\\cfrac":
        return make("mfrac", [this.argument(), this.argument()]);
      case "\\binom":
        return make("mrow", [operator("("), make("mfrac", [this.argument(), this.argument()], { linethickness: "0" }), operator(")")]);
      case "\\sqrt": {
        if (this.peek() !== "[") return make("msqrt", [this.argument()]);
        this.at++;
        const degree = row(this.row((end) => end === "]"));
        this.want("]");
        return make("mroot", [this.argument(), degree]);
      }
      case "\\text":
      case "\\textrm":
      case "\\textbf":
      case "\\textit":
      case "\\mbox":
        return make("mtext", [this.raw().replace(/^ | $/g, "\u00a0")]);
      case "\\mathrm":
      case "\\operatorname":
      case "\\operatorname*":
      case "\\mathsf":
      case "\\mathtt":
        return make("mi", [this.raw().trim()], { mathvariant: "normal" });
      case "\\left": {
        const open = this.delimiter();
        const inner = this.row((end) => end === "\\right");
        this.want("\\right");
        return make("mrow", [operator(open, { fence: "true", stretchy: "true" }), ...inner, operator(this.delimiter(), { fence: "true", stretchy: "true" })]);
      }
      case "\\middle":
        return operator(this.delimiter(), { stretchy: "true" });
      case "\\boxed":
        return make("mrow", [this.argument()], { class: "math-boxed" });
      case "\\tag":
        return make("mtext", [`\u2003(${this.raw()})`]);
      case "\\overset":
      case "\\stackrel": {
        const above = this.argument();
        return make("mover", [this.argument(), above]);
      }
      case "\\underset": {
        const below = this.argument();
        return make("munder", [this.argument(), below]);
      }
      case "\\pmod":
        return make("mrow", [make("mspace", [], { width: "1em" }), operator("("), make("mi", ["mod"]), make("mspace", [], { width: "0.33em" }), this.argument(), operator(")")]);
      case "\\begin":
        return this.environment();
      case "\\displaystyle":
      case "\\textstyle":
      case "\\nonumber":
      case "\\notag":
        return null;
    }
    if (/^\\[bB]igg?[lrm]?$/.test(word)) return operator(this.delimiter());
    throw new Unreadable();
  }

  /** Letters of another alphabet: they have code points of their own. */
  private lettered(alphabet: (letter: string) => string): Element {
    const text = this.peek() === "{" ? this.raw() : (kPlain[this.peek()] !== undefined ? (kPlain[this.next()] as string) : this.next());
    const plain = text.replace(/\\[a-zA-Z]+/g, (name) => kPlain[name] ?? name);
    if (plain.includes("\\")) throw new Unreadable();
    return make("mi", [Array.from(plain, alphabet).join("")]);
  }

  private environment(): Element {
    const name = this.raw();
    if (!kTables.has(name)) throw new Unreadable();
    if (name === "array" || name === "alignedat") this.raw();
    const rows: Element[][] = [[]];
    for (;;) {
      rows.at(-1)?.push(make("mtd", this.row((end) => end === "&" || end === "\\\\" || end === "\\end")));
      const word = this.next();
      if (word === "&") continue;
      if (word === "\\\\") {
        if (this.peek() === "\\hline") this.at++;
        rows.push([]);
        continue;
      }
      if (word === "\\end" && this.raw() === name) break;
      throw new Unreadable();
    }
    // A break of lines before the end makes no row.
    if (rows.length > 1 && rows.at(-1)?.every((cell) => cell.childElementCount === 0)) rows.pop();
    const kind = kTurned.has(name) ? "math-turned" : name === "cases" ? "math-cases" : "math-matrix";
    const table = make("mtable", rows.map((cells) => make("mtr", cells)), { class: kind, displaystyle: kind === "math-turned" ? "true" : "false" });
    const [open, close] = kFences[name] ?? ["", ""];
    if (open === "" && close === "") return table;
    return make("mrow", [operator(open, { fence: "true", stretchy: "true" }), table, operator(close, { fence: "true", stretchy: "true" })]);
  }
}

/** The formula as an element; null when it is no formula that this page can read. */
export function formula(source: string, display: boolean): Element | null {
  if (source.length > kLongest) return null;
  try {
    return make("math", [new Reader(source).whole()], display ? { display: "block" } : {});
  } catch (thrown) {
    if (thrown instanceof Unreadable) return null;
    throw thrown;
  }
}

/** Turns the marked places of a block into formulas; what cannot be read stays as it was written. */
export function draw_formulas(block: HTMLElement): void {
  for (const place of block.querySelectorAll<HTMLElement>(".math")) {
    if (place.firstElementChild) continue;
    const source = place.textContent ?? "";
    const made = formula(source.replace(/^(?:\$\$?|\\[([])|(?:\$\$?|\\[)\]])$/g, ""), place.classList.contains("math-display"));
    if (made) place.replaceChildren(made);
    else place.classList.add("math-raw");
  }
}
