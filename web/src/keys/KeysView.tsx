// Keys: who may ask what, how much each used, make one (shown once), give one a new secret, take one back.
// The text of a key exists only in the answer to its making; the server keeps a hash.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { count, date, instant, time_of } from "../lib/format";
import { list_of, models } from "../models/catalogue";
import { holds } from "../lib/session";
import { Chip, Confirm, CopyButton, ErrorNote, IconButton, Modal, Waiting } from "../ui/parts";

interface Key {
  id: string;
  name: string;
  role: string;
  tenant: string;
  created: number | string | null;
  expires: number | string | null;
  last_used: number | string | null;
  revoked: boolean;
  models: string[];
  requests: number | null;
  tokens: number | null;
  limits: string;
}

type Loose = Record<string, unknown>;
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | null => (typeof value === "number" ? value : null);
const when = (value: unknown): number | string | null => (typeof value === "number" || typeof value === "string" ? value : null);

const kLimits: [name: string, words: string][] = [
  ["requests_per_minute", "requests a minute"],
  ["tokens_per_minute", "tokens a minute"],
  ["tokens_per_day", "tokens a day"],
  ["tokens_per_month", "tokens a month"],
];

function key_of(value: unknown): Key {
  const fields = value as Loose;
  const limits = (fields["limits"] ?? fields) as Loose;
  const use = (fields["use"] ?? fields["used"] ?? fields["usage"] ?? fields) as Loose;
  const roles = fields["roles"];
  return {
    id: text(fields["id"]),
    name: text(fields["name"]),
    role: text(fields["role"]) || (Array.isArray(roles) ? roles.join(",") : text(roles)),
    tenant: text(fields["tenant"]),
    created: when(fields["created"]),
    expires: when(fields["expires"]),
    last_used: when(fields["last_used"]),
    revoked: fields["revoked"] === true || (typeof fields["revoked"] === "string" && fields["revoked"] !== ""),
    models: Array.isArray(fields["models"]) ? fields["models"].map(String) : [],
    requests: number(use["requests"]),
    tokens: number(use["tokens"]) ?? number(use["tokens_month"]) ?? number(use["tokens_this_month"]),
    limits: kLimits
      .filter(([name]) => (number(limits[name]) ?? 0) > 0)
      .map(([name, words]) => `${count(number(limits[name]))} ${words}`)
      .join(", "),
  };
}

function State({ entry }: { entry: Key }) {
  if (entry.revoked) return <Chip kind="bad">revoked</Chip>;
  const end = time_of(entry.expires);
  if (end && end.getTime() < Date.now()) return <Chip kind="bad">expired</Chip>;
  return <Chip kind="good">{end ? `until ${date(entry.expires)}` : "no end"}</Chip>;
}

const kRoles: [name: string, words: string][] = [
  ["user", "asks models"],
  ["operator", "asks models, fetches and removes them, makes keys, sees the server"],
  ["auditor", "reads the audit log, sees the server; asks and changes nothing"],
];

/** The only time that the text of a key is seen. */
function Secret({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <Modal title="The key" onClose={onClose}>
      <p>Copy it now. It is shown this once; the server keeps only a hash of it.</p>
      <p class="secret">
        <code tabIndex={0}>{secret}</code>
      </p>
      <div class="modal-actions">
        <CopyButton text={() => secret} label="Copy the key" />
      </div>
    </Modal>
  );
}

const kGraces: [value: string, words: string][] = [
  ["0s", "ends at once"],
  ["1h", "counts for another hour"],
  ["1d", "counts for another day"],
  ["7d", "counts for another week"],
];

