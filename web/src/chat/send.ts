// Asks for an answer and follows it while it is written: the request, the stream, the pace at which it is drawn.
// An answer goes on when its conversation is left; it ends by itself, by Stop, or by an error that stays with it.
import { signal, type Signal } from "@preact/signals";
import { ApiError, complaint, error_of, open as open_request } from "../lib/api";
import { events } from "../lib/stream";
import { base_of, load_models, models } from "../models/catalogue";
import { add_turn, change_head, change_turn, save_draft, save_tokens, type OpenConversation } from "./store";
import { content_for_model, new_id, split_thinking, title_of, type Attachment, type Parameters, type Token, type Turn } from "./tree";

/** An answer that is being written. The signals change at most once a frame, and less often when drawing is slow. */
export interface Live {
  content: Signal<string>;
  reasoning: Signal<string>;
  pieces: Signal<number>;
  begun: number;
  stop: () => void;
}

/** The answers that are being written now, by the id of their turn. */
export const live = signal<ReadonlyMap<string, Live>>(new Map());

/** What a screen reader is told about answers: beginnings and ends, not every word. */
export const announcement = signal("");

interface OldLogProbs {
  tokens?: string[];
  token_logprobs?: (number | null)[];
  top_logprobs?: (Record<string, number> | null)[];
}

interface LogProb {
  token?: string;
  logprob?: number | null;
  top_logprobs?: { token?: string; logprob?: number }[];
}

interface Chunk {
  error?: unknown;
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null; reasoning?: string | null };
    /** Of a base model, which continues a text. */
    text?: string;
    logprobs?: ({ content?: LogProb[] | null } & OldLogProbs) | null;
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number; prompt_tokens_details?: { cached_tokens?: number } | null } | null;
  timings?: { predicted_per_second?: number };
}

const kAlternatives = 5;

function blank(conversation: string, parent: string, role: Turn["role"], model: string): Turn {
  return {
    id: new_id(), conversation, parent, role, content: "", reasoning: "", attachments: [], created: Date.now(), model, finish: "", error: null,
    prompt_tokens: null, cached_tokens: null, completion_tokens: null, first_token: null, tokens_per_second: null,
  };
}

/** Puts a question after `parent` ("" is the beginning) and asks for its answer. */
export function ask(open: OpenConversation, parent: string, content: string, attachments: Attachment[]): void {
  const turn = { ...blank(open.head.value.id, parent, "user", ""), content, attachments, finish: "stop" };
  if (open.turns.value.length === 0) change_head(open, { title: title_of(content || attachments[0]?.name || "") });
  add_turn(open, turn);
  answer(open, turn.id);
}

function token_of(entry: LogProb): Token {
  const others = (entry.top_logprobs ?? []).map(({ token = "", logprob = -Infinity }) => ({ text: token, p: Math.exp(logprob) }));
  return { text: entry.token ?? "", p: Math.exp(entry.logprob ?? -Infinity), others };
}

function tokens_in(logprobs: NonNullable<Chunk["choices"]>[number]["logprobs"]): Token[] {
  if (!logprobs) return [];
  if (logprobs.content) return logprobs.content.map(token_of);
  return (logprobs.tokens ?? []).map((text, place) => ({
    text,
    p: Math.exp(logprobs.token_logprobs?.[place] ?? -Infinity),
    others: Object.entries(logprobs.top_logprobs?.[place] ?? {}).map(([other, logprob]) => ({ text: other, p: Math.exp(logprob) })),
  }));
}

/** Calls `draw` at most once a frame, and rests four times as long as drawing took. */
function paced(draw: () => void): { wake: () => void; end: () => void } {
  let waiting = false;
  let over = false;
  let rest_until = 0;
  const frame = () => {
    if (over) return;
    const now = performance.now();
    if (now < rest_until) {
      requestAnimationFrame(frame);
      return;
    }
    waiting = false;
    draw();
    // Preact draws in a microtask after the signals change; a message arrives behind it.
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      rest_until = performance.now() + Math.min(4 * (performance.now() - now), 250);
      channel.port1.close();
    };
    channel.port2.postMessage(0);
  };
  return {
    wake: () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(frame);
    },
    end: () => {
      over = true;
    },
  };
}

/** What one answer is asked for with; without it the conversation's own settings count. */
export interface Asking {
  model: string;
  parameters: Parameters;
}

/** Asks for an answer to the question `parent`; a question that has one already gets a sibling beside it. */
export function answer(open: OpenConversation, parent: string, asking?: Asking): void {
  const head = open.head.value;
  const { model, parameters } = asking ?? head;
  const turn: Turn = { ...blank(head.id, parent, "assistant", model), parameters };
  const before = [];
  const turns = new Map(open.turns.value.map((each) => [each.id, each]));
  for (let at = turns.get(parent); at; at = turns.get(at.parent)) before.unshift(at);
  add_turn(open, turn);

  const abort = new AbortController();
  const now: Live = { content: signal(""), reasoning: signal(""), pieces: signal(0), begun: performance.now(), stop: () => abort.abort() };
  live.value = new Map(live.value).set(turn.id, now);
  announcement.value = "The answer is being written.";

  const said = before
    .filter((each) => each.role === "user" || each.content !== "")
    .map((each) => ({ role: each.role as string, content: each.role === "user" ? content_for_model(each) : each.content }));
  if (head.system.trim() !== "") said.unshift({ role: "system", content: head.system });
  const request = { model, said, parameters, probabilities: head.probabilities };
  void follow(open, turn, request, now, abort.signal);
}

