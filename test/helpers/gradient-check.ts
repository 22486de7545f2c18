import { isFloat, Random, sizeOf, type Tensor, tensorOf } from "../../src/base/index.js";
import { backward } from "../../src/graph/autodiff/index.js";
import { attributesOf, type Graph, type Model, type TensorType } from "../../src/graph/ir/index.js";
import {
  catalog,
  Emitter,
  inferNode,
  type OpType,
  type ReferenceTensor,
  toReference,
} from "../../src/graph/ops/index.js";
import { evaluate } from "../../src/graph/reference/index.js";
import type { OpCase } from "./op-cases/index.js";
import { modelOf } from "./op-cases/model.js";

/** One op under the loss Σ outputs ⊙ weights, and the graph of the loss and its gradients. */
export interface GradientProblem {
  readonly model: Model;
  /** What is not constant. */
  readonly feeds: ReadonlyMap<string, Tensor>;
  /** Names of the gradients by the names of the float inputs; undefined where no gradient flows. */
  readonly gradients: ReadonlyMap<string, string | undefined>;
  readonly weights: ReadonlyMap<string, ReferenceTensor>;
}

export interface ProblemOptions {
  /** Positions of outputs that the loss reads; all float ones when absent. */
  readonly outputs?: readonly number[];
  /** Whether float scalars after the first input (exponents, bounds) are constants of the graph rather than inputs. */
  readonly constantScalars?: boolean;
}

/** Inputs that set the form of an op although they are floats. */
const FORM_INPUTS = ["roi", "scales", "ratio"];

export function gradientProblem(
  op: OpType,
  opCase: OpCase,
  seed: number,
  options: ProblemOptions = {},
): GradientProblem {
  const { model, node, feeds } = modelOf(op, opCase);
  const opset = model.opsets.get("")!;
  const isConstant = (name: string, { dtype, dims }: Tensor): boolean => {
    const spec = catalog[op].inputs[node.inputs.indexOf(name)]?.replace("?", "") ?? "";
    const scalar = options.constantScalars === true && dims.length === 0 && name !== node.inputs[0];
    return !isFloat(dtype) || FORM_INPUTS.includes(spec) || scalar;
  };
  const constants = new Map([...feeds].filter(([name, tensor]) => isConstant(name, tensor)));
  const variables = new Map([...feeds].filter(([name]) => !constants.has(name)));

  const inferred = inferNode(op, {
    node,
    attributes: attributesOf(node),
    opset,
    inputs: node.inputs.map((name) => feeds.get(name)),
    constant: (i) => constants.get(node.inputs[i] ?? ""),
  });
  const types = new Map<string, TensorType>(node.outputs.map((name, i) => [name, inferred[i]!]));
  const graph: Graph = {
    ...model.graph,
    inputs: [...variables].map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
    initializers: constants,
    types,
  };

  const emit = new Emitter(opset, [...feeds.keys(), ...node.outputs, node.name]);
  const random = new Random(seed);
  const weights = new Map<string, ReferenceTensor>();
  const terms = node.outputs.flatMap((name, i) => {
    const type = types.get(name)!;
    if (!isFloat(type.dtype) || !(options.outputs?.includes(i) ?? true)) return [];
    const output = emit.value(name, type);
    const values = tensorOf(
      type.dtype,
      output.dims,
      Array.from({ length: sizeOf(output.dims) }, () => random.uniform(-1, 1)),
    );
    weights.set(name, toReference(values));
    return [emit.cast(emit.sumAll(emit.mul(output, emit.tensor(values))), "float32")];
  });
  const loss = terms.reduce((a, b) => emit.add(a, b));
  const found = backward(emit.appendTo(graph), { loss: loss.name, wrt: [...variables.keys()], emit });
  // A gradient may be a value that has another role too (dY itself): each gets a name of its own.
  const gradients = new Map(
    [...variables.keys()].map((name) => {
      const gradient = found.get(name);
      return [name, gradient && emit.node("Identity", [gradient])[0]] as const;
    }),
  );
  const outputs = [...gradients.values()].filter((value) => value !== undefined);
  return {
    model: { ...model, graph: emit.appendTo(graph, outputs) },
    feeds: variables,
    gradients: new Map([...gradients].map(([name, value]) => [name, value?.name])),
    weights,
  };
}

/** A failed comparison, in words. */
export type Mismatch = string;

const STEP = 1e-5;
const TOLERANCE = 1e-6;
const ELEMENTS = 8;
const DIRECTIONS = 2;

/**
 * Compares gradients with central differences of the loss, both in float64 on the reference interpreter: along some
 * single elements of each input and along some random directions through all of them. Relative to the largest element
 * of the gradient, or to 1 where that is smaller.
 */
export function findGradientMismatch(
  { model, feeds, gradients, weights }: GradientProblem,
  seed: number,
): Mismatch | undefined {
  const random = new Random(seed);
  const exact = new Map([...feeds].map(([name, tensor]) => [name, toReference(tensor)]));
  const computed = evaluate(model, exact);
  const loss = (name: string, moved: ReferenceTensor): number => {
    const values = evaluate(model, new Map([...exact, [name, moved]]), { outputs: [...weights.keys()] });
    return [...weights].reduce((sum, [output, weight]) => sum + dot(values.get(output)!.data, weight.data), 0);
  };
  for (const [name, point] of exact) {
    const output = gradients.get(name);
    const gradient = output === undefined ? new Float64Array(point.data.length) : computed.get(output)!.data;
    if (gradient.length !== point.data.length) return `${name}: ${point.data.length} elements, got ${gradient.length}`;
    const scale = gradient.reduce((max, x) => Math.max(max, Math.abs(x)), 1);
    for (const direction of directions(point.data.length, random)) {
      const at = (t: number): number => loss(name, { ...point, data: point.data.map((x, i) => x + t * direction[i]!) });
      const numeric = (at(STEP) - at(-STEP)) / (2 * STEP);
      const analytic = dot(gradient, direction);
      const error = Math.abs(numeric - analytic) / scale;
      if (!(error <= TOLERANCE)) return `${name}: ${numeric} by differences, got ${analytic} (relative error ${error})`;
    }
  }
  return undefined;
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Unit vectors along some elements (all when few), then vectors of length 1 through all. */
function directions(length: number, random: Random): Float64Array[] {
  if (length === 0) return [];
  const elements = random.shuffled(Array.from({ length }, (_, i) => i)).slice(0, ELEMENTS);
  const single = elements.map((element) => new Float64Array(length).fill(1, element, element + 1));
  const dense = Array.from({ length: DIRECTIONS }, () => {
    const vector = Float64Array.from({ length }, () => random.normal());
    const norm = Math.sqrt(dot(vector, vector));
    return vector.map((x) => x / norm);
  });
  return [...single, ...dense];
}
