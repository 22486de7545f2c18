import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { adapt, findMethod } from "../src/adapt/index.js";
import { runCli } from "../src/cli/run.js";
import { readModel } from "../src/graph/index.js";
import { createMachine } from "../src/run/node.js";
import { parsePreprocessing, readDataset } from "../src/vision/index.js";

const CORRUPTIONS = [
  "gaussian_noise",
  "shot_noise",
  "impulse_noise",
  "defocus_blur",
  "glass_blur",
  "motion_blur",
  "zoom_blur",
  "snow",
  "frost",
  "fog",
  "brightness",
  "contrast",
  "elastic_transform",
  "pixelate",
  "jpeg_compression",
];

/** Error in % of the official implementations on 400 lossless images per domain, batches of 200 in file order, reset per domain. */
interface Row {
  readonly method: string;
  readonly options?: object;
  readonly clean: number;
  /** In the order of `CORRUPTIONS`, or their mean where no more is known. */
  readonly corrupted: readonly number[] | number;
  /** It takes long, or shows no more than another: for the full run. */
  readonly inFull?: true;
}
const ORACLE: readonly Row[] = [
  {
    ...{ method: "source", clean: 8.75 },
    corrupted: [74.3, 72.3, 75.5, 42.0, 63.0, 43.5, 41.5, 31.2, 47.7, 34.0, 12.5, 72.5, 35.5, 61.8, 31.2],
  },
  {
    ...{ method: "bn", clean: 12.25 },
    corrupted: [42.5, 42.3, 48.8, 19.2, 46.0, 23.5, 21.8, 27.8, 30.5, 23.3, 18.3, 17.7, 31.5, 29.0, 31.5],
  },
  {
    ...{ method: "bn", options: { sourceWeight: 0.9 }, clean: 8.5, inFull: true },
    corrupted: [54.0, 50.7, 52.7, 28.5, 50.7, 31.7, 28.5, 27.8, 34.7, 22.8, 12.5, 50.2, 31.0, 51.0, 28.5],
  },
  {
    ...{ method: "bn", options: { sourceWeight: 0.5 }, clean: 9.75 },
    corrupted: [38.0, 38.0, 44.7, 18.3, 44.2, 21.8, 19.2, 26.8, 23.3, 18.3, 12.5, 16.2, 29.8, 28.7, 29.8],
  },
  {
    ...{ method: "tent", clean: 12.25 },
    corrupted: [42.5, 42.0, 48.8, 19.2, 46.0, 23.5, 21.8, 27.5, 30.8, 23.3, 18.3, 17.7, 31.5, 29.0, 31.7],
  },
  {
    ...{ method: "shot-im", clean: 12.25, inFull: true },
    corrupted: [42.5, 42.3, 48.8, 19.2, 46.3, 23.7, 22.0, 27.5, 30.8, 23.5, 18.0, 17.7, 31.5, 29.0, 31.7],
  },
  {
    ...{ method: "eata", clean: 12.25, inFull: true },
    corrupted: [42.5, 42.0, 48.8, 19.2, 46.3, 23.5, 22.0, 27.5, 30.8, 23.0, 18.3, 17.7, 31.5, 29.0, 31.7],
  },
  {
    ...{ method: "sar", clean: 12.25, inFull: true },
    corrupted: [42.5, 42.3, 48.8, 19.2, 46.0, 23.5, 21.8, 27.8, 30.5, 23.3, 18.3, 17.7, 31.5, 29.0, 31.5],
  },
  {
    ...{ method: "delta", clean: 12.5, inFull: true },
    corrupted: [42.3, 42.0, 49.0, 17.7, 46.8, 23.5, 21.3, 27.8, 30.0, 22.2, 16.5, 18.5, 32.2, 29.0, 32.0],
  },
  {
    ...{ method: "t3a", options: { statistics: "batch" }, clean: 12.25 },
    corrupted: [41.0, 43.5, 49.0, 19.0, 46.0, 23.7, 21.0, 30.8, 31.0, 22.0, 17.5, 19.5, 31.0, 29.5, 31.7],
  },
  // Collapses on images in no order, as published.
  { method: "lame", options: { statistics: "batch", onlyCorrelated: false }, clean: 15, corrupted: 76.75 },
];
const IMAGES = 400;

