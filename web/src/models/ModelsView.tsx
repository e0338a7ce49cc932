// The models of this server: a table, what is being fetched, what could be, and one model's page.
// Fetching and removing are for operators; everyone sees size, licence and whether a model is loaded.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { bytes, count, parameters, short_digest } from "../lib/format";
import { link, route } from "../lib/route";
import { may, session } from "../lib/session";
import { Chip, Confirm, CopyButton, ErrorNote, IconButton, Waiting } from "../ui/parts";
import { category_of, full_name, load_models, load_offers, model_of, models, models_error, offers, pull, pulls, remove, type Model } from "./catalogue";
import { LicenceChip, PullRow } from "./parts";

const kKinds: Record<string, string> = { chat: "chat", base: "base, continues text", embedding: "embedding" };

function Remove({ model, onGone }: { model: Model; onGone?: () => void }) {
  const [asking, set_asking] = useState(false);
  const [error, set_error] = useState<Complaint | null>(null);
  return (
    <>
      <IconButton icon="trash" label={`Remove ${model.name}`} onClick={() => set_asking(true)} />
      {asking && (
        <Confirm
          title={`Remove ${model.name}?`}
          action="Remove"
          onClose={() => set_asking(false)}
          onYes={() =>
            void remove(model.name).then((refused) => {
              set_error(refused);
              if (!refused) onGone?.();
            })
          }
        >
          <p>Its {bytes(model.bytes)} are deleted from this server, for everyone who uses it. It can be fetched again.</p>
        </Confirm>
      )}
      {error && <ErrorNote error={error} />}
    </>
  );
}

