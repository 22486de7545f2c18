import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Image } from "../image/types.js";
import { corrupt } from "./corrupt.js";
import { measure } from "../../../test/helpers/image-figures.js";
import { corruptionNames, type CorruptionName } from "./registry.js";

const SIDE = 32;

/** The images of one file of CIFAR-10-C: after the header of the .npy format, bytes in rows of RGB. */
function readImages(folder: string, name: string): Image[] {
  const file = readFileSync(join(folder, "cifar10c_lossless", `${name}.npy`));
  const start = 10 + file.readUInt16LE(8);
  const size = SIDE * SIDE * 3;
  return Array.from({ length: (file.length - start) / size }, (_, i) => ({
    width: SIDE,
    height: SIDE,
    channels: 3,
    data: file.subarray(start + i * size, start + (i + 1) * size),
  }));
}

/** Corruptions that draw nothing, so that only arithmetic is left to differ. */
const FIXED: readonly CorruptionName[] = [
  "defocus_blur",
  "zoom_blur",
  "brightness",
  "contrast",
  "pixelate",
  "jpeg_compression",
];

/**
 * Tolerances, in levels, for figures of 400 images. Where the weather differs from image to image (snow, fog, frost) a mean moves by about
 * 8 levels each time, 8 / sqrt(400) = 0.4 on either side: three times that. Frost moves by 17 and has another texture.
 */
const DRAWN = { mean: 1.2, deviation: 1.2, change: 1.2, gradient: 0.25 };
const FROST = { mean: 3, deviation: 2, change: 3, gradient: 3 };

const folder = process.env.LIMBER_DATA;

describe.runIf(folder)("corruptions at severity 5 against recorded CIFAR-10-C (LIMBER_DATA)", () => {
  test.each(corruptionNames("reported"))("%s", async (name) => {
    const clean = readImages(folder!, "clean");
    const recorded = readImages(folder!, name);
    const ours = [];
    for (const [i, image] of clean.entries()) ours.push(await corrupt(image, name, 5, { random: i }));

    if (FIXED.includes(name)) {
      const apart = ours.flatMap(({ data }, n) =>
        Array.from(data, (value, at) => Math.abs(value - recorded[n]!.data[at]!)),
      );
      expect(apart.filter((levels) => levels > 1)).toHaveLength(0);
      expect(apart.filter((levels) => levels > 0).length / apart.length).toBeLessThan(0.001);
      return;
    }
    const [got, wanted] = [measure(ours, clean), measure(recorded, clean)];
    const tolerance = name === "frost" ? FROST : DRAWN;
    for (const key of ["mean", "deviation", "change", "gradient"] as const) {
      expect
        .soft(Math.abs(got[key] - wanted[key]), `${key}: ${got[key]}, recorded ${wanted[key]}`)
        .toBeLessThan(tolerance[key]);
    }
  });
});
