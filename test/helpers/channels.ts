import { Random, sizeOf, type Tensor, tensorOf } from "../../src/base/index.js";
import { type ChannelGroup, type ChannelSelection, evaluate, type Model, attr } from "../../src/graph/index.js";
import { node } from "./graph.js";
import { runOrt } from "./ort.js";

const random = new Random(7);
export const draw = (...dims: number[]): Tensor =>
  tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.normal(0, 0.5)),
  );
/** The inputs of a BatchNormalization: γ, β, mean, variance. */
export const norm = (name: string, channels: number): Record<string, Tensor> => ({
  [`${name}.scale`]: draw(channels),
  [`${name}.bias`]: draw(channels),
  [`${name}.mean`]: draw(channels),
  [`${name}.var`]: tensorOf("float32", [channels], Array<number>(channels).fill(1.5)),
});
export const normNode = (name: string, from: string, to: string) =>
  node("BatchNormalization", [from, ...["scale", "bias", "mean", "var"].map((part) => `${name}.${part}`)], [to]);
export const same = { pads: attr.ints([1, 1, 1, 1]) };

const x = [1, 3, 6, 6];
export const image = { inputs: { x }, outputs: ["y"] };
export const tokens = { inputs: { x: [1, 5, 8] }, outputs: ["y"] };
export const stem = node("Conv", ["x", "stem"], ["s"], same);
export const head = node("Conv", ["z", "head"], ["y"]);

/** Half of the units of each group that no earlier one overlaps. */
export function half(groups: readonly ChannelGroup[], seed = 1): ChannelSelection {
  const taken = new Set<string>();
  const chosen = groups.flatMap(({ id, size, reason, overlaps }) => {
    if (reason !== undefined || overlaps.some((other) => taken.has(other))) return [];
    taken.add(id);
    const units = new Random(seed).fork(id).shuffled([...Array(size).keys()]);
    return [[id, units.slice(0, Math.ceil(size / 2)).sort((a, b) => a - b)] as const];
  });
  return Object.fromEntries(chosen);
}

const OPEN_SIDE = 64;

/** Numbers for every input; an open first axis becomes `batch`, other open axes 64. */
export function randomFeeds({ graph }: Model, batch: number, seed: number): Map<string, Tensor> {
  const random = new Random(seed);
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  return new Map(
    inputs.map(({ name, dims }) => {
      const sizes = dims!.map((dim, i) => (typeof dim === "number" ? dim : i === 0 ? batch : OPEN_SIDE));
      const data = Float32Array.from({ length: sizeOf(sizes) }, () => random.normal());
      return [name, { dtype: "float32", dims: sizes, data }];
    }),
  );
}

/** The largest difference of two runs, relative to the largest value (at least 1); shapes have to agree. */
export function compareOutputs(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): number {
  let largest = 0;
  for (const [name, { dims, data }] of a) {
    const other = b.get(name)!;
    if (String(dims) !== String(other.dims)) return Infinity;
    const [x, y] = [data, other.data].map((values) => Array.from(values as ArrayLike<number | bigint>, Number));
    const scale = x!.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    x!.forEach((value, i) => {
      const difference = Math.abs(value - y![i]!) / scale;
      largest = Number.isNaN(difference) ? Infinity : Math.max(largest, difference);
    });
  }
  return largest;
}

/** How far two models are apart on random inputs, run by ONNX Runtime or by the reference. */
export async function differenceOf(a: Model, b: Model, by: "ort" | "reference", batch = 2, seed = 1): Promise<number> {
  const feeds = randomFeeds(a, batch, seed);
  const run = async (model: Model): Promise<ReadonlyMap<string, Tensor>> =>
    by === "ort" ? runOrt(model, feeds) : evaluate(model, feeds);
  return compareOutputs(await run(a), await run(b));
}
