// One answer again under other settings: another model, adapter or sampling, for this once. The answers stand side by
// side behind the arrows, and the line under each says what it was made with.
import { useState } from "preact/hooks";
import { Modal } from "../ui/parts";
import { AdapterChoice, ModelChoice } from "./ModelChoice";
import { Sampling } from "./Sampling";
import type { Parameters, Turn } from "./tree";

interface RetryProps {
  turn: Turn;
  /** What the conversation asks with now. */
  model: string;
  parameters: Parameters;
  onAsk: (model: string, parameters: Parameters) => void;
  onClose: () => void;
}

export function Retry({ turn, model, parameters, onAsk, onClose }: RetryProps) {
  const [name, set_name] = useState(turn.model || model);
  const [chosen, set_chosen] = useState(turn.parameters ?? parameters);
  return (
    <Modal title="Answer again with other settings" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onClose();
          onAsk(name, chosen);
        }}
      >
        <p class="field-words retry-words">For this answer only. The earlier one stays, behind the arrows.</p>
        <div class="field">
          <label for="retry-model">Model</label>
          <ModelChoice id="retry-model" model={name} onModel={set_name} />
        </div>
        <AdapterChoice id="retry-adapter" model={name} onModel={set_name} />
        <Sampling prefix="retry" parameters={chosen} onChange={set_chosen} />
        <div class="modal-actions">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button button-main">
            Answer again
          </button>
        </div>
      </form>
    </Modal>
  );
}
