import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { separateStatistics } from "./statistics.js";

test("each normalization gets running statistics of its own over the same data, the first keeps the names", () => {
  const [zeros, ones] = [tensorOf("float32", [2], [0, 0]), tensorOf("float32", [2], [1, 1])];
  const model = modelOf({
    inputs: { x: [4, 2] },
    outputs: ["y"],
    initializers: { scale: ones, bias: zeros, mean: zeros },
    nodes: [
      node("BatchNormalization", ["x", "scale", "bias", "mean", "scale"], ["h"]),
      node("BatchNormalization", ["h", "scale", "bias", "mean", "scale"], ["y"]),
    ],
  });
  const separated = separateStatistics(model);
  expect(separated.graph.nodes.map(({ inputs }) => inputs.slice(1))).toEqual([
    ["scale", "bias", "mean", "scale_1"],
    ["scale", "bias", "mean_1", "scale_2"],
  ]);
  expect(separated.graph.initializers.get("mean_1")).toBe(zeros);
  expect(separated.graph.initializers.get("scale_2")).toBe(ones);
  expect(separateStatistics(separated)).toEqual(separated);
});
