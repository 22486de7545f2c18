import { isFloat, type Tensor } from "../../base/index.js";
import { ancestorsOf, descendantsOf, type Model, type Node } from "../ir/index.js";

/** What a weight does in its node. Running statistics are not parameters: nobody trains them. */
export type ParameterRole = "weight" | "bias" | "norm-scale" | "norm-bias";

export interface Parameter {
  /** Name of the initializer. */
  readonly name: string;
  readonly role: ParameterRole;
  /** The first node that reads it. */
  readonly node: Node;
  readonly tensor: Tensor;
}

type Roles = Readonly<Record<string, readonly (ParameterRole | undefined)[]>>;

/** Which inputs of an op are there for parameters, by position. */
const OWN_ROLES: Roles = {
  Conv: [undefined, "weight", "bias"],
  ConvTranspose: [undefined, "weight", "bias"],
  Gemm: ["weight", "weight", "bias"],
  MatMul: ["weight", "weight"],
  Einsum: ["weight", "weight"],
  PRelu: [undefined, "weight"],
  BatchNormalization: [undefined, "norm-scale", "norm-bias"],
  InstanceNormalization: [undefined, "norm-scale", "norm-bias"],
  LayerNormalization: [undefined, "norm-scale", "norm-bias"],
  GroupNormalization: [undefined, "norm-scale", "norm-bias"],
};

/** Which inputs may hold one, when it is a weight of the file. */
const OTHER_ROLES: Roles = {
  Add: ["bias", "bias"], // the bias of a MatMul
  Mul: ["norm-scale", "norm-scale"], // the scale of a decomposed normalization
  Gather: ["weight"], // a table, of relative positions for example
  Expand: ["weight"], // a token for each image
  Concat: ["weight"], // the same for one image
};

const find = (roles: Roles, { op }: Node, index: number): ParameterRole | undefined =>
  Object.hasOwn(roles, op) ? roles[op]?.[index] : undefined;

/** Whether input `index` of a node has no other use than to hold a parameter. */
export const isParameterInput = (node: Node, index: number): boolean => find(OWN_ROLES, node, index) !== undefined;

/** What a weight is to a node that reads it as input `index`; nothing where it is not trained. */
const roleOf = (node: Node, index: number): ParameterRole | undefined =>
  find(OWN_ROLES, node, index) ?? find(OTHER_ROLES, node, index);

/** The trainable parameters of a model in graph order, each once. */
export function parametersOf({ graph }: Model): Parameter[] {
  const found = new Map<string, Parameter>();
  for (const node of graph.nodes) {
    node.inputs.forEach((name, i) => {
      const tensor = graph.initializers.get(name);
      const role = roleOf(node, i);
      // One number is a setting, such as the 1/√d of attention; the one bias of a MatMul is not.
      const isScalar = tensor?.data.length === 1 && (tensor.dims.length === 0 || node.op === "Mul");
      if (tensor && role && isFloat(tensor.dtype) && !isScalar && !found.has(name))
        found.set(name, { name, role, node, tensor });
    });
  }
  return [...found.values()];
}

/** The parameters of the last layer with weights before the first output: the classifier of a classifier. */
export function headOf(model: Model): Parameter[] {
  const needed = ancestorsOf(model.graph, [model.graph.outputs[0]!.name]);
  const weights = parametersOf(model).filter(({ role, node }) => role === "weight" && needed.has(node.outputs[0]!));
  const last = weights.at(-1);
  return last ? parametersFrom(model, last.node) : [];
}

/**
 * The parameters of the last layers with weights, `share` of all of them (rounded, at least one), and of what stands
 * between and behind them in the order of the graph.
 */
export function lastLayersOf(model: Model, share: number): Parameter[] {
  const parameters = parametersOf(model);
  const layers = [...new Set(parameters.flatMap(({ role, node }) => (role === "weight" ? [node] : [])))];
  const first = layers.at(-Math.max(1, Math.round(share * layers.length)));
  const place = new Map(model.graph.nodes.map((node, i) => [node, i]));
  return first ? parameters.filter(({ node }) => place.get(node)! >= place.get(first)!) : parameters;
}

/** The parameters of a node and of everything that comes after it. */
export function parametersFrom(model: Model, start: Node): Parameter[] {
  const reached = descendantsOf(
    model.graph,
    start.outputs.filter((name) => name !== ""),
  );
  return parametersOf(model).filter(({ node }) => node.outputs.some((name) => reached.has(name)));
}
