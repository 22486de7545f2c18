import { type Node, STANDARD_DOMAIN } from "../ir/index.js";

/**
 * What an operator is: the names of its inputs, outputs and attributes, as in the ONNX specification.
 * `X?` may be absent, `X*` takes any number. What Limber does with an operator stands in one table per facet
 * (shape, kernel, cost, gradient), total over `OpType`.
 */
interface OpSpec {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly string[];
  readonly domain?: string;
}

const unary = { inputs: ["X"], outputs: ["Y"], attributes: [] } as const;
const binary = { inputs: ["A", "B"], outputs: ["C"], attributes: [] } as const;
const variadic = { inputs: ["data*"], outputs: ["result"], attributes: [] } as const;
const reduce = {
  inputs: ["data", "axes?"],
  outputs: ["reduced"],
  attributes: ["axes", "keepdims", "noop_with_empty_axes"],
} as const;
const arg = { inputs: ["data"], outputs: ["reduced"], attributes: ["axis", "keepdims", "select_last_index"] } as const;
const softmax = { inputs: ["input"], outputs: ["output"], attributes: ["axis"] } as const;
const window = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"] as const;
const pool = { inputs: ["X"], outputs: ["Y"], attributes: [...window, "ceil_mode"] } as const;

export const catalog = {
  // conv
  Conv: { inputs: ["X", "W", "B?"], outputs: ["Y"], attributes: [...window, "group"] },
  ConvTranspose: {
    inputs: ["X", "W", "B?"],
    outputs: ["Y"],
    attributes: [...window, "group", "output_padding", "output_shape"],
  },
  // matmul
  Gemm: { inputs: ["A", "B", "C?"], outputs: ["Y"], attributes: ["alpha", "beta", "transA", "transB"] },
  MatMul: { inputs: ["A", "B"], outputs: ["Y"], attributes: [] },
  FusedMatMul: {
    inputs: ["A", "B"],
    outputs: ["Y"],
    attributes: ["alpha", "transA", "transB", "transBatchA", "transBatchB"],
    domain: "com.microsoft",
  },
  Einsum: { inputs: ["Inputs*"], outputs: ["Output"], attributes: ["equation"] },
  // norm
  BatchNormalization: {
    inputs: ["X", "scale", "B", "input_mean", "input_var"],
    outputs: ["Y", "running_mean?", "running_var?"],
    attributes: ["epsilon", "momentum", "training_mode"],
  },
  InstanceNormalization: { inputs: ["input", "scale", "B"], outputs: ["output"], attributes: ["epsilon"] },
  LayerNormalization: {
    inputs: ["X", "Scale", "B?"],
    outputs: ["Y", "Mean?", "InvStdDev?"],
    attributes: ["axis", "epsilon", "stash_type"],
  },
  GroupNormalization: {
    inputs: ["X", "scale", "bias"],
    outputs: ["Y"],
    attributes: ["epsilon", "num_groups", "stash_type"],
  },
  MeanVarianceNormalization: { ...unary, attributes: ["axes"] },
  LpNormalization: { inputs: ["input"], outputs: ["output"], attributes: ["axis", "p"] },
  LRN: { inputs: ["X"], outputs: ["Y"], attributes: ["alpha", "beta", "bias", "size"] },
  // pool
  MaxPool: { inputs: ["X"], outputs: ["Y", "Indices?"], attributes: [...pool.attributes, "storage_order"] },
  AveragePool: { ...pool, attributes: [...pool.attributes, "count_include_pad"] },
  GlobalAveragePool: unary,
  GlobalMaxPool: unary,
  LpPool: { ...pool, attributes: [...pool.attributes, "p"] },
  GlobalLpPool: { ...unary, attributes: ["p"] },
  MaxUnpool: {
    inputs: ["X", "I", "output_shape?"],
    outputs: ["output"],
    attributes: ["kernel_shape", "pads", "strides"],
  },
  // unary
  Abs: unary,
  Acos: unary,
  Acosh: unary,
  Asin: unary,
  Asinh: unary,
  Atan: unary,
  Atanh: unary,
  Ceil: unary,
  Cos: unary,
  Cosh: unary,
  Erf: unary,
  Exp: unary,
  Floor: unary,
  Log: unary,
  Neg: unary,
  Not: unary,
  Reciprocal: unary,
  Relu: unary,
  Round: unary,
  Sigmoid: unary,
  Sign: unary,
  Sin: unary,
  Sinh: unary,
  Softplus: unary,
  Softsign: unary,
  Sqrt: unary,
  Tan: unary,
  Tanh: unary,
  HardSwish: unary,
  Mish: unary,
  IsNaN: unary,
  Identity: unary,
  IsInf: { ...unary, attributes: ["detect_negative", "detect_positive"] },
  Elu: { ...unary, attributes: ["alpha"] },
  Celu: { ...unary, attributes: ["alpha"] },
  Selu: { ...unary, attributes: ["alpha", "gamma"] },
  LeakyRelu: { ...unary, attributes: ["alpha"] },
  ThresholdedRelu: { ...unary, attributes: ["alpha"] },
  Shrink: { inputs: ["input"], outputs: ["output"], attributes: ["bias", "lambd"] },
  HardSigmoid: { ...unary, attributes: ["alpha", "beta"] },
  Gelu: { ...unary, attributes: ["approximate"] },
  Clip: { inputs: ["input", "min?", "max?"], outputs: ["output"], attributes: [] },
  Cast: { inputs: ["input"], outputs: ["output"], attributes: ["to", "saturate"] },
  CastLike: { inputs: ["input", "target_type"], outputs: ["output"], attributes: ["saturate"] },
  Dropout: { inputs: ["data", "ratio?", "training_mode?"], outputs: ["output", "mask?"], attributes: ["seed"] },
  // binary
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Pow: binary,
  And: binary,
  Or: binary,
  Xor: binary,
  Equal: binary,
  Greater: binary,
  GreaterOrEqual: binary,
  Less: binary,
  LessOrEqual: binary,
  Mod: { ...binary, attributes: ["fmod"] },
  Sum: variadic,
  Mean: variadic,
  Max: variadic,
  Min: variadic,
  PRelu: { inputs: ["X", "slope"], outputs: ["Y"], attributes: [] },
  Where: { inputs: ["condition", "X", "Y"], outputs: ["output"], attributes: [] },
  // reduce
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceSumSquare: reduce,
  ReduceLogSum: reduce,
  ReduceLogSumExp: reduce,
  ArgMax: arg,
  ArgMin: arg,
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,
  CumSum: { inputs: ["x", "axis"], outputs: ["y"], attributes: ["exclusive", "reverse"] },
  TopK: { inputs: ["X", "K"], outputs: ["Values", "Indices"], attributes: ["axis", "largest", "sorted"] },
  // layout
  Reshape: { inputs: ["data", "shape"], outputs: ["reshaped"], attributes: ["allowzero"] },
  Flatten: { inputs: ["input"], outputs: ["output"], attributes: ["axis"] },
  Squeeze: { inputs: ["data", "axes?"], outputs: ["squeezed"], attributes: [] },
  Unsqueeze: { inputs: ["data", "axes"], outputs: ["expanded"], attributes: [] },
  Transpose: { inputs: ["data"], outputs: ["transposed"], attributes: ["perm"] },
  Concat: { inputs: ["inputs*"], outputs: ["concat_result"], attributes: ["axis"] },
  Split: { inputs: ["input", "split?"], outputs: ["outputs*"], attributes: ["axis", "num_outputs"] },
  Slice: { inputs: ["data", "starts", "ends", "axes?", "steps?"], outputs: ["output"], attributes: [] },
  Pad: { inputs: ["data", "pads", "constant_value?", "axes?"], outputs: ["output"], attributes: ["mode"] },
  Expand: { inputs: ["input", "shape"], outputs: ["output"], attributes: [] },
  Tile: { inputs: ["input", "repeats"], outputs: ["output"], attributes: [] },
  Gather: { inputs: ["data", "indices"], outputs: ["output"], attributes: ["axis"] },
  GatherElements: { inputs: ["data", "indices"], outputs: ["output"], attributes: ["axis"] },
  ScatterElements: { inputs: ["data", "indices", "updates"], outputs: ["output"], attributes: ["axis", "reduction"] },
  GatherND: { inputs: ["data", "indices"], outputs: ["output"], attributes: ["batch_dims"] },
  ScatterND: { inputs: ["data", "indices", "updates"], outputs: ["output"], attributes: ["reduction"] },
  Trilu: { inputs: ["input", "k?"], outputs: ["output"], attributes: ["upper"] },
  DepthToSpace: { inputs: ["input"], outputs: ["output"], attributes: ["blocksize", "mode"] },
  SpaceToDepth: { inputs: ["input"], outputs: ["output"], attributes: ["blocksize"] },
  Resize: {
    inputs: ["X", "roi?", "scales?", "sizes?"],
    outputs: ["Y"],
    attributes: [
      "antialias",
      "axes",
      "coordinate_transformation_mode",
      "cubic_coeff_a",
      "exclude_outside",
      "extrapolation_value",
      "keep_aspect_ratio_policy",
      "mode",
      "nearest_mode",
    ],
  },
  // constant
  Constant: {
    inputs: [],
    outputs: ["output"],
    attributes: ["value", "value_float", "value_floats", "value_int", "value_ints"],
  },
  ConstantOfShape: { inputs: ["input"], outputs: ["output"], attributes: ["value"] },
  Shape: { inputs: ["data"], outputs: ["shape"], attributes: ["start", "end"] },
  Size: { inputs: ["data"], outputs: ["size"], attributes: [] },
  Range: { inputs: ["start", "limit", "delta"], outputs: ["output"], attributes: [] },
  EyeLike: { inputs: ["input"], outputs: ["output"], attributes: ["dtype", "k"] },
  NonZero: unary,
  NonMaxSuppression: {
    inputs: ["boxes", "scores", "max_output_boxes_per_class?", "iou_threshold?", "score_threshold?"],
    outputs: ["selected_indices"],
    attributes: ["center_point_box"],
  },
  OneHot: { inputs: ["indices", "depth", "values"], outputs: ["output"], attributes: ["axis"] },
} as const satisfies Record<string, OpSpec>;

