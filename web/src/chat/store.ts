// The conversations of this browser: a list of their heads, those that are open, and every change written down.
// Signals carry them to the views; IndexedDB keeps them. A failure to write is told and does not stop the chat.
import { computed, signal, type Signal } from "@preact/signals";
import { complaint, type Complaint } from "../lib/api";
import * as idb from "../lib/idb";
import { new_id, path, type Conversation, type Parameters, type Step, type Token, type Turn } from "./tree";

/** A conversation in memory. `turns` is replaced, never changed in place, so that views see it. */
export class OpenConversation {
  readonly head: Signal<Conversation>;
  readonly turns: Signal<Turn[]>;
  readonly steps;
  /** Whether it has been written down; an empty one is not. */
  kept: boolean;

  constructor(head: Conversation, turns: Turn[], kept: boolean) {
    this.head = signal(head);
    this.turns = signal(turns);
    this.kept = kept;
    this.steps = computed<Step[]>(() => path(this.turns.value, this.head.value.selected));
  }
}

export interface Defaults {
  id: "defaults";
  model: string;
  system: string;
  parameters: Parameters;
  probabilities: boolean;
}

const kDefaults: Defaults = { id: "defaults", model: "", system: "", parameters: {}, probabilities: true };

export const list = signal<Conversation[]>([]);
export const defaults = signal<Defaults>(kDefaults);
/** Whether the list and the defaults have been read. */
export const loaded = signal(false);
export const storage_trouble = signal<Complaint | null>(null);
const opened = new Map<string, OpenConversation>();
/** Probabilities of answers of this visit, and of those that were looked up. */
const tokens_of = new Map<string, Token[]>();

async function keep(work: Promise<unknown>): Promise<void> {
  try {
    await work;
    storage_trouble.value = null;
  } catch (thrown) {
    storage_trouble.value = {
      message: `Conversations cannot be kept in this browser now. ${complaint(thrown).message}`,
      hint: "They go on until the page is closed. A private window or a full disk may be the reason; export what you want to keep.",
    };
  }
}

function sorted(heads: Conversation[]): Conversation[] {
  return heads.sort((a, b) => b.updated - a.updated);
}

export async function load(tenant: string, key_name: string): Promise<void> {
  idb.use_identity(tenant, key_name);
  opened.clear();
  tokens_of.clear();
  loaded.value = false;
  list.value = [];
  defaults.value = kDefaults;
  await keep(
    (async () => {
      list.value = sorted(await idb.all<Conversation>("conversations"));
      defaults.value = { ...kDefaults, ...(await idb.get<Defaults>("settings", "defaults")) };
    })(),
  );
  loaded.value = true;
}

/** What the next new conversation begins with. */
export function set_defaults(change: Partial<Defaults>): void {
  defaults.value = { ...defaults.value, ...change };
  void keep(idb.put("settings", defaults.value));
}

/** A conversation that exists only here until its first question. */
export function fresh(model: string): OpenConversation {
  const now = Date.now();
  const { system, parameters, probabilities } = defaults.value;
  const head: Conversation = { id: new_id(), title: "New conversation", created: now, updated: now, model, system, parameters, probabilities, selected: {} };
  const made = new OpenConversation(head, [], false);
  opened.set(head.id, made);
  return made;
}

/** The conversation of this id, read if need be; null when this browser does not have it. */
export async function find(id: string): Promise<OpenConversation | null> {
  const here = opened.get(id);
  if (here) return here;
  try {
    const head = await idb.get<Conversation>("conversations", id);
    if (!head) return null;
    // Whatever was being written when the page went away was not finished.
    const turns = (await idb.of_conversation<Turn>("nodes", id)).map((turn) => (turn.finish === "" && turn.role === "assistant" ? { ...turn, finish: "interrupted" } : turn));
    const again = opened.get(id);
    if (again) return again;
    const found = new OpenConversation(head, turns, true);
    opened.set(id, found);
    return found;
  } catch (thrown) {
    await keep(Promise.reject(thrown));
    return null;
  }
}

export function change_head(open: OpenConversation, change: Partial<Conversation>, touch = false): void {
  open.head.value = { ...open.head.value, ...change, ...(touch ? { updated: Date.now() } : {}) };
  if (!open.kept) return;
  const head = open.head.value;
  list.value = sorted([head, ...list.value.filter(({ id }) => id !== head.id)]);
  void keep(idb.put("conversations", head));
}

/** Adds a turn, shows it, and writes it down. */
export function add_turn(open: OpenConversation, turn: Turn): void {
  open.turns.value = [...open.turns.value, turn];
  open.kept = true;
  change_head(open, { selected: { ...open.head.value.selected, [turn.parent]: turn.id } }, true);
  void keep(idb.put("nodes", turn));
}

export function change_turn(open: OpenConversation, id: string, change: Partial<Turn>): void {
  let changed: Turn | null = null;
  open.turns.value = open.turns.value.map((turn) => (turn.id === id ? (changed = { ...turn, ...change }) : turn));
  if (changed) void keep(idb.put("nodes", changed));
}

/** Writes a turn that is still being written, without telling the views. */
export function save_draft(turn: Turn): void {
  void keep(idb.put("nodes", turn));
}

export function select(open: OpenConversation, parent: string, id: string): void {
  change_head(open, { selected: { ...open.head.value.selected, [parent]: id } });
}

export function save_tokens(open: OpenConversation, id: string, tokens: Token[]): void {
  tokens_of.set(id, tokens);
  // As one text: thousands of small objects would take the browser longer to keep.
  void keep(idb.put("tokens", { id, conversation: open.head.value.id, tokens: JSON.stringify(tokens) }));
}

export async function tokens(id: string): Promise<Token[]> {
  const here = tokens_of.get(id);
  if (here) return here;
  const found = JSON.parse((await idb.get<{ tokens: string }>("tokens", id).catch(() => undefined))?.tokens ?? "[]") as Token[];
  tokens_of.set(id, found);
  return found;
}

export async function rename(id: string, title: string): Promise<void> {
  const open = await find(id);
  if (open) change_head(open, { title });
}

export async function remove(id: string): Promise<void> {
  opened.delete(id);
  list.value = list.value.filter((head) => head.id !== id);
  await keep(idb.remove_conversation(id));
}

/** The ids of conversations in which a turn holds these words, whatever their case. */
export async function search(words: string): Promise<Set<string>> {
  const sought = words.toLowerCase();
  const found = new Set<string>();
  for (const head of list.value) {
    if (head.title.toLowerCase().includes(sought)) found.add(head.id);
  }
  await keep(
    idb.each_node<Turn>((turn) => {
      if (turn.content.toLowerCase().includes(sought)) found.add(turn.conversation);
    }),
  );
  return found;
}

/** Takes in whole conversations that are not here yet: all of them or, where the browser refuses, none. */
export async function add_all(made: { head: Conversation; turns: Turn[] }[]): Promise<void> {
  if (made.length === 0) return;
  await idb.put_all([...made.map(({ head }) => ["conversations", head] as const), ...made.flatMap(({ turns }) => turns.map((turn) => ["nodes", turn] as const))]);
  list.value = sorted([...made.map(({ head }) => head), ...list.value]);
}
