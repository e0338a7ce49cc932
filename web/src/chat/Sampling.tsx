// The fields of sampling, for the drawer of a conversation and for one answer that is asked for again.
// An empty field leaves the choice to the server and the model.
import { useState } from "preact/hooks";
import { kLimits, type NumberName, type Parameters } from "./tree";

export const kFields: { name: NumberName; label: string; words: string }[] = [
  { name: "temperature", label: "Temperature", words: "0 always takes the likeliest word; higher is more varied." },
  { name: "top_p", label: "Top p", words: "Only the likeliest words that together reach this probability." },
  { name: "top_k", label: "Top k", words: "Only so many of the likeliest words; 0 is all." },
  { name: "min_p", label: "Min p", words: "Only words with this share of the likeliest one's probability." },
  { name: "repeat_penalty", label: "Repeat penalty", words: "Above 1 makes words that came before less likely." },
  { name: "presence_penalty", label: "Presence penalty", words: "Above 0 favours words that did not come yet." },
  { name: "frequency_penalty", label: "Frequency penalty", words: "Above 0 makes a word less likely each time it comes." },
  { name: "max_tokens", label: "Longest answer", words: "In tokens; a token is about three quarters of a word." },
  { name: "seed", label: "Seed", words: "The same seed with the same settings gives the same answer." },
];

/** What of these settings is not the server's choice, as one would say it. */
export function spoken(parameters: Parameters | undefined): string[] {
  return kFields.filter(({ name }) => parameters?.[name] !== undefined).map(({ name, label }) => `${label.toLowerCase()} ${parameters?.[name]}`);
}

interface NumberProps {
  id: string;
  name: NumberName;
  label: string;
  words: string;
  value: number | undefined;
  onValue: (value: number | undefined) => void;
}

function NumberField({ id, name, label, words, value, onValue }: NumberProps) {
  const [wrong, set_wrong] = useState("");
  const { min, max, step } = kLimits[name];
  return (
    <div class="field field-number">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
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
          } else if (validity.badInput || !Number.isFinite(number) || number < min || number > max || (step === 1 && !Number.isInteger(number))) {
            set_wrong(`${step === 1 ? "A whole number" : "A number"} from ${min} to ${max}, or nothing.`);
          } else {
            set_wrong("");
            onValue(number);
          }
        }}
      />
      <p id={`${id}-words`} class={wrong === "" ? "field-words" : "field-words field-wrong"} role={wrong === "" ? undefined : "alert"}>
        {wrong || words}
      </p>
    </div>
  );
}

interface SamplingProps {
  /** Begins the ids of the fields, which may be on the page twice. */
  prefix: string;
  parameters: Parameters;
  onChange: (next: Parameters) => void;
}

export function Sampling({ prefix, parameters, onChange }: SamplingProps) {
  const set = (change: Partial<Parameters>) => {
    const next = { ...parameters, ...change };
    for (const name of Object.keys(next) as (keyof Parameters)[]) {
      if (next[name] === undefined) delete next[name];
    }
    onChange(next);
  };
  return (
    <>
      {kFields.map(({ name, label, words }) => (
        <NumberField key={name} id={`${prefix}-${name}`} name={name} label={label} words={words} value={parameters[name]} onValue={(value) => set({ [name]: value })} />
      ))}
      <div class="field">
        <label for={`${prefix}-stop`}>Stop at</label>
        <textarea
          id={`${prefix}-stop`}
          class="grow"
          rows={1}
          placeholder="one text a line"
          value={(parameters.stop ?? []).join("\n")}
          onChange={(event) => {
            const lines = event.currentTarget.value.split("\n").filter((line) => line !== "").slice(0, 4);
            set({ stop: lines.length > 0 ? lines : undefined });
          }}
        />
        <p class="field-words">The answer ends before any of these; four at most.</p>
      </div>
    </>
  );
}
