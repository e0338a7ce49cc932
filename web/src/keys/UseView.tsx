// Who used how much: requests and tokens of a month by key and model, and the tokens of each of its days.
// The month is in the address.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { count } from "../lib/format";
import { route, set_query } from "../lib/route";
import { may } from "../lib/session";
import { list_of } from "../models/catalogue";
import { ErrorNote, save_file, Waiting } from "../ui/parts";

interface Use {
  key: string;
  tenant: string;
  model: string;
  day: string;
  requests: number;
  prompt_tokens: number;
  completion_tokens: number;
}

type Sum = Omit<Use, "day">;

/** The same key and model over all days, the most tokens first. */
function sums(list: Use[]): Sum[] {
  const made = new Map<string, Sum>();
  for (const { key, tenant, model, requests, prompt_tokens, completion_tokens } of list) {
    const place = JSON.stringify([key, tenant, model]);
    const sum = made.get(place) ?? { key, tenant, model, requests: 0, prompt_tokens: 0, completion_tokens: 0 };
    made.set(place, { ...sum, requests: sum.requests + requests, prompt_tokens: sum.prompt_tokens + prompt_tokens, completion_tokens: sum.completion_tokens + completion_tokens });
  }
  return [...made.values()].sort((a, b) => b.prompt_tokens + b.completion_tokens - a.prompt_tokens - a.completion_tokens);
}

function month_of(words: string): string {
  return /^\d{4}-(?:0[1-9]|1[0-2])$/.test(words) ? words : new Date().toISOString().slice(0, 7);
}

function last_day(month: string): number {
  return new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).getUTCDate();
}

const kBar = { width: 16, gap: 8, height: 96 };

/** One bar a day; the table below has the figures. */
function Days({ month, list }: { month: string; list: Use[] }) {
  const days = Array.from({ length: last_day(month) }, () => 0);
  for (const { day, prompt_tokens, completion_tokens } of list) {
    const place = Number(day.slice(8, 10)) - 1;
    days[place] = (days[place] ?? 0) + prompt_tokens + completion_tokens;
  }
  const most = Math.max(1, ...days);
  const step = kBar.width + kBar.gap;
  const top = days.indexOf(Math.max(...days));
  return (
    <figure class="days">
      <svg viewBox={`0 0 ${days.length * step} ${kBar.height}`} preserveAspectRatio="none" role="img" aria-label={`Tokens a day in ${month}; the most, ${count(days[top])}, on the ${top + 1}.`}>
        {days.map((tokens, place) => (
          <g key={place}>
            {tokens > 0 && (
              <rect x={place * step + kBar.gap / 2} y={Math.min(kBar.height - 2, kBar.height - (tokens / most) * kBar.height)} width={kBar.width} height={Math.max(2, (tokens / most) * kBar.height)}>
                <title>{`${month}-${String(place + 1).padStart(2, "0")}: ${count(tokens)} tokens`}</title>
              </rect>
            )}
          </g>
        ))}
      </svg>
      <p class="days-axis muted small" aria-hidden="true">
        <span>1</span>
        <span>{Math.round(days.length / 2)}</span>
        <span>{days.length}</span>
      </p>
      <figcaption class="muted small">Tokens a day, at most {count(days[top])}</figcaption>
    </figure>
  );
}

export function UseView() {
  const month = month_of(route.value.query.get("month") ?? "");
  const [list, set_list] = useState<Use[] | null>(null);
  const [names, set_names] = useState(new Map<string, string>());
  const [error, set_error] = useState<Complaint | null>(null);
  useEffect(() => {
    let gone = false;
    set_list(null);
    call("GET", `/freehold/v1/usage?from=${month}-01&to=${month}-${last_day(month)}`)
      .then((body) => {
        if (gone) return;
        set_list(list_of(body, "usage") as Use[]);
        set_error(null);
      })
      .catch((thrown: unknown) => !gone && set_error(complaint(thrown)));
    // Only who may see keys has their names; the others see ids.
    if (may("keys")) {
      call("GET", "/freehold/v1/keys")
        .then((body) => !gone && set_names(new Map((list_of(body, "keys") as { id: string; name: string }[]).map(({ id, name }) => [id, name]))))
        .catch(() => undefined);
    }
    return () => {
      gone = true;
    };
  }, [month]);
  const rows = sums(list ?? []);
  return (
    <>
      <div class="inline-form">
        <label for="use-month">Month</label>
        <input id="use-month" class="input-month" type="month" value={month} max={new Date().toISOString().slice(0, 7)} onChange={(event) => set_query("month", event.currentTarget.value)} />
        {rows.length > 0 && (
          <button type="button" class="button" onClick={() => save_file(`use-${month}.json`, "application/json", `${JSON.stringify(list, null, 2)}\n`)}>
            Export as JSON
          </button>
        )}
      </div>
      {error && <ErrorNote error={error} />}
      {list === null && !error && <Waiting>Reading…</Waiting>}
      {list && list.length === 0 && <p class="muted">Nothing was used in this month. Once a key asks something, its requests and tokens are counted here, by model and day (UTC).</p>}
      {list && list.length > 0 && (
        <>
          <Days month={month} list={list} />
          <div class="table-box">
            <table class="grid">
              <caption class="off-screen">Use by key and model</caption>
              <thead>
                <tr>
                  <th scope="col">Key</th>
                  <th scope="col">Tenant</th>
                  <th scope="col">Model</th>
                  <th scope="col" class="number">
                    Requests
                  </th>
                  <th scope="col" class="number">
                    Tokens read
                  </th>
                  <th scope="col" class="number">
                    Tokens written
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map(({ key, tenant, model, requests, prompt_tokens, completion_tokens }) => (
                  <tr key={`${key} ${tenant} ${model}`}>
                    <th scope="row">
                      {names.get(key) ?? (key || "without a key")} {names.has(key) && <span class="muted small">{key}</span>}
                    </th>
                    <td data-label="Tenant">{tenant || "default"}</td>
                    <td data-label="Model">{model || <span class="muted">–</span>}</td>
                    <td data-label="Requests" class="number">
                      {count(requests)}
                    </td>
                    <td data-label="Read" class="number">
                      {count(prompt_tokens)}
                    </td>
                    <td data-label="Written" class="number">
                      {count(completion_tokens)}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </>
  );
}
