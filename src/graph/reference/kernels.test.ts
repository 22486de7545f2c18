import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { caseArbitrary, opCases } from "../../../test/helpers/op-cases/index.js";
import { modelOf } from "../../../test/helpers/op-cases/model.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { type Tensor, toNumbers } from "../../base/index.js";
import { OP_TYPES, type OpType, type ReferenceTensor } from "../ops/index.js";
import { evaluate } from "./evaluate.js";

/** Float32 rounding in ONNX Runtime, relative to values of about one. */
const TOLERANCE = 1e-5;

/** Ops in which ONNX Runtime itself is less exact than that: approximations by polynomials, differences of large sums. */
const LOOSE: Partial<Record<OpType, number>> = {};

function expectClose(op: OpType, actual: ReferenceTensor, expected: Tensor): void {
  expect({ dtype: actual.dtype, dims: actual.dims }).toEqual({ dtype: expected.dtype, dims: expected.dims });
  const tolerance = LOOSE[op] ?? TOLERANCE;
  toNumbers(expected).forEach((value, i) => {
    const ours = actual.data[i]!;
    const close =
      Object.is(ours, value) || ours === value || Math.abs(ours - value) <= tolerance * (1 + Math.abs(value));
    if (!close) expect.fail(`${op} element ${i}: ${value} by ONNX Runtime, got ${ours}`);
  });
}

describe("kernels agree with ONNX Runtime", () => {
  test.each(OP_TYPES)("%s", async (op) => {
    const property = fc.asyncProperty(caseArbitrary(opCases[op]), async (opCase) => {
      const { model, node, feeds } = modelOf(op, opCase);
      const ours = evaluate(model, feeds, { outputs: node.outputs });
      const outputs = node.outputs.map((name) => ({ name, dtype: ours.get(name)!.dtype, dims: undefined }));
      const theirs = await runOrt({ ...model, graph: { ...model.graph, outputs } }, feeds);
      for (const name of node.outputs) expectClose(op, ours.get(name)!, theirs.get(name)!);
    });
    await fc.assert(property, { seed: 20, numRuns: 20 });
  });
});
