import { attr } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";
import type { Loss } from "./losses.js";

/** Rows `from` to `to` of axis 1. Shapes: [N, K, P] → [N, to - from, P]. */
const rows = (emit: Emitter, x: Val, from: number, to: number): Val => emit.slice(x, [1], [from], [to]);

const softplus = (emit: Emitter, x: Val): Val => emit.node("Softplus", [x])[0];

/** Sum of a value per place over the places of a mask, by the number of those, at least 1. Shapes: both [N, 1, P]. */
const sumPer = (emit: Emitter, values: Val, mask: Val, count: Val): Val =>
  emit.div(emit.sumAll(emit.mul(values, mask)), emit.max(count, 1));

/** 0 at the places of targets that do not count, which hold -1; 1 at all others. */
const counted = (emit: Emitter, truth: Val): Val => emit.sub(emit.scalar(1, truth), emit.relu(emit.neg(truth)));

/** IoU less the share of the common hull that neither covers, in (-1, 1]. Shapes: corners [N, 4, P] (left, top, right, bottom) → [N, 1, P]. */
function generalisedIou(emit: Emitter, a: Val, b: Val): Val {
  const least = 1e-7;
  const start = (x: Val): Val => rows(emit, x, 0, 2);
  const end = (x: Val): Val => rows(emit, x, 2, 4);
  const area = (sides: Val): Val => emit.mul(rows(emit, sides, 0, 1), rows(emit, sides, 1, 2));
  const shared = area(emit.relu(emit.sub(emit.min(end(a), end(b)), emit.max(start(a), start(b)))));
  const span = area(emit.sub(emit.max(end(a), end(b)), emit.min(start(a), start(b))));
  const sum = emit.add(area(emit.sub(end(a), start(a))), area(emit.sub(end(b), start(b))));
  const union = emit.add(emit.sub(sum, shared), least);
  const hull = emit.add(span, least);
  return emit.sub(emit.div(shared, union), emit.div(emit.sub(hull, union), hull));
}

/** Mean of 1 - GIoU over the places of the mask. Source: Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1. */
const boxDistance = (emit: Emitter, found: Val, truth: Val, mask: Val, count: Val): Val =>
  sumPer(emit, emit.sub(emit.scalar(1, found), generalisedIou(emit, found, truth)), mask, count);

/** -log of the probability of what is true, times the square of that of what is not. Shapes: any; y is 0 or 1. Source: `focalBoxes`. */
function focal(emit: Emitter, x: Val, y: Val, share: number): Val {
  // z > 0 is how far the logit lies on the wrong side: -log p = softplus(z), 1 - p = σ(z)
  const z = emit.mul(x, emit.sub(emit.scalar(1, x), emit.mul(y, 2)));
  const wrong = emit.sigmoid(z);
  const weight = emit.add(emit.mul(y, 2 * share - 1), 1 - share);
  return emit.mul(weight, emit.mul(emit.mul(wrong, wrong), softplus(emit, z)));
}

/**
 * Anchor-free detection: focal loss over the classes of every place, and 1 - GIoU over those where an object is, both by their number.
 *
 * Shapes: output [N, 4 + K, P]: distances to the left, top, right and bottom edge before softplus, then a logit per class. Targets
 * alike: the distances, in the same unit; 1 at the class of the object and 0 elsewhere, or -1 all over where a place does not count.
 * Source: RetinaNet, Lin et al. 2017, arXiv:1708.02002, eq. 5, γ = 2, α = 0.25; FCOS, Tian et al. 2019, arXiv:1904.01355, eq. 2.
 * Differs: no centre-ness, GIoU in the place of IoU; softplus in the place of exp, whose gradient grows without bound.
 */
export const focalBoxes = (options: { readonly positiveShare?: number } = {}): Loss => ({
  name: "focal-boxes",
  targets: "values",
  build({ emit, output, targets }) {
    const [, count] = output.dims as [number, number, number];
    const truth = rows(emit, targets!, 4, count);
    const y = emit.relu(truth);
    const mask = emit.reduceSum(y, [1], true);
    const positives = emit.sumAll(mask);
    const classes = sumPer(
      emit,
      focal(emit, rows(emit, output, 4, count), y, options.positiveShare ?? 0.25),
      counted(emit, truth),
      positives,
    );
    const found = cornersAround(emit, softplus(emit, rows(emit, output, 0, 4)));
    return emit.add(
      classes,
      boxDistance(emit, found, cornersAround(emit, rows(emit, targets!, 0, 4)), mask, positives),
    );
  },
});

/** Corners from the place, of distances to the four edges. Shapes: [N, 4, P]. */
const cornersAround = (emit: Emitter, distances: Val): Val =>
  emit.concat([emit.neg(rows(emit, distances, 0, 2)), rows(emit, distances, 2, 4)], 1);

