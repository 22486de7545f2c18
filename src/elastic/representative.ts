import { LimberError, type Random } from "../base/index.js";
import type { RunTensor } from "../run/node.js";
import { rowsOf } from "./probe.js";

/** How the images that decide about a surrogate are picked from a batch. */
export const REPRESENTATIVES = ["entropy", "first", "random", "gates", "classes"] as const;
export type Representative = (typeof REPRESENTATIVES)[number];

export interface Candidates {
  readonly prediction: RunTensor;
  /** What the gates say, [N, C] each. */
  readonly scores: readonly RunTensor[];
  readonly random: Random;
}

/**
 * Picks the image whose gates choose the filters: the one with the highest entropy of its prediction (`entropy`, the hardest), the
 * first, a random one, the one whose gates add up to most (`gates`), or the hardest of each predicted class (`classes`).
 * An image whose prediction is not finite is never picked. Throws: `data.invalid` where none is left.
 */
export function pickRepresentatives(by: Representative, { prediction, scores, random }: Candidates): number[] {
  const classes = prediction.dims[1] ?? 1;
  const rows = rowsOf(prediction).map((logits, row) => ({ row, logits, entropy: entropyOf(logits, classes) }));
  const usable = rows.filter(({ entropy }) => Number.isFinite(entropy));
  if (usable.length === 0)
    throw new LimberError(
      "data.invalid",
      "representative image: a prediction without NaN or infinity, got none; check the images",
    );
  const largest = (list: typeof usable, value: (each: (typeof usable)[number]) => number): number =>
    list.reduce((a, b) => (value(b) > value(a) ? b : a)).row;
  switch (by) {
    case "first":
      return [usable[0]!.row];
    case "random":
      return [random.pick(usable).row];
    case "entropy":
      return [largest(usable, ({ entropy }) => entropy)];
    case "gates": {
      const sums = scores.map((values) => rowsOf(values).map((row) => row.reduce((a, b) => a + b, 0)));
      return [largest(usable, ({ row }) => sums.reduce((sum, each) => sum + each[row]!, 0))];
    }
    case "classes": {
      const ofClass = usable.map(({ logits }) => predictedClass(logits, classes));
      const found = [...new Set(ofClass)].sort((a, b) => a - b);
      return found.map((k) =>
        largest(
          usable.filter((_, i) => ofClass[i] === k),
          ({ entropy }) => entropy,
        ),
      );
    }
  }
}

/** H(softmax), for maps of scores the mean over the places. Units: nats. Shapes: [K] or [K, …] of one image. */
export function entropyOf(logits: ArrayLike<number>, classes: number): number {
  const places = logits.length / classes;
  let total = 0;
  for (let place = 0; place < places; place++) {
    const at = (k: number): number => logits[k * places + place]!;
    let most = -Infinity;
    for (let k = 0; k < classes; k++) most = Math.max(most, at(k));
    let [sum, weighted] = [0, 0];
    for (let k = 0; k < classes; k++) {
      const power = Math.exp(at(k) - most);
      sum += power;
      weighted += power * (at(k) - most);
    }
    total += Math.log(sum) - weighted / sum;
  }
  return total / places;
}

function predictedClass(logits: Float32Array, classes: number): number {
  const places = logits.length / classes;
  const sums = Array.from({ length: classes }, (_, k) =>
    logits.subarray(k * places, (k + 1) * places).reduce((a, b) => a + b, 0),
  );
  return sums.indexOf(Math.max(...sums));
}
