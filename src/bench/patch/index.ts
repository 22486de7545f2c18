/** The benchmark of PatchLine: co-running models that follow drifts, beside other ways to fine-tune them. */
export { PATCH_CONTESTANT_NAMES, PATCH_CONTESTANTS, type Arena, type PatchContestant } from "./contestants.js";
export { headlineOf, type Cell, type CellMean, type PatchHeadline, workOf } from "./headline.js";
export { benchPatch, type PatchBenchOptions, type PatchReport } from "./patch.js";
export { drawPatchReport } from "./page.js";
export { flattenPatch, macsOf, patchRow, type PatchRow } from "./rows.js";
export { openDataScene, openWorldScenes, type Scene, type SceneModel } from "./scene.js";
