import { LimberError } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import type { NetworkOptions } from "./builder.js";
import { convNeXt } from "./convnext.js";
import { denseNet } from "./densenet.js";
import { efficientNetLite0, mobileNetV2, mobileNetV3 } from "./mobilenet.js";
import { resNet } from "./resnet.js";
import { shuffleNetV2 } from "./shufflenet.js";
import { squeezeNet } from "./squeezenet.js";
import { uNet } from "./unet.js";
import { vgg11 } from "./vgg.js";
import { viT } from "./vit.js";

export { NetworkBuilder, type NetworkOptions } from "./builder.js";
export { buildProbe } from "./probe.js";
export type { DetectionHead } from "./task-heads.js";
export {
  BACKBONE_KEY,
  BACKBONES,
  type BackboneName,
  buildTaskNetwork,
  type NetworkTask,
  type TaskNetworkOptions,
} from "./task-network.js";

type Networks = Readonly<Record<string, (options: NetworkOptions) => Model>>;

/** Untrained classifiers by name, for `limber train`. Source: the paper named in each file. */
export const CLASSIFIERS: Networks = {
  resnet8: (options) => resNet("resnet8", [16, 32, 64], 1, options),
  resnet20: (options) => resNet("resnet20", [16, 32, 64], 3, options),
  resnet56: (options) => resNet("resnet56", [16, 32, 64], 9, options),
  resnet18: (options) => resNet("resnet18", [64, 128, 256, 512], 2, options),
  vgg11: vgg11,
  mobilenetv2: mobileNetV2,
  mobilenetv3: mobileNetV3,
  efficientnet_lite0: efficientNetLite0,
  shufflenetv2: shuffleNetV2,
  squeezenet: squeezeNet,
  densenet: denseNet,
  convnext: convNeXt,
  vit: viT,
};

/** All networks by name, also those with a class per pixel. */
export const NETWORKS: Networks = { ...CLASSIFIERS, unet: uNet };

/** Throws: `config.invalid`, listing the names. */
export function buildNetwork(name: string, options: NetworkOptions): Model {
  const build = NETWORKS[name];
  if (build) return build(options);
  const names = Object.keys(NETWORKS).join(", ");
  throw new LimberError("config.invalid", `network: one of ${names}, got "${name}"`, { network: name });
}
