import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Tensor } from "../src/base/index.js";
import {
  adam,
  adamW,
  type AdamOptions,
  buildNetwork,
  buildStep,
  crossEntropy,
  evaluate,
  inferShapes,
  type Model,
  type Optimizer,
  parametersOf,
  prepareModel,
  readModel,
  sgd,
  type SgdOptions,
  type StepOptions,
  toReference,
} from "../src/graph/index.js";
import { type RunTensor, Trainer } from "../src/run/node.js";
import { readNpzFile } from "./helpers/npz.js";
import { ReferenceTrainer, relativeDistance } from "./helpers/parity.js";

/** What `peers/train_fixtures.py` wrote: three training steps of PyTorch in float64. */
interface Run {
  readonly name: string;
  readonly optimizer: SgdOptions &
    AdamOptions & { readonly kind: "sgd" | "adam" | "adamw"; readonly learningRate: number };
  readonly labelSmoothing: number;
  readonly ignoredLabel: number | null;
  readonly clipNorm: number | null;
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
}
interface Fixture {
  readonly name: string;
  readonly width: number;
  readonly size: number;
  readonly runs: readonly Run[];
}

const folder = new URL("fixtures/training/", import.meta.url);
const read = (name: string): Uint8Array => readFileSync(new URL(name, folder));
const { fixtures } = JSON.parse(new TextDecoder().decode(read("fixtures.json"))) as { fixtures: Fixture[] };
const OPTIMIZERS = { sgd, adam, adamw: adamW };

function optionsOf(model: Model, run: Run): StepOptions {
  const optimizer: Optimizer = OPTIMIZERS[run.optimizer.kind](run.optimizer);
  const parameters = parametersOf(model).map(({ name }) => name);
  const ignored = run.ignoredLabel === null ? {} : { ignoredLabel: run.ignoredLabel };
  const loss = crossEntropy({ smoothing: run.labelSmoothing, ...ignored });
  const train = { loss, optimizer, parameters, ...(run.clipNorm !== null && { clipNorm: run.clipNorm }) };
  return { statistics: { sourceWeight: 0, variance: "unbiased" }, train };
}

function batchOf(arrays: ReadonlyMap<string, Tensor>, step: number): { images: RunTensor; targets: RunTensor } {
  const cut = (name: string): RunTensor => {
    const { dtype, dims, data } = arrays.get(name)! as RunTensor;
    const size = data.length / dims[0]!;
    return { dtype, dims: dims.slice(1), data: data.slice(step * size, (step + 1) * size) };
  };
  const { dims, data } = cut("labels");
  return {
    images: cut("images"),
    targets: { dtype: "int64", dims, data: BigInt64Array.from(data as Int32Array, BigInt) },
  };
}

/**
 * What PyTorch's weights and running statistics are after the last step, by the names of the prepared model:
 * preparing folds the exporter's transposes of weights, here as there.
 */
function weightsAfter(exported: Model, arrays: ReadonlyMap<string, Tensor>, run: Run): Map<string, Float32Array> {
  const { graph } = exported;
  const after = [...graph.initializers.keys()].map((name) => [name, arrays.get(`${run.name}.after.${name}`)!] as const);
  const prepared = prepareModel({ ...exported, graph: { ...graph, initializers: new Map(after) } });
  const owned = new Set([...graph.initializers.keys(), ...parametersOf(prepared).map(({ name }) => name)]);
  const kept = [...prepared.graph.initializers].filter(([name]) => owned.has(name));
  return new Map(kept.map(([name, value]) => [name, value.data as Float32Array]));
}

const cases = fixtures.flatMap(({ name, runs }) => runs.map((run) => [`${name}, ${run.name}`, name, run] as const));

describe.each(cases)("three training steps of %s against PyTorch", (_title, name, run) => {
  const exported = readModel(read(`${name}.onnx`));
  const model = prepareModel(exported);
  const arrays = readNpzFile(new URL(`${name}.npz`, folder).pathname);
  const expected = weightsAfter(exported, arrays, run);
  const options = optionsOf(model, run);
  const settings = { learningRate: run.optimizer.learningRate, statisticsMomentum: 0.1 };

  test("the float64 reference gives the same losses, gradient norms, weights and running statistics within 1e-6", () => {
    const first = batchOf(arrays, 0);
    const trainer = new ReferenceTrainer(buildStep(inferShapes(model, { batch: first.images.dims[0]! }), options));
    for (let step = 0; step < 3; step++) {
      const { images, targets } = batchOf(arrays, step);
      const report = trainer.run(toReference(images), { targets: toReference(targets), ...settings });
      expect(report.loss).toBeCloseTo(run.losses[step]!, 7);
      expect(report.gradientNorm! / run.gradientNorms[step]!).toBeCloseTo(1, 7);
    }
    const weights = trainer.weights();
    expect([...weights.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
    // The fixture holds float32: 1e-6 leaves room for its rounding and nothing else.
    for (const [key, data] of expected) expect(relativeDistance(weights.get(key)!.data, data), key).toBeLessThan(1e-6);
  });

  test("ONNX Runtime gives the same weights and running statistics within 1e-4", async () => {
    await using trainer = Trainer.create(model, { ...options, threads: 2 });
    for (let step = 0; step < 3; step++) {
      const report = await trainer.step(batchOf(arrays, step), settings);
      expect(report.accepted).toBe(true);
      expect(report.loss).toBeCloseTo(run.losses[step]!, 4);
    }
    const { graph } = await trainer.exportModel();
    for (const [key, data] of expected) {
      expect(relativeDistance(graph.initializers.get(key)!.data as Float32Array, data), key).toBeLessThan(1e-4);
    }
  });
});

/** The built network with the weights of the exported one; PyTorch keeps the matrix of a linear layer transposed. */
function withWeightsOf(exported: Model, built: Model): Model {
  const transposed = new Set(built.graph.nodes.flatMap(({ op, inputs }) => (op === "MatMul" ? [inputs[1]!] : [])));
  const initializers = [...built.graph.initializers].map(([name, { dims }]) => {
    const value = exported.graph.initializers.get(name)! as Tensor & { data: Float32Array };
    if (!transposed.has(name)) return [name, value] as const;
    const [rows, columns] = dims as [number, number];
    const data = value.data.map((_, i) => value.data[(i % columns) * rows + Math.floor(i / columns)]!);
    return [name, { ...value, dims, data }] as const;
  });
  return { ...built, graph: { ...built.graph, initializers: new Map(initializers) } };
}

test.each(fixtures.map(({ name, size, width }) => [name, size, width] as const))(
  "the %s that Limber builds has the names, shapes and results of PyTorch's",
  (name, imageSize, width) => {
    const exported = readModel(read(`${name}.onnx`));
    const built = buildNetwork(name.replace("_bn", ""), { imageSize, classes: 10, width });
    expect([...built.graph.initializers.keys()].toSorted()).toEqual([...exported.graph.initializers.keys()].toSorted());
    const arrays = readNpzFile(new URL(`${name}.npz`, folder).pathname);
    const feeds = new Map([["input", toReference(batchOf(arrays, 0).images)]]);
    const expected = evaluate(exported, feeds).get("logits")!;
    const found = evaluate(withWeightsOf(exported, built), feeds).get("logits")!;
    expect(found.dims).toEqual(expected.dims);
    // The constants of an activation are float32 in the one file and doubles in the other.
    expect(relativeDistance(found.data, expected.data)).toBeLessThan(1e-6);
  },
);
