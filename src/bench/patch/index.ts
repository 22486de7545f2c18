/** The benchmark of PatchLine: co-running models that follow drifts, beside other ways to fine-tune them. */
export { PATCH_CONTESTANT_NAMES, PATCH_CONTESTANTS, type Arena, type PatchContestant } from "./contestants.js";
export { type CountLessons, learnCounter } from "./count.js";
export { headlineOf, type Cell, type CellMean, nameCell, type PatchHeadline, workOf } from "./headline.js";
export { benchPatch, type PatchBenchOptions, type PatchReport } from "./patch.js";
export { drawPatchReport } from "./page.js";
export { flattenPatch, macsOf, patchRow, type PatchRow, type Platform, PLATFORMS } from "./rows.js";
export { counterPath, openDataScene, openWorldScenes, type Scene, type SceneModel } from "./scene.js";
