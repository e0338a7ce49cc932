// The chat: conversations on the left, turns in the middle, settings on the right. The scroll stays where the reader is;
// only a reader who is at the end follows a growing answer.
import { useComputed } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { go, link, route } from "../lib/route";
import { may, session } from "../lib/session";
import { base_of, chat_models, load_models, load_offers, models, models_error } from "../models/catalogue";
import { FirstModel } from "../models/FirstModel";
import { ErrorNote, IconButton } from "../ui/parts";
import { Composer } from "./Composer";
import { Conversations } from "./Conversations";
import { ModelChoice } from "./ModelChoice";
import { announcement, ask, live } from "./send";
import { Settings } from "./Settings";
import { change_head, defaults, find, fresh, loaded, set_defaults, type OpenConversation } from "./store";
import { Answer, Question } from "./Turns";

const kTries = [
  { title: "Explain", text: "Explain in two sentences what a freehold is, as if to a ten-year-old." },
  { title: "Write", text: "Write a short, polite e-mail that moves a meeting from Tuesday to Thursday at 10." },
  { title: "Compare", text: "Compare tea and coffee in a table with the columns taste, caffeine and best time of day." },
];

/** The model that a new conversation begins with: the last one chosen, else the server's default, else any. */
function first_model(): string {
  const names = chat_models.value.map(({ name }) => name);
  for (const wanted of [defaults.value.model, session.value?.default_model ?? ""]) {
    if (names.includes(base_of(wanted))) return wanted;
  }
  return (chat_models.value.find(({ kind }) => kind === "chat") ?? chat_models.value[0])?.name ?? "";
}

