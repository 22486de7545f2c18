import type { RunTensor } from "../../../src/run/node.js";

/** A box in shares of the picture. */
export interface Box {
  readonly label: number;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface Detection extends Box {
  readonly score: number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * The boxes of FastestDet's output: one candidate for each cell of its grid, overlapping ones of a class thinned out.
 * Shapes: [N, 85, H, W]: objectness, four of the box, 80 classes.
 * Source: https://github.com/dog-qiuqiu/FastestDet, utils/tool.py.
 */
export function decodeFastestDet({ dims, data }: RunTensor, scoreThreshold = 0.01): Detection[][] {
  const [count, channels, height, width] = dims as [number, number, number, number];
  const values = data as Float32Array;
  return Array.from({ length: count }, (_, n) => {
    const found: Detection[] = [];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const at = (channel: number): number => values[((n * channels + channel) * height + y) * width + x]!;
        let label = 0;
        for (let k = 1; k < channels - 5; k++) if (at(5 + k) > at(5 + label)) label = k;
        const score = at(0) ** 0.6 * at(5 + label) ** 0.4;
        if (score < scoreThreshold) continue;
        const [cx, cy] = [(Math.tanh(at(1)) + x) / width, (Math.tanh(at(2)) + y) / height];
        const [w, h] = [sigmoid(at(3)), sigmoid(at(4))];
        found.push({ label, score, left: cx - w / 2, top: cy - h / 2, right: cx + w / 2, bottom: cy + h / 2 });
      }
    return suppress(found, 0.45);
  });
}

/** Keeps the best of each heap of boxes of one class that overlap by more than `threshold`. */
function suppress(boxes: readonly Detection[], threshold: number): Detection[] {
  const kept: Detection[] = [];
  for (const box of [...boxes].sort((a, b) => b.score - a.score))
    if (!kept.some((other) => other.label === box.label && iouOf(box, other) > threshold)) kept.push(box);
  return kept;
}

function iouOf(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  const area = ({ left, top, right, bottom }: Box): number => (right - left) * (bottom - top);
  return (width * height) / (area(a) + area(b) - width * height);
}

/** Mean over the classes with a true box of the average precision at an overlap of one half, at 101 points of recall as COCO does. */
export function meanAveragePrecision(
  truth: readonly (readonly Box[])[],
  found: readonly (readonly Detection[])[],
): number {
  const labels = [...new Set(truth.flat().map(({ label }) => label))];
  const precisions = labels.map((label) => averagePrecision(label, truth, found));
  return precisions.reduce((sum, precision) => sum + precision, 0) / precisions.length;
}

function averagePrecision(
  label: number,
  truth: readonly (readonly Box[])[],
  found: readonly (readonly Detection[])[],
): number {
  const mine = truth.map((boxes) => boxes.filter((box) => box.label === label));
  const total = mine.reduce((sum, boxes) => sum + boxes.length, 0);
  const ranked = found.flatMap((boxes, image) => boxes.filter((b) => b.label === label).map((box) => ({ box, image })));
  const taken = new Set<Box>();
  let right = 0;
  const curve = ranked
    .sort((a, b) => b.box.score - a.box.score)
    .map(({ box, image }, i) => {
      const free = mine[image]!.filter((each) => !taken.has(each) && iouOf(each, box) >= 0.5);
      const best = free.sort((a, b) => iouOf(b, box) - iouOf(a, box))[0];
      if (best) {
        taken.add(best);
        right++;
      }
      return { recall: right / total, precision: right / (i + 1) };
    });
  let sum = 0;
  for (let point = 0; point <= 100; point++)
    sum += curve.reduce((most, { recall, precision }) => (recall >= point / 100 ? Math.max(most, precision) : most), 0);
  return sum / 101;
}