export type OpType = keyof typeof catalog;
export const OP_TYPES = Object.keys(catalog) as OpType[];

type Spec<K extends OpType> = (typeof catalog)[K];
type Names<List extends readonly string[]> = List[number];
type Required<Name extends string> = Name extends `${string}?` | `${string}*` ? never : Name;
type Optional<Name extends string> = Name extends `${infer Base}?` ? Base : never;
type Variadic<Name extends string> = Name extends `${infer Base}*` ? Base : never;

/** The inputs of an op by their names in the specification: `{ X: T; W: T; B?: T }`, lists for variadic ones. */
export type InputsOf<K extends OpType, T> = { readonly [N in Required<Names<Spec<K>["inputs"]>>]: T } & {
  readonly [N in Optional<Names<Spec<K>["inputs"]>>]: T | undefined;
} & { readonly [N in Variadic<Names<Spec<K>["inputs"]>>]: readonly T[] };

/** One entry per input, optional ones included: a rule has to say something about each. */
export type PerInput<K extends OpType, Single, Many> = {
  readonly [N in Required<Names<Spec<K>["inputs"]>> | Optional<Names<Spec<K>["inputs"]>>]: Single;
} & { readonly [N in Variadic<Names<Spec<K>["inputs"]>>]: Many };

/** A facet of every op: a rule, or a word that says why there is none. A forgotten op does not compile. */
export type OpTable<Rule, Reason extends string> = { readonly [K in OpType]: Rule | Reason };

/**
 * The catalog entry of a node, or undefined when the op, its domain or one of its attributes is not in the catalog:
 * an attribute that nobody reads may change what the node computes.
 */
export function findOpType(node: Node): OpType | undefined {
  const spec: OpSpec | undefined = Object.hasOwn(catalog, node.op) ? catalog[node.op as OpType] : undefined;
  if (!spec || (spec.domain ?? STANDARD_DOMAIN) !== node.domain) return undefined;
  return Object.keys(node.attributes).every((name) => spec.attributes.includes(name)) ? (node.op as OpType) : undefined;
}

/** Groups positional values under the names of the catalog. */
export function nameInputs<K extends OpType, T>(op: K, values: readonly (T | undefined)[]): InputsOf<K, T> {
  const named: Record<string, T | undefined | readonly T[]> = {};
  catalog[op].inputs.forEach((name, i) => {
    if (name.endsWith("*")) named[name.slice(0, -1)] = values.slice(i).filter((v): v is T => v !== undefined);
    else named[name.replace("?", "")] = values[i];
  });
  return named as InputsOf<K, T>;
}
