// The models of this server: a table, their adapters, what is being fetched, what could be.
// Fetching and removing are for operators; everyone sees size, licence and whether a model is loaded.
import { useEffect, useState } from "preact/hooks";
import { bytes, count, parameters } from "../lib/format";
import { link, route } from "../lib/route";
import { may, session } from "../lib/session";
import { Chip, ErrorNote, Waiting } from "../ui/parts";
import { full_name, load_models, load_offers, models, models_error, offers, plain_models, pull, pulls, type Model } from "./catalogue";
import { ModelPage } from "./ModelPage";
import { kKinds, LicenceChip, PullRow, Remove } from "./parts";

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
              <td data-label="State">{model.loaded ? <Chip kind="accent">loaded{model.memory ? `, up to ${bytes(model.memory)}` : ""}</Chip> : <span class="muted">on disk</span>}</td>
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

function Adapters({ list }: { list: Model[] }) {
  return (
    <section aria-labelledby="adapters">
      <h2 id="adapters">Adapters</h2>
      <p class="muted">Small files that change a model for a purpose; the model below is kept once. Ask for one by its whole name, or choose it in the settings of a conversation.</p>
      <div class="table-box">
        <table class="grid">
          <caption class="off-screen">Adapters on this server, with their models</caption>
          <thead>
            <tr>
              <th scope="col">Ask for</th>
              <th scope="col">Adapter</th>
              <th scope="col">For the model</th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col" class="number">
                Parameters
              </th>
              <th scope="col">Licence</th>
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
                </th>
                <td data-label="Adapter">{model.adapter?.name}</td>
                <td data-label="Model">{model.adapter?.model}</td>
                <td data-label="Size" class="number">
                  {bytes(model.adapter?.bytes)}
                </td>
                <td data-label="Parameters" class="number">
                  {parameters(model.adapter?.parameters)}
                </td>
                <td data-label="Licence">{model.adapter && <LicenceChip licence={model.adapter.licence} />}</td>
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
    </section>
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

export function ModelsView() {
  const name = route.value.path[1];
  useEffect(() => {
    void load_models();
    if (may("change_models")) void load_offers();
  }, []);
  if (name) return <ModelPage name={name} />;
  const list = models.value;
  const adapted = (list ?? []).filter(({ adapter }) => adapter !== null);
  return (
    <div class="page-column page-wide">
      <h1>Models</h1>
      {models_error.value && <ErrorNote error={models_error.value} action="Try again" onAction={() => void load_models()} />}
      {list === null && !models_error.value && <Waiting>Reading…</Waiting>}
      {list && plain_models.value.length > 0 && <Table list={plain_models.value} />}
      {adapted.length > 0 && <Adapters list={adapted} />}
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
