// One small curve over time, drawn by uPlot, which is fetched with the first of them.
// The curve is a picture; the figures beside it are its words for a screen reader.
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { shown } from "../lib/theme";

type Maker = typeof uPlot;
let loading: Promise<Maker> | null = null;

export interface Curve {
  label: string;
  values: (number | null)[];
}

interface PlotProps {
  label: string;
  at: number[];
  curves: Curve[];
  /** Seconds that the axis shows. */
  span: number;
  format: (value: number) => string;
}

/** The colour that a name stands for now; a canvas does not know light-dark(). */
function colour(probe: HTMLElement, name: string): string {
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.style.removeProperty("color");
  return found;
}

const kHeight = 132;
const kColours = ["--accent", "--second"];

export function Plot({ label, at, curves, span, format }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [make, set_make] = useState<Maker | null>(null);
  const look = shown.value;
  const names = curves.map(({ label: name }) => name).join("\n");

  useEffect(() => {
    loading ??= import("uplot").then((loaded) => loaded.default);
    void loading.then((loaded) => set_make(() => loaded));
  }, []);

  useEffect(() => {
    const element = box.current;
    if (!make || !element) return undefined;
    const axis = { stroke: colour(element, "--muted"), grid: { stroke: colour(element, "--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const made = new make(
      {
        width: element.clientWidth || 300,
        height: kHeight,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 28, 0, 0],
        scales: { x: { time: true }, y: { range: (_self, _low, high) => [0, high > 0 ? high * 1.15 : 1] } },
        axes: [
          { ...axis, grid: { show: false }, space: 72, size: 28, values: (_self, ticks) => ticks.map((tick) => new Date(tick * 1000).toTimeString().slice(0, span > 600 ? 5 : 8)) },
          { ...axis, size: 60, space: 32, values: (_self, ticks) => ticks.map(format) },
        ],
        series: [{}, ...curves.map(({ label: name }, place) => ({ label: name, stroke: colour(element, kColours[place] ?? "--muted"), width: 1.75, dash: place === 0 ? [] : [5, 3], points: { show: false } }))],
      },
      [[], ...curves.map(() => [])],
      element,
    );
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: kHeight }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [make, look, names, span]);

  useEffect(() => {
    const now = plot.current;
    if (!now) return;
    const end = at.at(-1) ?? Date.now() / 1000;
    now.batch(() => {
      now.setData([at, ...curves.map(({ values }) => values)], false);
      now.setScale("x", { min: end - span, max: end });
    });
  });

  return <div class="plot" ref={box} role="img" aria-label={label} />;
}