function Table({ list }: { list: Model[] }) {
  return (
    <div class="table-box">
      <table class="grid">
        <caption class="off-screen">Models on this server</caption>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">Kind</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col" class="number">
              Parameters
            </th>
            <th scope="col" class="number">
              Context
            </th>
            <th scope="col">Licence</th>
            <th scope="col">State</th>
            {may("change_models") && (
              <th scope="col">
                <span class="off-screen">Remove</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {list.map((model) => (
            <tr key={model.name}>
              <th scope="row">
                <a href={link("models", model.name)}>{model.name}</a>
                {model.name === session.value?.default_model && <span class="muted"> default</span>}
              </th>
              <td data-label="Kind">{kKinds[model.kind] ?? model.kind}</td>
              <td data-label="Size" class="number">
                {bytes(model.bytes)}
                {model.quantisation !== "" && <span class="muted"> {model.quantisation}</span>}
              </td>
              <td data-label="Parameters" class="number">
                {parameters(model.parameters)}
              </td>
              <td data-label="Context" class="number">
                {count(model.context)}
              </td>
              <td data-label="Licence">
                <LicenceChip licence={model.licence} />
              </td>
              <td data-label="State">{model.loaded ? <Chip kind="accent">loaded{model.memory ? `, ${bytes(model.memory)}` : ""}</Chip> : <span class="muted">on disk</span>}</td>
              {may("change_models") && (
                <td class="cell-action">
                  <Remove model={model} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PullForm() {
  const [name, set_name] = useState("");
  return (
    <form
      class="inline-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() === "") return;
        void pull(name.trim());
        set_name("");
      }}
    >
      <label for="pull-name">Fetch by name</label>
      <input id="pull-name" value={name} placeholder="hf:owner/name:file.gguf" autocomplete="off" spellcheck={false} onInput={(event) => set_name(event.currentTarget.value)} />
      <button type="submit" class="button" disabled={name.trim() === ""}>
        Fetch
      </button>
    </form>
  );
}

function Offers() {
  const here = new Set((models.value ?? []).map(({ name }) => full_name(name)));
  const list = (offers.value ?? []).filter(({ name }) => !here.has(full_name(name)) && !pulls.value.some((each) => full_name(each.name) === full_name(name)));
  return (
    <section aria-labelledby="offers">
      <h2 id="offers">Fetch a model</h2>
      <ul class="cards">
        {list.map((offer) => (
          <li class="card" key={offer.name}>
            <h3>{offer.name}</h3>
            <p>{offer.description}</p>
            {offer.good_for !== "" && <p class="muted">Good for {offer.good_for}.</p>}
            <p class="chips">
              <LicenceChip licence={offer.licence} />
            </p>
            <div class="card-foot">
              <span class="muted number">
                {bytes(offer.bytes)}
                {offer.parameters ? `, ${parameters(offer.parameters)} parameters` : ""}
              </span>
              <button type="button" class="button" onClick={() => void pull(offer.name)} aria-label={`Fetch ${offer.name}`}>
                Fetch
              </button>
            </div>
          </li>
        ))}
      </ul>
      <PullForm />
      <p class="muted">The server fetches it, from the hosts that its configuration names; a server that is sealed says so. What is here already is not fetched twice.</p>
    </section>
  );
}

function Facts({ detail, depth = 0 }: { detail: Record<string, unknown>; depth?: number }) {
  return (
    <dl class={depth === 0 ? "facts-list" : "facts-list facts-inner"}>
      {Object.entries(detail)
        .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && value.length === 0))
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name.replace(/_/g, " ")}</dt>
            <dd>
              {Array.isArray(value) && value.every((item) => typeof item === "object") ? (
                value.map((item, place) => <Facts key={place} detail={item as Record<string, unknown>} depth={depth + 1} />)
              ) : typeof value === "object" && !Array.isArray(value) ? (
                <Facts detail={value as Record<string, unknown>} depth={depth + 1} />
              ) : name === "bytes" || name === "size" || name === "memory" ? (
                bytes(value as number)
              ) : typeof value === "number" ? (
                count(value)
              ) : Array.isArray(value) ? (
                value.map(String).join(", ")
              ) : (
                String(value)
              )}
            </dd>
          </div>
        ))}
    </dl>
  );
}

const kInTable = new Set(["name", "digest", "bytes", "licence", "loaded", "memory", "kind", "context", "quantisation", "parameters", "description", "card", "template"]);

function ModelPage({ name }: { name: string }) {
  const [detail, set_detail] = useState<Record<string, unknown> | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  useEffect(() => {
    set_detail(null);
    set_error(null);
    call<Record<string, unknown>>("GET", `/freehold/v1/models/${encodeURIComponent(name)}`)
      .then(set_detail)
      .catch((thrown: unknown) => set_error(complaint(thrown)));
  }, [name]);
  const model = detail && model_of({ name, ...detail });
  const { meaning } = category_of(model?.licence.category ?? "");
  return (
    <div class="page-column page-wide">
      <p>
        <a href={link("models")}>All models</a>
      </p>
      <h1>{name}</h1>
      {error && <ErrorNote error={error} />}
      {!detail && !error && <Waiting>Reading…</Waiting>}
      {model && detail && (
        <>
          {model.description !== "" && <p>{model.description}</p>}
          <p class="chips">
            <LicenceChip licence={model.licence} />
            {model.loaded ? <Chip kind="accent">loaded{model.memory ? `, ${bytes(model.memory)}` : ""}</Chip> : <Chip kind="plain">on disk</Chip>}
          </p>
          {meaning !== "" && <p class="muted">{meaning}</p>}
          <dl class="facts-list">
            <div>
              <dt>Kind</dt>
              <dd>{kKinds[model.kind] ?? model.kind}</dd>
            </div>
            <div>
              <dt>Size</dt>
              <dd>
                {bytes(model.bytes)} {model.quantisation}
              </dd>
            </div>
            <div>
              <dt>Parameters</dt>
              <dd>{parameters(model.parameters)}</dd>
            </div>
            <div>
              <dt>Context</dt>
              <dd>{count(model.context)} tokens</dd>
            </div>
            {model.digest !== "" && (
              <div>
                <dt>Digest</dt>
                <dd>
                  <code title={model.digest}>{short_digest(model.digest)}…</code> <CopyButton quiet label="Copy the whole digest" text={() => model.digest} />
                </dd>
              </div>
            )}
          </dl>
          <Facts detail={Object.fromEntries(Object.entries(detail).filter(([key]) => !kInTable.has(key)))} />
          {may("change_models") && (
            <div class="row-end">
              <Remove
                model={model}
                onGone={() => {
                  location.hash = link("models");
                }}
              />
            </div>
          )}
        </>
      )}
    </div>
  );
}

export function ModelsView() {
  const name = route.value.path[1];
  useEffect(() => {
    void load_models();
    if (may("change_models")) void load_offers();
  }, []);
  if (name) return <ModelPage name={name} />;
  const list = models.value;
  return (
    <div class="page-column page-wide">
      <h1>Models</h1>
      {models_error.value && <ErrorNote error={models_error.value} action="Try again" onAction={() => void load_models()} />}
      {list === null && !models_error.value && <Waiting>Reading…</Waiting>}
      {list && list.length > 0 && <Table list={list} />}
      {list && list.length === 0 && <p>This server has no model yet. {may("change_models") ? "Fetch one below; the smallest answers at once on any machine." : "Whoever runs it can fetch one."}</p>}
      {pulls.value.length > 0 && (
        <section aria-label="Being fetched" class="pulls">
          {pulls.value.map((each) => (
            <PullRow key={each.name} pull={each} />
          ))}
        </section>
      )}
      {may("change_models") && offers.value && <Offers />}
    </div>
  );
}
