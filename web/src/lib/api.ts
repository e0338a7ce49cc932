// Every request of the page: same origin only, the key in a header, errors as sentences with a way out.
// What the server says is passed on unchanged; only silence and nonsense get words of our own.
import { signal } from "@preact/signals";

/** The key of whoever is signed in; empty where none is needed. */
export const api_key = signal("");

/** Set when the server refuses the key, so that the page asks for another. */
export const key_refused = signal(false);

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly hint = "",
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** What a person is shown of anything that was thrown. */
export interface Complaint {
  message: string;
  hint: string;
}

export function complaint(thrown: unknown): Complaint {
  if (thrown instanceof ApiError) return { message: thrown.message, hint: thrown.hint };
  if (thrown instanceof SyntaxError) {
    return { message: "The server sent something that is not JSON.", hint: "Reload the page; if it happens again, look at the server's log." };
  }
  return { message: thrown instanceof Error ? thrown.message : String(thrown), hint: "" };
}

/** Reads the error of any of the dialects: OpenAI's object, Ollama's string, ours. */
export function error_of(body: unknown, status: number): ApiError {
  const outer = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const inner = outer["error"] ?? outer;
  if (typeof inner === "string") return new ApiError(inner, status, text(outer["hint"]));
  const fields = inner as Record<string, unknown>;
  const message = text(fields["message"]) || `The server answered with status ${status} and no reason.`;
  return new ApiError(message, status, text(fields["hint"]) || text(outer["hint"]));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Sends a request and returns the response once its status says success; throws ApiError otherwise. */
export async function open(method: string, path: string, body?: unknown, stop?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (api_key.value !== "") headers["authorization"] = `Bearer ${api_key.value}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: stop ?? null,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (thrown) {
    if (stop?.aborted) throw thrown;
    throw new ApiError("The server does not answer.", 0, "Is freehold serve still running? The page tries again when you do.");
  }
  if (response.ok) return response;
  if (response.status === 401) key_refused.value = true;
  const raw = await response.text().catch(() => "");
  let parsed: unknown;
  try {
    parsed = JSON.parse(raw);
  } catch {
    parsed = {};
  }
  const error = error_of(parsed, response.status);
  const after = response.headers.get("retry-after");
  if (after !== null && /^\d+$/.test(after) && error.hint === "") {
    throw new ApiError(error.message, error.status, `Try again in ${after} s.`);
  }
  throw error;
}

/** Sends a request and returns its JSON; an empty body is `undefined`. */
export async function call<T>(method: string, path: string, body?: unknown, stop?: AbortSignal): Promise<T> {
  const response = await open(method, path, body, stop);
  const raw = await response.text();
  return (raw === "" ? undefined : JSON.parse(raw)) as T;
}