/** A new secret for the same key: name, roles, limits and use stay. */
function Rotate({ entry, onDone }: { entry: Key; onDone: () => void }) {
  const [asking, set_asking] = useState(false);
  const [error, set_error] = useState<Complaint | null>(null);
  const [made, set_made] = useState("");
  const close = () => {
    set_asking(false);
    set_made("");
    set_error(null);
  };
  const send = async (grace: string) => {
    try {
      const answer = await call<Loose>("POST", `/freehold/v1/keys/${encodeURIComponent(entry.id)}/rotate`, grace === "0s" ? {} : { grace });
      set_made(text(answer["key"]));
      onDone();
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  return (
    <>
      <IconButton icon="again" label={`New secret for ${entry.name}`} onClick={() => set_asking(true)} />
      {asking && made !== "" && <Secret secret={made} onClose={close} />}
      {asking && made === "" && (
        <Modal title={`New secret for ${entry.name}`} onClose={close}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void send(String(new FormData(event.currentTarget).get("grace")));
            }}
          >
            <p>The key keeps its name, roles, limits and use; whoever has it gets a new text.</p>
            <div class="field secret">
              <label for="grace">The old one</label>
              <select id="grace" name="grace">
                {kGraces.map(([value, words]) => (
                  <option key={value} value={value}>
                    {words}
                  </option>
                ))}
              </select>
            </div>
            {error && <ErrorNote error={error} />}
            <div class="modal-actions">
              <button type="button" class="button" onClick={close}>
                Keep
              </button>
              <button type="submit" class="button button-main">
                Make a new secret
              </button>
            </div>
          </form>
        </Modal>
      )}
    </>
  );
}

function Make({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const [error, set_error] = useState<Complaint | null>(null);
  const [made, set_made] = useState("");
  const offered = kRoles.filter(([name]) => name === "user" || holds(name));
  const send = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const roles = given.getAll("role").map(String);
    if (roles.length === 0) {
      set_error({ message: "A key without a role may do nothing.", hint: "Choose one role at least." });
      return;
    }
    const body: Loose = { name: String(given.get("name")).trim(), role: roles.join(",") };
    if (given.get("tenant")) body["tenant"] = String(given.get("tenant")).trim();
    if (given.get("expires")) body["expires"] = given.get("expires");
    const allowed = String(given.get("models") ?? "").split(/[\s,]+/).filter(Boolean);
    if (allowed.length > 0) body["models"] = allowed;
    const limits: Loose = {};
    for (const [name] of kLimits) {
      const bound = Number(given.get(name));
      if (bound > 0) limits[name] = bound;
    }
    if (Object.keys(limits).length > 0) body["limits"] = limits;
    set_error(null);
    try {
      const answer = await call<Loose>("POST", "/freehold/v1/keys", body);
      set_made(text(answer["key"]) || text(answer["secret"]) || text(answer["token"]));
      onMade();
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  if (made !== "") return <Secret secret={made} onClose={onClose} />;
  return (
    <Modal title="Make a key" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send(event.currentTarget);
        }}
      >
        <div class="field">
          <label for="key-name">Name</label>
          <input id="key-name" name="name" required maxLength={64} autocomplete="off" placeholder="who or what will use it" />
        </div>
        <fieldset class="field">
          <legend>Roles</legend>
          {offered.map(([name, words]) => (
            <label class="check" key={name}>
              <input type="checkbox" name="role" value={name} defaultChecked={name === "user"} />
              <span>
                {name} <span class="muted">{words}</span>
              </span>
            </label>
          ))}
          {offered.length < kRoles.length && <p class="field-words">Keys with a role that you do not hold are made on the machine, with freehold key create.</p>}
        </fieldset>
        <div class="field">
          <label for="key-expires">Ends on</label>
          <input id="key-expires" name="expires" type="date" />
        </div>
        <details>
          <summary>Tenant, models, limits</summary>
          <div class="field">
            <label for="key-tenant">Tenant</label>
            <input id="key-tenant" name="tenant" autocomplete="off" placeholder="default" aria-describedby="key-tenant-words" />
            <p id="key-tenant-words" class="field-words">Nothing that was made under one tenant is seen by another.</p>
          </div>
          <div class="field">
            <label for="key-models">Models</label>
            <input id="key-models" name="models" autocomplete="off" placeholder="all" list="key-model-names" aria-describedby="key-models-words" />
            <datalist id="key-model-names">
              {(models.value ?? []).map(({ name }) => (
                <option key={name} value={name} />
              ))}
            </datalist>
            <p id="key-models-words" class="field-words">Names with commas between; * stands for any letters. Empty is all.</p>
          </div>
          {kLimits.map(([name, words]) => (
            <div class="field" key={name}>
              <label for={`key-${name}`}>{words.charAt(0).toUpperCase() + words.slice(1)}</label>
              <input id={`key-${name}`} name={name} type="number" min={1} step={1} placeholder="no bound" />
            </div>
          ))}
        </details>
        {error && <ErrorNote error={error} />}
        <div class="modal-actions">
          <button type="submit" class="button button-main">
            Make the key
          </button>
        </div>
      </form>
    </Modal>
  );
}

