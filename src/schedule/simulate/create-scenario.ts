import { LimberError, Random } from "../../base/index.js";
import type { Trace } from "../trace.js";
import type { Scenario, ScenarioApp, ScenarioBurst, ScenarioDrift } from "./scenario.js";

/** What a family of scenarios is about; all others are as `steady`. */
interface Family {
  readonly summary: string;
  /** Share of the device that predictions of the smallest models take. Default 0.3. */
  readonly load?: number;
  /** Windows between two drifts of an app, on average. Default 3. */
  readonly stayWindows?: number;
  /** Drifts come to all apps at once. */
  readonly isTogether?: boolean;
  /** Drifts that an app meets in turn. Default: any. */
  readonly cycle?: number;
  readonly feedback?: number;
  readonly comesAndGoes?: boolean;
  readonly hasBursts?: boolean;
  readonly hasPriorities?: boolean;
}

export const SCENARIO_FAMILIES = {
  steady: { summary: "every app drifts now and then, each at its own times" },
  "arrivals-and-departures": { summary: "half of the apps come later, half leave earlier", comesAndGoes: true },
  bursts: { summary: "apps are asked three times as often for a while", hasBursts: true },
  "correlated-drifts": { summary: "all apps drift at the same time", isTogether: true },
  "recurring-drifts": { summary: "apps meet the same two drifts in turn", stayWindows: 2, cycle: 2, feedback: 0.5 },
  overload: { summary: "predictions of the smallest models alone nearly fill the device", load: 0.9 },
  priorities: { summary: "one app in four counts four times as much", hasPriorities: true },
} as const satisfies Readonly<Record<string, Family>>;

export type ScenarioFamily = keyof typeof SCENARIO_FAMILIES;
export const SCENARIO_FAMILY_NAMES = Object.keys(SCENARIO_FAMILIES) as readonly ScenarioFamily[];

export interface CreateScenarioOptions {
  readonly family: ScenarioFamily;
  readonly apps: number;
  readonly seed: number;
  /** Kinds of apps, with the drifts that they can meet. */
  readonly traces: readonly Trace[];
  /** Default 10. */
  readonly windows?: number | undefined;
  /** Default 5. */
  readonly microWindows?: number | undefined;
  /**
   * What the device could train in a window beside predictions of the smallest models: share of the steps that were recorded, mean over the
   * apps at their middle level. Default 0.4.
   */
  readonly depth?: number | undefined;
}

/** Times of changes are whole parts of a window, so that many apps take few plans. */
const PARTS = 10;

/** Draws a scenario of a family. Deterministic. Throws: `config.invalid` without traces that have drifts to replay. */
export function createScenario(options: CreateScenarioOptions): Scenario {
  const { family: name, apps: count, seed, traces, windows = 10, microWindows = 5, depth = 0.4 } = options;
  const family: Family = SCENARIO_FAMILIES[name];
  const { load = 0.3, stayWindows = 3, feedback = 0.2 } = family;
  const kinds = traces.filter((trace) => driftsOf(trace).length > 0);
  if (kinds.length === 0 || count < 1) {
    const message = `scenario "${name}": an app at least and traces with drifts, got ${count} and ${kinds.length}; record traces first`;
    throw new LimberError("config.invalid", message, { apps: count, traces: kinds.length });
  }
  const random = new Random(seed).fork(name);
  const drawn = Array.from({ length: count }, (_, i) => {
    const own = random.fork(i);
    return { own, trace: kinds[i % kinds.length]!, busyness: own.uniform(0.5, 1.5) };
  });
  const trainMs = drawn.reduce((sum, { trace }) => sum + stepsOf(trace) * middleOf(trace).stepMs, 0);
  // whole milliseconds in every part, so that times that are meant to be the same are the same
  const grid = PARTS * microWindows;
  const windowMs = grid * Math.max(1, Math.ceil((depth * trainMs) / (1 - load) / grid));
  const busyness = drawn.reduce((sum, each) => sum + each.busyness, 0);
  const lastPart = windows * PARTS;
  const partMs = windowMs / PARTS;

  const apps = drawn.map(({ own, trace, busyness: ownBusyness }, i): ScenarioApp => {
    const inferMs = trace.levels[0]!.inferMs;
    const fps = (1000 * load * ownBusyness) / busyness / inferMs;
    const comes = family.comesAndGoes === true && i % 2 === 1;
    const leaves = family.comesAndGoes === true && i % 4 >= 2;
    return {
      ...{ name: `app-${i + 1}`, kind: trace.kind, fps },
      weight: family.hasPriorities === true && i % 4 === 0 ? 4 : 1,
      arriveMs: comes ? own.int(1, lastPart / 2) * partMs : 0,
      departMs: leaves ? own.int(lastPart / 2 + 1, lastPart) * partMs : undefined,
    };
  });

  const drifts: ScenarioDrift[] = [];
  const moves = family.isTogether === true ? movesOf(random.fork("moves"), stayWindows, lastPart) : undefined;
  for (const [i, { own, trace }] of drawn.entries()) {
    const stream = own.fork("drifts");
    const names = stream.shuffled(driftsOf(trace)).slice(0, family.cycle ?? Infinity);
    const parts = [0, ...(moves ?? movesOf(stream, stayWindows, lastPart))];
    parts.forEach((part, turn) => {
      drifts.push({ atMs: part * partMs, apps: [apps[i]!.name], drift: names[turn % names.length]! });
    });
  }

  const bursts = family.hasBursts === true ? drawn.map(({ own }, i) => burstOf(own, apps[i]!, lastPart, partMs)) : [];
  const memoryBytes = drawn.reduce((sum, { trace }) => sum + trace.levels.at(-1)!.memoryBytes, 0);
  return {
    ...{ name, windows, feedback, apps, drifts, bursts },
    device: { windowMs, microWindows, memoryBytes },
  };
}

/** Three times as many predictions for two windows. */
function burstOf(random: Random, { name }: ScenarioApp, lastPart: number, partMs: number): ScenarioBurst {
  const from = random.int(0, Math.max(1, lastPart - 2 * PARTS));
  return { atMs: from * partMs, untilMs: (from + 2 * PARTS) * partMs, apps: [name], factor: 3 };
}

/** Parts at which something drifts, after the start. */
function movesOf(random: Random, stayWindows: number, lastPart: number): readonly number[] {
  const parts: number[] = [];
  const next = (): number => Math.round(PARTS * stayWindows * random.uniform(0.5, 1.5));
  for (let part = next(); part < lastPart; part += next()) parts.push(part);
  return parts;
}

const driftsOf = ({ drifts }: Trace): string[] =>
  drifts.filter(({ isValidation }) => !isValidation).map(({ name }) => name);

const stepsOf = ({ drifts }: Trace): number =>
  Math.max(...drifts.flatMap(({ curves }) => curves.map(({ steps }) => steps.at(-1)!)));

const middleOf = ({ levels }: Trace): Trace["levels"][number] => levels[Math.floor(levels.length / 2)]!;
