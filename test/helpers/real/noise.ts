import { Random, sizeOf } from "../../../src/base/index.js";
import type { RunTensor } from "../../../src/run/node.js";

/** Standard normal values, the same each time. */
export function noise(dims: readonly number[]): RunTensor {
  const random = new Random(1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()) };
}
