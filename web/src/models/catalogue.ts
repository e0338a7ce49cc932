// The models that the server has and those that it knows how to fetch; pulls go on when their view is left.
// What the server leaves out is filled with empty values, so that views need not ask.
import { computed, signal } from "@preact/signals";
import { call, complaint, error_of, open, type Complaint } from "../lib/api";
import { objects } from "../lib/stream";

export interface Licence {
  name: string;
  category: string;
  url: string;
}

export interface Model {
  name: string;
  digest: string;
  bytes: number | null;
  licence: Licence;
  loaded: boolean;
  memory: number | null;
  kind: string;
  context: number | null;
  quantisation: string;
  parameters: number | string | null;
  description: string;
  /** Of "model+adapter": the adapter, and the model that it was made for. */
  adapter: Adapter | null;
}

export interface Adapter {
  name: string;
  model: string;
  digest: string;
  bytes: number | null;
  parameters: number | null;
  licence: Licence;
}

export interface Offer {
  name: string;
  description: string;
  good_for: string;
  kind: string;
  bytes: number | null;
  parameters: number | null;
  context: number | null;
  licence: Licence;
}

export const models = signal<Model[] | null>(null);
// A name without a tag means the tag "latest".
export const full_name = (name: string): string => (name.lastIndexOf(":") > name.lastIndexOf("/") ? name : `${name}:latest`);

export const offers = signal<Offer[] | null>(null);
export const models_error = signal<Complaint | null>(null);
/** Models by themselves; what has an adapter on top is chosen in two steps. */
export const plain_models = computed(() => (models.value ?? []).filter(({ adapter }) => adapter === null));
export const chat_models = computed(() => plain_models.value.filter(({ kind }) => kind !== "embedding"));

/** The model in "model+adapter". A name of the server's own may hold a plus sign. */
export function base_of(name: string): string {
  const known = models.value?.find((model) => model.name === name);
  if (known) return known.adapter?.model ?? name;
  const plus = name.lastIndexOf("+");
  return plus > 0 ? name.slice(0, plus) : name;
}

/** What can stand on top of a model. */
export function adapters_of(model: string): Model[] {
  return (models.value ?? []).filter(({ adapter }) => adapter?.model === model);
}

type Loose = Record<string, unknown>;
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

function licence_of(value: unknown): Licence {
  if (typeof value === "string") return { name: value, category: "", url: "" };
  const fields = (value ?? {}) as Loose;
  return { name: text(fields["name"]) || text(fields["id"]), category: text(fields["category"]), url: text(fields["url"]) };
}

function adapter_of(value: unknown, name: string): Adapter | null {
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Loose;
  // A model that was made with an adapter has it under a name of its own.
  if (text(fields["model"]) === "" || text(fields["model"]) === name) return null;
  return {
    name: text(fields["name"]),
    model: text(fields["model"]),
    digest: text(fields["digest"]),
    bytes: number(fields["bytes"]),
    parameters: number(fields["parameters"]),
    licence: licence_of(fields["licence"]),
  };
}

export function model_of(value: unknown): Model {
  const fields = value as Loose;
  const amount = fields["parameters"];
  return {
    name: text(fields["name"]),
    digest: text(fields["digest"]),
    bytes: number(fields["bytes"]),
    licence: licence_of(fields["licence"]),
    loaded: fields["loaded"] === true,
    memory: number(fields["memory"]),
    kind: text(fields["kind"]) || "chat",
    context: number(fields["context"]),
    quantisation: text(fields["quantisation"]),
    parameters: typeof amount === "string" ? amount : number(amount),
    description: text(fields["description"]),
    adapter: adapter_of(fields["adapter"], text(fields["name"])),
  };
}

function offer_of(value: unknown): Offer {
  const fields = value as Loose;
  const files = Array.isArray(fields["files"]) ? (fields["files"] as Loose[]) : [];
  const summed = files.reduce((sum, file) => sum + (number(file["size"]) ?? number(file["bytes"]) ?? 0), 0);
  return {
    name: text(fields["name"]),
    description: text(fields["description"]),
    good_for: text(fields["good_for"]),
    kind: text(fields["kind"]),
    bytes: number(fields["bytes"]) ?? number(fields["size"]) ?? (summed > 0 ? summed : null),
    parameters: number(fields["parameters"]),
    context: number(fields["context"]),
    licence: licence_of(fields["licence"]),
  };
}

/** A list may stand alone or under its name. */
export function list_of(body: unknown, name: string): unknown[] {
  if (Array.isArray(body)) return body;
  const inside = (body as Loose | null)?.[name];
  return Array.isArray(inside) ? inside : [];
}

