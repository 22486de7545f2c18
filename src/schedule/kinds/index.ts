/** Kinds of apps: those of the embedded world, and those that a file describes. */
export type { AppKind, Camera, KindSet, PictureChoice, Recording } from "./app-kind.js";
export { type KindAppPlan, KindApps, type KindAppsOptions } from "./kind-apps.js";
export { readKinds, type ReadKindsOptions } from "./read-kinds.js";
export { WORLD_KINDS } from "./world-kinds.js";
