import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  findGradientMismatch,
  type GradientProblem,
  gradientProblem,
  type ProblemOptions,
} from "../../../test/helpers/gradient-check.js";
import { caseArbitrary, type CaseOf, type OpCase, opCases } from "../../../test/helpers/op-cases/index.js";
import { modelOf } from "../../../test/helpers/op-cases/model.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { isFloat, type Tensor } from "../../base/index.js";
import { attr, DTYPE_CODES } from "../ir/index.js";
import { findGradientObstacle, gradientTable, OP_TYPES, type OpType, toReference } from "../ops/index.js";
import { evaluate } from "./index.js";

/** Cases are small, so the first counterexample is reported as it is. */
const REPORT = { seed: 20261122, endOnFailure: true };
const RUNS = 20;
const RUNS_ORT = 6;
/** Ops with many forms get more draws. */
const MANY: readonly OpType[] = [
  "Conv",
  "ConvTranspose",
  "MaxPool",
  "AveragePool",
  "MatMul",
  "BatchNormalization",
  "Slice",
  "Resize",
];

const DIFFERENTIABLE = OP_TYPES.filter((op) => typeof gradientTable[op] === "function");

/** Statistics outputs of norms have no gradient: the loss reads the first output only. */
const OUTPUTS: Partial<Record<OpType, readonly number[]>> = { BatchNormalization: [0], LayerNormalization: [0] };

/** Cases of the kernels that stand on a kink or a tie, where no derivative exists, drawn elsewhere. */
const SMOOTH: Partial<Record<OpType, CaseOf>> = {
  Sqrt: (draw) => ({ inputs: [draw.floats(draw.dims(3), 0.1, 3)] }),
  Log: (draw) => ({ inputs: [draw.floats(draw.dims(3), 0.1, 3)] }),
  TopK: (draw) => {
    const { inputs, ...rest } = opCases.TopK(draw);
    return { inputs: [draw.distinct(inputs[0]!.dims), inputs[1]], ...rest };
  },
  CastLike: (draw) => ({ inputs: [draw.floats([8]), draw.floats([1])] }),
  Cast: (draw) => ({
    inputs: [draw.floats([8])],
    attributes: { to: attr.int(DTYPE_CODES[draw.pick(["float32", "float64"] as const)]) },
  }),
};

interface Drawn {
  readonly opCase: OpCase;
  readonly seed: number;
  readonly options: ProblemOptions;
}

function drawn(op: OpType): fc.Arbitrary<Drawn> {
  const outputs = OUTPUTS[op];
  return fc
    .tuple(caseArbitrary(SMOOTH[op] ?? opCases[op]), fc.nat(), fc.boolean())
    .map(([opCase, seed, constantScalars]) => ({
      opCase,
      seed,
      options: { constantScalars, ...(outputs && { outputs }) },
    }));
}

/** Discards cases over whole numbers and forms that declare to have no gradient; fast-check draws others for them. */
function problemOf(op: OpType, { opCase, seed, options }: Drawn): GradientProblem {
  fc.pre(opCase.inputs.some((t) => t && isFloat(t.dtype)));
  fc.pre(findGradientObstacle(modelOf(op, opCase).node) === undefined);
  return gradientProblem(op, opCase, seed, options);
}

describe("gradients agree with central differences in float64", () => {
  it.each(DIFFERENTIABLE)("%s", (op) => {
    fc.assert(
      fc.property(drawn(op), (drawn) => {
        expect(findGradientMismatch(problemOf(op, drawn), drawn.seed)).toBeUndefined();
      }),
      { ...REPORT, numRuns: MANY.includes(op) ? 3 * RUNS : RUNS },
    );
  });
});

describe("ONNX Runtime agrees with the reference on gradient graphs", () => {
  it.each(DIFFERENTIABLE)("%s", async (op) => {
    await fc.assert(
      fc.asyncProperty(drawn(op), async (drawn) => {
        const { model, feeds } = problemOf(op, drawn);
        const expected = evaluate(model, feeds);
        const found = await runOrt(model, feeds);
        for (const [name, tensor] of expected)
          expect(relativeError(found.get(name)!, tensor.data)).toBeLessThanOrEqual(1e-4);
      }),
      { ...REPORT, numRuns: RUNS_ORT },
    );
  });
});

/** Ops that read the same since opset 17, whose gradients write ops that do not (reductions, padding, pools). */
const UNCHANGED = ["Conv", "BatchNormalization", "LayerNormalization", "LRN", "MaxPool", "AveragePool", "Max"] as const;

describe("gradient graphs are written in the opset of the model", () => {
  it.each(UNCHANGED.flatMap((op) => [18, 23].map((opset) => [op, opset] as const)))(
    "%s, opset %i",
    async (op, opset) => {
      const newer = drawn(op).map(({ opCase, ...rest }) => ({ ...rest, opCase: { ...opCase, opset } }));
      await fc.assert(
        fc.asyncProperty(newer, async (drawn) => {
          const { model, feeds } = problemOf(op, drawn);
          const found = await runOrt(model, feeds);
          for (const [name, tensor] of evaluate(model, feeds))
            expect(relativeError(found.get(name)!, tensor.data)).toBeLessThanOrEqual(1e-4);
        }),
        { ...REPORT, numRuns: 3 },
      );
    },
  );
});

/** Largest difference, relative to the largest element or to 1. */
function relativeError(found: Tensor, expected: Float64Array): number {
  const scale = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 1);
  return toReference(found).data.reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i]!)), 0) / scale;
}
