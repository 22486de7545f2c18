import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModel } from "../graph/index.js";
import { readModelFile, writeModelFile } from "../run/node.js";
import type { DemoResult } from "./result.js";
import { type DemoOptions, runDemo } from "./run-demo.js";

const runs = mkdtempSync(join(tmpdir(), "limber-demo-"));
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const VISITS = ["day", "fog", "day"];
const run = (options: Partial<DemoOptions> = {}): Promise<DemoResult> =>
  runDemo({
    ...{
      runs,
      seed: 5,
      visits: VISITS,
      images: 32,
      labelled: 8,
      command: "limber demo --seed 5",
      threads: 1,
      drifts: [],
      windows: 0,
    },
    publish: ({ path, model }) => writeModelFile(path, model),
    ...options,
  });

const read = (folder: string, name: string): string => readFileSync(join(folder, name), "utf8");
const csvOf = (folder: string): Record<string, string>[] => parse(read(folder, "results.csv"), { columns: true });
const eventsOf = (folder: string): Record<string, unknown>[] =>
  read(folder, "events.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const withoutTimes = ({ domains }: DemoResult): unknown[] =>
  domains.map((row) => ({ ...row, tentSeconds: 0, patchSeconds: 0, elasticMadeSeconds: 0, elasticSeconds: 0 }));

describe("the demo", () => {
  let first: DemoResult;
  beforeAll(async () => {
    first = await run();
  });

  it("leaves a run folder with everything, and nothing half-written", () => {
    expect(first.folder).toBe(join(runs, "demo-1"));
    expect(readdirSync(first.folder, { recursive: true }).sort()).toEqual(
      ["args.json", "events.jsonl", "results.csv", "results.html", "weights"].concat(
        ["elastic.onnx", "patched.onnx", "tent.onnx"].map((name) => join("weights", name)),
      ),
    );
    expect(JSON.parse(read(first.folder, "args.json"))).toMatchObject({
      seed: 5,
      visits: VISITS,
      images: 32,
      labelled: 8,
    });
  });

  it("writes the rows that it returns, one for each visit", () => {
    const rows = csvOf(first.folder);
    expect(rows.map(({ name, returning }) => [name, returning])).toEqual([
      ["day", "false"],
      ["fog", "false"],
      ["day", "true"],
    ]);
    rows.forEach((row, i) => {
      for (const [key, value] of Object.entries(first.domains[i]!)) expect(row[key]).toBe(String(value));
    });
    const mean = first.domains.reduce((sum, { patched }) => sum + patched, 0) / VISITS.length;
    expect(first.headline.patched).toBeCloseTo(mean, 12);
  });

  it("shows fresh pictures when a domain returns, and spends no labels on it", () => {
    const [day, fog, again] = first.domains;
    expect([day!.labels, fog!.labels, again!.labels]).toEqual([8, 8, 0]);
    expect(again!.patchSeconds).toBe(0);
    const images = [...read(first.folder, "results.html").matchAll(/<img src="([^"]+)"/g)].map(([, source]) => source);
    expect(images).toHaveLength(3 * 8);
    expect(new Set(images).size).toBe(images.length);
  });

  it("knows daylight far better than fog", () => {
    expect(first.domains[0]!.source).toBeGreaterThan(0.85);
    expect(first.domains[1]!.source).toBeLessThan(0.8);
  });

  it("journals every decision in order, with the counts behind each figure", () => {
    const events = eventsOf(first.folder);
    expect(events[0]).toMatchObject({ event: "start", seed: 5, command: "limber demo --seed 5" });
    expect(events.at(-1)).toMatchObject({ event: "finished", visits: 3 });
    const times = events.map(({ seconds }) => seconds as number);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const named = (event: string) => events.filter((line) => line.event === event);
    expect(named("visit").map(({ domain }) => domain)).toEqual(VISITS);
    expect(named("patch-learned").map(({ visit }) => visit)).toEqual([1, 2]);
    expect(named("patch-restored").map(({ visit }) => visit)).toEqual([3]);
    expect(named("exported")).toHaveLength(3);
    expect(named("step").every(({ loss, method }) => method === "bn" || Number.isFinite(loss))).toBe(true);
    for (const what of ["source", "bn", "tentOnline", "tentAfter", "patched", "elasticBefore", "elastic"] as const) {
      const counts = named("measured").filter((line) => line.what === what) as { correct: number; total: number }[];
      expect(counts.map(({ correct, total }) => correct / total)).toEqual(first.domains.map((row) => row[what]));
    }
  });

  it("cuts a small model for each visit, that costs a fraction of the source model", async () => {
    const { headline, domains } = first;
    for (const { elasticMacs, elasticBytes, elasticMadeSeconds, elasticSeconds } of domains) {
      expect(elasticMacs).toBeLessThan(headline.sourceMacs);
      expect(elasticBytes).toBeLessThan(headline.sourceBytes);
      expect(Math.min(elasticMadeSeconds, elasticSeconds)).toBeGreaterThan(0);
    }
    expect(domains[0]!.elastic).toBeGreaterThan(0.5);
    const small = await readModelFile(join(first.folder, "weights", "elastic.onnx"));
    expect(small.graph.inputs).toHaveLength(1);
    expect(writeModel(small).length).toBe(domains.at(-1)!.elasticBytes);
  });

  it("exports models that differ from the source only in normalization layers", async () => {
    const source = await readModelFile(join(import.meta.dirname, "../../models/world-resnet8.onnx"));
    for (const name of ["tent.onnx", "patched.onnx"]) {
      const adapted = await readModelFile(join(first.folder, "weights", name));
      const changed = [...source.graph.initializers].filter(
        ([key, value]) => String(adapted.graph.initializers.get(key)!.data) !== String(value.data),
      );
      expect(changed.length).toBeGreaterThan(0);
      const normal = new Set(
        source.graph.nodes.filter(({ op }) => op === "BatchNormalization").flatMap(({ inputs }) => inputs.slice(1)),
      );
      expect(changed.every(([key]) => normal.has(key))).toBe(true);
    }
  });

  it("reports on a page that asks for nothing from outside", () => {
    const page = read(first.folder, "results.html");
    const text = page.replaceAll(/data:image[^"]*/g, "data:");
    expect(text.match(/https?:|\/\/[a-z]|url\(|@import|<script/i)).toBeNull();
    const addresses = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!);
    const files = addresses.filter((address) => !address.startsWith("data:"));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(existsSync(join(first.folder, file)), file).toBe(true);
    expect(page.length).toBeLessThan(1.5e6);
  });

  it("takes a new folder each time, leaves older ones alone, and repeats its figures for a seed", async () => {
    const before = read(first.folder, "results.html");
    const second = await run();
    expect(second.folder).toBe(join(runs, "demo-2"));
    expect(read(first.folder, "results.html")).toBe(before);
    expect(withoutTimes(second)).toEqual(withoutTimes(first));
    const other = await run({ seed: 6, visits: ["day"] });
    expect(other.domains[0]).not.toMatchObject({
      source: first.domains[0]!.source,
      patched: first.domains[0]!.patched,
    });
  });

  it("keeps what is done when stopped", async () => {
    const controller = new AbortController();
    const stopped = run({ signal: controller.signal, onVisit: () => controller.abort() });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    const folder = join(runs, readdirSync(runs).sort().at(-1)!);
    expect(csvOf(folder)).toHaveLength(1);
    expect(eventsOf(folder).at(-1)).toMatchObject({ event: "stopped", visits: 1 });
    expect(read(folder, "results.html")).toContain("stopped after 1 of 3 visits");
  });

  const full = "/dev/full";
  it.runIf(existsSync(full))(`keeps whole files when the disk is full (where there is ${full})`, async () => {
    let intact = "";
    const failed = run({
      onVisit: ({ visit }) => {
        if (visit > 1) return;
        const folder = join(runs, readdirSync(runs).sort().at(-1)!);
        intact = read(folder, "results.csv");
        symlinkSync(full, join(folder, `results.csv.${process.pid}.tmp`));
      },
    });
    await expect(failed).rejects.toMatchObject({ code: "io.full" });
    const folder = join(runs, readdirSync(runs).sort().at(-1)!);
    expect(read(folder, "results.csv")).toBe(intact);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("names the domains that there are when asked for another", async () => {
    const found = readdirSync(runs);
    await expect(run({ visits: ["day", "noon"] })).rejects.toMatchObject({ code: "config.invalid" });
    expect(readdirSync(runs)).toEqual(found);
  });
});
