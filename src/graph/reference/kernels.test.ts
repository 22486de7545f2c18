import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { caseArbitrary, opCases } from "../../../test/helpers/op-cases/index.js";
import { modelOfCases, opsetOf } from "../../../test/helpers/op-cases/model.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { type Tensor, toNumbers } from "../../base/index.js";
import { OP_TYPES, type OpType, type ReferenceTensor } from "../ops/index.js";
import { evaluate } from "./evaluate.js";

/** Float32 rounding in ONNX Runtime, relative to values of about one. */
const TOLERANCE = 1e-5;

/** Cases per session: creating one costs more than running them. A failure shrinks to one case. */
const batchOf = (op: OpType) => fc.array(caseArbitrary(opCases[op]), { minLength: 1, maxLength: 30, size: "max" });

function expectClose(subject: string, actual: ReferenceTensor, expected: Tensor): void {
  expect({ dtype: actual.dtype, dims: actual.dims }, subject).toEqual({ dtype: expected.dtype, dims: expected.dims });
  toNumbers(expected).forEach((value, i) => {
    const ours = actual.data[i]!;
    const close =
      Object.is(ours, value) || Math.abs(ours - value) <= TOLERANCE * (1 + Math.abs(value)) || ours === value;
    if (!close) expect.fail(`${subject} element ${i}: ${value} by ONNX Runtime, got ${ours}`);
  });
}

describe("kernels agree with ONNX Runtime", () => {
  test.each(OP_TYPES)("%s", async (op) => {
    const property = fc.asyncProperty(batchOf(op), async (batch) => {
      for (const opset of new Set(batch.map(opsetOf))) {
        const { model, feeds } = modelOfCases(
          op,
          batch.filter((opCase) => opsetOf(opCase) === opset),
        );
        const names = model.graph.nodes.flatMap((node) => node.outputs);
        const ours = evaluate(model, feeds, { outputs: names });
        const outputs = [...ours].map(([name, { dtype }]) => ({ name, dtype, dims: undefined }));
        const theirs = await runOrt({ ...model, graph: { ...model.graph, outputs } }, feeds);
        for (const name of names) expectClose(`${op} ${name}`, ours.get(name)!, theirs.get(name)!);
      }
    });
    await fc.assert(property, { seed: 20, numRuns: 4 });
  });
});
