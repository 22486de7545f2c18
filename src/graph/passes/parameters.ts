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

/** Which inputs of an op hold parameters, by position. */
const ROLES: Readonly<Record<string, readonly (ParameterRole | undefined)[]>> = {
  Conv: [undefined, "weight", "bias"],
  ConvTranspose: [undefined, "weight", "bias"],
  Gemm: ["weight", "weight", "bias"],
  MatMul: ["weight", "weight"],
  PRelu: [undefined, "weight"],
  BatchNormalization: [undefined, "norm-scale", "norm-bias"],
  InstanceNormalization: [undefined, "norm-scale", "norm-bias"],
  LayerNormalization: [undefined, "norm-scale", "norm-bias"],
  Add: ["bias", "bias"], // the bias of a MatMul
  Mul: ["norm-scale", "norm-scale"], // the scale of a decomposed normalization
};

/** The trainable parameters of a model in graph order, each once. */
export function parametersOf({ graph }: Model): Parameter[] {
  const found = new Map<string, Parameter>();
  for (const node of graph.nodes) {
    node.inputs.forEach((name, i) => {
      const tensor = graph.initializers.get(name);
      const role = ROLES[node.op]?.[i];
      const isScalar = tensor?.data.length === 1 && tensor.dims.length === 0;
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

/** The parameters of a node and of everything that comes after it. */
export function parametersFrom(model: Model, start: Node): Parameter[] {
  const reached = descendantsOf(
    model.graph,
    start.outputs.filter((name) => name !== ""),
  );
  return parametersOf(model).filter(({ node }) => node.outputs.some((name) => reached.has(name)));
}
