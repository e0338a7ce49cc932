// The few signs that the page uses, drawn here: lines on a 20 by 20 grid in the colour of the text around them.
// They say nothing to a screen reader; the control that holds one has the words.

const kPaths = {
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4.5M5 9.5l5-5 5 5",
  stop: "M6 6h8v8H6z",
  copy: "M7.5 7.5h8.5v8.5H7.5zM4 12.5V4h8.5",
  check: "M4 10.5l4 4 8-9",
  edit: "M4 16l.7-3.3L13.5 4l2.6 2.6-8.8 8.7z",
  again: "M15.5 10a5.5 5.5 0 1 1-1.7-4M15.8 3v3.4h-3.4",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10",
  download: "M10 3.5v9M6 9l4 4 4-4M4 16.5h12",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l4 4",
  sliders: "M3 6h7M14 6h3M3 14h3M10 14h7M12 4v4M8 12v4",
  clip: "M14.5 9.5l-5 5a3 3 0 0 1-4.3-4.3l6-6a2 2 0 0 1 2.9 2.9l-5.7 5.6",
  left: "M12 4.5L6.5 10l5.5 5.5",
  right: "M8 4.5l5.5 5.5L8 15.5",
  down: "M10 4v11.5M5 10.5l5 5 5-5",
  close: "M5 5l10 10M15 5L5 15",
  chat: "M3.5 4.5h13v9h-7l-3.5 3v-3H3.5z",
  models: "M10 3l6 3.3v7L10 17l-6-3.7v-7zM4.2 6.5L10 9.8l5.8-3.3M10 10v7",
  server: "M3.5 4h13v5h-13zM3.5 11h13v5h-13zM6.5 6.5h.01M6.5 13.5h.01",
  keys: "M12.5 11.5a4 4 0 1 0-3.6-2.2L3.5 14.7V17h3v-2h2v-2l1.3-1.4a4 4 0 0 0 2.7-.1zM13.6 6.4h.01",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM10 2.5v1.6M10 15.9v1.6M2.5 10h1.6M15.9 10h1.6M4.7 4.7l1.1 1.1M14.2 14.2l1.1 1.1M4.7 15.3l1.1-1.1M14.2 5.8l1.1-1.1",
  moon: "M16 11.6A6.4 6.4 0 0 1 8.4 4a6.4 6.4 0 1 0 7.6 7.6z",
  auto: "M10 16.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM10 3.5v13M10 6.5h3.5M10 10h6M10 13.5h3.5",
  person: "M10 10a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM4 16.5c.6-3 3-4.5 6-4.5s5.4 1.5 6 4.5",
  lock: "M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9",
} as const;

export type IconName = keyof typeof kPaths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={kPaths[name]} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
