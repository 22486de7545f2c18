import { statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { isLimberError, Random, throwIfAborted } from "../../base/index.js";
import { buildNetwork, evaluate } from "../../graph/index.js";
import { createMachine, NODE_PROVIDERS, type NodeProvider, Predictor } from "../../run/node.js";
import { decodeImage, encodeImage } from "../../vision/index.js";
import { createWorld } from "../../vision/world/index.js";
import { defineCommand, EXIT, type Surroundings } from "../command.js";
import { runtimeOf } from "../model.js";
import { VERSION } from "../version.js";

interface Verdict {
  readonly ok: boolean;
  readonly detail: string;
}

const OLDEST_NODE = [20, 9] as const;
const LEAST_FREE_BYTES = 2 ** 28;

/** What Limber needs from the machine it runs on, each seen working rather than only found. */
const CHECKS: Readonly<Record<string, (context: Surroundings) => Verdict | Promise<Verdict>>> = {
  limber: () => ({ ok: true, detail: VERSION }),

  node() {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    const ok = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
    return { ok, detail: `${process.versions.node} (${OLDEST_NODE.join(".")} or later)` };
  },

  async "onnx-runtime"(context) {
    const manifest = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
    const difference = await compareWithReference({ ...context, provider: "cpu" });
    return {
      ok: difference < 1e-4,
      detail: `${manifest.version}, a small network is right to ${difference.toExponential(1)}`,
    };
  },

  /** Only the chosen one has to be there; an accelerator may be missing. */
  async providers(context) {
    const found = await Promise.all(
      NODE_PROVIDERS.map(async (name) => ({ name, ...(await tryProvider(name, context)) })),
    );
    const chosen = found.find(({ name }) => name === context.provider);
    return { ok: chosen?.ok === true, detail: found.map(({ name, detail }) => `${name}: ${detail}`).join("; ") };
  },

  async images() {
    const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 37) % 256);
    const reading = await decodeImage(await encodeImage({ width: 8, height: 8, channels: 3, data }));
    if (!("image" in reading)) return { ok: false, detail: reading.unreadable };
    const ok = reading.image.data.every((level, i) => level === data[i]);
    return { ok, detail: ok ? "a PNG comes back to the byte" : "a PNG comes back changed" };
  },

  world() {
    const { image } = createWorld().scene("day", "test", 0);
    return { ok: image.width === 32, detail: "the embedded handwriting is there" };
  },

  threads({ threads }) {
    const processors = availableParallelism();
    return {
      ok: true,
      detail: `${threads ?? Math.max(1, Math.floor(processors / 2))} of ${processors} logical processors`,
    };
  },

  async disk() {
    const { bavail, bsize } = await statfs(".");
    const freeBytes = bavail * bsize;
    return { ok: freeBytes >= LEAST_FREE_BYTES, detail: `${(freeBytes / 2 ** 30).toFixed(1)} GiB free here` };
  },
};

async function tryProvider(provider: NodeProvider, context: Surroundings): Promise<Verdict> {
  try {
    const difference = await compareWithReference({ ...context, provider });
    return { ok: difference < 1e-3, detail: `right to ${difference.toExponential(1)}` };
  } catch (error) {
    if (!isLimberError(error, "provider.refused")) throw error;
    return { ok: false, detail: `not usable (${String(error.context.reason)})` };
  }
}

/** Largest difference between ONNX Runtime and the float64 reference on one batch of a small network. */
async function compareWithReference(context: Surroundings): Promise<number> {
  const model = buildNetwork("resnet8", { imageSize: 8, classes: 4, width: 0.25 });
  const random = new Random(1);
  const images = {
    dtype: "float32" as const,
    dims: [2, 3, 8, 8],
    data: Float32Array.from({ length: 384 }, () => random.normal()),
  };
  const expected = evaluate(model, { input: images }).get("logits")!.data;
  await using machine = createMachine(context);
  const { output } = await (await Predictor.create(machine, model, runtimeOf(context))).predict(images);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(output.data[i]))), 0);
}

/** `doctor`: can Limber work here? */
export const doctor = defineCommand({
  name: "doctor",
  summary: "Check that this machine has what Limber needs",
  args: {},
  flags: {},
  examples: ["doctor", "doctor --json"],
  async run({ signal, ...rest }) {
    const checks: ({ readonly name: string } & Verdict)[] = [];
    for (const [name, check] of Object.entries(CHECKS)) {
      throwIfAborted(signal);
      try {
        checks.push({ name, ...(await check({ signal, ...rest })) });
      } catch (error) {
        checks.push({ name, ok: false, detail: error instanceof Error ? error.message : String(error) });
      }
    }
    const ok = checks.every((check) => check.ok);
    const lines = checks.map((check) => `${check.ok ? "ok    " : "FAILED"}  ${check.name.padEnd(13)} ${check.detail}`);
    return { json: { ok, checks }, text: lines.join("\n"), exitCode: ok ? EXIT.ok : EXIT.failure };
  },
});