interface Request {
  model: string;
  said: { role: string; content: string }[];
  parameters: Parameters;
  probabilities: boolean;
}

const kContinuation = 256;

/** A base model was not taught to answer: what was said so far is one text, which it continues. */
function continues(model: string): boolean {
  return models.value?.find(({ name }) => name === base_of(model))?.kind === "base";
}

function joined(parts: string[]): string {
  return parts.reduce((text, part) => (text === "" || /\s$/.test(text) || /^[\s.,;:!?)]/.test(part) ? text + part : `${text} ${part}`), "");
}

async function send({ model, said, parameters, probabilities }: Request, stop: AbortSignal): Promise<Response> {
  const common = { model, ...parameters, stream: true, stream_options: { include_usage: true } };
  const talk = () => open_request("POST", "/v1/chat/completions", { ...common, messages: said, ...(probabilities ? { logprobs: true, top_logprobs: kAlternatives } : {}) }, stop);
  const go_on = () =>
    open_request("POST", "/v1/completions", { max_tokens: kContinuation, ...common, prompt: joined(said.map(({ content }) => content)), ...(probabilities ? { logprobs: kAlternatives } : {}) }, stop);
  if (continues(model)) return go_on();
  try {
    return await talk();
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || thrown.status !== 400) throw thrown;
    // That a model is a base model shows only once the server has loaded it.
    await load_models();
    if (!continues(model)) throw thrown;
    return go_on();
  }
}

async function follow(open: OpenConversation, turn: Turn, request: Request, now: Live, stop: AbortSignal): Promise<void> {
  let content = "";
  let reasoning = "";
  let pieces = 0;
  let first: number | null = null;
  let last = now.begun;
  let finish = "";
  let usage: Chunk["usage"] = null;
  let served_rate: number | null = null;
  const tokens: Token[] = [];
  let error: Turn["error"] = null;

  const current = (): Turn => {
    const told = split_thinking(content);
    return { ...turn, content: told.content, reasoning: reasoning + told.reasoning };
  };
  const pace = paced(() => {
    const shown = current();
    now.content.value = shown.content;
    now.reasoning.value = shown.reasoning;
    now.pieces.value = pieces;
  });
  const saving = setInterval(() => save_draft(current()), 3000);

  try {
    const response = await send(request, stop);
    if (!response.body) throw new Error("The server sent an empty answer.");
    for await (const data of events(response.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw error_of(chunk, response.status);
      if (chunk.usage) usage = chunk.usage;
      if (chunk.timings?.predicted_per_second) served_rate = chunk.timings.predicted_per_second;
      const choice = chunk.choices?.[0];
      if (!choice) continue;
      const text = choice.delta?.content ?? choice.text ?? "";
      const thought = choice.delta?.reasoning_content ?? choice.delta?.reasoning ?? "";
      tokens.push(...tokens_in(choice.logprobs));
      if (choice.finish_reason) finish = choice.finish_reason;
      if (text === "" && thought === "") continue;
      last = performance.now();
      first ??= last;
      pieces++;
      content += text;
      reasoning += thought;
      pace.wake();
    }
    if (finish === "") {
      finish = "interrupted";
      error = { message: "The answer broke off before its end.", hint: "The server closed the connection; ask again." };
    }
  } catch (thrown) {
    if (stop.aborted) finish = "stopped";
    else {
      finish = "error";
      error = complaint(thrown);
    }
  }
  pace.end();
  clearInterval(saving);

  const written = usage?.completion_tokens ?? (tokens.length > 0 ? tokens.length : pieces);
  const span = first === null ? 0 : (last - first) / 1000;
  if (tokens.length > 0) save_tokens(open, turn.id, tokens);
  const { content: text, reasoning: thoughts } = current();
  change_turn(open, turn.id, {
    content: text,
    reasoning: thoughts,
    finish,
    error,
    prompt_tokens: usage?.prompt_tokens ?? null,
    cached_tokens: usage?.prompt_tokens_details?.cached_tokens ?? null,
    completion_tokens: written,
    first_token: first === null ? null : (first - now.begun) / 1000,
    tokens_per_second: served_rate ?? (span > 0 && written > 1 ? (written - 1) / span : null),
  });
  const rest = new Map(live.value);
  rest.delete(turn.id);
  live.value = rest;
  // An error is told by its own note.
  announcement.value = error ? "" : finish === "stopped" ? "The answer was stopped." : `The answer is complete: ${written} tokens.`;
}
