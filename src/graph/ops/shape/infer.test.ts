import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { caseArbitrary, opCases } from "../../../../test/helpers/op-cases/index.js";
import { modelOf } from "../../../../test/helpers/op-cases/model.js";
import { type Tensor } from "../../../base/index.js";
import { attr, attributesOf, type Dim, type Node, type TensorType } from "../../ir/index.js";
import { evaluate } from "../../reference/index.js";
import { OP_TYPES, type OpType } from "../catalog.js";
import { inferNode } from "./infer.js";

/** What a rule is told about one input. */
interface Told {
  readonly type: TensorType | undefined;
  readonly constant: Tensor | undefined;
}

function infer(node: Node, told: readonly (Told | undefined)[], opset = 17): readonly (TensorType | undefined)[] {
  const inputs = told.map((input) => input?.type);
  const constant = (i: number): Tensor | undefined => told[i]?.constant;
  return inferNode(node.op as "Conv", { node, attributes: attributesOf(node), opset, inputs, constant });
}

/** A size and its name: equal names mean equal sizes. */
const nameOf = (size: number): string => `size ${size}`;
const sizeOfDim = (dim: Dim): number => (typeof dim === "number" ? dim : Number(dim.replace("size ", "")));

/** Ops whose output sizes depend on values. */
const BY_VALUE: readonly OpType[] = ["NonZero", "NonMaxSuppression"];

const isOpen = (type: TensorType | undefined, axis: number): boolean => type?.dims?.[axis] === "";

describe("shape rules", () => {
  test.each(OP_TYPES)("%s: types are those that the kernel gives", (op) => {
    const property = fc.property(caseArbitrary(opCases[op]), (opCase) => {
      const { model, node, feeds } = modelOf(op, opCase);
      const actual = evaluate(model, feeds, { outputs: node.outputs });
      const told = opCase.inputs.map((tensor) => tensor && { type: tensor, constant: tensor });
      const inferred = infer(node, told, opCase.opset);
      node.outputs.forEach((name, i) => {
        const { dtype, dims: found } = actual.get(name)!;
        const dims = BY_VALUE.includes(op) ? found.map((d, axis) => (isOpen(inferred[i], axis) ? "" : d)) : found;
        expect({ dtype: inferred[i]?.dtype, dims: inferred[i]?.dims }).toEqual({ dtype, dims });
      });
    });
    fc.assert(property, { seed: 21, numRuns: 30 });
  });

  test.each(OP_TYPES)("%s: nothing false follows from partial knowledge", (op) => {
    const property = fc.property(caseArbitrary(opCases[op]), fc.infiniteStream(fc.nat(9)), (opCase, stream) => {
      const chance = (tenths: number): boolean => stream.next().value! < tenths;
      const { model, node, feeds } = modelOf(op, opCase);
      const actual = evaluate(model, feeds, { outputs: node.outputs });
      const told = opCase.inputs.map((tensor): Told | undefined => {
        if (!tensor || chance(1)) return undefined;
        const dims = tensor.dims.map((size): Dim => (chance(5) ? size : chance(7) ? nameOf(size) : ""));
        return {
          type: { dtype: tensor.dtype, dims: chance(1) ? undefined : dims },
          constant: chance(6) ? tensor : undefined,
        };
      });
      const inferred = infer(node, told, opCase.opset);
      node.outputs.forEach((name, i) => {
        const { dtype, dims } = actual.get(name)!;
        const type = inferred[i];
        if (type) expect(type.dtype).toBe(dtype);
        if (!type?.dims) return;
        expect(type.dims).toHaveLength(dims.length);
        type.dims.forEach((dim, axis) => dim !== "" && expect(sizeOfDim(dim)).toBe(dims[axis]));
      });
    });
    fc.assert(property, { seed: 22, numRuns: 60 });
  });
});

