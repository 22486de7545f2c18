import { sizeOf } from "../../../base/index.js";
import { normalizeAxis } from "../geometry.js";
import type { KernelContext, ReferenceTensor } from "../rule.js";
import { mapRows, transpose } from "./gather.js";
import { createTensor, type Kernels, mismatch, numbersOf, withDims } from "./support.js";

type Reduction = (row: Float64Array) => number;

interface ReduceInputs {
  readonly data: ReferenceTensor;
  readonly axes: ReferenceTensor | undefined;
}

/**
 * Reduces the axes named by an input (or, before opset 18, an attribute). When none is named all are reduced,
 * or with `noop_with_empty_axes` none: as in ONNX Runtime each element is then reduced alone, so ReduceL1 gives |x|.
 */
const reduction =
  (reduce: Reduction) =>
  ({ data, axes }: ReduceInputs, { attributes }: KernelContext): ReferenceTensor => {
    const rank = data.dims.length;
    const named = (axes ? numbersOf(axes) : (attributes.ints("axes") ?? [])).map((axis) => normalizeAxis(axis, rank));
    const all = named.length === 0 && attributes.int("noop_with_empty_axes", 0) === 0;
    const reduced = (axis: number): boolean => all || named.includes(axis);
    const order = data.dims.map((_, i) => i).sort((a, b) => Number(reduced(a)) - Number(reduced(b)));
    const rows = transpose(data, order);
    const length = sizeOf(data.dims.filter((_, axis) => reduced(axis)));
    const keepdims = attributes.int("keepdims", 1) === 1;
    const y = createTensor(
      data.dtype,
      data.dims.flatMap((d, i) => (!reduced(i) ? [d] : keepdims ? [1] : [])),
    );
    y.data.forEach((_, r) => (y.data[r] = reduce(rows.data.subarray(r * length, (r + 1) * length))));
    return y;
  };

const total = (row: Float64Array): number => row.reduce((sum, x) => sum + x, 0);
const totalOf =
  (map: (x: number) => number) =>
  (row: Float64Array): number =>
    row.reduce((sum, x) => sum + map(x), 0);
const largest: Reduction = (row) => row.reduce((max, x) => Math.max(max, x), -Infinity);
const smallest: Reduction = (row) => row.reduce((min, x) => Math.min(min, x), Infinity);

/** log Σ eˣ, with the largest x taken out so that nothing overflows. */
function logSumExp(row: Float64Array): number {
  const max = largest(row);
  return Number.isFinite(max) ? max + Math.log(totalOf((x) => Math.exp(x - max))(row)) : max;
}

/** The place of the best element; of equal ones the first, or the last when `select_last_index` is set. */
const argument =
  (better: (x: number, best: number) => boolean) =>
  ({ data }: { readonly data: ReferenceTensor }, { attributes }: KernelContext): ReferenceTensor => {
    const axis = normalizeAxis(attributes.int("axis", 0), data.dims.length);
    const lastWins = attributes.int("select_last_index", 0) === 1;
    const [found] = mapRows(data, axis, [1], (row, [out]) => {
      let best = 0;
      row.forEach((x, i) => {
        if (better(x, row[best]!) || (lastWins && x === row[best])) best = i;
      });
      out![0] = best;
    }) as [ReferenceTensor];
    const dims = attributes.int("keepdims", 1) === 1 ? found.dims : found.dims.toSpliced(axis, 1);
    return withDims({ ...found, dtype: "int64" }, dims);
  };

/** Maps rows along the attribute `axis` to rows of the same length. */
const alongAxis =
  (map: (row: Float64Array, out: Float64Array) => void) =>
  ({ input }: { readonly input: ReferenceTensor }, { attributes }: KernelContext): readonly ReferenceTensor[] => {
    const axis = normalizeAxis(attributes.int("axis", -1), input.dims.length);
    return mapRows(input, axis, [input.dims[axis]!], (row, [out]) => map(row, out!));
  };

