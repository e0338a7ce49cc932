// Where a question is written: one input that grows, files, send or stop. Enter sends, Shift+Enter makes a new line.
// Files can be chosen, dropped or pasted; what cannot go along is told right here.
import { useEffect, useRef, useState } from "preact/hooks";
import { complaint, type Complaint } from "../lib/api";
import { count } from "../lib/format";
import { Icon } from "../ui/Icon";
import { ErrorNote, IconButton } from "../ui/parts";
import { read_file } from "./attach";
import type { Attachment } from "./tree";

interface ComposerProps {
  /** The place in the conversation; another one empties nothing but takes the focus. */
  place: string;
  writing: boolean;
  blocked: string;
  onSend: (text: string, attachments: Attachment[]) => void;
  onStop: () => void;
}

/** What was typed and not sent, for each conversation, for as long as the page is open. */
const drafts = new Map<string, string>();

export function Composer({ place, writing, blocked, onSend, onStop }: ComposerProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const [text, set_text] = useState(drafts.get(place) ?? "");
  const [files, set_files] = useState<Attachment[]>([]);
  const [error, set_error] = useState<Complaint | null>(null);
  const [over, set_over] = useState(false);

  useEffect(() => {
    set_text(drafts.get(place) ?? "");
    set_files([]);
    set_error(null);
    // On a touch screen the focus would bring up the keyboard.
    if (matchMedia("(pointer: fine)").matches) area.current?.focus({ preventScroll: true });
  }, [place]);

  const write = (next: string) => {
    drafts.set(place, next);
    set_text(next);
  };
  const add = async (list: FileList | null | undefined) => {
    set_error(null);
    for (const file of list ?? []) {
      try {
        const read = await read_file(file);
        set_files((before) => [...before.filter(({ name }) => name !== read.name), read]);
      } catch (thrown) {
        set_error(complaint(thrown));
      }
    }
    area.current?.focus();
  };
  const ready = !writing && blocked === "" && (text.trim() !== "" || files.length > 0);
  const send = () => {
    if (!ready) return;
    onSend(text.trim(), files);
    drafts.delete(place);
    set_text("");
    set_files([]);
    set_error(null);
  };

  return (
    <form
      class={`composer ${over ? "composer-over" : ""}`}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      onDragOver={(event) => {
        event.preventDefault();
        set_over(true);
      }}
      onDragLeave={() => set_over(false)}
      onDrop={(event) => {
        event.preventDefault();
        set_over(false);
        void add(event.dataTransfer?.files);
      }}
    >
      {error && <ErrorNote error={error} />}
      {files.length > 0 && (
        <ul class="files" aria-label="Attached files">
          {files.map(({ name, text: inside }) => (
            <li key={name}>
              <Icon name="clip" />
              <span class="files-name">{name}</span>
              <span class="muted">{count(inside.length)} characters</span>
              <IconButton icon="close" label={`Remove ${name}`} onClick={() => set_files(files.filter((file) => file.name !== name))} />
            </li>
          ))}
        </ul>
      )}
      <div class="composer-box">
        <IconButton icon="clip" label="Attach a text file" onClick={() => picker.current?.click()} />
        <input
          ref={picker}
          type="file"
          hidden
          multiple
          accept="text/*,.md,.csv,.tsv,.json,.jsonl,.xml,.yaml,.yml,.log,.c,.h,.cpp,.hpp,.py,.js,.ts,.rs,.go,.java,.sh,.sql,.toml,.ini"
          aria-label="Text file"
          onChange={(event) => {
            void add(event.currentTarget.files);
            event.currentTarget.value = "";
          }}
        />
        <textarea
          ref={area}
          class="grow"
          rows={1}
          aria-label="Your question"
          placeholder={blocked || "Ask something"}
          value={text}
          onInput={(event) => write(event.currentTarget.value)}
          onPaste={(event) => {
            if (event.clipboardData?.files.length) {
              event.preventDefault();
              void add(event.clipboardData.files);
            }
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              send();
            }
          }}
        />
        {writing ? (
          <button type="button" class="send stop" onClick={onStop} aria-label="Stop the answer" title="Stop the answer (Escape)">
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="send" disabled={!ready} aria-label="Send" title="Send (Enter)">
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}
