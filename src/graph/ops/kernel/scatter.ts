import { sizeOf } from "../../../base/index.js";
import type { ReferenceTensor } from "../rule.js";
import { normalizeIndex, reductionOf } from "./layout.js";
import { createTensor, type Kernels, stridesOf } from "./support.js";

/** Calls `visit` with the offset in `data` that each row of indices names, rows counted through. */
function forEachRow(
  data: ReferenceTensor,
  indices: ReferenceTensor,
  batch: number,
  visit: (row: number, offset: number) => void,
): void {
  const depth = indices.dims.at(-1)!;
  const strides = stridesOf(data.dims);
  const rows = sizeOf(indices.dims.slice(0, -1));
  const rowsPerBatch = sizeOf(indices.dims.slice(batch, -1));
  const batchSize = sizeOf(data.dims.slice(batch));
  for (let row = 0; row < rows; row++) {
    let offset = Math.floor(row / rowsPerBatch) * batchSize;
    for (let k = 0; k < depth; k++) {
      offset += normalizeIndex(indices.data[row * depth + k]!, data.dims[batch + k]!) * strides[batch + k]!;
    }
    visit(row, offset);
  }
}

export const scatterKernels: Kernels<"GatherND" | "ScatterND" | "Trilu" | "MaxUnpool"> = {
  GatherND({ data, indices }, { attributes }) {
    const batch = attributes.int("batch_dims", 0);
    const rest = data.dims.slice(batch + indices.dims.at(-1)!);
    const y = createTensor(data.dtype, [...indices.dims.slice(0, -1), ...rest]);
    const size = sizeOf(rest);
    forEachRow(data, indices, batch, (row, offset) => {
      y.data.set(data.data.subarray(offset, offset + size), row * size);
    });
    return y;
  },

  ScatterND({ data, indices, updates }, { attributes }) {
    const combine = reductionOf(attributes, "ScatterND reduction");
    const y = createTensor(data.dtype, data.dims, data.data.slice());
    const size = sizeOf(data.dims.slice(indices.dims.at(-1)));
    forEachRow(data, indices, 0, (row, offset) => {
      for (let i = 0; i < size; i++) {
        y.data[offset + i] = combine(y.data[offset + i]!, updates.data[row * size + i]!);
      }
    });
    return y;
  },

  /** Keeps what lies on and above (or below) diagonal k of each matrix. */
  Trilu({ input, k }, { attributes }) {
    const [rows, columns] = input.dims.slice(-2) as [number, number];
    const upper = attributes.int("upper", 1) === 1;
    const diagonal = k?.data[0] ?? 0;
    const isKept = (i: number): boolean => {
      const distance = (i % columns) - (Math.floor(i / columns) % rows);
      return upper ? distance >= diagonal : distance <= diagonal;
    };
    return createTensor(
      input.dtype,
      input.dims,
      input.data.map((x, i) => (isKept(i) ? x : 0)),
    );
  },

  /** Puts each element back to the place in the whole output that its index names; zero elsewhere. */
  MaxUnpool({ X, I, output_shape }, { attributes }) {
    const kernel = attributes.ints("kernel_shape") ?? [];
    const strides = attributes.ints("strides") ?? kernel.map(() => 1);
    const pads = attributes.ints("pads") ?? kernel.flatMap(() => [0, 0]);
    const sizes = kernel.map((k, i) => (X.dims[i + 2]! - 1) * strides[i]! + k - pads[i]! - pads[i + kernel.length]!);
    const y = createTensor(X.dtype, output_shape ? Array.from(output_shape.data) : [...X.dims.slice(0, 2), ...sizes]);
    I.data.forEach((index, i) => (y.data[normalizeIndex(index, y.data.length)] = X.data[i]!));
    return y;
  },
};
