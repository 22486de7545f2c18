import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { readNpzFile } from "../../test/helpers/npz.js";
import { type FloatTensor, Random } from "../base/index.js";
import { parsePreprocessing } from "./preprocess/preprocessing.js";
import { applyView, type ColourChange, drawView, type View } from "./views.js";

const folder = new URL("../../test/fixtures/methods/", import.meta.url);
interface RecordedView {
  readonly colours: readonly [ColourChange["kind"], number][];
  readonly placement: [number, number, number, number, boolean] | null;
  readonly blur: number;
}
const recorded = (JSON.parse(readFileSync(new URL("methods.json", folder), "utf8")) as { views: RecordedView[] }).views;
const PLAIN = parsePreprocessing({ width: 12, height: 10, mean: 0, std: 1 });
const IDENTITY: View = { colours: [], blur: 0.001, noise: 0 };

describe("a view", () => {
  const golden = readNpzFile(new URL("views.npz", folder).pathname);
  const images = golden.get("images") as FloatTensor;

  test.each(recorded.map((view, index) => [index, view] as const))(
    "is what torchvision's functions make of the same settings: %d",
    (index, { colours, placement, blur }) => {
      const [degrees, dx, dy, scale, mirrored] = placement ?? [0, 0, 0, 1, false];
      const view: View = {
        colours: colours.map(([kind, amount]) => ({ kind, amount })),
        ...(placement && { placement: { degrees, dx, dy, scale, mirrored } }),
        ...{ blur, noise: 0 },
      };
      const found = applyView(images, PLAIN, view, new Random(1));
      expect(maxDifference(found.data, golden.get(`view.${index}`)!.data as Float64Array)).toBeLessThan(1e-6);
    },
  );

  test.each([
    ["of ImageNet's statistics", { preset: "imagenet" as const }],
    ["in the order of blue, green, red", { color: "BGR" as const, mean: [0.1, 0.2, 0.3], std: [1, 2, 3] }],
    ["with channels last", { layout: "NHWC" as const, mean: 0.5, std: 0.25 }],
    ["in grey", { color: "GRAY" as const, scale: 1, mean: 127.5, std: 127.5 }],
  ])("undoes and redoes a preprocessing %s", (_, fields) => {
    const preprocessing = parsePreprocessing({ ...fields, width: 5, height: 4 });
    const channels = preprocessing.color === "GRAY" ? 1 : 3;
    const [mean, std] = [preprocessing.mean, preprocessing.std];
    const random = new Random(3);
    const dims = preprocessing.layout === "NCHW" ? [2, channels, 4, 5] : [2, 4, 5, channels];
    const data = Float32Array.from({ length: 2 * channels * 20 }, (_, i) => {
      const c = preprocessing.layout === "NCHW" ? Math.floor(i / 20) % channels : i % channels;
      return (random.int(0, 256) * preprocessing.scale - (mean[c] ?? mean[0]!)) / (std[c] ?? std[0]!);
    });
    const same = applyView({ dtype: "float32", dims, data }, preprocessing, IDENTITY, random);
    expect(maxDifference(same.data, data)).toBeLessThan(1e-5);
  });

  test("drawn with one seed is one view; noise differs from image to image", () => {
    const view = drawView(PLAIN, new Random(7));
    expect(drawView(PLAIN, new Random(7))).toEqual(view);
    expect(drawView(PLAIN, new Random(8))).not.toEqual(view);
    const twice: FloatTensor = {
      ...images,
      data: Float64Array.from({ length: 720 }, (_, i) => images.data[i % 360]!),
    };
    const { data } = applyView(twice, PLAIN, view, new Random(9));
    const distance = maxDifference(data.slice(0, 360), data.slice(360));
    expect(distance).toBeGreaterThan(0.001);
    expect(distance).toBeLessThan(0.06);
  });

  test("leaves everything in its place where asked to, and stays within levels of 0 and 1", () => {
    const random = new Random(4);
    for (let trial = 0; trial < 20; trial++) {
      const view = drawView(PLAIN, random, { placement: false, soft: trial % 2 === 0 });
      expect(view.placement).toBeUndefined();
      const { data } = applyView(images, PLAIN, drawView(PLAIN, random), random);
      expect(Math.min(...data)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...data)).toBeLessThanOrEqual(1);
    }
  });
});
