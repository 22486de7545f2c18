import type { RunTensor } from "../../../src/run/node.js";

/** One class per pixel, rows from top to bottom. */
export interface LabelMap {
  readonly width: number;
  readonly height: number;
  readonly classes: Uint8Array;
}

/** The class with the largest score at each pixel of each picture. Shapes: [N, K, H, W]. */
export function mostLikely({ dims, data }: RunTensor): LabelMap[] {
  const [count, classes, height, width] = dims as [number, number, number, number];
  const area = width * height;
  const scores = data as Float32Array;
  return Array.from({ length: count }, (_, n) => {
    const best = new Uint8Array(area);
    for (let p = 0; p < area; p++) {
      const at = n * classes * area + p;
      for (let k = 1; k < classes; k++) if (scores[at + k * area]! > scores[at + best[p]! * area]!) best[p] = k;
    }
    return { width, height, classes: best };
  });
}

/** A map brought to another size, each pixel taking the nearest one's class. */
export function resizeLabels(map: LabelMap, width: number, height: number): LabelMap {
  const classes = Uint8Array.from({ length: width * height }, (_, i) => {
    const x = Math.floor((((i % width) + 0.5) * map.width) / width);
    const y = Math.floor(((Math.floor(i / width) + 0.5) * map.height) / height);
    return map.classes[y * map.width + x]!;
  });
  return { width, height, classes };
}

/** Pixels by true and predicted class over any number of pictures; labels beyond the classes do not count. */
export class Confusion {
  private readonly counts: Float64Array;

  constructor(private readonly size: number) {
    this.counts = new Float64Array(size * (size + 1));
  }

  /** A prediction beyond the classes is wrong wherever a label counts. */
  add(truth: LabelMap, predicted: LabelMap): void {
    const { size, counts } = this;
    const map = resizeLabels(predicted, truth.width, truth.height);
    truth.classes.forEach((label, i) => {
      if (label < size) counts[label * (size + 1) + Math.min(map.classes[i]!, size)]!++;
    });
  }

  /** Mean over the classes that occur of |truth ∩ predicted| / |truth ∪ predicted|, from the summed counts. */
  meanIoU(): number {
    const { size, counts } = this;
    const classes = Array.from({ length: size }, (_, k) => k);
    const at = (truth: number, predicted: number): number => counts[truth * (size + 1) + predicted]!;
    const ious = classes.flatMap((k) => {
      const truth = classes.reduce((sum, other) => sum + at(k, other), at(k, size));
      const predicted = classes.reduce((sum, other) => sum + at(other, k), 0);
      const union = truth + predicted - at(k, k);
      return union === 0 ? [] : [at(k, k) / union];
    });
    return ious.reduce((sum, iou) => sum + iou, 0) / ious.length;
  }
}
