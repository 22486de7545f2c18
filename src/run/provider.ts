import { type ComposedOp } from "../graph/index.js";

/** What computes: the processor, the graphics device through WebGPU, an NVIDIA device, or the processor of a browser's machine. */
export const PROVIDERS = ["cpu", "webgpu", "cuda", "wasm"] as const;
export type Provider = (typeof PROVIDERS)[number];

/**
 * Ops of a training step that a provider refuses when it runs, or leaves to the processor, with a copy there and back.
 * Seen in ONNX Runtime 1.30: the node placements that it logs, and its refusals.
 */
export const LACKING: Readonly<Record<Provider, readonly ComposedOp[]>> = {
  cpu: [],
  wasm: [],
  cuda: ["BatchNormalization"],
  webgpu: ["BatchNormalization", "FusedMatMul", "LogSoftmax", "Sum"],
};
