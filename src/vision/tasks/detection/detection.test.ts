import { describe, expect, test } from "vitest";
import { isLimberError, tensorOf, type Tensor } from "../../../base/index.js";
import { type Model, OWN_HEADER } from "../../../graph/index.js";
import type { TruthBox } from "../../data/truth.js";
import { type TaskRecord, writeTaskRecord } from "../metadata.js";
import { detection } from "./detection.js";
import { suppress } from "./suppress.js";

const SIZE = { width: 64, height: 48 };
const CLASSES = ["cat", "dog", "bird"];
const K = CLASSES.length;

type Head = NonNullable<TaskRecord["head"]>;

const bare = (dims: readonly (number | string)[]): Model => ({
  ...OWN_HEADER,
  graph: {
    name: "detector",
    inputs: [],
    outputs: [{ name: "boxes", dtype: "float32", dims }],
    nodes: [],
    initializers: new Map(),
    types: new Map(),
  },
});
const open = (head: Head, dims: readonly (number | string)[]) =>
  detection.open(writeTaskRecord(bare(dims), { task: "detection", classes: CLASSES, head }), SIZE);

/** Outputs whose answers are these targets, place by place. Shapes: both [rows, P]. */
const CENTRE_PLACES = 8 * 6 + 4 * 3;
const SSD_PLACES = 3 * CENTRE_PLACES;
const ssdHead = { kind: "ssd", strides: [8, 16], scales: [0.25, 0.5], ratios: [1, 2, 0.5] } as const;
const logit = (p: number): number => Math.log(p / (1 - p));

const KINDS: readonly [
  Head,
  dims: readonly (number | string)[],
  answer: (targets: number[][], row: number, place: number) => number,
][] = [
  [
    { kind: "centre", strides: [8, 16] },
    ["N", 4 + K, CENTRE_PLACES],
    (t, row, p) => (row < 4 ? Math.log(Math.expm1(Math.max(t[row]![p]!, 1e-6))) : t[row]![p]! > 0 ? 6 : -9),
  ],
  [ssdHead, ["N", 5 + K, SSD_PLACES], (t, row, p) => (row < 4 ? t[row]![p]! : 9 * t[row]![p]!)],
  [
    { kind: "fastestdet" },
    ["N", 5 + K, 3, 4],
    (t, row, p) => {
      if (row === 0 || row > 4) return t[row]![p]!;
      const along = (row - 1) % 2;
      const [from, to] = [t[1 + along]![p]!, t[3 + along]![p]!];
      return row < 3 ? Math.atanh((from + to) / 2) : logit((to - from || 1) / [4, 3][along]!);
    },
  ],
];

const BOXES: readonly TruthBox[] = [
  { label: 0, corners: [3, 5, 23, 21] },
  { label: 2, corners: [30, 8, 62, 45] },
  { label: 1, corners: [2, 30, 18, 44] },
];
const truthOf = (...truths: (readonly TruthBox[])[]) => ({
  labels: new Int32Array(truths.length).fill(-1),
  truths: truths.map((boxes) => ({ boxes })),
});
const rowsOf = ({ dims, data }: Pick<Tensor, "dims" | "data">, image: number): number[][] => {
  const [, rows, ...rest] = dims as [number, number, ...number[]];
  const places = rest.reduce((a, b) => a * b);
  const all = Array.from(data as Float32Array);
  return Array.from({ length: rows }, (_, row) =>
    all.slice((image * rows + row) * places, (image * rows + row + 1) * places),
  );
};

