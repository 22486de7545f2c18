import { sizeOf, type Tensor, tensorOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { Formulation } from "./formulation.js";
import { exchange, type Layer, offsetsOf, pixelRows, spatial } from "./window.js";

/** Largest map, in output pixels, for which the matrix of windows is small beside the kernels. */
const LARGEST_MAP = 100;

const fits = ({ geometry, group }: Layer): boolean =>
  group === 1 && sizeOf(geometry.kernel) > 1 && sizeOf(geometry.output) <= LARGEST_MAP;

/**
 * Small maps: Y = W [M, C·K] · columnsᵀ [C·K, N·L], one product over the whole batch.
 *
 * A convolution per sample reads its kernel N times, and a deep layer's kernel is far larger than its 4×4 map. The output
 * and both gradients in this form share the columns: the runtime merges equal nodes. The kernel stands on the left, since
 * the runtime repacks what stands on the right: for 64 pixels of 512 channels that is half of the time.
 */
export const forwardByColumns: Formulation<Layer> = {
  fits,
  write: (emit, layer) => {
    const { X, W, geometry } = layer;
    const product = emit.fusedMatMul(kernelRows(emit, W), columnsOf(emit, layer), { transB: true });
    return exchange(emit, emit.reshape(product, [W.dims[0]!, X.dims[0]!, ...geometry.output]));
  },
};

/** dW = dY [M, N·L] · columns. */
export const weightByColumns: Formulation = {
  fits,
  write: (emit, convolution) => {
    const { W, dY } = convolution;
    return emit.reshape(emit.matMul(pixelRows(emit, dY), columnsOf(emit, convolution)), W.dims);
  },
};

/** dX: dY · W gives what every column receives, and the transposed matrix of windows adds it up. */
export const inputByColumns: Formulation = {
  fits,
  write: (emit, convolution) => {
    const { X, W, dY, geometry } = convolution;
    const [count, channels] = X.dims as [number, number];
    const [elements, pixels] = [sizeOf(geometry.kernel), sizeOf(geometry.output)];
    const perSample = emit.transpose(emit.reshape(dY, [count, W.dims[0]!, pixels]), [0, 2, 1]);
    const columns = emit.matMul(emit.reshape(perSample, [count * pixels, W.dims[0]!]), kernelRows(emit, W));
    const perChannel = emit.transpose(emit.reshape(columns, [count, pixels, channels * elements]), [0, 2, 1]);
    const windows = emit.reshape(perChannel, [count * channels, elements * pixels]);
    return emit.reshape(emit.fusedMatMul(windows, windowMatrix(emit, convolution), { transB: true }), X.dims);
  },
};

const kernelRows = (emit: Emitter, W: Val): Val => emit.reshape(W, [W.dims[0]!, sizeOf(W.dims) / W.dims[0]!]);

/** What every kernel element sees, as a product with the matrix of windows. Shapes: [N, C, …S] → [N·L, C·K]. */
function columnsOf(emit: Emitter, layer: Layer): Val {
  const { X, geometry } = layer;
  const [count, channels] = X.dims as [number, number];
  const [elements, pixels] = [sizeOf(geometry.kernel), sizeOf(geometry.output)];
  const images = emit.reshape(X, [count * channels, sizeOf(spatial(X))]);
  const windows = emit.matMul(images, windowMatrix(emit, layer));
  const perChannel = emit.reshape(windows, [count, channels * elements, pixels]);
  return emit.reshape(emit.transpose(perChannel, [0, 2, 1]), [count * pixels, channels * elements]);
}

/**
 * Which pixel each kernel element sees from each output pixel, as a matrix of zeros and ones: padding, strides and
 * dilations in one constant. On a small map a product with it is cheaper than the copies that it replaces.
 * Shapes: [H·W, K·L].
 */
function windowMatrix(emit: Emitter, { geometry, X }: Layer): Val {
  const { kernel, output, strides, dilations, padsBegin } = geometry;
  const sizes = spatial(X);
  const key = [X.dtype, sizes, kernel, output, strides, dilations, padsBegin].join(";");
  return emit.shared(`windows:${key}`, () => {
    const offsets = offsetsOf(kernel);
    const places = offsetsOf(output);
    const width = offsets.length * places.length;
    const data = new Float64Array(sizeOf(sizes) * width);
    offsets.forEach((offset, k) => {
      places.forEach((place, o) => {
        const at = place.map((p, i) => p * strides[i]! + offset[i]! * dilations[i]! - padsBegin[i]!);
        if (at.some((a, i) => a < 0 || a >= sizes[i]!)) return;
        const pixel = at.reduce((index, a, i) => index * sizes[i]! + a, 0);
        data[pixel * width + k * places.length + o] = 1;
      });
    });
    const matrix: Tensor = tensorOf(X.dtype, [sizeOf(sizes), width], data);
    return emit.tensor(matrix, "windows");
  });
}
