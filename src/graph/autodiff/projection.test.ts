import { expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { maxDifference } from "../../../test/helpers/parity.js";
import type { Graph } from "../ir/index.js";
import { Emitter, type ReferenceTensor } from "../ops/index.js";
import { evaluate } from "../reference/index.js";
import type { Evaluation } from "./descent.js";
import { entropy } from "./losses.js";
import { projected } from "./projection.js";

const golden = readNpzFile(new URL("../../../test/fixtures/methods/replay.npz", import.meta.url).pathname);
const rowOf = (name: string, row: number): Float64Array =>
  (golden.get(name)!.data as Float64Array).slice(row * 40, (row + 1) * 40);

/** What becomes of gradients of two parameters, 30 and 10 numbers of one vector, beside those of another loss. */
function project(gradient: Float64Array, reference: Float64Array): Float64Array {
  const parts = {
    g1: gradient.slice(0, 30),
    g2: gradient.slice(30),
    r1: reference.slice(0, 30),
    r2: reference.slice(30),
  };
  const inputs = Object.entries(parts).map(
    ([name, { length }]) => ({ name, dtype: "float32", dims: [length] }) as const,
  );
  const emit = new Emitter(17, Object.keys(parts));
  const [g1, g2, r1, r2] = inputs.map((input) => emit.value(input.name, input));
  const evaluationOf = (first: typeof g1, second: typeof g2): Evaluation => ({
    ...{ output: first!, loss: first! },
    gradients: new Map([
      ["first", first!],
      ["second", second!],
    ]),
  });
  const at = (_point: unknown, loss: unknown): Evaluation =>
    loss === entropy ? evaluationOf(r1, r2) : evaluationOf(g1, g2);
  const { gradients } = projected(entropy)({ emit, parameters: new Map(), at });
  const base: Graph = { name: "projection", inputs, outputs: [], nodes: [], initializers: new Map(), types: new Map() };
  const outputs = [gradients.get("first")!, gradients.get("second")!];
  const feeds = new Map(
    Object.entries(parts).map(([name, data]): [string, ReferenceTensor] => [
      name,
      { dtype: "float32", dims: [data.length], data },
    ]),
  );
  const found = evaluate(emit.appendTo(base, outputs), feeds, { opset: 17 });
  return Float64Array.from(outputs.flatMap(({ name }) => [...found.get(name)!.data]));
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, at) => sum + value * b[at]!, 0);

test("gradients are what mammoth's A-GEM makes of them, and never raise the other loss", () => {
  const opposed = [0, 1, 2, 3, 4, 5].map((row) => {
    const [gradient, reference] = [rowOf("gradient", row), rowOf("reference", row)];
    const found = project(gradient, reference);
    expect(maxDifference(found, rowOf("projected", row))).toBeLessThan(1e-12);
    expect(dot(found, reference)).toBeGreaterThanOrEqual(-1e-12);
    return dot(gradient, reference) < 0;
  });
  expect(new Set(opposed)).toEqual(new Set([true, false]));
});

test("without gradients of the other loss nothing changes", () => {
  const gradient = rowOf("gradient", 0);
  expect(project(gradient, new Float64Array(40))).toEqual(gradient);
});
