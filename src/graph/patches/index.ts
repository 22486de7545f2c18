/** Patches: small residual branches behind groups of frozen layers, and the branches that other methods put there. */
export {
  attachPatches,
  detachPatches,
  findPatches,
  mergePatches,
  type Patch,
  type PatchOptions,
  patchParameters,
  PATCHES_KEY,
} from "./attach.js";
export type { Attached } from "./branch.js";
export { attachConvLora, type ConvLoraOptions } from "./conv-lora.js";
export { attachLiteResidual, type LiteResidualOptions } from "./lite-residual.js";
export { attachSideNet, type SideNetOptions } from "./side-net.js";
export { type PatchPoint, splitBackbone, type SplitOptions } from "./split.js";
export type { Layout } from "./trunk.js";
