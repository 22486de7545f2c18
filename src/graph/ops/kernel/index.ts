import { OP_TYPES, type OpType } from "../catalog.js";
import type { Kernel, KernelTable } from "../rule.js";
import { constantKernels } from "./constant.js";
import { convKernels } from "./conv.js";
import { einsumKernels } from "./einsum.js";
import { elementwiseKernels } from "./elementwise.js";
import { layoutKernels } from "./layout.js";
import { matMulKernels } from "./matmul.js";
import { normKernels } from "./norm.js";
import { poolKernels } from "./pool.js";
import { reduceKernels } from "./reduce.js";
import { resizeKernels } from "./resize.js";
import { scatterKernels } from "./scatter.js";
import { selectKernels } from "./select.js";
import { bindKernel, type Kernels } from "./support.js";

const kernels: Kernels<OpType> = {
  ...convKernels,
  ...matMulKernels,
  ...normKernels,
  ...poolKernels,
  ...elementwiseKernels,
  ...reduceKernels,
  ...layoutKernels,
  ...einsumKernels,
  ...scatterKernels,
  ...selectKernels,
  ...resizeKernels,
  ...constantKernels,
};

const bind = <K extends OpType>(op: K): readonly [K, Kernel] => [op, bindKernel(op, kernels[op])];

/** What every op of the catalog computes, in float64. */
export const kernelTable = Object.fromEntries(OP_TYPES.map(bind)) as Record<OpType, Kernel> satisfies KernelTable;
export { toReference } from "./constant.js";
export { fromReference } from "./convert.js";
