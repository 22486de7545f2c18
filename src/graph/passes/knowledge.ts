import { int64s, isLimberError, sizeOf, type Tensor } from "../../base/index.js";
import { AttributeReader, type Graph, type Model, type Node, STANDARD_DOMAIN, type TensorType } from "../ir/index.js";
import { findOpType, inferNode, kernelTable, type OpType, type ReferenceTensor, toReference } from "../ops/index.js";

/** Whether outputs with so many elements in all are worth computing ahead of time. */
export type IsWorth = (node: Node, elements: number) => boolean;

/** Shapes, axes and other settings: small enough to always follow. */
const SETTING_ELEMENTS = 1024;
export const isSetting: IsWorth = (_, elements) => elements <= SETTING_ELEMENTS;

/** Ops that read only the shape of their input: a static shape makes them constant. */
const SHAPE_READERS: ReadonlySet<OpType> = new Set<OpType>(["Shape", "Size"]);

/** Ops that only move elements: of a shape with open axes they may pick those that are known. */
const MOVERS: ReadonlySet<OpType> = new Set<OpType>([
  "Gather",
  "Slice",
  "Concat",
  "Squeeze",
  "Unsqueeze",
  "Reshape",
  "Identity",
  "Split",
]);

/**
 * What is known about the values of a graph before it runs, collected by walking forward:
 * types from the shape rules, and values of what follows from constants alone.
 */
export class Knowledge {
  readonly types = new Map<string, TensorType>();
  private readonly constants = new Map<string, Tensor>();
  /** Whole numbers of which some are not known: NaN in their place. */
  private readonly partial = new Map<string, ReferenceTensor>();
  /** Types as the file gives them. */
  private readonly declared: ReadonlyMap<string, TensorType>;

  constructor(
    graph: Graph,
    private readonly opset: number,
    outer?: Knowledge,
  ) {
    for (const [name, type] of outer?.types ?? []) this.types.set(name, type);
    for (const [name, value] of outer?.constants ?? []) this.constants.set(name, value);
    for (const [name, value] of graph.initializers) this.define(name, value);
    // An input may replace its initializer, which is then only a default.
    for (const { name, dtype, dims } of graph.inputs) {
      this.types.set(name, { dtype, dims });
      this.constants.delete(name);
    }
    this.declared = new Map([...graph.types, ...graph.outputs.map((output) => [output.name, output] as const)]);
  }

  /** Adds a constant of the graph. */
  define(name: string, value: Tensor): void {
    this.types.set(name, { dtype: value.dtype, dims: value.dims });
    this.constants.set(name, value);
  }

  constantOf(name: string): Tensor | undefined {
    return this.constants.get(name);
  }

  /** Learns the types of a node's outputs, and their values where all inputs are known and it is worth it. Throws: `shape.mismatch`. */
  visit(node: Node, isWorth: IsWorth = isSetting): void {
    const op = findOpType(node);
    const inferred = op ? this.infer(op, node) : [];
    node.outputs.forEach((name, i) => {
      const type = mergeTypes(inferred[i], this.declared.get(name));
      if (name !== "" && type) this.types.set(name, type);
    });
    if (!op || !(op === "Constant" || isWorth(node, this.elementsOf(node.outputs)))) return;
    this.evaluate(op, node).forEach((value, i) => {
      const name = node.outputs[i];
      if (!name) return;
      if (isPartial(value)) this.partial.set(name, value);
      else this.constants.set(name, value);
    });
  }

  /** The sizes that a Reshape asks for, where all but one are known: that one follows from the others. */
  settledTarget(node: Node): Tensor | undefined {
    const target = node.op === "Reshape" ? this.partial.get(node.inputs[1] ?? "") : undefined;
    const isSettled = target?.data.filter(Number.isNaN).length === 1 && !target.data.some((size) => size <= 0);
    return isSettled ? int64s(Array.from(target.data, (size) => (Number.isNaN(size) ? -1 : size))) : undefined;
  }

  private infer(op: OpType, node: Node): readonly (TensorType | undefined)[] {
    const inputs = node.inputs.map((name) => this.types.get(name));
    const constant = (i: number): Tensor | undefined =>
      this.constants.get(node.inputs[i] ?? "") ?? (i === 1 ? this.settledTarget(node) : undefined);
    return inferNode(op, {
      node,
      attributes: new AttributeReader(node.attributes, node),
      opset: this.opset,
      inputs,
      constant,
    });
  }

  private elementsOf(names: readonly string[]): number {
    return names.reduce(
      (sum, name) => sum + (name === "" ? 0 : sizeOf(staticDims(this.types.get(name)) ?? [Infinity])),
      0,
    );
  }

  private evaluate(op: OpType, node: Node): readonly Tensor[] {
    // The tensor of a Constant, and another name for one, are taken as they are: no detour over doubles.
    const written = op === "Constant" ? node.attributes.value : undefined;
    if (written?.kind === "tensor") return [written.value];
    const same = op === "Identity" ? this.constants.get(node.inputs[0]!) : undefined;
    if (same) return [same];
    const find = (name: string): Tensor | undefined => {
      if (SHAPE_READERS.has(op)) return this.outline(name);
      return this.constants.get(name) ?? (MOVERS.has(op) ? this.partial.get(name) : undefined);
    };
    const sources = node.inputs.map(find);
    if (sources.some((source, i) => !source && node.inputs[i] !== "")) return [];
    try {
      const inputs = sources.map((source) => source && asReference(source));
      return kernelTable[op]({
        node,
        attributes: new AttributeReader(node.attributes, node),
        opset: this.opset,
        inputs,
      });
    } catch (error) {
      if (isLimberError(error, "op.unsupported")) return [];
      throw error;
    }
  }

  /** A stand-in without elements for ops that only look at the shape; an open axis has the size NaN. */
  private outline(name: string): Tensor | undefined {
    const type = this.types.get(name);
    const dims = type?.dims?.map((d) => (typeof d === "number" ? d : NaN));
    return type && dims && { dtype: type.dtype, dims, data: new Float64Array() };
  }
}

export const opsetOf = (model: Model): number => model.opsets.get(STANDARD_DOMAIN) ?? 0;

/** The dimensions of a type when every one is a number. */
export function staticDims(type: TensorType | undefined): readonly number[] | undefined {
  return type?.dims?.every((d) => typeof d === "number") ? type.dims : undefined;
}

/** Whole numbers with gaps; a float may be NaN in earnest. */
const isPartial = (value: Tensor): value is ReferenceTensor =>
  value.dtype === "int64" && value.data instanceof Float64Array && value.data.some(Number.isNaN);

const asReference = (value: Tensor): ReferenceTensor =>
  value.data instanceof Float64Array ? (value as ReferenceTensor) : toReference(value);

/** What the rule says, with its gaps filled from what the file declares. */
function mergeTypes(inferred: TensorType | undefined, declared: TensorType | undefined): TensorType | undefined {
  if (!inferred) return declared && { dtype: declared.dtype, dims: declared.dims };
  const known = declared?.dims;
  if (!inferred.dims) return { dtype: inferred.dtype, dims: known };
  const fits = known?.length === inferred.dims.length;
  return {
    dtype: inferred.dtype,
    dims: fits ? inferred.dims.map((d, i) => (d === "" ? known[i]! : d)) : inferred.dims,
  };
}
