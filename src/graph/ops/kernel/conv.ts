import { convGeometry, convTransposeGeometry } from "../geometry.js";
import type { ReferenceTensor } from "../rule.js";
import { addProduct } from "./gemm.js";
import { createTensor, type Kernels, mismatch } from "./support.js";
import { addColumnsToImage, imageToColumns, planWindows } from "./windows.js";

/** Starts every channel at its bias. Shapes: Y [N, M, …], B [M]. */
function fillBias(y: ReferenceTensor, bias: ReferenceTensor | undefined): void {
  if (!bias) return;
  const [images, channels] = y.dims as [number, number];
  const size = y.data.length / (images * channels);
  for (let i = 0; i < images * channels; i++) y.data.fill(bias.data[i % channels]!, i * size, (i + 1) * size);
}

export const convKernels: Kernels<"Conv" | "ConvTranspose"> = {
  /** Shapes: X [N, C, …spatial], W [M, C/group, …kernel], B [M] → [N, M, …positions]. */
  Conv({ X, W, B }, { attributes }) {
    const groups = attributes.int("group", 1);
    const [images, channels] = X.dims as [number, number];
    const [filters, depth] = W.dims as [number, number];
    if (channels !== depth * groups || filters % groups !== 0)
      throw mismatch(`Conv: channels that fit ${groups} groups`, X.dims, W.dims);
    const geometry = convGeometry(attributes, X.dims, W.dims);
    const plan = planWindows(geometry, X.dims.slice(2), geometry.output);
    const y = createTensor(X.dtype, [images, filters, ...geometry.output]);
    fillBias(y, B);
    const perGroup = filters / groups;
    const k = depth * plan.taps;
    const columns = plan.identity ? X.data : new Float64Array(k * plan.positions);
    for (let i = 0; i < images * groups; i++) {
      const start = i * depth * plan.pixels;
      if (!plan.identity) imageToColumns(plan, X.data, start, depth, columns);
      const a = { data: W.data, offset: (i % groups) * perGroup * k, rowStride: k, columnStride: 1 };
      const b = { data: columns, offset: plan.identity ? start : 0, rowStride: plan.positions, columnStride: 1 };
      addProduct(y.data, i * perGroup * plan.positions, perGroup, plan.positions, k, a, b);
    }
    return y;
  },

  /** The adjoint of Conv in its first input. Shapes: X [N, C, …positions], W [C, M/group, …kernel], B [M] → [N, M, …spatial]. */
  ConvTranspose({ X, W, B }, { attributes }) {
    const groups = attributes.int("group", 1);
    const [images, channels] = X.dims as [number, number];
    const depth = W.dims[1]!;
    if (channels !== W.dims[0] || channels % groups !== 0)
      throw mismatch(`ConvTranspose: channels that fit ${groups} groups`, X.dims, W.dims);
    const geometry = convTransposeGeometry(attributes, X.dims, W.dims);
    const plan = planWindows(geometry, geometry.output, X.dims.slice(2));
    const y = createTensor(X.dtype, [images, depth * groups, ...geometry.output]);
    fillBias(y, B);
    const perGroup = channels / groups;
    const m = depth * plan.taps;
    const columns = new Float64Array(m * plan.positions);
    for (let i = 0; i < images * groups; i++) {
      const a = { data: W.data, offset: (i % groups) * perGroup * m, rowStride: 1, columnStride: m };
      const b = { data: X.data, offset: i * perGroup * plan.positions, rowStride: plan.positions, columnStride: 1 };
      columns.fill(0);
      addProduct(columns, 0, m, plan.positions, perGroup, a, b);
      addColumnsToImage(plan, columns, y.data, i * depth * plan.pixels, depth);
    }
    return y;
  },
};
