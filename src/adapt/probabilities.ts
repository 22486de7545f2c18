import type { RunTensor } from "../run/node.js";
import { argmaxRow, softmaxRow } from "./rows.js";

/** What a model makes of one image, a map of predictions being averaged over its places. */
export interface Certainty {
  /** The likeliest class, and its probability. */
  readonly label: number;
  readonly confidence: number;
  /** -Σ p log(p + ε). Units: nats. */
  readonly entropy: number;
}

/** Shapes: logits [N, K] or [N, K, …]; one entry for each of N. */
export function certaintyOf({ dims, data }: RunTensor, epsilon = 0): Certainty[] {
  const [images, classes] = dims as [number, number];
  const places = data.length / (images * classes);
  return Array.from({ length: images }, (_, image) => {
    const mean = new Float64Array(classes);
    let [confidence, entropy] = [0, 0];
    for (let place = 0; place < places; place++) {
      const p = softmaxRow(mean.map((_, k) => Number(data[(image * classes + k) * places + place])));
      p.forEach((value, k) => {
        mean[k]! += value / places;
        if (value > 0) entropy -= (value * Math.log(value + epsilon)) / places;
      });
      confidence += Math.max(...p) / places;
    }
    return { label: argmaxRow(mean), confidence, entropy };
  });
}

/** Number by number; doubles stay doubles, as the float64 reference has them. */
export function mapNumbers(values: RunTensor, change: (value: number, at: number) => number): RunTensor {
  const data = Float64Array.from(values.data as Float32Array, change);
  return { ...values, data: values.data instanceof Float64Array ? data : Float32Array.from(data) };
}

/** Softmax over the classes. Shapes: [N, K, …] → [N, K, …]. */
export function probabilitiesOf(logits: RunTensor): RunTensor {
  const { dims, data } = logits;
  const classes = dims[1]!;
  const places = data.length / (dims[0]! * classes);
  const columns = Array.from({ length: dims[0]! * places }, (_, column) => {
    const start = Math.floor(column / places) * classes * places + (column % places);
    return softmaxRow(Float64Array.from({ length: classes }, (_, k) => Number(data[start + k * places])));
  });
  return mapNumbers(logits, (_, at) => {
    const [image, k] = [Math.floor(at / (classes * places)), Math.floor(at / places) % classes];
    return columns[image * places + (at % places)]![k]!;
  });
}

/** The likeliest class of each image or place. Shapes: [N, K, …] → [N, …]. */
export function likeliest({ dims, data }: RunTensor): RunTensor {
  const [images, classes, ...rest] = dims as [number, number, ...number[]];
  const places = rest.reduce((n, d) => n * d, 1);
  const labels = new BigInt64Array(images * places);
  for (let at = 0; at < labels.length; at++) {
    const start = Math.floor(at / places) * classes * places + (at % places);
    let best = 0;
    for (let k = 1; k < classes; k++)
      if (Number(data[start + k * places]) > Number(data[start + best * places])) best = k;
    labels[at] = BigInt(best);
  }
  return { dtype: "int64", dims: [images, ...rest], data: labels };
}
