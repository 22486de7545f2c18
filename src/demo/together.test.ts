import { describe, expect, it } from "vitest";
import { formatTogether } from "./report/together.js";
import { runTogether, type Together } from "./together.js";

const row = {
  ...{ window: 1, app: "detection", surroundings: "night", score: 0.61, estimated: 0.66, share: 0.4 },
  ...{ level: "sparsity 0.4", steps: 12, latencyP99Ms: 31.4 },
};
const together: Together = {
  rows: [row, { ...row, window: 2, score: null, estimated: null }],
  shares: {
    ...{ title: "", endMs: 10_000, apps: ["detection", "segmentation"] },
    points: [
      { atMs: 0, shares: [0.7, 0.3] },
      { atMs: 5000, shares: [0.2, 0.6] },
    ],
    events: [{ atMs: 4000, name: "detection: night" }],
  },
  ...{ plans: 7, overBudget: 0, decisionMs: 1.23 },
};

describe("three apps under one plan", () => {
  it("are drawn with their shares over time, and a line for each app and window", () => {
    const { text } = formatTogether(together);
    expect(text.match(/<polygon class="share/g)).toHaveLength(2);
    expect(text).toContain("detection: night, at 4.0 s");
    expect(text).toMatch(/61\.0\s%[^–]*66\.0\s%/);
    expect(text).toContain("–");
    expect(text).toContain("7 plans, each made in 1.2 ms");
  });

  it.runIf(process.env.LIMBER_FULL)(
    "serve, are planned for and never exceed the budget, in real time (with LIMBER_FULL)",
    { timeout: 300_000 },
    async () => {
      const kinds = new Set<string>();
      const found = await runTogether({ seed: 0, windows: 1, threads: 1, onEvent: (kind) => kinds.add(kind) });
      expect(found.rows.map(({ app }) => app)).toEqual(["classification", "detection", "segmentation"]);
      for (const { score } of found.rows) expect(score).toBeGreaterThan(0);
      expect(found.overBudget).toBe(0);
      expect(kinds).toContain("together-plan");
    },
  );
});
