/** ElasticDNN: masters, the small surrogates that they give for each domain, and what comes back from them. */
export * from "./adapt-domains.js";
export { affine, type AffineOptions, filterAxes } from "./affine.js";
export * from "./build-master.js";
export * from "./calibrate.js";
export * from "./generate.js";
export * from "./representative.js";
export * from "./sensitivity.js";
export { MasterVersions } from "./versions.js";
