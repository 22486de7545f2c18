import { type Model, stepCost, stepMacs } from "../graph/index.js";
import type { Plan } from "./modes.js";

/** Multiply-accumulates of a step. `cached`: without the part of the forward pass that no trained parameter reaches. */
export function countStepMacs(model: Model, plan: Plan, cached = false): number {
  const cost = stepCost(model, plan);
  return stepMacs(cost) - (cached ? cost.frozen : 0);
}
