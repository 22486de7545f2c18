import { describe, expect, it } from "vitest";
import { isLimberError } from "../../base/index.js";
import { plainImage, temporaryFolder, writeFiles } from "../../../test/helpers/vision-files.js";
import type { Image, PixelData } from "../image/types.js";
import { fitImage } from "./fit.js";
import {
  parsePreprocessing,
  preprocessingFromMetadata,
  preprocessingToMetadata,
  PREPROCESSING_KEY,
  type PartialPreprocessing,
} from "./preprocessing.js";
import { resolvePreprocessing } from "./resolve.js";
import { writePixels } from "./write-pixels.js";

const imageOf = <D extends PixelData>(width: number, height: number, channels: 1 | 3, data: D): Image<D> => ({
  width,
  height,
  channels,
  data,
});

function written(image: Image<PixelData>, fields: PartialPreprocessing): number[] {
  const preprocessing = parsePreprocessing({ width: image.width, height: image.height, ...fields });
  const out = new Float64Array(image.width * image.height * (fields.color === "GRAY" ? 1 : 3));
  writePixels(image, preprocessing, out, 0);
  return [...out];
}

describe("parsing preprocessing", () => {
  it("fills in defaults and spreads one number over the channels", () => {
    expect(parsePreprocessing({ width: 4, height: 2, mean: 0.5 })).toEqual({
      width: 4,
      height: 2,
      layout: "NCHW",
      color: "RGB",
      resize: "stretch",
      cropRatio: 1,
      interpolation: "bilinear",
      scale: 1 / 255,
      mean: [0.5],
      std: [1],
    });
  });

  it("takes a preset's fields unless others are given beside it", () => {
    const preprocessing = parsePreprocessing({ width: 4, height: 2, preset: "imagenet", std: [1, 2, 3] });
    expect(preprocessing).toMatchObject({
      resize: "shortest",
      cropRatio: 0.875,
      mean: [0.485, 0.456, 0.406],
      std: [1, 2, 3],
    });
  });

  it.each<[unknown, RegExp]>([
    [{ height: 2 }, /^recipe: .*width/],
    [{ width: 0, height: 2 }, /width/],
    [{ width: 4, height: 2, std: [0] }, /std: positive deviations/],
    [{ width: 4, height: 2, mean: [1, 2] }, /mean: 1 or 3 numbers expected for RGB, got 2/],
    [{ width: 4, height: 2, color: "GRAY", mean: [1, 2, 3] }, /mean: 1 numbers expected for GRAY, got 3/],
    [{ width: 4, height: 2, scale: Number.NaN }, /scale/],
    [{ width: 4, height: 2, sclae: 1 }, /sclae.*known fields are width/],
    [{ preset: "resnet" }, /preset/],
    ["text", /expected/],
    [null, /expected/],
  ])("refuses %j", (value, message) => {
    expect(() => parsePreprocessing(value, "recipe")).toThrow(message);
  });

  it("comes back unchanged from a model's metadata", () => {
    const preprocessing = parsePreprocessing({ width: 32, height: 32, preset: "cifar" });
    const metadata = new Map([["author", "x"], preprocessingToMetadata(preprocessing)]);
    expect(preprocessingFromMetadata(metadata)).toEqual(preprocessing);
    expect(preprocessingFromMetadata(new Map())).toBeUndefined();
    expect(() => preprocessingFromMetadata(new Map([[PREPROCESSING_KEY, "{"]]))).toThrow(/JSON expected/);
  });
});

