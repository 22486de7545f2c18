import { expect, test } from "vitest";
import type { ElasticReport } from "./elastic.js";
import { drawElasticReport } from "./page.js";
import { type ElasticRow, type Kind, summarizeContestants, summarizeElastic } from "./rows.js";

const row = (contestant: string, kind: Kind, position: number, accuracy: number): ElasticRow => ({
  ...{ run: "r", setting: {}, peakBytes: 5e6, contestant, kind, method: "tent", seed: 0, position },
  ...{ domain: ["fog", "<rain>"][position % 2]!, round: Math.floor(position / 2), images: 8, testImages: 8 },
  ...{ beforeAccuracy: null, onlineAccuracy: 0.5, afterAccuracy: accuracy, adaptSeconds: 1, steps: 4 },
  ...{ generationSeconds: 0.5, wallSeconds: 2, macs: 9, sizeBytes: 4, refused: 0, collapses: 0 },
  curve: kind === "source" ? [] : [{ step: 4, adaptSeconds: 1, accuracy }],
});
const CONTESTANTS = [
  ...([
    ["source", "source"],
    ["elastic", "elastic"],
    ["small, frozen", "frozen"],
    ["small, tent", "same-size"],
  ] as const),
  ...([
    ["small, bn", "same-size"],
    ["large, tent", "large"],
    ["large, tent, cut", "compressed"],
  ] as const),
  ["filters-random", "ablation"] as const,
];
const ROWS = CONTESTANTS.flatMap(([name, kind], i) => [0, 1, 2, 3].map((at) => row(name, kind, at, 0.3 + 0.05 * i)));
const reportOf = (rows: readonly ElasticRow[], complete = true): ElasticReport => ({
  ...{ ...summarizeElastic(rows), contestants: summarizeContestants(rows), rows, complete },
  settings: { elastic: { learningRate: 1e-3 } },
});

test("the page shows everyone, draws the lines that the headline speaks of, and escapes names", () => {
  const page = drawElasticReport(reportOf(ROWS), "limber bench elastic --world <x>");
  for (const [name] of CONTESTANTS) expect(page).toContain(name);
  const [, stays] = /<svg[^>]*id="stays"([^]*?)<\/svg>/.exec(page)!;
  expect([...stays!.matchAll(/class="series (\w+)"/g)].map(([, look]) => look)).toEqual([
    ...["source", "elastic", "small", "large", "compressed"],
  ]);
  expect(stays!.match(/<title>/g)).toHaveLength(5 * 4);
  const [, curves] = /<svg[^>]*id="curves"([^]*?)<\/svg>/.exec(page)!;
  expect(curves!.match(/class="series/g)).toHaveLength(4);
  expect(page.match(/<text class="contestant"/g)).toHaveLength(CONTESTANTS.length);
  expect(page).toContain("&#60;rain&#62;");
  expect(page).toContain("--world &#60;x&#62;");
  expect(page).not.toMatch(/NaN|undefined|<script|https?:/);
});

test.each([
  ["no row", []],
  ["rows of the first contestant", ROWS.slice(0, 2)],
  ["no curve", ROWS.map((each) => ({ ...each, curve: [] }))],
])("of a run that was stopped with %s, the page shows what there is", (_, rows) => {
  const page = drawElasticReport(reportOf(rows, false), "limber bench elastic");
  expect(page).toContain("The run was stopped");
  expect(page).not.toMatch(/NaN|undefined|Infinity|id="curves"/);
});
