import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLimberError, Random } from "../../base/index.js";
import type { Image } from "../image/types.js";
import { corrupt, inferFamily } from "./corrupt.js";
import { toField, toImage } from "./field.js";
import { CORRUPTIONS, corruptionNames, type CorruptionName } from "./registry.js";
import { snowSquares } from "./squares.js";
import { CORRUPTION_FAMILIES, SEVERITIES, type Severity } from "./types.js";

/** A smooth scene with some noise on it, so that every corruption has something to change. */
function scene(width: number, height: number, channels: 1 | 3, seed = 1): Image {
  const random = new Random(seed);
  const data = Uint8Array.from({ length: width * height * channels }, (_, at) => {
    const [x, y] = [(Math.floor(at / channels) % width) / width, Math.floor(at / channels / width) / height];
    return 120 + 60 * Math.sin(5 * x + (at % channels)) + 40 * Math.cos(7 * y) + random.uniform(-15, 15);
  });
  return { width, height, channels, data };
}

const meanChange = (a: Image, b: Image): number =>
  a.data.reduce((sum, value, at) => sum + Math.abs(value - b.data[at]!), 0) / a.data.length;

const codeOf = (run: Promise<unknown>): Promise<unknown> =>
  run.then(
    () => "resolved",
    (error: unknown) => (isLimberError(error) ? error.code : error),
  );

describe("the registry", () => {
  test("holds the 15 reported corruptions in reporting order, 4 held out and PatchLine's", () => {
    expect(corruptionNames("reported").join(" ")).toBe(
      "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow frost fog " +
        "brightness contrast elastic_transform pixelate jpeg_compression",
    );
    expect(corruptionNames("held-out")).toEqual(["speckle_noise", "gaussian_blur", "spatter", "saturate"]);
    expect(corruptionNames("patchline")).toEqual(["square_snow"]);
    expect(corruptionNames()).toHaveLength(20);
  });
});

describe.each(corruptionNames())("%s", (name) => {
  test("gives the same bytes for the same seed, and leaves its input alone", async () => {
    const image = scene(32, 32, 3);
    const before = image.data.slice();
    const [first, again, other] = [
      await corrupt(image, name, 3, { random: 5 }),
      await corrupt(image, name, 3, { random: 5 }),
      await corrupt(image, name, 3, { random: 6 }),
    ];
    expect(again).toEqual(first);
    expect(image.data).toEqual(before);
    expect(first.data).not.toEqual(before);
    const drawsNothing: readonly CorruptionName[] = [
      "defocus_blur",
      "zoom_blur",
      "brightness",
      "contrast",
      "pixelate",
      "jpeg_compression",
      "gaussian_blur",
      "saturate",
    ];
    expect(meanChange(other, first) === 0).toBe(drawsNothing.includes(name));
  });

  test("takes any size, grey or colour, at every severity of both families", async () => {
    const sizes = [
      [1, 1],
      [1, 7],
      [5, 2],
      [17, 33],
    ] as const;
    for (const [width, height] of sizes) {
      for (const channels of [1, 3] as const) {
        for (const family of CORRUPTION_FAMILIES) {
          for (const severity of [1, 5] as const) {
            const result = await corrupt(scene(width, height, channels), name, severity, { family, random: 1 });
            expect(result).toMatchObject({ width, height, channels });
            expect(result.data).toHaveLength(width * height * channels);
          }
        }
      }
    }
  });
});

/** Corruptions whose published parameters do not rise with severity in both families, so neither does the change. */
const NOT_MONOTONE: readonly CorruptionName[] = [
  "glass_blur",
  "elastic_transform",
  "saturate",
  "snow",
  "spatter",
  "frost",
];

/** Those that draw for each channel on its own, or put colour into the image. */
const TELLS_CHANNELS_APART: readonly CorruptionName[] = [
  "gaussian_noise",
  "shot_noise",
  "impulse_noise",
  "speckle_noise",
  "frost",
  "spatter",
  "saturate",
];

test.each(corruptionNames().filter((name) => !NOT_MONOTONE.includes(name)))(
  "%s changes the image more at each severity",
  async (name) => {
    const images = [1, 2, 3, 4].map((seed) => scene(40, 40, 3, seed));
    for (const family of CORRUPTION_FAMILIES) {
      const changes: number[] = [];
      for (const severity of SEVERITIES) {
        let sum = 0;
        for (const image of images)
          sum += meanChange(image, await corrupt(image, name, severity, { family, random: 9 }));
        changes.push(sum);
      }
      expect(changes, family).toEqual(changes.toSorted((a, b) => a - b));
    }
  },
);

test.each(corruptionNames().filter((name) => !TELLS_CHANNELS_APART.includes(name)))(
  "%s treats a grey image as colour with three equal channels",
  async (name) => {
    const grey = scene(24, 24, 1);
    const colour: Image = {
      ...grey,
      channels: 3,
      data: Uint8Array.from({ length: 24 * 24 * 3 }, (_, at) => grey.data[Math.floor(at / 3)]!),
    };
    const [fromGrey, fromColour] = [
      await corrupt(grey, name, 4, { random: 2 }),
      await corrupt(colour, name, 4, { random: 2 }),
    ];
    const apart = fromGrey.data.map((value, at) => Math.abs(value - fromColour.data[3 * at]!));
    expect(Math.max(...apart)).toBeLessThanOrEqual(1);
  },
);

