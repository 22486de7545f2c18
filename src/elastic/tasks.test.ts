import { describe, expect, test } from "vitest";
import { shaken, shakenMaster } from "../../test/helpers/gated.js";
import { squares, TINY_PREPROCESSING } from "../../test/helpers/tiny.js";
import { bn, meanTeacher, type Method, tent } from "../adapt/index.js";
import { addGates, levelsOf, type Model, prepareModel } from "../graph/index.js";
import { NetworkBuilder } from "../graph/networks/builder.js";
import type { Val } from "../graph/ops/index.js";
import { createWorld, taskOf } from "../vision/index.js";
import { adaptDomains, type ElasticDomain } from "./adapt-domains.js";
import { buildMaster } from "./build-master.js";
import { MasterVersions } from "./versions.js";

const domains = [squares("bright", 8, { level: (x) => 255 - x }), squares("dark", 8, { level: (x) => x / 3 })];

async function run(master: Model, method: Method, preprocessing = TINY_PREPROCESSING): Promise<ElasticDomain[]> {
  const found: ElasticDomain[] = [];
  for await (const each of adaptDomains(new MasterVersions(master), domains, {
    ...{ method, preprocessing, batchSize: 4, threads: 1, sparsity: 0.5, seed: 1 },
  }))
    found.push(each);
  return found;
}

const segmenter = shakenMaster("unet", 0.125);
const larger = { ...TINY_PREPROCESSING, width: 32, height: 32 };
/** Tent asks for classifiers; its loss, the mean entropy of all places, does not. */
const tentOfPlaces: Method = { ...tent, name: "tent of places", outputs: "any" };

describe("a segmenter", () => {
  test.each([bn, tentOfPlaces, meanTeacher])("has surrogates that adapt with $name", async (method) => {
    const found = await run(segmenter, method, larger);
    for (const { report, generated, macs, trainedFilters } of found) {
      expect(generated.difference).toBeLessThan(1e-4);
      expect([report.steps, report.refused, report.online.total]).toEqual([2, 0, 8]);
      expect(trainedFilters > 0).toBe(method !== bn);
      expect(macs).toBeGreaterThan(0);
    }
    expect(found[1]!.model.graph.outputs[0]!.dims).toHaveLength(4);
  });

  test("is told which method fits where one is for classifiers", async () => {
    await expect(run(segmenter, tent, larger)).rejects.toMatchObject({ code: "method.unsuitable" });
  });
});

describe("buildMaster", () => {
  const network = shaken("unet", 0.125);
  const head = taskOf(network).open(network, larger);
  const day = createWorld().dataset("train", 8, ["day"]).domains[0]!;
  const options = {
    ...{ preprocessing: larger, head, validation: day, batchSize: 4, threads: 1, seed: 1, levels: [0, 0.5] },
    ...{ calibrationBatches: 1, stages: [{ maximumSparsity: 0.5, steps: 2, learningRate: 1e-3 }], measureEvery: 2 },
  };

  test("trains a segmenter on masks, and measures it as its task does", async () => {
    const { master, best, refused } = await buildMaster(network, day, options);
    expect([refused, best.step, best.curve.map(({ sparsity }) => sparsity)]).toEqual([0, 2, [0, 0.5]]);
    for (const { accuracy } of best.curve) expect(accuracy > 0 && accuracy < 1).toBe(true);
    expect(levelsOf(master)).toEqual([0, 0.5]);
  });

  test("refuses to move pictures whose masks would stay", async () => {
    const moved = buildMaster(network, day, { ...options, augment: { flip: true } });
    await expect(moved).rejects.toMatchObject({ code: "config.invalid" });
  });
});

/** Boxes and scores for each place, from one trunk. */
function buildDetector(): Model {
  const build = new NetworkBuilder("detector", { imageSize: 16, classes: 4, seed: 3 });
  const layer = (name: string, x: Val, channels: number): Val =>
    build.relu(build.norm(`${name}.norm`, build.conv(name, x, channels, 3, { stride: 2 })));
  const trunk = layer("body", layer("stem", build.input, 12), 16);
  const scores = build.conv("scores", trunk, 4, 1, { bias: true });
  const model = build.finish(build.conv("boxes", trunk, 8, 1, { bias: true }));
  const [boxes] = model.graph.outputs;
  const outputs = [boxes!, { ...boxes!, name: scores.name, dims: boxes!.dims!.with(1, 4) }];
  return { ...model, graph: { ...model.graph, outputs } };
}
const detector = addGates(prepareModel(buildDetector()), { initial: "he", seed: 2 });

describe("a detector of several outputs", () => {
  test("has surrogates that are its master in every output, and take new statistics", async () => {
    const found = await run(detector, bn);
    for (const { report, generated, model } of found) {
      expect(generated.difference).toBeLessThan(1e-4);
      expect(report.steps).toBe(2);
      expect(model.graph.outputs.map(({ dims }) => dims?.[1])).toEqual([8, 4]);
    }
  });

  test("is refused by methods whose loss is for classes", async () => {
    await expect(run(detector, tent)).rejects.toMatchObject({ code: "method.unsuitable" });
  });
});
