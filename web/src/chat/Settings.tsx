// The drawer beside a conversation: adapter, system prompt, sampling, whether probabilities are recorded.
// An empty field leaves the choice to the server and the model. Changes count from the next answer on.
import { useEffect, useState } from "preact/hooks";
import { IconButton } from "../ui/parts";
import { AdapterChoice } from "./ModelChoice";
import { Sampling } from "./Sampling";
import { change_head, defaults, set_defaults, type OpenConversation } from "./store";

export function Settings({ open, onClose }: { open: OpenConversation; onClose: () => void }) {
  const head = open.head.value;
  const [saved, set_saved] = useState(false);
  useEffect(() => {
    if (!saved) return undefined;
    const timer = setTimeout(() => set_saved(false), 2000);
    return () => clearTimeout(timer);
  }, [saved]);
  return (
    <section class="drawer" aria-label="Settings of this conversation">
      <div class="drawer-head">
        <h2>Settings</h2>
        <IconButton icon="close" label="Close the settings" onClick={onClose} />
      </div>
      <AdapterChoice id="adapter" model={head.model} onModel={(model) => change_head(open, { model })} />
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
      <Sampling prefix="parameter" parameters={head.parameters} onChange={(parameters) => change_head(open, { parameters })} />
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
