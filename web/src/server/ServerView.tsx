// The state of the server, every second: small curves side by side, the figures of now beside them, the models in memory.
// The span that the curves show is in the address.
import { useEffect } from "preact/hooks";
import { bytes, count, duration, rate, seconds } from "../lib/format";
import { link, route, set_query } from "../lib/route";
import { session } from "../lib/session";
import { Chip, ErrorNote, Waiting } from "../ui/parts";
import { history, status, status_error, watch, type Status } from "./history";
import { Plot } from "./Plot";

interface Tile {
  title: string;
  words: (now: Status) => string;
  curves: [column: string, label: string][];
  format: (value: number) => string;
}

function last(column: string): number | null {
  return history.value.columns[column]?.at(-1) ?? null;
}

const kTiles: Tile[] = [
  { title: "Tokens a second", words: (now) => `${rate(last("tokens_per_second"))} now, ${rate(now.tokens_per_second)} while it writes`, curves: [["tokens_per_second", "tokens a second"]], format: rate },
  { title: "Answers", words: (now) => `${count(now.running)} running, ${count(now.waiting)} waiting`, curves: [["running", "running"], ["waiting", "waiting"]], format: (value) => (Number.isInteger(value) ? count(value) : "") },
  {
    title: "Time to first token",
    words: (now) => `half within ${seconds(now.time_to_first_token?.p50)}, 99 % within ${seconds(now.time_to_first_token?.p99)}`,
    curves: [["ttft_p50", "half (p50)"], ["ttft_p99", "99 % (p99)"]],
    format: seconds,
  },
  {
    title: "Memory",
    words: (now) => `${bytes(now.memory?.resident)} resident, ${bytes(now.memory?.used)} of the budget of ${bytes(now.memory?.budget)}`,
    curves: [["resident", "resident"], ["used", "of the budget"]],
    format: bytes,
  },
  { title: "Cache pages", words: (now) => `${count(now.cache?.pages_used)} in use, ${count(now.cache?.pages_shared)} shared; ${count(now.cache?.cached_tokens)} tokens not read again`, curves: [["pages_used", "in use"], ["pages_shared", "shared"]], format: count },
  {
    title: "HTTP requests a second",
    words: (now) => `${count(now.requests?.total)} since the start; of the answers ${count(now.requests?.failed)} failed and ${count(now.requests?.cancelled)} were stopped`,
    curves: [["requests", "all"], ["failed", "answers that failed"]],
    format: rate,
  },
];

const kSpans: [words: string, seconds: number][] = [
  ["1 minute", 60],
  ["10 minutes", 600],
  ["1 hour", 3600],
];

function Loaded({ now }: { now: Status }) {
  const list = now.models ?? [];
  return (
    <section aria-labelledby="loaded">
      <h2 id="loaded">Models in memory</h2>
      {list.length === 0 ? (
        <p class="muted">None. A model is loaded when somebody asks it, and leaves when it has not been asked for a while.</p>
      ) : (
        <ul class="plain-list">
          {list.map((model) => {
            const entry = typeof model === "string" ? { name: model as string } : model;
            return (
              <li key={entry.name}>
                <a href={link("models", entry.name)}>{entry.name}</a> {entry.memory !== undefined && <span class="muted number">{bytes(entry.memory)}</span>}
                {entry.running !== undefined && <span class="muted number"> {count(entry.running)} running</span>}
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}

export function ServerView() {
  useEffect(watch, []);
  const now = status.value;
  const { at, columns } = history.value;
  const span = Number(route.value.query.get("span")) || 60;
  return (
    <div class="page-column page-wide">
      <h1>Server</h1>
      {status_error.value && <ErrorNote error={status_error.value} />}
      {!now && !status_error.value && <Waiting>Asking…</Waiting>}
      {now && (
        <>
          <p class="chips">
            {now.sealed ? (
              <Chip kind="good" title="The process can open no outgoing connection.">
                sealed
              </Chip>
            ) : (
              <Chip kind="warn" title="The process could open outgoing connections.">
                not sealed
              </Chip>
            )}
            <span class="muted">{now.sealed ? "It can open no outgoing connection." : "It is able to open outgoing connections."}</span>
            <span class="muted">
              Up {duration(now.uptime_seconds)}
              {session.value?.version ? `, version ${session.value.version}` : ""}
              {now.connections ? `, ${count(now.connections.open)} ${now.connections.open === 1 ? "connection" : "connections"}, ${count(now.connections.refused)} refused` : ""}.
            </span>
          </p>
          <div class="segments" role="group" aria-label="Span of the curves">
            {kSpans.map(([words, length]) => (
              <button key={length} type="button" aria-pressed={span === length} onClick={() => set_query("span", length === 60 ? "" : String(length))}>
                {words}
              </button>
            ))}
          </div>
          <div class="tiles">
            {kTiles.map(({ title, words, curves, format }) => (
              <section class="tile" key={title} aria-label={title}>
                <h2>{title}</h2>
                <p class="tile-now number">{words(now)}</p>
                <Plot label={`${title} over the last ${duration(span)}: ${words(now)}`} at={at} span={span} format={format} curves={curves.map(([column, label]) => ({ label, values: columns[column] ?? at.map(() => null) }))} />
                {curves.length > 1 && (
                  <p class="legend" aria-hidden="true">
                    {curves.map(([column, label], place) => (
                      <span key={column} class={`legend-${place}`}>
                        {label}
                      </span>
                    ))}
                  </p>
                )}
              </section>
            ))}
          </div>
          <Loaded now={now} />
        </>
      )}
    </div>
  );
}
