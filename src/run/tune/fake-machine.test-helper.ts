import { type Model, readModel } from "../../graph/index.js";
import type { Machine } from "../session.js";

export interface FakeMachine {
  readonly machine: Machine;
  /** Models in the order in which they were loaded. */
  readonly loaded: readonly Model[];
  /** Number of the model (from 0) of each run, in order. */
  readonly runs: readonly number[];
  /** Sessions that are not disposed. */
  readonly open: () => number;
}

/** A machine that computes nothing: `timeOf` says how long a run took (the how-manieth of its model, from 0), or undefined to refuse the model. */
export function fakeMachine(timeOf: (model: Model, run: number) => number | undefined): FakeMachine {
  const loaded: Model[] = [];
  const runs: number[] = [];
  let open = 0;
  const unused = (): never => {
    throw new Error("not used by tuning");
  };
  const machine: Machine = {
    provider: "wasm",
    async createSession(bytes) {
      const model = readModel(bytes);
      const index = loaded.push(model) - 1;
      if (timeOf(model, 0) === undefined) throw new Error("refused");
      open++;
      return {
        createMs: 0,
        run: async () => {
          const before = runs.filter((run) => run === index).length;
          runs.push(index);
          return { outputs: {}, accepted: true, updated: true, runMs: timeOf(model, before)! };
        },
        dispose: async () => {
          open--;
        },
      };
    },
    ...{ writeState: unused, readState: unused, dropState: unused, memory: unused },
    [Symbol.asyncDispose]: unused,
  };
  return { machine, loaded, runs, open: () => open };
}
