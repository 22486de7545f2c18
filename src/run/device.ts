import type { InferenceSession } from "onnxruntime-common";
import { type Model, OWN_HEADER, writeModel } from "../graph/index.js";
import type { Runtime } from "./runtime.js";
import type { SessionOptions } from "./session.js";
import { type Conversion, StateArrays, unwrapHost } from "./state.js";

/** Loads a model, with options of the runtime beside ours. */
export type Create = (
  model: Uint8Array,
  options: SessionOptions,
  extra?: InferenceSession.SessionOptions,
) => Promise<InferenceSession>;

/**
 * The part of a runtime on WebGPU that Node.js and browsers share: state stays on the device, where the outputs of a run are the inputs
 * of the next.
 *
 * A session that copies its input to the host does the downloads, since onnxruntime-node has no other (its `getData` ends the process).
 * It also keeps the device, which ONNX Runtime lets go with its last session, and with it all tensors there (seen in 1.30).
 */
export function onDevice(create: Create, wrap: Conversion["wrap"]): Pick<Runtime, "state" | "convert" | "load"> {
  let copy: Promise<InferenceSession> | undefined;
  const convert: Conversion = {
    wrap,
    async unwrap(tensor) {
      if (tensor.location === "cpu") return unwrapHost(tensor);
      const { y } = await (await copy!).run({ x: tensor });
      return unwrapHost(y!);
    },
  };
  return {
    state: new StateArrays(convert),
    convert,
    async load(model, options, stateOutputs) {
      await (copy ??= create(writeModel(COPY), {}));
      const preferredOutputLocation = Object.fromEntries(stateOutputs.map((name) => [name, "gpu-buffer"] as const));
      return create(model, options, { preferredOutputLocation });
    },
  };
}

/** State is float32 throughout. */
const COPY: Model = {
  graph: {
    name: "copy",
    inputs: [{ name: "x", dtype: "float32", dims: undefined }],
    outputs: [{ name: "y", dtype: "float32", dims: undefined }],
    nodes: [{ op: "Identity", domain: "", name: "copy", inputs: ["x"], outputs: ["y"], attributes: {} }],
    initializers: new Map(),
    types: new Map(),
  },
  ...OWN_HEADER,
};
