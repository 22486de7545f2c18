export { ABLATION_NAMES, type Ablation } from "./contestants.js";
export { benchElastic, type ElasticBenchOptions, type ElasticReport } from "./elastic.js";
export { drawElasticReport } from "./page.js";
export {
  type ContestantFigures,
  type ElasticHeadline,
  type ElasticNotes,
  type ElasticRow,
  elasticRow,
  flattenElastic,
} from "./rows.js";
export { type DataWorldOptions, type ElasticWorld, openDataWorld, openDigitsWorld } from "./world.js";
