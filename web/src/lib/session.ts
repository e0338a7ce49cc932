// Who is signed in and what they may see; the key stays in this tab unless its owner asks to be remembered.
// Roles are the server's: it refuses what a role may not do, the page only does not offer it.
import { computed, effect, signal } from "@preact/signals";
import { ApiError, api_key, call, complaint, key_refused, type Complaint } from "./api";

export interface Session {
  version: string;
  auth: "open" | "key";
  role: string;
  tenant: string;
  key_name: string;
  default_model: string;
}

type State = { kind: "starting" } | { kind: "signed_out"; why: Complaint | null } | { kind: "unreachable"; why: Complaint } | { kind: "ready"; session: Session };

const kKeyName = "freehold-key";

export const state = signal<State>({ kind: "starting" });
export const session = computed<Session | null>(() => (state.value.kind === "ready" ? state.value.session : null));

export type Ability = "chat" | "models" | "change_models" | "server" | "keys" | "usage" | "audit";

/** The server's table of roles: an auditor sees and changes nothing, an operator does not read the log of his own deeds. */
const kAbilities: Record<string, Ability[]> = {
  user: ["chat", "models"],
  operator: ["chat", "models", "change_models", "server", "keys", "usage"],
  auditor: ["models", "server", "usage", "audit"],
};

/** A key may hold several roles ("operator,auditor"); on a server that asks nobody, everyone is everything. */
export function may(what: Ability): boolean {
  const now = session.value;
  if (now === null) return false;
  if (now.auth === "open") return true;
  return now.role.split(",").some((role) => kAbilities[role.trim()]?.includes(what));
}

/** Whether whoever is signed in has this role; nobody gives away what he does not hold. */
export function holds(role: string): boolean {
  const now = session.value;
  return now !== null && (now.auth === "open" || now.role.split(",").some((each) => each.trim() === role));
}

/** A browser may refuse storage; then the key lives as long as the page does. */
function storage(name: "sessionStorage" | "localStorage"): Storage | null {
  try {
    return window[name];
  } catch {
    return null;
  }
}

async function look(): Promise<Session> {
  const found = await call<Partial<Session>>("GET", "/freehold/v1/session");
  return {
    version: found.version ?? "",
    auth: found.auth === "key" ? "key" : "open",
    role: found.role ?? "",
    tenant: found.tenant ?? "",
    key_name: found.key_name ?? "",
    default_model: found.default_model ?? "",
  };
}

export async function start(): Promise<void> {
  api_key.value = storage("sessionStorage")?.getItem(kKeyName) ?? storage("localStorage")?.getItem(kKeyName) ?? "";
  try {
    const found = await look();
    state.value = found.role === "" ? { kind: "signed_out", why: null } : { kind: "ready", session: found };
  } catch (thrown) {
    if (thrown instanceof ApiError && (thrown.status === 401 || thrown.status === 403)) {
      state.value = { kind: "signed_out", why: api_key.value === "" ? null : complaint(thrown) };
    } else {
      state.value = { kind: "unreachable", why: complaint(thrown) };
    }
  }
  key_refused.value = false;
}

/** Tries a key; returns what was wrong with it, or null when it opened the door. */
export async function sign_in(key: string, remember: boolean): Promise<Complaint | null> {
  api_key.value = key;
  try {
    const found = await look();
    if (found.role === "") throw new ApiError("The server does not know this key.", 401, "Check it for missing characters; keys are made by freehold key create.");
    storage(remember ? "localStorage" : "sessionStorage")?.setItem(kKeyName, key);
    key_refused.value = false;
    state.value = { kind: "ready", session: found };
    return null;
  } catch (thrown) {
    api_key.value = "";
    return complaint(thrown);
  }
}

export function sign_out(why: Complaint | null = null): void {
  api_key.value = "";
  storage("sessionStorage")?.removeItem(kKeyName);
  storage("localStorage")?.removeItem(kKeyName);
  key_refused.value = false;
  state.value = { kind: "signed_out", why };
}

// A key that stops counting while the page is open (revoked, expired) leads back to the door.
effect(() => {
  if (key_refused.value && state.peek().kind === "ready") {
    sign_out({ message: "The server no longer accepts your key.", hint: "It may have been revoked or have expired. Sign in with another." });
  }
});