function Welcome({ open }: { open: OpenConversation }) {
  const model = chat_models.value.find(({ name }) => name === base_of(open.head.value.model));
  return (
    <div class="welcome">
      <h2>Ask {model?.name ?? "a model"}</h2>
      <p>It runs on this server and nothing you write leaves it. Conversations are kept in this browser.</p>
      {model?.kind === "base" && <p>This is a base model: it was not taught to answer and continues whatever text it is given.</p>}
      <h3 class="off-screen">Three things to try</h3>
      <ul class="tries">
        {kTries.map(({ title, text }) => (
          <li key={title}>
            <button type="button" class="try" onClick={() => ask(open, "", text, [])}>
              <strong>{title}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Keeps the end in view while the reader is there; says whether the reader is. */
function useFollow(open: OpenConversation) {
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [at_end, set_at_end] = useState(true);
  const to_end = () => {
    following.current = true;
    const element = box.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(() => {
    to_end();
    const element = box.current;
    const content = inner.current;
    if (!element || !content) return undefined;
    const sizes = new ResizeObserver(() => {
      if (following.current) element.scrollTop = element.scrollHeight;
    });
    sizes.observe(content);
    sizes.observe(element);
    let before = element.scrollTop;
    const scrolled = () => {
      const gap = element.scrollHeight - element.scrollTop - element.clientHeight;
      // Only a reader scrolls up; growing content never does.
      if (element.scrollTop < before - 2 && gap > 8) following.current = false;
      else if (gap <= 8) following.current = true;
      before = element.scrollTop;
      set_at_end(gap < 120);
    };
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      sizes.disconnect();
      element.removeEventListener("scroll", scrolled);
    };
  }, [open]);
  return { box, inner, at_end, to_end };
}

function Conversation({ open, onSide, side_open }: { open: OpenConversation; onSide: () => void; side_open: boolean }) {
  const [settings, set_settings] = useState(false);
  const { box, inner, at_end, to_end } = useFollow(open);
  const head = open.head.value;
  const steps = open.steps.value;
  const end = steps.at(-1)?.turn;
  const writing = useComputed(() => {
    const last = open.steps.value.at(-1)?.turn.id ?? "";
    return live.value.get(last) ?? null;
  }).value;
  const blocked = head.model === "" ? "Choose a model first" : "";

  useEffect(() => {
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      writing?.stop();
    };
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, [writing]);

  return (
    <>
      <section class="talk" aria-label="Conversation">
        <div class="talk-bar">
          <IconButton icon="menu" label="Conversations" expanded={side_open} className="side-button" onClick={onSide} />
          <h1 class="talk-title">{head.title}</h1>
          <ModelChoice
            label="Model"
            model={head.model}
            onModel={(model) => {
              change_head(open, { model });
              set_defaults({ model });
            }}
          />
          {head.model !== base_of(head.model) && (
            <span class="chip chip-accent talk-adapter" title={`Adapter ${head.model.slice(base_of(head.model).length + 1)}`}>
              + {head.model.slice(base_of(head.model).length + 1)}
            </span>
          )}
          <IconButton icon="sliders" label="Settings" expanded={settings} onClick={() => set_settings(!settings)} />
        </div>
        <div class="talk-scroll" ref={box} tabIndex={0} role="group" aria-label="Turns">
          <div class="talk-inner" ref={inner}>
            {head.system.trim() !== "" && steps.length > 0 && (
              <details class="thinking">
                <summary>With a system prompt</summary>
                <div class="thinking-text">{head.system}</div>
              </details>
            )}
            {steps.length === 0 ? (
              <Welcome open={open} />
            ) : (
              steps.map((step, place) =>
                step.turn.role === "user" ? <Question key={step.turn.id} open={open} step={step} /> : <Answer key={step.turn.id} open={open} step={step} last={place === steps.length - 1} />,
              )
            )}
          </div>
        </div>
        <div class="talk-foot">
          {!at_end && (
            <button type="button" class="to-end" onClick={to_end}>
              To the end
            </button>
          )}
          <Composer
            place={head.id}
            writing={writing !== null}
            blocked={blocked}
            onSend={(text, files) => {
              ask(open, end?.id ?? "", text, files);
              to_end();
            }}
            onStop={() => writing?.stop()}
          />
        </div>
      </section>
      {settings && <Settings open={open} onClose={() => set_settings(false)} />}
    </>
  );
}

export function ChatView() {
  const id = route.value.path[1] ?? "";
  // With the address that it was opened for: for a moment the address may be another one already.
  const [shown, set_shown] = useState<{ id: string; open: OpenConversation | null }>({ id: "", open: null });
  const open = shown.open;
  const [missing, set_missing] = useState(false);
  const [side, set_side] = useState(false);

  useEffect(() => {
    void load_models();
    if (may("change_models")) void load_offers();
  }, []);
  const ready = loaded.value;
  useEffect(() => {
    if (!ready) return undefined;
    let gone = false;
    set_missing(false);
    if (id === "") {
      set_shown({ id, open: fresh(first_model()) });
      return undefined;
    }
    void find(id).then((found) => {
      if (gone) return;
      set_shown({ id, open: found });
      set_missing(found === null);
    });
    return () => {
      gone = true;
    };
  }, [id, ready]);

  // A new conversation takes a model as soon as the list is here, and its address with its first question.
  const choices = chat_models.value;
  useEffect(() => {
    if (open && choices.length > 0 && open.head.value.model === "") change_head(open, { model: first_model() });
  }, [open, choices]);
  const begun = open !== null && open.turns.value.length > 0;
  useEffect(() => {
    if (begun && id === "" && shown.id === "") go(link("chat", open.head.peek().id), true);
  }, [begun, id, shown]);
  useEffect(() => {
    if (!side) return undefined;
    const escape = (event: KeyboardEvent) => {
      if (event.key === "Escape") set_side(false);
    };
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, [side]);

  const none = models.value !== null && chat_models.value.length === 0;
  return (
    <div class="chat">
      <section class={side ? "side side-open" : "side"} aria-label="Your conversations">
        <Conversations current={open?.head.value.id ?? ""} onOpen={() => set_side(false)} />
      </section>
      {side && <button type="button" class="side-shade" aria-label="Close the list" onClick={() => set_side(false)} />}
      {models_error.value && models.value === null ? (
        <div class="page-column">
          <h1 class="off-screen">Chat</h1>
          <ErrorNote error={models_error.value} action="Try again" onAction={() => void load_models()} />
        </div>
      ) : none && (!open || open.turns.value.length === 0) ? (
        <FirstModel />
      ) : missing ? (
        <div class="page-column">
          <h1>Not in this browser</h1>
          <p>This address names a conversation that this browser does not have. Conversations stay where they were held; ask whoever sent you the address to export it.</p>
          <p>
            <a class="button" href={link("chat")}>
              New conversation
            </a>
          </p>
        </div>
      ) : (
        open && <Conversation key={open.head.value.id} open={open} side_open={side} onSide={() => set_side(!side)} />
      )}
      <p class="off-screen" role="status" aria-live="polite">
        {announcement.value}
      </p>
    </div>
  );
}
