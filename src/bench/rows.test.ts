import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../cli/harness.test-helper.js";
import { drawEngineReport } from "./chart.js";
import type { Mode } from "./modes.js";
import { openRowFile } from "./row-file.js";
import { type EngineRow, engineRow, flatten, summarize, worstFirst } from "./rows.js";

const timing = { stepMs: 10, prepareMs: 1, peakMb: 100, ratio: 1, rounds: 5, note: "" };
const rowOf = (network: string, mode: Mode, ratio: number | null): EngineRow => ({
  ...{ network, mode, batch: 4, imageSize: 8, threads: 2, tune: "off", parameters: 10, gmacs: 1, roofShare: 0.25 },
  ...{ limber: timing, peers: ratio === null ? {} : { eager: { ...timing, ratio, note: "mask, or not" } } },
  ...{ ratio, memoryRatio: ratio === null ? null : 0.5 },
});
const ROWS = [
  rowOf("a", "full", 2),
  rowOf("b", "full", 0.5),
  rowOf("a", "filters", 2),
  rowOf("a", "last-third", 8),
  rowOf("a", "last-third-cached", 100),
  rowOf("a", "inference", 3),
  rowOf("b", "inference-1", 0.01),
];

describe("summarize", () => {
  test("gives geometric means, without the modes that stand beside", () => {
    const { worst, ...means } = summarize(ROWS);
    const rounded = Object.fromEntries(Object.entries(means).map(([key, value]) => [key, Number(value!.toFixed(9))]));
    expect(rounded).toEqual({
      ...{ geomeanFull: 1, geomeanSelective: 4, geomeanInference: 3, roofShare: 0.25, memoryRatio: 0.5 },
    });
    expect(worst).toEqual({ network: "b", mode: "full", ratio: 0.5 });
  });

  test("gives null where nothing was compared", () => {
    expect(summarize([rowOf("a", "full", null)])).toEqual({
      ...{ geomeanFull: null, geomeanSelective: null, geomeanInference: null, worst: null },
      ...{ roofShare: 0.25, memoryRatio: null },
    });
  });
});

test("rows without a ratio stand behind the others", () => {
  const order = worstFirst([rowOf("none", "full", null), ...ROWS]).map(({ ratio }) => ratio);
  expect(order).toEqual([0.01, 0.5, 2, 2, 3, 8, 100, null]);
});

test("flat records of all rows have the same columns", () => {
  const records = [rowOf("a", "full", null), rowOf("b", "full", 2)].map((row) => flatten(row, ["eager"]));
  expect(Object.keys(records[0]!)).toEqual(Object.keys(records[1]!));
  expect(records[1]).toMatchObject({
    network: "b",
    "limber stepMs": 10,
    "eager ratio": 2,
    "eager note": "mask, or not",
  });
  expect(records[0]).toMatchObject({ ratio: "", "eager ratio": "" });
});

describe("openRowFile", () => {
  const folder = temporaryFolder();
  const path = join(folder, "rows.jsonl");

  test("reads what was kept, and nothing from a file that is not there", () => {
    writeFileSync(path, ROWS.map((row) => `${JSON.stringify(row)}\n`).join(""));
    expect(openRowFile(path, engineRow).rows).toEqual(ROWS);
    expect(openRowFile(join(folder, "none.jsonl"), engineRow).rows).toEqual([]);
  });

  test("goes on behind the last whole row where the writing of another was cut off", () => {
    writeFileSync(path, `${JSON.stringify(ROWS[0])}\n${JSON.stringify(ROWS[1]).slice(0, 30)}`);
    const { rows, append } = openRowFile(path, engineRow);
    append(ROWS[2]!);
    expect(rows).toEqual([ROWS[0]]);
    expect(openRowFile(path, engineRow).rows).toEqual([ROWS[0], ROWS[2]]);
  });

  test("leaves a file that is no row file as it is", () => {
    writeFileSync(path, "my notes");
    expect(() => openRowFile(path, engineRow)).toThrow(expect.objectContaining({ code: "data.invalid" }) as Error);
    expect(readFileSync(path, "utf8")).toBe("my notes");
  });

  test.each([["no JSON"], [`{"network":"a"}`], [JSON.stringify({ ...ROWS[0], mode: "half" })]])(
    "refuses a line that is none of ours: %s",
    (line) => {
      writeFileSync(path, `${JSON.stringify(ROWS[0])}\n${line}\n`);
      expect(() => openRowFile(path, engineRow)).toThrow(expect.objectContaining({ code: "data.invalid" }) as Error);
    },
  );
});

test("the page shows each row, its figures and what stopped the run", () => {
  const machine = { processor: "<one>", processors: 2, memoryGb: 8, node: "20", roofGmacPerS: 50 };
  const versions = { eager: "PyTorch 2", "channels-last": "PyTorch 2" };
  const page = drawEngineReport({ headline: summarize(ROWS), rows: ROWS, complete: false, versions, machine });
  expect(page).toContain("&#60;one&#62;");
  expect(page).toContain("PyTorch 2.");
  expect(page).toContain("The run was stopped");
  expect(page.match(/class="bar (?:faster|slower)"\s+x="[\d.]+"\s+y/g)).toHaveLength(ROWS.length + 12);
  expect(page).not.toContain("NaN");
});
