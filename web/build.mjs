// Bundles the page: TypeScript and styles through esbuild into a folder of files whose names carry their hash.
// node build.mjs --packages FOLDER --out FOLDER; web/bundle.cmake calls it, after npm ci, when the program is built.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createHash } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));

function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return path.resolve(at > 0 && process.argv[at + 1] ? process.argv[at + 1] : fallback);
}

const packages = option("packages", here);
const out = option("out", path.join(here, "dist"));
const modules = path.join(packages, "node_modules");
const { build } = createRequire(path.join(packages, "package.json"))("esbuild");

await rm(out, { recursive: true, force: true });
await mkdir(path.join(out, "assets"), { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: { main: "src/main.tsx" },
  outdir: path.join(out, "assets"),
  bundle: true,
  format: "esm",
  splitting: true,
  minify: true,
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  nodePaths: [modules],
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  // The licences of what is bundled are kept, in a file of their own beside the page.
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

const entry = Object.entries(result.metafile.outputs).find(([, made]) => made.entryPoint === "src/main.tsx");
if (!entry) throw new Error("esbuild made no entry for src/main.tsx");
const asset = (file) => `/assets/${path.basename(file)}`;

const icon = await readFile(path.join(here, "src/icon.svg"));
const icon_name = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`;
await writeFile(path.join(out, "assets", icon_name), icon);

const template = await readFile(path.join(here, "src/index.html"), "utf8");
const preloads = entry[1].imports
  .filter((made) => made.kind === "import-statement")
  .map((made) => `<link rel="modulepreload" href="${asset(made.path)}">`)
  .join("");
await writeFile(
  path.join(out, "index.html"),
  template
    .replace("{{styles}}", asset(entry[1].cssBundle))
    .replace("{{script}}", asset(entry[0]))
    .replace("{{icon}}", `/assets/${icon_name}`)
    .replace("{{preloads}}", preloads),
);

// Every package that ended up in the bundle, with its licence text.
const used = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const inside = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (inside) used.add(inside[1]);
}
let notices = "What the page of Freehold is bundled with, and the licences of these packages.\n";
for (const name of [...used].sort()) {
  const folder = path.join(modules, name);
  const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  notices += `\n\n== ${name} ${about.version} (${about.license})\n\n`;
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"]) {
    try {
      notices += await readFile(path.join(folder, file), "utf8");
      break;
    } catch {
      // The next name.
    }
  }
}
await writeFile(path.join(out, "licences.txt"), notices);
