import { int64s, isLimberError, tensorOf, type Tensor } from "../../../base/index.js";
import type { Graph, Model, Node } from "../../ir/index.js";
import { staticDims } from "../knowledge.js";
import { inferShapes } from "../shapes.js";
import { sweepDead } from "../sweep.js";

/** Two batches that no layer has as a size of its own. */
const BATCHES = [2, 3] as const;

/**
 * Writes down the shapes that exporters compute from the batch: a Reshape gets its sizes as a constant with 0 or -1 for the axis
 * that follows the batch, a Resize its scales. Which axis that is shows when the shapes for two batches are compared.
 * A model without such arithmetic, or with more open axes, stays as it is.
 */
export function settleShapes(model: Model): Model {
  const { graph } = model;
  const isComputed = (name: string | undefined): boolean =>
    name !== undefined && name !== "" && !graph.initializers.has(name);
  const candidates = new Set(
    graph.nodes.filter(
      ({ op, inputs }) => (op === "Reshape" && isComputed(inputs[1])) || (op === "Resize" && isComputed(inputs[3])),
    ),
  );
  const pair = candidates.size === 0 ? undefined : inferTwice(model);
  if (!pair) return model;
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.map((node): Node => {
    const settled = candidates.has(node) ? settle(node, pair) : undefined;
    if (!settled) return node;
    const inputs = [...node.inputs];
    for (const [index, value] of settled) {
      const name = value === undefined ? "" : `${node.outputs[0]}/${node.op}:${index}`;
      if (value !== undefined) initializers.set(name, value);
      inputs[index] = name;
    }
    while (inputs.at(-1) === "") inputs.pop();
    return { ...node, inputs };
  });
  return sweepDead({ ...model, graph: { ...graph, nodes, initializers } });
}

function inferTwice(model: Model): readonly [Graph, Graph] | undefined {
  const open = model.graph.inputs.some(({ dims }) => typeof dims?.[0] === "string");
  if (!open) return undefined;
  try {
    const [first, second] = BATCHES.map((batch) => inferShapes(model, { batch }).graph);
    return [first!, second!];
  } catch (error) {
    // A model that only works for the batch it was traced with.
    if (isLimberError(error, "shape.mismatch")) return undefined;
    throw error;
  }
}

/** Inputs of the node that become constants, or absent. */
function settle(
  node: Node,
  [first, second]: readonly [Graph, Graph],
): readonly (readonly [number, Tensor | undefined])[] | undefined {
  const sizesOf = (graph: Graph, name: string): readonly number[] | undefined =>
    staticDims(graph.types.get(name) ?? graph.inputs.find((input) => input.name === name));
  const [before, after] = [node.inputs[0]!, node.outputs[0]!];
  const [in1, in2, out1, out2] = [
    sizesOf(first, before),
    sizesOf(second, before),
    sizesOf(first, after),
    sizesOf(second, after),
  ];
  if (!in1 || !in2 || !out1 || !out2) return undefined;
  if (node.op === "Resize") {
    const scales = out1.map((size, i) => size / in1[i]!);
    const exact = scales.every((scale, i) => Math.fround(scale) === scale && out2[i] === in2[i]! * scale);
    return exact
      ? [
          [2, tensorOf("float32", [scales.length], scales)],
          [3, undefined],
        ]
      : undefined;
  }
  const sizes = out1.map((size, i) => (size === out2[i] ? size : in1[i] === size && in2[i] === out2[i] ? 0 : -1));
  const open = sizes.filter((size) => size === -1).length;
  return open <= 1 && !out1.includes(0) ? [[1, int64s(sizes)]] : undefined;
}