type ReduceOp =
  | "ReduceSum"
  | "ReduceMean"
  | "ReduceMax"
  | "ReduceMin"
  | "ReduceProd"
  | "ReduceL1"
  | "ReduceL2"
  | "ReduceSumSquare"
  | "ReduceLogSum"
  | "ReduceLogSumExp"
  | "ArgMax"
  | "ArgMin"
  | "Softmax"
  | "LogSoftmax"
  | "Hardmax"
  | "LpNormalization"
  | "CumSum"
  | "TopK";

export const reduceKernels: Kernels<ReduceOp> = {
  ReduceSum: reduction(total),
  ReduceMean: reduction((row) => total(row) / row.length),
  ReduceMax: reduction(largest),
  ReduceMin: reduction(smallest),
  ReduceProd: reduction((row) => row.reduce((product, x) => product * x, 1)),
  ReduceL1: reduction(totalOf(Math.abs)),
  ReduceL2: reduction((row) => Math.sqrt(totalOf((x) => x * x)(row))),
  ReduceSumSquare: reduction(totalOf((x) => x * x)),
  ReduceLogSum: reduction((row) => Math.log(total(row))),
  ReduceLogSumExp: reduction(logSumExp),
  ArgMax: argument((x, best) => x > best),
  ArgMin: argument((x, best) => x < best),

  Softmax: alongAxis((row, out) => {
    const max = largest(row);
    row.forEach((x, i) => (out[i] = Math.exp(x - max)));
    const sum = total(out);
    out.forEach((e, i) => (out[i] = e / sum));
  }),
  LogSoftmax: alongAxis((row, out) => {
    const normalizer = logSumExp(row);
    row.forEach((x, i) => (out[i] = x - normalizer));
  }),

  /** 1 at the first of the largest. */
  Hardmax: alongAxis((row, out) => {
    out[row.indexOf(largest(row))] = 1;
  }),
  /** x / ‖x‖ₚ, and 0 where the norm is 0. */
  LpNormalization(inputs, context) {
    const p = context.attributes.int("p", 2);
    return alongAxis((row, out) => {
      const norm = p === 1 ? totalOf(Math.abs)(row) : Math.sqrt(totalOf((x) => x * x)(row));
      row.forEach((x, i) => (out[i] = norm === 0 ? 0 : x / norm));
    })(inputs, context);
  },

  CumSum({ x, axis }, { attributes }) {
    const [exclusive, reverse] = [attributes.int("exclusive", 0) === 1, attributes.int("reverse", 0) === 1];
    const at = normalizeAxis(axis.data[0]!, x.dims.length);
    return mapRows(x, at, [x.dims[at]!], (row, [out]) => {
      let sum = 0;
      for (let k = 0; k < row.length; k++) {
        const i = reverse ? row.length - 1 - k : k;
        out![i] = exclusive ? sum : sum + row[i]!;
        sum += row[i]!;
      }
    });
  },

  /** Of equal values the one with the lower index comes first. Differs: `sorted = 0` sorts too, since any order is allowed. */
  TopK({ X, K }, { attributes }) {
    const sign = attributes.int("largest", 1) === 1 ? -1 : 1;
    const count = K.data[0]!;
    const axis = normalizeAxis(attributes.int("axis", -1), X.dims.length);
    if (count > X.dims[axis]!) throw mismatch(`TopK: at least ${count} elements along axis ${axis}`, X.dims);
    const [values, indices] = mapRows(X, axis, [count, count], (row, [best, places]) => {
      const order = Array.from(row, (_, i) => i).sort((i, j) => sign * (row[i]! - row[j]!) || i - j);
      for (let k = 0; k < count; k++) [best![k], places![k]] = [row[order[k]!]!, order[k]!];
    }) as [ReferenceTensor, ReferenceTensor];
    return [values, { ...indices, dtype: "int64" }];
  },
};
