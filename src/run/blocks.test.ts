import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxDifference, relativeDistance } from "../../test/helpers/parity.js";
import { parameterNames } from "../../test/helpers/tiny.js";
import { Random, sizeOf } from "../base/index.js";
import {
  blockChannels,
  buildNetwork,
  buildStep,
  crossEntropy,
  inferShapes,
  type Model,
  prepareModel,
  sgd,
  type Statistics,
  type Step,
  writeModel,
} from "../graph/index.js";
import { findBlockSize } from "./blocks.js";
import { createMachine } from "./machine.js";
import type { Machine, RunTensor } from "./session.js";

let machine: Machine;
beforeAll(() => {
  machine = createMachine();
});
afterAll(() => machine[Symbol.asyncDispose]());

const BATCH = 4;
const SIDE = 32;

function stepOf(name: string, statistics: Statistics): Step {
  const model = prepareModel(buildNetwork(name, { imageSize: SIDE, classes: 4, width: 0.5, seed: 3 }));
  const train = { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters: parameterNames(model) };
  return buildStep(inferShapes(model, { batch: BATCH }), { statistics, train });
}

/** All outputs of a step for one batch: measurements, weights, statistics, momentum. */
async function run({ state, inputs }: Step, model: Model): Promise<Map<string, RunTensor>> {
  const random = new Random(1);
  const dims = [BATCH, 3, SIDE, SIDE];
  const one = (value: number) => ({ dtype: "float32", dims: [], data: Float32Array.of(value) }) as const;
  const feeds = {
    ...Object.fromEntries(state.map(({ input, initial }) => [input, initial as RunTensor])),
    [inputs.data[0]!.name]: {
      dtype: "float32",
      dims,
      data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
    },
    [inputs.targets!.name]: { dtype: "int64", dims: [BATCH], data: BigInt64Array.of(0n, 1n, 2n, 3n) },
    [inputs.learningRate!]: one(0.01),
    ...(inputs.statisticsMomentum && { [inputs.statisticsMomentum]: one(0.1) }),
  } as const;
  const session = await machine.createSession(writeModel(model), { threads: 1 });
  const { outputs } = await session.run(feeds, { fetches: model.graph.outputs.map(({ name }) => name) });
  await session.dispose();
  return new Map(Object.entries(outputs));
}

describe("blocked convolutions", () => {
  test("are offered in a block size of this machine, asked for once", async () => {
    const asked = findBlockSize(machine);
    expect(findBlockSize(machine)).toBe(asked);
    expect([undefined, 8, 16]).toContain(await asked);
  });

  // Not MobileNetV2 under batch statistics: those of the four values in a channel of its last maps amplify rounding.
  const batch = { sourceWeight: 0, variance: "unbiased" } as const;
  test.each([
    ["resnet8", "batch", batch],
    ["resnet8", "fixed", "fixed"],
    ["mobilenetv2", "fixed", "fixed"],
    ["convnext", "fixed", "fixed"], // 20 channels: blocks that are padded
  ] as const)("change nothing in a training step of %s with %s statistics", async (name, _, statistics) => {
    const block = await findBlockSize(machine);
    // A machine without these kernels never runs them; this one has to leave the model as it is.
    if (block === undefined) return;
    const step = stepOf(name, statistics);
    const blocked = blockChannels(step.model, block);
    expect(blocked.graph.nodes.some(({ domain }) => domain === "com.microsoft.nchwc")).toBe(true);
    const [plain, fast] = [await run(step, step.model), await run(step, blocked)];
    expect([...fast.keys()]).toEqual([...plain.keys()]);
    for (const [output, { dims, data }] of plain) {
      const got = fast.get(output)!;
      expect(got.dims, output).toEqual(dims);
      const [a, b] = [got.data as Float32Array, data as Float32Array];
      expect(Math.min(maxDifference(a, b), relativeDistance(a, b)), output).toBeLessThan(1e-5);
    }
  });
});
