// What the views of models share: a licence as a chip, and a pull with its progress.
// Both say in words what they show in colour.
import { bytes, duration } from "../lib/format";
import { Chip, ErrorNote, IconButton } from "../ui/parts";
import { category_of, forget_pull, pull as start_pull, type Licence, type Pull } from "./catalogue";

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
