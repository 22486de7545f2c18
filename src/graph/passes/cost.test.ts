import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { type Tensor, zeros } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { costOf } from "./cost.js";
import { inferShapes } from "./shapes.js";

const weight = (...dims: number[]) => zeros("float32", dims);

/** The layers of ResNet-20 in a chain: shortcuts without weights cost nothing. */
function resNet20(): Model {
  const stages = [16, 32, 64];
  const convs = stages.flatMap((width, stage) => {
    const first = { from: stage === 0 ? 3 : stages[stage - 1]!, to: width, stride: stage === 0 ? 1 : 2 };
    return [first, ...Array.from({ length: stage === 0 ? 6 : 5 }, () => ({ from: width, to: width, stride: 1 }))];
  });
  const initializers: Record<string, Tensor> = { w: weight(10, 64), b: weight(10) };
  const nodes = convs.flatMap(({ from, to, stride }, i) => {
    initializers[`w${i}`] = weight(to, from, 3, 3);
    for (const name of ["scale", "bias", "mean", "variance"]) initializers[`${name}${i}`] = weight(to);
    const attributes = { pads: attr.ints([1, 1, 1, 1]), strides: attr.ints([stride, stride]) };
    const statistics = ["scale", "bias", "mean", "variance"].map((name) => `${name}${i}`);
    return [
      node("Conv", [`x${i}`, `w${i}`], [`c${i}`], attributes),
      node("BatchNormalization", [`c${i}`, ...statistics], [`x${i + 1}`]),
    ];
  });
  const head = [
    node("GlobalAveragePool", [`x${convs.length}`], ["pooled"]),
    node("Flatten", ["pooled"], ["features"]),
    node("Gemm", ["features", "w", "b"], ["logits"], { transB: attr.int(1) }),
  ];
  return modelOf({ inputs: { x0: ["N", 3, 32, 32] }, outputs: ["logits"], initializers, nodes: [...nodes, ...head] });
}

describe("costOf", () => {
  test("ResNet-20 takes the MACs and parameters that the field counts", () => {
    const cost = costOf(inferShapes(resNet20(), { batch: 1 }));
    expect(cost).toMatchObject({ macs: 40_551_040, parameters: 269_722, uncounted: [] });
    expect(costOf(inferShapes(resNet20(), { batch: 3 })).macs).toBe(3 * 40_551_040);
  });

  test.each([
    [
      "grouped, strided Conv",
      node("Conv", ["x", "w"], ["y"], {
        group: attr.int(2),
        strides: attr.ints([2, 2]),
        pads: attr.ints([1, 1, 1, 1]),
      }),
      [2, 4, 8, 8],
      weight(6, 2, 3, 3),
      2 * 6 * 4 * 4 * 2 * 9,
    ],
    [
      "ConvTranspose",
      node("ConvTranspose", ["x", "w"], ["y"], { strides: attr.ints([2, 2]) }),
      [2, 4, 8, 8],
      weight(4, 6, 2, 2),
      2 * 4 * 8 * 8 * 6 * 4,
    ],
    ["Gemm", node("Gemm", ["x", "w"], ["y"], { transB: attr.int(1) }), [2, 5], weight(7, 5), 2 * 5 * 7],
    ["batched MatMul", node("MatMul", ["x", "w"], ["y"]), [3, 2, 5], weight(5, 7), 3 * 2 * 5 * 7],
    ["an elementwise op", node("Mul", ["x", "w"], ["y"]), [2, 5], weight(5), 0],
  ])("counts the products of %s", (_, call, dims, w, macs) => {
    const model = modelOf({ inputs: { x: dims }, outputs: ["y"], initializers: { w }, nodes: [call] });
    expect(costOf(inferShapes(model)).macs).toBe(macs);
  });

  test("bytes are those read and written; a shared weight is a parameter once, statistics and bounds never", () => {
    const model = modelOf({
      inputs: { x: [2, 3] },
      outputs: ["z"],
      initializers: { w: weight(3), mean: weight(3), variance: weight(3), min: weight() },
      nodes: [
        node("BatchNormalization", ["x", "w", "w", "mean", "variance"], ["y"]),
        node("Clip", ["y", "min"], ["z"]),
      ],
    });
    const cost = costOf(inferShapes(model));
    expect(cost.parameters).toBe(3);
    expect(cost.nodes.map((n) => n.sizeBytes)).toEqual([4 * (6 + 4 * 3 + 6), 4 * (6 + 1 + 6)]);
  });

  test("names nodes that cannot be counted", () => {
    const model = modelOf({
      inputs: { x: ["N", 3] },
      outputs: ["z"],
      nodes: [node("Relu", ["x"], ["y"]), node("Telepathy", ["y"], ["z"])],
    });
    expect(costOf(inferShapes(model)).uncounted.map(({ op }) => op)).toEqual(["Relu", "Telepathy"]);
    expect(costOf(inferShapes(model, { batch: 1 })).uncounted.map(({ op }) => op)).toEqual(["Telepathy"]);
  });
});
