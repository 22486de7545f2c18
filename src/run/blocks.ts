import { attr, blockChannels, composeOps, type Model, OWN_HEADER, writeModel } from "../graph/index.js";
import { LACKING } from "./provider.js";
import type { Machine, RunTensor } from "./session.js";

const found = new WeakMap<Machine, Promise<number | undefined>>();

/**
 * How many channels ONNX Runtime packs together on this machine, or undefined where it has no blocked kernels.
 * Each candidate runs one small depthwise convolution both ways and has to give the same numbers. Asked once per machine.
 */
export function findBlockSize(machine: Machine): Promise<number | undefined> {
  let size = found.get(machine);
  if (!size) {
    size = probe(machine);
    found.set(machine, size);
  }
  return size;
}

/**
 * The same model in ops that the machine's provider has, on the kernels that are fastest there. For steps that are about to
 * run, never for files.
 */
export async function lowerFor(machine: Machine, model: Model): Promise<Model> {
  if (machine.provider !== "cpu") return composeOps(model, LACKING[machine.provider]);
  const block = await findBlockSize(machine);
  return block === undefined ? model : blockChannels(model, block);
}

async function probe(machine: Machine): Promise<number | undefined> {
  const expected = await run(machine, PROBE);
  for (const block of [16, 8]) {
    // A machine without these kernels, or with another block size, refuses the model or computes something else.
    const got = await run(machine, blockChannels(PROBE, block)).catch(() => undefined);
    if (got?.every((value, i) => Math.abs(value - expected[i]!) < 1e-4)) return block;
  }
  return undefined;
}

async function run(machine: Machine, model: Model): Promise<Float32Array> {
  const session = await machine.createSession(writeModel(model), { threads: 1 });
  const { outputs } = await session.run(FEEDS, { fetches: ["Y"] });
  await session.dispose();
  return outputs.Y!.data as Float32Array;
}

/** Values that differ everywhere, so that no permutation goes unseen. */
const ramp = (dims: readonly number[]): RunTensor => {
  const size = dims.reduce((n, d) => n * d, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7)) };
};
const FEEDS = { X: ramp([2, 32, 5, 6]), W: ramp([32, 1, 3, 3]) };

const PROBE: Model = {
  graph: {
    name: "probe",
    inputs: Object.entries(FEEDS).map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
    outputs: [{ name: "Y", dtype: "float32", dims: [2, 32, 3, 3] }],
    nodes: [
      {
        op: "Conv",
        domain: "",
        name: "probe",
        inputs: ["X", "W"],
        outputs: ["Y"],
        attributes: { group: attr.int(32), pads: attr.ints([1, 1, 1, 1]), strides: attr.ints([2, 2]) },
      },
    ],
    initializers: new Map(),
    types: new Map(),
  },
  ...OWN_HEADER,
};
