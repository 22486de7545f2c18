import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli } from "../src/cli/run.js";

/** Error in % of the official implementations on 400 lossless images per domain, batches of 200 in file order, reset per domain. */
const DOMAINS = [
  "clean",
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
const ORACLE: readonly (readonly [string, readonly string[], readonly number[]])[] = [
  ["source", [], [8.75, 74.3, 72.3, 75.5, 42.0, 63.0, 43.5, 41.5, 31.2, 47.7, 34.0, 12.5, 72.5, 35.5, 61.8, 31.2]],
  ["bn", [], [12.25, 42.5, 42.3, 48.8, 19.2, 46.0, 23.5, 21.8, 27.8, 30.5, 23.3, 18.3, 17.7, 31.5, 29.0, 31.5]],
  [
    "bn",
    ["--source-weight", "0.9"],
    [8.5, 54.0, 50.7, 52.7, 28.5, 50.7, 31.7, 28.5, 27.8, 34.7, 22.8, 12.5, 50.2, 31.0, 51.0, 28.5],
  ],
  [
    "bn",
    ["--source-weight", "0.5"],
    [9.75, 38.0, 38.0, 44.7, 18.3, 44.2, 21.8, 19.2, 26.8, 23.3, 18.3, 12.5, 16.2, 29.8, 28.7, 29.8],
  ],
  ["tent", [], [12.25, 42.5, 42.0, 48.8, 19.2, 46.0, 23.5, 21.8, 27.5, 30.8, 23.3, 18.3, 17.7, 31.5, 29.0, 31.7]],
  ["shot-im", [], [12.25, 42.5, 42.3, 48.8, 19.2, 46.3, 23.7, 22.0, 27.5, 30.8, 23.5, 18.0, 17.7, 31.5, 29.0, 31.7]],
  [
    "eata",
    ["--source-data", join(process.env.LIMBER_DATA ?? "", "cifar10c_lossless/train_2000.npz")],
    [12.25, 42.5, 42.0, 48.8, 19.2, 46.3, 23.5, 22.0, 27.5, 30.8, 23.0, 18.3, 17.7, 31.5, 29.0, 31.7],
  ],
  ["sar", [], [12.25, 42.5, 42.3, 48.8, 19.2, 46.0, 23.5, 21.8, 27.8, 30.5, 23.3, 18.3, 17.7, 31.5, 29.0, 31.5]],
  ["delta", [], [12.5, 42.3, 42.0, 49.0, 17.7, 46.8, 23.5, 21.3, 27.8, 30.0, 22.2, 16.5, 18.5, 32.2, 29.0, 32.0]],
  [
    "t3a",
    ["--option", "statistics=batch"],
    [12.25, 41.0, 43.5, 49.0, 19.0, 46.0, 23.7, 21.0, 30.8, 31.0, 22.0, 17.5, 19.5, 31.0, 29.5, 31.7],
  ],
];
const IMAGES = 400;

const data = process.env.LIMBER_DATA;
const full = process.env.LIMBER_FULL !== undefined;
/** Every domain in the full run, a noise and a contrast in the quick one. */
const chosen = full ? DOMAINS : ["gaussian_noise", "contrast"];

async function limber(
  ...argv: string[]
): Promise<{ domains: { name: string; onlineAccuracy?: number; accuracy?: number }[] }> {
  let stdout = "";
  const sink = { write: () => true };
  const io = {
    stdout: { write: (text: string) => Boolean((stdout += text)) },
    stderr: sink,
    signal: new AbortController().signal,
    env: {},
    isTTY: false,
  };
  expect(await runCli([...argv, "--json", "--quiet"], io)).toBe(0);
  return JSON.parse(stdout) as Awaited<ReturnType<typeof limber>>;
}

describe.runIf(data)("accuracy oracle on real corrupted images (LIMBER_DATA)", () => {
  const model = join(data ?? "", "cifar10_resnet/resnet20_cifar10_convshortcut.onnx");
  const folder = join(data ?? "", "cifar10c_lossless");
  const common = ["--data", folder, "--preset", "cifar", "--batch", "200", "--domains", chosen.join(",")];
  const imagesOff = (name: string, accuracy: number, errors: readonly number[]): number =>
    Math.abs((1 - accuracy) * IMAGES - (errors[DOMAINS.indexOf(name)]! / 100) * IMAGES);

  test("limber eval gives the source model's errors, at most one image off per cell", async () => {
    const { domains } = await limber("eval", model, ...common);
    expect(domains.map((d) => d.name).sort()).toEqual([...chosen].sort());
    for (const { name, accuracy } of domains)
      expect(imagesOff(name, accuracy!, ORACLE[0]![2]), name).toBeLessThanOrEqual(1);
  });

  // The images that say what matters to EATA take longer than all the others: it is left to the full run.
  test.each(ORACLE.filter(([method]) => full || method !== "eata"))(
    "limber adapt --method %s %j gives the official errors, at most one image off per cell",
    async (method, flags, errors) => {
      const { domains } = await limber("adapt", model, ...common, "--method", method, ...flags);
      expect(domains.map((d) => d.name).sort()).toEqual([...chosen].sort());
      for (const { name, onlineAccuracy } of domains)
        expect(imagesOff(name, onlineAccuracy!, errors), name).toBeLessThanOrEqual(1);
    },
  );
});
