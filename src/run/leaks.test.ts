import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { noiseBatch, parameterNames, tinyNetwork } from "../../test/helpers/tiny.js";
import { zeros } from "../base/index.js";
import { crossEntropy, type Model, sgd } from "../graph/index.js";
import { createMachine } from "./machine.js";
import { Predictor } from "./predictor.js";
import type { Machine, RunTensor } from "./session.js";
import { Trainer } from "./node-trainer.js";

const full = process.env.LIMBER_FULL !== undefined;
/** Cycles of the full run; the quick one takes fewer, of machines fewest since each starts a thread. */
const CYCLES = 500;
const LARGEST_GROWTH = 20 * 2 ** 20;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** By how many bytes the process grows over all cycles but the first fifth, along the line that fits best. */
async function growthOver(cycles: number, cycle: () => Promise<void>): Promise<number> {
  const sizes: number[] = [];
  for (let i = 0; i < cycles; i++) {
    await cycle();
    collectGarbage();
    if (i >= cycles / 5) sizes.push(process.memoryUsage.rss());
  }
  const centre = (sizes.length - 1) / 2;
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const covariance = sizes.reduce((sum, size, i) => sum + (i - centre) * (size - mean), 0);
  const variance = sizes.reduce((sum, _, i) => sum + (i - centre) ** 2, 0);
  return (covariance / variance) * sizes.length;
}

interface Subject {
  readonly model: Model;
  readonly images: RunTensor;
  readonly targets: RunTensor;
}

/** Few nodes and 1 MB of weights: whatever a cycle forgets to give back is seen at once. */
const HEAVY: Subject = {
  model: modelOf({
    inputs: { x: [2, 512] },
    outputs: { y: [2, 512] },
    initializers: { w: zeros("float32", [512, 512]) },
    nodes: [node("MatMul", ["x", "w"], ["y"])],
  }),
  images: { dtype: "float32", dims: [2, 512], data: new Float32Array(1024).fill(0.5) },
  targets: { dtype: "int64", dims: [2], data: BigInt64Array.of(3n, 5n) },
};
/** A network as it comes, for the many cycles of the full run. */
const TINY: Subject = { model: tinyNetwork(), ...noiseBatch(8) };

describe.each([["1 MB of weights", HEAVY], ...(full ? [["a ResNet-8", TINY] as const] : [])] as const)(
  `the process does not grow over cycles of %s:`,
  (_, { model, images, targets }) => {
    const training = {
      threads: 1,
      statistics: "fixed",
      train: { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters: parameterNames(model) },
    } as const;
    let shared: Machine;
    beforeAll(() => {
      shared = createMachine();
    });
    afterAll(() => shared[Symbol.asyncDispose]());

    const predictOn = async (machine: Machine): Promise<void> => {
      const predictor = await Predictor.create(machine, model, { threads: 1 });
      await predictor.predict(images);
      await predictor.dispose();
    };
    const trainOn = async (machine: Machine | undefined): Promise<void> => {
      await using trainer = Trainer.create(model, { ...training, machine });
      await trainer.step({ images, targets }, { learningRate: 0.01 });
    };

    test.each<[string, number, () => Promise<void>]>([
      ["a predictor is made, runs and is released", 40, () => predictOn(shared)],
      ["a trainer on a shared machine is made, steps and is released", 40, () => trainOn(shared)],
      [
        "machines are made, predict and train, and are released",
        20,
        async () => {
          await using machine = createMachine();
          await predictOn(machine);
          await trainOn(undefined);
        },
      ],
    ])(
      "%s",
      async (_, quick, cycle) => {
        const growth = () => growthOver(full ? CYCLES : quick, cycle);
        const first = await growth();
        // What is forgotten is so every time; what other tests of this process left to be collected is not.
        expect(first < LARGEST_GROWTH ? first : await growth()).toBeLessThan(LARGEST_GROWTH);
      },
      900_000,
    );
  },
);
