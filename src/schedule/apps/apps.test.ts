import { afterAll, describe, expect, test } from "vitest";
import { noiseBatch, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { addGates, levelsOf } from "../../graph/index.js";
import { createMachine } from "../../run/node.js";
import { createMember } from "../../patch/index.js";
import { taskOf } from "../../vision/index.js";
import { measureReference } from "../estimate/index.js";
import { createElasticApp } from "./elastic-app.js";
import { neighbourOf } from "./learner.js";
import { createPatchApp } from "./patch-app.js";
import { PatchLearner } from "./patch-learner.js";

const training = createMachine();
const serving = createMachine();
afterAll(async () => {
  await training[Symbol.asyncDispose]();
  await serving[Symbol.asyncDispose]();
});

const network = tinyNetwork();
const master = addGates(network, { initial: "he", seed: 3 });
const { images, targets } = noiseBatch(8);
const shared = { serving, training, threads: 1, batchSize: 8, preprocessing: TINY_PREPROCESSING };
const head = taskOf(network).open(network, TINY_PREPROCESSING);

describe("neighbourOf", () => {
  test("is the next larger level, and for the largest the next smaller", () => {
    expect([0, 1, 2].map((level) => neighbourOf(level, 3))).toEqual([1, 2, 1]);
    expect(neighbourOf(0, 1)).toBe(0);
  });
});

describe("an elastic app", () => {
  const options = { ...shared, name: "camera", sparsities: [0.8, 0], pictures: images };

  test("serves what was swapped in last, whatever it makes and trains beside it", async () => {
    await using app = await createElasticApp(master, options);
    expect([app.task, app.level, app.steps, app.levels.map(({ sparsity }) => sparsity)]).toEqual([
      ...["classification", 0, 0],
      [0.8, 0],
    ]);
    expect(app.levels[0]!.size).toBeLessThan(app.levels[1]!.size);
    const small = await app.predict(images);
    await app.remodel(1);
    await app.step();
    expect([app.level, app.steps]).toEqual([1, 1]);
    expect(await app.predict(images)).toEqual(small);
    const [during] = await Promise.all([app.predict(images), app.swap()]);
    expect(during).toEqual(small);
    const large = await app.predict(images);
    expect(large).not.toEqual(small);
    await app.step();
    expect(await app.predict(images)).toEqual(large);
    expect(app.levels.map(({ memoryBytes }) => memoryBytes > 0)).toEqual([true, true]);
  });

  test("hands on what one model learnt to the next through the master", async () => {
    await using app = await createElasticApp(master, options);
    const fresh = await app.predict(images);
    await app.remodel(0);
    await app.swap();
    expect(await app.predict(images)).toEqual(fresh);
    await app.step();
    await app.remodel(0);
    await app.swap();
    expect(await app.predict(images)).not.toEqual(fresh);
  });

  test("tells signals of the pictures that it saw, where it has a reference", async () => {
    const output = { dtype: "float32" as const, dims: [2, 4], data: Float32Array.of(9, 0, 0, 0, 0, 2, 0, 0) };
    const level = { output, features: { ...output, dims: [2, 4] }, score: 0.5 };
    const reference = measureReference("classification", head, [level, level]);
    await using app = await createElasticApp(master, {
      ...options,
      reference: {
        ...reference,
        levels: reference.levels.map((each) => ({
          ...each,
          means: Array<number>(16).fill(0),
          deviations: Array<number>(16).fill(1),
        })),
      },
    });
    const { distance, ...shares } = await app.signals();
    expect(distance).toBeGreaterThan(0);
    for (const share of Object.values(shares)) expect(share >= 0 && share <= 1).toBe(true);
    await using blind = await createElasticApp(master, options);
    await expect(blind.signals()).rejects.toMatchObject({ code: "config.invalid" });
  });

  test("says what is missing: pictures, a model, a level", async () => {
    await using app = await createElasticApp(master, { ...options, pictures: undefined });
    expect(app.level).toBeUndefined();
    await expect(app.predict(images)).rejects.toMatchObject({ code: "config.invalid" });
    await expect(app.remodel(0)).rejects.toMatchObject({ code: "data.invalid" });
    await expect(app.step()).rejects.toMatchObject({ code: "data.invalid" });
    app.observe(images);
    await expect(app.remodel(2)).rejects.toMatchObject({ code: "config.invalid" });
    await expect(createElasticApp(master, { ...options, sparsities: [0, 0.8] })).rejects.toMatchObject({
      code: "config.invalid",
    });
  });

  test("has as many sizes as a ladder of 0.05 by itself, from the smallest to the largest", async () => {
    expect(levelsOf(master)).toEqual([]);
    await using app = await createElasticApp(master, { ...options, sparsities: undefined, pictures: undefined });
    expect(app.levels).toHaveLength(17);
    expect(app.levels.every(({ size }, i) => i === 0 || size >= app.levels[i - 1]!.size)).toBe(true);
  });
});

describe("a patch app", () => {
  const member = createMember(network, { name: "camera", preprocessing: TINY_PREPROCESSING, before: 1 });

  test("has a level for each number of patches, and trains those on lessons with labels", async () => {
    const lessons = () => Promise.resolve({ images, targets });
    await using app = await createPatchApp(member, { ...shared, name: "camera", pictures: images, lessons });
    expect(app.levels.map(({ size }) => size)).toEqual([0, ...member.points.map((_, i) => i + 1)]);
    const bare = await app.predict(images);
    await app.step();
    await app.swap();
    expect(await app.predict(images)).toEqual(bare);
    await app.remodel(1);
    for (let i = 0; i < 3; i++) await app.step();
    await app.swap();
    expect(await app.predict(images)).not.toEqual(bare);
  });

  test("hands on patches to the next model, and refuses lessons without labels", async () => {
    await using learner = new PatchLearner(member, { machine: training, threads: 1 });
    await learner.make(1, images);
    await expect(learner.step({ images })).rejects.toMatchObject({ code: "config.invalid" });
    for (let i = 0; i < 3; i++) await learner.step({ images, targets });
    const trained = await learner.exportModel();
    await learner.make(1, images);
    const next = await learner.exportModel();
    const patches = [...next.graph.initializers.keys()].filter((name) => !network.graph.initializers.has(name));
    expect(patches.length).toBeGreaterThan(0);
    for (const name of patches) expect(next.graph.initializers.get(name)).toEqual(trained.graph.initializers.get(name));
    expect(learner.stepBytes(8)).toBeGreaterThan(0);
  });
});
