import { costOf, type Model, type Node, outputAxisOf } from "../graph/index.js";
import type { Plan } from "./modes.js";

/**
 * Multiply-accumulates that a step needs however it is written: the forward pass, the gradients of weights, by the share
 * of their output channels that trains, and the gradients of values that depend on trained ones. Shapes have to be static.
 *
 * `cached`: without the part of the forward pass that no trained parameter reaches.
 */
export function countStepMacs(model: Model, { parameters, rows }: Plan, cached = false): number {
  const { graph } = model;
  const shares = new Map(
    parameters.map((name) => {
      const channels = graph.initializers.get(name)!.dims[outputAxisOf(graph, name)]!;
      return [name, (rows.get(name)?.length ?? channels) / channels];
    }),
  );
  const reached = new Set<string>();
  let macs = 0;
  for (const { node, macs: forward } of costOf(model).nodes) {
    const share = shares.get(findViewed(node) ?? "");
    if (share !== undefined) {
      shares.set(node.outputs[0]!, share);
      continue;
    }
    const depends = node.inputs.some((name) => shares.has(name) || reached.has(name));
    if (depends) for (const name of node.outputs) reached.add(name);
    const gradients = node.inputs.slice(0, 2).map((name) => shares.get(name) ?? (reached.has(name) ? 1 : 0));
    macs += forward * gradients.reduce((sum, gradient) => sum + gradient, cached && !depends ? 0 : 1);
  }
  return macs;
}

/** The value that a node only shows in another layout. */
const findViewed = ({ op, inputs }: Node): string | undefined =>
  op === "Transpose" || op === "Reshape" ? inputs[0] : undefined;
