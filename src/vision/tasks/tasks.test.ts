import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { Random, type Tensor, tensorOf } from "../../base/index.js";
import { attr, type Dim, type Model } from "../../graph/index.js";
import type { Mask } from "../data/truth.js";
import { classification } from "./classification/classification.js";
import { writeTaskRecord } from "./metadata.js";
import { imageEntropies, likeliestClasses, placeEntropies } from "./places.js";
import { taskOf } from "./registry.js";
import { createSegmentation, segmentation } from "./segmentation/segmentation.js";

const giving = (dims: readonly Dim[]): Model =>
  modelOf({ inputs: { x: ["N", 3, 4, 6] }, outputs: { y: dims }, nodes: [node("Identity", ["x"], ["y"])] });
const size = { width: 6, height: 4 };
const scores = (dims: readonly number[], values: readonly number[]): Tensor => tensorOf("float32", dims, values);
const maskOf = (width: number, height: number, data: ArrayLike<number>): Mask => ({
  width,
  height,
  data: Uint8Array.from(data),
});

describe("entropy of places", () => {
  it("is Σ -p ln p / ln K, the mean over the places of an image, within 0 and 1", () => {
    const value = fc.double({ min: -40, max: 40, noNaN: true });
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.array(value, { minLength: 24, maxLength: 24 }),
        (classes, drawn) => {
          const output: Tensor = {
            dtype: "float64",
            dims: [2, classes, 2],
            data: Float64Array.from(drawn.slice(0, 4 * classes)),
          };
          const found = placeEntropies(output);
          const expected = [0, 1, 2, 3].map((place) => {
            const [image, at] = [Math.floor(place / 2), place % 2];
            const e = Array.from({ length: classes }, (_, k) => Math.exp(drawn[(image * classes + k) * 2 + at]!));
            const sum = e.reduce((a, b) => a + b, 0);
            return e.reduce((h, v) => h - (v === 0 ? 0 : (v / sum) * Math.log(v / sum)), 0) / Math.log(classes);
          });
          found.forEach((h, i) => {
            expect(h).toBeCloseTo(expected[i]!, 10);
            expect(h).toBeGreaterThanOrEqual(0);
            expect(h).toBeLessThanOrEqual(1);
          });
          imageEntropies(output).forEach((h, i) => expect(h).toBeCloseTo((found[2 * i]! + found[2 * i + 1]!) / 2, 12));
        },
      ),
      { seed: 2, numRuns: 40 },
    );
  });

  it("is 1 for equal scores and where one is not a number, 0 for a certain answer", () => {
    const output = scores([4, 3], [5, 5, 5, 1, NaN, 0, 900, -900, 0, Infinity, 0, 0]);
    expect([...placeEntropies(output)]).toEqual([1, 1, 0, 1]);
    expect([...likeliestClasses(output)]).toEqual([0, -1, 0, 0]);
  });
});

describe("classification", () => {
  const head = classification.open(giving(["N", 3]), size);

  it("labels pictures by number, and refuses those without a label", () => {
    expect(head.encode({ labels: Int32Array.of(2, 0) })).toEqual({
      dtype: "int64",
      dims: [2],
      data: BigInt64Array.of(2n, 0n),
    });
    expect(() => head.encode({ labels: Int32Array.of(2, -1) })).toThrow(/a class for every picture/);
    const wide = classification.open(giving(["N", 3, 1, 1]), size);
    expect(wide.encode({ labels: Int32Array.of(1) }).dims).toEqual([1, 1, 1]);
  });

  it("answers the likeliest class, is unsure by entropy, and teaches itself its answers", () => {
    const output = scores([2, 3], [0, 3, 1, 2, 2, 2]);
    expect(head.decode(output)).toEqual([1, 0]);
    expect([...head.encode(head.pseudoLabels(output)).data]).toEqual([1n, 0n]);
    expect(head.uncertainty(output)[1]).toBe(1);
  });

  it("measures accuracy over all batches, samples without a label left out, a NaN never right", () => {
    const meter = head.createMeter();
    expect(meter.read()).toEqual({ value: 0, samples: 0, details: {} });
    meter.add(scores([3, 3], [0, 3, 1, 2, 0, 0, NaN, 0, 0]), { labels: Int32Array.of(1, 2, 0) });
    meter.add(scores([2, 3], [9, 0, 0, 9, 0, 0]), { labels: Int32Array.of(0, -1) });
    expect(meter.read()).toEqual({ value: 0.5, samples: 4, details: {} });
  });

  it("refuses a model of another kind", () => {
    expect(() => classification.open(giving(["N", 3, 4, 6]), size)).toThrow(/a first output \[N,K\], got \[N,3,4,6\]/);
  });
});

