import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CLASSES, squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { Random } from "../../base/index.js";
import { corruptionNames, type Domain } from "../../vision/index.js";
import { openDataWorld, openDigitsWorld, shiftSource } from "./world.js";

const folder = mkdtempSync(join(tmpdir(), "limber-world-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const MODEL = { model: tinyNetwork(), preprocessing: TINY_PREPROCESSING };

/** Writes records of noise, labels in turn. */
function writeRecords(name: string, count: number, [planes, side]: readonly [1 | 3, number] = [3, 32]): string {
  const random = new Random(1).fork(name);
  const size = planes * side * side;
  const record = (i: number): number[] => [i % CLASSES, ...Array.from({ length: size }, () => random.int(0, 256))];
  const path = join(folder, `${name}.bin`);
  writeFileSync(path, Uint8Array.from(Array.from({ length: count }, (_, i) => record(i)).flat()));
  return path;
}
const known = writeRecords("known", 10);
writeRecords("other", 6);

const pathsOf = (domain: Domain): string[] => Array.from({ length: domain.samples }, (_, i) => domain.pathOf(i));

describe("openDigitsWorld", () => {
  test("has drifts without the source, and handwriting of its own for each part", async () => {
    const { training, validation, drifts } = await openDigitsWorld(3, 2);
    expect([training.name, training.samples, validation.samples]).toEqual(["day", 3, 2]);
    expect([training.pathOf(0), validation.pathOf(0)]).toEqual(["world:day/train[0]", "world:day/validation[0]"]);
    const { domains } = drifts(7);
    expect(domains.length).toBeGreaterThan(10);
    expect(domains.map(({ name }) => name)).not.toContain("day");
    expect(domains[0]!.pathOf(0)).toMatch(/\/test\[0\]$/);
  });
});

describe("openDataWorld", () => {
  test("parts the source into images to train on and to choose by; the other domains are the drifts", async () => {
    const { training, validation, drifts } = await openDataWorld(folder, { ...MODEL, source: "known" });
    expect([training.samples, validation.samples]).toEqual([8, 2]);
    expect(new Set([...pathsOf(training), ...pathsOf(validation)]).size).toBe(10);
    expect(drifts(1).domains.map(({ name, samples }) => [name, samples])).toEqual([["other", 6]]);
  });

  test("corrupts the domains to come, the same way each time, and keeps labels and the source", async () => {
    const options = { ...MODEL, source: "known", corruptions: ["fog", "contrast"] as const };
    const world = await openDataWorld(folder, options);
    const { domains } = world.drifts(1);
    expect(domains.map(({ name, samples }) => [name, samples])).toEqual([
      ["fog", 6],
      ["contrast", 6],
    ]);
    const [plain] = (await openDataWorld(folder, { ...MODEL, source: "known" })).drifts(1).domains;
    for (const domain of domains) {
      const first = await domain.read(3);
      expect(first).not.toEqual(await plain!.read(3));
      expect(await domain.read(3)).toEqual(first);
      expect(domain.label(3)).toBe(plain!.label(3));
    }
    const weaker = await openDataWorld(folder, { ...options, severity: 1 });
    expect(await weaker.drifts(1).domains[0]!.read(3)).not.toEqual(await domains[0]!.read(3));
    expect(pathsOf(world.training).some((path) => path.includes("fog"))).toBe(false);
  });

  test("takes the images to corrupt from one half of a single domain, and the source from the other", async () => {
    const world = await openDataWorld(known, { ...MODEL, corruptions: ["fog"] });
    const own = [...pathsOf(world.training), ...pathsOf(world.validation)];
    const [fog] = world.drifts(1).domains;
    expect([own.length, fog!.samples]).toEqual([5, 5]);
    const shown = pathsOf(fog!).map((path) => path.replace(" (fog)", ""));
    expect(shown.filter((path) => own.includes(path))).toEqual([]);
  });

  test("reads records of several shapes, and the drifts in the order in which they are named", async () => {
    const mixed = mkdtempSync(join(folder, "mixed-"));
    for (const [name, shape] of [
      ["grey", [1, 28]],
      ["colour", [3, 32]],
      ["last", [1, 28]],
    ] as const)
      writeFileSync(join(mixed, `${name}.bin`), new Uint8Array(2 * (1 + shape[0] * shape[1] ** 2)));
    const world = await openDataWorld(mixed, {
      ...{ ...MODEL, source: "grey", drifts: ["last", "colour"], record: ["1x28x28", "3x32x32"] },
    });
    expect(world.drifts(1).domains.map(({ name }) => name)).toEqual(["last", "colour"]);
  });

  test.each([
    [{ corruptions: ["spatter"] as const, source: "known" }, 'got "spatter", by which settings are chosen'],
    [{ source: "nowhere" }, 'got "nowhere"'],
    [{ source: "known", drifts: ["known"] }, "of a source and of at least one other domain"],
  ])("refuses %j", async (options, reason) => {
    await expect(openDataWorld(folder, { ...MODEL, ...options })).rejects.toThrow(reason);
  });
});

test("shifts of the source change its pictures, the same way each time, and keep labels", async () => {
  const validation = squares("held", 32, { seed: 5 });
  const drifts = () => ({ name: "drifts", classes: ["0"], domains: [] });
  const { domains } = shiftSource({ name: "squares", ...MODEL, training: validation, validation, drifts });
  expect(domains.length).toBe(4);
  const plain = await validation.read(3);
  for (const domain of domains) {
    expect([domain.samples, domain.label(3)]).toEqual([32, validation.label(3)]);
    const shifted = await domain.read(3);
    expect(shifted).not.toEqual(plain);
    expect(await domain.read(3)).toEqual(shifted);
  }
});

const data = process.env.LIMBER_DATA ?? "";
describe.runIf(data)("worlds of real images (with LIMBER_DATA)", () => {
  test("CIFAR-10: test images under the 15 corruptions, training images as the source", async () => {
    const corruptions = corruptionNames("reported");
    const path = join(data, "cifar10/dev");
    const { training, validation, drifts } = await openDataWorld(path, { ...MODEL, source: "train_dev", corruptions });
    expect([training.samples, validation.samples]).toEqual([3200, 800]);
    expect(drifts(1).domains.map(({ name, samples }) => [name, samples])).toEqual(
      corruptions.map((name) => [name, 2500]),
    );
    expect(await drifts(1).domains[14]!.read(0)).toMatchObject({ image: { width: 32, height: 32, channels: 3 } });
  });

  test("PACS: from photos to three other styles; digits: from MNIST to USPS and MNIST-M", async () => {
    const pacs = await openDataWorld(join(data, "pacs/dev"), { ...MODEL, source: "photo" });
    expect(pacs.drifts(1).domains.map(({ name }) => name)).toEqual(["art_painting", "cartoon", "sketch"]);
    const digits = await openDataWorld(join(data, "digits/dev"), {
      ...{ ...MODEL, source: "mnist_cazala_28", record: ["1x28x28", "3x32x32"] },
      drifts: ["mnist_t10k_first5000_28", "usps_train_28", "mnistm_first2000_32"],
    });
    expect(digits.drifts(1).domains.map(({ samples }) => samples)).toEqual([5000, 7291, 2000]);
  });
});
