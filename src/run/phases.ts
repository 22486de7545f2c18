import {
  type Constant,
  formatRows,
  isMeasured,
  type Model,
  type StateSlot,
  splitUpdate,
  type Step,
  tileElementwise,
  writeModel,
} from "../graph/index.js";
import { lowerFor } from "./blocks.js";
import type { Machine, Phase, StateBinding } from "./session.js";
import { nextTurn } from "./turn.js";

/** Elements of a piece of an update: five arrays of that length fit in a core's cache. */
const TILE = 2 ** 17;

/**
 * A step as a machine runs it: gradients, then their update in place. A refused step ends after the first, with no array changed
 * that the next one reads. `prefix` sets the arrays apart from those of other steps.
 */
export async function phasesOf(machine: Machine, step: Step, prefix: string): Promise<[Phase, Phase?]> {
  const phases = splitUpdate(step);
  const slots = step.state.map((slot) => ({ slot, name: prefix + slot.input }));
  const reads = [
    ...step.reads.map(({ input }): StateBinding => ({ name: prefix + input, input })),
    ...step.constants.map((constant): StateBinding => ({ name: prefix + arrayOf(constant), input: constant.input })),
  ];
  if (!phases) return [{ model: await lowered(machine, step.model), bindings: [...slots.map(joined), ...reads] }];
  const crossing = phases.crossing.map((value) => ({ value, name: `${prefix}${value}:crossing` }));
  const isTracked = ({ slot: { role } }: Slot): boolean => isMeasured(role);
  const readBy = ({ graph }: Model): ((input: string) => boolean) => {
    const names = new Set(graph.inputs.map(({ name }) => name));
    return (input) => names.has(input);
  };
  const [isRead, isApplied] = [readBy(phases.gradients), readBy(phases.update)];
  const first: StateBinding[] = [
    ...slots.filter(isTracked).map(joined),
    ...slots
      .filter((each) => !isTracked(each) && isRead(each.slot.input))
      .map(({ slot, name }) => ({ name, input: slot.input })),
    ...crossing.map(({ value, name }) => ({ name, output: value, inPlace: true })),
    ...reads.filter(({ input }) => isRead(input!)),
  ];
  const second: StateBinding[] = [
    ...slots
      .filter((each) => !isTracked(each))
      .map(({ slot, name }) => ({ ...joined({ slot, name }), inPlace: phases.inPlace.has(slot) })),
    ...crossing.map(({ value, name }) => ({ name, input: value })),
    ...reads.filter(({ input }) => isApplied(input!)),
  ];
  await nextTurn();
  const gradients = { model: await lowered(machine, phases.gradients), bindings: first };
  await nextTurn();
  return [
    gradients,
    machine.provider === "cpu"
      ? tiled(phases.update, second, step)
      : { model: writeModel(phases.update), bindings: second },
  ];
}

/** The array that holds a constant of exchangeable steps; one for all that read the same rows of a weight. */
export const arrayOf = ({ initializer, rows }: Constant): string =>
  `${initializer}:constant${rows ? ` ${rows.axis}:${formatRows(rows)}` : ""}`;

interface Slot {
  readonly slot: StateSlot;
  /** Of the array that holds it. */
  readonly name: string;
}

const joined = ({ slot: { input, output }, name }: Slot): StateBinding => ({ name, input, output });

/** The bytes of a model as a machine runs it best. */
export async function lowered(machine: Machine, model: Model): Promise<Uint8Array> {
  const fit = await lowerFor(machine, model);
  await nextTurn();
  return writeModel(fit);
}

/** The update in pieces, and each binding with it; all of it whole where an array has a second buffer or comes from the caller. */
function tiled(update: Model, bindings: readonly StateBinding[], { inputs }: Step): Phase {
  const fed = new Set(Array.from(inputs.extra.values(), ({ name }) => name));
  const isWhole =
    bindings.some(({ output, inPlace }) => output !== undefined && !inPlace) ||
    update.graph.inputs.some(({ name }) => fed.has(name));
  if (isWhole) return { model: writeModel(update), bindings };
  const { model, tiles } = tileElementwise(update, TILE);
  return {
    model: writeModel(model),
    bindings: bindings.flatMap((binding) => {
      const [inputs, outputs] = [binding.input, binding.output].map((name) => tiles.get(name ?? ""));
      if (!inputs && !outputs) return [binding];
      return (inputs ?? outputs)!.map(({ from, length }, i) => ({
        ...binding,
        ...(inputs && { input: inputs[i]!.name }),
        ...(outputs && { output: outputs[i]!.name }),
        tile: { from, length },
      }));
    }),
  };
}
