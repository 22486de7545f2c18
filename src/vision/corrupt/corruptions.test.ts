import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Image } from "../image/types.js";
import { corrupt } from "./corrupt.js";
import { measure } from "../../../test/helpers/image-figures.js";
import type { CorruptionName } from "./registry.js";
import type { CorruptionFamily, Severity } from "./types.js";

interface Row {
  readonly name: CorruptionName;
  readonly family: CorruptionFamily;
  readonly severity: Severity;
  readonly statistics: Readonly<Record<keyof ReturnType<typeof measure>, readonly [mean: number, deviation: number]>>;
  readonly pixels?: readonly number[];
}

/** Made by `peers/corruptions.py` with the libraries of the published generators. */
const reference = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/corruption-statistics.json", import.meta.url), "utf8"),
) as {
  readonly images: number;
  readonly draws: number;
  readonly stride: number;
  readonly seed: number;
  readonly sides: Readonly<Record<CorruptionFamily, number>>;
  readonly rows: readonly Row[];
};

/** The same picture as `picture` in `peers/corruptions.py`: ramps, edges and blocks in whole numbers. */
function picture(index: number, side: number): Image {
  const data = new Uint8Array(side * side * 3);
  for (let at = 0; at < data.length; at++) {
    const [x, y, c] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side), at % 3];
    const ramp = Math.floor(((index + c + 1) * x * 256 + (2 * index - c + 2) * y * 256) / side) % 512;
    const block = (Math.floor((x * 6) / side) + Math.floor((y * 6) / side) + index) % 2;
    data[at] = Math.floor((Math.min(255, Math.abs(ramp - 256)) * 3) / 4) + 60 * block;
  }
  return { width: side, height: side, channels: 3, data };
}

/** The rows of one corruption and family, by severity. */
const cases = reference.rows
  .filter((row) => row.severity === 1)
  .map(({ name, family }) => reference.rows.filter((row) => row.name === name && row.family === family));

describe("corruptions against the libraries of the published generators", () => {
  test.each(cases.map((rows) => [rows[0]!.name, rows[0]!.family, rows] as const))(
    "%s (%s) has the reference statistics at each severity",
    async (name, family, rows) => {
      const clean = Array.from({ length: reference.images }, (_, i) => picture(i, reference.sides[family]));
      for (const { severity, statistics } of rows) {
        const images = [];
        for (const [i, image] of clean.entries()) {
          images.push(await corrupt(image, name, severity, { family, random: 100 * severity + i }));
        }
        const figures = measure(images, clean);
        for (const key of Object.keys(figures) as (keyof typeof figures)[]) {
          const [mean, deviation] = statistics[key];
          // Five deviations of the difference between one draw and a mean of `draws`, and 0.1 level for float32 and truncation.
          const tolerance = 5 * deviation * Math.sqrt(1 + 1 / reference.draws) + 0.1;
          expect
            .soft(Math.abs(figures[key] - mean), `${name} ${family} ${severity} ${key} ${figures[key]} ${mean}`)
            .toBeLessThan(tolerance);
        }
      }
    },
  );

  const exact = cases.filter((rows) => rows[0]!.pixels !== undefined);
  test.each(exact.map((rows) => [rows[0]!.name, rows[0]!.family, rows] as const))(
    "%s (%s) gives the reference pixels from the same random numbers",
    async (name, family, rows) => {
      for (const { severity, pixels } of rows) {
        const { data } = await corrupt(picture(0, reference.sides[family]), name, severity, {
          family,
          random: reference.seed,
        });
        const apart = pixels!.map((value, i) => Math.abs(value - data[i * reference.stride]!));
        const label = `${name} ${family} ${severity}: ${apart.filter((d) => d > 0).length} of ${apart.length} differ, at most by ${Math.max(...apart)}`;
        expect.soft(apart.filter((d) => d > 1).length, label).toBe(0);
      }
    },
  );
});