describe("segmentation", () => {
  const K = 3;
  const head = segmentation.open(giving(["N", K, 4, 6]), size);
  const random = new Random(3);
  /** Scores whose largest is at the class given. */
  const certain = (classes: readonly number[], width = 6, height = 4): Tensor => {
    const area = width * height;
    const images = classes.length / area;
    const data = new Float32Array(images * K * area);
    classes.forEach((k, at) => (data[(Math.floor(at / area) * K + k) * area + (at % area)] = 20));
    return { dtype: "float32", dims: [images, K, height, width], data };
  };
  const draw = (count: number, below: number): number[] => Array.from({ length: count }, () => random.int(0, below));

  it("brings masks to the size of the scores by nearest pixels, numbers beyond the classes ignored", () => {
    const mask = maskOf(6, 4, [...[0, 1, 2, 3, 200, 255], ...draw(18, 3)]);
    const targets = head.encode({ labels: Int32Array.of(-1), truths: [{ mask }] });
    expect(targets.dims).toEqual([1, 4, 6]);
    expect(Array.from(targets.data.subarray(0, 6), Number)).toEqual([0, 1, 2, 255, 255, 255]);
    const half = segmentation
      .open(giving(["N", K, 2, 3]), size)
      .encode({ labels: Int32Array.of(-1), truths: [{ mask }] });
    expect(half.dims).toEqual([1, 2, 3]);
    // the middle of each 2 × 2 block rounds to its lower right pixel
    expect(Array.from(half.data, Number)).toEqual([7, 9, 11, 19, 21, 23].map((at) => mask.data[at]));
    expect(() => head.encode({ labels: Int32Array.of(4) })).toThrow(/a mask for every picture/);
  });

  it("finds the size of the scores where only the size of the pictures is known", () => {
    const open = modelOf({
      inputs: { x: ["N", 3, "H", "W"] },
      outputs: ["y"],
      initializers: { w: tensorOf("float32", [K, 3, 2, 2], Array<number>(12 * K).fill(0)) },
      nodes: [node("Conv", ["x", "w"], ["y"], { strides: attr.ints([2, 2]) })],
    });
    const { dims } = segmentation
      .open(open, size)
      .encode({ labels: Int32Array.of(0), truths: [{ mask: maskOf(6, 4, draw(24, 3)) }] });
    expect(dims).toEqual([1, 2, 3]);
  });

  it("measures mIoU from all pixels at once, over the classes that the truth shows", () => {
    const truth = [draw(48, 2), draw(24, 2)].map((labels) => labels.map((k, i) => (i % 7 === 0 ? 255 : k)));
    const answers = [draw(48, 3), draw(24, 3)];
    const meter = head.createMeter();
    truth.forEach((labels, batch) => {
      const masks = Array.from({ length: labels.length / 24 }, (_, i) => ({
        mask: maskOf(6, 4, labels.slice(24 * i, 24 * i + 24)),
      }));
      meter.add(certain(answers[batch]!), { labels: new Int32Array(masks.length), truths: masks });
    });
    const pairs = truth.flat().flatMap((label, i) => (label === 255 ? [] : [[label, answers.flat()[i]!] as const]));
    const iou = (k: number): number =>
      pairs.filter(([t, a]) => t === k && a === k).length / pairs.filter(([t, a]) => t === k || a === k).length;
    const { value, samples, details } = meter.read();
    expect(value).toBeCloseTo((iou(0) + iou(1)) / 2, 12);
    expect(samples).toBe(3);
    expect(details).toEqual({
      pixelAccuracy: pairs.filter(([t, a]) => t === a).length / pairs.length,
      "IoU 0": iou(0),
      "IoU 1": iou(1),
    });
  });

  it("measures at the size of the mask, names classes by the model's record, and counts NaN as no answer", () => {
    const named = writeTaskRecord(giving(["N", K, 1, 2]), { task: "segmentation", classes: ["road", "car", "sky"] });
    const meter = segmentation.open(named, size).createMeter();
    const mask = maskOf(4, 2, [0, 0, 1, 1, 0, 1, 1, 1]);
    meter.add(certain([0, 1], 2, 1), { labels: Int32Array.of(-1), truths: [{ mask }] });
    expect(meter.read().details).toEqual({ pixelAccuracy: 7 / 8, "IoU road": 3 / 4, "IoU car": 4 / 5 });
    const lost = segmentation.open(named, size).createMeter();
    lost.add(scores([1, K, 1, 2], Array<number>(6).fill(NaN)), { labels: Int32Array.of(-1), truths: [{ mask }] });
    expect(lost.read()).toEqual({ value: 0, samples: 1, details: { pixelAccuracy: 0, "IoU road": 0, "IoU car": 0 } });
    expect(segmentation.open(named, size).createMeter().read()).toEqual({
      value: 0,
      samples: 0,
      details: { pixelAccuracy: 0 },
    });
  });

  it("teaches itself only pixels that it is sure of", () => {
    const output = certain([0, 1, 2, 1, 0, 2, ...draw(18, 3)]);
    const unsure = Float32Array.from(output.data as Float32Array).map((v, i) => (i % 24 === 3 ? 1 : v));
    const labels = head.encode(head.pseudoLabels({ ...output, data: unsure }));
    expect(labels.dims).toEqual([1, 4, 6]);
    expect(Array.from(labels.data.subarray(0, 6), Number)).toEqual([0, 1, 2, 255, 0, 2]);
    expect(head.uncertainty({ ...output, data: unsure })[0]).toBeCloseTo(1 / 24, 6);
    expect([...head.decode({ ...output, data: unsure })[0]!.data.subarray(0, 4)]).toEqual([0, 1, 2, 0]);
  });

  it("adds Dice to its loss where asked to", () => {
    expect(head.loss).toMatchObject({ name: "cross-entropy", ignoredLabel: 255 });
    const both = createSegmentation({ dice: 0.5 }).open(giving(["N", K, 4, 6]), size).loss;
    expect(both).toMatchObject({ name: "cross-entropy + dice", targets: "labels", ignoredLabel: 255 });
  });

  it.each([[["N", 10]], [["N", 300, 4, 6]], [["N", 3, 24]]])("refuses a model with outputs %j", (dims) => {
    expect(() => segmentation.open(giving(dims), size)).toThrow(/a first output \[N,K,H,W\] with at most 255 classes/);
  });
});

describe("the task of a model", () => {
  it("is what its record says, else what the shape of its output says", () => {
    expect(taskOf(giving(["N", 10])).name).toBe("classification");
    expect(taskOf(giving(["N", 10, 1, 1])).name).toBe("classification");
    expect(taskOf(giving(["N", 10, 4, 6])).name).toBe("segmentation");
    const record = { task: "detection", classes: ["a"], head: { kind: "centre", strides: [8] } } as const;
    expect(taskOf(writeTaskRecord(giving(["N", 5, 24]), record)).name).toBe("detection");
    expect(() => taskOf(giving(["N", 5, 24]))).toThrow(/or metadata "limber.task", got \[N,5,24\]/);
  });
});
