/** Running models in Node.js: machines, sessions, trainers and model files. */
export { createMachine, type MachineOptions, NODE_PROVIDERS, type NodeProvider } from "./machine.js";
export { KeptTrainers, type Lease, rentTrainer } from "./kept-trainers.js";
export * from "./model-file.js";
export { findChromium } from "./page/chromium.js";
export { openPageMachine, type PageMachineOptions } from "./page/machine.js";
export * from "./predictor.js";
export type { Provider } from "./provider.js";
export type { CacheReport, SampleId } from "./prefix-cache.js";
export * from "./safetensors.js";
export * from "./session.js";
export { Trainer, type TrainerOptions } from "./node-trainer.js";
export type { Forward, ForwardOptions } from "./forward.js";
export type { Batch, QuietReport, ResetOptions, StepReport, StepSettings } from "./trainer.js";
export * from "./tune/index.js";
