import type { KernelContext, ReferenceTensor } from "../rule.js";
import { broadcastDims } from "../geometry.js";
import { broadcastTo, transpose } from "./gather.js";
import { addProduct, type MatrixView } from "./gemm.js";
import { createTensor, type Kernels, mismatch, withDims } from "./support.js";

const view = (data: Float64Array, offset: number, columns: number, transposed: boolean): MatrixView =>
  transposed
    ? { data, offset, rowStride: 1, columnStride: columns }
    : { data, offset, rowStride: columns, columnStride: 1 };

/** Where each matrix of a broadcast batch starts. Shapes: batch axes of one operand against those of the result. */
function matrixOffsets(batch: readonly number[], result: readonly number[], size: number): Float64Array {
  const index = createTensor("int64", batch);
  index.data.forEach((_, i) => (index.data[i] = i * size));
  return broadcastTo(index, result).data;
}

/** alpha · op(A) · op(B) over the last two axes, the others broadcast; a vector counts as a row on the left, a column on the right. */
function multiply(a: ReferenceTensor, b: ReferenceTensor, transA = false, transB = false, alpha = 1): ReferenceTensor {
  const aDims = a.dims.length === 1 ? [1, a.dims[0]!] : a.dims;
  const bDims = b.dims.length === 1 ? [b.dims[0]!, 1] : b.dims;
  const [aRows, aColumns] = aDims.slice(-2) as [number, number];
  const [bRows, bColumns] = bDims.slice(-2) as [number, number];
  const flipA = transA && a.dims.length > 1;
  const flipB = transB && b.dims.length > 1;
  const [m, k] = flipA ? [aColumns, aRows] : [aRows, aColumns];
  const [inner, n] = flipB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== inner) throw mismatch("matrices with a common inner size", a.dims, b.dims);
  const batch = broadcastDims(aDims.slice(0, -2), bDims.slice(0, -2));
  const aOffsets = matrixOffsets(aDims.slice(0, -2), batch, m * k);
  const bOffsets = matrixOffsets(bDims.slice(0, -2), batch, k * n);
  const y = createTensor(a.dtype, [...batch, m, n]);
  aOffsets.forEach((offset, i) => {
    const left = view(a.data, offset, aColumns, flipA);
    const right = view(b.data, bOffsets[i]!, bColumns, flipB);
    addProduct(y.data, i * m * n, m, n, k, left, right, alpha);
  });
  return withDims(y, [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])]);
}

/** Moves the first axis behind the batch axes, as `transBatchA` and `transBatchB` ask. */
function batchFirst(tensor: ReferenceTensor, wanted: boolean): ReferenceTensor {
  const rank = tensor.dims.length;
  if (!wanted || rank < 3) return tensor;
  const axes = tensor.dims.map((_, i) => i);
  return transpose(tensor, [...axes.slice(1, -1), 0, rank - 1]);
}

const flag = ({ attributes }: KernelContext, name: string): boolean => attributes.int(name, 0) !== 0;

export const matMulKernels: Kernels<"Gemm" | "MatMul" | "FusedMatMul"> = {
  MatMul: ({ A, B }) => multiply(A, B),

  /** Source: com.microsoft.FusedMatMul in https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. */
  FusedMatMul({ A, B }, context) {
    const a = batchFirst(A, flag(context, "transBatchA"));
    const b = batchFirst(B, flag(context, "transBatchB"));
    return multiply(a, b, flag(context, "transA"), flag(context, "transB"), context.attributes.float("alpha", 1));
  },

  Gemm({ A, B, C }, context) {
    const { attributes } = context;
    const y = multiply(A, B, flag(context, "transA"), flag(context, "transB"), attributes.float("alpha", 1));
    if (!C) return y;
    const beta = attributes.float("beta", 1);
    const bias = broadcastTo(C, y.dims).data;
    bias.forEach((value, i) => (y.data[i]! += beta * value));
    return y;
  },
};