const data = process.env.LIMBER_DATA;
const full = process.env.LIMBER_FULL !== undefined;
/** Every domain in the full run; in the quick one a noise and a contrast, and for a method that says nothing of these the clean images. */
const chosenFor = ({ corrupted }: Row): readonly string[] =>
  full ? ["clean", ...CORRUPTIONS] : typeof corrupted === "number" ? ["clean"] : ["gaussian_noise", "contrast"];

describe.runIf(data)("accuracy oracle on real corrupted images (LIMBER_DATA)", () => {
  const model = join(data ?? "", "cifar10_resnet/resnet20_cifar10_convshortcut.onnx");
  const folder = join(data ?? "", "cifar10c_lossless");
  const machine = createMachine();
  afterAll(() => machine[Symbol.asyncDispose]());

  const wrong = (accuracy: number): number => (1 - accuracy) * IMAGES;
  function expectErrors(row: Row, found: ReadonlyMap<string, number>): void {
    expect([...found.keys()].sort()).toEqual([...chosenFor(row)].sort());
    const { corrupted } = row;
    const known = new Map([["clean", row.clean]]);
    if (typeof corrupted !== "number") CORRUPTIONS.forEach((name, i) => known.set(name, corrupted[i]!));
    for (const [name, accuracy] of found)
      if (known.has(name))
        expect(Math.abs(wrong(accuracy) - (known.get(name)! / 100) * IMAGES), name).toBeLessThanOrEqual(1);
    if (typeof corrupted !== "number" || !full) return;
    const sum = CORRUPTIONS.reduce((total, name) => total + wrong(found.get(name)!), 0);
    expect(Math.abs(sum / CORRUPTIONS.length - (corrupted / 100) * IMAGES)).toBeLessThanOrEqual(1);
  }

  test.each(ORACLE.filter(({ inFull }) => full || !inFull))(
    "$method $options gives the official errors, at most one image off per cell",
    async (row) => {
      const method = findMethod(row.method);
      const { domains } = await readDataset(folder, { domains: chosenFor(row) });
      const source = method.source && { domain: (await readDataset(join(folder, "train_2000.npz"))).domains[0]! };
      const { domains: reports } = await adapt(readModel(readFileSync(model)), domains, {
        ...{ method, methodOptions: row.options, machine, source, batchSize: 200, withoutEvaluation: true },
        preprocessing: parsePreprocessing({ preset: "cifar", width: 32, height: 32 }),
      });
      expectErrors(row, new Map(reports.map(({ name, online }) => [name, online.correct / online.total])));
    },
    1_200_000,
  );

  test.each(["eval", "adapt"])("limber %s gives them on the command line too", async (command) => {
    let stdout = "";
    const io = {
      stdout: { write: (text: string) => Boolean((stdout += text)) },
      stderr: { write: () => true },
      ...{ signal: new AbortController().signal, env: {}, isTTY: false },
    };
    const row = ORACLE.find(({ method }) => method === (command === "eval" ? "source" : "tent"))!;
    const common = ["--data", folder, "--preset", "cifar", "--batch", "200", "--domains", chosenFor(row).join(",")];
    const flags = [...(command === "eval" ? [] : ["--method", row.method]), "--json", "--quiet"];
    expect(await runCli([command, model, ...common, ...flags], io)).toBe(0);
    const { domains } = JSON.parse(stdout) as {
      domains: { name: string; onlineAccuracy?: number; accuracy?: number }[];
    };
    expectErrors(row, new Map(domains.map((d) => [d.name, (d.accuracy ?? d.onlineAccuracy)!])));
  });
});
