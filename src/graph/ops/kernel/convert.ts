import { LimberError, type Tensor, tensorOf } from "../../../base/index.js";
import type { ReferenceTensor } from "../rule.js";

/** Rounds to the element type. Throws: `op.unsupported` for 16-bit floats, which Limber only carries. */
export function fromReference({ dtype, dims, data }: ReferenceTensor): Tensor {
  if (dtype === "float16" || dtype === "bfloat16" || dtype === "string") {
    throw new LimberError("op.unsupported", `tensor: numbers, got element type "${dtype}"`);
  }
  return tensorOf(dtype, dims, data);
}
