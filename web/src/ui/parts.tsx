// Small parts that every view uses: a button with a sign, an error in its place, a chip, a confirmation, a copy button.
// Each is plain HTML with its words for a screen reader; looks are in styles/.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Complaint } from "../lib/api";
import { Icon, type IconName } from "./Icon";

interface IconButtonProps {
  icon: IconName;
  label: string;
  onClick?: () => void;
  disabled?: boolean;
  pressed?: boolean;
  expanded?: boolean;
  className?: string;
}

export function IconButton({ icon, label, onClick, disabled, pressed, expanded, className }: IconButtonProps) {
  return (
    <button type="button" class={`icon-button ${className ?? ""}`} aria-label={label} title={label} onClick={onClick} disabled={disabled} aria-pressed={pressed} aria-expanded={expanded}>
      <Icon name={icon} />
    </button>
  );
}

/** What went wrong, in the server's sentence, with its way out and, where there is one, a button that tries it. */
export function ErrorNote({ error, action, onAction }: { error: Complaint; action?: string; onAction?: () => void }) {
  return (
    <div class="error-note" role="alert">
      <p class="error-message">{error.message}</p>
      {error.hint !== "" && <p class="error-hint">{error.hint}</p>}
      {action && (
        <button type="button" class="button" onClick={onAction}>
          {action}
        </button>
      )}
    </div>
  );
}

export type ChipKind = "good" | "warn" | "bad" | "plain" | "accent";

export function Chip({ kind, title, children }: { kind: ChipKind; title?: string; children: ComponentChildren }) {
  return (
    <span class={`chip chip-${kind}`} title={title}>
      {children}
    </span>
  );
}

/** Words for a wait that may be long; a short one shows nothing. */
export function Waiting({ children }: { children: ComponentChildren }) {
  return (
    <p class="waiting" role="status">
      {children}
    </p>
  );
}

/** Copies text, says so for two seconds, and says when the browser refuses. */
export function CopyButton({ text, label = "Copy", quiet = false }: { text: () => string; label?: string; quiet?: boolean }) {
  const [state, set_state] = useState<"" | "done" | "failed">("");
  useEffect(() => {
    if (state === "") return undefined;
    const timer = setTimeout(() => set_state(""), 2000);
    return () => clearTimeout(timer);
  }, [state]);
  const words = state === "done" ? "Copied" : state === "failed" ? "The browser refused" : label;
  const press = () => void copy(text()).then((done) => set_state(done ? "done" : "failed"));
  if (quiet) return <IconButton icon={state === "done" ? "check" : "copy"} label={words} onClick={press} />;
  return (
    <button type="button" class="button" onClick={press}>
      <Icon name={state === "done" ? "check" : "copy"} />
      <span aria-live="polite">{words}</span>
    </button>
  );
}

/** The clipboard of the browser, or, over plain http on another machine, the old way. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

interface ModalProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A dialog of the browser's own: it keeps the focus, closes with Escape, gives the focus back. */
export function Modal({ title, onClose, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class="modal"
      aria-labelledby="modal-title"
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="modal-body">
        <div class="modal-head">
          <h2 id="modal-title">{title}</h2>
          <IconButton icon="close" label="Close" onClick={() => dialog.current?.close()} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  onYes: () => void;
  onClose: () => void;
  children: ComponentChildren;
}

/** Asks before something is lost; the safe answer has the focus. */
export function Confirm({ title, action, onYes, onClose, children }: ConfirmProps) {
  return (
    <Modal title={title} onClose={onClose}>
      {children}
      <div class="modal-actions">
        <button type="button" class="button" autofocus onClick={onClose}>
          Keep
        </button>
        <button
          type="button"
          class="button button-danger"
          onClick={() => {
            onYes();
            onClose();
          }}
        >
          {action}
        </button>
      </div>
    </Modal>
  );
}

/** Hands a text to the browser as a file. */
export function save_file(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
