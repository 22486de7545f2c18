import { describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import type { Graph } from "../ir/index.js";
import { Emitter, type ReferenceTensor } from "../ops/index.js";
import { evaluate } from "../reference/index.js";
import { backward } from "./backward.js";
import { distillation, type DistillationOptions } from "./distillation.js";

const [N, K, SIDE] = [3, 4, 2];
const random = new Random(11);
const draw = (dims: readonly number[]): ReferenceTensor => ({
  dtype: "float32",
  dims,
  data: Float64Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal(0, 2)),
});
const AGES: ReferenceTensor = { dtype: "float32", dims: [N], data: Float64Array.of(0, 3, 40) };

/** Value and gradient with respect to the student's logits. */
function evaluateLoss(options: DistillationOptions, student: ReferenceTensor, teacher: ReferenceTensor) {
  const refuse = (): never => {
    throw new Error("not asked for");
  };
  const emit = new Emitter(17, ["student", "teacher", "ages"]);
  const infos = Object.entries({ student, teacher, ages: AGES }).map(
    ([name, { dims }]) => ({ name, dtype: "float32", dims }) as const,
  );
  const [output, targets, ages] = infos.map((info) => emit.value(info.name, info));
  const value = distillation(options).build({
    ...{ emit, output: output!, targets, unperturbed: undefined, parameters: [], input: () => ages! },
    ...{ value: refuse, carry: refuse, pass: refuse, measure: refuse, onlyIf: refuse },
  });
  const base: Graph = {
    name: "loss",
    inputs: infos,
    outputs: [],
    nodes: [],
    initializers: new Map(),
    types: new Map(),
  };
  const gradient = backward(emit.appendTo(base), { loss: value.name, wrt: ["student"], emit }).get("student")!;
  const feeds = new Map(Object.entries({ student, teacher, ages: AGES }));
  const found = evaluate(emit.appendTo(base, [value, gradient]), feeds, { opset: 17 });
  return { value: found.get(value.name)!.data[0]!, gradient: found.get(gradient.name)!.data };
}

/** Place by place, from the formulas alone. */
function expectedLoss(options: DistillationOptions, student: ReferenceTensor, teacher: ReferenceTensor): number {
  const places = student.data.length / (N * K);
  const softmaxAt = ({ data }: ReferenceTensor, n: number, place: number): number[] => {
    const exponentials = Array.from({ length: K }, (_, k) => Math.exp(data[(n * K + k) * places + place]!));
    const sum = exponentials.reduce((a, b) => a + b);
    return exponentials.map((value) => value / sum);
  };
  const crossEntropy = (q: number[], p: number[]): number =>
    -q.reduce((sum, value, k) => sum + value * Math.log(p[k]!), 0);
  let total = 0;
  for (let n = 0; n < N; n++) {
    for (let place = 0; place < places; place++) {
      const [p, soft] = [softmaxAt(student, n, place), softmaxAt(teacher, n, place)];
      const best = soft.indexOf(Math.max(...soft));
      if (soft[best]! < (options.confidence ?? 0)) continue;
      const q = options.labels === "hard" ? soft.map((_, k) => Number(k === best)) : soft;
      const each = options.symmetric ? (crossEntropy(q, p) + crossEntropy(p, soft)) / 2 : crossEntropy(q, p);
      const age = AGES.data[n]! / (options.lifetime ?? 1);
      total += each * (options.lifetime === undefined ? 1 : Math.exp(-age) / (1 + Math.exp(-age)));
    }
  }
  return total / (N * places);
}

const OPTIONS: readonly DistillationOptions[] = [
  {},
  { labels: "hard", confidence: 0.8 },
  { confidence: 0.6 },
  { symmetric: true },
  { lifetime: 8 },
  { labels: "hard", confidence: 0.5, lifetime: 4 },
];

describe.each([
  ["of images", [N, K]],
  ["of maps", [N, K, SIDE, SIDE]],
])("distillation %s", (_, dims) => {
  test.each(OPTIONS)("with %j is the mean of its formula, its gradient that of central differences", (options) => {
    const [student, teacher] = [draw(dims), draw(dims)];
    const { value, gradient } = evaluateLoss(options, student, teacher);
    expect(value).toBeCloseTo(expectedLoss(options, student, teacher), 12);
    expect(gradient.some((v) => v !== 0)).toBe(true);
    const h = 1e-5;
    gradient.forEach((slope, at) => {
      const moved = (by: number): ReferenceTensor => ({
        ...student,
        data: student.data.map((v, i) => (i === at ? v + by : v)),
      });
      const difference = expectedLoss(options, moved(h), teacher) - expectedLoss(options, moved(-h), teacher);
      expect(slope).toBeCloseTo(difference / (2 * h), 8);
    });
  });

  test("follows nobody where the teacher is never sure", () => {
    const { value, gradient } = evaluateLoss({ confidence: 1.1 }, draw(dims), draw(dims));
    expect(value).toBeCloseTo(0, 15);
    expect(gradient.every((v) => v === 0)).toBe(true);
  });
});
