import { formatShape } from "../../../base/index.js";
import type { Dim } from "../../ir/index.js";
import { broadcastDims } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { checkStretches, mismatch } from "./dims.js";

const swapLast = (dims: readonly Dim[], swap: boolean): readonly Dim[] =>
  swap && dims.length > 1 ? [...dims.slice(0, -2), dims.at(-1)!, dims.at(-2)!] : dims;

/** Shapes: A [M, K], B [K, N] → [M, N], each after its transposition. */
export const gemm: ShapeRule = (context) => {
  const { attributes, inputs } = context;
  const [a, b, c] = inputs;
  if (!a?.dims || !b?.dims) return a ? [{ dtype: a.dtype, dims: undefined }] : [];
  if (a.dims.length !== 2 || b.dims.length !== 2) {
    throw mismatch(`matrices, got A ${formatShape(a.dims)} and B ${formatShape(b.dims)}`);
  }
  const left = swapLast(a.dims, attributes.int("transA", 0) !== 0);
  const right = swapLast(b.dims, attributes.int("transB", 0) !== 0);
  const dims = multiply(left, right);
  checkStretches("C", c?.dims, dims);
  return [{ dtype: a.dtype, dims }];
};

/** numpy's matmul: leading axes broadcast; vectors gain an axis that the result loses again. */
export const matMul: ShapeRule = (context) => product(context, (dims) => dims);

/** MatMul after transposing the matrices, or moving the first axis into the matrix, of either side. */
export const fusedMatMul: ShapeRule = (context) => {
  const flag = (name: string): boolean => context.attributes.int(name, 0) !== 0;
  return product(context, (dims, side) => {
    const batchFirst = flag(`transBatch${side}`) && dims.length > 2;
    const moved = batchFirst ? [...dims.slice(1, -1), dims[0]!, dims.at(-1)!] : dims;
    return swapLast(moved, flag(`trans${side}`));
  });
};

function product(
  { inputs }: ShapeContext,
  arrange: (dims: readonly Dim[], side: "A" | "B") => readonly Dim[],
): ReturnType<ShapeRule> {
  const [a, b] = inputs;
  if (!a?.dims || !b?.dims) return a ? [{ dtype: a.dtype, dims: undefined }] : [];
  if (a.dims.length === 0 || b.dims.length === 0) {
    throw mismatch(`no scalars, got A ${formatShape(a.dims)} and B ${formatShape(b.dims)}`);
  }
  return [{ dtype: a.dtype, dims: multiply(arrange(a.dims, "A"), arrange(b.dims, "B")) }];
}

function multiply(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const left = a.length === 1 ? [1, a[0]!] : a;
  const right = b.length === 1 ? [b[0]!, 1] : b;
  const [inner, other] = [left.at(-1)!, right.at(-2)!];
  if (typeof inner === "number" && typeof other === "number" && inner !== other) {
    throw mismatch(`equal inner sizes, got ${formatShape(a)} × ${formatShape(b)}`);
  }
  const batch = broadcastDims(left.slice(0, -2), right.slice(0, -2));
  return [...batch, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])];
}
