// The first screen of a server without a model: what to fetch, how large it is, under which terms, in one press.
// Who may not fetch models is told who can.
import { may, session } from "../lib/session";
import { bytes, parameters } from "../lib/format";
import { link } from "../lib/route";
import { offers, pull, pulls } from "./catalogue";
import { LicenceChip, PullRow } from "./parts";

export function FirstModel() {
  const wanted = session.value?.default_model || "smollm2:135m";
  const list = offers.value ?? [];
  const offer = list.find(({ name }) => name === wanted) ?? list.find(({ kind }) => kind === "chat");
  const running = pulls.value.find(({ name }) => name === offer?.name);
  return (
    <div class="page-column">
      <h1>There is no model here yet</h1>
      {!may("change_models") ? (
        <p>This server has no model that can chat. Whoever runs it can fetch one: with the command <code>freehold pull {wanted}</code>, or here, signed in as operator.</p>
      ) : (
        <>
          <p>A model is one file of weights, kept on this server. Begin with a small one that answers at once on any machine:</p>
          {offer && (
            <div class="card">
              <h2>{offer.name}</h2>
              <p>{offer.description}</p>
              {offer.good_for !== "" && <p class="muted">Good for {offer.good_for}.</p>}
              <p class="chips">
                <LicenceChip licence={offer.licence} />
                <span class="muted">
                  {bytes(offer.bytes)} to fetch, {parameters(offer.parameters)} parameters
                </span>
              </p>
              {running ? (
                <PullRow pull={running} />
              ) : (
                <button type="button" class="button button-main" onClick={() => void pull(offer.name)}>
                  Fetch {offer.name}
                </button>
              )}
            </div>
          )}
          <p>
            <a href={link("models")}>See every model</a>, or on the command line: <code>freehold pull {wanted}</code>
          </p>
        </>
      )}
    </div>
  );
}
