import { LimberError } from "../../base/index.js";
import type { Model, Node } from "../ir/index.js";
import { costOf, inferShapes } from "../passes/index.js";
import { outputAxisOf } from "./rows.js";

export interface StepCostOptions {
  /** Initializers that train. */
  readonly parameters: readonly string[];
  /** Output channels that train, where not all of a parameter's do. */
  readonly rows?: ReadonlyMap<string, readonly number[]> | undefined;
  /** Images in a step, where the model leaves the batch open. Default 1. */
  readonly batch?: number | undefined;
}

/** What one step takes, by what it is spent on. Units: multiply-accumulates. */
export interface StepCost {
  readonly forward: number;
  /** The part of `forward` that nothing trained reaches: a cache of frozen layers spares it. */
  readonly frozen: number;
  /** Gradients of what layers compute, from the loss down to the first layer that trains. */
  readonly activationGradient: number;
  /** Gradients of weights that train, by the share of their output channels. */
  readonly weightGradient: number;
  /** Nodes without a count, of an unknown op or shape. */
  readonly uncounted: number;
}

/**
 * Multiply-accumulates that a training step needs however it is written; both gradients of a product cost as much as the product.
 * Source: PatchLine's cost metric. Differs: linear layers count too. Throws: `config.invalid` for a parameter that the model lacks.
 */
export function stepCost(model: Model, { parameters, rows, batch = 1 }: StepCostOptions): StepCost {
  const { graph } = model;
  const cost = costOf(inferShapes(model, { batch }));
  const shareOf = (name: string): number => {
    const weight = graph.initializers.get(name);
    if (!weight)
      throw new LimberError(
        "config.invalid",
        `parameter: an initializer of the model, got "${name}"; correct the name`,
      );
    const chosen = rows?.get(name)?.length;
    return chosen === undefined ? 1 : chosen / weight.dims[outputAxisOf(graph, name)]!;
  };
  const shares = new Map(parameters.map((name) => [name, shareOf(name)]));
  const shown = new Set(graph.inputs.map(({ name }) => name)); // values that depend on the image
  const reached = new Set<string>(); // values that depend on what trains
  let [forward, frozen, activationGradient, weightGradient] = [0, 0, 0, 0];
  for (const { node, macs } of cost.nodes) {
    const share = shares.get(findViewed(node) ?? "");
    if (share !== undefined) {
      shares.set(node.outputs[0]!, share);
      continue;
    }
    const depends = node.inputs.some((name) => shares.has(name) || reached.has(name));
    const varies = node.inputs.some((name) => shown.has(name));
    for (const name of node.outputs) {
      if (depends) reached.add(name);
      if (varies) shown.add(name);
    }
    forward += macs;
    if (!depends) frozen += macs;
    for (const name of node.inputs.slice(0, 2)) {
      const gradient = macs * (shares.get(name) ?? (reached.has(name) ? 1 : 0));
      if (shown.has(name)) activationGradient += gradient;
      else weightGradient += gradient;
    }
  }
  return { forward, frozen, activationGradient, weightGradient, uncounted: cost.uncounted.length };
}

/** The value that a node only shows in another layout. */
const findViewed = ({ op, inputs }: Node): string | undefined =>
  op === "Transpose" || op === "Reshape" ? inputs[0] : undefined;

/** All multiply-accumulates of a step. */
export const stepMacs = ({ forward, activationGradient, weightGradient }: StepCost): number =>
  forward + activationGradient + weightGradient;
