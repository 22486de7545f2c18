import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { relativeDistance } from "../../../test/helpers/parity.js";
import { createReferenceRun } from "../../../test/helpers/reference-host.js";
import { Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import {
  correlationAlignment,
  Emitter,
  evaluate,
  maximumMeanDiscrepancy,
  MMD_FORMS,
  prepareModel,
  readModel,
  type ReferenceTensor,
} from "../../graph/index.js";
import type { Batch, RunTensor, StepReport } from "../../run/node.js";
import { type Host, type MethodPlan, planMethod, type StreamBatch } from "../method.js";
import { cua } from "./cua.js";

const folder = new URL("../../../test/fixtures/methods/", import.meta.url);
const network = prepareModel(readModel(readFileSync(new URL("network.onnx", folder))));
const N = 6;

/** Batches of noise around a level for each class, without end. */
async function* sourceBatches(seed: number): AsyncGenerator<StreamBatch, never> {
  const random = new Random(seed);
  for (;;) {
    const labels = Array.from({ length: N }, () => random.int(0, 4));
    const data = Float32Array.from(
      { length: N * 192 },
      (_, at) => labels[Math.floor(at / 192)]! - 1.5 + random.normal(),
    );
    const targets = { dtype: "int64", dims: [N], data: BigInt64Array.from(labels, BigInt) } as const;
    yield { images: { dtype: "float32", dims: [N, 3, 8, 8], data }, targets, indices: [] };
  }
}

async function firstBatch(seed: number, change = (x: number): number => x): Promise<StreamBatch> {
  const { value } = await sourceBatches(seed).next();
  return { ...value, images: { ...value.images, data: Float32Array.from(value.images.data as Float32Array, change) } };
}

const plan = (options: Record<string, unknown>, importance?: ReadonlyMap<string, Tensor>): MethodPlan =>
  planMethod(cua, network, N, { optimizer: "sgd", momentum: 0, perDomain: N, ...options }, { importance });

/** Steps in float64 on one hazy batch; the weights after them, and the last report. */
async function take(steps: number, method: MethodPlan) {
  const { run, engine } = createReferenceRun(network, method, { source: sourceBatches(1), seed: 2 });
  const hazy = await firstBatch(7, (x) => 0.3 * x + 2);
  const reports: StepReport[] = [];
  while (reports.length < steps) reports.push(await run.step(hazy));
  return { reports, weights: engine.weights() };
}
const measure = ({ measures }: StepReport, name: string): number => Number(measures[name]!.data[0]);

describe("cua", () => {
  const head = ["8.weight", "8.bias"];

  test("trains all but the classifier", () => {
    const { parameters } = plan({}).train!;
    expect(parameters).toEqual(["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias"]);
    expect(parameters.filter((name) => head.includes(name))).toEqual([]);
  });

  test.each([
    ["edgevision", maximumMeanDiscrepancy(MMD_FORMS.edgevision)],
    ["coral", correlationAlignment()],
  ])("measures the distance of %s between features of the source model and its own", async (alignment, distance) => {
    const method = plan({ alignment, replay: "none" });
    const { run, engine } = createReferenceRun(
      network,
      { ...method, observe: ["/6/GlobalAveragePool_output_0"] },
      { source: sourceBatches(1) },
    );
    const stream = await firstBatch(7);
    const { images } = (await sourceBatches(1).next()).value;
    const pooled = async (batch: RunTensor, options: object): Promise<ReferenceTensor> => {
      const { observed } = await engine.predict(batch, options);
      return { dtype: "float32", dims: [N, 8], data: Object.values(observed)[0]!.data as Float64Array };
    };
    const features = {
      source: await pooled(images, { weights: "source", statistics: "stored" }),
      target: await pooled(stream.images, {}),
    };
    const emit = new Emitter(17, ["source", "target"]);
    const inputs = ["source", "target"].map((name) => ({ name, dtype: "float32", dims: [N, 8] }) as const);
    const [s, t] = inputs.map((input) => emit.value(input.name, input));
    const value = distance(emit, s!, t!);
    const graph = emit.appendTo(
      { name: "d", inputs, outputs: [], nodes: [], initializers: new Map(), types: new Map() },
      [value],
    );
    const expected = evaluate(graph, new Map(Object.entries(features)), { opset: 17 }).get(value.name)!.data[0]!;
    expect(measure(await run.step(stream), "distance")).toBeCloseTo(expected, 12);
  });

  test.each(["edgevision", "tllib", "domainbed", "coral"])("draws features nearer by %s", async (alignment) => {
    const { reports } = await take(
      6,
      plan({ alignment, replay: "none", learningRate: alignment === "coral" ? 0.2 : 0.05 }),
    );
    expect(measure(reports.at(-1)!, "distance")).toBeLessThan(measure(reports[0]!, "distance"));
  });

  test("replay lowers the loss on remembered images; without it there is none", async () => {
    const { reports } = await take(8, plan({ replay: "er", alignmentWeight: 0, learningRate: 0.05 }));
    expect(measure(reports.at(-1)!, "replay")).toBeLessThan(measure(reports[0]!, "replay"));
    const [alone] = (await take(1, plan({ replay: "none" }))).reports;
    expect(alone!.measures).not.toHaveProperty("replay");
  });

  test("A-GEM steps as the alignment does where the losses agree, and otherwise less against the remembered images", async () => {
    const [agem, none] = [await take(1, plan({ replay: "agem" })), await take(1, plan({ replay: "none" }))];
    expect(agem.reports[0]!.loss).toBeCloseTo(none.reports[0]!.loss!, 12);
    expect(agem.reports[0]!.gradientNorm).toBeLessThanOrEqual(none.reports[0]!.gradientNorm! + 1e-12);
  });

  test.each([
    ["edgevision", { kernels: "mean" }, (sum: number) => sum / 5],
    ["edgevision", { estimator: "unbiased" }, undefined],
    ["tllib", { estimator: "biased" }, undefined],
  ] as const)("measures %s otherwise with %j", async (alignment, options, expected) => {
    const distanceBy = async (settings: object): Promise<number> =>
      measure((await take(1, plan({ alignment, replay: "none", ...settings }))).reports[0]!, "distance");
    const [plain, other] = [await distanceBy({}), await distanceBy(options)];
    if (expected) expect(other).toBeCloseTo(expected(plain), 12);
    else expect(Math.abs(other - plain)).toBeGreaterThan(1e-6);
  });

  test("CORAL is the sum of its parts, of which 4D² is for the covariances alone", async () => {
    const distanceBy = async (settings: object): Promise<number> =>
      measure((await take(1, plan({ alignment: "coral", replay: "none", ...settings }))).reports[0]!, "distance");
    const [both, second] = [await distanceBy({}), await distanceBy({ coralMeans: false })];
    expect(await distanceBy({ coralMeans: false, coralScale: "4d2" })).toBeCloseTo(second / 4, 12);
    expect(await distanceBy({ coralScale: "4d2" })).toBeCloseTo(both - second + second / 4, 12);
  });

  test("EWC holds weights near the source, the more the more they matter", async () => {
    const ones = new Map(
      plan({}).train!.parameters.map((name) => {
        const { dims } = network.graph.initializers.get(name)!;
        return [name, tensorOf("float32", dims, Array(sizeOf(dims)).fill(1))] as const;
      }),
    );
    const moved = async (ewc: number, options = {}): Promise<number> => {
      const { weights } = await take(6, plan({ replay: "none", ewc, learningRate: 0.1, ...options }, ones));
      const start = network.graph.initializers.get("3.weight")!.data as Float32Array;
      return relativeDistance(weights.get("3.weight")!.data, start);
    };
    const [free, held, firmly] = [await moved(0), await moved(0.5), await moved(2)];
    expect(held).toBeLessThan(free);
    expect(firmly).toBeLessThan(held);
    expect(await moved(1, { ewcHalf: true })).toBe(held);
  });
});

describe("what is replayed", () => {
  test("is the source with its labels, and later domains with the classes that were predicted", async () => {
    const batches: Batch[] = [];
    const prediction: RunTensor = {
      dtype: "float32",
      dims: [N, 4],
      data: Float32Array.from({ length: N * 4 }, (_, at) => Number(at % 4 === 3)),
    };
    const step = (batch: Batch): Promise<StepReport> => {
      batches.push(batch);
      return Promise.resolve({ prediction } as StepReport);
    };
    const host = { step, random: new Random(1), source: sourceBatches(1) } as Partial<Host> as Host;
    const control = plan({}).control!(host);
    const stream = await firstBatch(9);
    const labelsOf = (batch: Batch): number[] =>
      [...(batch.inputs!["replay-labels"]!.data as BigInt64Array)].map(Number);
    await control.beginPass!(0, sourceStream);
    await control.step!(stream);
    const source = (await sourceBatches(1).next()).value;
    // The first batch of the source is aligned with, the next one remembered.
    expect(batches[0]!.inputs!["source"]).toEqual(source.images);
    expect(new Set(labelsOf(batches[0]!)).has(3) && labelsOf(batches[0]!).every((label) => label === 3)).toBe(false);
    await control.beginPass!(1, sourceStream);
    await control.step!(stream);
    const before = labelsOf(batches[1]!);
    expect(before.toSorted()).toEqual(labelsOf(batches[0]!).toSorted());
    await control.beginPass!(0, sourceStream);
    for (let i = 0; i < 20; i++) await control.step!(stream);
    const replayed = batches.slice(2).flatMap(({ inputs }) => {
      const data = inputs!["replay"]!.data as Float32Array;
      return Array.from({ length: N }, (_, i) => data.slice(i * 192, (i + 1) * 192).join());
    });
    const own = new Set(
      Array.from({ length: N }, (_, i) => (stream.images.data as Float32Array).slice(i * 192, (i + 1) * 192).join()),
    );
    const share = replayed.filter((image) => own.has(image)).length / replayed.length;
    expect(share).toBeGreaterThan(0.3);
    expect(share).toBeLessThan(0.7);
    control.reset!();
    await control.step!(stream);
    expect(labelsOf(batches.at(-1)!).every((label) => label === 3)).toBe(false);
  });
});

const sourceStream = (): AsyncIterable<StreamBatch> => sourceBatches(1);
