// Numbers, sizes and times as people read them. The page speaks English, so the forms are fixed and not the browser's.
// Every function takes what the server might leave out and says so with a dash.

/** Made at its first use: the browser reads tables for each, which the first paint need not wait for. */
function later<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const grouped = later(() => new Intl.NumberFormat("en-GB"));
const day = later(() => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" }));
const moment = later(() => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }));

type Maybe = number | null | undefined;

export function count(value: Maybe): string {
  return value == null || !Number.isFinite(value) ? "–" : grouped().format(Math.round(value));
}

/** Bytes in powers of ten, as disks are sold and as `freehold list` shows them. */
export function bytes(value: Maybe): string {
  if (value == null || !Number.isFinite(value)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 || size >= 99.5 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** 134515008 is "135 M". */
export function parameters(value: Maybe | string): string {
  if (typeof value === "string") return value || "–";
  if (value == null || value <= 0) return "–";
  if (value >= 999.5e6) return `${(value / 1e9).toFixed(value >= 9.95e9 ? 0 : 1)} B`;
  return value >= 1e6 ? `${Math.round(value / 1e6)} M` : `${Math.round(value / 1e3)} k`;
}

export function seconds(value: Maybe): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0 s";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 10 ? `${value.toFixed(1)} s` : duration(value);
}

export function duration(value: Maybe): string {
  if (value == null || !Number.isFinite(value)) return "–";
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function rate(value: Maybe): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

export function percent(share: number): string {
  if (share >= 0.9995) return "100 %";
  return share >= 0.1 ? `${(share * 100).toFixed(0)} %` : `${(share * 100).toFixed(share >= 0.01 ? 1 : 2)} %`;
}

/** Times come as seconds since 1970 or as RFC 3339. */
export function time_of(value: number | string | null | undefined): Date | null {
  if (value == null || value === "" || value === 0) return null;
  const made = typeof value === "number" ? new Date(value > 1e12 ? value : value * 1000) : new Date(value);
  return Number.isNaN(made.getTime()) ? null : made;
}

export function date(value: number | string | null | undefined): string {
  const at = time_of(value);
  return at ? day().format(at) : "–";
}

export function instant(value: number | string | null | undefined): string {
  const at = time_of(value);
  return at ? moment().format(at) : "–";
}

export function short_digest(value: string | null | undefined): string {
  return value ? value.replace(/^sha256:/, "").slice(0, 12) : "–";
}
