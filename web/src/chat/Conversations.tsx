// The list of this browser's conversations: search, open, rename, delete, export, import. Grouped by when they were last used.
// Search looks through every turn; it waits until typing rests.
import { useEffect, useRef, useState } from "preact/hooks";
import { complaint, type Complaint } from "../lib/api";
import { link, go, route, set_query } from "../lib/route";
import { ErrorNote, Confirm, IconButton, save_file } from "../ui/parts";
import { live } from "./send";
import { export_json, import_file } from "./exchange";
import { list, remove, rename, search, storage_trouble } from "./store";
import type { Conversation } from "./tree";

function group_of(updated: number): string {
  const today = new Date().setHours(0, 0, 0, 0);
  if (updated >= today) return "Today";
  if (updated >= today - 86_400_000) return "Yesterday";
  if (updated >= today - 6 * 86_400_000) return "This week";
  return "Earlier";
}

function Entry({ head, current, onOpen }: { head: Conversation; current: boolean; onOpen: () => void }) {
  const [renaming, set_renaming] = useState(false);
  const [deleting, set_deleting] = useState(false);
  // A search stays while its results are opened.
  const words = route.value.query.toString();
  const finish = (title: string) => {
    set_renaming(false);
    if (title.trim() !== "" && title !== head.title) void rename(head.id, title.trim());
  };
  if (renaming) {
    return (
      <li class="entry">
        <input
          class="entry-input"
          aria-label="Name of the conversation"
          ref={(input) => input?.focus()}
          defaultValue={head.title}
          onBlur={(event) => finish(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") finish(event.currentTarget.value);
            if (event.key === "Escape") {
              event.stopPropagation();
              set_renaming(false);
            }
          }}
        />
      </li>
    );
  }
  return (
    <li class={current ? "entry entry-current" : "entry"}>
      <a href={link("chat", head.id) + (words && `?${words}`)} aria-current={current ? "page" : undefined} onClick={onOpen}>
        {head.title}
      </a>
      <span class="entry-actions">
        <IconButton icon="edit" label={`Rename ${head.title}`} onClick={() => set_renaming(true)} />
        <IconButton icon="download" label={`Export ${head.title}`} onClick={() => void export_json(head.id).then((text) => save_file("conversation.json", "application/json", text))} />
        <IconButton icon="trash" label={`Delete ${head.title}`} onClick={() => set_deleting(true)} />
      </span>
      {deleting && (
        <Confirm
          title="Delete this conversation?"
          action="Delete"
          onClose={() => set_deleting(false)}
          onYes={() => {
            void remove(head.id);
            if (current) go(link("chat"));
          }}
        >
          <p>“{head.title}” is kept in this browser only. Once deleted it is gone.</p>
        </Confirm>
      )}
    </li>
  );
}

/** All of them out as one file, and files of such conversations in. */
function Exchange({ empty }: { empty: boolean }) {
  const picker = useRef<HTMLInputElement>(null);
  const [said, set_said] = useState("");
  const [error, set_error] = useState<Complaint | null>(null);
  const take = async (file: File | undefined) => {
    if (!file) return;
    set_said("");
    set_error(null);
    try {
      set_said(await import_file(file));
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  return (
    <div class="side-foot">
      {error && <ErrorNote error={error} />}
      <p class="small" role="status">
        {said}
      </p>
      <div class="side-exchange">
        <button type="button" class="link-button" onClick={() => picker.current?.click()}>
          Import
        </button>
        {!empty && (
          <button type="button" class="link-button" disabled={live.value.size > 0} onClick={() => void export_json().then((text) => save_file("conversations.json", "application/json", text))}>
            Export all as JSON
          </button>
        )}
      </div>
      <input
        ref={picker}
        type="file"
        hidden
        accept=".json,application/json"
        aria-label="File of conversations"
        onChange={(event) => {
          void take(event.currentTarget.files?.[0]);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

export function Conversations({ current, onOpen }: { current: string; onOpen: () => void }) {
  const words = route.value.query.get("q") ?? "";
  const [found, set_found] = useState<Set<string> | null>(null);
  const heads = list.value;
  useEffect(() => {
    if (words.trim() === "") {
      set_found(null);
      return undefined;
    }
    const timer = setTimeout(() => void search(words.trim()).then(set_found), 150);
    return () => clearTimeout(timer);
  }, [words, heads]);

  const shown = found ? heads.filter(({ id }) => found.has(id)) : heads;
  const groups = new Map<string, Conversation[]>();
  for (const head of shown) {
    const name = group_of(head.updated);
    groups.set(name, [...(groups.get(name) ?? []), head]);
  }
  return (
    <>
      <div class="side-head">
        <a class="button button-wide" href={link("chat")} onClick={onOpen}>
          New conversation
        </a>
        <label class="off-screen" for="search">
          Search the conversations
        </label>
        <input id="search" type="search" placeholder="Search" value={words} onInput={(event) => set_query("q", event.currentTarget.value)} />
      </div>
      {storage_trouble.value && <ErrorNote error={storage_trouble.value} />}
      <nav class="side-list" aria-label="Conversations">
        {[...groups].map(([name, entries]) => (
          <div key={name}>
            <h3>{name}</h3>
            <ul>
              {entries.map((head) => (
                <Entry key={head.id} head={head} current={head.id === current} onOpen={onOpen} />
              ))}
            </ul>
          </div>
        ))}
        {heads.length === 0 && <p class="side-empty">Conversations will stand here. They are kept in this browser and nowhere else.</p>}
        {heads.length > 0 && shown.length === 0 && <p class="side-empty">No conversation has these words.</p>}
      </nav>
      <Exchange empty={heads.length === 0} />
    </>
  );
}
