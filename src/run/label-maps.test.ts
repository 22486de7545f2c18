import { describe, expect, test } from "vitest";
import { parameterNames } from "../../test/helpers/tiny.js";
import { Random, sizeOf, tensorOf } from "../base/index.js";
import { buildNetwork, crossEntropy, type Loss, prepareModel, sgd } from "../graph/index.js";
import type { RunTensor } from "./session.js";
import { Trainer } from "./node-trainer.js";

const SETTINGS = { learningRate: 0.05, statisticsMomentum: 0.1 };

describe("steps towards a class per pixel", () => {
  const [SIDE, CLASSES, NONE] = [8, 3, 255];
  const model = prepareModel(buildNetwork("unet", { imageSize: SIDE, classes: CLASSES, width: 0.25, seed: 1 }));
  const trainerFor = (loss: Loss): Trainer =>
    Trainer.create(model, {
      threads: 1,
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: { loss, optimizer: sgd({ momentum: 0.9 }), parameters: parameterNames(model) },
    });
  const random = new Random(4);
  const dims = [2, 3, SIDE, SIDE];
  const images = tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.normal()),
  ) as RunTensor;
  /** Classes by the sign of the first two channels; the first row of pixels has none. */
  const labels = Array.from({ length: 2 * SIDE * SIDE }, (_, i) => {
    const [sample, place] = [Math.floor(i / SIDE ** 2), i % SIDE ** 2];
    const at = (channel: number): number => Number(images.data[(3 * sample + channel) * SIDE ** 2 + place]);
    return place < SIDE ? NONE : at(0) > 0 ? 0 : at(1) > 0 ? 1 : 2;
  });
  const targets = tensorOf("int64", [2, SIDE, SIDE], labels) as RunTensor;

  test("lower the loss, where the pixels without a class do not count", async () => {
    const loss = crossEntropy({ ignoredLabel: NONE });
    await using trainer = trainerFor(loss);
    const losses = [];
    for (let i = 0; i < 8; i++) losses.push((await trainer.step({ images, targets }, SETTINGS)).loss!);
    expect(losses[0]).toBeGreaterThan(0.8);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  });

  test.each([
    [
      "a label that is no class unless the loss ignores it",
      targets,
      "data.invalid",
      /classes 0 to 2 of the model, got 255/,
    ],
    [
      "one label per image",
      tensorOf("int64", [2], [0, 1]) as RunTensor,
      "shape.mismatch",
      /int64 \[2,8,8\], got int64 \[2\]/,
    ],
  ] as const)("refuse %s", async (_, wrong, code, message) => {
    await using trainer = trainerFor(crossEntropy());
    await expect(trainer.step({ images, targets: wrong }, SETTINGS)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });
});
