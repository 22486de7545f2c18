import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { describePlan } from "./describe-plan.js";
import { parsePlanRequest } from "./planner-request.js";
import { PLANNERS } from "./planners/index.js";

const readExample = (): { device: object; apps: { levels: { scores: number[][] }[] }[] } =>
  JSON.parse(readFileSync(new URL("../../docs/examples/plan.json", import.meta.url), "utf8")) as ReturnType<
    typeof readExample
  >;

describe("a plan request as JSON", () => {
  it("gives scores that are linear between the steps of a table, and stay behind the last", () => {
    const { apps } = parsePlanRequest(readExample());
    const [[, from], [, to]] = readExample().apps[0]!.levels[1]!.scores as [[number, number], [number, number]];
    const { estimate } = apps[0]!;
    expect(estimate(1, 0)).toBe(from);
    expect(estimate(1, 5)).toBeCloseTo((from + to) / 2, 12);
    expect(estimate(1, 1000)).toBe(estimate(1, 80));
  });

  it("is refused with the place that is wrong", () => {
    const example = readExample();
    example.apps[1]!.levels[2]!.scores[0]![1] = 2;
    expect(() => parsePlanRequest(example)).toThrow(/apps: 1: levels: 2: scores: 0: 1/);
    example.apps[1]!.levels[2]!.scores = [[10, 0.5]];
    expect(() => parsePlanRequest(example)).toThrow(expect.objectContaining({ code: "config.invalid" }));
    expect(() => parsePlanRequest(undefined)).toThrow(expect.objectContaining({ code: "config.invalid" }));
  });
});

describe("a described plan", () => {
  it("has a line for each app, and one for each grant that decided", () => {
    const request = parsePlanRequest(readExample());
    const plan = PLANNERS.filterGrained.plan(request);
    const lines = describePlan(plan, request).split("\n");
    expect(lines[0]).toMatch(/^planner filterGrained: 2\d\.\d\d s of 30\.00 s, .* 3 apps$/);
    for (const { app, steps } of plan.allocations)
      expect(lines.filter((line) => line.startsWith(app))[0]).toMatch(new RegExp(`sparsity .* ${steps} `, "u"));
    const inTurn = lines.find((line) => line.startsWith("in turn  "))!.slice("in turn  ".length);
    expect(inTurn.split("; ")).toEqual(plan.turns!.map(({ app, steps }) => `${app} +${steps}`));
    expect(lines.some((line) => /train 0 to \d+ steps +\+0\.\d+ +\d+\.\d\d s +\+0\.\d+$/.test(line))).toBe(true);
  });

  it("names apps that are refused", () => {
    const request = parsePlanRequest({ ...readExample(), device: { windowMs: 30_000, memoryBytes: 5e7 } });
    const plan = PLANNERS.filterGrained.plan(request);
    expect(plan.refused.length).toBeGreaterThan(0);
    expect(describePlan(plan, request)).toContain(" refused ");
  });
});
