import { describe, expect, it } from "vitest";
import type { AppState, ScoreEstimate } from "../app.js";
import type { Draft } from "./service.js";
import { turnsOf } from "./turns.js";

const levels = [1, 2].map((size, index) => ({
  ...{ name: `level ${index}`, size, inferMs: 1 + index, stepMs: 10, makeMs: 20, memoryBytes: 1 },
}));
const concave: ScoreEstimate = (level, steps) => 0.4 + 0.1 * level + 0.3 * (steps / (steps + 4));

const draftOf = (name: string, changes: Partial<AppState> = {}, draft: Partial<Draft> = {}): Draft => ({
  app: {
    ...{ name, weight: 1, frames: 0, levels, level: 0, estimate: concave, quantum: 1, maxSteps: 100, history: [] },
    ...changes,
  },
  ...{ level: 0, steps: 0, shed: 0, isRefused: false, why: [], ...draft },
});
const told = (...drafts: Draft[]): string =>
  turnsOf(drafts)
    .map(({ app, steps }) => `${app}+${steps}`)
    .join(" ");

describe("turns of a plan", () => {
  it("do first steps before later ones, each turn by four times longer in all", () => {
    expect(told(draftOf("a", {}, { steps: 20 }))).toBe("a+1 a+3 a+12 a+4");
  });

  it("begin with what brings most per time, by weight", () => {
    const low: ScoreEstimate = (level, steps) => concave(level, steps) / 2;
    const [rich, poor] = [draftOf("rich", {}, { steps: 4 }), draftOf("poor", { estimate: low }, { steps: 4 })];
    expect(told(poor, rich)).toBe("rich+1 rich+3 poor+1 poor+3");
    expect(told({ ...poor, app: { ...poor.app, weight: 100 } }, rich)).toBe("poor+1 poor+3 rich+1 rich+3");
  });

  it("keep steps together that pay only together", () => {
    const late: ScoreEstimate = (_, steps) => (steps < 10 ? 0.4 : 0.7);
    expect(told(draftOf("late", { estimate: late }, { steps: 16 }))).toBe("late+16");
  });

  it("make a model before it trains, and count its time", () => {
    const made = draftOf("made", {}, { level: 1, steps: 1 });
    // 0.16 in 30 ms by 0.06 in 10
    expect(told(draftOf("trained", {}, { steps: 1 }), made)).toBe("trained+1 made+1");
    expect(told(draftOf("made only", {}, { level: 1 }))).toBe("made only+0");
  });

  it("begin with a smaller model that frees more time than it takes", () => {
    const smaller = draftOf("smaller", { level: 1, frames: 100 }, { level: 0 });
    expect(told(draftOf("trained", {}, { steps: 1 }), smaller)).toBe("smaller+0 trained+1");
  });

  it("count what is gained over what serves where no level stands for it", () => {
    const stale = (present: number): Draft => draftOf("stale", { level: undefined, present }, { steps: 1 });
    const other = draftOf("other", {}, { steps: 1 });
    expect(told(stale(0.1), other)).toBe("stale+1 other+1");
    expect(told(stale(0.4), other)).toBe("other+1 stale+1");
  });

  it("leave out what is not served, and where nothing is to be done", () => {
    expect(told(draftOf("refused", {}, { steps: 4, isRefused: true }), draftOf("still"))).toBe("");
  });
});
