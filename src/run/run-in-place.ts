import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { createArray, type DType, sizeOf } from "../base/index.js";
import { freeBuffers } from "./in-place.js";
import { type Fetches, type RunSession, runSession } from "./runtime.js";

/**
 * Finds how to run a session so that outputs are written into given tensors and copied nowhere else.
 *
 * onnxruntime-node writes them in place and then answers with a copy of each: for a training step, all weights and momenta. It makes
 * the copies one after another, each followed by a call of the tensor class that it was given at the start. A class of ours that throws
 * ends that after the first output; the runtime is done by then. The one-node model `NEGATE` tries it out: where the exception does not come back
 * as it was thrown, or the value is not in place, sessions run as usual and the copies are dropped.
 * Differs: uses `dist/binding.js` of onnxruntime-node, which is not part of its documented interface (written for 1.30).
 */
export async function findRunInPlace(createProbe: () => Promise<InferenceSession>): Promise<RunSession> {
  let isDone = false;
  const done = new Error("outputs are in place");
  const result = new Proxy(Tensor, {
    construct(target, parts: [type: string, data: Float32Array<ArrayBuffer>, dims: number[]]) {
      if (!isDone) return Reflect.construct(target, parts) as Tensor;
      freeBuffers([parts[1].buffer]);
      throw done;
    },
  });
  const runInPlace: RunSession = async (session, feeds, fetches) => {
    const places = allocate(session, fetches);
    if (!places) return runSession(session, feeds, fetches);
    isDone = true;
    try {
      await session.run(feeds, places);
    } catch (cause) {
      if (cause !== done) throw cause;
    } finally {
      isDone = false;
    }
    return places;
  };
  try {
    install(result);
    const session = await createProbe();
    const x = new Tensor("float32", Float32Array.of(-2, 3), [2]);
    const { y } = await runInPlace(session, { x }, { y: null });
    await session.release();
    return y!.data[0] === 2 && y!.data[1] === -3 ? runInPlace : runSession;
  } catch {
    return runSession;
  }
}

/** Tensors for all outputs asked for; undefined where a shape is only known after the run. */
function allocate(session: InferenceSession, fetches: Fetches): Record<string, Tensor> | undefined {
  const places: Record<string, Tensor> = {};
  for (const [name, given] of Object.entries(fetches)) {
    if (given) {
      places[name] = given;
      continue;
    }
    const output = session.outputMetadata[session.outputNames.indexOf(name)];
    if (!output?.isTensor || output.type === "string") return undefined;
    const dims = output.shape.filter((d) => typeof d === "number");
    if (dims.length < output.shape.length) return undefined;
    places[name] = new Tensor(output.type, createArray(output.type as DType, sizeOf(dims)) as Tensor.DataType, dims);
  }
  return places;
}

interface Binding {
  readonly initOrt: () => void;
  readonly binding: {
    initOrtOnce(logLevel: number, tensor: typeof Tensor, isMainThread: boolean): void;
  };
}

/** Has the binding make its results with the given class. */
function install(tensor: typeof Tensor): void {
  const { initOrt, binding } = createRequire(import.meta.url)("onnxruntime-node/dist/binding.js") as Binding;
  initOrt(); // once, by its own guard; otherwise a later session would put the usual class back
  binding.initOrtOnce(3, tensor, isMainThread);
}
