import { sizeOf } from "../../../base/index.js";
import type { Emitter, Val } from "../emit.js";
import type { GradientContext, GradientRule, Thunk } from "./rule.js";
import type { Obstacle } from "./terms.js";

interface Product {
  readonly emit: Emitter;
  readonly dY: Val;
  readonly A: Val;
  readonly B: Val;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

/**
 * Both gradients of Y = α · op(A) · op(B) without a transposed copy:
 * d op(A) = α · dY · op(B)ᵀ and d op(B) = α · op(A)ᵀ · dY; where op transposes, the whole product is transposed instead.
 */
function product({ emit, dY, A, B, transA, transB, alpha }: Product): { A: Thunk; B: Thunk } {
  return {
    A: () =>
      transA
        ? emit.fusedMatMul(B, dY, { transA: transB, transB: true, alpha })
        : emit.fusedMatMul(dY, B, { transB: !transB, alpha }),
    B: () =>
      transB
        ? emit.fusedMatMul(dY, A, { transA: true, transB: transA, alpha })
        : emit.fusedMatMul(A, dY, { transA: !transA, alpha }),
  };
}

const rows = (emit: Emitter, a: Val): Val => emit.reshape(a, [sizeOf(a.dims.slice(0, -1)), a.dims[a.dims.length - 1]!]);

/**
 * MatMul under numpy's rules.
 *
 * A vector is a matrix with one row (A) or one column (B). When B is one matrix for a whole batch of A, the batch is
 * folded into the rows, so that dB is one product rather than a sum of many.
 */
export const matMul: GradientRule<"MatMul"> = ({ emit, dY, inputs: { A, B } }) => {
  const left = A.dims.length === 1 ? emit.reshape(A, [1, A.dims[0]!]) : A;
  const right = B.dims.length === 1 ? emit.reshape(B, [B.dims[0]!, 1]) : B;
  const batch = dY.dims.slice(0, dY.dims.length - (A.dims.length > 1 ? 1 : 0) - (B.dims.length > 1 ? 1 : 0));
  const dProduct = emit.reshape(dY, [...batch, left.dims[left.dims.length - 2]!, right.dims[right.dims.length - 1]!]);
  const fold = right.dims.length === 2 && left.dims.length > 2;
  const operands = fold ? { A: rows(emit, left), dY: rows(emit, dProduct) } : { A: left, dY: dProduct };
  const gradients = product({ emit, ...operands, B: right, transA: false, transB: false, alpha: 1 });
  return {
    A: () => (fold ? emit.reshape(gradients.A(), A.dims) : dropAxis(emit, gradients.A(), A, -2)),
    B: () => dropAxis(emit, gradients.B(), B, -1),
  };
};

/** Takes away the axis that a vector operand was given; `axis` counts from the end. */
function dropAxis(emit: Emitter, gradient: Val, operand: Val, axis: -1 | -2): Val {
  return operand.dims.length === 1 ? emit.reshape(gradient, gradient.dims.toSpliced(axis, 1)) : gradient;
}

const flags = ({
  attributes,
}: Pick<GradientContext<"Gemm">, "attributes">): Pick<Product, "transA" | "transB" | "alpha"> => ({
  transA: attributes.int("transA", 0) !== 0,
  transB: attributes.int("transB", 0) !== 0,
  alpha: attributes.float("alpha", 1),
});

export const fusedMatMul: GradientRule<"FusedMatMul"> = ({ emit, dY, attributes, inputs: { A, B } }) =>
  product({ emit, dY, A, B, ...flags({ attributes }) });

export const gemm: GradientRule<"Gemm"> = ({ emit, dY, attributes, inputs: { A, B } }) => ({
  ...product({ emit, dY, A, B, ...flags({ attributes }) }),
  C: () => emit.mul(dY, attributes.float("beta", 1)),
});

export const fusedMatMulObstacle: Obstacle = (attributes) => {
  const batch = ["transBatchA", "transBatchB"].find((name) => attributes.int(name, 0) !== 0);
  return batch && `${batch} = 1`;
};
