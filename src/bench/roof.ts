import { sizeOf, type Tensor, tensor } from "../base/index.js";
import { type Model, writeModel } from "../graph/index.js";
import { createMachine } from "../run/node.js";

/** Sides of the square products, and how many follow each other in one run. */
const PRODUCTS = [
  [512, 8],
  [1024, 4],
  [1536, 1],
] as const;
const RUNS = 5;

/**
 * The best rate of products by constant matrices that ONNX Runtime reaches here: over three sizes, the best run of each.
 * Units: 10⁹ multiply-accumulates per second. Cost: 45·10⁹ of them.
 */
export async function measureRoof(threads: number): Promise<number> {
  await using machine = createMachine();
  let best = 0;
  for (const [side, count] of PRODUCTS) {
    const model = chainOfProducts(side, count);
    const session = await machine.createSession(writeModel(model), { threads });
    const x = filled([side, side], 1);
    for (let run = 0; run < RUNS; run++) {
      const { runMs } = await session.run({ x: { dtype: "float32", dims: x.dims, data: x.data } }, { fetches: ["y"] });
      best = Math.max(best, (count * side ** 3) / (runMs * 1e6));
    }
    await session.dispose();
  }
  return best;
}

/** y = x · W · W … with one constant W, scaled so that numbers stay ordinary. */
function chainOfProducts(side: number, count: number): Model {
  const dims = [side, side];
  const nameOf = (i: number): string => (i === 0 ? "x" : i === count ? "y" : `x${i}`);
  const nodes = Array.from({ length: count }, (_, i) => ({
    ...{ name: `product${i}`, domain: "", op: "MatMul", attributes: {} },
    ...{ inputs: [nameOf(i), "w"], outputs: [nameOf(i + 1)] },
  }));
  const value = (name: string) => ({ name, dtype: "float32", dims }) as const;
  return {
    graph: {
      name: "roof",
      inputs: [value("x")],
      outputs: [value("y")],
      nodes,
      initializers: new Map([["w", filled(dims, 1 / side)]]),
      types: new Map(),
    },
    opsets: new Map([["", 17]]),
    irVersion: 8,
    producerName: "limber",
    producerVersion: "",
    metadata: new Map(),
  };
}

const filled = (dims: readonly number[], value: number): Tensor & { data: Float32Array } =>
  tensor("float32", dims, new Float32Array(sizeOf(dims)).fill(value)) as Tensor & { data: Float32Array };
