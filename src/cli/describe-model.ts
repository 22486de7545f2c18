import { LimberError, sizeOf } from "../base/index.js";
import {
  costOf,
  type Dim,
  findGradientStops,
  type GradientStop,
  inferShapes,
  type Model,
  type Node,
  prepareModel,
  trainableOf,
} from "../graph/index.js";

export interface Border {
  readonly name: string;
  readonly dtype: string;
  readonly dims: readonly Dim[] | undefined;
}

/** What is in a model, and what in it can be trained. */
export interface ModelDescription {
  readonly inputs: readonly Border[];
  readonly outputs: readonly Border[];
  readonly opset: number;
  readonly nodes: number;
  /** Calls of each op, most frequent first; `domain.op` outside of the standard domain. */
  readonly ops: Readonly<Record<string, number>>;
  /** Trained numbers; running statistics are not. */
  readonly parameters: number;
  /** Multiply-accumulates of one run with a batch of 1, or of the batch that the model fixes. */
  readonly macs: number;
  /** Nodes that `macs` leaves out: an unknown op, or a shape that depends on an open axis. */
  readonly unknownShapes: number;
  /** How many of the parameters a gradient of the first output reaches. */
  readonly trainable: number;
  /** Where a gradient stops between a parameter and the outputs. */
  readonly ungradable: readonly GradientStop[];
}

export interface DescribeOptions {
  /** Axes of the image input with or without the batch, for models that leave them open. Shapes: [C, H, W] or [N, C, H, W]. */
  readonly inputDims?: readonly number[] | undefined;
}

/**
 * Reads off a model what it holds, what it costs and what of it can be trained. Ops are counted as the file has them; the rest
 * is said of the prepared model, in which exporters' constant arithmetic is folded.
 * Throws: `config.invalid`, `shape.mismatch` when `inputDims` do not fit; `op.unsupported` for an opset out of range.
 */
export function describeModel(model: Model, { inputDims }: DescribeOptions = {}): ModelDescription {
  const prepared = prepareModel(model);
  const cost = costOf(inferShapes(prepared, { batch: 1, ...(inputDims && bindingOf(prepared, inputDims)) }));
  const trainable = trainableOf(prepared).reduce((sum, { tensor }) => sum + sizeOf(tensor.dims), 0);
  const border = ({ name, dtype, dims }: Border): Border => ({ name, dtype, dims });
  return {
    inputs: model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name)).map(border),
    outputs: model.graph.outputs.map(border),
    opset: model.opsets.get("") ?? 0,
    nodes: model.graph.nodes.length,
    ops: countOps(model.graph.nodes),
    parameters: cost.parameters,
    macs: cost.macs,
    unknownShapes: cost.uncounted.length,
    trainable,
    ungradable: findGradientStops(prepared),
  };
}

/** Sizes of the image input as a binding; the batch may be left out. Throws: `config.invalid` for a model without inputs. */
export function bindingOf(
  { graph }: Model,
  given: readonly number[],
): { inputDims: Record<string, readonly number[]> } {
  const input = graph.inputs.find(({ name }) => !graph.initializers.has(name));
  if (!input) throw new LimberError("config.invalid", "input dims: a model with an input, got none");
  const rank = input.dims?.length ?? given.length;
  return { inputDims: { [input.name]: given.length === rank - 1 ? [1, ...given] : given } };
}

function countOps(nodes: readonly Node[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { op, domain } of nodes) {
    const name = domain === "" ? op : `${domain}.${op}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)));
}
