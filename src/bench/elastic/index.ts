export { ABLATION_NAMES, type Ablation } from "./contestants.js";
export { benchElastic, type ElasticBenchOptions, type ElasticReport } from "./elastic.js";
export type { ContestantFigures, ElasticHeadline, ElasticNotes, ElasticRow } from "./rows.js";
export { type ElasticWorld, openDigitsWorld, openFolderWorld } from "./world.js";