describe.each(KINDS)("%o", (head, dims, answer) => {
  const task = open(head, dims);
  const outputFor = (...truths: (readonly TruthBox[])[]): Tensor => {
    const targets = task.encode(truthOf(...truths));
    const values = truths.flatMap((_, image) => {
      const rows = rowsOf(targets, image);
      return rows.flatMap((places, row) => places.map((_, place) => answer(rows, row, place)));
    });
    return tensorOf("float32", targets.dims, values);
  };

  test("targets have the shape of the output, and say what decoding finds", () => {
    const targets = task.encode(truthOf(BOXES, []));
    expect(targets.dims).toEqual([2, ...dims.slice(1)]);
    const [found, nothing] = task.decode(outputFor(BOXES, []));
    const likely = [...found!].filter(({ score }) => score > 0.3).sort((a, b) => a.label - b.label);
    const expected = [...BOXES].sort((a, b) => a.label - b.label);
    expect(likely.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
    likely.forEach(({ corners }, i) =>
      corners.forEach((edge, side) => expect(edge).toBeCloseTo(expected[i]!.corners[side]!, 3)),
    );
    expect(nothing!.filter(({ score }) => score > 0.3)).toEqual([]);
  });

  test("the right boxes have an mAP of 1, none has 0, and the meter says so for each class", () => {
    const meter = task.createMeter();
    meter.add(outputFor(BOXES), truthOf(BOXES));
    expect(meter.read()).toMatchObject({ samples: 1, value: 1, details: { mAP: 1, "AP50 cat": 1, "AP50 bird": 1 } });
    meter.add(outputFor([]), truthOf(BOXES));
    expect(meter.read().value).toBeLessThan(0.52);
  });

  test("labels made from an output with certain boxes are those of its boxes", () => {
    const output = outputFor(BOXES);
    const [found] = task.decode(output);
    const certain = found!.filter(({ score }) => score >= 0.5);
    expect(certain.length).toBeGreaterThanOrEqual(BOXES.length);
    const [made, given] = [task.encode(task.pseudoLabels(output)), task.encode(truthOf(BOXES))];
    const difference = Array.from(made.data as Float32Array, (value, i) => Math.abs(value - Number(given.data[i])));
    expect(Math.max(...difference)).toBeLessThan(1e-3);
  });

  test("what lies in a crowd is neither object nor background", () => {
    const crowd: TruthBox = { label: 0, corners: [0, 0, 64, 48], crowd: true };
    const [object] = BOXES;
    const [with_, without] = [task.encode(truthOf([object!, crowd])), task.encode(truthOf([object!]))];
    const [rows, plain] = [rowsOf(with_, 0), rowsOf(without, 0)];
    const places = rows[0]!.map((_, place) => place);
    const isObject = (place: number): boolean =>
      plain.slice(head.kind === "ssd" ? 5 : 4).some((row) => row[place] === 1);
    const first = head.kind === "fastestdet" ? 0 : 4;
    const ignored = head.kind === "ssd" ? 0 : -1;
    // a prior may reach out of the picture, and so out of the crowd
    const others = places.filter((place) => !isObject(place) && rows[first]![place] !== plain[first]![place]);
    expect(others.length).toBeGreaterThan(places.length / 3);
    expect(others.every((place) => rows[first]![place] === ignored)).toBe(true);
    for (const place of places.filter(isObject))
      expect(rows.map((row) => row[place])).toEqual(plain.map((row) => row[place]));
  });

  test("a model is less sure of chance than of clear boxes, within [0, 1]; where a number is missing it knows nothing", () => {
    const clear = outputFor(BOXES);
    const vague = {
      ...clear,
      data: (clear.data as Float32Array).map((v) => (head.kind === "fastestdet" ? 0.4 : v / 20)),
    };
    const broken = { ...clear, data: (clear.data as Float32Array).map(() => NaN) };
    const [sure, unsure, nothing] = [clear, vague, broken].map((output) => task.uncertainty(output)[0]!);
    expect(sure).toBeGreaterThanOrEqual(0);
    expect(unsure).toBeGreaterThan(sure!);
    expect(unsure).toBeLessThanOrEqual(1);
    expect(nothing).toBe(1);
    expect(task.decode(broken)).toEqual([[]]);
  });

  test("pictures without boxes, and labels beyond the classes, are refused", () => {
    const code = (action: () => unknown): boolean => {
      try {
        action();
        return false;
      } catch (error) {
        return isLimberError(error, "data.invalid");
      }
    };
    expect(code(() => task.encode({ labels: new Int32Array(1), truths: [{}] }))).toBe(true);
    expect(code(() => task.encode({ labels: new Int32Array(1) }))).toBe(true);
    expect(code(() => task.encode(truthOf([{ label: K, corners: [0, 0, 9, 9] }])))).toBe(true);
  });
});

describe("places of an object", () => {
  const task = open({ kind: "centre", strides: [8, 16] }, ["N", 4 + K, CENTRE_PLACES]);
  const owners = (...boxes: TruthBox[]): number[][] =>
    rowsOf(task.encode(truthOf(boxes)), 0)
      .slice(4)
      .map((row) => row.flatMap((value, place) => (value === 1 ? [place] : [])));

  test("are those around its middle, on the level for its size", () => {
    expect(owners({ label: 0, corners: [8, 8, 32, 32] })[0]).toEqual([9, 10, 11, 17, 18, 19, 25, 26, 27]);
    const large = owners({ label: 0, corners: [0, 0, 64, 48] })[0]!;
    expect(large.every((place) => place >= 48)).toBe(true);
    expect(large).not.toHaveLength(0);
  });

  test("go to the smaller of two", () => {
    const [outer, , inner] = owners({ label: 2, corners: [10, 10, 22, 22] }, { label: 0, corners: [4, 4, 28, 28] });
    expect(inner).toEqual([9, 10, 17, 18]);
    expect(outer!.filter((place) => inner!.includes(place))).toEqual([]);
  });

  test("are the nearest one for an object between all of them", () => {
    expect(owners({ label: 1, corners: [14, 14, 18, 18] })[1]).toHaveLength(1);
  });
});

describe("a model", () => {
  const refusal = (model: Model): string => {
    try {
      detection.open(model, SIZE);
    } catch (error) {
      if (isLimberError(error, "method.unsuitable")) return error.message;
    }
    throw new Error("not refused");
  };

  test("without metadata is refused with what to add", () => {
    expect(refusal(bare(["N", 7, 60]))).toMatch(/metadata limber.task such as .*"kind":"centre".*; add it/);
    expect(refusal(writeTaskRecord(bare(["N", 7, 60]), { task: "detection", classes: CLASSES }))).toMatch(/add it/);
  });

  test("whose output is not what its metadata say is refused with both shapes", () => {
    const record = { task: "detection", classes: CLASSES, head: { kind: "centre", strides: [8, 16] } } as const;
    expect(refusal(writeTaskRecord(bare(["N", 7, 61]), record))).toMatch(/\[N,7,60\].*got \[N,7,61\]/);
    const uneven = { ...record, head: { ...ssdHead, scales: [0.5] } };
    expect(refusal(writeTaskRecord(bare(["N", 8, 180]), uneven))).toMatch(/a scale for each of 2 strides/);
  });
});

describe("suppression", () => {
  const box = (left: number, score: number, label = 0) => ({
    label,
    corners: [left, 0, left + 10, 10] as const,
    score,
  });

  test("keeps the best of boxes that overlap, class by class, and the order of equals", () => {
    const boxes = [box(0, 0.5), box(1, 0.9), box(1, 0.4, 1), box(20, 0.5), box(40, 0.5)];
    expect(suppress(boxes)).toEqual([boxes[1], boxes[3], boxes[4], boxes[2]]);
  });

  test("is set by the overlap and ends at the maximum", () => {
    const boxes = [box(0, 0.9), box(5, 0.8), box(30, 0.7)];
    expect(suppress(boxes, { overlap: 0.2 })).toEqual([boxes[0], boxes[2]]);
    expect(suppress(boxes, { maximum: 2 })).toEqual([boxes[0], boxes[1]]);
    expect(suppress([box(0, NaN), box(0, 0.1)])).toEqual([box(0, 0.1)]);
  });
});
