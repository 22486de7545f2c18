import { describe, expect, test } from "vitest";
import { smallNetwork } from "../../../test/helpers/tiny.js";
import type { Model, Node } from "../ir/index.js";
import { haveSameStructure, weightsOf } from "./index.js";

const model = smallNetwork(1);
const withGraph = (change: Partial<Model["graph"]>): Model => ({ ...model, graph: { ...model.graph, ...change } });
const [first, ...rest] = model.graph.nodes as [Node, ...Node[]];
const [weight] = weightsOf(model) as [string];
const tensor = model.graph.initializers.get(weight)!;
const withWeight = (changed: typeof tensor): Model =>
  withGraph({ initializers: new Map([...model.graph.initializers, [weight, changed]]) });

describe("haveSameStructure", () => {
  test("looks neither at the values of weights nor at metadata", () => {
    expect(haveSameStructure(model, smallNetwork(2))).toBe(true);
    expect(haveSameStructure(model, { ...model, metadata: new Map([["a", "b"]]) })).toBe(true);
  });

  test.each<[string, Model]>([
    ["an attribute", withGraph({ nodes: [{ ...first, attributes: { other: { kind: "int", value: 1 } } }, ...rest] })],
    ["a node that is missing", withGraph({ nodes: rest })],
    ["the shape of a weight", withWeight({ ...tensor, dims: [tensor.data.length] })],
    ["a weight that is missing", withGraph({ initializers: new Map([...model.graph.initializers].slice(1)) })],
    ["a further constant", withGraph({ initializers: new Map([...model.graph.initializers, ["c", tensor]]) })],
    ["an input", withGraph({ inputs: [] })],
    ["the opset", { ...model, opsets: new Map([["", 18]]) }],
  ])("sees %s", (_, other) => {
    expect(haveSameStructure(model, other)).toBe(false);
    expect(haveSameStructure(other, model)).toBe(false);
  });
});
