import { availableParallelism } from "node:os";
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import type { Create } from "./device.js";
import { freeBuffers, InPlaceState } from "./in-place.js";
import type { Provider } from "./provider.js";
import { findRunInPlace } from "./run-in-place.js";
import type { RunSession, Runtime } from "./runtime.js";
import { type Conversion, unwrapHost } from "./state.js";

/** onnxruntime-node on one of its providers. */
export async function createNodeRuntime(provider: Provider, probe: Uint8Array): Promise<Runtime> {
  env.logLevel = "fatal"; // errors are thrown; printed as well, they would alarm where a provider is only tried out
  const create: Create = (model, options, extra) =>
    InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: options.threads ?? Math.max(1, Math.floor(availableParallelism() / 2)),
      interOpNumThreads: 1,
      graphOptimizationLevel: options.optimization ?? "all",
      logSeverityLevel: 3,
      ...extra,
    });
  const parts =
    provider === "webgpu" ? (await import("./device.js")).onDevice(create, wrap) : inHostMemory(create, probe);
  return {
    ...parts,
    memory: () => ({ residentBytes: process.memoryUsage.rss(), peakBytes: process.resourceUsage().maxRSS * 1024 }),
  };
}

const wrap: Conversion["wrap"] = ({ dtype, dims, data }) =>
  new Tensor(dtype as Tensor.Type, data as Tensor.DataType, dims);

function inHostMemory(create: Create, probe: Uint8Array): Omit<Runtime, "memory"> {
  const convert: Conversion = { wrap, unwrap: unwrapHost };
  const load: Runtime["load"] = (model, options) =>
    create(model, options, {
      // One block planned for a whole training step measured up to twice the memory of the arena alone, and 1.2 to 1.3 times the time.
      enableMemPattern: false,
      // Vanishing gradients end in denormal numbers, which processors compute many times slower.
      extra: { session: { set_denormal_as_zero: "1", ...(options.isBrief && { force_spinning_stop: "1" }) } },
    });
  let runInPlace: Promise<RunSession> | undefined;
  return {
    state: new InPlaceState(convert),
    convert,
    load,
    discard: ({ buffer }) => freeBuffers([buffer as ArrayBuffer]),
    run: async (...call) => (await (runInPlace ??= findRunInPlace(() => load(probe, { threads: 1 }, []))))(...call),
  };
}
