import { sizeOf } from "../../../base/index.js";
import type { ReferenceTensor } from "../rule.js";
import { createTensor, type Kernels, stridesOf } from "./support.js";

type Box = readonly [top: number, left: number, bottom: number, right: number];

/** Corners in either order, or centre and size. */
function boxAt({ data }: ReferenceTensor, index: number, isCentre: boolean): Box {
  const [a, b, c, d] = Array.from(data.subarray(index * 4, index * 4 + 4)) as [number, number, number, number];
  if (isCentre) return [b - d / 2, a - c / 2, b + d / 2, a + c / 2];
  return [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
}

const areaOf = ([top, left, bottom, right]: Box): number => Math.max(0, bottom - top) * Math.max(0, right - left);

/** Intersection over union; 0 for boxes without area. */
function overlapOf(a: Box, b: Box): number {
  const shared = areaOf([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared === 0 ? 0 : shared / (areaOf(a) + areaOf(b) - shared);
}

export const selectKernels: Kernels<"NonZero" | "NonMaxSuppression"> = {
  NonZero({ X }) {
    const places = Array.from(X.data.keys()).filter((i) => X.data[i] !== 0);
    const columns = stridesOf(X.dims).flatMap((stride, axis) =>
      places.map((place) => Math.floor(place / stride) % X.dims[axis]!),
    );
    return createTensor("int64", [X.dims.length, places.length], Float64Array.from(columns));
  },

  /** Best first, per image and class; a box goes when it overlaps one that was kept. Shapes: boxes [N, B, 4], scores [N, C, B]. */
  NonMaxSuppression({ boxes, scores, max_output_boxes_per_class, iou_threshold, score_threshold }, { attributes }) {
    const isCentre = attributes.int("center_point_box", 0) === 1;
    const most = max_output_boxes_per_class?.data[0] ?? 0;
    const overlap = iou_threshold?.data[0] ?? 0;
    const least = score_threshold?.data[0] ?? -Infinity;
    const [, classes, count] = scores.dims as [number, number, number];
    const rows: number[] = [];
    for (let run = 0; run < sizeOf(scores.dims.slice(0, 2)); run++) {
      const image = Math.floor(run / classes);
      const score = scores.data.subarray(run * count, (run + 1) * count);
      const order = Array.from(score.keys())
        .filter((i) => score[i]! > least)
        .sort((i, j) => score[j]! - score[i]! || i - j);
      const kept: Box[] = [];
      for (const i of order) {
        const box = boxAt(boxes, image * count + i, isCentre);
        if (kept.length >= most) break;
        if (kept.some((other) => overlapOf(box, other) > overlap)) continue;
        kept.push(box);
        rows.push(image, run % classes, i);
      }
    }
    return createTensor("int64", [rows.length / 3, 3], Float64Array.from(rows));
  },
};
