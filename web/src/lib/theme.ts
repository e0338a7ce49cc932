// Light, dark or as the system says. The choice is one word in localStorage, so that it is known before the first paint.
// The styles read it from the attribute data-theme of the root element.
import { signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const kName = "freehold-theme";

function stored(): Theme {
  try {
    const word = localStorage.getItem(kName);
    return word === "light" || word === "dark" ? word : "auto";
  } catch {
    return "auto";
  }
}

export const theme = signal<Theme>(stored());
const system_dark = matchMedia("(prefers-color-scheme: dark)");

/** What is shown now; plots, which paint on a canvas, draw again when it changes. */
export const shown = signal<"light" | "dark">("light");

export function apply(): void {
  document.documentElement.dataset["theme"] = theme.value;
  shown.value = theme.value === "auto" ? (system_dark.matches ? "dark" : "light") : theme.value;
}

export function choose(next: Theme): void {
  theme.value = next;
  try {
    if (next === "auto") localStorage.removeItem(kName);
    else localStorage.setItem(kName, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply();
}

system_dark.addEventListener("change", apply);
