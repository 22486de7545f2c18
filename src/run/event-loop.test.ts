import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { parameterNames } from "../../test/helpers/tiny.js";
import { median, Random, sizeOf } from "../base/index.js";
import { adam, buildNetwork, crossEntropy, prepareModel } from "../graph/index.js";
import { Trainer } from "./node-trainer.js";

const LIMIT_MS = 20;
const STEPS = 31;

/** The longest time in which the event loop did nothing else. Units: milliseconds. */
async function longestDelay(work: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await pause(5);
  histogram.reset();
  await pause(5); // the first turn after a reset is not counted
  await work();
  await pause(5);
  histogram.disable();
  return histogram.max / 1e6;
}

/**
 * Steps that block do so every time. A busy machine, or the garbage collector, holds the loop up during some: so the
 * median within the limit shows that the steps do not.
 */
test("steps of a ResNet do not hold the event loop up for 20 ms", async () => {
  const model = prepareModel(buildNetwork("resnet8", { imageSize: 32, classes: 10, seed: 1 }));
  await using trainer = Trainer.create(model, {
    threads: 1,
    statistics: { sourceWeight: 0, variance: "unbiased" },
    train: { loss: crossEntropy(), optimizer: adam(), parameters: parameterNames(model) },
  });
  const dims = [32, 3, 32, 32];
  const random = new Random(1);
  const images = {
    dtype: "float32",
    dims,
    data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
  } as const;
  const targets = {
    dtype: "int64",
    dims: [32],
    data: BigInt64Array.from({ length: 32 }, (_, i) => BigInt(i % 10)),
  } as const;
  const step = () => trainer.step({ images, targets }, { learningRate: 1e-3 });
  await step();

  const delays: number[] = [];
  while (delays.length < STEPS) delays.push(await longestDelay(step));
  expect(median(delays), `longest delays ${delays.join(", ")} ms`).toBeLessThan(LIMIT_MS);
});

test("work in this thread would be seen by that measure", async () => {
  const delay = await longestDelay(async () => {
    const end = performance.now() + 2 * LIMIT_MS;
    while (performance.now() < end);
  });
  expect(delay).toBeGreaterThan(LIMIT_MS);
});
