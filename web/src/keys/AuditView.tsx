// The audit log: the state of its chain, its entries newest first, search in those that were read, export of them.
// Entries are shown as the server tells them; the common fields have columns, the rest folds out.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { count, instant, short_digest } from "../lib/format";
import { list_of } from "../models/catalogue";
import { route, set_query } from "../lib/route";
import { Chip, ErrorNote, save_file, Waiting } from "../ui/parts";

type Entry = Record<string, unknown>;
const kPage = 100;

interface Verdict {
  ok: boolean;
  words: string;
  detail: string;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

function field(entry: Entry, ...names: string[]): string {
  for (const name of names) {
    const value = text(entry[name]);
    if (value !== "") return value;
  }
  return "";
}

function sequence(entry: Entry): string {
  return field(entry, "sequence", "seq", "number", "id");
}

function verdict_of(body: Entry): Verdict {
  const ok = body["ok"] === true || body["intact"] === true || body["valid"] === true;
  const entries = body["entries"] ?? body["count"] ?? body["checked"];
  const words = ok ? `The chain is whole${typeof entries === "number" ? `: ${count(entries)} entries` : ""}.` : "The chain is broken.";
  const faults = Array.isArray(body["faults"]) ? body["faults"].map((fault) => (typeof fault === "string" ? fault : text((fault as Entry)["message"]) || JSON.stringify(fault))).join(" ") : "";
  return { ok, words, detail: text(body["message"]) || text(body["fault"]) || faults };
}

function Chain() {
  const [verdict, set_verdict] = useState<Verdict | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  const [busy, set_busy] = useState(false);
  const verify = async () => {
    set_busy(true);
    set_error(null);
    try {
      set_verdict(verdict_of(await call<Entry>("GET", "/freehold/v1/audit/verify")));
    } catch (thrown) {
      set_error(complaint(thrown));
    }
    set_busy(false);
  };
  useEffect(() => void verify(), []);
  return (
    <div class="row-between">
      <p class="chips" role="status">
        {verdict && (
          <>
            <Chip kind={verdict.ok ? "good" : "bad"}>{verdict.ok ? "whole" : "broken"}</Chip>
            <span>
              {verdict.words} {verdict.detail}
            </span>
          </>
        )}
        {!verdict && busy && <span class="muted">Checking the chain…</span>}
      </p>
      {error && <ErrorNote error={error} />}
      <button type="button" class="button" disabled={busy} onClick={() => void verify()}>
        Check again
      </button>
    </div>
  );
}

export function AuditView() {
  const [entries, set_entries] = useState<Entry[] | null>(null);
  const [more, set_more] = useState(false);
  const [error, set_error] = useState<Complaint | null>(null);
  const words = route.value.query.get("q") ?? "";
  const read = async (before: Entry[]) => {
    try {
      const last = before.at(-1);
      const got = list_of(await call("GET", `/freehold/v1/audit?limit=${kPage}${last ? `&before=${encodeURIComponent(sequence(last))}` : ""}`), "entries") as Entry[];
      set_entries([...before, ...got]);
      set_more(got.length === kPage);
      set_error(null);
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  useEffect(() => void read([]), []);
  const sought = words.toLowerCase();
  const shown = (entries ?? []).filter((entry) => sought === "" || JSON.stringify(entry).toLowerCase().includes(sought));
  return (
    <>
      <Chain />
      {error && <ErrorNote error={error} action="Try again" onAction={() => void read(entries ?? [])} />}
      {entries === null && !error && <Waiting>Reading…</Waiting>}
      {entries && entries.length === 0 && <p class="muted">Nothing has been asked yet. Each request will leave one entry here: who, when, which weights by digest, how much, and how it ended.</p>}
      {entries && entries.length > 0 && (
        <>
          <div class="inline-form">
            <label for="audit-search">Search what is shown</label>
            <input id="audit-search" type="search" value={words} onInput={(event) => set_query("q", event.currentTarget.value)} placeholder="key, model, digest, outcome" />
            <button type="button" class="button" onClick={() => save_file("audit.jsonl", "application/x-ndjson", shown.map((entry) => `${JSON.stringify(entry)}\n`).join(""))}>
              Export {count(shown.length)} entries
            </button>
          </div>
          <div class="table-box">
            <table class="grid">
              <caption class="off-screen">Audit log, newest first</caption>
              <thead>
                <tr>
                  <th scope="col" class="number">
                    No.
                  </th>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">What</th>
                  <th scope="col">Model</th>
                  <th scope="col">Outcome</th>
                  <th scope="col">All of it</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((entry) => (
                  <tr key={sequence(entry)}>
                    <th scope="row" class="number">
                      {sequence(entry)}
                    </th>
                    <td data-label="When" class="number-left">
                      {instant(field(entry, "time", "when", "at") || (entry["time_ms"] as number))}
                    </td>
                    <td data-label="Who">
                      {field(entry, "key_name", "name", "who", "key_id", "key") || <span class="muted">open</span>} <span class="muted">{field(entry, "tenant")}</span>
                    </td>
                    <td data-label="What">{field(entry, "route", "action", "what", "path", "kind")}</td>
                    <td data-label="Model">
                      {field(entry, "model") || <span class="muted">–</span>} {field(entry, "digest", "weights") !== "" && <code title={field(entry, "digest", "weights")}>{short_digest(field(entry, "digest", "weights"))}</code>}
                    </td>
                    <td data-label="Outcome">{field(entry, "outcome", "finish", "status")}</td>
                    <td data-label="All of it">
                      <details>
                        <summary>Entry</summary>
                        <pre class="entry-json" tabIndex={0}>
                          {JSON.stringify(entry, null, 2)}
                        </pre>
                      </details>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {shown.length === 0 && <p class="muted">No entry that was read has these words.</p>}
          {more && (
            <button type="button" class="button" onClick={() => void read(entries)}>
              Older entries
            </button>
          )}
        </>
      )}
    </>
  );
}
