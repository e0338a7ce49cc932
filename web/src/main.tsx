// The page: the shell with its navigation, the view that the address names, the door when a key is asked for.
// Everything else is in the folders beside this file; styles are gathered here.
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/chat.css";
import "./styles/prose.css";
import "./styles/views.css";
import "uplot/dist/uPlot.min.css";
import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ChatView } from "./chat/ChatView";
import { load as load_conversations } from "./chat/store";
import { AuditView } from "./keys/AuditView";
import { KeysView } from "./keys/KeysView";
import { UseView } from "./keys/UseView";
import { go, link, route } from "./lib/route";
import { may, session, sign_out, start, state, type Ability, type Session } from "./lib/session";
import { apply, choose, theme, type Theme } from "./lib/theme";
import { ModelsView } from "./models/ModelsView";
import { ServerView } from "./server/ServerView";
import { SignIn } from "./SignIn";
import { Icon, type IconName } from "./ui/Icon";
import { ErrorNote, IconButton } from "./ui/parts";

interface Place {
  path: string;
  label: string;
  icon: IconName;
  needs: Ability[];
}

const kPlaces: Place[] = [
  { path: "chat", label: "Chat", icon: "chat", needs: ["chat"] },
  { path: "models", label: "Models", icon: "models", needs: ["models"] },
  { path: "server", label: "Server", icon: "server", needs: ["server"] },
  { path: "keys", label: "Keys & audit", icon: "keys", needs: ["keys", "usage", "audit"] },
];

/** Each has an address of its own and stands under one entry of the bar. */
const kKeyTabs = ["keys", "use", "audit"];

const kThemes: Record<Theme, { next: Theme; icon: IconName; label: string }> = {
  auto: { next: "light", icon: "auto", label: "Colours as the system says; change to light" },
  light: { next: "dark", icon: "sun", label: "Light colours; change to dark" },
  dark: { next: "auto", icon: "moon", label: "Dark colours; change to those of the system" },
};

function places(): Place[] {
  return kPlaces.filter(({ needs }) => needs.some(may));
}

function KeysAndAudit({ tab }: { tab: string }) {
  const tabs = [
    { path: "keys", label: "Keys", needs: "keys" as Ability },
    { path: "use", label: "Use", needs: "usage" as Ability },
    { path: "audit", label: "Audit", needs: "audit" as Ability },
  ].filter(({ needs }) => may(needs));
  const shown = tabs.some(({ path }) => path === tab) ? tab : tabs[0]?.path;
  return (
    <div class="page-column page-wide">
      <h1>Keys &amp; audit</h1>
      {tabs.length > 1 && (
        <nav class="tabs" aria-label="Keys, use, audit">
          {tabs.map(({ path, label }) => (
            <a key={path} href={link(path)} aria-current={path === shown ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
      )}
      {shown === "keys" ? <KeysView /> : shown === "use" ? <UseView /> : <AuditView />}
    </div>
  );
}

function View({ name }: { name: string }) {
  switch (name) {
    case "chat":
      return <ChatView />;
    case "models":
      return <ModelsView />;
    case "server":
      return <ServerView />;
    default:
      return <KeysAndAudit tab={route.value.path[0] ?? ""} />;
  }
}

function Account({ now }: { now: Session }) {
  const [open, set_open] = useState(false);
  if (now.auth === "open") return null;
  return (
    <div class="account">
      <IconButton icon="person" label={`Signed in as ${now.key_name || now.role}`} expanded={open} onClick={() => set_open(!open)} />
      {open && (
        <div class="account-box">
          <p>
            <strong>{now.key_name || "Signed in"}</strong>
          </p>
          <p class="muted">
            {now.role.replace(/,/g, ", ")}
            {now.tenant ? `, tenant ${now.tenant}` : ""}
          </p>
          <button type="button" class="button button-wide" onClick={() => sign_out()}>
            Sign out
          </button>
        </div>
      )}
    </div>
  );
}

/** The same stands in index.html, so that something is there before this script is. */
function Brand() {
  return (
    <>
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
        <rect width="32" height="32" rx="7" class="brand-field" />
        <path d="M7 15 16 7.5 25 15M10 13.5V24.5H22V13.5M16 24.5V18" class="brand-lines" />
      </svg>
      <span>Freehold</span>
    </>
  );
}

function Shell({ now }: { now: Session }) {
  const allowed = places();
  const asked = kKeyTabs.includes(route.value.path[0] ?? "") ? "keys" : (route.value.path[0] ?? "");
  const place = allowed.find(({ path }) => path === asked) ?? allowed[0];
  useEffect(() => {
    if (place && place.path !== asked) go(link(place.path), true);
    document.title = place ? `${place.label} · Freehold` : "Freehold";
  }, [place?.path, asked]);
  const { next, icon, label } = kThemes[theme.value];
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <a class="brand" href={link(allowed[0]?.path ?? "chat")} aria-label="Freehold, to the start">
          <Brand />
        </a>
        <div class="top-end">
          <IconButton icon={icon} label={label} onClick={() => choose(next)} />
          <Account now={now} />
        </div>
      </header>
      <nav class="places" aria-label="Views">
        {allowed.map(({ path, label: words, icon: sign }) => (
          <a key={path} href={link(path)} aria-current={place?.path === path ? "page" : undefined}>
            <Icon name={sign} />
            <span>{words}</span>
          </a>
        ))}
      </nav>
      <main id="main" class={place?.path === "chat" ? "main main-chat" : "main"} tabIndex={-1}>
        {place ? <View name={place.path} /> : <p class="page-column">This key may see nothing here; its role is “{now.role}”.</p>}
      </main>
    </div>
  );
}

function Page() {
  const now = state.value;
  switch (now.kind) {
    case "starting":
      return (
        <div class="shell">
          <header class="top">
            <span class="brand">
              <Brand />
            </span>
          </header>
        </div>
      );
    case "unreachable":
      return (
        <main id="main" class="door">
          <div class="door-box">
            <h1>Freehold</h1>
            <ErrorNote error={now.why} action="Try again" onAction={() => void start()} />
          </div>
        </main>
      );
    case "signed_out":
      return <SignIn why={now.why} />;
    case "ready":
      return <Shell now={now.session} />;
  }
}

apply();
effect(() => {
  const now = session.value;
  if (now) void load_conversations(now.auth === "open" ? "" : now.tenant, now.auth === "open" ? "" : now.key_name);
});
const root = document.getElementById("page");
if (root) render(<Page />, root);
void start();
