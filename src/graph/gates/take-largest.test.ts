import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelOf } from "../../../test/helpers/graph.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { type Tensor, tensorOf } from "../../base/index.js";
import { backward } from "../autodiff/index.js";
import type { Model } from "../ir/index.js";
import { Emitter } from "../ops/index.js";
import { evaluate } from "../reference/index.js";
import { keepLargest, keptCount, takeLargest } from "./take-largest.js";

/** k-takes-all alone, its sum weighted by place as the second output and the gradient of that as the third. */
function graphOf(rows: number, size: number): Model {
  const emit = new Emitter(17, ["scores", "sparsity", "weights"]);
  const type = (dims: number[]) => ({ dtype: "float32" as const, dims });
  const [scores, weights] = ["scores", "weights"].map((name) => emit.value(name, type([rows, size])));
  const kept = takeLargest(emit, scores!, emit.value("sparsity", type([rows])));
  const loss = emit.sumAll(emit.mul(emit.mul(kept, kept), weights!));
  const inputs = { scores: [rows, size], sparsity: [rows], weights: [rows, size] };
  const model = modelOf({ inputs, outputs: [], nodes: emit.nodes });
  const graph = { ...model.graph, types: new Map(emit.types) };
  const found = backward(graph, { loss: loss.name, wrt: ["scores"], emit });
  const names = [kept.name, loss.name, found.get("scores")!.name];
  const outputs = names.map((name) => ({ name, ...emit.types.get(name)! }));
  return { ...model, graph: { ...graph, nodes: emit.nodes, outputs } };
}

const feedsOf = (scores: readonly (readonly number[])[], shares: readonly number[]): Map<string, Tensor> => {
  const dims = [scores.length, scores[0]!.length];
  const weights = Array.from({ length: dims[0]! * dims[1]! }, (_, i) => 1 + (i % 7) / 4);
  return new Map([
    ["scores", tensorOf("float32", dims, scores.flat())],
    ["sparsity", tensorOf("float32", [shares.length], shares)],
    ["weights", tensorOf("float32", dims, weights)],
  ]);
};

describe("keptCount", () => {
  it("is size - floor(s·size) for shares that float32 cannot hold, and never 0", () => {
    expect([0.7, 0.29, 0.58, 0.999].map((s) => keptCount(100, Math.fround(s)))).toEqual([30, 71, 42, 1]);
    expect(keptCount(5, 0.6)).toBe(2);
    expect(keptCount(8, 1)).toBe(1);
  });
});

describe("takeLargest", () => {
  it("keeps the two largest of five at 0.6, as they are", () => {
    const [kept] = [...evaluate(graphOf(1, 5), feedsOf([[0.3, 2, 0.1, 1.5, 0.2]], [0.6])).values()];
    expect([...kept!.data]).toEqual([0, 2, 0, 1.5, 0]);
  });

  it("keeps the exact number where all scores are equal, the first ones, and everything at 0", () => {
    const [kept] = [
      ...evaluate(
        graphOf(2, 4),
        feedsOf(
          [
            [1, 1, 1, 1],
            [0, 0, 0, 1],
          ],
          [0.5, 0],
        ),
      ).values(),
    ];
    expect([...kept!.data]).toEqual([1, 1, 0, 0, 0, 0, 0, 1]);
  });

  it("keeps the same entries in ONNX Runtime, in float64 and on the host, row by row", async () => {
    const model = graphOf(3, 9);
    const grid = fc.integer({ min: 0, max: 6 }).map((n) => n / 2);
    const row = fc.array(grid, { minLength: 9, maxLength: 9 });
    const share = fc.integer({ min: 0, max: 100 }).map((n) => n / 100);
    const property = fc.asyncProperty(
      fc.tuple(row, row, row),
      fc.tuple(share, share, share),
      async (scores, shares) => {
        const feeds = feedsOf(scores, shares);
        const expected = scores.flatMap((all, i) => {
          const stays = new Set(keepLargest(all, shares[i]!));
          return all.map((value, place) => (stays.has(place) ? value : 0));
        });
        const name = model.graph.outputs[0]!.name;
        expect([...evaluate(model, feeds).get(name)!.data]).toEqual(expected);
        expect([...((await runOrt(model, feeds)).get(name)!.data as Float32Array)]).toEqual(expected);
      },
    );
    await fc.assert(property, { numRuns: 25, seed: 5 });
  });

  it("lets gradients through to the kept entries only, as central differences say", () => {
    const model = graphOf(2, 6);
    const scores = [
      [0.4, 1.2, 0.9, 2.1, 0.1, 1.7],
      [3, 0.5, 2.5, 1, 0.2, 1.4],
    ];
    const shares = [0.5, 0.4];
    const lossOf = (changed: number[][]): number =>
      [...evaluate(model, feedsOf(changed, shares)).values()][1]!.data[0]!;
    const gradient = [...[...evaluate(model, feedsOf(scores, shares)).values()][2]!.data];
    const step = 2 ** -10; // exact in float32 around these scores
    scores.forEach((row, r) =>
      row.forEach((_, c) => {
        const moved = (by: number): number[][] =>
          scores.map((each, i) =>
            each.map((value, j) => (i === r && j === c ? Math.fround(value) + by : Math.fround(value))),
          );
        const slope = (lossOf(moved(step)) - lossOf(moved(-step))) / (2 * step);
        expect(gradient[r * 6 + c]).toBeCloseTo(slope, 6);
        expect(gradient[r * 6 + c] !== 0).toBe(keepLargest(row, shares[r]!).includes(c));
      }),
    );
  });
});
