// A conversation as a tree of turns: an edited question or a second answer is a sibling, nothing is overwritten.
// Pure data and functions; storing and drawing are elsewhere.

export interface Attachment {
  name: string;
  text: string;
}

/** Sampling as the request carries it; what is absent is the server's choice. */
export interface Parameters {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repeat_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
}

export type NumberName = Exclude<keyof Parameters, "stop">;

/** What each number may be; a step of 1 means whole numbers. */
export const kLimits: Record<NumberName, { min: number; max: number; step: number }> = {
  temperature: { min: 0, max: 2, step: 0.05 },
  top_p: { min: 0, max: 1, step: 0.01 },
  top_k: { min: 0, max: 1000, step: 1 },
  min_p: { min: 0, max: 1, step: 0.01 },
  repeat_penalty: { min: 0.5, max: 2, step: 0.01 },
  presence_penalty: { min: -2, max: 2, step: 0.1 },
  frequency_penalty: { min: -2, max: 2, step: 0.1 },
  max_tokens: { min: 1, max: 1_000_000, step: 1 },
  seed: { min: 0, max: 2 ** 53, step: 1 },
};

export interface Turn {
  id: string;
  conversation: string;
  /** The turn before this one; "" is the beginning. */
  parent: string;
  role: "user" | "assistant";
  content: string;
  reasoning: string;
  attachments: Attachment[];
  created: number;
  model: string;
  /** What an answer was asked for with; absent in those of earlier versions. */
  parameters?: Parameters;
  /** "" while it is being written; then stop, length, stopped (by a person), interrupted, error. */
  finish: string;
  error: { message: string; hint: string } | null;
  prompt_tokens: number | null;
  cached_tokens: number | null;
  completion_tokens: number | null;
  /** Seconds from asking to the first piece, and tokens a second after it. */
  first_token: number | null;
  tokens_per_second: number | null;
}

export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  model: string;
  system: string;
  parameters: Parameters;
  probabilities: boolean;
  /** Which child is shown under each turn; without an entry the newest is. */
  selected: Record<string, string>;
}

/** One token as the server reported it: its text, its probability and what else was likely. */
export interface Token {
  text: string;
  p: number;
  others: { text: string; p: number }[];
}

export function new_id(): string {
  // crypto.randomUUID wants a secure context, which plain http on another machine is not.
  const bits = crypto.getRandomValues(new Uint8Array(12));
  return Date.now().toString(36) + Array.from(bits, (value) => value.toString(16).padStart(2, "0")).join("");
}

export function children(turns: readonly Turn[], parent: string): Turn[] {
  return turns.filter((turn) => turn.parent === parent).sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

export interface Step {
  turn: Turn;
  /** The turns that could stand here, oldest first, and which of them does. */
  siblings: Turn[];
  place: number;
}

/** The turns that are shown, from the beginning to the end of the chosen branch. */
export function path(turns: readonly Turn[], selected: Readonly<Record<string, string>>): Step[] {
  const by_parent = new Map<string, Turn[]>();
  for (const turn of turns) {
    const list = by_parent.get(turn.parent);
    if (list) list.push(turn);
    else by_parent.set(turn.parent, [turn]);
  }
  const steps: Step[] = [];
  for (let at = ""; ; ) {
    const siblings = by_parent.get(at);
    if (!siblings) return steps;
    siblings.sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
    const chosen = siblings.findIndex((turn) => turn.id === selected[at]);
    const place = chosen >= 0 ? chosen : siblings.length - 1;
    const turn = siblings[place] as Turn;
    steps.push({ turn, siblings, place });
    at = turn.id;
  }
}

/** What the model is sent for a question with files: each file first, fenced so that it cannot end its own fence. */
export function content_for_model(turn: Turn): string {
  const parts = turn.attachments.map(({ name, text }) => {
    const longest = (text.match(/`+/g) ?? []).reduce((length, run) => Math.max(length, run.length), 2);
    const fence = "`".repeat(longest + 1);
    return `File ${name}:\n${fence}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
  });
  return [...parts, turn.content].filter((part) => part !== "").join("\n\n");
}

/** Some models think inside their text; a leading <think> block is told apart here when the server has not done so. */
export function split_thinking(content: string): { reasoning: string; content: string } {
  const start = /^\s*<think>/.exec(content);
  if (!start) return { reasoning: "", content };
  const end = content.indexOf("</think>");
  if (end < 0) return { reasoning: content.slice(start[0].length), content: "" };
  return { reasoning: content.slice(start[0].length, end), content: content.slice(end + "</think>".length).trimStart() };
}

/** The first words of a question, as the name of the conversation. */
export function title_of(question: string): string {
  const line = question.replace(/\s+/g, " ").trim();
  return line.length <= 60 ? line : `${line.slice(0, 59).replace(/\s\S*$/, "")}…`;
}