describe("resolving preprocessing", () => {
  const inputShape = ["N", 3, 32, 32];
  const metadata = new Map([
    preprocessingToMetadata(parsePreprocessing({ width: 32, height: 32, preset: "tensorflow" })),
  ]);

  it("guesses from the shape of the input, and warns", async () => {
    const { preprocessing, source, warnings } = await resolvePreprocessing({ inputShape });
    expect(preprocessing).toMatchObject({ width: 32, height: 32, layout: "NCHW", color: "RGB", scale: 1 / 255 });
    expect(source).toBe("guess");
    expect(warnings).toEqual([expect.stringMatching(/divided by 255 is a guess/)]);
    expect((await resolvePreprocessing({ inputShape: ["N", 28, 30, 1] })).preprocessing).toMatchObject({
      width: 30,
      height: 28,
      layout: "NHWC",
      color: "GRAY",
    });
  });

  it("puts flags before the sidecar, the sidecar before metadata, field by field", async () => {
    const folder = writeFiles(temporaryFolder(), {
      "a.preprocess.json": '{"preset": "cifar"}',
      "a.json": '{"preprocessing": {"mean": 9}}',
      "b.json": '{"preprocessing": {"mean": 9}, "other": 1}',
      "c.json": '{"mean": 9}',
      "d.preprocess.json": "oops",
    });
    const resolved = (name: string, flags?: PartialPreprocessing) =>
      resolvePreprocessing({ modelPath: `${folder}/${name}.onnx`, metadata, inputShape, flags });
    expect(await resolved("absent")).toMatchObject({
      source: "metadata",
      preprocessing: { mean: [127.5] },
      warnings: [],
    });
    expect(await resolved("a")).toMatchObject({
      source: "sidecar",
      preprocessing: { mean: [0.485, 0.456, 0.406] },
      warnings: [],
    });
    expect(await resolved("b")).toMatchObject({ source: "sidecar", preprocessing: { mean: [9], std: [127.5] } });
    expect(await resolved("a", { mean: 1 })).toMatchObject({
      source: "flags",
      preprocessing: { mean: [1], std: [0.229, 0.224, 0.225] },
    });
    expect(await resolved("c")).toMatchObject({
      source: "metadata",
      warnings: [expect.stringMatching(/c\.json: a field "preprocessing" expected/)],
    });
    await expect(resolved("d")).rejects.toThrow(/d\.preprocess\.json: JSON expected/);
  });

  it("keeps warning while nobody said how values are scaled", async () => {
    const { source, warnings } = await resolvePreprocessing({ inputShape, flags: { resize: "none" } });
    expect({ source, count: warnings.length }).toEqual({ source: "flags", count: 1 });
  });

  it.each<[(number | string)[], PartialPreprocessing, RegExp]>([
    [["N", 3, 32, 32], { width: 64 }, /\[N,3,32,32\] expected, got \[N,3,32,64\]/],
    [["N", 1, 32, 32], { color: "RGB" }, /got \[N,3,32,32\]/],
    [["N", 3, "H", "W"], {}, /width/],
    [["N", 10], { width: 4, height: 4 }, /\[N,10\] expected/],
  ])("refuses what does not fit an input of %j", async (shape, flags, message) => {
    await expect(resolvePreprocessing({ inputShape: shape, flags })).rejects.toThrow(message);
  });
});

describe("writing pixels", () => {
  const ramp = imageOf(
    32,
    32,
    3,
    Uint8Array.from({ length: 3072 }, (_, i) => (i * 7) % 256),
  );
  const cifar = parsePreprocessing({ width: 32, height: 32, preset: "cifar" });

  it("gives ((level / 255) - mean) / std to 1e-15 in float64 and to one unit in the last place in float32", () => {
    const [wide, narrow] = [new Float64Array(3072), new Float32Array(3072)];
    writePixels(ramp, cifar, wide, 0);
    writePixels(ramp, cifar, narrow, 0);
    const errors = Array.from({ length: 3072 }, (_, i) => {
      const [c, p] = [Math.floor(i / 1024), i % 1024];
      const exact = (ramp.data[3 * p + c]! / 255 - cifar.mean[c]!) / cifar.std[c]!;
      return { wide: Math.abs(wide[i]! - exact), narrow: Math.abs(narrow[i]! - exact) / Math.abs(exact) };
    });
    expect(Math.max(...errors.map((error) => error.wide))).toBeLessThanOrEqual(1e-15);
    expect(Math.max(...errors.map((error) => error.narrow))).toBeLessThanOrEqual(2 ** -23);
  });

  it("puts channels in the order and layout of the model, mean and std following the model's order", () => {
    const image = imageOf(2, 1, 3, Uint8Array.of(1, 2, 3, 4, 5, 6));
    const plain = { scale: 1 };
    expect(written(image, { ...plain })).toEqual([1, 4, 2, 5, 3, 6]);
    expect(written(image, { ...plain, color: "BGR" })).toEqual([3, 6, 2, 5, 1, 4]);
    expect(written(image, { ...plain, color: "BGR", layout: "NHWC", mean: [3, 2, 1] })).toEqual([0, 0, 0, 3, 3, 3]);
    expect(written(image, { preset: "tensorflow" })[0]).toBe((1 - 127.5) / 127.5);
  });

  it("repeats grey over colours and takes Pillow's luma of colours, exact for grey", () => {
    const grey = imageOf(2, 1, 1, Uint8Array.of(9, 200));
    expect(written(grey, { scale: 1 })).toEqual([9, 200, 9, 200, 9, 200]);
    expect(written(grey, { scale: 1, color: "GRAY" })).toEqual([9, 200]);
    expect(
      written(imageOf(3, 1, 3, Uint8Array.of(200, 200, 200, 255, 0, 0, 10, 20, 30)), { scale: 1, color: "GRAY" }),
    ).toEqual([200, 76, 18]);
  });

  it("does not round floats to levels", () => {
    expect(written(imageOf(1, 1, 3, Float64Array.of(0.25, -3, 300.5)), { scale: 2, mean: 1 })).toEqual([-0.5, -7, 600]);
  });

  it("writes at the offset only, and refuses an image of another size", () => {
    const out = new Float32Array(6).fill(9);
    writePixels(plainImage(1, 1, [1, 2, 3]), parsePreprocessing({ width: 1, height: 1, scale: 1 }), out, 2);
    expect([...out]).toEqual([9, 9, 1, 2, 3, 9]);
    expect(() => writePixels(plainImage(2, 1, [1]), parsePreprocessing({ width: 1, height: 1 }), out, 0)).toThrow(
      /1x1 expected, got 2x1/,
    );
  });
});

