import { LimberError } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import type { NetworkBuilder, Trunk } from "./builder.js";
import { writePyramid } from "./pyramid.js";

/** What a detector says of its head, in the metadata `limber.task`. */
export type DetectionHead =
  | { readonly kind: "centre"; readonly strides: readonly number[] }
  | {
      readonly kind: "ssd";
      readonly strides: readonly number[];
      /** Side of the anchors at each stride, as a share of the image. */
      readonly scales: readonly number[];
      /** Width over height of the anchors at each place. */
      readonly ratios: readonly number[];
      /** Divisors of offsets of the centre and of the logarithms of sizes. */
      readonly variances: readonly number[];
    };

/** Share of places that a detector takes for objects before it has learned anything. Source: Lin et al. 2017, arXiv:1708.02002, §4.1. */
const PRIOR = 0.01;

/** Channels of the maps that a head reads: a quarter of what the trunk ends in, within reason. */
const headChannels = ({ end }: Trunk): number =>
  Math.min(128, Math.max(32, end.dims[end.dims.length === 4 ? 1 : 2]! / 4));

/**
 * A class for each pixel, at half of the resolution: a feature pyramid down to stride 2, one 3×3 layer, one linear layer.
 * Shapes: → [N, classes, side / 2, side / 2].
 */
export function segment(trunk: Trunk, classes: number): Model {
  const { build } = trunk;
  const channels = headChannels(trunk);
  const [map] = writePyramid(trunk, channels, [2]);
  const smooth = build.relu(build.norm("smooth.1", build.conv("smooth.0", map!, channels, 3)));
  return build.finish(build.conv("classifier", smooth, classes, 1, { bias: true }));
}

/**
 * Boxes and classes for each place of a feature pyramid, the same layers at all strides; places of all levels side by side, row by row,
 * with the anchors of a place one after the other.
 * Shapes: → [N, 4 + K, P]: `centre` has K = classes, `ssd` K = classes + 1 with the background first.
 */
export function detect(trunk: Trunk, classes: number, head: DetectionHead): Model {
  const { build } = trunk;
  const { emit } = build;
  const channels = headChannels(trunk);
  const anchors = head.kind === "ssd" ? head.ratios.length : 1;
  const scores = head.kind === "ssd" ? classes + 1 : classes;
  const start = head.kind === "ssd" ? 0 : -Math.log((1 - PRIOR) / PRIOR);
  const hidden = build.sharedConv("head.hidden", channels, channels, 3, 0);
  const boxes = build.sharedConv("head.boxes", channels, 4 * anchors, 1, 0);
  const logits = build.sharedConv("head.classes", channels, scores * anchors, 1, start);
  const levels = writePyramid(trunk, channels, head.strides).map((map) => {
    const x = build.relu(hidden(map));
    return emit.concat([placesOf(build, boxes(x), anchors), placesOf(build, logits(x), anchors)], 1);
  });
  return build.finish(emit.concat(levels, 2));
}

/** Shapes: [N, A·K, H, W] → [N, K, H·W·A]. */
function placesOf({ emit }: NetworkBuilder, map: Val, anchors: number): Val {
  const [, channels, height, width] = map.dims as [number, number, number, number];
  const rows = channels / anchors;
  const apart = emit.transpose(emit.reshape(map, [0, anchors, rows, height * width]), [0, 2, 3, 1]);
  return emit.reshape(apart, [0, rows, height * width * anchors]);
}

/**
 * The head of a detector for a trunk, its numbers by the size of the image: places 4 and 8 pixels apart in small images, 8 and 16 from 64 pixels on,
 * and also 32 from 160 on. Throws: `config.invalid` for strides that do not divide the image.
 */
export function headFor(kind: DetectionHead["kind"], imageSize: number, given?: readonly number[]): DetectionHead {
  const strides = given ?? (imageSize < 64 ? [4, 8] : imageSize < 160 ? [8, 16] : [8, 16, 32]);
  const fits = (stride: number, i: number): boolean =>
    Number.isInteger(Math.log2(stride)) && imageSize % stride === 0 && (i === 0 || stride > strides[i - 1]!);
  if (strides.length === 0 || !strides.every(fits)) {
    const message = `strides: ascending powers of two that divide ${imageSize}, got ${strides.join(", ")}`;
    throw new LimberError("config.invalid", message, { strides });
  }
  if (kind === "centre") return { kind, strides };
  const scales = strides.map((_, i) => 0.3 + (0.4 * i) / Math.max(1, strides.length - 1));
  return { kind, strides, scales, ratios: [1, 2, 0.5], variances: [0.1, 0.1, 0.2, 0.2] };
}
