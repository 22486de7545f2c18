import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isInference, type Mode } from "./modes.js";

/** Who takes part, and what starts it: our worker, PyTorch's Python, or a script for other JavaScript libraries. */
export const CONTESTANTS = {
  limber: { title: "Limber", runtime: "limber", channelsLast: false },
  eager: { title: "PyTorch eager", runtime: "python", channelsLast: false },
  "channels-last": { title: "PyTorch channels-last", runtime: "python", channelsLast: true },
  "tfjs-wasm": { title: "TensorFlow.js wasm", runtime: "script", channelsLast: false },
  "tfjs-cpu": { title: "TensorFlow.js cpu", runtime: "script", channelsLast: false },
  "jax-js-wasm": { title: "jax-js wasm", runtime: "script", channelsLast: false },
} as const;
export type ContestantName = keyof typeof CONTESTANTS;
export type PeerName = Exclude<ContestantName, "limber">;
export const PEER_NAMES = Object.keys(CONTESTANTS).filter((name) => name !== "limber") as readonly PeerName[];

interface Launch {
  readonly command: string;
  readonly args: readonly string[];
}

const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Workers are plain JavaScript: from TypeScript sources (tests) the built file is used. */
export const WORKER: Launch = {
  command: process.execPath,
  args: [pathOf(import.meta.url.endsWith(".ts") ? "../../dist/bench/engine-worker.js" : "./engine-worker.js")],
};
const PYTHON_PEER = pathOf("../../peers/bench_engine.py");
const SCRIPT_PEER = pathOf("../../peers/js/bench-engine.mjs");
const SCRIPT_PACKAGES = pathOf("../../peers/js/node_modules");

/** The command that starts a contestant, or the reason why there is none. */
export function findLaunch(
  name: ContestantName,
  mode: Mode,
  python: string | undefined,
): Launch | { readonly reason: string } {
  switch (CONTESTANTS[name].runtime) {
    case "limber":
      return WORKER;
    case "python":
      return python === undefined ? { reason: "no Python with PyTorch" } : { command: python, args: [PYTHON_PEER] };
    case "script":
      if (mode !== "full" && !isInference(mode)) return { reason: "not written for this mode" };
      if (!existsSync(SCRIPT_PACKAGES)) return { reason: "not installed: npm install --prefix peers/js" };
      return { command: process.execPath, args: [SCRIPT_PEER, name] };
  }
}

/** Ways of a peer to train some rows of a weight: mask the whole gradient, or split each layer in two. The faster counts. */
export const waysOf = (name: ContestantName, mode: Mode): readonly string[] =>
  name !== "limber" && mode === "filters" ? ["mask", "split"] : [""];
