import { invariant, type Tensor } from "../../base/index.js";

/** Scores of classes, read place by place. Shapes: [N, K, …]. */
interface Scores {
  readonly images: number;
  readonly classes: number;
  /** Of one image. */
  readonly places: number;
  readonly data: Float32Array | Float64Array;
}

function scoresOf({ dims, data }: Tensor): Scores {
  invariant(data instanceof Float32Array || data instanceof Float64Array, "scores are floats");
  const [images, classes] = dims as [number, number];
  return { images, classes, places: data.length / (images * classes), data };
}

/** Calls back for each place of each image with the position of its first score; those of the next classes lie `places` apart. */
function eachPlace({ images, classes, places }: Scores, visit: (start: number, to: number) => void): void {
  for (let image = 0, to = 0; image < images; image++) {
    for (let place = 0; place < places; place++, to++) visit(image * classes * places + place, to);
  }
}

/** The class with the largest score at each place, the first of equals; -1 where one is not a number. Shapes: [N, K, …] → [N · …]. */
export function likeliestClasses(output: Tensor): Int32Array {
  const scores = scoresOf(output);
  const { images, classes, places, data } = scores;
  const found = new Int32Array(images * places);
  eachPlace(scores, (start, to) => {
    let best = 0;
    for (let k = 0; k < classes; k++) {
      const value = data[start + k * places]!;
      if (value > data[start + best * places]!) best = k;
      if (Number.isNaN(value)) {
        best = -1;
        break;
      }
    }
    found[to] = best;
  });
  return found;
}

/**
 * How unsure each place is, H(p) / ln K in [0, 1]; 1 where a score is not a number. Shapes: logits [N, K, …] → [N · …].
 * With e_k = exp(x_k - max x): H = ln Σe - Σ e·ln e / Σe.
 */
export function placeEntropies(output: Tensor): Float64Array {
  const scores = scoresOf(output);
  const { images, classes, places, data } = scores;
  const entropies = new Float64Array(images * places);
  const largest = Math.log(Math.max(classes, 2));
  eachPlace(scores, (start, to) => {
    const end = start + classes * places;
    let maximum = -Infinity;
    for (let at = start; at < end; at += places) maximum = Math.max(maximum, data[at]!);
    let [sum, weighted] = [0, 0];
    for (let at = start; at < end; at += places) {
      const power = data[at]! - maximum;
      const e = Math.exp(power);
      sum += e;
      if (e > 0) weighted += e * power;
    }
    const entropy = (Math.log(sum) - weighted / sum) / largest;
    entropies[to] = Number.isNaN(sum) ? 1 : Math.min(1, Math.max(0, entropy));
  });
  return entropies;
}

/** The mean over the places of each image. Shapes: logits [N, K, …] → [N]. */
export function imageEntropies(output: Tensor): Float64Array {
  const entropies = placeEntropies(output);
  const images = output.dims[0]!;
  const places = entropies.length / images;
  const means = new Float64Array(images);
  entropies.forEach((entropy, at) => (means[Math.floor(at / places)]! += entropy / places));
  return means;
}
