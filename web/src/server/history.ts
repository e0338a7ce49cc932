// What the server said of itself, second by second, for as long as the page is open: an hour at most.
// Polling rests while nobody looks; a gap in the curves says so.
import { signal } from "@preact/signals";
import { ApiError, call, complaint, type Complaint } from "../lib/api";

export interface Status {
  uptime_seconds: number;
  sealed: boolean;
  running: number;
  waiting: number;
  tokens_per_second: number;
  /** All that the models in memory wrote since they were loaded. */
  decoded_tokens?: number;
  time_to_first_token: { p50: number | null; p99: number | null };
  memory: { resident: number; budget: number; used: number };
  cache: { pages_used: number; pages_shared: number; cached_tokens: number };
  requests: { total: number; failed: number; cancelled: number };
  connections?: { open: number; active: number; refused: number };
  models: { name: string; memory?: number; running?: number; waiting?: number }[];
}

export const kKept = 3600;

/** One column for each curve, oldest first, all of the same length; null is a gap. */
export interface History {
  at: number[];
  columns: Record<string, (number | null)[]>;
}

export const status = signal<Status | null>(null);
export const status_error = signal<Complaint | null>(null);
export const history = signal<History>({ at: [], columns: {} });

/** How fast a count grew since the answer before; a count that fell began anew. */
function speed(now: number | undefined, before: number | undefined, span: number): number | null {
  return now === undefined || before === undefined || span <= 0 || now < before ? null : (now - before) / span;
}

function columns_of(now: Status, before: Status | null): Record<string, number | null> {
  const span = now.uptime_seconds - (before?.uptime_seconds ?? now.uptime_seconds);
  return {
    // A server that does not count says what it wrote on average.
    tokens_per_second: now.decoded_tokens === undefined ? now.tokens_per_second : speed(now.decoded_tokens, before?.decoded_tokens, span),
    running: now.running,
    waiting: now.waiting,
    ttft_p50: now.time_to_first_token?.p50 ?? null,
    ttft_p99: now.time_to_first_token?.p99 ?? null,
    resident: now.memory?.resident ?? null,
    used: now.memory?.used ?? null,
    pages_used: now.cache?.pages_used ?? null,
    pages_shared: now.cache?.pages_shared ?? null,
    requests: speed(now.requests?.total, before?.requests?.total, span),
    failed: speed(now.requests?.failed, before?.requests?.failed, span),
  };
}

function remember(at: number, row: Record<string, number | null>): void {
  const before = history.value;
  const next: History = { at: [...before.at, at].slice(-kKept), columns: {} };
  for (const name of new Set([...Object.keys(before.columns), ...Object.keys(row)])) {
    const column = before.columns[name] ?? before.at.map(() => null);
    next.columns[name] = [...column, row[name] ?? null].slice(-kKept);
  }
  history.value = next;
}

/** Asks every second until told to end. */
export function watch(): () => void {
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const abort = new AbortController();
  const tick = async () => {
    if (!document.hidden) {
      const at = Date.now() / 1000;
      try {
        const now = await call<Status>("GET", "/freehold/v1/status", undefined, abort.signal);
        if (over) return;
        const before = status.value;
        status.value = now;
        status_error.value = null;
        const last = history.value.at.at(-1);
        if (last !== undefined && at - last > 5) remember(at - 1, {});
        remember(at, columns_of(now, before));
      } catch (thrown) {
        if (over) return;
        status_error.value = complaint(thrown);
        // Who may not look need not ask again.
        if (thrown instanceof ApiError && (thrown.status === 403 || thrown.status === 404)) return;
      }
    }
    if (!over) timer = setTimeout(() => void tick(), 1000);
  };
  void tick();
  return () => {
    over = true;
    clearTimeout(timer);
    abort.abort();
  };
}
