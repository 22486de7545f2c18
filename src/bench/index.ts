/** Benchmarks against peers: ratios from interleaved runs, never absolute claims. */
export * from "./engine.js";
export { BENCH_NETWORKS } from "./networks.js";
