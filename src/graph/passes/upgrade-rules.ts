import { int64s, isFloat, LimberError, scalar, type Tensor, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type AttributeReader, attributesOf, type Attributes, type Node } from "../ir/index.js";
import type { Knowledge } from "./knowledge.js";

/** What a rule may ask for while a graph is rewritten. */
export interface Upgrading {
  readonly knowledge: Knowledge;
  isRead(name: string): boolean;
  freshName(base: string): string;
  /** Adds an initializer and gives its name. */
  constant(base: string, value: Tensor): string;
}

type Rewrite = (node: Node, upgrading: Upgrading) => readonly Node[];
/** How a node from before opset `since` is written today. */
interface UpgradeRule {
  readonly since: number;
  readonly rewrite: Rewrite;
}

const without = (attributes: Attributes, ...names: readonly string[]): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));

type ToInput = (attributes: AttributeReader, name: string, like: string, upgrading: Upgrading) => Tensor | undefined;

const ints: ToInput = (attributes, name) => {
  const values = attributes.ints(name);
  return values && int64s(values);
};
/** A number of the element type of the first input. */
const number: ToInput = (attributes, name, like, { knowledge }) => {
  if (!attributes.has(name)) return undefined;
  const dtype = knowledge.types.get(like)?.dtype ?? "float32";
  return scalar(isFloat(dtype) ? dtype : "float32", attributes.float(name, 0));
};

/** Attributes that became inputs, in the order of those inputs. */
const toInputs =
  (moved: Readonly<Record<string, ToInput>>): Rewrite =>
  (node, upgrading) => {
    const attributes = attributesOf(node);
    const added = Object.entries(moved).map(([name, read]) => {
      const value = read(attributes, name, node.inputs[0] ?? "", upgrading);
      return value ? upgrading.constant(`${node.name || node.outputs[0]}_${name}`, value) : "";
    });
    const inputs = [...node.inputs.slice(0, 1), ...added];
    while (inputs.at(-1) === "") inputs.pop();
    return [{ ...node, inputs, attributes: without(node.attributes, ...Object.keys(moved)) }];
  };

const axesToInput: UpgradeRule = { since: 13, rewrite: toInputs({ axes: ints }) };

const refuse = (node: Node, expectation: string, got: string): LimberError =>
  new LimberError("op.unsupported", `${node.op} "${node.name}": ${expectation}, got ${got}`, {
    op: node.op,
    node: node.name,
  });

/**
 * Before opset 13 everything from `axis` (1 by default) on was normalized together, as one row.
 * softmax_{axis…}(x) = reshape(softmax_{-1}(flatten_axis(x)), shape of x), and plain when only one of those axes is not 1.
 */
const flatSoftmax: Rewrite = (node, { knowledge, freshName }) => {
  const dims = knowledge.types.get(node.inputs[0]!)?.dims;
  const given = attributesOf(node).int("axis", 1);
  const withAxis = (axis: number): Attributes => ({ ...node.attributes, axis: attr.int(axis) });
  if (dims) {
    const axis = given < 0 ? given + dims.length : given;
    const wide = [...dims.keys()].filter((i) => i >= axis && dims[i] !== 1);
    if (wide.length <= 1) return [{ ...node, attributes: withAxis(wide[0] ?? dims.length - 1) }];
  }
  const part = (suffix: string): string => freshName(`${node.outputs[0]}_${suffix}`);
  const [flat, rows, shape] = [part("flat"), part("rows"), part("shape")];
  const plain = { domain: "", attributes: {} };
  return [
    {
      ...plain,
      op: "Flatten",
      name: flat,
      inputs: node.inputs,
      outputs: [flat],
      attributes: { axis: attr.int(given) },
    },
    { ...node, inputs: [flat], outputs: [rows], attributes: withAxis(-1) },
    { ...plain, op: "Shape", name: shape, inputs: node.inputs, outputs: [shape] },
    { ...plain, op: "Reshape", name: part("reshaped"), inputs: [rows, shape], outputs: node.outputs },
  ];
};
const softmax: UpgradeRule = { since: 13, rewrite: flatSoftmax };

/**
 * Upsample, and Resize before opset 11, map an output index i to i / scale without shifting by half a pixel.
 * Their nearest neighbour is the one below, or above when Resize shrinks.
 * Source: https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/providers/cpu/tensor/upsamplebase.h.
 */
const asymmetricResize: Rewrite = (node, { knowledge }) => {
  const [x = "", scales = ""] = node.inputs;
  const mode = attributesOf(node).string("mode", "nearest");
  const known = knowledge.constantOf(scales);
  const shrinks = node.op === "Resize" && known !== undefined && toNumbers(known).some((scale) => scale < 1);
  const attributes = {
    mode: attr.string(mode === "bilinear" ? "linear" : mode),
    coordinate_transformation_mode: attr.string("asymmetric"),
    nearest_mode: attr.string(shrinks ? "ceil" : "floor"),
  };
  return [{ ...node, op: "Resize", inputs: [x, "", scales], attributes }];
};

/** More than one output meant training; the saved statistics that could follow are gone. */
const batchNormalization: Rewrite = (node, { isRead }) => {
  const attributes = attributesOf(node);
  if (attributes.int("spatial", 1) !== 1) throw refuse(node, "statistics per channel", "spatial 0");
  const saved = node.outputs.slice(3).find((name) => name !== "" && isRead(name));
  if (saved !== undefined) throw refuse(node, "saved statistics that nobody reads", `a reader of "${saved}"`);
  const trains = node.outputs.slice(1).some((name) => name !== "");
  const kept = without(node.attributes, "spatial");
  return [
    {
      ...node,
      outputs: node.outputs.slice(0, trains ? 3 : 1),
      attributes: trains ? { ...kept, training_mode: attr.int(1) } : kept,
    },
  ];
};

/** K was an attribute. */
const topK: Rewrite = (node, { constant }) => {
  const count = constant(`${node.outputs[0]}_k`, tensorOf("int64", [1], [attributesOf(node).int("k", 1)]));
  return [{ ...node, inputs: [node.inputs[0]!, count], attributes: without(node.attributes, "k") }];
};

const rename =
  (op: string): Rewrite =>
  (node) => [{ ...node, op }];
const withDefault =
  (name: string, value: string): Rewrite =>
  (node) => [{ ...node, attributes: { [name]: attr.string(value), ...node.attributes } }];

/** Every change of meaning or form between opset 9 and 17; ops and versions that are not here read the same. */
export const upgradeRules: Readonly<Record<string, UpgradeRule>> = {
  Squeeze: axesToInput,
  Unsqueeze: axesToInput,
  ReduceSum: axesToInput,
  Split: { since: 13, rewrite: toInputs({ split: ints }) },
  Slice: { since: 10, rewrite: toInputs({ starts: ints, ends: ints, axes: ints }) },
  Clip: { since: 11, rewrite: toInputs({ min: number, max: number }) },
  Pad: { since: 11, rewrite: toInputs({ pads: ints, value: number }) },
  Dropout: { since: 12, rewrite: toInputs({ ratio: number }) },
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,
  Upsample: { since: 10, rewrite: asymmetricResize },
  Resize: { since: 11, rewrite: asymmetricResize },
  BatchNormalization: { since: 14, rewrite: batchNormalization },
  TopK: { since: 10, rewrite: topK },
  Scatter: { since: 11, rewrite: rename("ScatterElements") },
  RoiAlign: { since: 16, rewrite: withDefault("coordinate_transformation_mode", "output_half_pixel") },
};
