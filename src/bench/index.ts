/** Benchmarks against peers: ratios from interleaved runs, never absolute claims. */
export { drawEngineReport } from "./chart.js";
export * from "./elastic/index.js";
export * from "./engine.js";
export * from "./patch/index.js";
export { MODE_NAMES, MODES, type Mode } from "./modes.js";
export { BENCH_NETWORKS } from "./networks.js";
export { CONTESTANTS, PEER_NAMES, type PeerName } from "./peers.js";
export { openRowFile, type RowFile } from "./row-file.js";
export { type EngineRow, engineRow, flatten, geomean, type Headline, type Timing, worstFirst } from "./rows.js";
export * from "./schedule/index.js";
