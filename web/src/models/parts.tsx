// What the views of models share: a licence as a chip, a pull with its progress, removing after asking.
// Chips say in words what they show in colour.
import { useState } from "preact/hooks";
import type { Complaint } from "../lib/api";
import { bytes, duration } from "../lib/format";
import { Chip, Confirm, ErrorNote, IconButton } from "../ui/parts";
import { adapters_of, category_of, forget_pull, pull as start_pull, remove, type Licence, type Model, type Pull } from "./catalogue";

export function LicenceChip({ licence }: { licence: Licence }) {
  const { label, kind, meaning } = category_of(licence.category);
  return (
    <span class="chip-pair">
      <Chip kind={kind} title={meaning}>
        {label}
      </Chip>
      {licence.name !== "" && <span class="muted">{licence.name}</span>}
    </span>
  );
}

export function PullRow({ pull }: { pull: Pull }) {
  const { name, status, completed, total, rate, error, done } = pull;
  if (error) return <ErrorNote error={error} action="Try again" onAction={() => void start_pull(name)} />;
  const left = rate && rate > 0 ? (total - completed) / rate : null;
  const words = done
    ? `${name}: here and verified.`
    : total > 0
      ? `${bytes(completed)} of ${bytes(total)}${rate ? `, ${bytes(rate)}/s` : ""}${left !== null && left > 1 ? `, ${duration(left)} left` : ""}`
      : status;
  return (
    <div class="pull">
      <div class="pull-line">
        <strong>{name}</strong>
        <span class="muted number">{words}</span>
        {done ? <IconButton icon="close" label={`Put ${name} away`} onClick={() => forget_pull(name)} /> : <IconButton icon="close" label={`Stop fetching ${name}`} onClick={pull.stop} />}
      </div>
      {!done && <progress aria-label={`Fetching ${name}`} value={total > 0 ? completed : undefined} max={total > 0 ? total : undefined} />}
    </div>
  );
}

export const kKinds: Record<string, string> = { chat: "chat", base: "base, continues text", embedding: "embedding" };

export function Remove({ model, onGone }: { model: Model; onGone?: () => void }) {
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
          {model.adapter ? (
            <p>
              The adapter’s {bytes(model.adapter.bytes)} are deleted from this server, for everyone who uses it. {model.adapter.model} stays.
            </p>
          ) : (
            <p>Its {bytes(model.bytes)} are deleted from this server, for everyone who uses it. It can be fetched again.</p>
          )}
          {!model.adapter && adapters_of(model.name).length > 0 && <p>Its adapters ({adapters_of(model.name).map(({ adapter }) => adapter?.name).join(", ")}) stay and are of no use without it.</p>}
        </Confirm>
      )}
      {error && <ErrorNote error={error} />}
    </>
  );
}
