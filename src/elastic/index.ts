/** ElasticDNN: masters, the small surrogates that they give for each domain, and what comes back from them. */
export * from "./adapt-domains.js";
export { affine, type AffineOptions, filterAxes } from "./affine.js";
export * from "./build-master.js";
export * from "./calibrate.js";
export * from "./choose-scope.js";
export * from "./choose-serving.js";
export * from "./generate.js";
export { peakGraphBytes, peakStepBytes, weightBytes } from "./peak-bytes.js";
export * from "./representative.js";
export * from "./sensitivity.js";
export { MasterVersions } from "./versions.js";
