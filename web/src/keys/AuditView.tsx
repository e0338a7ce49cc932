// The audit log: the state of its chains (one a replica), entries newest first, search in those that were read, export,
// and one entry by the id of a response or request, with its texts where they are kept.
// Entries are shown as the server tells them; the common fields have columns, the rest folds out.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { count, instant, short_digest } from "../lib/format";
import { list_of } from "../models/catalogue";
import { route, set_query } from "../lib/route";
import { Chip, ErrorNote, Modal, save_file, Waiting } from "../ui/parts";

type Entry = Record<string, unknown>;
const kPage = 100;

interface Verdict {
  ok: boolean;
  words: string;
  detail: string;
  chains: Entry[];
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
  return { ok, words, chains: list_of(body, "chains") as Entry[], detail: text(body["message"]) || text(body["fault"]) || faults };
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
      <div class="chips" role="status">
        {verdict && (
          <>
            <Chip kind={verdict.ok ? "good" : "bad"}>{verdict.ok ? "whole" : "broken"}</Chip>
            <span>
              {verdict.words} {verdict.detail}
            </span>
          </>
        )}
        {!verdict && busy && <span class="muted">Checking the chain…</span>}
        {verdict && (verdict.chains.length > 1 || !verdict.ok) && (
          <ul class="plain-list">
            {verdict.chains.map((chain) => (
              <li key={text(chain["replica"])}>
                <strong>{text(chain["replica"])}</strong>{" "}
                <span class="muted number">
                  {count(chain["entries"] as number)} entries, {chain["signed_up_to"] == null ? "none signed" : `signed up to ${count(chain["signed_up_to"] as number)}`}
                </span>{" "}
                {list_of(chain, "faults").length > 0 && <Chip kind="bad">broken</Chip>}
              </li>
            ))}
          </ul>
        )}
      </div>
      {error && <ErrorNote error={error} />}
      <button type="button" class="button" disabled={busy} onClick={() => void verify()}>
        Check again
      </button>
    </div>
  );
}

/** From an answer to its weights: the entry of a response, a request or a number. */
function LookUp() {
  const [id, set_id] = useState("");
  const [entry, set_entry] = useState<Entry | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  const look = async () => {
    set_error(null);
    try {
      set_entry(await call<Entry>("GET", `/freehold/v1/audit/entries/${encodeURIComponent(id.trim())}`));
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  return (
    <>
      <form
        class="inline-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (id.trim() !== "") void look();
        }}
      >
        <label for="audit-id">Find one entry</label>
        <input id="audit-id" value={id} autocomplete="off" spellcheck={false} placeholder="id of a response or request, or a number" onInput={(event) => set_id(event.currentTarget.value)} />
        <button type="submit" class="button" disabled={id.trim() === ""}>
          Find
        </button>
      </form>
      {error && <ErrorNote error={error} />}
      {entry && (
        <Modal title={`Entry ${sequence(entry)}`} onClose={() => set_entry(null)}>
          <EntryFacts entry={entry} />
        </Modal>
      )}
    </>
  );
}

/** All that an entry says, a line each; texts that are kept beside it stand as texts. */
function EntryFacts({ entry }: { entry: Entry }) {
  return (
    <dl class="facts-list">
      {Object.entries(entry)
        .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && value.length === 0))
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name.replace(/_/g, " ")}</dt>
            <dd>{typeof value === "object" ? <pre class="entry-json" tabIndex={0}>{JSON.stringify(value, null, 2)}</pre> : String(value)}</dd>
          </div>
        ))}
    </dl>
  );
}

export function AuditView() {
  const [entries, set_entries] = useState<Entry[] | null>(null);
  const [more, set_more] = useState(false);
  const [error, set_error] = useState<Complaint | null>(null);
  const [replicas, set_replicas] = useState<string[]>([]);
  const [answering, set_answering] = useState("");
  const words = route.value.query.get("q") ?? "";
  const replica = route.value.query.get("replica") ?? "";
  const read = async (before: Entry[]) => {
    try {
      const last = before.at(-1);
      const from = last ? `&before=${encodeURIComponent(sequence(last))}` : "";
      const of = replica === "" ? "" : `&replica=${encodeURIComponent(replica)}`;
      const body = await call<Entry>("GET", `/freehold/v1/audit?limit=${kPage}${from}${of}`);
      const got = list_of(body, "entries") as Entry[];
      set_replicas(list_of(body, "replicas").map(String));
      set_answering(text(body["replica"]));
      set_entries([...before, ...got]);
      set_more(got.length === kPage);
      set_error(null);
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  useEffect(() => {
    set_entries(null);
    void read([]);
  }, [replica]);
  const sought = words.toLowerCase();
  const shown = (entries ?? []).filter((entry) => sought === "" || JSON.stringify(entry).toLowerCase().includes(sought));
  return (
    <>
      <Chain />
      {(replicas.length > 1 || replica !== "") && (
        <div class="inline-form">
          <label for="audit-replica">Chain</label>
          <select id="audit-replica" class="input-month" value={replica || answering} onChange={(event) => set_query("replica", event.currentTarget.value)}>
            {[...new Set([...replicas, ...(replica === "" ? [] : [replica])])].map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          <span class="muted">Each server keeps one, and so does the command line of the machine (“console”).</span>
        </div>
      )}
      <LookUp />
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
                      <span class="on-phone">No. </span>
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
