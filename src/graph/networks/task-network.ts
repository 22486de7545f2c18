import { LimberError } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import type { NetworkOptions, Trunk } from "./builder.js";
import { mobileNetTrunk } from "./mobilenet.js";
import { resNetTrunk } from "./resnet.js";
import { detect, type DetectionHead, headFor, segment } from "./task-heads.js";
import { isVggDepth, vggTrunk } from "./vgg.js";
import { viTTrunk } from "./vit.js";

export interface TaskNetworkOptions extends NetworkOptions {
  readonly backbone: BackboneName;
  readonly task: NetworkTask;
  /** Blocks in each stage of a ResNet (default 1), blocks of a ViT (default 6), layers of a VGG (11, the default, or 16). */
  readonly depth?: number | undefined;
  /** Names of the classes, for the metadata; default their numbers. */
  readonly classNames?: readonly string[] | undefined;
  /** The head of a detector; default `centre`. */
  readonly head?: DetectionHead["kind"] | undefined;
  /** The strides at which a detector looks for objects; default by the size of the image. */
  readonly strides?: readonly number[] | undefined;
}

export type NetworkTask = "classification" | "detection" | "segmentation";
export type BackboneName = "vgg" | "resnet" | "mobilenetv2" | "vit";

type Write = (options: NetworkOptions & { readonly depth?: number | undefined }) => Trunk;

/** Backbones by name; at a width of 1 they have the channels as published. */
export const BACKBONES: Readonly<Record<BackboneName, Write>> = {
  vgg({ depth = 11, ...options }) {
    if (isVggDepth(depth)) return vggTrunk("vgg", depth, options);
    throw new LimberError("config.invalid", `depth of a vgg: 11 or 16, got ${depth}`, { depth });
  },
  resnet: ({ depth = 1, ...options }) => resNetTrunk("resnet", [16, 32, 64], depth, options),
  mobilenetv2: (options) => mobileNetTrunk("mobilenetv2", options),
  vit: ({ depth = 6, ...options }) => viTTrunk("vit", depth, options),
};

/** The metadata that names the last value of the backbone, where a head begins. */
export const BACKBONE_KEY = "limber.backbone";
const TASK_KEY = "limber.task";

/**
 * An untrained network of a backbone for a task. For one seed the backbone is the same in all three tasks, to the values of its parameters.
 * Metadata: `limber.task` says how to read the output, `limber.backbone` where the head begins.
 * Shapes: classification [N, K], segmentation [N, K, side / 2, side / 2], detection [N, 4 + K, P] (see `detect`).
 * Throws: `config.invalid`.
 */
export function buildTaskNetwork(options: TaskNetworkOptions): Model {
  const { backbone, task, imageSize, classes, classNames, depth } = options;
  if (!Object.hasOwn(BACKBONES, backbone)) {
    const names = Object.keys(BACKBONES).join(", ");
    throw new LimberError("config.invalid", `backbone: one of ${names}, got "${backbone}"`, { backbone });
  }
  const trunk = BACKBONES[backbone]({ ...options, depth });
  const names = classNames ?? Array.from({ length: classes }, (_, i) => String(i));
  const record = { task, classes: names };
  const finish = (model: Model, head?: DetectionHead): Model => ({
    ...model,
    metadata: new Map([
      [TASK_KEY, JSON.stringify({ ...record, ...(head && { head }) })],
      [BACKBONE_KEY, trunk.end.name],
    ]),
  });
  if (task === "classification") return finish(trunk.classify());
  if (task === "segmentation") return finish(segment(trunk, classes));
  const head = headFor(options.head ?? "centre", imageSize, options.strides);
  return finish(detect(trunk, classes, head), head);
}
