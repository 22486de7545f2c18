import { beforeAll, describe, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { type Model, writeModel } from "../graph/index.js";
import type { Domain } from "../vision/index.js";
import { adapt, adaptEach, type AdaptOptions } from "./adapt.js";
import { bn, findMethod, finetune, source, tent } from "./methods/index.js";
import { accuracyOf } from "./metrics.js";
import { train } from "./train.js";

/** Haze: less contrast, more light. */
const haze = (level: number): number => 0.35 * level + 150;
const options = (method: AdaptOptions["method"], more: Partial<AdaptOptions> = {}): AdaptOptions => ({
  ...{ method, preprocessing: TINY_PREPROCESSING, batchSize: 16, threads: 1, seed: 1 },
  ...more,
});

let trained: Model;
const hazy = squares("haze", 160, { seed: 7, level: haze });
beforeAll(async () => {
  const settings = { preprocessing: TINY_PREPROCESSING, epochs: 4, batchSize: 32, threads: 1, seed: 1 };
  trained = (await train(tinyNetwork(), squares("clear", 320, { seed: 5 }), settings)).model;
});

describe("under a drift", () => {
  test.each([
    ["bn", {}],
    ["tent", {}],
    ["finetune", { methodOptions: { epochs: 30, learningRate: 0.02 }, labelled: 64 }],
  ])("%s brings back what the source model lost", async (name, more) => {
    const { domains } = await adapt(trained, [hazy], options(findMethod(name), more));
    const [before, after] = [accuracyOf(domains[0]!.source), accuracyOf(domains[0]!.after)];
    expect(before).toBeLessThan(0.7);
    expect(after).toBeGreaterThan(before + 0.15);
    if (name !== "finetune") expect(accuracyOf(domains[0]!.online)).toBeGreaterThan(before + 0.15);
  });

  test("source changes nothing and measures once", async () => {
    const read = new Map<number, number>();
    const counting: Domain = {
      ...hazy,
      read: (index) => (read.set(index, (read.get(index) ?? 0) + 1), hazy.read(index)),
    };
    const { domains, model } = await adapt(trained, [counting], options(source));
    expect(writeModel(model)).toEqual(writeModel(trained));
    expect(domains[0]).toMatchObject({ steps: 0, refused: 0, adaptSeconds: 0 });
    expect(domains[0]!.online).toEqual(domains[0]!.source);
    expect(domains[0]!.after).toEqual(domains[0]!.source);
    expect(new Set(read.values())).toEqual(new Set([2])); // online and source
  });
});

describe("labels", () => {
  test("are never taken from samples that are measured", async () => {
    const asked: number[][] = [[]];
    const watched: Domain = { ...hazy, read: (index) => (asked.at(-1)!.push(index), hazy.read(index)) };
    const { domains } = await adapt(trained, [watched], {
      ...options(finetune, { labelled: 16, methodOptions: { epochs: 2 } }),
      onStep: ({ step }) => step === 2 && asked.push([]),
    });
    const [training, measuring] = asked.map((indices) => new Set(indices));
    expect(training!.size).toBe(16);
    expect(measuring!.size).toBe(144);
    expect([...training!].filter((index) => measuring!.has(index))).toEqual([]);
    expect(domains[0]).toMatchObject({
      steps: 2,
      online: { total: 16 },
      source: { total: 144 },
      after: { total: 144 },
    });
  });

  test.each([0, 160, 1000])("that leave nothing to train or to measure on are refused: %d of 160", async (labelled) => {
    const refused = adapt(trained, [hazy], options(finetune, { labelled }));
    await expect(refused).rejects.toMatchObject({ code: "config.invalid", context: { labelled } });
  });
});

describe("a stream of domains", () => {
  const [first, second] = [squares("a", 32, { seed: 2, level: haze }), squares("b", 32, { seed: 3 })];

  test("is started anew from the source in each domain, or goes on where asked", async () => {
    const last = async (domains: readonly Domain[], continual: boolean): Promise<Uint8Array> =>
      writeModel((await adapt(trained, domains, options(tent, { continual, withoutEvaluation: true }))).model);
    const alone = await last([second], false);
    expect(await last([first, second], false)).toEqual(alone);
    expect(await last([first, second], true)).not.toEqual(alone);
  });

  test("is adapted to one by one, and stops when the caller does", async () => {
    const names: string[] = [];
    for await (const { report } of adaptEach(trained, [first, second], options(bn))) {
      names.push(report.name);
      break;
    }
    expect(names).toEqual(["a"]);
  });

  test("reports each step in order and progress up to the end", async () => {
    const steps: string[] = [];
    const done: number[] = [];
    await adapt(trained, [first, second], {
      ...options(tent, { withoutEvaluation: true }),
      onStep: ({ domain, step, accepted }) => steps.push(`${domain}${step}${accepted}`),
      onProgress: ({ done: now, total }) => done.push(now / total),
    });
    expect(steps).toEqual(["a1true", "a2true", "b1true", "b2true"]);
    expect(done).toEqual([0.5, 1, 0.5, 1]);
  });

  test("is left when the caller asks to stop, with nothing pending", async () => {
    const controller = new AbortController();
    const stopped = adapt(trained, [first, second], {
      ...options(tent, { signal: controller.signal }),
      onStep: () => controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
  });

  test("of an image size that the model does not take is refused", async () => {
    const preprocessing = { ...TINY_PREPROCESSING, width: 8, height: 32 };
    const refused = adapt(trained, [first], options(bn, { preprocessing }));
    await expect(refused).rejects.toMatchObject({ code: "shape.mismatch" });
  });
});