describe("fitting images", () => {
  const fit = async (image: Image<PixelData>, fields: PartialPreprocessing) => {
    const reading = await fitImage(image, parsePreprocessing({ width: 4, height: 4, ...fields }));
    if ("unreadable" in reading) throw new Error(reading.unreadable);
    return reading.image;
  };
  /** Red on the left half, blue on the right. */
  const halves = (width: number, height: number): Image =>
    imageOf(
      width,
      height,
      3,
      Uint8Array.from({ length: width * height * 3 }, (_, i) =>
        i % 3 === (Math.floor(i / 3) % width < width / 2 ? 0 : 2) ? 200 : 0,
      ),
    );

  it("passes an image of the right size through, the same object", async () => {
    const image = plainImage(4, 4, [1, 2, 3]);
    expect(await fit(image, { resize: "shortest", cropRatio: 0.5 })).toBe(image);
  });

  it("stretches both sides, grey staying one channel", async () => {
    expect(await fit(plainImage(9, 2, [77]), {})).toEqual(plainImage(4, 4, [77]));
    const { data } = await fit(halves(16, 2), { interpolation: "nearest" });
    expect([...data.subarray(0, 12)]).toEqual([200, 0, 0, 200, 0, 0, 0, 0, 200, 0, 0, 200]);
  });

  it("cuts the centre out of an image scaled by its shorter side", async () => {
    const { data, width, height } = await fit(halves(16, 8), { resize: "shortest" });
    expect([width, height]).toEqual([4, 4]);
    expect([...data.subarray(0, 3), ...data.subarray(9, 12)]).toEqual([200, 0, 0, 0, 0, 200]);
    const tall = imageOf(
      2,
      9,
      1,
      Uint8Array.from({ length: 18 }, (_, i) => (Math.floor(i / 2) === 4 ? 255 : 0)),
    );
    const centre = await fit(tall, { resize: "shortest", interpolation: "nearest", color: "GRAY", cropRatio: 1 });
    expect([centre.data[0], Math.max(...centre.data)]).toEqual([0, 255]);
  });

  it("averages when it shrinks", async () => {
    const checker = imageOf(
      8,
      8,
      1,
      Uint8Array.from({ length: 64 }, (_, i) => ((i + (i >> 3)) % 2 === 0 ? 0 : 200)),
    );
    const { data } = await fit(checker, { width: 2, height: 2 });
    expect([...data].every((level) => Math.abs(level - 100) <= 1)).toBe(true);
  });

  it("reports another size as unreadable when resizing is off, and values that are not finite", async () => {
    await expect(fit(plainImage(3, 4, [1]), { resize: "none" })).rejects.toThrow("3x4 pixels, 4x4 expected");
    for (const bad of [NaN, Infinity, -Infinity])
      await expect(fit(imageOf(1, 1, 1, Float32Array.of(bad)), {})).rejects.toThrow("non-finite");
  });
});

it("fails with typed errors only", () => {
  try {
    parsePreprocessing({});
    expect.unreachable();
  } catch (error) {
    expect(isLimberError(error, "config.invalid")).toBe(true);
  }
});
