import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { caseArbitrary, opCases } from "../../../test/helpers/op-cases/index.js";
import { modelOf as modelOfCase } from "../../../test/helpers/op-cases/model.js";
import { attr, type Model, checkGraph } from "../ir/index.js";
import { evaluate } from "../reference/index.js";
import { composeOps, type ComposedOp } from "./compose.js";
import { inferShapes } from "./shapes.js";

const OPS: readonly ComposedOp[] = ["BatchNormalization", "FusedMatMul", "LogSoftmax", "Sum"];
const opsOf = (model: Model): string[] => model.graph.nodes.map(({ op }) => op);

describe("composeOps", () => {
  test.each(OPS)("writes %s in other ops that compute the same", (op) => {
    let composed = 0;
    fc.assert(
      fc.property(caseArbitrary(opCases[op]), (opCase) => {
        const { model, feeds } = modelOfCase(op, opCase);
        const outputs = model.graph.nodes[0]!.outputs.map((name) => ({
          name,
          dtype: "float32" as const,
          dims: undefined,
        }));
        const before = inferShapes({ ...model, graph: { ...model.graph, outputs } });
        const after = composeOps(before, [op]);
        checkGraph(after.graph);
        if (!opsOf(after).includes(op)) composed++;
        const [want, got] = [evaluate(before, feeds), evaluate(after, feeds)];
        for (const [name, { dims, data }] of want) {
          expect(got.get(name)?.dims).toEqual(dims);
          data.forEach((value, i) => expect(got.get(name)!.data[i]).toBeCloseTo(value, 8));
        }
      }),
      { seed: 5, numRuns: 50 },
    );
    expect(composed).toBeGreaterThan(15);
  });

  test("leaves other ops alone, those without static shapes too, and changes nothing the second time", () => {
    const model = modelOf({
      inputs: { x: [2, 3], y: ["n", 3] },
      outputs: ["a", "b", "c"],
      nodes: [
        node("LogSoftmax", ["x"], ["a"], { axis: attr.int(1) }),
        node("LogSoftmax", ["y"], ["b"], { axis: attr.int(1) }),
        node("Softmax", ["x"], ["c"], { axis: attr.int(1) }),
      ],
    });
    const once = composeOps(inferShapes(model), OPS);
    expect(opsOf(once).filter((op) => op.endsWith("Softmax"))).toEqual(["LogSoftmax", "Softmax"]);
    expect(composeOps(once, OPS).graph.nodes).toEqual(once.graph.nodes);
  });
});
