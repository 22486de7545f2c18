import { Random, type Tensor, tensorOf, toNumbers } from "../../src/base/index.js";
import {
  addGates,
  buildNetwork,
  gatesOf,
  type Model,
  parametersOf,
  prepareModel,
  SPARSITY,
} from "../../src/graph/index.js";
import { runOrt } from "./ort.js";

/** A network whose normalization and biases are not those of the start, so that a channel of zeros does not stay one. */
export function shaken(name: string, width = 0.25, seed = 1): Model {
  const model = prepareModel(buildNetwork(name, { imageSize: 32, classes: 4, width, seed }));
  const random = new Random(seed).fork(name);
  const initializers = new Map(model.graph.initializers);
  const set = (key: string, draw: (value: number) => number): void => {
    const value = initializers.get(key)!;
    initializers.set(key, tensorOf("float32", value.dims, toNumbers(value).map(draw)));
  };
  for (const { name: key, role } of parametersOf(model))
    if (role !== "weight") set(key, (v) => v + random.normal(0, 0.3));
  for (const { op, inputs } of model.graph.nodes) {
    if (op !== "BatchNormalization") continue;
    set(inputs[3]!, () => random.normal(0, 0.3));
    set(inputs[4]!, () => random.uniform(0.5, 2));
  }
  return { ...model, graph: { ...model.graph, initializers } };
}

/** A gated network whose gates differ from image to image, but not by so much that many of them in a row overflow. */
export function shakenMaster(name: string, width = 0.25): Model {
  const master = addGates(shaken(name, width), { initial: "he" });
  const initializers = new Map(master.graph.initializers);
  for (const { parameters } of gatesOf(master).gates) {
    const { dims, data } = initializers.get(parameters[0]!)!;
    initializers.set(
      parameters[0]!,
      tensorOf(
        "float32",
        dims,
        Array.from(data as Float32Array, (v) => v / 4),
      ),
    );
  }
  return { ...master, graph: { ...master.graph, initializers } };
}

export const feedsOf = (model: Model, images: Tensor, sparsity?: readonly number[]): Map<string, Tensor> =>
  new Map([
    [model.graph.inputs[0]!.name, images],
    ...(sparsity ? [[SPARSITY, tensorOf("float32", [sparsity.length], sparsity)] as const] : []),
  ]);

/** Runs a model in ONNX Runtime and gives inner values too. */
export async function runWith(
  model: Model,
  feeds: Map<string, Tensor>,
  values: readonly string[],
): Promise<Map<string, Tensor>> {
  const shown = values.map((name) => ({ name, dtype: "float32" as const, dims: undefined }));
  return runOrt({ ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, ...shown] } }, feeds);
}

/** What the gates of a master say about one image, by group. */
export async function scoresOf(master: Model, image: Tensor, sparsity: number): Promise<Record<string, number[]>> {
  const { gates } = gatesOf(master);
  const values = await runWith(
    master,
    feedsOf(master, image, [sparsity]),
    gates.map(({ scores }) => scores),
  );
  return Object.fromEntries(gates.map(({ group, scores }) => [group, toNumbers(values.get(scores)!)]));
}

/** Images of noise whose channels differ in strength from image to image. */
export function pictures(count: number, seed = 3, size = 32): Tensor {
  const random = new Random(seed);
  const strengths = Array.from({ length: count * 3 }, () => random.uniform(0.2, 2));
  const data = Float32Array.from({ length: count * 3 * size * size }, (_, i) =>
    random.normal(0, strengths[Math.floor(i / (size * size))]),
  );
  return { dtype: "float32", dims: [count, 3, size, size], data };
}

/** One row of a batch. */
export function rowOf(values: Tensor, row: number): Tensor {
  const length = values.data.length / values.dims[0]!;
  const data = (values.data as Float32Array).slice(row * length, (row + 1) * length);
  return { dtype: values.dtype, dims: [1, ...values.dims.slice(1)], data };
}
