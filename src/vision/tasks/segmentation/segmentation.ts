import { formatShape, LimberError, type Tensor } from "../../../base/index.js";
import { crossEntropy, diceLoss, weightedSum, type Model } from "../../../graph/index.js";
import { IGNORED, type Mask } from "../../data/truth.js";
import type { Size } from "../../preprocess/window.js";
import { scaleMask } from "../../preprocess/resize-mask.js";
import { findOutputDims } from "../output-dims.js";
import { imageEntropies, likeliestClasses, placeEntropies } from "../places.js";
import { type BatchTruth, type Meter, type Task, unclassed } from "../task.js";
import { readTaskRecord } from "../metadata.js";
import { Confusion } from "./confusion.js";

export interface SegmentationOptions {
  /** Weight of the Dice loss beside cross-entropy. Default 0: cross-entropy alone. */
  readonly dice?: number;
}

/** Pixels of pseudo-labels with H ≥ 0.4 ln K teach nothing: they are mostly wrong. Source: EATA, arXiv:2204.02610. */
const LARGEST_ENTROPY = 0.4;

/**
 * A class for each pixel: scores [N, K, h, w], where h × w may be smaller than the picture. Labels are brought to h × w for training,
 * and answers to the size of the mask for measuring, both by nearest pixels.
 * Differs: evaluations that enlarge the scores, and not the answers, are a little more accurate at the borders of things.
 */
export const createSegmentation = ({ dice = 0 }: SegmentationOptions = {}): Task<Mask> => ({
  name: "segmentation",
  metric: "mIoU",
  isDense: true,
  open(model, image) {
    const { classes, width, height } = mapSizeOf(model, image);
    const pixels = crossEntropy({ ignoredLabel: IGNORED });
    const targetsOf = (masks: readonly Mask[]) => {
      const data = new BigInt64Array(masks.length * height * width);
      masks.forEach((mask, i) =>
        scaleMask(mask, width, height).data.forEach((label, pixel) => {
          data[i * height * width + pixel] = BigInt(label < classes ? label : IGNORED);
        }),
      );
      return { dtype: "int64", dims: [masks.length, height, width], data } as const;
    };
    return {
      loss:
        dice === 0
          ? pixels
          : weightedSum([
              [1, pixels],
              [dice, diceLoss({ ignoredLabel: IGNORED })],
            ]),
      encode: (truth) => targetsOf(masksOf(truth)),
      pseudoLabels: (output) => {
        const entropies = placeEntropies(output);
        const believed = (answer: number, place: number): number =>
          entropies[place]! < LARGEST_ENTROPY ? answer : IGNORED;
        return unclassed(decodeMasks(output, believed).map((mask) => ({ mask })));
      },
      decode: (output) => decodeMasks(output),
      uncertainty: imageEntropies,
      createMeter: () => createIouMeter(new Confusion(classes), readTaskRecord(model)?.classes ?? []),
    };
  },
});

export const segmentation = createSegmentation();

/** Throws: `method.unsuitable` unless the first output is a map of at most 255 classes. */
function mapSizeOf(model: Model, image: Size): Size & { readonly classes: number } {
  const dims = findOutputDims(model, image);
  const [classes, height, width] = dims?.slice(1) ?? [];
  const isMap = [classes, height, width].every((size) => typeof size === "number" && size > 0) && dims?.length === 4;
  if (isMap && (classes as number) <= IGNORED)
    return { classes: classes as number, height: height as number, width: width as number };
  const got = dims ? formatShape(dims) : "one of unknown shape";
  const message = `segmentation: a first output [N,K,H,W] with at most ${IGNORED} classes, got ${got}; use a model of that form`;
  throw new LimberError("method.unsuitable", message, { got: dims });
}

function masksOf({ truths, labels }: BatchTruth): readonly Mask[] {
  return Array.from(labels, (_, i) => {
    const mask = truths?.[i]?.mask;
    if (mask) return mask;
    throw new LimberError("data.invalid", "segmentation: a mask for every picture expected, got one without; label it");
  });
}

/** One mask for each image, of the size of the output; pixels without an answer are ignored ones. */
function decodeMasks(output: Tensor, change?: (answer: number, place: number) => number): Mask[] {
  const [images, , height, width] = output.dims as [number, number, number, number];
  // -1, no answer, becomes 255 as a byte
  const answers = Uint8Array.from(likeliestClasses(output), change ?? ((answer) => answer));
  const area = height * width;
  return Array.from({ length: images }, (_, i) => ({
    width,
    height,
    data: answers.subarray(i * area, (i + 1) * area),
  }));
}

/** mIoU: the mean over the classes that the truth shows, from one confusion matrix over all pixels of all images. */
function createIouMeter(confusion: Confusion, names: readonly string[]): Meter {
  let samples = 0;
  return {
    add(output, truth) {
      const answers = decodeMasks(output);
      masksOf(truth).forEach(({ data, width, height }, i) =>
        confusion.add(data, scaleMask(answers[i]!, width, height).data),
      );
      samples += answers.length;
    },
    read() {
      const { pixels, correct } = confusion.totals();
      const ious = confusion
        .ious()
        .flatMap((iou, k) => (iou === undefined ? [] : [[names[k] ?? String(k), iou] as const]));
      return {
        value: ious.length === 0 ? 0 : ious.reduce((sum, [, iou]) => sum + iou, 0) / ious.length,
        samples,
        details: {
          pixelAccuracy: pixels === 0 ? 0 : correct / pixels,
          ...Object.fromEntries(ious.map(([name, iou]) => [`IoU ${name}`, iou])),
        },
      };
    },
  };
}