describe("names that survive", () => {
  const float = (...dims: Dim[]): Told => ({ type: { dtype: "float32", dims }, constant: undefined });
  const ints = (...values: number[]): Told => {
    const data = BigInt64Array.from(values.map(BigInt));
    const constant: Tensor = { dtype: "int64", dims: [values.length], data };
    return { type: constant, constant };
  };
  const call = (op: string, inputs: Told[], attributes: Node["attributes"] = {}): readonly Dim[] | undefined => {
    const node: Node = { op, domain: "", name: "n", inputs: inputs.map((_, i) => `x${i}`), outputs: ["y"], attributes };
    return infer(node, inputs)[0]?.dims;
  };
  const image = float("N", 3, "H", "W");

  it.each<[string, readonly Dim[] | undefined, readonly Dim[]]>([
    [
      "a padded convolution keeps H and W",
      call("Conv", [image, float(8, 3, 3, 3)], { pads: attr.ints([1, 1, 1, 1]) }),
      ["N", 8, "H", "W"],
    ],
    [
      "a strided one does not",
      call("Conv", [image, float(8, 3, 3, 3)], { strides: attr.ints([2, 2]) }),
      ["N", 8, "", ""],
    ],
    [
      "SAME with stride 1 does",
      call("MaxPool", [image], { kernel_shape: attr.ints([3, 3]), auto_pad: attr.string("SAME_UPPER") }),
      ["N", 3, "H", "W"],
    ],
    ["-1 takes the batch", call("Reshape", [float("N", 64, 1, 1), ints(-1, 64)]), ["N", 64]],
    ["-1 is a number when the batch is copied", call("Reshape", [float("N", 64, 2, 2), ints(0, -1)]), ["N", 256]],
    ["-1 over two names is open", call("Reshape", [float("N", "H", 2), ints(-1, 2)]), ["", 2]],
    ["Flatten keeps the batch", call("Flatten", [float("N", 64, 2, 2)]), ["N", 256]],
    ["a name against 1", call("Add", [float("N", 1), float(1, "W")]), ["N", "W"]],
    ["a name against a number", call("Add", [float("N", 4), float(8, 4)]), [8, 4]],
    ["two names", call("Add", [float("N", 4), float("M", 4)]), ["", 4]],
    ["a whole Slice", call("Slice", [float("N", "C"), ints(0), ints(2 ** 53), ints(0)]), ["N", "C"]],
    ["a product", call("MatMul", [float("N", "T", 4), float(4, 7)]), ["N", "T", 7]],
  ])("%s", (_, dims, expected) => expect(dims).toEqual(expected));
});

describe("shape errors", () => {
  const told = (...dims: number[]): Told => ({ type: { dtype: "float32", dims }, constant: undefined });
  const run =
    (op: string, inputs: Told[], attributes: Node["attributes"] = {}) =>
    () =>
      infer({ op, domain: "", name: "n1", inputs: inputs.map((_, i) => `x${i}`), outputs: ["y"], attributes }, inputs);

  it.each<[string, () => unknown, string]>([
    [
      "Conv",
      run("Conv", [told(1, 3, 32, 32), told(8, 16, 3, 3)]),
      'Conv "n1": X channels 16 (W [8,16,3,3] × group 1), got [1,3,32,32]',
    ],
    [
      "a kernel that is too large",
      run("Conv", [told(1, 3, 2, 2), told(8, 3, 5, 5)]),
      'Conv "n1": a kernel no larger than the padded input, got kernel [5,5] on [2,2]',
    ],
    ["broadcasting", run("Add", [told(2, 3), told(2, 4)]), 'Add "n1": shapes that broadcast, got [2,3] and [2,4]'],
    ["MatMul", run("MatMul", [told(2, 3), told(4, 5)]), 'MatMul "n1": equal inner sizes, got [2,3] × [4,5]'],
    ["an axis", run("Softmax", [told(2, 3)], { axis: attr.int(2) }), 'Softmax "n1": axis in [-2, 1], got 2'],
    [
      "a stride of 0",
      run("MaxPool", [told(1, 1, 4)], { kernel_shape: attr.ints([2]), strides: attr.ints([0]) }),
      'MaxPool "n1": strides with 1 entries of at least 1 for kernel [2], got [0]',
    ],
  ])("%s: names the node, what was expected and what came", (_, action, message) => expect(action).toThrow(message));
});
