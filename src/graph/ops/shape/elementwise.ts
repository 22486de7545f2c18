import { type DType, LimberError } from "../../../base/index.js";
import { DTYPE_CODES, findDType, type TensorType } from "../../ir/index.js";
import { broadcastDims } from "../geometry.js";
import type { ShapeRule } from "../rule.js";
import { checkStretches, fromFirst } from "./dims.js";

/** The broadcast of all given types, with the element type of one of them. */
function broadcastTypes(
  types: readonly (TensorType | undefined)[],
  dtype: DType | undefined,
): readonly (TensorType | undefined)[] {
  if (!dtype) return [];
  const known = types.flatMap((type) => (type?.dims ? [type.dims] : []));
  return [{ dtype, dims: known.length === types.length ? broadcastDims(...known) : undefined }];
}

export const binary: ShapeRule = ({ inputs }) => broadcastTypes(inputs, inputs[0]?.dtype);
export const comparison: ShapeRule = ({ inputs }) => broadcastTypes(inputs, "bool");
export const where: ShapeRule = ({ inputs }) => broadcastTypes(inputs, inputs[1]?.dtype);

/** The slope stretches to X, never X to the slope. */
export const pRelu: ShapeRule = ({ inputs }) => {
  const [x, slope] = inputs;
  checkStretches("slope", slope?.dims, x?.dims);
  return [x];
};

export const predicate: ShapeRule = fromFirst((dims) => dims, "bool");

export const cast: ShapeRule = ({ node, inputs, attributes }) => {
  const code = attributes.int("to", 0);
  const dtype = findDType(code);
  if (dtype) return [{ dtype, dims: inputs[0]?.dims }];
  const message = `Cast "${node.name}": to one of ${Object.keys(DTYPE_CODES).join(", ")}, got element type ${code}`;
  throw new LimberError("op.unsupported", message, { op: node.op, node: node.name });
};

/** The element type of the second input. */
export const castLike: ShapeRule = ({ inputs: [x, like] }) => (like ? [{ dtype: like.dtype, dims: x?.dims }] : []);

/** The second output says which elements were kept. */
export const dropout: ShapeRule = ({ inputs: [x] }) => [x, x && { dtype: "bool", dims: x.dims }];
