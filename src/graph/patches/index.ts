/** Patches: small branches beside frozen layers, behind their groups or inside, and the branches that other methods put there. */
export {
  attachPatches,
  detachPatches,
  findPatches,
  type Patch,
  PATCH_FORMS,
  type PatchForm,
  type PatchOptions,
  patchParameters,
  PATCHES_KEY,
  type PatchShape,
} from "./attach.js";
export type { Attached } from "./branch.js";
export { attachLiteResidual, type LiteResidualOptions } from "./lite-residual.js";
export { nodesOfGroup } from "./low-rank.js";
export { mergePatches } from "./merge.js";
export { attachSideNet, type SideNetOptions } from "./side-net.js";
export { type PatchPoint, splitBackbone, type SplitOptions } from "./split.js";
export type { Layout } from "./trunk.js";
