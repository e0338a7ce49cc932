// One turn: a question with its files, or an answer with its thinking, its line of facts and what can be done with it.
// Siblings (edited questions, other answers) are behind arrows; an answer that is being written has only Stop.
import { useEffect, useRef, useState } from "preact/hooks";
import { count, rate, seconds } from "../lib/format";
import { may } from "../lib/session";
import { link } from "../lib/route";
import { adapters_of, base_of, models } from "../models/catalogue";
import { CopyButton, ErrorNote, IconButton } from "../ui/parts";
import { Markdown } from "./Markdown";
import { Retry } from "./Retry";
import { spoken } from "./Sampling";
import { answer, ask, live, type Live } from "./send";
import { select, type OpenConversation } from "./store";
import { Tokens } from "./Tokens";
import type { Step, Turn } from "./tree";

function Siblings({ open, step, what }: { open: OpenConversation; step: Step; what: string }) {
  const { siblings, place, turn } = step;
  if (siblings.length < 2) return null;
  const to = (next: number) => {
    const other = siblings[next];
    if (other) select(open, turn.parent, other.id);
  };
  return (
    <span class="siblings" role="group" aria-label={`${what} ${place + 1} of ${siblings.length}`}>
      <IconButton icon="left" label={`Earlier ${what}`} disabled={place === 0} onClick={() => to(place - 1)} />
      <span class="siblings-place" aria-hidden="true">
        {place + 1}/{siblings.length}
      </span>
      <IconButton icon="right" label={`Later ${what}`} disabled={place === siblings.length - 1} onClick={() => to(place + 1)} />
    </span>
  );
}

function Editor({ turn, onSend, onClose }: { turn: Turn; onSend: (text: string) => void; onClose: () => void }) {
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(turn.content.length, turn.content.length);
  }, []);
  const send = () => {
    const text = area.current?.value ?? "";
    if (text.trim() !== "" || turn.attachments.length > 0) onSend(text);
  };
  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={area}
        aria-label="Edit the question"
        class="grow"
        rows={2}
        defaultValue={turn.content}
        onKeyDown={(event) => {
          if (event.key === "Escape") onClose();
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
          }
        }}
      />
      <p class="editor-words">The earlier question and what followed it stay, behind the arrows.</p>
      <div class="row-end">
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" class="button button-main">
          Ask again
        </button>
      </div>
    </form>
  );
}

export function Question({ open, step }: { open: OpenConversation; step: Step }) {
  const [editing, set_editing] = useState(false);
  const { turn } = step;
  const send = (text: string) => {
    set_editing(false);
    ask(open, turn.parent, text, turn.attachments);
  };
  return (
    <article class="turn question" aria-label="Question">
      {turn.attachments.map(({ name, text }) => (
        <details class="attached" key={name}>
          <summary>
            {name} <span class="muted">{count(text.length)} characters</span>
          </summary>
          <pre tabIndex={0}>{text}</pre>
        </details>
      ))}
      {editing ? (
        <Editor turn={turn} onSend={send} onClose={() => set_editing(false)} />
      ) : (
        <>
          {turn.content !== "" && <div class="bubble">{turn.content}</div>}
          <div class="turn-actions">
            <Siblings open={open} step={step} what="question" />
            <CopyButton quiet label="Copy the question" text={() => turn.content} />
            <IconButton icon="edit" label="Edit the question" onClick={() => set_editing(true)} />
          </div>
        </>
      )}
    </article>
  );
}

function Thinking({ text, growing }: { text: string; growing: boolean }) {
  if (text.trim() === "") return null;
  return (
    <details class="thinking">
      <summary>{growing ? "Thinking…" : `Thought, ${count(text.trim().split(/\s+/).length)} words`}</summary>
      <div class="thinking-text" tabIndex={0} role="group" aria-label="What the model thought">
        {text.trim()}
      </div>
    </details>
  );
}

const kEnds: Record<string, string> = {
  length: "cut at the longest length allowed",
  stopped: "stopped",
  interrupted: "interrupted",
  content_filter: "held back by a safeguard",
  error: "failed",
};

