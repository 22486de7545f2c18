import { formatShape, LimberError } from "../../base/index.js";
import type { Dim, Model, TensorType, ValueInfo } from "../ir/index.js";

/** Numbers for the open axes of a model's inputs. */
export interface Binding {
  /** Whole shapes by input. */
  readonly inputDims?: Readonly<Record<string, readonly number[]>>;
  /** The size of every first axis that is still open; axes that the model fixes stay as they are. */
  readonly batch?: number;
}

/**
 * Binds named axes to numbers, wherever in the graph the name stands.
 * Throws: `config.invalid` for an input that the model lacks, `shape.mismatch` where the model says otherwise.
 */
export function bindDims(model: Model, { inputDims = {}, batch }: Binding): Model {
  const { graph } = model;
  checkNames(graph.inputs, Object.keys(inputDims));
  const sizes = new Map<string, number>();
  const wanted = graph.inputs.map((input) => wantedDims(input, inputDims[input.name], batch));
  graph.inputs.forEach((input, i) => collect(input, wanted[i], sizes));
  const named = (dim: Dim): Dim => (typeof dim === "string" ? (sizes.get(dim) ?? dim) : dim);
  const bind = <T extends TensorType>(value: T, dims = value.dims): T => ({ ...value, dims: dims?.map(named) });
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map((input, i) => bind(input, wanted[i])),
      outputs: graph.outputs.map((output) => bind(output)),
      types: new Map([...graph.types].map(([name, type]) => [name, bind(type)])),
    },
  };
}

function checkNames(inputs: readonly ValueInfo[], names: readonly string[]): void {
  const unknown = names.find((name) => !inputs.some((input) => input.name === name));
  if (unknown === undefined) return;
  const known = inputs.map((input) => `"${input.name}"`).join(", ");
  throw new LimberError("config.invalid", `input dims: an input of the model (${known}), got "${unknown}"`, {
    name: unknown,
  });
}

function wantedDims(
  { dims }: ValueInfo,
  given: readonly number[] | undefined,
  batch: number | undefined,
): readonly Dim[] | undefined {
  if (given || batch === undefined || typeof dims?.[0] !== "string") return given ?? dims;
  return [batch, ...dims.slice(1)];
}

/** Notes which number each name gets. */
function collect({ name, dims }: ValueInfo, wanted: readonly Dim[] | undefined, sizes: Map<string, number>): void {
  if (!dims || !wanted) return;
  const refuse = (expected: readonly Dim[]): LimberError =>
    new LimberError("shape.mismatch", `input "${name}": ${formatShape(expected)}, got ${formatShape(wanted)}`, {
      value: name,
    });
  if (wanted.length !== dims.length) throw refuse(dims);
  wanted.forEach((size, i) => {
    const dim = dims[i]!;
    const expected = typeof dim === "string" ? (sizes.get(dim) ?? size) : dim;
    const possible = typeof size === "string" || (Number.isInteger(size) && size >= 0);
    if (size !== expected || !possible)
      throw refuse(dims.map((d) => (typeof d === "string" ? (sizes.get(d) ?? d) : d)));
    if (typeof dim === "string" && dim !== "" && typeof size === "number") sizes.set(dim, size);
  });
}