describe("corrupt", () => {
  test("goes on drawing from a stream that it is given", async () => {
    const [image, random] = [scene(16, 16, 3), new Random(4)];
    const first = await corrupt(image, "gaussian_noise", 2, { random });
    expect(await corrupt(image, "gaussian_noise", 2, { random })).not.toEqual(first);
    expect(await corrupt(image, "gaussian_noise", 2, { random: new Random(4) })).toEqual(first);
  });

  test("chooses the family by size unless told", async () => {
    expect([inferFamily({ width: 64, height: 32 }), inferFamily({ width: 65, height: 32 })]).toEqual([
      "cifar",
      "imagenet",
    ]);
    const image = scene(32, 32, 3);
    const [inferred, cifar, imagenet] = await Promise.all(
      [undefined, "cifar" as const, "imagenet" as const].map((family) =>
        corrupt(image, "contrast", 1, { family, random: 0 }),
      ),
    );
    expect(inferred).toEqual(cifar);
    expect(inferred).not.toEqual(imagenet);
  });

  test("refuses unknown names, severities and families, and bytes that do not fill the image", async () => {
    const image = scene(8, 8, 3);
    expect(await codeOf(corrupt(image, "sleet" as CorruptionName, 1, { random: 0 }))).toBe("config.invalid");
    expect(await codeOf(corrupt(image, "toString" as CorruptionName, 1, { random: 0 }))).toBe("config.invalid");
    expect(await codeOf(corrupt(image, "fog", 6 as Severity, { random: 0 }))).toBe("config.invalid");
    expect(await codeOf(corrupt(image, "fog", 1, { random: 0, family: "mnist" as "cifar" }))).toBe("config.invalid");
    expect(await codeOf(corrupt({ ...image, width: 9 }, "fog", 1, { random: 0 }))).toBe("data.invalid");
    expect(
      await codeOf(corrupt({ width: 0, height: 0, channels: 3, data: new Uint8Array() }, "fog", 1, { random: 0 })),
    ).toBe("data.invalid");
  });

  test("keeps flat white and flat black, but for two truncations, under blurs, pixelation and JPEG", async () => {
    for (const level of [0, 255]) {
      const flat: Image = { width: 32, height: 32, channels: 3, data: new Uint8Array(32 * 32 * 3).fill(level) };
      for (const name of [
        "gaussian_blur",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "pixelate",
        "jpeg_compression",
        "elastic_transform",
      ] as const) {
        const { data } = await corrupt(flat, name, 5, { random: 3 });
        expect(
          data.every((value) => Math.abs(value - level) <= 2),
          `${name} of ${level}`,
        ).toBe(true);
      }
    }
  });
});

describe("frost", () => {
  test("adds, over black, the mean colour of the measured photographs", async () => {
    const black: Image = { width: 32, height: 32, channels: 3, data: new Uint8Array(32 * 32 * 3) };
    const { parameters } = CORRUPTIONS.frost;
    const ice = parameters.cifar[0][1]!;
    const sum = [0, 0, 0];
    const draws = 200;
    for (let seed = 0; seed < draws; seed++) {
      const { data } = await corrupt(black, "frost", 1, { random: seed });
      data.forEach((value, at) => (sum[at % 3]! += (value + 0.5) / ice / draws / 1024));
    }
    // Per-channel means over the recorded file: 144, 165, 176; a texture's mean deviates by 45, so ours by 45 / sqrt(200) = 3.2.
    [144, 165, 176].forEach((mean, c) => expect(Math.abs(sum[c]! - mean)).toBeLessThan(12));
  });
});

describe("square snow", () => {
  const canvas = (side: number): Image => ({
    width: side,
    height: side,
    channels: 3,
    data: new Uint8Array(side * side * 3),
  });
  const covered = (image: Image): number => image.data.filter((value, at) => at % 3 === 0 && value === 210).length;

  test.each([
    [1000, 8645],
    [2000, 16789],
    [4000, 31364],
    [5000, 37569],
    [7000, 49524],
    [8000, 54647],
    [10000, 63811],
  ])("covers at level %i what the law says and what PatchLine's images show (%i pixels)", (level, measured) => {
    const count = covered(toImage(snowSquares(toField(canvas(350)), level, new Random(level))));
    const law = 350 ** 2 * (1 - (1 - 9 / 350 ** 2) ** level);
    expect(Math.abs(count / law - 1)).toBeLessThan(0.02);
    expect(Math.abs(count / measured - 1)).toBeLessThan(0.02);
  });

  test("keeps the covered share at other sizes", () => {
    for (const side of [32, 96, 224]) {
      let share = 0;
      for (let seed = 0; seed < 8; seed++) {
        share += covered(toImage(snowSquares(toField(canvas(side)), 5000, new Random(seed)))) / side ** 2 / 8;
      }
      expect(Math.abs(share - (1 - (1 - 9 / 350 ** 2) ** 5000)), `${side} pixels`).toBeLessThan(0.02);
    }
  });

  test("lays whole opaque squares of grey 210", () => {
    const image = toImage(snowSquares(toField(canvas(350)), 1, new Random(2)));
    const at = Array.from(image.data.entries()).filter(([, value]) => value !== 0);
    expect(at.map(([, value]) => value)).toEqual(new Array(27).fill(210));
    const pixels = new Set(at.map(([index]) => Math.floor(index / 3)));
    const first = Math.min(...pixels);
    expect([...pixels]).toEqual([0, 1, 2].flatMap((y) => [0, 1, 2].map((x) => first + y * 350 + x)));
  });
});

test("bytes survive the way to a field and back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 256 }), (data) => {
      expect(toImage(toField({ width: data.length, height: 1, channels: 1, data })).data).toEqual(data);
    }),
  );
});
