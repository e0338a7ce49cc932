// The door: one field for a key, where it comes from, and whether this browser should remember it.
// A key that is not accepted says why, in the server's words.
import { useState } from "preact/hooks";
import type { Complaint } from "./lib/api";
import { sign_in } from "./lib/session";
import { ErrorNote } from "./ui/parts";

export function SignIn({ why }: { why: Complaint | null }) {
  const [error, set_error] = useState<Complaint | null>(why);
  const [busy, set_busy] = useState(false);
  return (
    <main id="main" class="door" tabIndex={-1}>
      <form
        class="door-box"
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget);
          set_busy(true);
          void sign_in(String(given.get("key")).trim(), given.get("remember") === "on").then((refused) => {
            set_error(refused);
            set_busy(false);
          });
        }}
      >
        <h1>Sign in</h1>
        <p>This server asks for a key. Whoever runs it makes one for you, with <code>freehold key create</code> or on its page of keys.</p>
        <div class="field">
          <label for="key">Key</label>
          <input id="key" name="key" type="password" required autofocus autocomplete="current-password" spellcheck={false} aria-invalid={error !== null} />
        </div>
        <label class="check">
          <input type="checkbox" name="remember" />
          <span>
            Remember it in this browser <span class="muted">otherwise only in this tab</span>
          </span>
        </label>
        {error && <ErrorNote error={error} />}
        <button type="submit" class="button button-main" disabled={busy}>
          Sign in
        </button>
      </form>
    </main>
  );
}
