// Which model answers and which adapter goes on top: one name for the server ("model+adapter"), two choices for people.
// What a conversation names and the server no longer has stays to be seen, and says so.
import { adapters_of, base_of, chat_models } from "../models/catalogue";

interface ChoiceProps {
  model: string;
  onModel: (model: string) => void;
  id?: string;
  label?: string;
}

export function ModelChoice({ model, onModel, id, label }: ChoiceProps) {
  const list = chat_models.value;
  const chosen = base_of(model);
  const groups = [
    { label: "Chat models", list: list.filter(({ kind }) => kind !== "base") },
    { label: "Base models, which continue a text", list: list.filter(({ kind }) => kind === "base") },
  ].filter((group) => group.list.length > 0);
  const absent = chosen !== "" && !list.some(({ name }) => name === chosen);
  return (
    <select id={id} class="model-choice" aria-label={label} value={chosen} onChange={(event) => onModel(event.currentTarget.value)}>
      {chosen === "" && <option value="">No model</option>}
      {absent && <option value={chosen}>{chosen} (not on this server)</option>}
      {groups.map((group) => (
        <optgroup key={group.label} label={group.label}>
          {group.list.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </optgroup>
      ))}
    </select>
  );
}

/** Nothing where the model has no adapter and none is asked for. */
export function AdapterChoice({ id, model, onModel }: ChoiceProps) {
  const base = base_of(model);
  const adapter = model.slice(base.length + 1);
  const list = adapters_of(base);
  const absent = adapter !== "" && !list.some(({ name }) => name === model);
  if (list.length === 0 && adapter === "") return null;
  return (
    <div class="field">
      <label for={id}>Adapter</label>
      <select id={id} value={adapter} aria-describedby={`${id}-words`} onChange={(event) => onModel(event.currentTarget.value === "" ? base : `${base}+${event.currentTarget.value}`)}>
        <option value="">none</option>
        {absent && <option value={adapter}>{adapter} (not on this server)</option>}
        {list.map(({ name }) => (
          <option key={name} value={name.slice(base.length + 1)}>
            {name.slice(base.length + 1)}
          </option>
        ))}
      </select>
      <p id={`${id}-words`} class="field-words">
        A small file that changes {base} for a purpose. The model itself stays as it is.
      </p>
    </div>
  );
}
