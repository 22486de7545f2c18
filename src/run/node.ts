/** Running models in Node.js: machines, sessions, trainers and model files. */
export { createMachine } from "./machine.js";
export * from "./model-file.js";
export * from "./predictor.js";
export * from "./safetensors.js";
export * from "./session.js";
export * from "./trainer.js";
