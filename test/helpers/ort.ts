import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { Tensor } from "../../src/base/index.js";
import type { Model } from "../../src/graph/ir/index.js";
import { writeModel } from "../../src/graph/onnx/index.js";

/** Runs a model, or its bytes, once in ONNX Runtime: one thread, graph optimization off, so that each op runs as written. */
export async function runOrt(
  model: Model | Uint8Array,
  feeds: ReadonlyMap<string, Tensor>,
): Promise<Map<string, Tensor>> {
  const session = await InferenceSession.create(model instanceof Uint8Array ? model : writeModel(model), {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const inputs = [...feeds].map(([name, { dtype, data, dims }]) => {
      return [name, new OrtTensor(dtype as "float32", data as Float32Array, [...dims])] as const;
    });
    const results = await session.run(Object.fromEntries(inputs));
    return new Map(
      Object.entries(results).map(([name, { type, dims, data }]) => {
        return [name, { dtype: type as Tensor["dtype"], dims, data: data as Float32Array }];
      }),
    );
  } finally {
    await session.release();
  }
}
