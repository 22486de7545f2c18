import { invariant, type Tensor } from "../../base/index.js";
import {
  type FoundBox,
  iouOf,
  likeliestClasses,
  placeEntropies,
  type TaskHead,
  type TaskName,
} from "../../vision/index.js";

/** The part of a head that signals need. */
export type SignalHead = Pick<TaskHead<unknown>, "decode" | "uncertainty">;

/** What a model answers, as things that it is more or less sure of: pictures, places of maps, boxes. */
export interface Reading {
  readonly pictures: number;
  /** Probability of the answer, by thing. */
  readonly confidences: Float64Array;
  /** What accuracy is thresholded on, by thing: 1 - H(p) / ln K, for boxes their score. */
  readonly certainties: Float64Array;
  /** Things that a picture has whatever the model says; nothing where their number is part of the answer. */
  readonly thingsPerPicture: number | undefined;
  /** How much of all answers each class has; adds up to 1, or is empty. */
  readonly classShares: readonly number[];
}

type Reader = (output: Tensor, head: SignalHead) => Reading;

/** Shapes: scores of classes [N, K, …]. */
const readPlaces: Reader = (output) => {
  const [pictures, classes] = output.dims as [number, number];
  const { data } = output;
  invariant(data instanceof Float32Array || data instanceof Float64Array, "scores are floats");
  const things = data.length / classes;
  const places = things / pictures;
  const confidences = new Float64Array(things);
  const shares = new Float64Array(classes);
  const p = new Float64Array(classes);
  for (let thing = 0; thing < things; thing++) {
    const start = Math.floor(thing / places) * classes * places + (thing % places);
    let [largest, sum] = [-Infinity, 0];
    for (let k = 0; k < classes; k++) largest = Math.max(largest, data[start + k * places]!);
    for (let k = 0; k < classes; k++) sum += p[k] = Math.exp(data[start + k * places]! - largest);
    // a prediction that is not a number says nothing
    if (!Number.isFinite(sum)) continue;
    confidences[thing] = 1 / sum;
    for (let k = 0; k < classes; k++) shares[k]! += p[k]! / sum / things;
  }
  const certainties = placeEntropies(output).map((entropy) => 1 - entropy);
  return { pictures, confidences, certainties, thingsPerPicture: places, classShares: Array.from(shares) };
};

const boxesOf = (output: Tensor, head: SignalHead) => head.decode(output) as readonly (readonly FoundBox[])[];

/** Classes by their shares of all scores. */
const readBoxes: Reader = (output, head) => {
  const boxes = boxesOf(output, head).flat();
  const scores = Float64Array.from(boxes, ({ score }) => score);
  const total = scores.reduce((a, b) => a + b, 0);
  const shares = Array.from({ length: 1 + Math.max(-1, ...boxes.map(({ label }) => label)) }, () => 0);
  for (const { label, score } of boxes) shares[label]! += score / total;
  return {
    pictures: output.dims[0]!,
    confidences: scores,
    certainties: scores,
    thingsPerPicture: undefined,
    classShares: shares,
  };
};

const READERS: Readonly<Record<TaskName, Reader>> = {
  classification: readPlaces,
  detection: readBoxes,
  segmentation: readPlaces,
};

export const readOutput = (task: TaskName, output: Tensor, head: SignalHead): Reading => READERS[task](output, head);

/** How far two models answer the same, in [0, 1]: share of equal classes; of boxes, the share of all scores on which they overlap. */
export function agreementOf(task: TaskName, head: SignalHead, a: Tensor, b: Tensor): number {
  if (task === "detection") return boxAgreement(boxesOf(a, head), boxesOf(b, head));
  const [ours, theirs] = [likeliestClasses(a), likeliestClasses(b)];
  let equal = 0;
  ours.forEach((label, i) => (equal += label === theirs[i] ? 1 : 0));
  return ours.length === 0 ? 1 : equal / ours.length;
}

/** Each box, from the surest on, meets the one of its class that overlaps it most, if by half at least. */
function boxAgreement(a: readonly (readonly FoundBox[])[], b: readonly (readonly FoundBox[])[]): number {
  let [met, all] = [0, 0];
  a.forEach((ours, i) => {
    const free = new Set(b[i] ?? []);
    for (const { score } of [...ours, ...free]) all += score;
    for (const box of ours) {
      let [best, overlap]: [FoundBox | undefined, number] = [undefined, 0.5];
      for (const other of free) {
        const shared = other.label === box.label ? iouOf(box.corners, other.corners) : 0;
        if (shared >= overlap) [best, overlap] = [other, shared];
      }
      if (!best) continue;
      free.delete(best);
      met += box.score + best.score;
    }
  });
  return all === 0 ? 1 : met / all;
}
