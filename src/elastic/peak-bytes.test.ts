import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { CLASSES, tinyNetwork } from "../../test/helpers/tiny.js";
import { tensorOf } from "../base/index.js";
import { attr, entropy, inferShapes, parametersOf, sgd } from "../graph/index.js";
import { peakGraphBytes, peakStepBytes, weightBytes } from "./peak-bytes.js";

describe("peakGraphBytes", () => {
  const { graph } = inferShapes(
    modelOf({
      inputs: { x: [1, 4] },
      outputs: { y: [4, 2] },
      initializers: {
        w: tensorOf("float32", [4, 4], Array<number>(16).fill(1)),
        shape: tensorOf("int64", [2], [4, 1]),
      },
      nodes: [
        node("MatMul", ["x", "w"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("Reshape", ["r", "shape"], ["v"]),
        node("Concat", ["v", "v"], ["y"], { axis: attr.int(1) }),
      ],
    }),
  );
  const constant = 64 + 16 + 16;

  test("holds a value from its node to its last reader, and a view with what it looks at", () => {
    expect(peakGraphBytes(graph)).toBe(constant + 16 + 32);
  });

  test("counts nothing for what is written over an input", () => {
    expect(peakGraphBytes(graph, new Set(["y"]))).toBe(constant + 16 + 16);
  });
});

describe("peakStepBytes", () => {
  const network = tinyNetwork();
  const parameters = parametersOf(network).map(({ name }) => name);
  const plan = (names: readonly string[]) =>
    ({
      statistics: { sourceWeight: 0, variance: "biased" },
      train: { loss: entropy, optimizer: sgd({ momentum: 0.9 }), parameters: names },
    }) as const;
  const ofBatch = (size: number, names: readonly string[]): number =>
    peakStepBytes(network, plan(names), [size, 3, 16, 16]);

  test("grows evenly with the batch, for which a step keeps its activations", () => {
    const [two, four, six] = [2, 4, 6].map((size) => ofBatch(size, parameters));
    expect((six! - four!) / (four! - two!)).toBeCloseTo(1, 2);
    expect(six! - four!).toBeGreaterThan(4 * 2 * CLASSES);
    expect(two).toBeGreaterThan(2 * weightBytes(network.graph));
  });

  test("is less where less trains, and least where nothing does", () => {
    const [all, last] = [ofBatch(4, parameters), ofBatch(4, parameters.slice(-2))];
    const none = peakStepBytes(network, { statistics: "fixed" }, [4, 3, 16, 16]);
    expect(last).toBeLessThan(all);
    expect(none).toBeLessThan(last);
  });
});
