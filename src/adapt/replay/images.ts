import { invariant } from "../../base/index.js";
import type { RunTensor } from "../../run/node.js";

/** One image out of a batch, as a copy. Shapes: [N, C, H, W] → [C, H, W]. */
export function imageAt({ dims, data, dtype }: RunTensor, index: number): RunTensor {
  const size = data.length / dims[0]!;
  return { dtype, dims: dims.slice(1), data: data.slice(index * size, (index + 1) * size) };
}

/** Images of one shape as a batch. Shapes: N of [C, H, W] → [N, C, H, W]. */
export function stackImages(images: readonly RunTensor[]): RunTensor {
  const { dims } = images[0]!;
  const size = dims.reduce((n, d) => n * d, 1);
  const data = new Float32Array(images.length * size);
  images.forEach((image, index) => {
    invariant(image.data.length === size, "images of one shape");
    data.set(image.data as Float32Array, index * size);
  });
  return { dtype: "float32", dims: [images.length, ...dims], data };
}

/** Changes each image on its own, as a batch of one. Shapes: [N, …] → [N, …]. */
export function mapImages(batch: RunTensor, change: (image: RunTensor) => RunTensor): RunTensor {
  const { dims } = batch;
  const changed = Array.from({ length: dims[0]! }, (_, index) =>
    change({ ...imageAt(batch, index), dims: dims.with(0, 1) }),
  );
  return stackImages(changed.map((image) => imageAt(image, 0)));
}

/** As many images from the start of a batch, again from its start where it has fewer. Shapes: [N, …] → [count, …]. */
export function firstImages(batch: RunTensor, count: number): RunTensor {
  const size = batch.dims[0]!;
  if (size === count) return batch;
  return stackImages(Array.from({ length: count }, (_, index) => imageAt(batch, index % size)));
}
