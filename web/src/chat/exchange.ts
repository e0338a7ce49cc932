// Conversations as one JSON text, out and in again. What comes in may be anybody's: every field is looked at, what is
// not known is left out, and nothing that is here already is changed by it.
import { add_all, find, list } from "./store";
import { kLimits, new_id, type Attachment, type Conversation, type NumberName, type Parameters, type Turn } from "./tree";

const kFormat = "freehold-conversations";
const kVersion = 1;

/** Bounds of a file: an honest one of years of talk is far below them. */
export const kLargestImport = 64_000_000;
const kMostConversations = 10_000;
const kMostTurns = 10_000;
const kMostAttachments = 32;
const kLongestTitle = 200;
const kLongestName = 256;

/** Everything about one conversation, or about all of them. */
export async function export_json(id?: string): Promise<string> {
  const heads = id === undefined ? list.value : list.value.filter((head) => head.id === id);
  const conversations = [];
  for (const head of heads) conversations.push({ ...head, turns: (await find(head.id))?.turns.value ?? [] });
  return `${JSON.stringify({ format: kFormat, version: kVersion, exported: new Date().toISOString(), conversations }, null, 2)}\n`;
}

type Loose = Record<string, unknown>;

function loose(value: unknown): Loose {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Loose) : {};
}

function text(value: unknown, most = Infinity): string {
  return typeof value === "string" ? value.slice(0, most) : "";
}

/** A count or a time; anything else is unknown. */
function amount(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

/** A time of the past: one from the future would stand above all others for ever. */
function moment(value: unknown, otherwise: number): number {
  const at = amount(value);
  return at === null ? otherwise : Math.min(at, Date.now());
}

function parameters_of(value: unknown): Parameters {
  const given = loose(value);
  const made: Parameters = {};
  for (const name of Object.keys(kLimits) as NumberName[]) {
    const { min, max, step } = kLimits[name];
    const number = given[name];
    if (typeof number === "number" && number >= min && number <= max && (step !== 1 || Number.isInteger(number))) made[name] = number;
  }
  const stop = Array.isArray(given["stop"]) ? given["stop"].filter((each): each is string => typeof each === "string" && each !== "").slice(0, 4) : [];
  if (stop.length > 0) made.stop = stop.map((each) => each.slice(0, 1000));
  return made;
}

function attachments_of(value: unknown): Attachment[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, kMostAttachments).map((each) => ({ name: text(loose(each)["name"], kLongestName) || "file", text: text(loose(each)["text"]) }));
}

function turn_of(value: unknown, conversation: string, otherwise: number): Turn | null {
  const given = loose(value);
  const role = given["role"];
  if (role !== "user" && role !== "assistant") return null;
  const error = loose(given["error"]);
  return {
    id: text(given["id"], kLongestName),
    conversation,
    parent: text(given["parent"], kLongestName),
    role,
    content: text(given["content"]),
    reasoning: text(given["reasoning"]),
    attachments: attachments_of(given["attachments"]),
    created: moment(given["created"], otherwise),
    model: text(given["model"], kLongestName),
    parameters: parameters_of(given["parameters"]),
    // An answer that was being written where it was exported is not being written here.
    finish: text(given["finish"], 32) || "interrupted",
    error: text(error["message"]) === "" ? null : { message: text(error["message"], 2000), hint: text(error["hint"], 2000) },
    prompt_tokens: amount(given["prompt_tokens"]),
    cached_tokens: amount(given["cached_tokens"]),
    completion_tokens: amount(given["completion_tokens"]),
    first_token: amount(given["first_token"]),
    tokens_per_second: amount(given["tokens_per_second"]),
  };
}

/** The turns that hang together from the beginning, under new ids: an id of the file may be one of another conversation here. */
function replanted(turns: Turn[]): { turns: Turn[]; ids: Map<string, string> } {
  const ids = new Map<string, string>([["", ""]]);
  const by_parent = new Map<string, Turn[]>();
  const seen = new Set<string>([""]);
  for (const turn of turns) {
    if (seen.has(turn.id)) continue;
    seen.add(turn.id);
    by_parent.set(turn.parent, [...(by_parent.get(turn.parent) ?? []), turn]);
  }
  const made: Turn[] = [];
  const ahead = [""];
  for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
    for (const turn of by_parent.get(at) ?? []) {
      const id = new_id();
      ids.set(turn.id, id);
      made.push({ ...turn, id, parent: ids.get(at) ?? "" });
      ahead.push(turn.id);
    }
  }
  return { turns: made, ids };
}

export interface Imported {
  head: Conversation;
  turns: Turn[];
}

function conversation_of(value: unknown): Imported | null {
  const given = loose(value);
  if (!Array.isArray(given["turns"]) || given["turns"].length > kMostTurns) return null;
  const now = Date.now();
  const named = text(given["id"]);
  const id = /^[0-9a-z]{16,64}$/.test(named) ? named : new_id();
  const read = given["turns"].map((each) => turn_of(each, id, now)).filter((each): each is Turn => each !== null && each.id !== "");
  const { turns, ids } = replanted(read);
  if (turns.length === 0) return null;
  const selected: Record<string, string> = {};
  for (const [parent, child] of Object.entries(loose(given["selected"]))) {
    const from = ids.get(parent);
    const to = typeof child === "string" ? ids.get(child) : undefined;
    if (from !== undefined && to !== undefined && to !== "") selected[from] = to;
  }
  const updated = moment(given["updated"], now);
  const head: Conversation = {
    id,
    title: text(given["title"], kLongestTitle).replace(/\s+/g, " ").trim() || "Conversation",
    created: moment(given["created"], updated),
    updated,
    model: text(given["model"], kLongestName),
    system: text(given["system"]),
    parameters: parameters_of(given["parameters"]),
    probabilities: given["probabilities"] !== false,
    selected,
  };
  return { head, turns };
}

/** What a text holds; throws a sentence when it is no export at all. */
export function read_export(source: string): { conversations: Imported[]; unreadable: number } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(source);
  } catch {
    throw new Error("The file is not JSON. Choose one that was made by “Export”.");
  }
  const body = loose(parsed);
  if (body["format"] !== kFormat || !Array.isArray(body["conversations"])) throw new Error("The file holds no conversations of Freehold. Choose one that was made by “Export”.");
  if (body["version"] !== kVersion) throw new Error("The file was made by a newer Freehold. Export it again there in an older form, or open this page from that server.");
  if (body["conversations"].length > kMostConversations) throw new Error(`The file holds more than ${kMostConversations} conversations. Export them in parts.`);
  const read = body["conversations"].map(conversation_of);
  const conversations = read.filter((each): each is Imported => each !== null);
  return { conversations, unreadable: read.length - conversations.length };
}

/** Takes a file in; says in one sentence what came of it. */
export async function import_file(file: File): Promise<string> {
  if (file.size > kLargestImport) throw new Error(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; a file of conversations may have 64 MB. Export them in parts.`);
  const { conversations, unreadable } = read_export(await file.text());
  const here = new Set(list.value.map(({ id }) => id));
  const fresh = new Map(conversations.filter(({ head }) => !here.has(head.id)).map((each) => [each.head.id, each]));
  const known = conversations.length - fresh.size;
  await add_all([...fresh.values()]);
  const words = [`${fresh.size} ${fresh.size === 1 ? "conversation" : "conversations"} imported.`];
  if (known > 0) words.push(`${known} ${known === 1 ? "was" : "were"} here already.`);
  if (unreadable > 0) words.push(`${unreadable} could not be read.`);
  return words.join(" ");
}
