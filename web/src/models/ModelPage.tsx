// One model: what it is, under which terms, what lies on disk of it by digest, what it was made from and what from it.
// What the server does not tell is left out.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, complaint, type Complaint } from "../lib/api";
import { bytes, count, instant, parameters, short_digest } from "../lib/format";
import { link } from "../lib/route";
import { may } from "../lib/session";
import { Chip, CopyButton, ErrorNote, Waiting } from "../ui/parts";
import { adapters_of, category_of, list_of, load_models, model_of, type Model } from "./catalogue";
import { Openness } from "./Openness";
import { kKinds, LicenceChip, Remove } from "./parts";

type Loose = Record<string, unknown>;
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Digest({ digest }: { digest: string }) {
  return (
    <span class="digest">
      <code title={digest}>{short_digest(digest)}…</code> <CopyButton quiet label={`Copy the whole digest ${short_digest(digest)}`} text={() => digest} />
    </span>
  );
}

interface Origin {
  digest: string;
  name: string;
  parents: Origin[];
}

function origins(value: unknown): Origin[] {
  return Array.isArray(value) ? value.map((each: Loose) => ({ digest: text(each["digest"]), name: text(each["name"]), parents: origins(each["parents"]) })) : [];
}

/** Each version under what was made from it. */
function Tree({ list }: { list: Origin[] }) {
  return (
    <ul class="tree">
      {list.map(({ digest, name, parents }) => (
        <li key={digest}>
          {name === "" ? <span class="muted">a version that is not here</span> : <a href={link("models", name)}>{name}</a>} <Digest digest={digest} />
          {parents.length > 0 && (
            <>
              <span class="muted"> made from</span>
              <Tree list={parents} />
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

function Lineage({ name, detail }: { name: string; detail: Loose }) {
  const parents = origins(detail["parents"]);
  const derived = Array.isArray(detail["derived"]) ? detail["derived"].map(String) : [];
  if (parents.length === 0 && derived.length === 0) return null;
  return (
    <section aria-labelledby="lineage">
      <h2 id="lineage">Lineage</h2>
      {parents.length > 0 && (
        <>
          <p class="muted">{name} was made from</p>
          <Tree list={parents} />
        </>
      )}
      {derived.length > 0 && (
        <>
          <p class="muted">Made from it</p>
          <ul class="tree">
            {derived.map((each) => {
              // An adapter has no page of its own: it is asked for with its model.
              const adapted = adapters_of(name).find(({ adapter }) => adapter?.name === each);
              return (
                <li key={each}>
                  <a href={link("models", adapted?.name ?? each)}>{each}</a> {adapted && <span class="muted">adapter</span>}
                </li>
              );
            })}
          </ul>
        </>
      )}
    </section>
  );
}

function Files({ files }: { files: Loose[] }) {
  if (files.length === 0) return null;
  return (
    <section aria-labelledby="files">
      <h2 id="files">Files</h2>
      <div class="table-box">
        <table class="grid">
          <caption class="off-screen">Files of the model, by digest</caption>
          <thead>
            <tr>
              <th scope="col">File</th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">SHA-256</th>
            </tr>
          </thead>
          <tbody>
            {files.map((file) => (
              <tr key={text(file["path"])}>
                <th scope="row">{text(file["path"])}</th>
                <td data-label="Size" class="number">
                  {bytes(number(file["bytes"]))}
                </td>
                <td data-label="SHA-256">
                  <Digest digest={text(file["digest"])} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Facts({ model, detail }: { model: Model; detail: Loose }) {
  const source = [text(detail["source"]), text(detail["source_revision"])].filter(Boolean).join(", revision ");
  const panels = number(detail["panels"]);
  return (
    <dl class="facts-list">
      {model.adapter && (
        <>
          <Fact name="Adapter">
            {model.adapter.name}, {bytes(model.adapter.bytes)}, {parameters(model.adapter.parameters)} parameters
          </Fact>
          <Fact name="Adapter’s digest">
            <Digest digest={model.adapter.digest} />
          </Fact>
          <Fact name="For the model">
            <a href={link("models", model.adapter.model)}>{model.adapter.model}</a>
          </Fact>
        </>
      )}
      <Fact name="Kind">
        {kKinds[model.kind] ?? model.kind}
        {text(detail["architecture"]) !== "" && `, architecture ${text(detail["architecture"])}`}
      </Fact>
      <Fact name="Size">
        {bytes(model.bytes)} {model.quantisation}
      </Fact>
      {panels !== null && (
        <Fact name="Panels">
          {panels > 0 ? (
            <>
              {bytes(panels)} <span class="muted">weights laid out for this processor, kept for quick starts</span>
            </>
          ) : (
            <span class="muted">none kept; weights are laid out at each start</span>
          )}
        </Fact>
      )}
      <Fact name="Parameters">{parameters(model.parameters)}</Fact>
      <Fact name="Context">
        {count(model.context)} tokens
        {number(detail["serving_context"]) ? `, served with ${count(number(detail["serving_context"]))}` : ""}
      </Fact>
      {model.digest !== "" && (
        <Fact name="Digest">
          <Digest digest={model.digest} />
        </Fact>
      )}
      {source !== "" && <Fact name="Source">{source}</Fact>}
      {text(detail["created"]) !== "" && <Fact name="Here since">{instant(text(detail["created"]))}</Fact>}
    </dl>
  );
}

export function ModelPage({ name }: { name: string }) {
  const [detail, set_detail] = useState<Loose | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  useEffect(() => {
    set_detail(null);
    set_error(null);
    void load_models();
    call<Loose>("GET", `/freehold/v1/models/${encodeURIComponent(name)}`)
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
            {model.loaded ? <Chip kind="accent">loaded{model.memory ? `, up to ${bytes(model.memory)}` : ""}</Chip> : <Chip kind="plain">on disk</Chip>}
            {meaning !== "" && <span class="muted">{meaning}</span>}
            {/^https?:\/\//.test(model.licence.url) && (
              <a href={model.licence.url} target="_blank" rel="noopener noreferrer">
                The licence, outside
              </a>
            )}
          </p>
          <Facts model={model} detail={detail} />
          <Lineage name={model.name} detail={detail} />
          {!model.adapter && <Openness name={model.name} />}
          <Files files={list_of(detail, "files") as Loose[]} />
          {may("change_models") && (
            <div class="row-between">
              <span class="muted">{model.adapter ? "Remove the adapter from this server" : "Remove it from this server"}</span>
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
