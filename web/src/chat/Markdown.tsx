// Draws Markdown block by block: a block that did not change is not drawn again, so a growing answer stays cheap.
// The safe HTML comes from safe_html.ts.
import { useLayoutEffect, useRef } from "preact/hooks";
import { memo } from "../lib/memo";
import { copy } from "../ui/parts";
import { draw_formulas } from "./tex";
import { block_html, highlighter_ready, kNoBlocks, split, type Blocks } from "./safe_html";

const kNoLinks: Blocks["links"] = {};

interface BlockProps {
  raw: string;
  links: Blocks["links"];
  growing: boolean;
  /** Only wakes the block when the colours of code have come. */
  coloured: boolean;
}

const Block = memo(({ raw, links, growing }: BlockProps) => {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (box.current) draw_formulas(box.current);
  });
  return <div ref={box} dangerouslySetInnerHTML={{ __html: block_html(raw, links, growing) }} />;
});

/** Only text that refers to links by a label needs them. */
function links_for(raw: string, links: Blocks["links"]): Blocks["links"] {
  return raw.includes("[") && Object.keys(links).length > 0 ? links : kNoLinks;
}

export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const before = useRef<Blocks>(kNoBlocks);
  if (before.current.text !== text || !growing) before.current = split(before.current, text, growing);
  const { blocks, links } = before.current;
  const coloured = highlighter_ready();
  return (
    <div class="prose" onClick={press}>
      {blocks.map((raw, place) => (
        <Block key={place} raw={raw} links={links_for(raw, links)} growing={growing && place === blocks.length - 1} coloured={coloured && raw.includes("```")} />
      ))}
    </div>
  );
}

/** The copy buttons inside code are plain HTML; their clicks arrive here. */
function press(event: MouseEvent): void {
  const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>("button[data-copy]") : null;
  const code = button?.closest(".code")?.querySelector("pre")?.textContent;
  if (!button || code == null) return;
  void copy(code.replace(/\n$/, "")).then((done) => {
    button.textContent = done ? "Copied" : "The browser refused";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
}