function Revoke({ entry, onGone }: { entry: Key; onGone: () => void }) {
  const [asking, set_asking] = useState(false);
  const [error, set_error] = useState<Complaint | null>(null);
  const yes = async () => {
    try {
      await call("DELETE", `/freehold/v1/keys/${encodeURIComponent(entry.id)}`);
      onGone();
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  return (
    <>
      <IconButton icon="trash" label={`Revoke ${entry.name}`} onClick={() => set_asking(true)} />
      {asking && (
        <Confirm title={`Revoke ${entry.name}?`} action="Revoke" onClose={() => set_asking(false)} onYes={() => void yes()}>
          <p>Whoever uses this key is refused from the next request on. A revoked key does not come back; make a new one instead.</p>
        </Confirm>
      )}
      {error && <ErrorNote error={error} />}
    </>
  );
}

export function KeysView() {
  const [keys, set_keys] = useState<Key[] | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  const [making, set_making] = useState(false);
  const load = async () => {
    try {
      set_keys(list_of(await call("GET", "/freehold/v1/keys"), "keys").map(key_of));
      set_error(null);
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  useEffect(() => {
    void load();
  }, []);
  return (
    <>
      {error && <ErrorNote error={error} action="Try again" onAction={() => void load()} />}
      {keys === null && !error && <Waiting>Reading…</Waiting>}
      {keys && (
        <>
          <div class="row-between">
            <p class="muted">{keys.length === 0 ? "There is no key yet. As long as there is none, only this machine itself is let in; from another machine everyone needs one." : "A key says who asks: its role, its tenant, its limits."}</p>
            <button type="button" class="button button-main" onClick={() => set_making(true)}>
              Make a key
            </button>
          </div>
          {keys.length > 0 && (
            <div class="table-box">
              <table class="grid">
                <caption class="off-screen">Keys</caption>
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">Roles</th>
                    <th scope="col">Tenant</th>
                    <th scope="col">Counts</th>
                    <th scope="col">Last used</th>
                    <th scope="col" class="number">
                      This month
                    </th>
                    <th scope="col">Limits</th>
                    <th scope="col">
                      <span class="off-screen">Change</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {keys.map((entry) => (
                    <tr key={entry.id}>
                      <th scope="row">
                        {entry.name}
                        <span class="muted small"> {entry.id}</span>
                      </th>
                      <td data-label="Roles">{entry.role.replace(/,/g, ", ")}</td>
                      <td data-label="Tenant">{entry.tenant || "default"}</td>
                      <td data-label="Counts">
                        <State entry={entry} />
                      </td>
                      <td data-label="Last used" class="number-left">
                        {instant(entry.last_used)}
                      </td>
                      <td data-label="This month" class="number">
                        {count(entry.tokens)} <span class="muted">tokens</span>
                      </td>
                      <td data-label="Limits">
                        {entry.limits || <span class="muted">none</span>}
                        {entry.models.length > 0 && <span class="muted"> models: {entry.models.join(", ")}</span>}
                      </td>
                      <td class="cell-action cell-two">
                        {!entry.revoked && (
                          <>
                            <Rotate entry={entry} onDone={() => void load()} />
                            <Revoke entry={entry} onGone={() => void load()} />
                          </>
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
      {making && <Make onClose={() => set_making(false)} onMade={() => void load()} />}
    </>
  );
}