export async function load_models(): Promise<void> {
  try {
    models.value = list_of(await call("GET", "/freehold/v1/models"), "models").map(model_of);
    models_error.value = null;
  } catch (thrown) {
    models_error.value = complaint(thrown);
  }
}

export async function load_offers(): Promise<void> {
  try {
    offers.value = list_of(await call("GET", "/freehold/v1/catalogue"), "models").map(offer_of);
  } catch {
    // Without the catalogue a model can still be pulled by its name.
    offers.value = [];
  }
}

export interface Pull {
  name: string;
  status: string;
  completed: number;
  total: number;
  /** Bytes a second over the last seconds. */
  rate: number | null;
  error: Complaint | null;
  done: boolean;
  stop: () => void;
}

export const pulls = signal<readonly Pull[]>([]);

function set_pull(name: string, change: Partial<Pull>): void {
  pulls.value = pulls.value.map((pull) => (pull.name === name ? { ...pull, ...change } : pull));
}

export function forget_pull(name: string): void {
  pulls.value = pulls.value.filter((pull) => pull.name !== name);
}

interface Progress {
  status?: string;
  digest?: string;
  total?: number;
  completed?: number;
  error?: unknown;
}

/** Has the server fetch a model; what was fetched before a stop is kept there and not fetched again. */
export async function pull(name: string): Promise<void> {
  if (pulls.value.some((each) => each.name === name && !each.done && !each.error)) return;
  const abort = new AbortController();
  forget_pull(name);
  pulls.value = [...pulls.value, { name, status: "Asking the server", completed: 0, total: 0, rate: null, error: null, done: false, stop: () => abort.abort() }];
  const parts = new Map<string, { completed: number; total: number }>();
  const seen: { at: number; bytes: number }[] = [];
  let drawn = 0;
  try {
    const response = await open("POST", "/api/pull", { model: name, stream: true }, abort.signal);
    if (!response.body) throw new Error("The server sent an empty answer.");
    let last = "";
    for await (const line of objects<Progress>(response.body)) {
      if (line.error) throw error_of(line, response.status);
      last = line.status ?? last;
      if (line.total) parts.set(line.digest ?? last, { completed: line.completed ?? 0, total: line.total });
      const now = performance.now();
      if (now - drawn < 100 && line.completed !== line.total) continue;
      drawn = now;
      let completed = 0;
      let total = 0;
      for (const part of parts.values()) {
        completed += part.completed;
        total += part.total;
      }
      seen.push({ at: now, bytes: completed });
      while (seen.length > 2 && now - (seen[0]?.at ?? now) > 5000) seen.shift();
      const oldest = seen[0] ?? { at: now, bytes: completed };
      const span = (now - oldest.at) / 1000;
      set_pull(name, { status: last, completed, total, rate: span > 0.5 ? (completed - oldest.bytes) / span : null });
    }
    if (last !== "success") throw new Error(`The server stopped in the middle, at "${last}". Pull again: what is here already is not fetched twice.`);
    set_pull(name, { done: true, status: "Here and verified" });
    await load_models();
  } catch (thrown) {
    if (abort.signal.aborted) forget_pull(name);
    else set_pull(name, { error: complaint(thrown) });
  }
}

export async function remove(name: string): Promise<Complaint | null> {
  try {
    await call("DELETE", "/api/delete", { model: name });
    await load_models();
    return null;
  } catch (thrown) {
    return complaint(thrown);
  }
}

export type Category = { label: string; kind: "good" | "warn" | "bad" | "plain"; meaning: string };

/** What a licence category means, in words and not by colour alone. */
export function category_of(category: string): Category {
  switch (category) {
    case "permissive":
      return { label: "permissive", kind: "good", meaning: "Use, study, modify and share, with a note of where it came from." };
    case "copyleft":
      return { label: "copyleft", kind: "good", meaning: "Use, study, modify and share, under the same terms." };
    case "open":
    case "fully open":
      return { label: "fully open", kind: "good", meaning: "Weights, code and data are open." };
    case "custom":
    case "restricted":
      return { label: "custom restrictions", kind: "warn", meaning: "The maker's own terms, with limits on use. Read them before you rely on it." };
    case "non-commercial":
      return { label: "non-commercial", kind: "bad", meaning: "Not for commercial use." };
    case "api":
    case "api-only":
      return { label: "API only", kind: "bad", meaning: "The weights are not given away." };
    default:
      return { label: category && category !== "unknown" ? category : "not stated", kind: "plain", meaning: category && category !== "unknown" ? "" : "The files do not say under which terms they are given." };
  }
}
