// Where the page is, kept in the address behind the hash, so that every view can be linked and Back works.
// "#/chat/ID?q=words" is the path ["chat", "ID"] with the query {q: "words"}.
import { computed, signal } from "@preact/signals";

const address = signal(location.hash);
addEventListener("hashchange", () => {
  address.value = location.hash;
});

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export const route = computed<Route>(() => {
  const [path = "", query = ""] = address.value.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
});

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function link(...path: string[]): string {
  return `#/${path.map(encodeURIComponent).join("/")}`;
}

export function go(target: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", target);
    address.value = target;
  } else {
    location.hash = target;
  }
}

/** Changes one word of the query without a new entry in the history. */
export function set_query(name: string, value: string): void {
  const { path, query } = route.value;
  const next = new URLSearchParams(query);
  if (value === "") next.delete(name);
  else next.set(name, value);
  const words = next.toString();
  go(link(...path) + (words === "" ? "" : `?${words}`), true);
}
