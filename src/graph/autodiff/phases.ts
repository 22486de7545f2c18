import { consumersOf, type Model, type Node, producersOf } from "../ir/index.js";
import { extractModel } from "../passes/index.js";
import type { StateSlot, Step } from "./step.js";

/** A training step as two models: one that computes gradients and measures them, one that applies them. */
export interface StepPhases {
  /** Gives prediction, loss, norm, statistics and what `update` needs of it. */
  readonly gradients: Model;
  /** Gives the new parameters and optimizer state. */
  readonly update: Model;
  /** Values that go from the first to the second. */
  readonly crossing: readonly string[];
  /** Slots of the update that may be written while it reads them. */
  readonly inPlace: ReadonlySet<StateSlot>;
}

/**
 * Cuts a step where its gradients are complete: whether to go on is then known, and what follows can overwrite its own inputs, so that
 * weights and optimizer state need no second buffer. Undefined for a step that changes no parameter.
 */
export function splitUpdate(step: Step): StepPhases | undefined {
  const updated = step.state.filter(({ role }) => !isMeasured(role));
  if (step.gradients.length === 0) return undefined;
  const producers = producersOf(step.model.graph);
  // A runtime that writes a reshaped value to an output of its own copies it, so the value itself crosses.
  const rootOf = (name: string): string => {
    const node = producers.get(name);
    return node?.op === "Reshape" && producers.has(node.inputs[0]!) ? rootOf(node.inputs[0]!) : name;
  };
  const norm = step.outputs.gradientNorm!;
  const cut = [...new Set([...step.gradients.map(rootOf), norm])];
  const update = extractModel(
    step.model,
    cut,
    updated.map(({ output }) => output),
  );
  const read = new Set(update.graph.inputs.map(({ name }) => name));
  const crossing = cut.filter((name) => read.has(name));
  const kept = new Set(updated.map(({ output }) => output));
  const measured = step.model.graph.outputs.map(({ name }) => name).filter((name) => !kept.has(name));
  const gradients = extractModel(step.model, [], [...new Set([...measured, ...crossing])]);
  const inPlace = new Set(updated.filter(safeInPlace(update)));
  return { gradients, update, crossing, inPlace };
}

/** Whether a slot is known when the gradients are: the update has no part in it. */
export const isMeasured = (role: StateSlot["role"]): boolean => role === "statistic" || role === "carried";

/** Ops that read each element before they write it, when an input of theirs and the output are the same memory. */
const ELEMENTWISE = new Set(["Add", "Sub", "Mul", "Div", "Where"]);

/**
 * Whether every node that reads the old value of a slot has run when the new one is written, in any order that the edges allow.
 * Cost: for each slot, what its own update computes.
 */
function safeInPlace({ graph }: Model): (slot: StateSlot) => boolean {
  const [producers, consumers] = [producersOf(graph), consumersOf(graph)];
  return ({ input, output }) => {
    const writer = producers.get(output);
    if (!writer || !ELEMENTWISE.has(writer.op)) return false;
    const before = new Set<Node>([writer]);
    for (const node of before) {
      for (const name of node.inputs) {
        const producer = producers.get(name);
        if (producer) before.add(producer);
      }
    }
    return (consumers.get(input) ?? []).every((node) => before.has(node));
  };
}
