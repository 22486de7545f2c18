import { afterAll, describe, expect, test } from "vitest";
import { damaged, noiseBatch, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { tent } from "../adapt/index.js";
import { isLimberError } from "../base/index.js";
import {
  addGates,
  gatesOf,
  keptCount,
  levelsOf,
  type Model,
  openMaster,
  SurrogateCutter,
  writeModel,
} from "../graph/index.js";
import { createMachine, KeptTrainers, type Machine } from "../run/node.js";
import { adaptDomains, type ElasticDomain, type ElasticOptions } from "./adapt-domains.js";
import { buildMaster, type MasterOptions } from "./build-master.js";
import { generateSurrogate, RELEVANCES } from "./generate.js";
import { REPRESENTATIVES } from "./representative.js";
import { MasterVersions } from "./versions.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

/** The same machine, which counts the sessions that it is asked for. */
function countingSessions(inner: Machine): Machine & { created(): number } {
  let count = 0;
  return {
    provider: inner.provider,
    created: () => count,
    createSession: (...call) => (count++, inner.createSession(...call)),
    writeState: (arrays) => inner.writeState(arrays),
    readState: (names) => inner.readState(names),
    dropState: (prefix) => inner.dropState(prefix),
    memory: () => inner.memory(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const network = tinyNetwork();
const master = addGates(network, { initial: "he", seed: 3 });
const { images } = noiseBatch(8);

describe("generateSurrogate", () => {
  test("gives exactly as many filters as asked, and what the master computes for the image that decided", async () => {
    const cutter = new SurrogateCutter(master);
    for (const sparsity of [0, 0.3, 0.8]) {
      const { surrogate, difference, representatives, isCached } = await generateSurrogate(master, cutter, images, {
        ...{ machine, threads: 1, sparsity },
      });
      expect(difference).toBeLessThan(1e-4);
      expect([representatives.length, isCached]).toEqual([1, false]);
      for (const { group, size } of gatesOf(master).gates)
        expect(surrogate.choice.kept[group]!.length).toBe(keptCount(size, sparsity));
    }
    expect((await generateSurrogate(master, cutter, images, { machine, threads: 1, sparsity: 0.3 })).isCached).toBe(
      true,
    );
  });

  test.each(REPRESENTATIVES)(
    "takes the representative by %s, and is exact where it is one image",
    async (representative) => {
      const made = await generateSurrogate(master, new SurrogateCutter(master), images, {
        ...{ machine, threads: 1, sparsity: 0.5, representative },
      });
      if (made.representatives.length === 1) expect(made.difference).toBeLessThan(1e-4);
      else expect(made.difference).toBeUndefined();
    },
  );

  test("ranks channels in each way on a master whose gates were never trained, and the other way round", async () => {
    const untrained = addGates(network);
    const cutter = new SurrogateCutter(untrained);
    const keptBy = async (relevance: (typeof RELEVANCES)[number], inverse = false) => {
      const options = { machine, threads: 1, sparsity: 0.5, relevance, inverse };
      return (await generateSurrogate(untrained, cutter, images, options)).surrogate.choice.kept;
    };
    const found = await Promise.all(RELEVANCES.map((relevance) => keptBy(relevance)));
    expect(new Set(found.map((kept) => JSON.stringify(kept))).size).toBe(RELEVANCES.length);
    const [most, least] = [await keptBy("l1"), await keptBy("l1", true)];
    for (const [group, units] of Object.entries(most))
      expect([...units, ...least[group]!].sort((a, b) => a - b)).toEqual([...Array(2 * units.length).keys()]);
  });

  test("refuses a sparsity that leaves nothing, and images whose predictions are not numbers", async () => {
    const cutter = new SurrogateCutter(master);
    const codeOf = async (sparsity: number, data: Float32Array): Promise<string> => {
      try {
        await generateSurrogate(master, cutter, { ...images, data }, { machine, threads: 1, sparsity });
      } catch (error) {
        return isLimberError(error) ? error.code : String(error);
      }
      return "none";
    };
    const data = images.data as Float32Array;
    expect(await codeOf(1, data)).toBe("config.invalid");
    expect(await codeOf(NaN, data)).toBe("config.invalid");
    expect(
      await codeOf(
        0.5,
        data.map(() => NaN),
      ),
    ).toBe("data.invalid");
  });
});

const OPTIONS = {
  ...{ preprocessing: TINY_PREPROCESSING, batchSize: 16, threads: 1, seed: 1, sparsity: 0.5 },
  ...{ method: tent, methodOptions: { learningRate: 0.01 } },
} satisfies ElasticOptions;
const bright = squares("bright", 32, { level: (x) => 255 - x });
const dark = squares("dark", 32, { level: (x) => x / 3 });

async function run(versions: MasterVersions, options: Partial<ElasticOptions> = {}): Promise<ElasticDomain[]> {
  const domains: ElasticDomain[] = [];
  for await (const each of adaptDomains(versions, [bright, dark, bright], { ...OPTIONS, ...options }))
    domains.push(each);
  return domains;
}

describe("adaptDomains", () => {
  test("makes, adapts and feeds back a surrogate for each domain, and reports what it took", async () => {
    const versions = new MasterVersions(master);
    const domains = await run(versions);
    expect(domains.map(({ report }) => report.name)).toEqual(["bright", "dark", "bright"]);
    for (const { report, generated, model, trainedFilters, filters, macs, sizeBytes } of domains) {
      expect(report.steps).toBe(2);
      expect([report.source.total, report.online.total, report.after.total]).toEqual([32, 32, 32]);
      expect(generated.difference).toBeLessThan(1e-4);
      expect([trainedFilters, filters]).toEqual([1 + 1 + 2, 4 + 4 + 8]);
      expect(macs).toBeGreaterThan(0);
      expect(sizeBytes).toBe(writeModel(model).length);
      expect(sizeBytes).toBeLessThan(writeModel(network).length);
    }
    expect(domains.map(({ overlap }) => overlap !== undefined)).toEqual([false, true, true]);
    expect(versions.undoable).toBe(3);
    const fed = versions.current;
    expect(fed).not.toEqual(master);
    while (versions.undo());
    expect(versions.current).toEqual(master);
    expect(versions.undo()).toBe(false);
  });

  test("leaves the master alone at α = 0, and goes on from the last surrogate where it is asked to reuse its filters", async () => {
    const versions = new MasterVersions(master);
    const bytesOf = async (options: Partial<ElasticOptions> = {}): Promise<Uint8Array[]> =>
      (await run(versions, { alpha: 0, ...options })).map(({ model }) => writeModel(model));
    const plain = await bytesOf();
    expect(versions.current).toBe(master);
    expect(await bytesOf()).toEqual(plain);
    const [first, second] = await bytesOf({ reuse: true });
    expect([first, second]).toEqual([plain[0], expect.anything()]);
    expect(second).not.toEqual(plain[1]);
  });

  test("compiles nothing for the second domain, and gives the bytes that a start from there gives", async () => {
    const counted = countingSessions(machine);
    const options = { ...OPTIONS, machine: counted, withoutEvaluation: true };
    const versions = new MasterVersions(master);
    const course = adaptDomains(versions, [bright, dark], options);
    const created: number[] = [];
    const fed: Model[] = [];
    let last: ElasticDomain | undefined;
    for await (const each of course) {
      created.push(counted.created());
      fed.push(versions.current);
      last = each;
    }
    expect(created[0]).toBeGreaterThan(3);
    expect(created[1]).toBe(created[0]);
    const alone = adaptDomains(new MasterVersions(fed[0]!), [dark], { ...OPTIONS, withoutEvaluation: true });
    const { value: fresh } = await alone.next();
    await alone.return();
    expect(writeModel(last!.model)).toEqual(writeModel(fresh!.model));
    expect(last!.scope).toEqual(fresh!.scope);
  });

  test("compiles anew for a surrogate of other sizes", async () => {
    const counted = countingSessions(machine);
    await using trainers = new KeptTrainers(counted);
    const created: number[] = [];
    for (const sparsity of [0.5, 0.25, 0.25]) {
      for await (const { model } of adaptDomains(new MasterVersions(master), [dark], {
        ...{ ...OPTIONS, sparsity, trainers, withoutEvaluation: true },
      }))
        expect(model.graph.nodes.length).toBeGreaterThan(0);
      created.push(counted.created());
    }
    expect(created[1]).toBeGreaterThan(created[0]!);
    expect(created[2]).toBe(created[1]);
  });

  test("says so where a domain has no image to make a surrogate for", async () => {
    const broken = { ...bright, name: "broken", read: () => Promise.resolve({ unreadable: "torn" }) };
    const course = adaptDomains(new MasterVersions(master), [broken], OPTIONS);
    await expect(course.next()).rejects.toThrow('domain "broken": an image that can be read, got none');
  });
});

const TRAINING = {
  ...{ preprocessing: TINY_PREPROCESSING, batchSize: 8, threads: 1, seed: 2, levels: [0, 0.5], calibrationBatches: 2 },
  ...{
    validation: squares("validation", 16, { seed: 8 }),
    stages: [{ maximumSparsity: 0.5, steps: 4, learningRate: 0.05 }],
  },
  measureEvery: 2,
} satisfies MasterOptions;
const data = squares("clear", 70, { seed: 4 });
const weightsOf = ({ graph }: Model) =>
  [...graph.initializers].map(([name, { data: values }]) => [name, [...(values as Float32Array)]]);

describe("buildMaster", () => {
  test("trains gates and weights, stores statistics for each level, and keeps the best mean accuracy", async () => {
    const skipped: number[] = [];
    const {
      master: built,
      best,
      measured,
      refused,
    } = await buildMaster(network, damaged(data, { 3: "unreadable" }), {
      ...TRAINING,
      onSkipped: ({ index }) => skipped.push(index),
    });
    expect([refused, skipped]).toEqual([0, [3]]);
    expect(levelsOf(built)).toEqual([0, 0.5]);
    expect(measured.map(({ step, curve }) => [step, curve.map(({ sparsity }) => sparsity)])).toEqual([
      [2, [0, 0.5]],
      [4, [0, 0.5]],
    ]);
    expect(best.mean).toBe(Math.max(...measured.map(({ mean }) => mean)));
    const start = addGates(network, { initial: "he", seed: 2 });
    for (const { parameters } of gatesOf(built).gates)
      expect(built.graph.initializers.get(parameters[0]!)!.data).not.toEqual(
        start.graph.initializers.get(parameters[0]!)!.data,
      );
    const [open, sparse] = [0, 0.5].map((level) =>
      openMaster(built, level).graph.initializers.get("stages.1.0.norm2.running_var"),
    );
    expect(open ?? sparse).toEqual(expect.anything());
    expect(open!.data).not.toEqual(sparse!.data);
  });

  test("goes on from a checkpoint to the same bytes, of this or an earlier best", async () => {
    const checkpoints: Uint8Array[] = [];
    const whole = await buildMaster(network, data, {
      ...TRAINING,
      onCheckpoint: (bytes) => Promise.resolve(void checkpoints.push(bytes)),
    });
    const resumed = await buildMaster(network, data, { ...TRAINING, resume: checkpoints[0]! });
    expect(weightsOf(resumed.master)).toEqual(weightsOf(whole.master));
    expect(resumed.best).toEqual(whole.best);
  });

  test("trains gates alone while it warms up", async () => {
    const stages = [{ maximumSparsity: 0.5, steps: 1, learningRate: 1e-12 }];
    const { master: built } = await buildMaster(network, data, {
      ...TRAINING,
      stages,
      warmUpSteps: 2,
      measureEvery: 9,
    });
    const stem = "stem.0.weight";
    (built.graph.initializers.get(stem)!.data as Float32Array).forEach((value, i) =>
      expect(value).toBeCloseTo(Number(network.graph.initializers.get(stem)!.data[i]), 6),
    );
  });

  test("writes a checkpoint when it is stopped, and goes on from it to the same bytes", async () => {
    let written: Uint8Array | undefined;
    const stop = new AbortController();
    const promise = buildMaster(network, data, {
      ...{ ...TRAINING, signal: stop.signal, onProgress: ({ done }) => done === 3 && stop.abort() },
      onCheckpoint: (bytes) => Promise.resolve(void (written = bytes)),
    });
    await expect(promise).rejects.toThrow("stopped after step 3 of 4; resume from the checkpoint");
    const resumed = await buildMaster(network, data, { ...TRAINING, resume: written! });
    expect(weightsOf(resumed.master)).toEqual(weightsOf((await buildMaster(network, data, TRAINING)).master));
    const foreign = buildMaster(tinyNetwork(2), data, { ...TRAINING, resume: new Uint8Array(4) });
    await expect(foreign).rejects.toSatisfy((error) => isLimberError(error));
  });

  test("refuses too few images, and stages that cannot be", async () => {
    await expect(buildMaster(network, squares("few", 4), TRAINING)).rejects.toThrow(
      "8 samples (one batch) or more, got 4",
    );
    const stages = [{ maximumSparsity: 1, steps: 1, learningRate: 0.1 }];
    await expect(buildMaster(network, data, { ...TRAINING, stages })).rejects.toThrow("up to a sparsity below 1");
  });
});
