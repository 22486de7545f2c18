/** Running models in a browser: the same sessions and trainers as in Node.js, on WebAssembly or WebGPU. Needs onnxruntime-web beside it. */
export * from "./predictor.js";
export type { CacheReport, SampleId } from "./prefix-cache.js";
export { type Provider } from "./provider.js";
export * from "./safetensors.js";
export * from "./session.js";
export * from "./trainer.js";
export { createWebMachine, WEB_PROVIDERS, type WebMachineOptions, type WebProvider } from "./web/machine.js";
