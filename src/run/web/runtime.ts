import type { Tensor } from "onnxruntime-common";
import { LimberError } from "../../base/index.js";
import type { Create } from "../device.js";
import type { Runtime } from "../runtime.js";
import { type Conversion, StateArrays, unwrapHost } from "../state.js";

/** Plain data: it travels to the worker. */
export interface WebRuntimeOptions {
  readonly provider: "wasm" | "webgpu";
  /** Where the files of onnxruntime-web's `dist` are served, or the two that are needed; default: where the bundler puts them. */
  readonly wasmPaths?: string | { readonly mjs?: string; readonly wasm?: string } | undefined;
  /** Threads of one operator, for all sessions; more than one need a page that is cross-origin isolated. */
  readonly threads?: number | undefined;
}

/** onnxruntime-web on one of its providers. */
export async function createWebRuntime({ provider, wasmPaths, threads }: WebRuntimeOptions): Promise<Runtime> {
  const { InferenceSession, Tensor, env } = await (provider === "webgpu"
    ? import("onnxruntime-web/webgpu")
    : import("onnxruntime-web/wasm"));
  if (wasmPaths !== undefined) env.wasm.wasmPaths = wasmPaths;
  if (threads !== undefined) env.wasm.numThreads = threads;
  env.logLevel = "error";
  const wrap: Conversion["wrap"] = ({ dtype, dims, data }) =>
    new Tensor(dtype as Tensor.Type, data as Tensor.DataType, dims);
  const create: Create = (model, options, extra) =>
    InferenceSession.create(model, {
      executionProviders: [provider],
      graphOptimizationLevel: options.optimization ?? "all",
      logSeverityLevel: 3,
      ...extra,
    });
  const parts =
    provider === "webgpu" ? (await import("../device.js")).onDevice(create, wrap) : inHostMemory(create, wrap);
  return {
    ...parts,
    memory() {
      throw new LimberError(
        "config.invalid",
        "memory: a machine in Node.js, got one in a browser, which does not tell",
      );
    },
  };
}

function inHostMemory(create: Create, wrap: Conversion["wrap"]): Omit<Runtime, "memory"> {
  const convert: Conversion = { wrap, unwrap: unwrapHost };
  return { state: new StateArrays(convert), convert, load: (model, options) => create(model, options) };
}
