import { beforeAll, describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { tensorOf, zeros } from "../base/index.js";
import { attr, inferShapes, type Model, writeModel } from "../graph/index.js";
import { type Domain, type Skipped, UNLABELLED } from "../vision/index.js";
import { adapt, adaptEach } from "./adapt.js";
import type { AdaptOptions } from "./options.js";
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
}, 60_000);

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

  test("of images left over from the last full batch skips them where the model or its statistics need more", async () => {
    // Channels of one value each: a batch of one has no variance.
    const flat = modelOf({
      inputs: { input: ["batch", 3, 16, 16] },
      outputs: { logits: ["batch", 4] },
      initializers: {
        weight: zeros("float32", [4, 3]),
        ...Object.fromEntries(["scale", "bias", "mean", "variance"].map((name) => [name, zeros("float32", [4])])),
      },
      nodes: [
        node("GlobalAveragePool", ["input"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "weight"], ["features"], { transB: attr.int(1) }),
        node("BatchNormalization", ["features", "scale", "bias", "mean", "variance"], ["logits"]),
      ],
    });
    const fixed = inferShapes(flat, { batch: 4 });
    for (const [model, left] of [
      [flat, 1],
      [fixed, 3],
    ] as const) {
      const skipped: Skipped[] = [];
      const nine = squares("nine", 8 + left);
      const rest = Array.from({ length: left }, (_, i) => 8 + i);
      const { domains } = await adapt(model, [nine, nine], {
        ...options(bn, { batchSize: 4, onSkipped: (each) => skipped.push(each) }),
      });
      for (const { online, after, steps } of domains) {
        expect({ online, steps }).toMatchObject({ online: { total: 8, skipped: left }, steps: 2 });
        expect(after).toMatchObject({ total: 8 + left, skipped: 0 });
      }
      expect(skipped.map(({ index }) => index)).toEqual([...rest, ...rest]);
      expect(skipped[0]!.reason).toMatch(new RegExp(`a last batch of ${left}: .*got`));
      // Nothing has shown yet that such images fit: the error is the user's to read.
      await expect(adapt(model, [squares("few", left)], options(bn, { batchSize: 4 }))).rejects.toMatchObject({
        code: "shape.mismatch",
      });
    }
  });

  test("of which a few are labelled computes frozen layers once for each of them", async () => {
    const head = options(finetune, { labelled: 16, methodOptions: { scope: "head", epochs: 3 } });
    const { domains } = await adapt(trained, [hazy, first], { ...head, continual: true });
    expect(domains.map(({ cacheHits }) => cacheHits)).toEqual([32, 32]);
    const whole = options(finetune, { labelled: 16, methodOptions: { scope: "all", epochs: 2 } });
    expect((await adapt(trained, [hazy], whole)).domains[0]).toMatchObject({ cacheHits: 0 });
  });

  test("of an image size that the model does not take is refused", async () => {
    const preprocessing = { ...TINY_PREPROCESSING, width: 8, height: 32 };
    const refused = adapt(trained, [first], options(bn, { preprocessing }));
    await expect(refused).rejects.toMatchObject({ code: "shape.mismatch" });
  });
});

describe("without labels", () => {
  const segmenter = modelOf({
    inputs: { input: ["batch", 3, 16, 16] },
    outputs: { logits: ["batch", 5, 16, 16] },
    initializers: {
      weight: tensorOf(
        "float32",
        [5, 3, 1, 1],
        Array.from({ length: 15 }, (_, i) => i / 10),
      ),
      ...Object.fromEntries(["scale", "bias", "mean", "variance"].map((name) => [name, zeros("float32", [5])])),
    },
    nodes: [
      node("Conv", ["input", "weight"], ["features"]),
      node("BatchNormalization", ["features", "scale", "bias", "mean", "variance"], ["logits"]),
    ],
  });

  test("a model that is no classifier is given new statistics, and nothing is measured", async () => {
    const { domains, model } = await adapt(segmenter, [hazy], options(bn));
    expect(domains[0]).toMatchObject({ steps: 10, online: { total: 160, correct: 0 }, after: { total: 0 } });
    expect(model.graph.initializers.get("variance")).not.toEqual(segmenter.graph.initializers.get("variance"));
  });

  test.each([tent, finetune])(
    "a model that is no classifier is refused by $name, naming its output",
    async (method) => {
      await expect(adapt(segmenter, [hazy], options(method))).rejects.toMatchObject({
        code: "method.unsuitable",
        context: { output: "logits" },
      });
    },
  );

  test("a classifier is adapted to unlabelled images as to labelled ones", async () => {
    const unlabelled: Domain = { ...hazy, label: () => UNLABELLED };
    const blind = await adapt(trained, [unlabelled], options(tent, { unlabelled: true }));
    const seeing = await adapt(trained, [hazy], options(tent));
    expect(writeModel(blind.model)).toEqual(writeModel(seeing.model));
    expect(blind.domains[0]).toMatchObject({ steps: 10, online: { total: 160, correct: 0 }, source: { total: 0 } });
  });
});
