import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { damaged, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { isLimberError, type Tensor } from "../base/index.js";
import { lastLayersOf, type Model, writeModel } from "../graph/index.js";
import { readTensorFile, writeTensorFile } from "../run/node.js";
import type { Domain } from "../vision/index.js";
import { train, type TrainingOptions } from "./train.js";

const network = tinyNetwork();
const data = squares("clear", 70, { seed: 4 });
const OPTIONS = { preprocessing: TINY_PREPROCESSING, epochs: 3, batchSize: 16, threads: 1, seed: 2 } as const;

describe("training", () => {
  test("lowers the loss, raises the accuracy, and leaves out the last batch that is not full", async () => {
    const progress: number[] = [];
    const { epochs } = await train(network, data, {
      ...OPTIONS,
      epochs: 5,
      validation: squares("validation", 20, { seed: 8 }),
      onProgress: ({ done, total }) => progress.push(done / total),
    });
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5]);
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss * 0.75);
    expect(epochs.at(-1)!.training.value).toBeGreaterThan(epochs[0]!.training.value);
    for (const { training, validation, refused } of epochs) {
      expect([training.samples, validation!.samples, refused]).toEqual([64, 20, 0]);
    }
    expect(progress).toHaveLength(20);
    expect(progress.at(-1)).toBe(1);
  });

  test("computes frozen layers once per image, unless images are augmented", async () => {
    const parameters = lastLayersOf(network, 1 / 3).map(({ name }) => name);
    const hits = async (augment: TrainingOptions["augment"]) => {
      const { epochs, model } = await train(network, data, { ...OPTIONS, parameters, augment });
      const isFrozen = ([name, { data: after }]: readonly [string, Tensor]): boolean =>
        isDeepStrictEqual(after, network.graph.initializers.get(name)!.data);
      expect([...model.graph.initializers].filter((entry) => !isFrozen(entry)).length).toBeGreaterThan(0);
      expect([...model.graph.initializers].slice(0, 10).every(isFrozen)).toBe(true);
      return epochs.map(({ cacheHits }) => cacheHits);
    };
    const [first, second, third] = await hits({});
    // An epoch leaves out the 6 samples of the last batch, and each shuffles anew.
    expect(first).toBe(0);
    expect(second).toBeGreaterThanOrEqual(58);
    expect(third).toBeGreaterThanOrEqual(second!);
    expect(await hits({ shift: 1 })).toEqual([0, 0, 0]);
  });

  test("gives the same bytes for the same seed and others for another", async () => {
    const bytes = async (seed: number) =>
      writeModel(
        (await train(network, data, { ...OPTIONS, epochs: 1, seed, augment: { flip: true, shift: 1 } })).model,
      );
    const first = await bytes(2);
    expect(await bytes(2)).toEqual(first);
    expect(await bytes(3)).not.toEqual(first);
  });

  test("skips and counts samples that cannot be read or are not numbers", async () => {
    const told = new Set<number>();
    const broken = damaged(data, { 2: "nan", 40: "unreadable" });
    const { epochs, model } = await train(network, broken, { ...OPTIONS, onSkipped: ({ index }) => told.add(index) });
    expect(epochs.map(({ skipped, refused }) => [skipped, refused])).toEqual(Array(3).fill([2, 0]));
    expect([...told].sort((a, b) => a - b)).toEqual([2, 40]);
    expect(isFiniteModel(model)).toBe(true);
  });

  test("refuses and counts a batch whose loss explodes, and goes on", async () => {
    const { epochs, model } = await train(network, exploding(data, [5]), { ...OPTIONS, epochs: 2 });
    // The sample may fall into the last batch of an epoch, which is left out.
    expect(epochs.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThanOrEqual(1);
    expect(epochs.every(({ refused, loss }) => refused <= 1 && Number.isFinite(loss))).toBe(true);
    expect(isFiniteModel(model)).toBe(true);
  });

  test("reports no loss for an epoch in which every step was refused", async () => {
    const all = exploding(
      data,
      Array.from({ length: 70 }, (_, i) => i),
    );
    const { epochs, model } = await train(network, all, { ...OPTIONS, epochs: 1 });
    expect(epochs[0]).toMatchObject({ refused: 4, loss: NaN });
    expect(weightBytes(model)).toEqual(weightBytes(network));
  });

  test("ends where no step is accepted any more, and says so", async () => {
    const all = exploding(
      data,
      Array.from({ length: 70 }, (_, i) => i),
    );
    const stuck = train(network, all, { ...OPTIONS, epochs: 10 });
    await expect(stuck).rejects.toMatchObject({ code: "train.non-finite", context: { steps: 25 } });
  });

  test("asks for one full batch", async () => {
    const refused = train(network, data, { ...OPTIONS, batchSize: 71 });
    await expect(refused).rejects.toMatchObject({ code: "config.invalid", context: { samples: 70 } });
  });
});