/** Huber with δ = 1: ½d² below 1, |d| - ½ above: m·(|d| - m/2) with m = min(|d|, 1). */
function smoothL1(emit: Emitter, difference: Val): Val {
  const size = emit.abs(difference);
  const inner = emit.min(size, 1);
  return emit.mul(inner, emit.sub(size, emit.mul(inner, 0.5)));
}

/**
 * SSD: cross-entropy over classes with the background first, and smooth L1 over the offsets of priors with an object, both by
 * the number of those. Of the others of an image, only the hardest count: three for each with an object, at least three.
 *
 * Shapes: output [N, 4 + 1 + K, P]: offsets, then a logit per class. Targets alike: offsets; one-hot classes, zeros all over where a
 * prior does not count.
 * Source: Liu et al. 2016, arXiv:1512.02325, eq. 1–3, §2.2. Differs: images without objects teach what background is; priors that are
 * exactly as hard as the last that counts count too.
 */
export const priorBoxes = (options: { readonly negatives?: number } = {}): Loss => ({
  name: "prior-boxes",
  targets: "values",
  build({ emit, output, targets }) {
    const { negatives = 3 } = options;
    const [images, count, places] = output.dims as [number, number, number];
    const truth = rows(emit, targets!, 4, count);
    const each = emit.neg(emit.reduceSum(emit.mul(truth, emit.logSoftmax(rows(emit, output, 4, count), 1)), [1], true));
    const background = rows(emit, truth, 0, 1);
    const mask = emit.reduceSum(rows(emit, truth, 1, count - 4), [1], true);
    const perImage = emit.reduceSum(mask, [2], true);
    const [ordered] = emit.node(
      "TopK",
      [emit.detach(emit.mul(each, background)), emit.ints([places])],
      { axis: attr.int(2) },
      { outputs: 2 },
    );
    const last = emit.sub(emit.min(emit.mul(emit.max(perImage, 1), negatives), places), 1);
    const limit = emit.node("GatherElements", [ordered, emit.cast(last, "int64")], { axis: attr.int(2) })[0];
    const easy = emit.less(each, emit.expand(limit, [images, 1, places]));
    const hard = emit.where(easy, emit.scalar(0, each), background);
    const positives = emit.sumAll(perImage);
    const offsets = smoothL1(emit, emit.sub(rows(emit, output, 0, 4), rows(emit, targets!, 0, 4)));
    return emit.add(
      sumPer(emit, each, emit.add(mask, hard), positives),
      sumPer(emit, emit.reduceSum(offsets, [1], true), mask, positives),
    );
  },
});

/**
 * FastestDet: binary cross-entropy of objectness over all cells, -log of the class and 1 - GIoU over those where an object is.
 *
 * Shapes: output [N, 5 + K, H, W]: objectness; raw offsets of the centre and raw sides; probabilities of classes. Targets alike: 1, 0, or
 * -1 where a cell does not count; corners from the cell's corner in cells; one-hot classes.
 * Source: the layout of the outputs of FastestDet, github.com/dog-qiuqiu/FastestDet. Differs: GIoU in the place of SIoU, one cell per object,
 * all parts weigh the same.
 */
export const cellBoxes: Loss = {
  name: "cell-boxes",
  targets: "values",
  build({ emit, output, targets }) {
    const [images, count, height, width] = output.dims as [number, number, number, number];
    const flat = (x: Val): Val => emit.reshape(x, [images, count, height * width]);
    const [x, truth] = [flat(output), flat(targets!)];
    const object = rows(emit, truth, 0, 1);
    const mask = emit.relu(object);
    const positives = emit.sumAll(mask);
    const logOf = (p: Val): Val => emit.log(emit.max(p, 1e-7));
    const p = rows(emit, x, 0, 1);
    const wrong = emit.abs(emit.sub(p, mask));
    const objectness = sumPer(
      emit,
      emit.neg(logOf(emit.sub(emit.scalar(1, wrong), wrong))),
      counted(emit, object),
      positives,
    );
    const likelihood = emit.reduceSum(emit.mul(rows(emit, truth, 5, count), logOf(rows(emit, x, 5, count))), [1], true);
    const centre = emit.tanh(rows(emit, x, 1, 3));
    const half = emit.concat(
      [width, height].map((cells, i) => emit.mul(emit.sigmoid(rows(emit, x, 3 + i, 4 + i)), cells / 2)),
      1,
    );
    const found = emit.concat([emit.sub(centre, half), emit.add(centre, half)], 1);
    const boxes = boxDistance(emit, found, rows(emit, truth, 1, 5), mask, positives);
    return emit.add(emit.add(objectness, boxes), sumPer(emit, emit.neg(likelihood), mask, positives));
  },
};