/** The weights that wrote it: the model's page has their digest. An adapter is told where there could be one. */
function Weights({ turn }: { turn: Turn }) {
  const base = base_of(turn.model);
  const adapter = turn.model.slice(base.length + 1);
  const model = models.value?.find(({ name }) => name === base);
  return (
    <>
      {model && may("models") ? <a href={link("models", turn.model)}>{base}</a> : base}
      {model?.quantisation ? ` ${model.quantisation}` : ""}
      {adapter !== "" ? ` · adapter ${adapter}` : adapters_of(base).length > 0 ? " · adapter none" : ""}
      {" · "}
    </>
  );
}

function facts(turn: Turn): string[] {
  return [
    turn.completion_tokens ? `${count(turn.completion_tokens)} tokens` : "",
    turn.tokens_per_second ? `${rate(turn.tokens_per_second)} tok/s` : "",
    turn.first_token ? `first after ${seconds(turn.first_token)}` : "",
    turn.cached_tokens ? `${count(turn.cached_tokens)} of ${count(turn.prompt_tokens)} read from the cache` : "",
    ...spoken(turn.parameters),
    kEnds[turn.finish] ?? "",
  ].filter((part) => part !== "");
}

/** Words for the wait before the first piece, once it is long enough to be noticed. */
function Reading() {
  const [slow, set_slow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => set_slow(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return slow ? <p class="waiting">Reading the question…</p> : null;
}

/** The text of an answer, the same component while it is written and after, so that its end draws nothing anew. */
function Text({ turn, now }: { turn: Turn; now: Live | undefined }) {
  const content = now ? now.content.value : turn.content;
  const reasoning = now ? now.reasoning.value : turn.reasoning;
  return (
    <>
      <Thinking text={reasoning} growing={now !== undefined && content === ""} />
      {(content !== "" || !now) && <Markdown text={content} growing={now !== undefined} />}
      {now && content === "" && reasoning === "" && <Reading />}
      {now && <p class="facts">{now.pieces.value > 0 ? `${count(now.pieces.value)} pieces so far` : "\u00a0"}</p>}
    </>
  );
}

export function Answer({ open, step, last }: { open: OpenConversation; step: Step; last: boolean }) {
  const [why, set_why] = useState(false);
  const [retrying, set_retrying] = useState(false);
  const { turn } = step;
  const head = open.head.value;
  const now = live.value.get(turn.id);
  const again = () => answer(open, turn.parent);
  return (
    <article class="turn answer" aria-label="Answer" aria-busy={now !== undefined}>
      {why && !now ? <Tokens id={turn.id} /> : <Text turn={turn} now={now} />}
      {!now && (
        <>
          {turn.error && <ErrorNote error={turn.error} action="Ask again" onAction={again} />}
          {!turn.error && turn.finish === "interrupted" && <ErrorNote error={{ message: "This answer was interrupted when the page was closed.", hint: "" }} action="Ask again" onAction={again} />}
          {turn.finish !== "error" && (
            <p class="facts">
              <Weights turn={turn} />
              {facts(turn).join(" · ")}
              {turn.content !== "" && (
                <>
                  {" · "}
                  <button type="button" class="link-button" aria-pressed={why} onClick={() => set_why(!why)}>
                    {why ? "back to the text" : "why?"}
                  </button>
                </>
              )}
            </p>
          )}
          <div class="turn-actions">
            <Siblings open={open} step={step} what="answer" />
            {turn.content !== "" && <CopyButton quiet label="Copy the answer" text={() => turn.content} />}
            {may("chat") && <IconButton icon="again" label={last ? "Answer again" : "Answer again from here"} onClick={again} />}
            {may("chat") && <IconButton icon="sliders" label="Answer again with other settings" onClick={() => set_retrying(true)} />}
          </div>
          {retrying && <Retry turn={turn} model={head.model} parameters={head.parameters} onAsk={(model, parameters) => answer(open, turn.parent, { model, parameters })} onClose={() => set_retrying(false)} />}
        </>
      )}
    </article>
  );
}
