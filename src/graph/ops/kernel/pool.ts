import { sizeOf } from "../../../base/index.js";
import { poolGeometry } from "../geometry.js";
import type { ReferenceTensor } from "../rule.js";
import { createTensor, type Kernels } from "./support.js";
import { planWindows, type WindowPlan } from "./windows.js";

/** Calls `visit(position, pixel)`, both counted in the whole tensor, for every tap that lies inside of the image. */
function forEachTap(plan: WindowPlan, images: number, visit: (position: number, pixel: number) => void): void {
  const { runs, step, positions, pixels } = plan;
  for (let image = 0; image < images; image++) {
    for (let r = 0; r < runs.length; r += 4) {
      const position = image * positions + runs[r + 1]!;
      const pixel = image * pixels + runs[r + 2]!;
      for (let j = 0; j < runs[r + 3]!; j++) visit(position + j, pixel + j * step);
    }
  }
}

/** A flat row-major index of an image as the column-major one that `storage_order = 1` asks for. */
function columnMajor(index: number, image: readonly number[]): number {
  const size = sizeOf(image);
  let rest = index % size;
  let result = index - rest;
  let stride = size;
  for (let axis = image.length - 1; axis >= 0; axis--) {
    stride /= image[axis]!;
    result += (rest % image[axis]!) * stride;
    rest = Math.floor(rest / image[axis]!);
  }
  return result;
}

/** One value per image and channel. Shapes: [N, C, …spatial] → [N, C, 1, …]. */
function globalPool(X: ReferenceTensor, reduce: (values: Float64Array) => number): ReferenceTensor {
  const y = createTensor(
    X.dtype,
    X.dims.map((d, i) => (i < 2 ? d : 1)),
  );
  const size = sizeOf(X.dims.slice(2));
  y.data.forEach((_, i) => (y.data[i] = reduce(X.data.subarray(i * size, (i + 1) * size))));
  return y;
}

/** (Σ |x|ᵖ)^(1/p). */
const lpNorm = (values: Float64Array, p: number): number =>
  values.reduce((sum, v) => sum + Math.abs(v) ** p, 0) ** (1 / p);

export const poolKernels: Kernels<
  "MaxPool" | "AveragePool" | "LpPool" | "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool"
> = {
  /** Indices count elements of the whole input; the first of equal maxima wins. */
  MaxPool({ X }, { attributes, node }) {
    const geometry = poolGeometry(attributes, X.dims);
    const [images, channels] = X.dims as [number, number];
    const spatial = X.dims.slice(2);
    const plan = planWindows(geometry, spatial, geometry.output);
    const y = createTensor(X.dtype, [images, channels, ...geometry.output]);
    const indices = createTensor("int64", y.dims);
    y.data.fill(-Infinity);
    forEachTap(plan, images * channels, (position, pixel) => {
      if (!(X.data[pixel]! > y.data[position]!)) return;
      y.data[position] = X.data[pixel]!;
      indices.data[position] = pixel;
    });
    if (attributes.int("storage_order", 0) === 1) {
      indices.data.forEach((index, i) => (indices.data[i] = columnMajor(index, spatial)));
    }
    return [y, indices].slice(0, node.outputs.length);
  },

  /** With `count_include_pad` a window counts the padding that it covers, but not what `ceil_mode` adds beyond it. */
  AveragePool({ X }, { attributes }) {
    const geometry = poolGeometry(attributes, X.dims);
    const [images, channels] = X.dims as [number, number];
    const spatial = X.dims.slice(2);
    const y = createTensor(X.dtype, [images, channels, ...geometry.output]);
    forEachTap(planWindows(geometry, spatial, geometry.output), images * channels, (position, pixel) => {
      y.data[position]! += X.data[pixel]!;
    });
    const counts = new Float64Array(sizeOf(geometry.output));
    const counted =
      attributes.int("count_include_pad", 0) === 0
        ? planWindows(geometry, spatial, geometry.output)
        : planWindows(
            { ...geometry, padsBegin: geometry.padsBegin.map(() => 0), padsEnd: geometry.padsEnd.map(() => 0) },
            spatial.map((d, i) => d + geometry.padsBegin[i]! + geometry.padsEnd[i]!),
            geometry.output,
          );
    forEachTap(counted, 1, (position) => {
      counts[position]!++;
    });
    y.data.forEach((sum, i) => (y.data[i] = sum / counts[i % counts.length]!));
    return y;
  },

  LpPool({ X }, { attributes }) {
    const geometry = poolGeometry(attributes, X.dims);
    const [images, channels] = X.dims as [number, number];
    const p = attributes.int("p", 2);
    const y = createTensor(X.dtype, [images, channels, ...geometry.output]);
    forEachTap(planWindows(geometry, X.dims.slice(2), geometry.output), images * channels, (position, pixel) => {
      y.data[position]! += Math.abs(X.data[pixel]!) ** p;
    });
    y.data.forEach((sum, i) => (y.data[i] = sum ** (1 / p)));
    return y;
  },

  GlobalAveragePool: ({ X }) => globalPool(X, (values) => values.reduce((sum, v) => sum + v, 0) / values.length),
  GlobalLpPool: ({ X }, { attributes }) => globalPool(X, (values) => lpNorm(values, attributes.int("p", 2))),
  GlobalMaxPool: ({ X }) => globalPool(X, (values) => values.reduce((max, v) => Math.max(max, v), -Infinity)),
};
