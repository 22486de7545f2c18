import { createArray, LimberError, type NumericArray, type Tensor } from "../base/index.js";
import { attributesOf, headOf, type Model } from "../graph/index.js";

/** The linear layer that ends a classifier: logits = features · Wᵀ + b. */
export interface Head {
  /** The value in front of it. Shapes: [N, D], or [N, D, 1, 1] for a pointwise convolution. */
  readonly features: string;
  readonly classes: number;
  readonly width: number;
  /** W, row by row. Shapes: [K, D]. */
  readonly weight: Float64Array;
  /** b, zeros where there is none. Shapes: [K]. */
  readonly bias: Float64Array;
  /** The model with other rows and no bias. */
  replace(model: Model, weight: Float64Array): Model;
}

/** Throws: `method.unsuitable` where the last layer is not linear over the classes. */
export function findHead(method: string, model: Model): Head {
  const parameters = headOf(model);
  const weight = parameters.find(({ role }) => role === "weight");
  const bias = parameters.find(({ role }) => role === "bias");
  const node = weight?.node;
  const dims = weight?.tensor.dims ?? [];
  const isPointwise = node?.op === "Conv" && dims.length === 4 && dims[2] === 1 && dims[3] === 1;
  const attributes = node && attributesOf(node);
  const isGemm = node?.op === "Gemm" && attributes?.int("transA", 0) === 0 && node.inputs[1] === weight?.name;
  const isProduct = node?.op === "MatMul" && dims.length === 2 && node.inputs[1] === weight?.name;
  if (!node || !weight || parameters.length > 2 || !(isPointwise || isGemm || isProduct)) {
    const message = `method "${method}": a classifier that ends in one linear layer, got ${node ? `${node.op} "${node.name}"` : "none"}; use tent or bn`;
    throw new LimberError("method.unsuitable", message, { method });
  }
  const [alpha, beta] = [attributes!.float("alpha", 1), attributes!.float("beta", 1)];
  const isRows = isPointwise || attributes!.int("transB", 0) === 1;
  const [classes, width] = isRows ? [dims[0]!, dims[1]!] : [dims[1]!, dims[0]!];
  const placeOf = (k: number, d: number): number => (isRows ? k * width + d : d * classes + k);
  const each = (visit: (row: number, stored: number) => void): void => {
    for (let k = 0; k < classes; k++) for (let d = 0; d < width; d++) visit(k * width + d, placeOf(k, d));
  };
  const rows = new Float64Array(classes * width);
  each((row, stored) => (rows[row] = Number(weight.tensor.data[stored]) * alpha));
  const replace = (source: Model, values: Float64Array): Model => {
    const { dtype } = weight.tensor;
    const data = createArray(dtype, rows.length) as NumericArray & { [index: number]: number };
    each((row, stored) => (data[stored] = values[row]! / alpha));
    const initializers = new Map<string, Tensor>([...source.graph.initializers, [weight.name, { dtype, dims, data }]]);
    if (bias) initializers.set(bias.name, { ...bias.tensor, data: createArray(bias.tensor.dtype, classes) });
    return { ...source, graph: { ...source.graph, initializers } };
  };
  const offsets = Float64Array.from({ length: classes }, (_, k) => (bias ? Number(bias.tensor.data[k]) * beta : 0));
  return { features: node.inputs[0]!, classes, width, weight: rows, bias: offsets, replace };
}
