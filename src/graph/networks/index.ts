import { LimberError } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import type { NetworkOptions } from "./builder.js";
import { mobileNetV2 } from "./mobilenet.js";
import { resNet } from "./resnet.js";
import { vgg11 } from "./vgg.js";

export type { NetworkOptions } from "./builder.js";

/** Untrained networks by name, for `limber train` and the benchmarks. Source: the paper named in each file. */
export const NETWORKS: Readonly<Record<string, (options: NetworkOptions) => Model>> = {
  resnet8: (options) => resNet("resnet8", [16, 32, 64], 1, options),
  resnet20: (options) => resNet("resnet20", [16, 32, 64], 3, options),
  resnet18: (options) => resNet("resnet18", [64, 128, 256, 512], 2, options),
  vgg11: vgg11,
  mobilenetv2: mobileNetV2,
};

/** Throws: `config.invalid`, listing the names. */
export function buildNetwork(name: string, options: NetworkOptions): Model {
  const build = NETWORKS[name];
  if (build) return build(options);
  const names = Object.keys(NETWORKS).join(", ");
  throw new LimberError("config.invalid", `network: one of ${names}, got "${name}"`, { network: name });
}