describe("a stopped training", () => {
  /** Stops when the given step is done; gives the last checkpoint. */
  async function stopAfter(step: number, options: TrainingOptions = OPTIONS, domain = data): Promise<Uint8Array> {
    const controller = new AbortController();
    let saved: Uint8Array | undefined;
    const stopped = train(network, domain, {
      ...options,
      signal: controller.signal,
      onProgress: ({ done }) => done === step && controller.abort(),
      onCheckpoint: async (bytes) => {
        saved = bytes;
      },
    });
    await expect(stopped).rejects.toSatisfy((e) => isLimberError(e, "aborted"));
    return saved!;
  }

  test.each([
    ["in the middle of the first epoch", 2, data],
    ["in the middle of a later epoch", 6, data],
    ["after the last step of an epoch", 4, data],
    ["among samples that cannot be read", 5, damaged(data, { 1: "unreadable", 30: "nan", 60: "unreadable" })],
  ])("%s resumes to the same bytes", async (_, step, domain) => {
    const options = { ...OPTIONS, optimizer: "adamw", augment: { flip: true, shift: 2 } } as const;
    const whole = await train(network, domain, options);
    const resume = await stopAfter(step, options, domain);
    const resumed = await train(network, domain, { ...options, resume });
    expect(writeModel(resumed.model)).toEqual(writeModel(whole.model));
    expect(resumed.epochs.at(-1)!.training).toEqual(whole.epochs.at(-1)!.training);
  });

  test("is not resumed with another seed, batch size, model or file", async () => {
    const resume = await stopAfter(1);
    const attempt = (changes: Partial<TrainingOptions>, model = network): Promise<unknown> =>
      train(model, data, { ...OPTIONS, resume, ...changes });
    await expect(attempt({ seed: 9 })).rejects.toMatchObject({ code: "config.invalid" });
    await expect(attempt({ batchSize: 8 })).rejects.toMatchObject({ code: "config.invalid" });
    await expect(attempt({ optimizer: "adam" })).rejects.toMatchObject({ code: "data.invalid" });
    await expect(attempt({ resume: resume.slice(0, 100) })).rejects.toMatchObject({ code: "data.invalid" });
    const { tensors } = readTensorFile(resume);
    for (const metadata of [{}, { limberTraining: "{" }, { limberTraining: '{"epoch":-1}' }]) {
      const foreign = writeTensorFile({ tensors, metadata });
      await expect(attempt({ resume: foreign })).rejects.toMatchObject({ code: "data.invalid" });
    }
  });
});

const weightBytes = ({ graph }: Model) => [...graph.initializers];
const isFiniteModel = ({ graph }: Model): boolean =>
  [...graph.initializers.values()].every(({ data }) => (data as Float32Array).every(Number.isFinite));

/** Some pictures have levels that no float32 sum of squares can hold: finite to read, not to train on. */
function exploding(domain: Domain, indices: readonly number[]): Domain {
  return {
    ...domain,
    read: async (index) => {
      const reading = await domain.read(index);
      if (!indices.includes(index) || "unreadable" in reading) return reading;
      return { image: { ...reading.image, data: Float64Array.from(reading.image.data, (x) => x * 1e30) } };
    },
  };
}
