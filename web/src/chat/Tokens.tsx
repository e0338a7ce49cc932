// "Why?": the words of an answer tinted by how probable the model held them, with the alternatives of each.
// One word at a time has the keyboard (arrow keys move); hovering, touching or focusing shows what else was likely.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { percent } from "../lib/format";
import { memo } from "../lib/memo";
import { ErrorNote } from "../ui/parts";
import { tokens as stored_tokens } from "./store";
import type { Token } from "./tree";

/** Eight tints by surprise: each halving of the probability is a step. */
function tint(p: number): number {
  return p <= 0 ? 7 : Math.min(7, Math.floor(-Math.log2(p)));
}

/** White space is drawn as signs where the word is talked about. */
function visible(text: string): string {
  return text === "" ? "(nothing)" : text.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥");
}

const kRun = 100;

const Run = memo(({ tokens, from, current }: { tokens: Token[]; from: number; current: number }) => (
    <>
      {tokens.slice(from, from + kRun).map((token, offset) => (
        <span key={offset} class={`token tint-${tint(token.p)}`} role="button" tabIndex={from + offset === current ? 0 : -1} data-token={from + offset} aria-label={`${visible(token.text)}, ${percent(token.p)}`}>
          {token.text}
        </span>
      ))}
    </>
));

function inside(current: number, from: number): number {
  return current >= from && current < from + kRun ? current : -1;
}

function Detail({ token, at }: { token: Token; at: HTMLElement }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const panel = box.current;
    const frame = panel?.offsetParent;
    if (!panel || !frame) return;
    const rect = at.getClientRects()[0] ?? at.getBoundingClientRect();
    const outer = frame.getBoundingClientRect();
    const left = Math.max(0, Math.min(rect.left - outer.left, outer.width - panel.offsetWidth));
    panel.style.left = `${left}px`;
    panel.style.top = `${rect.bottom - outer.top + 6}px`;
  }, [at, token]);
  const others = token.others.some(({ text }) => text === token.text) ? token.others : [{ text: token.text, p: token.p }, ...token.others];
  const rest = Math.max(0, 1 - others.reduce((sum, { p }) => sum + p, 0));
  return (
    <div ref={box} class="token-detail" role="status">
      <p class="token-title">
        <span class="token-word">{visible(token.text)}</span> {percent(token.p)}
      </p>
      <table>
        <caption class="off-screen">What the model held likely in this place</caption>
        <tbody>
          {others.map(({ text, p }, place) => (
            <tr key={place} class={text === token.text ? "chosen" : undefined}>
              <th scope="row">
                {visible(text)}
                {text === token.text && <span class="off-screen"> (chosen)</span>}
              </th>
              <td class="bar">
                <svg width="96" height="8" aria-hidden="true">
                  <rect width={Math.max(1, 96 * p)} height="8" rx="2" />
                </svg>
              </td>
              <td class="number">{percent(p)}</td>
            </tr>
          ))}
          <tr class="rest">
            <th scope="row">all others</th>
            <td />
            <td class="number">{percent(rest)}</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}

export function Tokens({ id }: { id: string }) {
  const [tokens, set_tokens] = useState<Token[] | null>(null);
  const [current, set_current] = useState(0);
  const [shown, set_shown] = useState<HTMLElement | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    void stored_tokens(id).then(set_tokens);
  }, [id]);
  if (tokens === null) return null;
  if (tokens.length === 0) {
    return (
      <ErrorNote
        error={{ message: "No probabilities were recorded with this answer.", hint: "Turn on “Record probabilities” in the settings of this conversation and ask again, or the server did not send them." }}
      />
    );
  }
  const look = (event: Event) => {
    const word = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-token]") : null;
    if (!word) return;
    set_shown(word);
    set_current(Number(word.dataset["token"]));
  };
  // A mouse that goes away takes nothing from whoever reads by keyboard.
  const leave = () => {
    const focused = document.activeElement;
    set_shown(focused instanceof HTMLElement && box.current?.contains(focused) && focused.dataset["token"] !== undefined ? focused : null);
  };
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -tokens.length, End: tokens.length }[event.key];
    if (event.key === "Escape") set_shown(null);
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(tokens.length - 1, current + step));
    set_current(next);
    box.current?.querySelector<HTMLElement>(`[data-token="${next}"]`)?.focus();
  };
  const runs = [];
  for (let from = 0; from < tokens.length; from += kRun) runs.push(from);
  const mean = tokens.reduce((sum, { p }) => sum + Math.log(Math.max(p, 1e-12)), 0) / tokens.length;
  const token = shown ? tokens[Number(shown.dataset["token"])] : undefined;
  return (
    <div class="why">
      <p class="why-words">
        The stronger a word is tinted, the less probable the model held it when it wrote it. That tells how sure it was of its wording, not whether what it says is true. On average a word had {percent(Math.exp(mean))}.
      </p>
      <div class="why-tokens" ref={box} role="group" aria-label="Words with their probability; arrow keys move from one to the next" onMouseOver={look} onFocusIn={look} onClick={look} onKeyDown={keys} onMouseLeave={leave} onFocusOut={() => set_shown(null)}>
        {runs.map((from) => (
          <Run key={from} tokens={tokens} from={from} current={inside(current, from)} />
        ))}
        {token && shown && <Detail token={token} at={shown} />}
      </div>
    </div>
  );
}
