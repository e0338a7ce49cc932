// The real program for the tests of the page: a home of its own with a model, an adapter and keys, served on a free port.
// SmolLM2 from FREEHOLD_TEST_MODELS where it is there, else the story model that the repository carries.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, openSync, closeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "../..");
const kSmol = path.join(process.env.FREEHOLD_TEST_MODELS ?? "/nowhere", "smollm2.gguf");

/** What the tests ask of, and the sizes that an adapter for it needs. */
export const model = existsSync(kSmol)
  ? { chat: true, name: "smollm2:135m", file: kSmol, hidden: 576, context: 8192 }
  : { chat: false, name: "stories:latest", file: path.join(root, "tests/data/stories260K/stories260K.bin"), hidden: 64, context: 512 };

/** An adapter as PEFT saves it: rank 2 on the queries of the first layer. */
function write_adapter(folder) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "adapter_config.json"), JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 4, bias: "none", base_model_name_or_path: "tiny/base" }));
  const at = "base_model.model.model.layers.0.self_attn.q_proj";
  const shapes = { [`${at}.lora_A.weight`]: [2, model.hidden], [`${at}.lora_B.weight`]: [model.hidden, 2] };
  const header = {};
  let bytes = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    header[name] = { dtype: "F32", shape, data_offsets: [bytes, bytes + 4 * shape[0] * shape[1]] };
    bytes += 4 * shape[0] * shape[1];
  }
  const text = JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8, " ");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const numbers = Float32Array.from({ length: bytes / 4 }, (_each, place) => 0.2 * Math.sin(1.7 * place));
  writeFileSync(path.join(folder, "adapter_model.safetensors"), Buffer.concat([length, Buffer.from(text), Buffer.from(numbers.buffer)]));
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** `keys`: names and the roles of keys that are made before it starts; none leaves it open. `bare`: no model. */
export async function serve(program, { keys = {}, panels = false, bare = false } = {}) {
  const home = mkdtempSync(path.join(tmpdir(), "freehold-page-"));
  const env = { ...process.env, FREEHOLD_HOME: home };
  const call = (...words) => execFileSync(program, words, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (!bare) {
    call("pull", "--quiet", ...(panels ? [] : ["--no-panels"]), model.file, "--as", model.name);
    write_adapter(path.join(home, "letters"));
    call("pull", "--quiet", path.join(home, "letters"), "--as", "letters", "--base", model.name);
  }
  const secrets = {};
  for (const [name, role] of Object.entries(keys)) secrets[name] = JSON.parse(call("key", "create", name, "--role", role, "--json")).key;
  const log = path.join(home, "log");
  const out = openSync(log, "w");
  const child = spawn(program, ["serve", "--listen", "127.0.0.1:0", "--drain", "5"], { env, stdio: ["ignore", out, out] });
  closeSync(out);
  const ended = new Promise((done) => child.on("exit", done));
  for (let tries = 0; tries < 300; tries++) {
    const url = /serves at (http:\/\/127\.0\.0\.1:\d+)/.exec(readFileSync(log, "utf8"))?.[1];
    if (url) {
      return {
        url,
        secrets,
        home,
        log: () => readFileSync(log, "utf8"),
        close: async () => {
          child.kill("SIGTERM");
          const forced = setTimeout(() => child.kill("SIGKILL"), 20_000);
          const code = await ended;
          clearTimeout(forced);
          rmSync(home, { recursive: true, force: true });
          return code;
        },
      };
    }
    if (child.exitCode !== null) break;
    await wait(100);
  }
  child.kill("SIGKILL");
  const said = readFileSync(log, "utf8");
  rmSync(home, { recursive: true, force: true });
  throw new Error(`${program} did not serve: ${said.slice(-2000)}`);
}
