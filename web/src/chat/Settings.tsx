// The drawer beside a conversation: system prompt, sampling, whether probabilities are recorded.
// An empty field leaves the choice to the server and the model. Changes count from the next answer on.
import { useEffect, useState } from "preact/hooks";
import { IconButton } from "../ui/parts";
import { change_head, defaults, set_defaults, type OpenConversation } from "./store";
import type { Parameters } from "./tree";

interface Field {
  name: Exclude<keyof Parameters, "stop">;
  label: string;
  words: string;
  min: number;
  max: number;
  step: number;
}

const kFields: Field[] = [
  { name: "temperature", label: "Temperature", words: "0 always takes the likeliest word; higher is more varied.", min: 0, max: 2, step: 0.05 },
  { name: "top_p", label: "Top p", words: "Only the likeliest words that together reach this probability.", min: 0, max: 1, step: 0.01 },
  { name: "top_k", label: "Top k", words: "Only so many of the likeliest words; 0 is all.", min: 0, max: 1000, step: 1 },
  { name: "min_p", label: "Min p", words: "Only words with this share of the likeliest one's probability.", min: 0, max: 1, step: 0.01 },
  { name: "repeat_penalty", label: "Repeat penalty", words: "Above 1 makes words that came before less likely.", min: 0.5, max: 2, step: 0.01 },
  { name: "presence_penalty", label: "Presence penalty", words: "Above 0 favours words that did not come yet.", min: -2, max: 2, step: 0.1 },
  { name: "frequency_penalty", label: "Frequency penalty", words: "Above 0 makes a word less likely each time it comes.", min: -2, max: 2, step: 0.1 },
  { name: "max_tokens", label: "Longest answer", words: "In tokens; a token is about three quarters of a word.", min: 1, max: 1_000_000, step: 1 },
  { name: "seed", label: "Seed", words: "The same seed with the same settings gives the same answer.", min: 0, max: 2 ** 53, step: 1 },
];

interface NumberProps {
  field: Field;
  value: number | undefined;
  onValue: (value: number | undefined) => void;
}

function NumberField({ field, value, onValue }: NumberProps) {
  const [wrong, set_wrong] = useState("");
  const id = `parameter-${field.name}`;
  return (
    <div class="field field-number">
      <label for={id}>{field.label}</label>
      <input
        id={id}
        type="number"
        inputMode="decimal"
        min={field.min}
        max={field.max}
        step="any"
        placeholder="default"
        value={value ?? ""}
        aria-describedby={`${id}-words`}
        aria-invalid={wrong !== ""}
        onInput={(event) => {
          const { value: typed, validity } = event.currentTarget;
          const number = Number(typed);
          if (typed === "" && !validity.badInput) {
            set_wrong("");
            onValue(undefined);
          } else if (validity.badInput || !Number.isFinite(number) || number < field.min || number > field.max || (field.step === 1 && !Number.isInteger(number))) {
            set_wrong(`${field.step === 1 ? "A whole number" : "A number"} from ${field.min} to ${field.max}, or nothing.`);
          } else {
            set_wrong("");
            onValue(number);
          }
        }}
      />
      <p id={`${id}-words`} class={wrong === "" ? "field-words" : "field-words field-wrong"} role={wrong === "" ? undefined : "alert"}>
        {wrong || field.words}
      </p>
    </div>
  );
}

export function Settings({ open, onClose }: { open: OpenConversation; onClose: () => void }) {
  const head = open.head.value;
  const [saved, set_saved] = useState(false);
  useEffect(() => {
    if (!saved) return undefined;
    const timer = setTimeout(() => set_saved(false), 2000);
    return () => clearTimeout(timer);
  }, [saved]);
  const set = (change: Partial<Parameters>) => {
    const next = { ...head.parameters, ...change };
    for (const name of Object.keys(next) as (keyof Parameters)[]) {
      if (next[name] === undefined) delete next[name];
    }
    change_head(open, { parameters: next });
  };
  return (
    <section class="drawer" aria-label="Settings of this conversation">
      <div class="drawer-head">
        <h2>Settings</h2>
        <IconButton icon="close" label="Close the settings" onClick={onClose} />
      </div>
      <div class="field">
        <label for="system-prompt">System prompt</label>
        <textarea
          id="system-prompt"
          class="grow"
          rows={4}
          placeholder="How the model should answer, in every turn"
          value={head.system}
          onInput={(event) => change_head(open, { system: event.currentTarget.value })}
        />
      </div>
      {kFields.map((field) => (
        <NumberField key={field.name} field={field} value={head.parameters[field.name]} onValue={(value) => set({ [field.name]: value })} />
      ))}
      <div class="field">
        <label for="parameter-stop">Stop at</label>
        <textarea
          id="parameter-stop"
          class="grow"
          rows={1}
          placeholder="one text a line"
          value={(head.parameters.stop ?? []).join("\n")}
          onChange={(event) => {
            const lines = event.currentTarget.value.split("\n").filter((line) => line !== "").slice(0, 4);
            set({ stop: lines.length > 0 ? lines : undefined });
          }}
        />
        <p class="field-words">The answer ends before any of these; four at most.</p>
      </div>
      <label class="check">
        <input type="checkbox" checked={head.probabilities} onChange={(event) => change_head(open, { probabilities: event.currentTarget.checked })} />
        Record probabilities
      </label>
      <p class="field-words">For “why?” under an answer: each word's probability and what else was likely. It changes no word.</p>
      <div class="drawer-foot">
        <button
          type="button"
          class="button"
          onClick={() => {
            set_defaults({ system: head.system, parameters: head.parameters, probabilities: head.probabilities });
            set_saved(true);
          }}
        >
          <span aria-live="polite">{saved ? "Kept" : "Keep for new conversations"}</span>
        </button>
        <button type="button" class="button" onClick={() => change_head(open, { system: defaults.value.system, parameters: defaults.value.parameters, probabilities: defaults.value.probabilities })}>
          Reset
        </button>
      </div>
    </section>
  );
}
